//! `node instance` for instances that wait for each other: one asks for another, which is deployed
//! in the next round, and gets what that one publishes in the one after.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use slapos_slap::{OverviewInstance, SlapClient};

use super::{Options, run};
use crate::error::NodeError;
use crate::node::Node;

/// More rounds than any sensible tree is deep: instances may go on changing each other for ever.
const MOST_ROUNDS: usize = 10;

/// What others may wait for, by partition.
type Members = BTreeMap<String, Seen>;

/// What is wanted of an instance, and what it publishes to the root of its tree.
#[derive(Debug, PartialEq)]
struct Seen {
    timestamp: Option<String>,
    connection: IndexMap<String, String>,
}

/// Runs `node instance` for the tree of the root called `tree` (of all trees, if none is named) for
/// as long as that changes what its instances can wait for.
///
/// # Errors
/// Those of [`run`] in the last round; those of earlier rounds have been reported. When the Master
/// does not answer, or is of another kind.
pub fn settle(node: &Node<'_>, tree: Option<&str>) -> Result<(), NodeError> {
    let master = node.master()?;
    let mut before = members(node, &master, tree)?;
    for round in 1.. {
        if tree.is_some() && before.is_empty() {
            // All of it lives elsewhere.
            break;
        }
        let only = tree.map(|_| before.keys().cloned().collect()).unwrap_or_default();
        let result = run(node, &Options { only, ..Options::default() });
        let after = match members(node, &master, tree) {
            Ok(after) => after,
            Err(error) => return result.and(Err(error)),
        };
        if after == before || round == MOST_ROUNDS {
            return result;
        }
        before = after;
    }
    Ok(())
}

/// The instances of a tree on this computer.
fn members(node: &Node<'_>, master: &SlapClient, tree: Option<&str>) -> Result<Members, NodeError> {
    let mut instances = master.overview()?.instances;
    instances.retain(|instance| {
        instance.computer == node.config.computer_id
            && tree.is_none_or(|tree| instance.root_title == tree)
    });
    Ok(instances.into_iter().map(seen).collect())
}

fn seen(instance: OverviewInstance) -> (String, Seen) {
    // Nobody in its tree waits for what the root publishes.
    let is_root = instance.title == instance.root_title;
    let connection = if is_root { IndexMap::new() } else { instance.connection };
    (instance.partition.to_string(), Seen { timestamp: instance.timestamp, connection })
}
