//! What a run leaves behind, also when it fails or is cut short.

use super::*;
use crate::{EntryState, Ledger};

fn ledger(yard: &Yard) -> Ledger {
    Ledger::read(&yard.settings().ledger_path()).unwrap()
}

const FILES: &str = "\
[buildout]
parts = a b

[a]
recipe = toys:write
output = a
content = 1

[b]
recipe = toys:write
output = b
";

#[test]
fn parts_that_are_no_longer_wanted_are_removed_last_and_backwards() {
    let yard = Yard::new();
    yard.run(FILES).unwrap();
    let (events, outcome) =
        yard.watch("[buildout]\nparts = c\n[c]\nrecipe = toys:write\noutput = c\n");
    assert_eq!(outcome.unwrap().removed, ["b", "a"]);
    insta::assert_snapshot!(events.join("\n"), @r"
    plan +1 ~0 =0 -2
    install c
    done c
    remove b
    done b
    remove a
    done a
    ");
    assert!(!yard.path("a").exists() && !yard.path("b").exists() && yard.path("c").exists());
    assert_eq!(ledger(&yard).parts().keys().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn a_renamed_part_keeps_the_file_that_both_names_make() {
    let yard = Yard::new();
    yard.run(FILES).unwrap();
    let renamed = FILES.replace("parts = a b", "parts = z b").replace("[a]", "[z]");
    yard.run(&renamed).unwrap();
    assert_eq!(read(yard.path("a")), "1");
    let moved = renamed.replace("output = a", "output = moved");
    yard.run(&moved).unwrap();
    assert!(!yard.path("a").exists() && yard.path("moved").exists());
}

#[test]
fn a_failed_part_is_explained_recorded_and_tried_again() {
    let yard = Yard::new();
    let profile = "\
[buildout]
parts = a b

[a]
recipe = toys:write
output = a

[b]
recipe = toys:shell
command =
  echo configuring
  test -e $ROOT/cure || { echo 'b.c:1: error: no cure' >&2; exit 7; }
";
    let (events, result) = yard.watch(profile);
    let error = result.unwrap_err();
    insta::assert_snapshot!(yard.clean(&error.to_string()), @r"
    part `b` failed: the command ended with status 7
      defined at: software.cfg:8
      command: echo configuring
        test -e $ROOT/cure || { echo 'b.c:1: error: no cure' >&2; exit 7; }
      log: ROOT/.slapos/log/b.log, which ends with:
        | $ echo configuring
        | test -e $ROOT/cure || { echo 'b.c:1: error: no cure' >&2; exit 7; }
        | configuring
        | b.c:1: error: no cure
    ");
    assert_eq!(error.failures().len(), 1);
    assert_eq!(events.last().unwrap(), "failed b: the command ended with status 7");
    assert_eq!(ledger(&yard).parts()["a"].state, EntryState::Installed);
    assert_eq!(ledger(&yard).parts()["b"].state, EntryState::Failed);
    insta::assert_snapshot!(yard.plan_text(profile), @r"
    install b: failed last time
    1 part is kept
    ");
    std::fs::write(yard.path("cure"), "").unwrap();
    assert_eq!(yard.run(profile).unwrap().installed, ["b"]);
    assert!(read(yard.path(".slapos/log/b.log")).starts_with("$ echo configuring\n"));
}

#[test]
fn an_interrupted_part_is_cleaned_and_made_again() {
    let yard = Yard::new();
    let profile =
        "[buildout]\nparts = a\n[a]\nrecipe = toys:shell\ncommand = test ! -e half; touch whole\n";
    yard.run(profile).unwrap();
    // As a run leaves it that is killed while it works on the part.
    let path = yard.settings().ledger_path();
    std::fs::write(&path, read(&path).replace("\"installed\"", "\"installing\"")).unwrap();
    std::fs::write(yard.path("parts/a/half"), "").unwrap();
    insta::assert_snapshot!(yard.plan_text(profile), @"install a: interrupted last time");
    yard.run(profile).unwrap();
    assert!(yard.path("parts/a/whole").exists() && !yard.path("parts/a/half").exists());
    assert!(yard.plan(profile).unwrap().is_noop());
}

#[test]
fn the_ledger_names_what_is_made_before_it_is_made() {
    let yard = Yard::new();
    let profile = "\
[buildout]
parts = a
[a]
recipe = toys:shell
command = cp $ROOT/.slapos/installed.json $ROOT/seen.json
";
    yard.run(profile).unwrap();
    let seen = Ledger::read(&yard.path("seen.json")).unwrap();
    assert_eq!(seen.parts()["a"].state, EntryState::Installing);
    assert!(seen.parts()["a"].paths.contains(&yard.path("parts/a")));
}

#[test]
fn a_damaged_ledger_makes_everything_new_and_a_newer_one_is_refused() {
    let yard = Yard::new();
    yard.run(FILES).unwrap();
    let path = yard.settings().ledger_path();
    std::fs::write(&path, "{\"version\": 1, \"par").unwrap();
    let (events, result) = yard.watch(FILES);
    assert_eq!(result.unwrap().installed, ["a", "b"]);
    insta::assert_snapshot!(yard.clean(&events[0]), @"warning: the record of what is installed in ROOT is damaged (EOF while parsing a string at line 1 column 19): every part is installed again");
    assert!(yard.path(".slapos/installed.json.corrupt").exists());
    std::fs::write(&path, "{\"version\": 2}").unwrap();
    assert!(matches!(yard.run(FILES).unwrap_err(), BuildError::Ledger(_)));
}

#[test]
fn a_part_that_wants_it_is_updated_and_nothing_else_is_touched() {
    let yard = Yard::new();
    let profile = FILES.replace("content = 1", "update-when = u");
    yard.run(&profile).unwrap();
    let before = read(yard.settings().ledger_path());
    insta::assert_snapshot!(yard.plan_text(&profile), @r"
    update  a: it feels like it
    1 part is kept
    ");
    assert_eq!(yard.run(&profile).unwrap().updated, ["a"]);
    assert_eq!(read(yard.settings().ledger_path()), before);
    assert!(yard.plan(&profile).unwrap().is_noop());
}

#[test]
fn two_runs_in_one_directory_and_stale_plans_are_refused() {
    let yard = Yard::new();
    let mut first = yard.buildout(FILES);
    let plan = first.plan().unwrap();
    let held = slapos_sys::lock::FileLock::acquire(&{
        std::fs::create_dir(yard.path(".slapos")).unwrap();
        yard.path(".slapos/lock")
    });
    let busy = first.execute(&plan, &crate::NoObserver).unwrap_err();
    insta::assert_snapshot!(yard.clean(&busy.to_string()), @"another run is working in ROOT (its lock: ROOT/.slapos/lock)");
    drop(held);
    let plan = first.plan().unwrap();
    yard.run(FILES).unwrap();
    let stale = first.execute(&plan, &crate::NoObserver).unwrap_err();
    assert!(matches!(stale, BuildError::Stale(_)), "{stale}");
}

#[test]
fn a_recorded_path_that_holds_the_build_itself_is_never_removed() {
    let yard = Yard::new();
    let only = FILES.replace("parts = a b", "parts = b");
    yard.run(&only).unwrap();
    let path = yard.settings().ledger_path();
    let poisoned = read(&path).replace(&*yard.path("b").to_string_lossy(), "/");
    std::fs::write(&path, poisoned).unwrap();
    let error = yard.run("[buildout]\nparts =\n").unwrap_err();
    insta::assert_snapshot!(yard.clean(&error.failures()[0].message), @"refusing to remove /: it holds the directory of the build itself");
    assert!(yard.path("b").exists());
}

#[test]
fn what_lies_inside_a_part_that_is_made_again_is_made_again_with_it() {
    let yard = Yard::new();
    let profile = "\
[buildout]
parts = outer inner

[outer]
recipe = toys:shell
command = true

[inner]
recipe = toys:write
output = parts/outer/inner
";
    yard.run(profile).unwrap();
    let changed = profile.replace("= true", "= test ! -e inner");
    insta::assert_snapshot!(yard.plan_text(&changed), @r"
    install outer: option `command` changed: `true` → `test ! -e inner` at software.cfg:6
    install inner: lies inside outer, which is made again
    ");
    yard.run(&changed).unwrap();
    assert!(yard.path("parts/outer/inner").exists());
}

#[test]
fn a_stopped_run_ends_its_commands_and_goes_on_next_time() {
    let yard = Yard::new();
    let profile = "[buildout]\nparts = a b\n[a]\nrecipe = toys:shell\ncommand = touch $ROOT/up; sleep 1000\n[b]\nrecipe = toys:write\noutput = b\n";
    let error = yard.cancelled_when_up(profile);
    assert!(matches!(error, BuildError::Cancelled), "{error}");
    insta::assert_snapshot!(yard.plan_text(profile), @r"
    install a: interrupted last time
    install b: interrupted last time
    ");
}

/// A command that, the first time, waits beside a writer that has left its session; what it wrote
/// to is the part's own directory. Later it refuses to work while the writer lives.
const LEAVES_A_WRITER: &str = "
  if test -e $ROOT/writer
  then
    if grep -q SLAPOS_BUILD_ID /proc/$(cat $ROOT/writer)/environ; then exit 9; fi
    touch whole
  else
    setsid sh -c 'while :; do echo x >> f; sleep 0.01; done' > /dev/null 2>&1 &
    echo $! > $ROOT/new; mv $ROOT/new $ROOT/writer
    kill -9 $$
  fi
";

fn is_running(pid: &str) -> bool {
    let pid: u32 = pid.trim().parse().unwrap();
    let start = slapos_sys::process::start_time(pid);
    start.is_some_and(|start| slapos_sys::process::alive(pid, start))
}

#[test]
fn what_an_interrupted_run_left_running_is_ended_before_its_place_is_cleaned() {
    for more in ["", "shared = true\n"] {
        let yard = Yard::new();
        let profile = format!(
            "[buildout]\nparts = a\nshared-part-list = ${{:directory}}/shared\n\
             [a]\nrecipe = toys:shell\n{more}command ={LEAVES_A_WRITER}"
        );
        yard.run(&profile).unwrap_err();
        let writer = read(yard.path("writer"));
        assert!(is_running(&writer), "the test is no test");
        let (events, result) = yard.watch(&profile);
        result.unwrap();
        assert!(!is_running(&writer));
        assert!(events.iter().any(|event| event.ends_with("an earlier run left behind")));
    }
}

#[test]
fn what_a_part_left_running_is_ended_before_the_part_is_removed() {
    let yard = Yard::new();
    yard.run(&format!(
        "[buildout]\nparts = a\n[a]\nrecipe = toys:shell\ncommand ={LEAVES_A_WRITER}"
    ))
    .unwrap_err();
    let writer = read(yard.path("writer"));
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(!is_running(&writer) && !yard.path("parts/a").exists());
}

#[test]
fn a_trivial_part_that_is_made_again_is_not_taken_for_whole_when_the_run_is_killed() {
    let yard = Yard::new();
    yard.run(FILES).unwrap();
    let changed = FILES.replace("content = 1", "content = 2");
    let mut buildout = yard.buildout(&changed);
    let plan = buildout.plan().unwrap();
    let path = yard.settings().ledger_path();
    let seen = Mutex::new(String::new());
    let note = |event: &Event| {
        if matches!(event, Event::PartFinished { .. }) {
            *seen.lock().unwrap() = read(&path);
        }
    };
    buildout.execute(&plan, &note).unwrap();
    assert_eq!(read(yard.path("a")), "2");
    // As a run leaves it that is killed before it saves; then the profile is changed back.
    std::fs::write(&path, seen.into_inner().unwrap()).unwrap();
    insta::assert_snapshot!(yard.plan_text(FILES), @r"
    install a: interrupted last time
    1 part is kept
    ");
    yard.run(FILES).unwrap();
    assert_eq!(read(yard.path("a")), "1");
}

#[test]
fn a_stopped_run_ends_all_that_its_parts_have_started() {
    let yard = Yard::with_jobs(2);
    let part = |name: &str| {
        format!(
            "[{name}]\nrecipe = toys:shell\ncommand =\n  setsid sleep 1000 > /dev/null 2>&1 &\n  \
             echo $! > $ROOT/new-{name}; mv $ROOT/new-{name} $ROOT/{name}; sleep 1000\n"
        )
    };
    let profile = format!("[buildout]\nparts = a b c\n{}{}{}", part("a"), part("b"), part("c"));
    let mut buildout = yard.buildout(&profile);
    let plan = buildout.plan().unwrap();
    let cancellation = buildout.settings().cancellation.clone();
    let (up, started) = ([yard.path("a"), yard.path("b")], std::time::Instant::now());
    let stopper = std::thread::spawn(move || {
        while !up.iter().all(|path| path.exists()) && started.elapsed().as_secs() < 60 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        cancellation.cancel();
        cancellation.cancel();
    });
    let error = buildout.execute(&plan, &crate::NoObserver).unwrap_err();
    stopper.join().unwrap();
    assert!(matches!(error, BuildError::Cancelled), "{error}");
    assert!(!is_running(&read(yard.path("a"))) && !is_running(&read(yard.path("b"))));
    assert!(!yard.path("c").exists());
}

#[test]
fn a_directory_of_buildout_itself_is_taken_over() {
    let yard = Yard::new();
    let there = yard.path("old");
    std::fs::create_dir_all(yard.path("parts/a")).unwrap();
    std::fs::write(&there, "x").unwrap();
    std::fs::write(yard.path("parts/a/stale"), "x").unwrap();
    let text = format!(
        "[buildout]\ninstalled_develop_eggs = \nparts = gone a\n\n[gone]\n__buildout_installed__ = {}\n\
         recipe = some.egg\n\n[a]\n__buildout_installed__ = {}\nrecipe = toys:shell\n",
        there.display(),
        yard.path("parts/a").display()
    );
    std::fs::write(yard.path(".installed.cfg"), text).unwrap();
    let profile = "[buildout]\nparts = a\n[a]\nrecipe = toys:shell\ncommand = touch new\n";
    insta::assert_snapshot!(yard.plan_text(profile), @r"
    install a: made by Buildout itself
    remove  gone: no longer wanted
    ");
    yard.run(profile).unwrap();
    assert!(!there.exists() && !yard.path("parts/a/stale").exists());
    assert!(yard.path("parts/a/new").exists());
    insta::assert_snapshot!(yard.plan_text(profile), @"nothing to do");
}
