//! The files in a partition's `.slapgrid/monitor` by which its own monitoring sees what it uses.
//!
//! They are written with the partition's rights: what it puts in their place harms nobody else.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::json;
use slapos_sys::clock::Timestamp;
use slapos_sys::{fs, user};

use super::proc::{Machine, Process, float};
use super::{Measured, Stamp};
use crate::error::{IoContext, NodeError};

const MEBI: f64 = 1_048_576.0;
/// A history that grows longer begins anew, bytes.
const LONGEST: u64 = 4 << 20;
/// How a history ends.
const END: &[u8; 2] = b"]}";

/// What a partition uses altogether.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Totals {
    cpu_percent: f64,
    /// Minutes.
    cpu_time: f64,
    threads: u64,
    memory_percent: f64,
    /// MiB.
    memory: f64,
    io_bytes: u64,
    io_calls: u64,
    /// MiB; 0 if it was not measured now.
    disk: f64,
    processes: Vec<serde_json::Value>,
}

impl Totals {
    /// Of these processes; `disk` in KiB.
    pub(super) fn of(processes: &[Process], machine: &Machine, disk: u64) -> Self {
        let mut totals = Self { disk: float(disk) / 1024.0, ..Self::default() };
        for process in processes {
            totals.cpu_percent += process.cpu_percent;
            totals.cpu_time += process.cpu_time / 60.0;
            totals.threads += process.threads;
            totals.memory_percent += process.memory_percent(machine.memory);
            totals.memory += float(process.rss) / MEBI;
            totals.io_bytes += process.io_bytes;
            totals.io_calls += process.io_calls;
            totals.processes.push(process_json(process, machine));
        }
        totals
    }
}

impl Process {
    /// Of the machine's memory.
    pub(super) fn memory_percent(&self, memory: u64) -> f64 {
        if memory == 0 { 0.0 } else { 100.0 * float(self.rss) / float(memory) }
    }
}

