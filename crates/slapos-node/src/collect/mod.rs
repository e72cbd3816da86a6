//! `node collect`: notes what instances use of this machine, where monitoring and billing read it.
//!
//! One run measures for a second and adds one sample to `<instance_root>/var/data-log/collector.db`,
//! in the original's tables; writes the JSON files in each partition's `.slapgrid/monitor`, with the
//! partition's own rights; makes one journal for each of the last two days, which `node report`
//! hands in; and writes today's samples, and archives those of former days, as CSV beside the
//! database. Rows go when they are archived and as old as `collect_cache` says.
//!
//! Not done: the table `heating` stays empty, for which the original heats the machine up.

mod csv;
mod database;
mod disk;
mod journal;
mod monitor;
mod proc;
mod temperature;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use slapos_sys::clock::{SignedDuration, Timestamp};
use slapos_sys::fs;
use slapos_sys::user::{self, Identity};

use self::database::Database;
use self::proc::{Machine, Process};
use self::temperature::Reading;
use crate::error::{IoContext, NodeError, exit};
use crate::node::Node;
use crate::place::partition_owner;

pub(crate) use proc::{ROOT, machine};

/// For how long the use of processors is measured.
const INTERVAL: Duration = Duration::from_secs(1);
/// After so long in one run no other disk is walked: samples are to be taken each minute, and the disks
/// of all partitions may be due at once.
const BUDGET: Duration = Duration::from_secs(30);
/// Days for which journals are made.
const DAYS: i64 = 2;

/// A partition whose processes can be told apart from those of others.
struct Measured {
    /// As the original names it: `user_base_name` and its number.
    name: String,
    directory: PathBuf,
    owner: Identity,
}

/// What one run found.
struct Sample {
    machine: Machine,
    /// Of each partition.
    processes: BTreeMap<String, Vec<Process>>,
    temperatures: Vec<Reading>,
}

/// Date and time of a sample (UTC), as the tables have them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    date: String,
    time: String,
}

impl Stamp {
    fn of(at: Timestamp) -> Self {
        Self { date: date(at), time: at.strftime("%H:%M:%S").to_string() }
    }
}

/// Collects once.
///
/// # Errors
/// When this is not root, who alone sees what others use, another run is under way, or the database
/// cannot be written.
pub fn run(node: &Node<'_>) -> Result<(), NodeError> {
    if node.is_down() {
        return Ok(());
    }
    check_root()?;
    let var = node.config.instance_root.join("var");
    let _lock = node.lock("slapos node collect", &var.join("run/slapgrid-collect.pid"))?;
    let partitions = measured(node)?;
    let mut sample = measure(&partitions).context("measure from", Path::new(proc::ROOT))?;
    match temperature::read() {
        Ok(readings) => sample.temperatures = readings,
        Err(why) => node.reporter.warn("collect", &format!("no temperatures: {why}")),
    }
    for (name, _) in sample.processes.iter().filter(|(_, its)| its.len() >= proc::MOST_PROCESSES) {
        let text = format!("more than {} processes are left out", proc::MOST_PROCESSES);
        node.reporter.warn(name, &text);
    }
    let stamp = Stamp::of(node.clock.now());
    let directory = var.join("data-log");
    fs::create_dir_all(&directory, 0o755).context("create", &directory)?;
    let mut database = Database::open(&directory.join("collector.db"))?;
    database.add(&stamp, &sample)?;
    let disks = disks(node, &mut database, &partitions, &stamp)?;
    for partition in &partitions {
        let processes = sample.processes.get(&partition.name).map(Vec::as_slice);
        let disk = disks.get(&partition.name).copied().unwrap_or(0);
        let totals = monitor::Totals::of(processes.unwrap_or_default(), &sample.machine, disk);
        if let Err(error) = monitor::write(partition, &stamp, node.clock.now(), &totals) {
            node.reporter.warn(&partition.name, &error.to_string());
        }
    }
    let names: Vec<_> = partitions.iter().map(|partition| partition.name.as_str()).collect();
    for days in 1..=DAYS {
        journal::make(node, &database, &day_before(node.clock.now(), days), &names)?;
    }
    csv::write_day(&database, &directory, &stamp.date)?;
    csv::archive(&mut database, &directory, &stamp.date)?;
    let kept = i64::from(node.config.collect.days_kept);
    database.forget_before(&day_before(node.clock.now(), kept))
}

/// Says what [`run`] would do, and why; nothing is measured or written.
///
/// # Errors
/// When this is not root.
pub fn rehearse(node: &Node<'_>) -> Result<(), NodeError> {
    if node.is_down() {
        return Ok(());
    }
    check_root()?;
    let (config, now) = (&node.config.collect, node.clock.now());
    let database = node.config.instance_root.join("var/data-log/collector.db");
    let note = |text: String| node.reporter.note("collect", &text);
    note(format!("measure this machine for {} s, into {}", INTERVAL.as_secs(), database.display()));
    for partition in measured(node)? {
        let disk = match config.report_disk_usage {
            true => format!(", and its disk every {} s", config.disk_cycle.as_secs()),
            false => "; not its disk: report_disk_usage is off".to_owned(),
        };
        let text = format!("measure the processes of {}{disk}", partition.owner.name);
        node.reporter.note(&partition.name, &text);
    }
    for days in 1..=DAYS {
        note(format!("make the journal of {} for `slapos node report`", day_before(now, days)));
    }
    note("write today's samples, and archive those of former days, as CSV".to_owned());
    let kept = config.days_kept;
    let oldest = day_before(now, i64::from(kept));
    note(format!("forget samples before {oldest}: collect_cache keeps {kept} days"));
    Ok(())
}

