//! What instances consumed, as they report it: gathered from the partitions, told to the Master.
//!
//! A run gathers valid reports into one journal, takes what it gathered away, and hands in every
//! journal that waits. What is about to be taken away is on disk first, in `var/slapgrid/usage.json`,
//! with the journal itself; a run that finds that file ends what the former one began. So nothing
//! is lost, and nothing counts twice, wherever a run is killed; only an answer of the Master that
//! was lost has a journal handed in again.

mod gather;
mod spool;
mod work;

use std::path::PathBuf;

use slapos_slap::usage::{Consumption, journal, read_consumption};
use slapos_slap::{ComputerPartition, PartitionId, SlapClient};

use crate::error::NodeError;
use crate::node::Node;

pub(crate) use work::work;
pub use work::{Gathered, ReportFile, UsageJob};

/// Gathers and hands in the usage of this computer's instances.
///
/// # Errors
/// When a report could not be made, or a journal not be handed in; everything else was done.
pub(crate) fn run(
    node: &Node<'_>,
    master: &SlapClient,
    partitions: &[ComputerPartition],
) -> Result<(), NodeError> {
    spool::take_up(node)?;
    let mut failed = Vec::new();
    let mut reports = Vec::new();
    for partition in partitions.iter().filter(|partition| !partition.is_free()) {
        match gather::gather(node, partition) {
            Ok(gathered) => {
                if let Err(error) = tell_failures(node, master, partition, &gathered.failed) {
                    failed.push(error);
                }
                reports.extend(valid(node, partition, gathered.files));
                reports.extend(valid(node, partition, gather::of_node(node, &partition.id)));
            }
            Err(error) => {
                node.reporter.failed(partition.id.as_str(), &error);
                failed.push(partition.id.to_string());
            }
        }
    }
    if !reports.is_empty() {
        spool::put(node, &document(node, &reports), taken(&reports))?;
    }
    spool::hand_in(node, master, &mut failed);
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(NodeError::user(format!("usage was not reported: {}", names.join(", ")))),
    }
}

/// A report that the schema accepts.
struct Report {
    partition: PartitionId,
    file: ReportFile,
    consumption: Consumption,
}

fn valid(node: &Node<'_>, partition: &ComputerPartition, files: Vec<ReportFile>) -> Vec<Report> {
    let read = |file: ReportFile| match read_consumption(&file.text) {
        Ok(consumption) => Some(Report { partition: partition.id.clone(), file, consumption }),
        Err(error) => {
            let text = format!("usage report {} is left where it is: {error}", file.name);
            node.reporter.warn(partition.id.as_str(), &text);
            None
        }
    };
    files.into_iter().filter_map(read).collect()
}

fn document(node: &Node<'_>, reports: &[Report]) -> String {
    let consumptions: Vec<_> = reports
        .iter()
        .map(|report| (report.partition.clone(), report.consumption.clone()))
        .collect();
    let now = node.clock.now().strftime("%Y-%m-%d at %H:%M:%S").to_string();
    journal(&node.config.computer_id, &now, &consumptions)
}

fn taken(reports: &[Report]) -> Vec<(PartitionId, ReportFile)> {
    reports.iter().map(|report| (report.partition.clone(), report.file.clone())).collect()
}

/// Tells the Master which programs of a partition failed; the error names the partition.
fn tell_failures(
    node: &Node<'_>,
    master: &SlapClient,
    partition: &ComputerPartition,
    failures: &[String],
) -> Result<(), String> {
    if failures.is_empty() {
        return Ok(());
    }
    let text = failures.join("\n");
    node.reporter.failed(partition.id.as_str(), &NodeError::user(&text));
    if let Err(unheard) = master.instance_error(&partition.computer, &partition.id, &text) {
        let text = format!("the Master was not told: {unheard}");
        node.reporter.warn(partition.id.as_str(), &text);
    }
    Err(partition.id.to_string())
}

/// Where reports about one partition, or journals of the computer, wait on the node's own side.
fn directory(node: &Node<'_>, of: &str) -> PathBuf {
    node.config.instance_root.join("var/xml_report").join(of)
}
