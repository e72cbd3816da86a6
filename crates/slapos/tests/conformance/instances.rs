//! `node instance`: what becomes of an instance that the Master wants.

use slapos_slap::InstanceState::{Started, Stopped};

use crate::case::Found::{Directory, File, Link, Mode, Nothing, Socket, Text};
use crate::case::{Case, Step};

/// What the Master is told of a deployed `demo` in `slappart0`.
const DEPLOYED: &[&str] = &[
    "setComputerPartitionConnectionXml slappart0 *word=hello*",
    "startedComputerPartition slappart0",
];
const RUNNING: &[(&str, &str)] =
    &[("slappart0:once", "EXITED"), ("slappart0:sleeper-on-watch", "RUNNING")];

fn deployed() -> Vec<Step> {
    vec![
        Step::Wish(0, "demo", &[]),
        Step::Run("node instance", 0),
        Step::Told(DEPLOYED),
        Step::Services(RUNNING),
    ]
}

fn then(more: Vec<Step>) -> Case {
    Case::instances(1, deployed().into_iter().chain(more).collect())
}

pub(crate) fn is_deployed() -> Case {
    then(vec![
        Step::Disk(&[
            ("inst/slappart0", Directory(0o750)),
            ("inst/slappart0/software_release", Link("soft/{demo}")),
            ("inst/slappart0/buildout.cfg", Mode(0o640)),
            (
                "inst/slappart0/buildout.cfg",
                Text("*[slap-connection]*computer-id = COMP-1*partition-id = slappart0*"),
            ),
            ("inst/slappart0/buildout.cfg", Text("*requested-state = started*")),
            ("inst/slappart0/buildout.cfg", Text("*software-release-url = {demo.url}*")),
            ("inst/slappart0/.installed.cfg", File),
            ("inst/slappart0/etc/word.txt", Text("hello*")),
            ("inst/slappart0/etc/service/sleeper", File),
            ("inst/slappart0/etc/run/once", File),
            ("inst/etc/supervisord.conf", Mode(0o600)),
            (
                "inst/etc/supervisord.conf.d/slappart0.conf",
                Text(
                    "*[group:slappart0]*[program:slappart0_sleeper*{base}/inst/slappart0/etc/service/sleeper*",
                ),
            ),
            ("inst/sv.sock", Socket),
        ]),
        Step::Disk(&[("inst/slappart0/.timestamp", Text("1700000001.5"))]),
        Step::Differs {
            why: "a lock is a file that stays: one that is removed can be held by two",
            original: vec![Step::Disk(&[("var/instance.pid", Nothing)])],
            ours: vec![Step::Disk(&[("var/instance.pid", File)])],
        },
    ])
}

pub(crate) fn does_nothing_when_nothing_changed() -> Case {
    then(vec![
        Step::Remember,
        Step::Mark(0),
        Step::Run("node instance", 0),
        Step::Processed(0, false),
        Step::Told(&[]),
        Step::SameProcess("slappart0:sleeper-on-watch", true),
    ])
}

pub(crate) fn follows_its_parameters() -> Case {
    then(vec![
        Step::Remember,
        Step::Wish(0, "demo", &[("word", "bonjour")]),
        Step::Run("node instance", 0),
        Step::Told(&[
            "setComputerPartitionConnectionXml slappart0 *word=bonjour*",
            "startedComputerPartition slappart0",
        ]),
        Step::Disk(&[("inst/slappart0/etc/word.txt", Text("bonjour*"))]),
        // Its definition is the same.
        Step::SameProcess("slappart0:sleeper-on-watch", true),
    ])
}

pub(crate) fn stops_and_starts() -> Case {
    then(vec![
        Step::Remember,
        Step::State(0, Stopped),
        Step::Run("node instance", 0),
        Step::Told(&["stoppedComputerPartition slappart0"]),
        Step::Services(&[]),
        Step::Disk(&[
            ("inst/etc/supervisord.conf.d/slappart0.conf", Nothing),
            ("inst/slappart0/etc/word.txt", File),
            ("inst/slappart0/buildout.cfg", Text("*requested-state = stopped*")),
        ]),
        Step::Run("node instance", 0),
        Step::Told(&[]),
        Step::State(0, Started),
        Step::Run("node instance", 0),
        Step::Told(&["startedComputerPartition slappart0"]),
        Step::Services(RUNNING),
        Step::SameProcess("slappart0:sleeper-on-watch", false),
    ])
}

pub(crate) fn is_stopped_by_force() -> Case {
    then(vec![Step::Run("node instance --force-stop", 0), Step::Told(&[]), Step::Services(&[])])
}

pub(crate) fn without_software_is_an_error_of_its_own() -> Case {
    Case::instances(
        1,
        vec![
            Step::Wish(0, "broken", &[]),
            Step::Run("node instance", 1),
            Step::Told(&["softwareInstanceError slappart0 *"]),
            Step::Services(&[]),
        ],
    )
}

