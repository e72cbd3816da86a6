//! What a SlapOS Node does, seen from outside: what it makes on disk, runs, answers and tells its
//! Master. Each case is run on the Python original (from PyPI; skipped with a visible line where
//! that cannot be reached), which shows that the case is true, and on ours, which shows that we do
//! the same, or differ where the case says so.
//!
//! `cargo test -p slapos --test conformance` runs all; `... original::` and `... ours::` one side.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests arrange files and run programs directly"
)]

mod case;
mod check;
mod formats;
mod http;
mod implementation;
mod instances;
mod master;
mod processing;
mod profiles;
mod promises;
mod reports;
mod scene;
mod software;

use case::{Case, Step};
use implementation::Implementation;
use scene::Scene;

/// Cases that ours does not pass yet, and what it lacks. They are run and spoken of all the same.
const NOT_YET: &[(&str, &str)] = &[];

/// Runs a case on one implementation.
fn examine(implementation: &dyn Implementation, name: &str, case: &Case) {
    let shelf = implementation.place().join("soft");
    let shelf = case.built.then_some(shelf.as_path());
    let mut scene = Scene::new(implementation, case.partitions, shelf);
    let result = check::carry_out(&mut scene, case);
    let lacks = NOT_YET.iter().find(|(not_yet, _)| implementation.is_ours() && *not_yet == name);
    match (result, lacks) {
        (Ok(()), None) => {}
        (Ok(()), Some(_)) => slapos_testkit::skipped(name, "it passes now: take it off NOT_YET"),
        (Err(error), None) => panic!("{error}"),
        (Err(error), Some((_, lacks))) => {
            slapos_testkit::skipped(name, &format!("not yet: {lacks}"));
            println!("{error}");
        }
    }
}

/// One test for each case and implementation.
macro_rules! cases {
    ($($room:ident: $($name:ident),+;)+) => {
        const CASES: &[(&str, fn() -> Case)] =
            &[$($((concat!(stringify!($room), "::", stringify!($name)), $room::$name)),+),+];

        mod original {
            $(mod $room {
                $(#[test]
                fn $name() {
                    let test = concat!(stringify!($room), "::", stringify!($name));
                    let Some(original) = crate::implementation::original(test) else { return };
                    crate::examine(original, test, &crate::$room::$name());
                })+
            })+
        }

        mod ours {
            $(mod $room {
                $(#[test]
                fn $name() {
                    let test = concat!(stringify!($room), "::", stringify!($name));
                    let Some(ours) = crate::implementation::ours(test) else { return };
                    crate::examine(ours, test, &crate::$room::$name());
                })+
            })+
        }
    };
}

cases! {
    formats:
        makes_what_is_defined,
        says_that_its_master_was_not_told,
        can_be_tried;
    software:
        is_built_once,
        is_built_again_when_asked,
        only_the_named_one_is_built,
        that_fails_is_reported_and_stops_no_other,
        that_failed_is_built_by_the_next_run,
        is_removed_when_destroyed,
        needs_its_master,
        needs_a_configuration,
        says_how_often_its_instances_are_processed,
        that_is_built_again_alike_leaves_its_instances_alone;
    instances:
        is_deployed,
        does_nothing_when_nothing_changed,
        follows_its_parameters,
        stops_and_starts,
        is_stopped_by_force,
        without_software_is_an_error_of_its_own,
        in_a_directory_open_to_others_is_refused,
        keeps_what_it_published,
        without_services,
        that_its_master_forgot,
        leaves_a_log,
        leaves_its_error_beside_it,
        asks_for_another,
        does_the_work_of_etc_run_each_time,
        obeys_the_hand;
    processing:
        is_forced_for_all,
        is_for_the_named_partitions_only,
        refuses_unknown_partitions,
        is_repeated_when_its_period_is_over,
        of_one_that_fails_stops_no_other,
        is_taken_up_after_a_failure,
        goes_on_without_its_master,
        of_an_unknown_computer,
        does_not_run_twice_at_once,
        starts_what_the_supervisor_lost,
        of_a_missing_partition,
        is_asked_for_in_known_words;
    promises:
        that_holds_is_not_mentioned,
        that_fails_makes_exit_code_2_and_is_tried_again,
        can_be_checked_alone,
        of_a_stopped_instance_are_not_checked,
        leaves_its_result,
        in_python;
    reports:
        removes_a_destroyed_instance,
        keeps_what_is_locked,
        leaves_others_alone,
        needs_its_master;
}

/// Where ours is meant to differ, in the order of the cases: also documentation.
#[test]
fn the_differences_are_these() {
    fn reasons(steps: &[Step]) -> Vec<&'static str> {
        let why = steps.iter().filter_map(|step| match step {
            Step::Differs { why, .. } => Some(*why),
            _ => None,
        });
        why.collect()
    }
    let mut lines = Vec::new();
    for (name, case) in CASES {
        lines.extend(reasons(&case().steps).iter().map(|why| format!("{name}: {why}")));
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    formats::says_that_its_master_was_not_told: a Master that is away has the same exit code everywhere
    software::needs_its_master: a Master that is away is told apart from what has failed
    instances::is_deployed: a lock is a file that stays: one that is removed can be held by two
    instances::that_its_master_forgot: what belongs to no instance any more does not run on
    instances::obeys_the_hand: that one of the services does not run is no failure of the question
    processing::of_a_missing_partition: a node that lacks a partition has failed, as cron should see
    processing::is_asked_for_in_known_words: a word that is no command is a wrong argument like others
    reports::needs_its_master: a Master that is away is told apart from what has failed
    ");
}
