//! `node report`, and instances on their way out.

use slapos_slap::InstanceState::Destroyed;

use crate::case::Found::{Empty, File, Nothing};
use crate::case::{Case, Step};

fn destroyed(before: Vec<Step>, after: Vec<Step>) -> Case {
    let mut steps = vec![Step::Wish(0, "demo", &[]), Step::Run("node instance", 0)];
    steps.extend(before);
    steps.extend([
        Step::Told(&[
            "setComputerPartitionConnectionXml slappart0 *",
            "startedComputerPartition slappart0",
        ]),
        Step::State(0, Destroyed),
        Step::Run("node instance", 0),
        Step::Told(&["stoppedComputerPartition slappart0"]),
        Step::Services(&[]),
        Step::Disk(&[
            ("inst/etc/supervisord.conf.d/slappart0.conf", Nothing),
            ("inst/slappart0/etc/word.txt", File),
        ]),
    ]);
    steps.extend(after);
    Case::instances(2, steps)
}

pub(crate) fn removes_a_destroyed_instance() -> Case {
    destroyed(
        vec![],
        vec![
            Step::Run("node report", 0),
            Step::Told(&[
                "stoppedComputerPartition slappart0",
                "destroyedComputerPartition slappart0",
            ]),
            Step::Disk(&[("inst/slappart0", Empty)]),
            Step::Run("node report", 0),
            Step::Told(&[]),
            Step::Run("node instance", 0),
            Step::Told(&[]),
        ],
    )
}

pub(crate) fn keeps_what_is_locked() -> Case {
    destroyed(
        vec![Step::Write("inst/slappart0/.slapos-retention-lock-delay", "3")],
        vec![
            Step::Run("node report", 0),
            Step::Told(&["stoppedComputerPartition slappart0"]),
            Step::Disk(&[
                ("inst/slappart0/etc/word.txt", File),
                ("inst/slappart0/.slapos-retention-lock-date", File),
            ]),
            // The date has come.
            Step::Remove("inst/slappart0/.slapos-retention-lock-date"),
            Step::Write("inst/slappart0/.slapos-retention-lock-date", "1000000000"),
            Step::Run("node report", 0),
            Step::Told(&[
                "stoppedComputerPartition slappart0",
                "destroyedComputerPartition slappart0",
            ]),
            Step::Disk(&[("inst/slappart0", Empty)]),
        ],
    )
}

pub(crate) fn leaves_others_alone() -> Case {
    Case::instances(
        2,
        vec![
            Step::Wish(0, "plain", &[]),
            Step::Wish(1, "demo", &[]),
            Step::Run("node instance", 0),
            Step::Remember,
            Step::State(0, Destroyed),
            Step::Run("node report", 0),
            Step::Told(&[
                "startedComputerPartition slappart0",
                "setComputerPartitionConnectionXml slappart1 *",
                "startedComputerPartition slappart1",
                "stoppedComputerPartition slappart0",
                "destroyedComputerPartition slappart0",
            ]),
            Step::SameProcess("slappart1:sleeper-on-watch", true),
            // What others left in a free partition is no reason to stop.
            Step::Write("inst/slappart0/left", ""),
            Step::Run("node instance", 0),
            Step::Disk(&[("inst/slappart0/left", File)]),
        ],
    )
}

pub(crate) fn needs_its_master() -> Case {
    destroyed(
        vec![],
        vec![
            Step::MasterIsThere(false),
            Step::Differs {
                why: "a Master that is away is told apart from what has failed",
                original: vec![Step::Run("node report", 1)],
                ours: vec![Step::Run("node report", 3)],
            },
            Step::Disk(&[("inst/slappart0/etc/word.txt", File)]),
        ],
    )
}
