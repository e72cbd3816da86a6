//! `zc.recipe.egg`: what is refused, and where. What it makes is compared with the original in
//! `tests/eggs_peer.rs`.

use slapos_testkit::{Entry, tar_gz};

use super::Yard;

fn error(part: &str) -> String {
    Yard::software().error(&format!("[buildout]\nparts = p\n[p]\n{part}"))
}

#[test]
fn nonsense_is_refused_at_its_line() {
    insta::assert_snapshot!(error("recipe = zc.recipe.egg\neggs =\n  fine\n  not fine"), @"ROOT/build/test.cfg:7: `not fine` is not a requirement: `fine` is not a version");
    insta::assert_snapshot!(error("recipe = zc.recipe.egg\nentry-points = a=b:c d=e"), @"ROOT/build/test.cfg:5: `d=e` is not of the form name=module:attributes");
    insta::assert_snapshot!(error("recipe = zc.recipe.egg:script\ndependent-scripts = yes"), @"ROOT/build/test.cfg:5: `dependent-scripts` must be `true` or `false`, not `yes`");
    insta::assert_snapshot!(error("recipe = zc.recipe.egg:develop"), @"ROOT/build/test.cfg:3: part `p` lacks the option `setup`");
    insta::assert_snapshot!(error("recipe = zc.recipe.egg:custom\negg = a\n  b"), @"ROOT/build/test.cfg:5: `egg` must be exactly one requirement");
    let pinned = "recipe = zc.recipe.egg:eggs\neggs = a\n[versions]\na = newest";
    insta::assert_snapshot!(error(pinned), @"ROOT/build/test.cfg:5: [versions] `a = newest` is neither a version nor a comparison");
    let revision = "recipe = zc.recipe.egg:custom\negg = a\npatch-revision = 2\n\
                    [versions]\na = 1+SlapOSPatched001";
    insta::assert_snapshot!(error(revision), @"ROOT/build/test.cfg:6: `patch-revision = 2` is not what the version of a says");
}

#[test]
fn nothing_is_fetched_offline_and_the_error_says_so() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = p\noffline = true\n[p]\nrecipe = zc.recipe.egg:eggs\n\
                   eggs = no-such-thing\n";
    let error = yard.error(profile);
    assert!(error.contains("nothing may be fetched, and it is not in"), "{error}");
    assert!(error.contains("no-such-thing, asked for by the profile"), "{error}");
}

#[test]
fn an_unpinned_egg_is_refused_where_versions_may_not_be_picked() {
    let yard = Yard::software();
    let index = yard.path("index");
    std::fs::create_dir_all(&index).unwrap();
    std::fs::write(index.join("a-1.5.tar.gz"), "").unwrap();
    let profile = "[buildout]\nparts = p\nallow-picked-versions = false\nindex = index\n[p]\n\
                   recipe = zc.recipe.egg\neggs = a\n";
    let error = yard.error(profile);
    assert!(error.contains("has no version in [versions]"), "{error}");
    assert!(error.contains("add `a = 1.5` to [versions]"), "{error}");
}

