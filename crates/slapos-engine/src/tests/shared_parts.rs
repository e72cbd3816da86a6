//! Parts that several buildouts share.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A profile whose shared part `lib` counts how often it is built, and `user`, which needs it.
fn profile(shared: &Path, word: &str) -> String {
    let shared = shared.display();
    format!(
        "[buildout]\nparts = user\nshared-part-list = {shared}\n\
         [lib]\nrecipe = toys:shell\nshared = true\nword = {word}\n\
         command = echo built >> {shared}/count; sleep 0.2; echo ${{:word}} > f\n\
         [tool]\nrecipe = toys:shell\nshared = true\ncommand = cat ${{lib:location}}/f > f\n\
         [user]\nrecipe = toys:shell\ncommand = cat ${{tool:location}}/f > f\n"
    )
}

fn built(shared: &Path) -> usize {
    read(shared.join("count")).lines().count()
}

fn only_entry(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut directories: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    assert_eq!(directories.len(), 1, "{directories:?}");
    directories.remove(0)
}

#[test]
fn two_builds_that_want_one_part_at_once_build_it_once() {
    let shared = tempfile::tempdir().unwrap();
    let yards = [Yard::new(), Yard::with_jobs(2)];
    let text = profile(shared.path(), "one");
    std::thread::scope(|scope| {
        for yard in &yards {
            scope.spawn(|| yard.run(&text).unwrap());
        }
    });
    assert_eq!(built(shared.path()), 1);
    for yard in &yards {
        assert_eq!(read(yard.path("parts/user/f")), "one\n");
        assert!(yard.plan(&text).unwrap().is_noop());
    }
    let place = only_entry(&shared.path().join("lib"));
    assert_eq!(std::fs::metadata(place.join("f")).unwrap().permissions().mode() & 0o777, 0o444);
    assert!(!place.join(".building").exists());
    let seal = read(place.join(".buildout-shared.json"));
    assert!(seal.contains("\"word\": \"one\""), "{seal}");
}

#[test]
fn rubble_is_removed_and_a_lost_part_is_built_again() {
    let shared = tempfile::tempdir().unwrap();
    let yard = Yard::new();
    let text = profile(shared.path(), "one");
    yard.run(&text).unwrap();
    let place = only_entry(&shared.path().join("lib"));
    slapos_sys::fs::set_mode(&place, 0o755).unwrap();
    std::fs::remove_file(place.join(".buildout-shared.json")).unwrap();
    std::fs::write(place.join("rubble"), "").unwrap();
    insta::assert_snapshot!(
        yard.plan_text(&text).replace(&*place.to_string_lossy(), "LIB"),
        @r"
    install lib: LIB is missing
    2 parts are kept
    "
    );
    yard.run(&text).unwrap();
    assert_eq!(built(shared.path()), 2);
    assert!(!place.join("rubble").exists() && place.join("f").exists());
}

#[test]
fn another_content_is_another_place_also_for_what_refers_to_it() {
    let shared = tempfile::tempdir().unwrap();
    let yard = Yard::new();
    yard.run(&profile(shared.path(), "one")).unwrap();
    let first = only_entry(&shared.path().join("tool"));
    yard.run(&profile(shared.path(), "two")).unwrap();
    assert_eq!(read(yard.path("parts/user/f")), "two\n");
    // What other buildouts may use stays.
    assert!(first.join("f").exists());
    assert_eq!(std::fs::read_dir(shared.path().join("tool")).unwrap().count(), 4);
    // And going back finds it.
    yard.run(&profile(shared.path(), "one")).unwrap();
    assert_eq!(built(shared.path()), 2);
}

#[test]
fn a_failed_shared_part_leaves_nothing_that_looks_whole() {
    let shared = tempfile::tempdir().unwrap();
    let yard = Yard::new();
    let text = profile(shared.path(), "one").replace("echo one", "exit 1; echo");
    let text = text.replace("echo ${:word} > f", "exit 3");
    assert!(yard.run(&text).is_err());
    let place = only_entry(&shared.path().join("lib"));
    assert!(place.join(".building").exists() && !place.join(".buildout-shared.json").exists());
}

#[test]
fn a_whole_part_whose_builder_was_killed_before_the_end_becomes_read_only() {
    let shared = tempfile::tempdir().unwrap();
    let text = profile(shared.path(), "one");
    Yard::new().run(&text).unwrap();
    let place = only_entry(&shared.path().join("lib"));
    slapos_sys::fs::set_mode(&place, 0o755).unwrap();
    Yard::new().run(&text).unwrap();
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o555);
    assert_eq!(built(shared.path()), 1);
}

#[test]
fn the_content_is_read_only_before_the_seal_says_whole() {
    let dir = tempfile::tempdir().unwrap();
    let part = crate::shared::SharedPart::find(&[dir.path().into()], "x", "{}".into()).unwrap();
    std::fs::create_dir_all(part.location.join("sub")).unwrap();
    std::fs::write(part.location.join("sub/file"), "").unwrap();
    // A directory in the place of the seal: sealing goes as far as it can, and fails there.
    std::fs::create_dir_all(part.location.join(".buildout-shared.json/in-the-way")).unwrap();
    assert!(part.seal().is_err());
    let mode = |path: &str| {
        let meta = std::fs::metadata(part.location.join(path)).unwrap();
        meta.permissions().mode() & 0o777
    };
    assert_eq!(mode("sub/file") & 0o222, 0);
    assert_eq!(mode("sub") & 0o222, 0);
    assert_ne!(mode("") & 0o200, 0);
}

#[test]
fn a_plan_makes_no_directory_of_shared_parts() {
    let yard = Yard::new();
    let shared = yard.path("not/yet");
    yard.plan(&profile(&shared, "one")).unwrap();
    assert!(!yard.path("not").exists());
    std::fs::create_dir_all(&shared).unwrap();
    yard.run(&profile(&shared, "one")).unwrap();
    assert_eq!(built(&shared), 1);
}
