//! Which instance serves a shared one. It fits when it has the Software Release and the type,
//! belongs to the same project or to the operator's, is the one that `instance_guid` names if that
//! is given, and its computer could take an instance as far as filter and scope go (a shared
//! instance needs no partition of its own).
//!
//! Of those that fit: the own project before the operator's; the computer of the instance that asks;
//! `home`, on which the first in the order of formatting serves, as in the original's embedded Master;
//! elsewhere the one that serves the fewest; by computer; in the order of formatting. A shared
//! instance stays where it is as long as its host has the release and the type that are asked for.

use slapos_slap::PartitionId;

use super::{Ask, Candidate, Obstacle};

/// An instance that might serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// Its computer, with the project of the instance.
    pub(crate) computer: Candidate,
    pub(crate) partition: PartitionId,
    /// How many it serves.
    pub(crate) serves: u64,
    pub(crate) position: i64,
}

/// The one that serves.
///
/// # Errors
/// How many do not fit for which reason, in words.
pub(crate) fn choose<'h>(ask: &Ask<'_>, kind: &str, hosts: &'h [Host]) -> Result<&'h Host, String> {
    let fits = |host: &&Host| obstacle(ask, host).is_none();
    let order = |host: &&Host| {
        (
            host.computer.project != ask.project,
            ask.here != Some(&host.computer.computer),
            host.computer.computer != *ask.home,
            if host.computer.computer == *ask.home { 0 } else { host.serves },
            host.computer.computer.clone(),
            host.position,
        )
    };
    hosts.iter().filter(fits).min_by_key(order).ok_or_else(|| refusal(ask, kind, hosts))
}

fn obstacle(ask: &Ask<'_>, host: &Host) -> Option<Obstacle> {
    ask.obstacle(&host.computer)
}

fn refusal(ask: &Ask<'_>, kind: &str, hosts: &[Host]) -> String {
    let (title, software) = (ask.title, ask.software);
    let place = match &ask.filter.computer {
        Some(computer) => format!("Computer {computer} has no instance"),
        None => "There is no instance".to_owned(),
    };
    let named = match &ask.filter.instance {
        Some(guid) => format!(" named {guid}"),
        None => String::new(),
    };
    let begin = format!("No partition corresponding to slave request: {title}. ");
    if hosts.is_empty() {
        return format!("{begin}{place} of {software} with type {kind}{named}");
    }
    let count = |wanted: &[Obstacle]| {
        hosts
            .iter()
            .filter(|host| obstacle(ask, host).is_some_and(|why| wanted.contains(&why)))
            .count()
    };
    let closed = count(&[Obstacle::Closed, Obstacle::Draining]);
    let all = hosts.len();
    format!(
        "{begin}{all} instances of {software} with type {kind}{named}: {closed} on computers that \
         are closed or draining, {} not where it was asked for",
        all - closed
    )
}

#[cfg(test)]
mod tests {
    use slapos_slap::{AllocationScope, ComputerId};

    use super::super::{Filter, Release};
    use super::*;

    fn host(computer: &str, serves: u64) -> Host {
        Host {
            computer: Candidate {
                computer: computer.into(),
                project: String::new(),
                scope: AllocationScope::Open,
                labels: [("region".to_owned(), computer.to_owned())].into(),
                network: String::new(),
                release: Release::Available,
                free: 1,
                partitions: None,
                capacity: None,
            },
            partition: "p".into(),
            serves,
            position: 0,
        }
    }

    fn chosen(sla: &[(&str, &str)], here: &str, hosts: &[Host]) -> Result<String, String> {
        let sla = sla.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let filter = Filter::read(&sla, "p").unwrap();
        let (home, here) = (ComputerId::from("home"), ComputerId::from(here));
        let ask = Ask {
            title: "x",
            software: "URL",
            project: "p",
            filter: &filter,
            home: &home,
            here: Some(&here),
            taken: &Default::default(),
        };
        choose(&ask, "default", hosts).map(|host| host.computer.computer.to_string())
    }

    #[test]
    fn the_order_of_hosts() {
        let mut hosts = vec![host("b", 1), host("c", 0), host("a", 1)];
        assert_eq!(chosen(&[], "", &hosts).unwrap(), "c");
        assert_eq!(chosen(&[], "b", &hosts).unwrap(), "b");
        assert_eq!(chosen(&[("region", "a")], "b", &hosts).unwrap(), "a");
        hosts[0].computer.project = "p".to_owned();
        assert_eq!(chosen(&[], "a", &hosts).unwrap(), "b");
        hosts[0].computer.scope = AllocationScope::Drain;
        assert_eq!(chosen(&[], "", &hosts).unwrap(), "c");
        insta::assert_snapshot!(chosen(&[("region", "b")], "", &hosts).unwrap_err(), @"No partition corresponding to slave request: x. 3 instances of URL with type default: 1 on computers that are closed or draining, 2 not where it was asked for");
        insta::assert_snapshot!(chosen(&[("instance_guid", "q")], "", &[]).unwrap_err(), @"No partition corresponding to slave request: x. There is no instance of URL with type default named q");
    }
}
