//! What instances consumed, as they report it: gathered from the partitions, told to the Master.
//!
//! A run gathers valid reports into journals, takes what it gathered away, and hands in every
//! journal that waits. What is about to be taken away is on disk first, in `var/slapgrid/usage.json`,
//! with the journal itself; a run that finds that file ends what the former one began. So nothing
//! is lost, and nothing counts twice, wherever a run is killed; only an answer of the Master that
//! was lost has a journal handed in again. What the Master refuses is told apart by who used it, and
//! that of whom it refuses is put beside: nobody's report keeps another's from being heard.

mod gather;
mod spool;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use slapos_slap::usage::{Consumption, Movement, journal, read_consumption};
use slapos_slap::{ComputerPartition, PartitionId, SlapClient};

use crate::error::NodeError;
use crate::node::Node;
use crate::pool::{Bound, for_each};
use crate::worker::ReportFile;

pub(crate) use work::work;

/// A longer text in a report is no name, title or number, and a Master may refuse what it is in; bytes.
const LONGEST_TEXT: usize = 256;

/// How many partitions make their reports at once, and how long one counts among them.
const BOUND: Bound = Bound { at_once: 4, patience: Duration::from_secs(10), most: 64 };

/// Gathers and hands in the usage of this computer's instances. A partition that takes its time
/// holds up no other.
///
/// # Errors
/// When a report could not be made, or a journal not be handed in; everything else was done.
pub(crate) fn run(
    node: &Node<'_>,
    master: &SlapClient,
    partitions: &[ComputerPartition],
) -> Result<(), NodeError> {
    spool::take_up(node)?;
    let found = Mutex::new(BTreeMap::new());
    let used: Vec<_> = partitions.iter().filter(|partition| !partition.is_free()).collect();
    for_each(
        used,
        BOUND,
        || false,
        |partition| {
            let reports = reports_of(node, master, partition);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(partition.id.clone(), reports);
        },
    );
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut failed = Vec::new();
    let mut reports = Vec::new();
    for (partition, (its, whole)) in found {
        reports.extend(its);
        if !whole {
            failed.push(partition.to_string());
        }
    }
    for part in parts(reports) {
        spool::put(node, &document(node, &part), taken(&part))?;
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

/// The reports of one partition, and whether all could be made.
fn reports_of(
    node: &Node<'_>,
    master: &SlapClient,
    partition: &ComputerPartition,
) -> (Vec<Report>, bool) {
    let id = partition.id.as_str();
    let gathered = match gather::gather(node, partition) {
        Ok(gathered) => gathered,
        Err(error) => {
            node.reporter.failed(id, &error);
            return (Vec::new(), false);
        }
    };
    gathered.warnings.iter().for_each(|text| node.reporter.warn(id, text));
    let whole = gathered.failed.is_empty();
    if !whole {
        let error = NodeError::user(gathered.failed.join("\n"));
        node.reporter.failed(id, &error);
        node.tell_error(master, partition, &error);
    }
    let mut reports = valid(node, partition, gathered.files);
    reports.extend(valid(node, partition, gather::of_node(node, &partition.id)));
    (reports, whole)
}

/// Reports that go into one journal each: what is in one is not longer than the longest report.
fn parts(reports: Vec<Report>) -> Vec<Vec<Report>> {
    let mut parts: Vec<Vec<Report>> = Vec::new();
    let mut left = 0;
    for report in reports {
        let length = report.file.text.len() as u64;
        match parts.last_mut().filter(|_| length <= left) {
            Some(part) => part.push(report),
            None => {
                left = work::LONGEST.max(length);
                parts.push(vec![report]);
            }
        }
        left -= length;
    }
    parts
}

fn valid(node: &Node<'_>, partition: &ComputerPartition, files: Vec<ReportFile>) -> Vec<Report> {
    let read = |file: ReportFile| match short_consumption(&file.text) {
        Ok(consumption) => Some(Report { partition: partition.id.clone(), file, consumption }),
        Err(error) => {
            let text = format!("usage report {} is left where it is: {error}", file.name);
            node.reporter.warn(partition.id.as_str(), &text);
            None
        }
    };
    files.into_iter().filter_map(read).collect()
}

/// Reads a report whose texts are such as a Master keeps.
fn short_consumption(text: &str) -> Result<Consumption, String> {
    let consumption = read_consumption(text).map_err(|error| error.to_string())?;
    for movement in &consumption.movements {
        let Movement { resource, title, reference: _, quantity, price, vat, categories } = movement;
        let texts = [resource, quantity, price, vat].into_iter().chain(title).chain(categories);
        if let Some(long) = texts.into_iter().find(|text| text.len() > LONGEST_TEXT) {
            let shown: String = long.chars().take(20).collect();
            return Err(format!("a text in it is longer than {LONGEST_TEXT} bytes: {shown:?}..."));
        }
    }
    Ok(consumption)
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

/// Where reports about one partition, or journals of the computer, wait on the node's own side.
fn directory(node: &Node<'_>, of: &str) -> PathBuf {
    node.config.instance_root.join("var/xml_report").join(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_do_not_grow_beyond_what_can_be_handed_in() {
        let report = |kibi: usize| {
            let file = ReportFile { name: "r".into(), text: "x".repeat(kibi << 10) };
            let consumption = read_consumption(CONSUMPTION).unwrap();
            Report { partition: "slappart0".into(), file, consumption }
        };
        let sizes = |lengths: &[usize]| {
            let reports = lengths.iter().map(|kibi| report(*kibi)).collect();
            parts(reports).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[512, 512, 512, 1024, 200]), [2, 1, 1, 1]);
        assert_eq!(sizes(&[100; 30]), [10, 10, 10]);
    }

    #[test]
    fn what_no_master_could_keep_is_no_report() {
        let report = |title: usize| {
            let title = format!("<title>{}</title>", "t".repeat(title));
            short_consumption(&CONSUMPTION.replace("<title>t</title>", &title))
        };
        report(LONGEST_TEXT).unwrap();
        let refused = report(LONGEST_TEXT + 1).unwrap_err();
        insta::assert_snapshot!(refused, @r#"a text in it is longer than 256 bytes: "tttttttttttttttttttt"..."#);
        insta::assert_snapshot!(short_consumption("<consumption/>").unwrap_err(), @"<consumption> needs <movement> here");
    }

    const CONSUMPTION: &str = "<consumption><movement><resource>CPU</resource><title>t</title>\
        <reference>x</reference><quantity>1.5</quantity><price>0</price><VAT></VAT></movement>\
        </consumption>";
}
