//! Where a new instance goes: a pure decision from what is asked and what there is, without SQL and
//! without a clock, so that it is the same for any number of Masters and can be tried out.
//!
//! A computer fits when all of this holds:
//! - it belongs to the project of the instance, or to the operator (the project `''`, whose
//!   computers serve everybody); the operator may name any computer (`computer_guid`);
//! - it is what the request's filter asks for ([`Filter`]);
//! - its scope is `open`;
//! - it has a free partition, and holds fewer instances than its capacity;
//! - the Software Release is wanted on it. Two need not have it, because their node may get it
//!   later, and the original's embedded Master works so: the computer that is named, and the
//!   Master's own one (`home`).
//!
//! Of those that fit, the order of preference is:
//! 1. computers of the instance's own project, before the operator's;
//! 2. where the release is there, before where it is wanted, before where it could not be built,
//!    before where nobody wanted it (`home` only);
//! 3. the computer of the instance that asks, so that trees stay together;
//! 4. `home`;
//! 5. the one with the most room;
//! 6. by reference.
//!
//! Within a computer, the first free partition in the order of formatting is taken.

mod filter;
mod host;
mod refusal;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use indexmap::IndexMap;
use slapos_slap::{AllocationScope, ComputerId};

pub(crate) use filter::Filter;
pub(crate) use host::{Host, choose as choose_host};
pub(crate) use refusal::Refusal;

/// How far a Software Release is on a computer, from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Release {
    /// Nobody wants it there.
    Absent,
    /// Its node could not build it.
    Failed,
    /// It is wanted, and may be being built.
    Wanted,
    /// It is there.
    Available,
}

/// A computer that an instance might go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) computer: ComputerId,
    pub(crate) project: String,
    pub(crate) scope: AllocationScope,
    pub(crate) labels: IndexMap<String, String>,
    pub(crate) network: String,
    pub(crate) release: Release,
    /// How many more instances it can take, if it is open.
    pub(crate) free: u64,
    /// How many partitions it has, where that was looked at.
    pub(crate) partitions: Option<u64>,
    pub(crate) capacity: Option<u64>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Ask<'a> {
    /// The instance's title, for messages.
    pub(crate) title: &'a str,
    pub(crate) software: &'a str,
    /// The project of the instance.
    pub(crate) project: &'a str,
    pub(crate) filter: &'a Filter,
    /// The Master's own computer.
    pub(crate) home: &'a ComputerId,
    /// The computer of the instance that asks.
    pub(crate) here: Option<&'a ComputerId>,
    /// The networks that have an instance of the tree.
    pub(crate) taken: &'a BTreeSet<String>,
}

/// Why a computer does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Obstacle {
    /// It belongs to another project.
    Foreign,
    /// Nobody wants the Software Release there.
    Without,
    /// It is not what the filter asks for.
    Filtered,
    /// It has what is asked for, and is there for a purpose that is not.
    Reserved,
    /// Its network has an instance of the tree already, or is not known.
    Network,
    Closed,
    Draining,
    /// It has no partition.
    Unformatted,
    /// All its partitions are in use, or as many as its capacity.
    Full,
}

impl Ask<'_> {
    /// The first reason for which a computer does not fit.
    pub(crate) fn obstacle(&self, candidate: &Candidate) -> Option<Obstacle> {
        let named = self.filter.computer.as_ref() == Some(&candidate.computer);
        let scope = match candidate.scope {
            AllocationScope::Open => None,
            AllocationScope::Closed => Some(Obstacle::Closed),
            AllocationScope::Drain => Some(Obstacle::Draining),
        };
        let needs_release = !named && candidate.computer != *self.home;
        let checks = [
            (!self.sees(candidate, named)).then_some(Obstacle::Foreign),
            (needs_release && candidate.release == Release::Absent).then_some(Obstacle::Without),
            (!self.filter.fits(candidate)).then_some(Obstacle::Filtered),
            self.filter.is_reserved(candidate).then_some(Obstacle::Reserved),
            self.collides(candidate).then_some(Obstacle::Network),
            scope,
            (candidate.partitions == Some(0)).then_some(Obstacle::Unformatted),
            (candidate.free == 0).then_some(Obstacle::Full),
        ];
        checks.into_iter().flatten().next()
    }

    /// Whether the instance may be on that computer at all.
    fn sees(&self, candidate: &Candidate, named: bool) -> bool {
        let operator = self.project.is_empty();
        candidate.project == self.project || candidate.project.is_empty() || (operator && named)
    }

    /// Whether it would be the second instance of the tree in a network.
    fn collides(&self, candidate: &Candidate) -> bool {
        self.filter.unique_by_network
            && (candidate.network.is_empty() || self.taken.contains(&candidate.network))
    }

    /// The less, the better.
    fn order<'c>(&self, candidate: &'c Candidate) -> impl Ord + use<'c> {
        (
            candidate.project != self.project,
            Reverse(candidate.release),
            self.here != Some(&candidate.computer),
            candidate.computer != *self.home,
            Reverse(candidate.free),
            &candidate.computer,
        )
    }
}

/// The computers that fit, best first.
///
/// # Errors
/// Why none of them does.
pub(crate) fn ranked<'c>(
    ask: &Ask<'_>,
    candidates: &'c [Candidate],
) -> Result<Vec<&'c Candidate>, Refusal> {
    let mut fitting: Vec<&Candidate> =
        candidates.iter().filter(|candidate| ask.obstacle(candidate).is_none()).collect();
    if fitting.is_empty() {
        return Err(Refusal::new(ask, candidates));
    }
    fitting.sort_by(|a, b| ask.order(a).cmp(&ask.order(b)));
    Ok(fitting)
}
