//! The commands of a node that run again and again: what cron, systemd and the agent have run.

use crate::node::Node;
use slapos_sys::user;

/// A command that is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Job {
    /// `node format`
    Format,
    /// `node software`
    Software,
    /// `node report`
    Report,
    /// `node instance`
    Instance,
    /// `node collect`
    Collect,
}

impl Job {
    /// All, in the order in which they are started.
    pub(crate) const ALL: [Job; 5] =
        [Job::Format, Job::Software, Job::Report, Job::Instance, Job::Collect];

    /// Those that `node` has run: whether it collects is for `slapos.cfg` to say, and for root to
    /// do.
    pub(crate) fn of(node: &Node<'_>) -> Vec<Job> {
        let collects = user::is_root() && node.config.collect.wanted;
        Job::ALL.into_iter().filter(|job| *job != Job::Collect || collects).collect()
    }

    /// The word after `node`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Job::Format => "format",
            Job::Software => "software",
            Job::Report => "report",
            Job::Instance => "instance",
            Job::Collect => "collect",
        }
    }

    /// What it does, for people.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Job::Format => "users, directories and addresses of partitions",
            Job::Software => "build and remove Software Releases",
            Job::Report => "report usage, and remove instances that are to be destroyed",
            Job::Instance => "deploy, change, start and stop instances",
            Job::Collect => "note what instances use of this machine",
        }
    }

    /// Whether it runs once an hour, and not once a minute.
    pub(crate) fn is_hourly(self) -> bool {
        matches!(self, Job::Format | Job::Report)
    }
}
