//! `node format` where neither users nor the network may be altered.

use crate::case::Found::{Directory, File, Mode};
use crate::case::{Case, Step};

const FORMATTED: &[&str] =
    &["loadComputerConfigurationFromXML COMP-1 slappart0=127.0.0.1,::1 slappart1=127.0.0.1,::1"];

fn formatted(more: Vec<Step>) -> Case {
    let mut steps = vec![
        Step::Remove("inst/slappart1"),
        Step::Mode("inst/slappart0", 0o755),
        Step::Run("node format --now", 0),
        Step::Told(FORMATTED),
        Step::Disk(&[("inst/slappart0", Directory(0o750)), ("inst/slappart1", Directory(0o750))]),
    ];
    steps.extend(more);
    Case::instances(2, steps)
}

pub(crate) fn makes_what_is_defined() -> Case {
    formatted(vec![
        Step::Disk(&[("var/slapos.xml", File), ("inst/slappart0/.slapos-resource", Mode(0o644))]),
        // Again, without anything to do: the Master is told all the same.
        Step::Run("node format --now", 0),
        Step::Told(FORMATTED),
    ])
}

pub(crate) fn says_that_its_master_was_not_told() -> Case {
    Case::instances(
        1,
        vec![
            Step::Mode("inst/slappart0", 0o755),
            Step::MasterIsThere(false),
            Step::Differs {
                why: "a Master that is away has the same exit code everywhere",
                original: vec![Step::Run("node format --now", 2)],
                ours: vec![Step::Run("node format --now", 3)],
            },
            Step::Disk(&[("inst/slappart0", Directory(0o750))]),
        ],
    )
}

pub(crate) fn can_be_tried() -> Case {
    Case::instances(
        1,
        vec![
            Step::Mode("inst/slappart0", 0o755),
            Step::Run("node format --now -n", 0),
            Step::Told(&[]),
            Step::Disk(&[("inst/slappart0", Directory(0o755))]),
        ],
    )
}
