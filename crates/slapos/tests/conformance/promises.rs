//! Promises, and the exit code of their own.

use slapos_slap::InstanceState::Stopped;

use crate::case::Found::Text;
use crate::case::{Case, Step};

const PROMISED: &[(&str, &str)] = &[("promise", "{base}/promised/there")];
const RUNNING: &[(&str, &str)] =
    &[("slappart0:once", "EXITED"), ("slappart0:sleeper-on-watch", "RUNNING")];

fn instance(more: Vec<Step>) -> Case {
    Case::instances(1, vec![Step::Wish(0, "demo", PROMISED)].into_iter().chain(more).collect())
}

/// The instance whose promise holds, and what is done then.
fn kept(more: Vec<Step>) -> Case {
    let first = vec![
        Step::Write("promised/there", ""),
        Step::Run("node instance", 0),
        Step::Told(&[
            "setComputerPartitionConnectionXml slappart0 *",
            "startedComputerPartition slappart0",
        ]),
    ];
    instance(first.into_iter().chain(more).collect())
}

pub(crate) fn that_holds_is_not_mentioned() -> Case {
    kept(vec![Step::Run("node promise", 0), Step::Told(&[])])
}

pub(crate) fn that_fails_makes_exit_code_2_and_is_tried_again() -> Case {
    instance(vec![
        Step::Run("node instance", 2),
        Step::Told(&[
            "setComputerPartitionConnectionXml slappart0 *",
            "softwareInstanceError slappart0 *it is not there*",
        ]),
        // Its services run all the same.
        Step::Services(RUNNING),
        Step::Mark(0),
        Step::Run("node instance", 2),
        Step::Processed(0, true),
        Step::Told(&["softwareInstanceError slappart0 *"]),
        Step::Write("promised/there", ""),
        Step::Run("node instance", 0),
        Step::Told(&["startedComputerPartition slappart0"]),
        Step::Mark(0),
        Step::Run("node instance", 0),
        Step::Processed(0, false),
        Step::Told(&[]),
    ])
}

pub(crate) fn can_be_checked_alone() -> Case {
    kept(vec![
        Step::Remove("promised/there"),
        Step::Run("node promise", 2),
        Step::Run("node promise --only-cp slappart0", 2),
        // The Master is told by `node instance`.
        Step::Told(&[]),
    ])
}

pub(crate) fn of_a_stopped_instance_are_not_checked() -> Case {
    instance(vec![
        Step::State(0, Stopped),
        Step::Run("node instance", 0),
        Step::Told(&[
            "setComputerPartitionConnectionXml slappart0 *",
            "stoppedComputerPartition slappart0",
        ]),
        Step::Run("node promise", 0),
        Step::Services(&[]),
    ])
}

pub(crate) fn leaves_its_result() -> Case {
    const RESULT: &str = "inst/slappart0/.slapgrid/promise/result/there.status.json";
    instance(vec![
        Step::Write("promised/there", ""),
        Step::Run("node instance", 0),
        Step::Disk(&[
            (RESULT, Text("*\"failed\":*false*")),
            (RESULT, Text("*\"title\":*\"there\"*")),
        ]),
        Step::Remove("promised/there"),
        Step::Run("node promise", 2),
        Step::Disk(&[
            (RESULT, Text("*\"failed\":*true*")),
            (RESULT, Text("*\"message\":*\"it is not there\"*")),
        ]),
    ])
}

pub(crate) fn in_python() -> Case {
    Case::instances(
        1,
        vec![
            Step::Wish(0, "plugin", PROMISED),
            Step::Run("node instance", 2),
            Step::Told(&["softwareInstanceError slappart0 *the plugin misses its file*"]),
            Step::Write("promised/there", ""),
            Step::Run("node instance", 0),
            Step::Told(&["startedComputerPartition slappart0"]),
            Step::Remove("promised/there"),
            Step::Run("node promise", 2),
        ],
    )
}
