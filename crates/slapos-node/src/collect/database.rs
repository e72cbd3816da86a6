//! `collector.db`: the original's tables, which monitoring reads.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use slapos_sys::fs;

use super::proc::{Process, float};
use super::{Sample, Stamp};
use crate::error::{IoContext, NodeError};

/// How long another writer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every table, with the columns that it has beside `date`, `time` and `reported`.
pub(super) const TABLES: [(&str, &str); 7] = [
    (
        "user",
        "partition text, pid real, process text, cpu_percent real, cpu_time real, \
         cpu_num_threads real, memory_percent real, memory_rss real, io_rw_counter real, \
         io_cycles_counter real",
    ),
    ("folder", "partition text, disk_used real"),
    (
        "computer",
        "cpu_num_core real, cpu_frequency real, cpu_type text, memory_size real, \
         memory_type text, partition_list text",
    ),
    (
        "system",
        "loadavg real, cpu_percent real, memory_used real, memory_free real, net_in_bytes real, \
         net_in_errors real, net_in_dropped real, net_out_bytes real, net_out_errors real, \
         net_out_dropped real",
    ),
    ("disk", "partition text, used text, free text, mountpoint text"),
    ("temperature", "sensor_id name, temperature real, alarm integer"),
    (
        "heating",
        "model_id name, sensor_id name, initial_temperature real, final_temperature real, \
         delta_time real, zero_emission_ratio real",
    ),
];
/// Never loses rows: there is one a day at most, and the last one counts.
const KEPT: &str = "heating";

/// Values with their dates and times, in the order in which they were added.
pub(super) type Samples = Vec<(String, f64)>;

/// The open database.
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
}

impl Database {
    /// Opens the file at `path`, making it and its tables if they are not there.
    pub(super) fn open(path: &Path) -> Result<Self, NodeError> {
        let connection = Connection::open(path).map_err(|error| failed(path, &error))?;
        let database = Self { path: path.to_owned(), connection };
        database.prepare().map_err(|error| failed(path, &error))?;
        // Monitoring runs as the users of partitions.
        fs::set_mode(path, 0o644).context("set the mode of", path)?;
        Ok(database)
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(PATIENCE)?;
        let mut sql = String::new();
        for (table, columns) in TABLES {
            sql += &format!(
                "CREATE TABLE IF NOT EXISTS {table} ({columns}, date text, time text, \
                 reported integer NULL DEFAULT 0);\
                 CREATE INDEX IF NOT EXISTS {table}_date_reported_index ON {table} (date, reported);"
            );
        }
        sql += "CREATE INDEX IF NOT EXISTS user_partition_date_time \
                ON user (partition, date, time);";
        self.connection.execute_batch(&sql)
    }

    /// Adds a sample, all of it or nothing.
    pub(super) fn add(&mut self, at: &Stamp, sample: &Sample) -> Result<(), NodeError> {
        let added = self.connection.transaction().and_then(|transaction| {
            add_machine(&transaction, at, sample)?;
            for reading in &sample.temperatures {
                transaction.execute(
                    "INSERT INTO temperature (sensor_id, temperature, alarm, date, time) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![reading.sensor, reading.temperature, reading.alarm, at.date, at.time],
                )?;
            }
            for (partition, processes) in &sample.processes {
                for process in processes {
                    add_process(&transaction, at, partition, process, sample.machine.memory)?;
                }
            }
            transaction.commit()
        });
        added.map_err(|error| failed(&self.path, &error))
    }

    /// Adds what a partition has on disk, KiB.
    pub(super) fn add_disk(
        &mut self,
        at: &Stamp,
        partition: &str,
        used: u64,
    ) -> Result<(), NodeError> {
        let added = self.connection.execute(
            "INSERT INTO folder (partition, disk_used, date, time) VALUES (?1, ?2, ?3, ?4)",
            params![partition, float(used), at.date, at.time],
        );
        added.map(drop).map_err(|error| failed(&self.path, &error))
    }

    /// Date and time of the last row about the disk of a partition.
    pub(super) fn last_disk(&self, partition: &str) -> Result<Option<String>, NodeError> {
        let found = self.connection.query_row(
            "SELECT date || ' ' || time FROM folder WHERE partition = ?1 \
             ORDER BY date DESC, time DESC LIMIT 1",
            [partition],
            |row| row.get(0),
        );
        found.optional().map_err(|error| failed(&self.path, &error))
    }

    /// The mean of the samples of a day: the sum of `column` of `table` over all its rows that day
    /// (of one partition, if one is named), for each sample. None if there are none.
    pub(super) fn mean(
        &self,
        table: &str,
        column: &str,
        partition: Option<&str>,
        date: &str,
    ) -> Result<Option<f64>, NodeError> {
        let whose = if partition.is_some() { "partition = ?2" } else { "?2 IS NULL" };
        let sql = format!(
            "SELECT SUM({column}) / COUNT(DISTINCT time) FROM {table} WHERE date = ?1 AND {whose}"
        );
        let found = self.connection.query_row(&sql, params![date, partition], |row| row.get(0));
        found.map_err(|error| failed(&self.path, &error))
    }

