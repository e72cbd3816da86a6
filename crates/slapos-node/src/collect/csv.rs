//! The samples as tables of text: `system_*.csv` of today, which plots are made of, and one archive
//! `DATE.tar.gz` of all rows of each day that is over.
//!
//! An archive has its name when it is whole, and its rows count as archived after that: a run that is
//! killed in between makes it again.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rusqlite::types::Value;
use slapos_sys::fs::{self, Draft};

use super::database::{Database, TABLES};
use crate::error::{IoContext, NodeError};

const KIBI: f64 = 1024.0;
/// What ends a line of such a table.
const END: &str = "\r\n";

/// What is made of a column's values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    AsItIs,
    /// In KiB.
    Kibi,
    /// By how much it grew since the sample before, in KiB.
    Growth,
}

/// The columns of `system` that have a table of their own.
const SYSTEM: [(&str, Entry); 10] = [
    ("loadavg", Entry::AsItIs),
    ("cpu_percent", Entry::AsItIs),
    ("memory_used", Entry::Kibi),
    ("memory_free", Entry::Kibi),
    ("net_in_bytes", Entry::Growth),
    ("net_in_errors", Entry::AsItIs),
    ("net_in_dropped", Entry::AsItIs),
    ("net_out_bytes", Entry::Growth),
    ("net_out_errors", Entry::AsItIs),
    ("net_out_dropped", Entry::AsItIs),
];

/// Writes the tables of the day `date` into `directory`.
pub(super) fn write_day(
    database: &Database,
    directory: &Path,
    date: &str,
) -> Result<(), NodeError> {
    for (column, entry) in SYSTEM {
        let samples = database.samples(column, date)?;
        write_table(directory, column, &entries(&samples, entry))?;
    }
    for (device, mut used, mut free) in database.disks(date)? {
        let device = device.replace(['-', '/'], "_");
        for (what, samples) in [("used", &mut used), ("free", &mut free)] {
            samples.iter_mut().for_each(|(_, bytes)| *bytes /= KIBI);
            write_table(directory, &format!("disk_memory_{what}_{device}"), samples)?;
        }
    }
    Ok(())
}

/// The first sample of a day has nothing to be compared with, and is in no table.
fn entries(samples: &[(String, f64)], entry: Entry) -> Vec<(String, f64)> {
    let pairs = samples.iter().zip(samples.iter().skip(1));
    let of = |((_, before), (time, value)): (&(String, f64), &(String, f64))| {
        let value = match entry {
            Entry::AsItIs => *value,
            Entry::Kibi => value / KIBI,
            Entry::Growth => (value - before) / KIBI,
        };
        (time.clone(), value)
    };
    pairs.map(of).collect()
}

fn write_table(directory: &Path, name: &str, rows: &[(String, f64)]) -> Result<(), NodeError> {
    let mut text = format!("time,entry{END}");
    for (time, entry) in rows {
        let _ = write!(text, "{time},{entry:?}{END}");
    }
    let path = directory.join(format!("system_{name}.csv"));
    // Made again at each run: not worth waiting for the disk.
    fs::write_replace(&path, text.as_bytes(), 0o644).context("write", &path)
}

/// Archives the days before `today` that are not archived yet, in `directory`.
pub(super) fn archive(
    database: &mut Database,
    directory: &Path,
    today: &str,
) -> Result<(), NodeError> {
    for date in database.days_to_archive(today)? {
        let name = format!("{date}.tar.gz");
        let made = make(database, directory, &date, &name);
        made.context("archive samples in", &directory.join(&name))?;
        database.set_archived(&date)?;
    }
    Ok(())
}

fn make(database: &Database, directory: &Path, date: &str, name: &str) -> io::Result<()> {
    let packed = GzEncoder::new(Draft::in_dir(directory)?, Compression::default());
    let mut archive = tar::Builder::new(packed);
    let mut folder = tar::Header::new_gnu();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_mode(0o755);
    folder.set_size(0);
    archive.append_data(&mut folder, format!("{date}/"), io::empty())?;
    for (table, _) in TABLES {
        // A table of a busy day is large, and an archive wants to know how large before.
        let mut file = dump(database, table, date, tempfile::tempfile_in(directory)?)?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(file.stream_position()?);
        file.rewind()?;
        archive.append_data(&mut header, format!("{date}/dump_{table}.csv"), file)?;
    }
    archive.into_inner()?.finish()?.finish(name, 0o644)
}

/// All rows of a day, as they are.
fn dump(database: &Database, table: &str, date: &str, file: File) -> io::Result<File> {
    let mut text = BufWriter::new(file);
    database.each_row(table, date, |row| {
        let fields: Vec<_> = row.iter().map(field).collect();
        write!(text, "{}{END}", fields.join(","))
    })?;
    text.into_inner().map_err(io::IntoInnerError::into_error)
}

/// In quotes only if it must be.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) if text.contains([',', '"', '\r', '\n']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_told_by_their_growth_and_sizes_in_kibibytes() {
        let samples = [("a", 1024.0), ("b", 4096.0), ("c", 4096.0)];
        let samples = samples.map(|(time, value)| (time.to_owned(), value));
        let told = |entry| entries(&samples, entry).into_iter().map(|(_, value)| value);
        assert_eq!(told(Entry::Growth).collect::<Vec<_>>(), [3.0, 0.0]);
        assert_eq!(told(Entry::Kibi).collect::<Vec<_>>(), [4.0, 4.0]);
        assert_eq!(told(Entry::AsItIs).collect::<Vec<_>>(), [4096.0, 4096.0]);
        let dir = tempfile::tempdir().unwrap();
        write_table(dir.path(), "x", &entries(&samples[..2], Entry::Growth)).unwrap();
        let text = std::fs::read_to_string(dir.path().join("system_x.csv")).unwrap();
        assert_eq!(text, "time,entry\r\nb,3.0\r\n");
    }

    #[test]
    fn fields_are_quoted_only_if_they_must_be() {
        let text = |text: &str| field(&Value::Text(text.to_owned()));
        assert_eq!(text("7-1.5"), "7-1.5");
        assert_eq!(text("/mnt/a,\"b\""), "\"/mnt/a,\"\"b\"\"\"");
        assert_eq!(
            [Value::Null, Value::Integer(1), Value::Real(2.0)].map(|value| field(&value)),
            ["", "1", "2.0"]
        );
    }
}