pub(crate) fn in_a_directory_open_to_others_is_refused() -> Case {
    Case::instances(
        1,
        vec![
            Step::Wish(0, "demo", &[]),
            Step::Mode("inst/slappart0", 0o755),
            Step::Run("node instance", 1),
            Step::Told(&["softwareInstanceError slappart0 *0750*"]),
            Step::Disk(&[("inst/slappart0/etc", Nothing)]),
        ],
    )
}

pub(crate) fn keeps_what_it_published() -> Case {
    then(vec![
        Step::Run("node instance --all", 0),
        // What is published already is not said again.
        Step::Told(&["startedComputerPartition slappart0"]),
    ])
}

pub(crate) fn without_services() -> Case {
    Case::instances(
        1,
        vec![
            Step::Wish(0, "plain", &[]),
            Step::Run("node instance", 0),
            Step::Told(&["startedComputerPartition slappart0"]),
            Step::Services(&[]),
        ],
    )
}

pub(crate) fn that_its_master_forgot() -> Case {
    then(vec![
        Step::Free(0),
        Step::Run("node instance", 0),
        Step::Told(&[]),
        // What it left is said to be there, and stays.
        Step::Said("slappart0"),
        Step::Disk(&[
            ("inst/slappart0/.slapgrid", Nothing),
            ("inst/slappart0/.timestamp", Nothing),
            ("inst/slappart0/etc/word.txt", File),
        ]),
        Step::Differs {
            why: "what belongs to no instance any more does not run on",
            original: vec![Step::Services(RUNNING)],
            ours: vec![Step::Services(&[])],
        },
    ])
}

pub(crate) fn leaves_a_log() -> Case {
    then(vec![Step::Disk(&[("inst/slappart0/.slapgrid/log/instance.log", File)])])
}

pub(crate) fn leaves_its_error_beside_it() -> Case {
    const LOG: &str = "inst/slappart0/.slapgrid-slappart0-error.log";
    Case::instances(
        1,
        vec![
            Step::Wish(0, "demo", &[("fail", "yes")]),
            Step::Run("node instance", 1),
            Step::Disk(&[(LOG, File)]),
            Step::Wish(0, "demo", &[]),
            Step::Run("node instance", 0),
            Step::Disk(&[(LOG, Nothing)]),
        ],
    )
}

pub(crate) fn asks_for_another() -> Case {
    Case::instances(
        2,
        vec![
            Step::Wish(0, "parent", &[("child", "{demo.url}")]),
            // What it waits for is not there yet.
            Step::Run("node instance --only-cp slappart0", 1),
            Step::Said("word"),
            Step::Told(&[
                "requestComputerPartition slappart0 child",
                "softwareInstanceError slappart0 *",
            ]),
            Step::Run("node instance --only-cp slappart1", 0),
            Step::Told(&[
                "setComputerPartitionConnectionXml slappart1 *word=asked for*",
                "startedComputerPartition slappart1",
            ]),
            Step::Run("node instance", 0),
            Step::Told(&[
                "requestComputerPartition slappart0 child",
                "setComputerPartitionConnectionXml slappart0 of-child=asked for",
                "startedComputerPartition slappart0",
            ]),
        ],
    )
}

pub(crate) fn does_the_work_of_etc_run_each_time() -> Case {
    const RAN: &str = "inst/slappart0/srv/ran";
    then(vec![
        Step::Disk(&[(RAN, Text("once\n"))]),
        Step::Run("node instance", 0),
        Step::Disk(&[(RAN, Text("once\n"))]),
        Step::Run("node instance --all", 0),
        Step::Becomes(RAN, "once\nonce\n"),
        Step::Services(RUNNING),
    ])
}

pub(crate) fn obeys_the_hand() -> Case {
    const STOPPED: &[(&str, &str)] =
        &[("slappart0:once", "EXITED"), ("slappart0:sleeper-on-watch", "STOPPED")];
    then(vec![
        Step::Differs {
            why: "that one of the services does not run is no failure of the question",
            original: vec![Step::Run("node status", 3)],
            ours: vec![Step::Run("node status", 0)],
        },
        Step::Said("slappart0:sleeper-on-watch*RUNNING"),
        Step::Run("node stop slappart0:sleeper-on-watch", 0),
        Step::Services(STOPPED),
        // It is no business of the Master what is done by hand.
        Step::Run("node instance", 0),
        Step::Told(&[]),
        Step::Services(STOPPED),
        Step::Run("node start slappart0:sleeper-on-watch", 0),
        Step::Services(RUNNING),
        Step::Remember,
        Step::Run("node restart slappart0:sleeper-on-watch", 0),
        Step::Services(RUNNING),
        Step::SameProcess("slappart0:sleeper-on-watch", false),
        Step::Run("node supervisorctl stop slappart0:sleeper-on-watch", 0),
        Step::Services(STOPPED),
        Step::Run("node instance --all", 0),
        Step::Services(RUNNING),
    ])
}