    /// What a column of `system` was on a day, with date and time.
    pub(super) fn samples(&self, column: &str, date: &str) -> Result<Samples, NodeError> {
        let sql = format!(
            "SELECT date || ' ' || time, CAST({column} AS REAL) FROM system WHERE date = ?1 \
             ORDER BY rowid"
        );
        let read = || {
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement.query_map([date], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| failed(&self.path, &error))
    }

    /// Bytes used and free of each device on a day.
    pub(super) fn disks(&self, date: &str) -> Result<Vec<(String, Samples, Samples)>, NodeError> {
        let sql = "SELECT partition, date || ' ' || time, CAST(used AS REAL), CAST(free AS REAL) \
                   FROM disk WHERE date = ?1 ORDER BY partition, rowid";
        let read = || {
            let mut found: Vec<(String, Samples, Samples)> = Vec::new();
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([date])?;
            while let Some(row) = rows.next()? {
                let (device, time): (String, String) = (row.get(0)?, row.get(1)?);
                if found.last().is_none_or(|(last, ..)| *last != device) {
                    found.push((device, Vec::new(), Vec::new()));
                }
                if let Some((_, used, free)) = found.last_mut() {
                    used.push((time.clone(), row.get(2)?));
                    free.push((time, row.get(3)?));
                }
            }
            Ok(found)
        };
        read().map_err(|error| failed(&self.path, &error))
    }

    /// Has `take` have each row of `table` of a day.
    pub(super) fn each_row(
        &self,
        table: &str,
        date: &str,
        mut take: impl FnMut(&[Value]) -> io::Result<()>,
    ) -> io::Result<()> {
        let sql = format!("SELECT * FROM {table} WHERE date = ?1 ORDER BY rowid");
        let mut statement = self.connection.prepare(&sql).map_err(io::Error::other)?;
        let columns = statement.column_count();
        let mut rows = statement.query([date]).map_err(io::Error::other)?;
        while let Some(row) = rows.next().map_err(io::Error::other)? {
            let values: rusqlite::Result<Vec<Value>> =
                (0..columns).map(|column| row.get(column)).collect();
            take(&values.map_err(io::Error::other)?)?;
        }
        Ok(())
    }

    /// The days, but for `today`, with samples that are in no archive.
    pub(super) fn days_to_archive(&self, today: &str) -> Result<Vec<String>, NodeError> {
        let sql = "SELECT DISTINCT date FROM system WHERE reported = 0 AND date <> ?1";
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map([today], |row| row.get(0))?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| failed(&self.path, &error))
    }

    /// All that is there of a day is in an archive.
    pub(super) fn set_archived(&mut self, date: &str) -> Result<(), NodeError> {
        let set = self.connection.transaction().and_then(|transaction| {
            for (table, _) in TABLES {
                let sql =
                    format!("UPDATE {table} SET reported = 1 WHERE date = ?1 AND reported = 0");
                transaction.execute(&sql, [date])?;
            }
            transaction.commit()
        });
        set.map_err(|error| failed(&self.path, &error))
    }

    /// Removes archived rows of days before `date`.
    pub(super) fn forget_before(&mut self, date: &str) -> Result<(), NodeError> {
        let mut gone = 0;
        for (table, _) in TABLES.iter().filter(|(table, _)| *table != KEPT) {
            let sql = format!("DELETE FROM {table} WHERE date < ?1 AND reported = 1");
            let removed = self.connection.execute(&sql, [date]);
            gone += removed.map_err(|error| failed(&self.path, &error))?;
        }
        if gone > 0 {
            let smaller = self.connection.execute_batch("VACUUM");
            smaller.map_err(|error| failed(&self.path, &error))?;
        }
        Ok(())
    }
}

fn add_machine(connection: &Connection, at: &Stamp, sample: &Sample) -> rusqlite::Result<()> {
    let machine = &sample.machine;
    let disks: Vec<_> =
        machine.disks.iter().map(|(device, _, room)| format!("{device}={}", room.total)).collect();
    connection.execute(
        "INSERT INTO computer (cpu_num_core, cpu_frequency, cpu_type, memory_size, memory_type, \
         partition_list, date, time) VALUES (?1, 0, '0', ?2, '0', ?3, ?4, ?5)",
        params![
            float(machine.processors),
            float(machine.memory),
            disks.join(";"),
            at.date,
            at.time
        ],
    )?;
    let [in_bytes, in_errors, in_dropped, out_bytes, out_errors, out_dropped] =
        machine.network.map(float);
    let used = machine.memory.saturating_sub(machine.memory_available);
    connection.execute(
        "INSERT INTO system (loadavg, cpu_percent, memory_used, memory_free, net_in_bytes, \
         net_in_errors, net_in_dropped, net_out_bytes, net_out_errors, net_out_dropped, date, \
         time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            machine.load,
            machine.cpu_percent,
            float(used),
            float(machine.memory_available),
            in_bytes,
            in_errors,
            in_dropped,
            out_bytes,
            out_errors,
            out_dropped,
            at.date,
            at.time
        ],
    )?;
    for (device, mount, room) in &machine.disks {
        connection.execute(
            "INSERT INTO disk (partition, used, free, mountpoint, date, time) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![device, room.used.to_string(), room.free.to_string(), mount, at.date, at.time],
        )?;
    }
    Ok(())
}