fn check_root() -> Result<(), NodeError> {
    if user::is_root() {
        return Ok(());
    }
    Err(NodeError::user("only root sees what the users of partitions use")
        .hint("run `slapos node collect` as root")
        .code(exit::NOT_ROOT))
}

/// The partitions that exist and have a user of their own.
fn measured(node: &Node<'_>) -> Result<Vec<Measured>, NodeError> {
    let mut found = Vec::new();
    for index in 0..node.config.format.partition_amount {
        let directory = node.config.instance_root.join(node.config.partition_name(index));
        if !directory.exists() {
            continue;
        }
        match partition_owner(&directory) {
            Ok(owner) => {
                let name = format!("{}{index}", node.config.format.user_base_name);
                found.push(Measured { name, directory, owner });
            }
            Err(error) => node.reporter.warn("collect", &error.to_string()),
        }
    }
    let shared = |uid: u32| found.iter().filter(|one| one.owner.uid == uid).count() > 1 || uid == 0;
    let odd: BTreeSet<_> =
        found.iter().map(|one| one.owner.uid).filter(|uid| shared(*uid)).collect();
    if !odd.is_empty() {
        let text = "partitions that share a user, or belong to root, are left out: whose a process is could not be told";
        node.reporter.warn("collect", text);
    }
    found.retain(|one| !odd.contains(&one.owner.uid));
    Ok(found)
}

fn measure(partitions: &[Measured]) -> std::io::Result<Sample> {
    let root = Path::new(proc::ROOT);
    let uids = partitions.iter().map(|partition| partition.owner.uid).collect();
    let (before, begun) = (proc::processes(root, &uids)?, Instant::now());
    let mut machine = proc::machine(root)?;
    std::thread::sleep(INTERVAL);
    let after = proc::processes(root, &uids)?;
    let seconds = begun.elapsed().as_secs_f64();
    machine.measure(&proc::machine(root)?);
    let used = proc::usage(&before, after, seconds);
    let of = |partition: &Measured| {
        let its = used.iter().filter(|process| process.uid == partition.owner.uid);
        (partition.name.clone(), its.cloned().collect())
    };
    let processes = partitions.iter().map(of).collect();
    Ok(Sample { machine, processes, temperatures: Vec::new() })
}

/// Measures the disks of the partitions whose time has come; KiB in use by partition. When [`BUDGET`] is
/// used up the others wait for the next run, which has as much.
fn disks(
    node: &Node<'_>,
    database: &mut Database,
    partitions: &[Measured],
    stamp: &Stamp,
) -> Result<BTreeMap<String, u64>, NodeError> {
    let mut found = BTreeMap::new();
    let config = &node.config.collect;
    let mut due = Vec::new();
    for partition in partitions.iter().filter(|_| config.report_disk_usage) {
        if is_due(database.last_disk(&partition.name)?, node.clock.now(), config.disk_cycle) {
            due.push(partition);
        }
    }
    for partition in for_a_while(due, BUDGET) {
        let used = user::as_files_of(&partition.owner, || disk::usage(&partition.directory));
        let used = used.context("take the rights of the owner of", &partition.directory)?;
        if used > disk::EMPTY {
            database.add_disk(stamp, &partition.name, used)?;
            found.insert(partition.name.clone(), used);
        }
    }
    Ok(found)
}

/// Gives `items` until that has taken as long as `budget`, but one at least.
fn for_a_while<T>(items: Vec<T>, budget: Duration) -> impl Iterator<Item = T> {
    let begun = Instant::now();
    items
        .into_iter()
        .enumerate()
        .map_while(move |(number, item)| (number == 0 || begun.elapsed() < budget).then_some(item))
}

/// Whether the cycle since the last measurement (date and time) is over; a time of no sense, or in
/// the future, counts as none.
fn is_due(last: Option<String>, now: Timestamp, cycle: Duration) -> bool {
    let last = last.and_then(|text| format!("{}Z", text.replace(' ', "T")).parse().ok());
    last.is_none_or(|last: Timestamp| {
        let age = now.duration_since(last);
        age.is_negative() || age.unsigned_abs() >= cycle
    })
}

fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// The date so many days before now.
fn day_before(now: Timestamp, days: i64) -> String {
    date(now.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_has_taken_its_time_leaves_the_rest_to_the_next() {
        let taken = |budget| for_a_while(vec![1, 2, 3], budget).collect::<Vec<_>>();
        assert_eq!(taken(Duration::ZERO), [1]);
        assert_eq!(taken(Duration::MAX), [1, 2, 3]);
        assert_eq!(for_a_while(Vec::<u8>::new(), Duration::ZERO).count(), 0);
    }

    #[test]
    fn disks_are_measured_once_a_cycle() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let due = |last: &str| is_due(Some(last.to_owned()), now, Duration::from_secs(3600));
        assert!(!due("2026-01-01 23:00:01"));
        assert!(due("2026-01-01 23:00:00"));
        assert!(due("2026-01-02 00:00:01"), "the clock went back");
        assert!(due("nonsense"));
        assert!(is_due(None, now, Duration::from_secs(3600)));
        assert_eq!(day_before(now, 2), "2025-12-31");
        assert_eq!(Stamp::of(now), Stamp { date: "2026-01-02".into(), time: "00:00:00".into() });
    }
}
