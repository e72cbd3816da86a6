//! What works is not lost while it is made again.

use std::collections::BTreeMap;
use std::process::Command;

use super::*;
use crate::Installed;
use crate::aside::fault;

/// `tool` makes a directory; `more` a file in it, and so do `late`, which is made before it in
/// another order, and `other`, which is no part of the second version.
const FIRST: &str = "\
[buildout]
parts = tool inside plain other

[tool]
recipe = toys:shell
command = echo one > f; mkdir deep

[inside]
recipe = toys:shell
location = ${tool:location}/deep/inside
command = echo one > f
needs = ${tool:recipe}

[plain]
recipe = toys:write
output = plain
content = one

[other]
recipe = toys:shell
command = echo one > f
";

/// Everything changed, and one part less.
fn second() -> String {
    FIRST.replace("one", "two").replace("plain other\n", "plain\n")
}

/// Path → content of all that was made, the engine's own files left out.
fn made(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            match path.is_dir() {
                true if name == ".slapos" => {}
                true => {
                    found.insert(name, "directory".to_owned());
                    pending.push(path);
                }
                false => {
                    let text = read(&path).replace(&*root.to_string_lossy(), "ROOT");
                    // Identities are of the place, too.
                    let is_same = |line: &&str| !line.starts_with("__buildout_signature__");
                    found.insert(name, text.lines().filter(is_same).collect());
                }
            }
        }
    }
    found
}

fn listed(yard: &Yard) -> Installed {
    Installed::parse("i", &read(yard.path(".installed.cfg"))).unwrap()
}

