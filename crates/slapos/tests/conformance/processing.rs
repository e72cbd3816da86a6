//! `node instance`: which partitions are processed, and what becomes of those that cannot be.

use crate::case::Found::{File, Nothing};
use crate::case::{Case, Step};

const RUNNING: &[(&str, &str)] =
    &[("slappart0:once", "EXITED"), ("slappart0:sleeper-on-watch", "RUNNING")];
const BOTH: &[(&str, &str)] = &[
    ("slappart0:once", "EXITED"),
    ("slappart0:sleeper-on-watch", "RUNNING"),
    ("slappart1:once", "EXITED"),
    ("slappart1:sleeper-on-watch", "RUNNING"),
];
/// What the Master is told of two deployed `demo`.
const DEPLOYED: &[&str] = &[
    "setComputerPartitionConnectionXml slappart0 *",
    "setComputerPartitionConnectionXml slappart1 *",
    "startedComputerPartition slappart0",
    "startedComputerPartition slappart1",
];

fn two(more: Vec<Step>) -> Case {
    let mut steps = vec![
        Step::Wish(0, "demo", &[]),
        Step::Wish(1, "demo", &[]),
        Step::Run("node instance", 0),
        Step::Told(DEPLOYED),
        Step::Services(BOTH),
    ];
    steps.extend(more);
    Case::instances(2, steps)
}

fn one(more: Vec<Step>) -> Case {
    let mut steps = vec![
        Step::Wish(0, "demo", &[]),
        Step::Run("node instance", 0),
        Step::Services(RUNNING),
        Step::Told(&[
            "setComputerPartitionConnectionXml slappart0 *",
            "startedComputerPartition slappart0",
        ]),
    ];
    steps.extend(more);
    Case::instances(1, steps)
}

pub(crate) fn is_forced_for_all() -> Case {
    two(vec![
        Step::Mark(0),
        Step::Mark(1),
        Step::Run("node instance --all", 0),
        Step::Processed(0, true),
        Step::Processed(1, true),
    ])
}

pub(crate) fn is_for_the_named_partitions_only() -> Case {
    two(vec![
        Step::Wish(0, "demo", &[("word", "new")]),
        Step::Wish(1, "demo", &[("word", "new")]),
        Step::Mark(0),
        Step::Mark(1),
        Step::Run("node instance --only-cp slappart1", 0),
        Step::Processed(0, false),
        Step::Processed(1, true),
        Step::Told(&[
            "setComputerPartitionConnectionXml slappart1 *word=new*",
            "startedComputerPartition slappart1",
        ]),
    ])
}

pub(crate) fn refuses_unknown_partitions() -> Case {
    Case::instances(
        1,
        vec![
            Step::Run("node instance --only-cp slappart0,slappart7,slappart8", 1),
            Step::Said("Unknown partition*: slappart7, slappart8"),
            Step::Told(&[]),
        ],
    )
}

pub(crate) fn is_repeated_when_its_period_is_over() -> Case {
    one(vec![
        Step::Mark(0),
        Step::Run("node instance --maximum-periodicity 100000", 0),
        Step::Processed(0, false),
        Step::Run("node instance --maximum-periodicity 0", 0),
        Step::Processed(0, true),
    ])
}

pub(crate) fn of_one_that_fails_stops_no_other() -> Case {
    Case::instances(
        2,
        vec![
            Step::Wish(0, "demo", &[("fail", "yes")]),
            Step::Wish(1, "demo", &[]),
            Step::Run("node instance", 1),
            Step::Said("slappart0"),
            Step::Told(&[
                "softwareInstanceError slappart0 *the last words of an instance*",
                "setComputerPartitionConnectionXml slappart1 *",
                "startedComputerPartition slappart1",
            ]),
            Step::Services(&[
                ("slappart1:once", "EXITED"),
                ("slappart1:sleeper-on-watch", "RUNNING"),
            ]),
        ],
    )
}

pub(crate) fn is_taken_up_after_a_failure() -> Case {
    one(vec![
        Step::Remember,
        Step::Wish(0, "demo", &[("fail", "yes")]),
        Step::Run("node instance", 1),
        Step::Told(&["softwareInstanceError slappart0 *"]),
        // What ran goes on.
        Step::SameProcess("slappart0:sleeper-on-watch", true),
        Step::Run("node instance", 1),
        Step::Told(&["softwareInstanceError slappart0 *"]),
        Step::Wish(0, "demo", &[]),
        Step::Run("node instance", 0),
        Step::Told(&["startedComputerPartition slappart0"]),
        Step::SameProcess("slappart0:sleeper-on-watch", true),
    ])
}

pub(crate) fn goes_on_without_its_master() -> Case {
    one(vec![
        Step::Remember,
        Step::MasterIsThere(false),
        Step::Run("node instance", 3),
        Step::SameProcess("slappart0:sleeper-on-watch", true),
        // As after the machine was restarted.
        Step::Run("node supervisorctl shutdown", 0),
        Step::Run("node instance", 3),
        Step::SameProcess("slappart0:sleeper-on-watch", false),
    ])
}

pub(crate) fn of_an_unknown_computer() -> Case {
    Case::instances(
        1,
        vec![
            Step::Wish(0, "demo", &[]),
            Step::Run("node instance --computer-id COMP-9", 1),
            Step::Told(&[]),
            Step::Disk(&[("inst/slappart0/etc", Nothing)]),
        ],
    )
}

pub(crate) fn does_not_run_twice_at_once() -> Case {
    Case::instances(
        1,
        vec![
            Step::Write("hold/it", ""),
            Step::Wish(0, "demo", &[("hold", "{base}/hold/it")]),
            Step::Start("node instance"),
            Step::Appears("hold/it.begun"),
            Step::Disk(&[("var/instance.pid", File)]),
            Step::Run("node instance", 10),
            Step::Remove("hold/it"),
            Step::Ends(0),
            Step::Run("node instance", 0),
        ],
    )
}

pub(crate) fn starts_what_the_supervisor_lost() -> Case {
    one(vec![
        Step::Remember,
        Step::Run("node supervisorctl shutdown", 0),
        Step::Run("node instance --all", 0),
        Step::Services(RUNNING),
        Step::SameProcess("slappart0:sleeper-on-watch", false),
    ])
}

pub(crate) fn of_a_missing_partition() -> Case {
    Case::instances(
        2,
        vec![
            Step::Wish(0, "plain", &[]),
            Step::Wish(1, "plain", &[]),
            Step::Remove("inst/slappart0"),
            Step::Differs {
                why: "a node that lacks a partition has failed, as cron should see",
                original: vec![Step::Run("node instance", 0)],
                ours: vec![Step::Run("node instance", 1)],
            },
            Step::Told(&[
                "softwareInstanceError slappart0 *",
                "startedComputerPartition slappart1",
            ]),
        ],
    )
}

pub(crate) fn is_asked_for_in_known_words() -> Case {
    Case::instances(
        1,
        vec![
            Step::Run("node instance --nonsense", 2),
            Step::Run("node instance --help", 0),
            Step::Differs {
                why: "a word that is no command is a wrong argument like others",
                original: vec![Step::Run("node nonsense", 5)],
                ours: vec![Step::Run("node nonsense", 2)],
            },
        ],
    )
}
