//! The arguments of `slapos proxy computer set`.

use clap::Args;
use slapos_slap::{AllocationScope, SetComputer};

use super::key_value;

/// What is to change of a computer; what is not given stays.
#[derive(Debug, Args)]
pub(crate) struct ComputerSet {
    /// The computer
    pub(crate) id: String,
    /// The project that it belongs to from now on; '' for the operator's own
    #[arg(long)]
    project: Option<String>,
    /// A name for people
    #[arg(long)]
    title: Option<String>,
    /// open: takes new instances; closed: takes none; drain: takes none, and what remains is told
    #[arg(long)]
    scope: Option<AllocationScope>,
    /// Labels that requests may ask for by label_KEY=VALUE; they replace the former ones
    #[arg(long = "label", value_name = "KEY=VALUE", num_args = 1.., value_parser = key_value)]
    labels: Option<Vec<(String, String)>>,
    /// It has no labels any more
    #[arg(long, conflicts_with = "labels")]
    no_labels: bool,
    /// The network that it is in, for network_guid and mode=unique_by_network
    #[arg(long)]
    network: Option<String>,
    /// The most instances that it may hold
    #[arg(long)]
    capacity: Option<u32>,
    /// One instance for each partition
    #[arg(long, conflicts_with = "capacity")]
    no_capacity: bool,
}

impl ComputerSet {
    /// The change.
    pub(crate) fn change(&self) -> SetComputer {
        let labels = self.labels.as_ref().map(|labels| labels.iter().cloned().collect());
        SetComputer {
            project: self.project.clone(),
            title: self.title.clone(),
            allocation_scope: self.scope,
            labels: if self.no_labels { Some(Default::default()) } else { labels },
            network: self.network.clone(),
            capacity: if self.no_capacity { Some(None) } else { self.capacity.map(Some) },
        }
    }
}
