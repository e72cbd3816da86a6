//! Parts at the same time, and what must not be.

use super::*;

/// Waits, without end in sight but not for ever, until `file` exists.
fn wait_for(file: &str) -> String {
    format!("for i in $(seq 6000); do test -e {file} && break; sleep 0.01; done; test -e {file}")
}

#[test]
fn parts_that_do_not_refer_to_each_other_run_at_once() {
    let yard = Yard::with_jobs(2);
    let profile = format!(
        "[buildout]\nparts = a b\n\
         [a]\nrecipe = toys:shell\ncommand = touch $ROOT/a; {}\n\
         [b]\nrecipe = toys:shell\ncommand = touch $ROOT/b; {}\n",
        wait_for("$ROOT/b"),
        wait_for("$ROOT/a"),
    );
    assert_eq!(yard.run(&profile).unwrap().installed.len(), 2);
}

#[test]
fn a_part_waits_for_what_it_refers_to_even_through_plain_sections() {
    let yard = Yard::with_jobs(4);
    let profile = "\
[buildout]
parts = c

[a]
recipe = toys:shell
command = sleep 0.1; echo a > $ROOT/a

[paths]
first = ${a:location}

[b]
recipe = toys:shell
command = cat $ROOT/a > $ROOT/b; test -d ${paths:first}

[c]
recipe = toys:shell
command = cat $ROOT/b; test -d ${b:location}
";
    let (events, result) = yard.watch(profile);
    result.unwrap();
    insta::assert_snapshot!(events.join("\n"), @r"
    plan +3 ~0 =0 -0
    install a
    done a
    install b
    done b
    install c
    done c
    ");
}

#[test]
fn a_part_that_must_be_alone_has_all_earlier_parts_before_it() {
    let yard = Yard::with_jobs(4);
    let profile = "\
[buildout]
parts = a barrier z

[a]
recipe = toys:shell
command = sleep 0.1; touch $ROOT/a

[barrier]
recipe = toys:shell
barrier = true
command = test -e $ROOT/a; test ! -e $ROOT/z; sleep 0.1; touch $ROOT/barrier

[z]
recipe = toys:shell
command = test -e $ROOT/barrier; touch $ROOT/z
";
    yard.run(profile).unwrap();
}

#[test]
fn after_a_failure_the_running_parts_are_finished_and_no_others_start() {
    let yard = Yard::with_jobs(2);
    let profile = format!(
        "[buildout]\nparts = good bad later\n\
         [good]\nrecipe = toys:shell\ncommand =\n  touch $ROOT/up\n  for i in $(seq 6000)\n  \
         do grep -q '\"failed\"' $ROOT/.slapos/installed.json && break; sleep 0.01\n  done\n  \
         sleep 0.1; echo good > done\n\
         [bad]\nrecipe = toys:shell\ncommand = {}; exit 1\n\
         [later]\nrecipe = toys:shell\ncommand = true\n",
        wait_for("$ROOT/up"),
    );
    let error = yard.run(&profile).unwrap_err();
    assert_eq!(error.failures().iter().map(|f| &f.part).collect::<Vec<_>>(), ["bad"]);
    insta::assert_snapshot!(yard.plan_text(&profile), @r"
    install bad: failed last time
    install later: new part
    1 part is kept
    ");
    assert_eq!(read(yard.path("parts/good/done")), "good\n");
}

#[test]
fn all_failures_are_reported_in_the_order_of_the_plan() {
    let yard = Yard::with_jobs(2);
    let profile = format!(
        "[buildout]\nparts = a b\n\
         [a]\nrecipe = toys:shell\ncommand = {}; exit 1\n\
         [b]\nrecipe = toys:shell\ncommand = touch $ROOT/b; exit 2\n",
        wait_for("$ROOT/b"),
    );
    let error = yard.run(&profile).unwrap_err();
    assert_eq!(error.failures().iter().map(|f| &f.part).collect::<Vec<_>>(), ["a", "b"]);
}

/// Two targets of one makefile that wait for each other: make must get a job of ours.
fn makefile() -> String {
    format!(
        "all: a b\na:\n\ttouch a.up; {}\nb:\n\ttouch b.up; {}\n",
        wait_for("b.up").replace('$', "$$"),
        wait_for("a.up").replace('$', "$$"),
    )
}

#[test]
fn make_takes_its_jobs_from_the_same_pool() {
    let yard = Yard::with_jobs(2);
    std::fs::write(yard.path("Makefile"), makefile()).unwrap();
    let profile =
        "[buildout]\nparts = m\n[m]\nrecipe = toys:shell\ncommand = make -f $ROOT/Makefile 2>&1\n";
    yard.run(profile).unwrap();
    let log = read(yard.path(".slapos/log/m.log"));
    assert!(!log.contains("jobserver unavailable"), "{log}");
}

#[test]
fn the_pool_is_full_again_after_many_parts_and_makes() {
    let yard = Yard::with_jobs(3);
    std::fs::write(yard.path("Makefile"), "all: 1 2 3 4 5\n1 2 3 4 5:\n\t@echo $@\n").unwrap();
    let names: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
    let sections: String = names
        .iter()
        .map(|n| format!("[{n}]\nrecipe = toys:shell\ncommand = make -f $ROOT/Makefile 2>&1\n"))
        .collect();
    let profile = format!("[buildout]\nparts = {}\n{sections}", names.join(" "));
    assert_eq!(yard.run(&profile).unwrap().installed.len(), 12);
    assert!(yard.plan(&profile).unwrap().is_noop());
}

#[test]
fn a_part_in_turn_waits_for_no_earlier_part_and_every_later_one_waits_for_it() {
    let yard = Yard::with_jobs(4);
    let profile = format!(
        "[buildout]\nparts = a turn z\n\
         [a]\nrecipe = toys:shell\ncommand = {}; touch $ROOT/a\n\
         [turn]\nrecipe = toys:shell\nbarrier = in-turn\n\
         command = test ! -e $ROOT/a; test ! -e $ROOT/z; touch $ROOT/turn\n\
         [z]\nrecipe = toys:shell\ncommand = test -e $ROOT/turn; touch $ROOT/z\n",
        wait_for("$ROOT/turn"),
    );
    yard.run(&profile).unwrap();
}

#[test]
fn a_part_whose_place_is_spelled_out_comes_first() {
    let yard = Yard::with_jobs(4);
    let profile = "\
[buildout]
parts = a b
[a]
recipe = toys:shell
command = sleep 0.1; touch made
[b]
recipe = toys:shell
command = test -e ${buildout:parts-directory}/a/made
";
    yard.run(profile).unwrap();
}