#[test]
fn a_failing_update_leaves_the_old_part_usable_and_says_so() {
    let yard = Yard::new();
    yard.run(FIRST).unwrap();
    let before = made(yard.root.path());
    let broken =
        FIRST.replace("command = echo one > f; mkdir deep", "command = echo two > f; false");
    let (events, result) = yard.watch(&broken);
    assert_eq!(result.unwrap_err().failures()[0].part, "tool");
    assert!(events.contains(&"tool: what was there before is in its place again".to_owned()));
    assert_eq!(made(yard.root.path()), before);
    assert!(!yard.path(".slapos/aside").exists());
    assert_eq!(listed(&yard).parts["tool"]["command"], "echo one > f; mkdir deep");
    insta::assert_snapshot!(yard.plan_text(&broken), @r"
    install tool: failed last time; option `command` changed: `echo one > f; mkdir deep` → `echo two > f; false` at software.cfg:6
    install inside: refers to tool, which changed
    2 parts are kept
    ");
    // What is there is what the former profile wants.
    insta::assert_snapshot!(yard.plan_text(FIRST), @"nothing to do");
    yard.run(&second()).unwrap();
    assert_eq!(read(yard.path("parts/tool/f")), "two\n");
    assert!(yard.plan(&second()).unwrap().is_noop());
}

#[test]
fn new_names_go_and_old_ones_come_back() {
    let yard = Yard::new();
    yard.run(FIRST).unwrap();
    let before = made(yard.root.path());
    let elsewhere =
        FIRST.replace("[other]\n", "[other]\nlocation = ${buildout:directory}/elsewhere\n");
    let (start, end) = elsewhere.rsplit_once("echo one > f\n").unwrap();
    yard.run(&format!("{start}echo two > f; false\n{end}")).unwrap_err();
    assert_eq!(made(yard.root.path()), before);
}

#[test]
fn a_lost_part_that_fails_is_tried_again() {
    let yard = Yard::new();
    let only = FIRST.replace("parts = tool inside plain other", "parts = other");
    let only = only.replace("echo one > f\n", "echo one > f; test -e $ROOT/cure\n");
    std::fs::write(yard.path("cure"), "").unwrap();
    yard.run(&only).unwrap();
    slapos_sys::fs::remove_tree(&yard.path("parts/other")).unwrap();
    std::fs::remove_file(yard.path("cure")).unwrap();
    insta::assert_snapshot!(yard.plan_text(&only), @"install other: ROOT/parts/other is missing");
    yard.run(&only).unwrap_err();
    assert!(!yard.path("parts/other").exists());
    insta::assert_snapshot!(yard.plan_text(&only), @"install other: failed last time; ROOT/parts/other is missing");
}

#[test]
fn a_stopped_update_is_undone() {
    let yard = Yard::new();
    yard.run(FIRST).unwrap();
    let before = made(yard.root.path());
    let slow = FIRST.replace("echo one > f; mkdir deep", "touch $ROOT/up; sleep 1000");
    let error = yard.cancelled_when_up(&slow);
    assert!(matches!(error, BuildError::Cancelled), "{error}");
    std::fs::remove_file(yard.path("up")).unwrap();
    assert_eq!(made(yard.root.path()), before);
    let line = yard.plan_text(&slow);
    insta::assert_snapshot!(line.lines().next().unwrap(), @"install tool: interrupted last time; option `command` changed: `echo one > f; mkdir deep` → `touch $ROOT/up; sleep 1000` at software.cfg:6");
}

#[test]
fn what_others_have_inside_moves_into_the_replacement() {
    let yard = Yard::new();
    yard.run(FIRST).unwrap();
    let outer_only = FIRST
        .replace("echo one > f; mkdir deep", "echo two > f; mkdir deep")
        .replace("echo one > f\nneeds", "echo two > f; false\nneeds");
    let error = yard.run(&outer_only).unwrap_err();
    assert_eq!(error.failures()[0].part, "inside");
    assert_eq!(read(yard.path("parts/tool/f")), "two\n");
    assert_eq!(read(yard.path("parts/tool/deep/inside/f")), "one\n");
}

#[test]
fn a_failed_update_without_a_change_is_tried_again() {
    let yard = Yard::new();
    let profile = "[buildout]\nparts = a\n[a]\nrecipe = toys:write\noutput = a\n\
                   update-when = missing/u\n";
    yard.run(profile).unwrap();
    yard.run(profile).unwrap_err();
    insta::assert_snapshot!(yard.plan_text(profile), @"update  a: failed last time; it feels like it");
    std::fs::create_dir(yard.path("missing")).unwrap();
    yard.run(profile).unwrap();
    assert!(yard.plan(profile).unwrap().is_noop());
}

#[test]
fn what_lies_on_another_file_system_moves_beside_itself() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let yard = Yard::new();
    let place = elsewhere.path().join("place");
    let profile = |command: &str| {
        let location = place.display();
        format!(
            "[buildout]\nparts = a\n[a]\nrecipe = toys:shell\nlocation = {location}\n\
             command = {command}\n"
        )
    };
    yard.run(&profile("echo one > f")).unwrap();
    let seen = "ls -a .. | grep -c slapos-aside > $ROOT/seen";
    yard.run(&profile(&format!("{seen}; false"))).unwrap_err();
    assert_eq!(read(place.join("f")), "one\n");
    yard.run(&profile(&format!("{seen}; echo two > f"))).unwrap();
    assert_eq!(read(place.join("f")), "two\n");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| path.metadata().unwrap().dev();
    if device(elsewhere.path()) != device(yard.root.path()) {
        assert_eq!(read(yard.path("seen")), "1\n");
    }
}

#[test]
fn a_part_that_takes_the_place_of_another_and_fails_gives_it_back() {
    let yard = Yard::new();
    let profile = |name: &str, command: &str| {
        format!(
            "[buildout]\nparts = {name}\n[{name}]\nrecipe = toys:shell\n\
             location = ${{buildout:directory}}/place\ncommand = {command}\n"
        )
    };
    yard.run(&profile("old", "echo one > f")).unwrap();
    yard.run(&profile("new", "echo two > f; false")).unwrap_err();
    assert_eq!(read(yard.path("place/f")), "one\n");
    assert!(yard.plan(&profile("old", "echo one > f")).unwrap().count(crate::Action::Keep) == 1);
    let outcome = yard.run(&profile("new", "echo two > f")).unwrap();
    assert_eq!((outcome.installed, outcome.removed), (vec!["new".into()], vec!["old".into()]));
    assert_eq!(read(yard.path("place/f")), "two\n");
}

/// Where the process that is to be killed finds its directory.
const YARD: &str = "SLAPOS_TEST_YARD";