fn add_process(
    connection: &Connection,
    at: &Stamp,
    partition: &str,
    process: &Process,
    memory: u64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO user (partition, pid, process, cpu_percent, cpu_time, \
               cpu_num_threads, memory_percent, memory_rss, io_rw_counter, io_cycles_counter, \
               date, time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let row = params![
        partition,
        f64::from(process.pid),
        format!("{}-{}", process.pid, process.created),
        process.cpu_percent,
        process.cpu_time,
        float(process.threads),
        process.memory_percent(memory),
        float(process.rss),
        float(process.io_bytes),
        float(process.io_calls),
        at.date,
        at.time
    ];
    connection.execute(sql, row).map(drop)
}

fn failed(path: &Path, error: &rusqlite::Error) -> NodeError {
    NodeError::user(format!("{} cannot be used: {error}", path.display()))
        .hint("if it is damaged, move it away: the next run makes a new one")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests look into files directly")]

    use super::*;
    use crate::collect::csv;
    use crate::collect::proc::Machine;
    use crate::collect::temperature::Reading;

    fn stamp(date: &str, time: &str) -> Stamp {
        Stamp { date: date.to_owned(), time: time.to_owned() }
    }

    fn sample() -> Sample {
        let process =
            |pid, cpu_percent| Process { pid, cpu_percent, rss: 1 << 20, ..Process::default() };
        let machine = Machine { memory: 4 << 20, ..Machine::default() };
        let processes = [("u0".to_owned(), vec![process(7, 10.0), process(8, 20.0)])].into();
        let warm = Reading { sensor: "chip Core 0:".into(), temperature: 40.5, alarm: 0 };
        Sample { machine, processes, temperatures: vec![warm] }
    }

    #[test]
    fn samples_are_added_averaged_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("collector.db");
        let mut database = Database::open(&path).unwrap();
        for time in ["00:00:00", "00:01:00"] {
            database.add(&stamp("2026-01-01", time), &sample()).unwrap();
        }
        drop(database);
        let mut database = Database::open(&path).unwrap();
        let mean = |database: &Database, column: &str, whose| {
            database.mean("user", column, whose, "2026-01-01").unwrap()
        };
        assert_eq!(mean(&database, "cpu_percent", Some("u0")), Some(30.0));
        assert_eq!(mean(&database, "memory_rss", Some("u0")), Some(f64::from(2 << 20)));
        assert_eq!(mean(&database, "memory_percent", Some("u0")), Some(50.0));
        assert_eq!(mean(&database, "cpu_percent", Some("u1")), None);
        assert_eq!(database.last_disk("u0").unwrap(), None);
        database.add_disk(&stamp("2026-01-01", "00:02:00"), "u0", 5000).unwrap();
        assert_eq!(database.last_disk("u0").unwrap().unwrap(), "2026-01-01 00:02:00");
        database.forget_before("2026-01-01").unwrap();
        assert_eq!(mean(&database, "cpu_percent", Some("u0")), Some(30.0));
        database.forget_before("2026-01-02").unwrap();
        assert_eq!(mean(&database, "cpu_percent", Some("u0")), Some(30.0), "it is in no archive");
        database.set_archived("2026-01-01").unwrap();
        database.forget_before("2026-01-02").unwrap();
        assert_eq!(mean(&database, "cpu_percent", Some("u0")), None);
    }

    #[test]
    fn a_day_that_is_over_is_archived_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut database = Database::open(&dir.path().join("collector.db")).unwrap();
        for at in [stamp("2026-01-01", "23:59:00"), stamp("2026-01-02", "00:00:00")] {
            database.add(&at, &sample()).unwrap();
        }
        csv::archive(&mut database, dir.path(), "2026-01-02").unwrap();
        let archive = dir.path().join("2026-01-01.tar.gz");
        let text = |table: &str| {
            let mut tar = std::process::Command::new("tar");
            tar.arg("-xOzf").arg(&archive).arg(format!("2026-01-01/dump_{table}.csv"));
            String::from_utf8(tar.output().unwrap().stdout).unwrap()
        };
        assert_eq!(text("temperature"), "chip Core 0:,40.5,0,2026-01-01,23:59:00,0\r\n");
        assert_eq!(text("user").lines().count(), 2);
        assert_eq!(text("heating"), "");
        assert!(!dir.path().join("2026-01-02.tar.gz").exists(), "it goes on");
        std::fs::remove_file(&archive).unwrap();
        csv::archive(&mut database, dir.path(), "2026-01-02").unwrap();
        assert!(!archive.exists());
    }

    #[test]
    fn what_is_no_database_is_told_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("collector.db");
        fs::write_atomic(&path, &[b'x'; 4096], 0o600).unwrap();
        let error = Database::open(&path).err().unwrap().to_string();
        assert!(error.contains("not a database"), "{error}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    }
}
