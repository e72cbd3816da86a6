//! A day's journal: the averages of what the computer and each partition used, for the Master.

use slapos_slap::usage::{Movement, Transaction};
use slapos_sys::fs;

use super::database::Database;
use crate::error::{IoContext, NodeError};
use crate::node::Node;

const MEBI: f64 = 1_048_576.0;
const KIBI: f64 = 1024.0;

/// Makes the journal of the day `date`, unless it was made before or there are no samples, and has
/// it wait for `node report`.
pub(super) fn make(
    node: &Node<'_>,
    database: &Database,
    date: &str,
    partitions: &[&str],
) -> Result<(), NodeError> {
    let var = node.config.instance_root.join("var");
    let directory = var.join("consumption-report");
    let made = directory.join(format!("{date}.xml"));
    if made.exists() || directory.join(format!("{date}.xml.uploaded")).exists() {
        return Ok(());
    }
    let computer = node.config.computer_id.as_str();
    let movements = movements(database, date, computer, partitions)?;
    if movements.is_empty() {
        return Ok(());
    }
    let transaction = Transaction {
        title: format!("Eco Information for {computer} "),
        start_date: format!("{date} 00:00:00"),
        stop_date: format!("{date} 23:59:59"),
        reference: format!("{date}-global"),
        arrow: "Destination".to_owned(),
        movements,
    };
    let text = transaction.to_journal();
    let waiting = var.join("xml_report").join(computer);
    for directory in [&directory, &waiting] {
        fs::create_dir_all(directory, 0o755).context("create", directory)?;
    }
    // The copy that says it was made comes last.
    for path in [waiting.join(format!("{date}.xml")), made] {
        fs::write_atomic(&path, text.as_bytes(), 0o644).context("write", &path)?;
    }
    Ok(())
}

fn movements(
    database: &Database,
    date: &str,
    computer: &str,
    partitions: &[&str],
) -> Result<Vec<Movement>, NodeError> {
    let mut found = Vec::new();
    let mut add = |resource: &str, title: String, reference: &str, quantity: Option<f64>| {
        found.extend(quantity.map(|quantity| Movement {
            resource: format!("service_module/{resource}"),
            title: Some(title),
            reference: Some(reference.to_owned()),
            quantity: quantity.to_string(),
            price: "0.0".to_owned(),
            vat: String::new(),
            categories: vec![String::new()],
        }));
    };
    let cpu = database.mean("system", "cpu_percent", None, date)?;
    add("cpu_load_percent", "CPU Load Percent Average".to_owned(), computer, cpu);
    let memory = database.mean("system", "memory_used", None, date)?;
    add("memory_used", "Used Memory".to_owned(), computer, memory);
    for (table, column, resource, title, unit) in [
        ("user", "cpu_percent", "cpu_load_percent", "CPU Load Percent Average", 1.0),
        ("user", "memory_rss", "memory_used", "Memory Used Average", MEBI),
        ("folder", "disk_used", "disk_used", "Partition Disk Used Average", KIBI),
    ] {
        for &partition in partitions {
            let mean = database.mean(table, column, Some(partition), date)?;
            let title = format!("{title} for {partition}");
            add(resource, title, partition, mean.map(|mean| mean / unit));
        }
    }
    Ok(found)
}