/// Not a test by itself: the run that is killed, in a process of its own.
#[test]
#[ignore = "started by the test below"]
fn a_run_to_be_killed() {
    let Some(root) = std::env::var_os(YARD) else { return };
    let base = Location::from_path(Path::new(&root)).unwrap();
    let text = std::env::var("SLAPOS_TEST_PROFILE").unwrap();
    let profile = Profile::load_text("software.cfg", &text, &base, &NoFiles, &[]).unwrap();
    let mut buildout = Buildout::new(profile, Arc::new(Toys), Settings::new(Path::new(&root)));
    let plan = buildout.plan().unwrap();
    // It fails where the profile is broken.
    let _ = buildout.execute(&plan, &crate::NoObserver);
}

/// Runs `profile` in a process of its own and kills it at its `number`th point; the name of the
/// point, or `None` when there are not so many.
fn kill_at(yard: &Yard, profile: &str, number: usize) -> Option<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "tests::aside::a_run_to_be_killed"])
        .env(YARD, yard.root.path())
        .env("SLAPOS_TEST_PROFILE", profile)
        .env(fault::VARIABLE, number.to_string())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let killed = told.lines().find_map(|line| line.strip_prefix("killed at ")).map(str::to_owned);
    assert_eq!(killed.is_none(), output.status.success(), "{told}");
    killed
}

/// Kills a run of `profile` over an installed `FIRST` at each of its points; `check` goes on from
/// there. The names of the points.
fn kill_everywhere(profile: &str, check: impl Fn(&mut Yard, &str)) -> Vec<String> {
    let mut points = Vec::new();
    loop {
        let mut yard = Yard::new();
        yard.run(FIRST).unwrap();
        let Some(point) = kill_at(&yard, profile, points.len() + 1) else {
            return points;
        };
        check(&mut yard, &point);
        points.push(point);
    }
}

#[test]
fn a_run_killed_anywhere_and_run_again_makes_what_an_undisturbed_run_makes() {
    let undisturbed = Yard::new();
    undisturbed.run(FIRST).unwrap();
    undisturbed.run(&second()).unwrap();
    let wanted = made(undisturbed.root.path());
    let points = kill_everywhere(&second(), |yard, point| {
        yard.run(&second()).unwrap();
        assert_eq!(made(yard.root.path()), wanted, "{point}");
        assert!(!yard.path(".slapos/aside").exists(), "{point}");
        assert!(yard.plan(&second()).unwrap().is_noop(), "{point}");
    });
    insta::assert_snapshot!(points.join("\n"), @r"
    1: begun
    2: moved aside
    3: made
    4: recorded as whole
    5: carried over
    6: removed what was aside
    7: begun
    8: moved aside
    9: made
    10: recorded as whole
    11: removed what was aside
    12: made
    13: recorded as whole
    ");
}

#[test]
fn a_run_killed_anywhere_is_undone_by_going_back() {
    let undisturbed = Yard::new();
    undisturbed.run(FIRST).unwrap();
    let wanted = made(undisturbed.root.path());
    let points = kill_everywhere(&second(), |yard, point| {
        // A run that has next to nothing to do puts all of it in order.
        yard.install = Some(vec!["plain".to_owned()]);
        yard.run(FIRST).unwrap();
        for file in ["parts/tool/f", "parts/tool/deep/inside/f", "parts/other/f", "plain"] {
            let text = read(yard.path(file));
            assert!(["one", "two"].contains(&text.trim_end()), "{point}: {file}");
        }
        yard.install = None;
        yard.run(FIRST).unwrap();
        assert_eq!(made(yard.root.path()), wanted, "{point}");
        assert!(!yard.path(".slapos/aside").exists(), "{point}");
    });
    assert!(points.len() > 10);
}

#[test]
fn a_run_killed_while_it_undoes_a_failure_leaves_what_worked() {
    let broken = FIRST.replace("echo one > f; mkdir deep", "echo two > f; false");
    let undisturbed = Yard::new();
    undisturbed.run(FIRST).unwrap();
    let wanted = made(undisturbed.root.path());
    let points = kill_everywhere(&broken, |yard, point| {
        yard.run(&broken).unwrap_err();
        assert_eq!(made(yard.root.path()), wanted, "{point}");
    });
    insta::assert_snapshot!(points.join("\n"), @r"
    1: begun
    2: moved aside
    3: removed what is half made
    4: moved back
    5: recorded as it was
    ");
}