/// A wheel of one module in the directory `index`.
fn wheel(yard: &Yard, name: &str, version: &str) {
    let info = format!("wheel-{name}/{name}-{version}.dist-info");
    yard.write(&format!("wheel-{name}/{name}.py"), "");
    yard.write(
        &format!("{info}/METADATA"),
        &format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
    );
    yard.write(&format!("{info}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n");
    yard.write(&format!("{info}/RECORD"), "");
    std::fs::create_dir_all(yard.path("index")).unwrap();
    let status = std::process::Command::new("python3")
        .args(["-m", "zipfile", "-c", &format!("../index/{name}-{version}-py3-none-any.whl")])
        .args([format!("{name}.py"), format!("{name}-{version}.dist-info")])
        .current_dir(yard.path(&format!("wheel-{name}")))
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn picked_versions_are_shown_and_written_down() {
    let yard = Yard::software();
    wheel(&yard, "a", "1.5");
    wheel(&yard, "b", "2.0");
    let profile = "[buildout]\nparts = p\nindex = index\nshow-picked-versions = true\n\
                   update-versions-file = versions.cfg\n[p]\nrecipe = zc.recipe.egg:eggs\n\
                   eggs =\n  a\n  b\n[versions]\nb = 2.0\n";
    insta::assert_snapshot!(yard.warnings(profile).join("\n"), @r"
    picked, as [versions] does not fix it: a = 1.5
    1 versions were added to ROOT/build/versions.cfg
    ");
    assert!(yard.read("versions.cfg").ends_with("\na = 1.5\n"));
    assert_eq!(yard.warnings(&profile.replace("b = 2", "a = 1.5\nb = 2")), Vec::<String>::new());
}

#[test]
fn files_are_kept_and_may_be_all_there_is() {
    let yard = Yard::software();
    wheel(&yard, "a", "1.5");
    let profile = "[buildout]\nparts = p\nindex = index\ndownload-cache = kept\n[p]\n\
                   recipe = zc.recipe.egg:eggs\neggs = a\n";
    yard.run(profile).unwrap();
    assert!(yard.path("kept/dist/a-1.5-py3-none-any.whl").is_file());
    for gone in ["index", "eggs", ".slapos", "../cache"] {
        std::fs::remove_dir_all(yard.path(gone)).unwrap();
    }
    let from_cache = profile.replace("index = index", "index = index\ninstall-from-cache = true");
    yard.run(&from_cache).unwrap();
    let error = yard.error(&from_cache.replace("download-cache = kept\n", ""));
    insta::assert_snapshot!(error, @"ROOT/build/test.cfg:6: `install-from-cache` of [buildout] needs a `download-cache`");
}

#[test]
fn an_index_whose_host_is_not_allowed_is_not_asked() {
    let yard = Yard { online: true, ..Yard::software() };
    let error = yard.error(
        "[buildout]\nparts = p\nindex = http://127.0.0.1:9/simple\nallow-hosts =\n  *.example.com\n\
         [p]\nrecipe = zc.recipe.egg:eggs\neggs = a\n",
    );
    assert!(error.contains("`allow-hosts` of [buildout] does not allow 127.0.0.1"), "{error}");
}

/// A source distribution in the directory `index` whose build runs the Python `build`.
fn source(yard: &Yard, name: &str, build: &str) {
    let build = build.replace('\n', "\n    ");
    let backend = format!("import os, sys, time\ndef build_wheel(out, *more):\n    {build}\n");
    let project =
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n";
    let info = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    let file = |file: &str, text: &str| Entry::file(&format!("{name}-1.0/{file}"), 0o600, text);
    let entries =
        [file("PKG-INFO", &info), file("backend.py", &backend), file("pyproject.toml", project)];
    std::fs::create_dir_all(yard.path("index")).unwrap();
    std::fs::write(yard.path(&format!("index/{name}-1.0.tar.gz")), tar_gz(&entries)).unwrap();
}

#[test]
fn an_egg_that_fails_shows_its_own_words_and_not_those_of_one_built_beside_it() {
    let yard = Yard::software();
    let (up, down) = (yard.path("up"), yard.path("down"));
    let wait = |file: &std::path::Path| {
        format!(
            "for i in range(6000):\n    if os.path.exists({file:?}): break\n    time.sleep(0.01)\n"
        )
    };
    let fails = format!(
        "{}print('the cause of it', flush=True)\nopen({down:?}, 'w')\nsys.exit(3)",
        wait(&up)
    );
    let talks = format!(
        "open({up:?}, 'w')\n{}for i in range(100): print('all is well')\nsys.exit(1)",
        wait(&down)
    );
    source(&yard, "failing", &fails);
    source(&yard, "talking", &talks);
    let error = yard.error(
        "[buildout]\nparts = p\nindex = index\n[p]\nrecipe = zc.recipe.egg:eggs\n\
         eggs =\n  failing\n  talking\n",
    );
    assert!(error.contains("cannot build failing 1.0: cannot run "), "{error}");
    assert!(error.contains("p.log, where the command ends with:\n    | $ "), "{error}");
    assert!(error.contains("    | the cause of it"), "{error}");
    assert!(!error.contains("all is well"), "{error}");
    // The log has both, and no line of one in a line of the other.
    let log = yard.read(".slapos/log/p.log");
    let lines = |wanted: &str| log.lines().filter(|line| *line == wanted).count();
    assert_eq!((lines("the cause of it"), lines("all is well")), (1, 100), "{log}");
}
