//! Why there is no place: counts that add up, in words that say what to do. They begin as the
//! original's do, because others look for that.

use std::collections::BTreeMap;
use std::fmt;

use super::{Ask, Candidate, Obstacle, Release};

/// Why an instance has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// How many computers were looked at that have the Software Release.
    pub(crate) with_release: usize,
    /// How many of those failed for which reason.
    pub(crate) counts: BTreeMap<Obstacle, usize>,
    /// Whether each computer that was looked at belongs to another project.
    of_others: bool,
    /// The whole message.
    message: String,
}

impl Refusal {
    pub(super) fn new(ask: &Ask<'_>, candidates: &[Candidate]) -> Refusal {
        let (with, without): (Vec<_>, Vec<_>) =
            candidates.iter().partition(|candidate| candidate.release != Release::Absent);
        let mut counts = BTreeMap::new();
        for obstacle in with.iter().filter_map(|candidate| ask.obstacle(candidate)) {
            *counts.entry(obstacle).or_insert(0) += 1;
        }
        let others = without.iter().filter_map(|candidate| {
            ask.obstacle(candidate).map(|obstacle| alone(ask, candidate, obstacle))
        });
        let mut reasons: Vec<String> = match with.as_slice() {
            [] => Vec::new(),
            [only] => ask.obstacle(only).map(|why| alone(ask, only, why)).into_iter().collect(),
            many => vec![together(ask, many.len(), &counts)],
        };
        // The one machine of a laptop says what it lacks itself.
        let alone_at_home = ask.project.is_empty() && without.len() == 1;
        if with.is_empty() && ask.filter.computer.is_none() && !alone_at_home {
            reasons.push(format!(
                "No computer has the Software Release {}: supply it to one",
                ask.software
            ));
        }
        reasons.extend(others);
        let message = begin(ask.title, &reasons.join(". "));
        let foreign = |candidate: &Candidate| ask.obstacle(candidate) == Some(Obstacle::Foreign);
        let of_others = !candidates.is_empty() && candidates.iter().all(foreign);
        Refusal { with_release: with.len(), counts, of_others, message }
    }

    /// Whether all that was looked at belongs to others.
    pub(crate) fn is_of_others(&self) -> bool {
        self.of_others
    }

    /// A request that asks for what cannot be.
    pub(crate) fn contradiction(title: &str, reason: &str) -> Refusal {
        let message = begin(title, reason);
        Refusal { with_release: 0, counts: BTreeMap::new(), of_others: false, message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn begin(title: &str, reason: &str) -> String {
    format!("No free computer partition found for: {title}. {reason}")
}

/// About several computers that have the release.
fn together(ask: &Ask<'_>, all: usize, counts: &BTreeMap<Obstacle, usize>) -> String {
    let filter = ask.filter.words();
    let parts: Vec<String> = counts
        .iter()
        .map(|(obstacle, count)| match obstacle {
            Obstacle::Foreign => format!("{count} of another project"),
            Obstacle::Without => format!("{count} without it"),
            Obstacle::Filtered => format!("{count} not with {filter}"),
            Obstacle::Reserved => format!("{count} with a capability of their own"),
            Obstacle::Network => {
                format!("{count} in no network or in one that has an instance of the tree")
            }
            Obstacle::Closed => format!("{count} closed"),
            Obstacle::Draining => format!("{count} draining"),
            Obstacle::Unformatted => format!("{count} without partitions"),
            Obstacle::Full => format!("{count} full"),
        })
        .collect();
    format!("{all} computers have the release: {}", parts.join(", "))
}

/// About one computer.
fn alone(ask: &Ask<'_>, candidate: &Candidate, obstacle: Obstacle) -> String {
    let Candidate { computer, partitions, capacity, .. } = candidate;
    let reason = match (obstacle, partitions) {
        (Obstacle::Foreign, _) => "belongs to another project".to_owned(),
        (Obstacle::Without, _) => format!("does not have {}: supply it there", ask.software),
        (Obstacle::Filtered, _) => format!("is not one with {}", ask.filter.words()),
        (Obstacle::Reserved, _) => "serves only those who ask for its capability".to_owned(),
        (Obstacle::Network, _) if candidate.network.is_empty() => {
            "is in no network, and one is asked for: say which with `slapos proxy computer set`"
                .to_owned()
        }
        (Obstacle::Network, _) => {
            format!("is in network {}, which has an instance of the tree", candidate.network)
        }
        (Obstacle::Closed, _) => format!(
            "is closed for new instances: `slapos proxy computer set {computer} --scope open` \
             opens it"
        ),
        (Obstacle::Draining, _) => "is to become empty, and takes no new instance".to_owned(),
        (Obstacle::Unformatted, _) => {
            "has no partition yet: run `slapos node format` there".to_owned()
        }
        (Obstacle::Full, Some(n)) if capacity.is_some_and(|capacity| capacity < *n) => format!(
            "holds as many instances as its capacity, {}: destroy one or raise it",
            capacity.unwrap_or_default()
        ),
        (Obstacle::Full, Some(1)) => {
            "has 1 partition, which is in use: destroy its instance or format more".to_owned()
        }
        (Obstacle::Full, Some(n)) => {
            format!("has {n} partitions, all in use: destroy an instance or format more")
        }
        (Obstacle::Full, None) => "is full".to_owned(),
    };
    format!("Computer {computer} {reason}")
}
