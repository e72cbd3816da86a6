//! What extensions of the profile do after the parts, source trees in use, and going on after a
//! failure.

use std::os::unix::fs::MetadataExt as _;

use super::*;

const PROGRAMS: &str = "\
[buildout]
parts = made
extensions = slapos.extension.strip
do-not-strip-path = ${buildout:parts-directory}/made/spared
[made]
recipe = toys:shell
command =
  echo 'int main(void){return 0;}' > a.c
  cc -g -o program a.c
  cp program spared
  ln program other-name
  cc -g -shared -fPIC -o libx.so.1 a.c
  cc -g -c -o a.o a.c && chmod +x a.o
  rm a.c
";

fn size(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[test]
fn programs_and_libraries_lose_their_symbols_once() {
    let yard = Yard::new();
    insta::assert_snapshot!(yard.plan_text(PROGRAMS).replace("/usr/local/bin", "/usr/bin"), @r"
    install made: never installed
    finish  take the symbols out of programs, by /usr/bin/strip
    ");
    let (events, result) = yard.watch(PROGRAMS);
    result.unwrap();
    assert!(
        events.iter().any(|line| line.contains("took the symbols out of 2 files")),
        "{events:?}"
    );
    let made = |name: &str| yard.path("parts/made").join(name);
    assert!(size(&made("program")) < size(&made("spared")));
    assert_eq!(
        made("program").metadata().unwrap().ino(),
        made("other-name").metadata().unwrap().ino()
    );
    assert_eq!(made("program").metadata().unwrap().mode() & 0o111, 0o111);
    let ran = std::process::Command::new(made("other-name")).status().unwrap();
    assert!(ran.success());
    let symbols = std::process::Command::new("nm").arg(made("a.o")).output().unwrap();
    assert!(String::from_utf8_lossy(&symbols.stdout).contains("main"), "no object file is touched");
    insta::assert_snapshot!(yard.plan_text(PROGRAMS), @"nothing to do");

    // A part that is made again is looked at again.
    std::fs::remove_dir_all(yard.path("parts/made")).unwrap();
    yard.run(PROGRAMS).unwrap();
    assert!(size(&made("program")) < size(&made("spared")));
}

#[test]
fn what_cannot_be_stripped_stays_as_it_is() {
    let yard = Yard::new();
    let profile = PROGRAMS.replace("extensions", "strip-binary = /bin/false\nextensions");
    let (events, result) = yard.watch(&profile);
    result.unwrap();
    let told = events.iter().filter(|line| line.contains("keeps its symbols")).count();
    assert_eq!(told, 2, "{events:?}");
    let made = |name: &str| yard.path("parts/made").join(name);
    assert_eq!(size(&made("program")), size(&made("spared")));
    let left = std::fs::read_dir(yard.path("parts/made")).unwrap();
    assert!(!left.flatten().any(|e| e.file_name().to_string_lossy().ends_with("slapos-strip")));
}

#[test]
fn a_directory_with_shared_parts_is_marked() {
    let yard = Yard::new();
    let profile = "[buildout]\nparts =\nextensions = slapos.extension.shared\n";
    yard.run(profile).unwrap();
    assert!(!yard.path(".shared").exists());
    let profile = format!("{profile}shared-parts = /somewhere\n");
    insta::assert_snapshot!(yard.plan_text(&profile), @"finish  write ROOT/.shared");
    yard.run(&profile).unwrap();
    assert!(yard.path(".shared").exists());
    insta::assert_snapshot!(yard.plan_text(&profile), @"nothing to do");
}

#[test]
fn develop_makes_source_trees_usable_before_all_parts() {
    let yard = Yard::new();
    for tree in ["src/b", "src/a"] {
        std::fs::create_dir_all(yard.path(tree)).unwrap();
    }
    let profile =
        "[buildout]\nparts = p\ndevelop = src/* gone\n[p]\nrecipe = toys:write\noutput = p\n";
    insta::assert_snapshot!(yard.plan_text(profile), @r"
    warning: `develop` of [buildout]: there is nothing at `gone`
    install develop[src/a]: never installed
    install develop[src/b]: never installed
    install p: never installed
    ");
    std::fs::create_dir_all(yard.path("develop-eggs")).unwrap();
    yard.run(profile).unwrap();
    let text = read(yard.path(".installed.cfg"));
    let links = text.split("parts = ").next().unwrap();
    assert!(links.contains("develop-eggs/a\n") && links.contains("develop-eggs/b\n"), "{text}");
    assert!(text.contains("\nparts = p\n"), "{text}");
    let less = profile.replace("src/*", "src/b");
    insta::assert_snapshot!(yard.plan_text(&less), @r"
    warning: `develop` of [buildout]: there is nothing at `gone`
    remove  develop[src/a]: no longer wanted
    2 parts are kept
    ");
}

const FAILING: &str = "\
[buildout]
parts = bad needs deep good other
[bad]
recipe = toys:shell
command = exit 3
[needs]
recipe = toys:shell
command = : ${bad:location}
[deep]
recipe = toys:shell
barrier = in-turn
command = : ${needs:location}
[good]
recipe = toys:shell
command = : fine
[other]
recipe = toys:shell
barrier = true
command = exit 4
";

fn going_on(jobs: usize) -> (Yard, Vec<String>, BuildError) {
    let yard = Yard { keep_going: true, ..Yard::with_jobs(jobs) };
    let (mut events, result) = yard.watch(FAILING);
    events.retain(|line| line.starts_with("warning") || line.starts_with("failed"));
    events.sort();
    (yard, events, result.unwrap_err())
}

#[test]
fn a_run_that_keeps_going_does_all_that_does_not_need_what_failed() {
    for jobs in [1, 3] {
        let (yard, events, error) = going_on(jobs);
        insta::allow_duplicates! {
            insta::assert_snapshot!(events.join("\n"), @r"
            failed bad: the command ended with status 3
            failed other: the command ended with status 4
            warning: passed over: it needs `bad`, which failed
            warning: passed over: it needs `bad`, which failed
            ");
        }
        let failed: Vec<&str> = error.failures().iter().map(|f| f.part.as_str()).collect();
        assert_eq!(failed, ["bad", "other"]);
        assert!(yard.path("parts/good").exists() && !yard.path("parts/needs").exists());
    }
}

#[test]
fn otherwise_the_first_failure_ends_the_run() {
    let yard = Yard::new();
    let error = yard.run(FAILING).unwrap_err();
    assert_eq!(error.failures().len(), 1);
    assert!(!yard.path("parts/good").exists());
}

#[test]
fn a_record_of_buildout_that_cannot_be_read_is_not_taken_for_none() {
    let yard = Yard::new();
    std::fs::create_dir(yard.path(".installed.cfg")).unwrap();
    let error = yard.plan(PROGRAMS).unwrap_err().to_string();
    assert!(
        error.contains("read Buildout's record") && error.contains(".installed.cfg"),
        "{error}"
    );
}