fn process_json(process: &Process, machine: &Machine) -> serde_json::Value {
    #[allow(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let created = Timestamp::from_second(process.created as i64).unwrap_or_default();
    json!({
        "pid": process.pid,
        "cpu_percent": rounded(process.cpu_percent),
        "cpu_time": rounded(process.cpu_time / 60.0),
        "cpu_num_threads": process.threads,
        "memory_percent": rounded(process.memory_percent(machine.memory)),
        "memory_rss": rounded(float(process.rss) / MEBI),
        "io_rw_counter": process.io_bytes,
        "io_cycles_counter": process.io_calls,
        "name": process.name,
        "command": process.command,
        "date": created.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    })
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// Writes the files of one partition, if it holds an instance.
pub(super) fn write(
    partition: &Measured,
    at: &Stamp,
    now: Timestamp,
    totals: &Totals,
) -> Result<(), NodeError> {
    let root = partition.directory.join(".slapgrid");
    let written = user::as_files_of(&partition.owner, || {
        // Made by whatever deployed an instance here.
        if !root.is_dir() {
            return Ok(());
        }
        write_files(&root.join("monitor"), at, now, totals, &partition.owner.name)
    });
    written.context("take the rights of the owner of", &root)?.context("write to", &root)
}

fn write_files(
    directory: &Path,
    at: &Stamp,
    now: Timestamp,
    totals: &Totals,
    user: &str,
) -> io::Result<()> {
    fs::create_dir_all(directory, 0o755)?;
    let date = format!("{} {}", at.date, at.time);
    let Totals { threads, io_bytes, io_calls, .. } = totals;
    let [cpu, time, percent, memory, disk] =
        [totals.cpu_percent, totals.cpu_time, totals.memory_percent, totals.memory, totals.disk]
            .map(rounded);
    let count = totals.processes.len();
    let history = |name: &str, header: &str, row: String| {
        append(&directory.join(format!("monitor_resource_{name}.data.json")), header, now, &row)
    };
    if count > 0 {
        let row = format!("{date}, {count}, {cpu}, {time}, {threads}");
        history("process", "date, total process, CPU percent, CPU time, CPU threads", row)?;
        let row = format!("{date}, {percent}, {memory}");
        history("memory", "date, memory used percent, memory used", row)?;
        let row = format!("{date}, {io_bytes}, {io_calls}, {disk}");
        history("io", "date, io rw counter, io cycles counter, disk used", row)?;
    }
    let status = match count {
        0 => json!({}),
        _ => json!({
            "total_process": count, "cpu_percent": cpu, "cpu_time": time,
            "cpu_num_threads": threads, "date": date, "memory_percent": percent,
            "memory_rss": memory, "io_rw_counter": io_bytes, "io_cycles_counter": io_calls,
            "disk_used": disk,
        }),
    };
    let put = |name: &str, value: &serde_json::Value| {
        fs::write_replace(&directory.join(name), value.to_string().as_bytes(), 0o644)
    };
    put("monitor_resource.status.json", &status)?;
    let mut processes = totals.processes.clone();
    processes.iter_mut().for_each(|process| process["user"] = json!(user));
    put("monitor_process_resource.status.json", &json!(processes))
}

/// Adds a row to a history, in place: it may be long, and there is one a minute.
fn append(path: &Path, header: &str, now: Timestamp, row: &str) -> io::Result<()> {
    if let Ok(mut file) = fs::open_to_change(path)
        && file.metadata()?.len() < LONGEST
        && file.seek(SeekFrom::End(-2)).is_ok()
    {
        let mut end = [0; 2];
        file.read_exact(&mut end)?;
        if end == *END {
            file.seek(SeekFrom::End(-2))?;
            return file.write_all(format!(",{}]}}", json!(row)).as_bytes());
        }
    }
    let text = json!({ "date": now.as_second(), "data": [header, row] }).to_string();
    fs::write_replace(path, text.as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        let process = Process {
            pid: 7,
            name: "x".into(),
            cpu_percent: 12.345,
            cpu_time: 90.0,
            threads: 3,
            rss: 5 << 20,
            io_bytes: 1000,
            io_calls: 10,
            ..Process::default()
        };
        let machine = Machine { memory: 50 << 20, ..Machine::default() };
        Totals::of(&[process], &machine, 2048)
    }

    fn read(directory: &Path, name: &str) -> String {
        fs::read_to_string(&directory.join(name)).unwrap()
    }

    #[test]
    fn histories_grow_and_the_state_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_second(1000).unwrap();
        for time in ["00:00:00", "00:01:00"] {
            let at = Stamp { date: "2026-01-01".into(), time: time.into() };
            write_files(dir.path(), &at, now, &totals(), "slapuser0").unwrap();
        }
        insta::assert_snapshot!(read(dir.path(), "monitor_resource_process.data.json"), @r#"{"date":1000,"data":["date, total process, CPU percent, CPU time, CPU threads","2026-01-01 00:00:00, 1, 12.35, 1.5, 3","2026-01-01 00:01:00, 1, 12.35, 1.5, 3"]}"#);
        insta::assert_snapshot!(read(dir.path(), "monitor_resource_io.data.json"), @r#"{"date":1000,"data":["date, io rw counter, io cycles counter, disk used","2026-01-01 00:00:00, 1000, 10, 2","2026-01-01 00:01:00, 1000, 10, 2"]}"#);
        insta::assert_snapshot!(read(dir.path(), "monitor_resource.status.json"), @r#"{"total_process":1,"cpu_percent":12.35,"cpu_time":1.5,"cpu_num_threads":3,"date":"2026-01-01 00:01:00","memory_percent":10.0,"memory_rss":5.0,"io_rw_counter":1000,"io_cycles_counter":10,"disk_used":2.0}"#);
        insta::assert_snapshot!(read(dir.path(), "monitor_process_resource.status.json"), @r#"[{"pid":7,"cpu_percent":12.35,"cpu_time":1.5,"cpu_num_threads":3,"memory_percent":10.0,"memory_rss":5.0,"io_rw_counter":1000,"io_cycles_counter":10,"name":"x","command":[],"date":"1970-01-01 00:00:00","user":"slapuser0"}]"#);
    }

    #[test]
    fn a_damaged_history_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        for damaged in ["", "x", "{\"date\": 1, \"data\": [\"a"] {
            fs::write_atomic(&path, damaged.as_bytes(), 0o644).unwrap();
            append(&path, "head", Timestamp::from_second(5).unwrap(), "row").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"date":5,"data":["head","row"]}"#);
        }
    }

    #[test]
    fn a_partition_at_rest_has_an_empty_state_and_no_row() {
        let dir = tempfile::tempdir().unwrap();
        let at = Stamp { date: "2026-01-01".into(), time: "00:00:00".into() };
        let none = Totals::of(&[], &Machine::default(), 0);
        write_files(dir.path(), &at, Timestamp::UNIX_EPOCH, &none, "u").unwrap();
        assert_eq!(read(dir.path(), "monitor_resource.status.json"), "{}");
        assert!(!dir.path().join("monitor_resource_process.data.json").exists());
    }
}
