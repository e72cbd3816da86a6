//! `node software`.

use slapos_slap::SoftwareState::{Available, Destroyed};

use crate::case::Found::{Directory, File, Mode, Nothing, Text};
use crate::case::{Case, Step};

pub(crate) fn is_built_once() -> Case {
    Case::software(vec![
        Step::Supply("demo", Available),
        Step::Run("node software", 0),
        Step::Told(&["buildingSoftwareRelease demo", "availableSoftwareRelease demo"]),
        Step::Disk(&[
            ("soft/{demo}", Directory(0o755)),
            ("soft/{demo}/.completed", Mode(0o644)),
            ("soft/{demo}/instance.cfg", Text("*recipe = slapos.cookbook:slapconfiguration*")),
            ("soft/{demo}/.installed.cfg", File),
        ]),
        Step::Run("node software", 0),
        Step::Told(&[]),
    ])
}

pub(crate) fn is_built_again_when_asked() -> Case {
    Case::software(vec![
        Step::Supply("plain", Available),
        Step::Run("node software", 0),
        Step::Told(&["buildingSoftwareRelease plain", "availableSoftwareRelease plain"]),
        Step::Run("node software --all", 0),
        Step::Told(&["buildingSoftwareRelease plain", "availableSoftwareRelease plain"]),
    ])
}

pub(crate) fn only_the_named_one_is_built() -> Case {
    Case::software(vec![
        Step::Supply("demo", Available),
        Step::Supply("plain", Available),
        Step::Run("node software --only-sr {plain}", 0),
        Step::Told(&["buildingSoftwareRelease plain", "availableSoftwareRelease plain"]),
        Step::Disk(&[("soft/{demo}", Nothing), ("soft/{plain}/.completed", File)]),
        Step::Run("node software --only {demo.url}", 0),
        Step::Told(&["buildingSoftwareRelease demo", "availableSoftwareRelease demo"]),
    ])
}

pub(crate) fn that_fails_is_reported_and_stops_no_other() -> Case {
    Case::software(vec![
        Step::Supply("broken", Available),
        Step::Supply("plain", Available),
        Step::Run("node software", 1),
        Step::Told(&[
            "buildingSoftwareRelease broken",
            "softwareReleaseError broken *the last words of a build*",
            "buildingSoftwareRelease plain",
            "availableSoftwareRelease plain",
        ]),
        Step::Disk(&[("soft/{broken}/.completed", Nothing), ("soft/{plain}/.completed", File)]),
    ])
}

pub(crate) fn that_failed_is_built_by_the_next_run() -> Case {
    Case::software(vec![
        Step::Supply("broken", Available),
        Step::Run("node software", 1),
        Step::Run("node software", 1),
        Step::Told(&[
            "buildingSoftwareRelease broken",
            "buildingSoftwareRelease broken",
            "softwareReleaseError broken *",
            "softwareReleaseError broken *",
        ]),
    ])
}

pub(crate) fn is_removed_when_destroyed() -> Case {
    Case::software(vec![
        Step::Supply("plain", Available),
        Step::Run("node software", 0),
        Step::Told(&["buildingSoftwareRelease plain", "availableSoftwareRelease plain"]),
        Step::Supply("plain", Destroyed),
        Step::Run("node software", 0),
        Step::Told(&["destroyedSoftwareRelease plain"]),
        Step::Disk(&[("soft/{plain}", Nothing)]),
        // Once more, in case that was not heard.
        Step::Run("node software", 0),
        Step::Told(&["destroyedSoftwareRelease plain"]),
    ])
}

pub(crate) fn needs_its_master() -> Case {
    Case::software(vec![
        Step::Supply("plain", Available),
        Step::MasterIsThere(false),
        Step::Differs {
            why: "a Master that is away is told apart from what has failed",
            original: vec![Step::Run("node software", 1)],
            ours: vec![Step::Run("node software", 3)],
        },
        Step::Disk(&[("soft/{plain}", Nothing)]),
    ])
}

pub(crate) fn says_how_often_its_instances_are_processed() -> Case {
    Case::software(vec![
        Step::Supply("plain", Available),
        Step::Run("node software", 0),
        Step::Wish(0, "plain", &[]),
        Step::Run("node instance", 0),
        Step::Mark(0),
        Step::Write("soft/{plain}/periodicity", "-1"),
        Step::Run("node instance", 0),
        Step::Processed(0, false),
        Step::Write("soft/{plain}/periodicity", "0"),
        Step::Run("node instance", 0),
        Step::Processed(0, true),
    ])
}

pub(crate) fn that_is_built_again_alike_leaves_its_instances_alone() -> Case {
    Case::software(vec![
        Step::Supply("plain", Available),
        Step::Run("node software", 0),
        Step::Wish(0, "plain", &[]),
        Step::Run("node instance", 0),
        Step::Run("node software --all", 0),
        Step::Mark(0),
        Step::Run("node instance", 0),
        Step::Processed(0, false),
    ])
}

pub(crate) fn needs_a_configuration() -> Case {
    Case::software(vec![
        Step::Run("node software --cfg {base}/etc/none.cfg", 1),
        Step::Said("{base}/etc/none.cfg"),
        Step::Run("node software --verbose --cfg {base}/etc/slapos.cfg", 0),
        Step::Run("-v node software", 0),
        Step::Run("node software --cf {base}/etc/slapos.cfg --verb", 0),
    ])
}
