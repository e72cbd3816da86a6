//! The database as one SQLite file: whose it is, whether it is whole, its connections.
//!
//! Invariant: a file that is not ours is only read, never written, not even by SQLite itself.
//! A process opens a file once at a time: looking at the header and closing the file again would
//! drop the locks of connections that the same process has on it. (SQLite knows of all its own
//! connections in the process, whoever opened them.)

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use super::blank;
use super::catalog::{self, RECORDS};
use super::connection::Connection;
use super::inline::Files;
use super::migrations;
use super::pools::{Inlines, Kind, Pools};
use crate::error::StoreError;

/// `PRAGMA application_id` of our files: the letters `SlaM`.
const APPLICATION_ID: u32 = 0x536c_614d;

/// Starts a transaction that may write. A deferred one would fail when it turned out to write
/// while another does, instead of waiting.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Starts a transaction that reads: its view is that of its first question.
pub(super) const BEGIN_READ: &str = "BEGIN";

/// The number of the present transaction in the feed: one writes at a time, so the next one.
pub(super) const TRANSACTION: &str = "(SELECT COALESCE(max(transaction_number), 0) + 1 FROM feed)";

/// Below it, all transactions have ended: those whose entries can be seen.
pub(super) const HORIZON: &str = "SELECT COALESCE(max(transaction_number), 0) + 1 AS n FROM feed";

/// Connections that only read. They do not wait for the writer (WAL), and SQLite itself is fast
/// enough that more would only take memory.
const READERS: u32 = 4;

/// What connections that write are told first, whoever asks them. FULL: what was answered survives a
/// power failure, not only a kill.
const SETUP: &str = "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL";

/// The same for those that only read.
const SETUP_READER: &str = "PRAGMA query_only = ON";

/// How long a connection with a thread of its own waits there while the file is busy.
const PATIENCE: &str = "PRAGMA busy_timeout = 30000";

/// The largest file that is looked through before it is used, in bytes: that takes a second at most.
const CHECKED: u64 = 256 << 20;

/// Opens the file, making it if there is none: one connection that writes and several that read, for
/// what is short in the thread of who asks, for what may take long in threads of their own. The schema
/// stays as it is.
pub(super) async fn open(path: &Path) -> Result<Pools, StoreError> {
    prepare(path)?;
    let url = url(path)?;
    let damaged = |error: StoreError| match error {
        StoreError::Damaged(why) => StoreError::Damaged(format!("{}: {why}", path.display())),
        other => other,
    };
    mark(path, &url).await.map_err(damaged)?;
    let writers = pool(1, SETUP).connect_lazy(&url)?;
    let readers = pool(READERS, SETUP_READER).connect_lazy(&url)?;
    let inline = Inlines {
        writer: Files::new(path.to_owned(), 1, SETUP),
        readers: Files::new(path.to_owned(), READERS as usize, SETUP_READER),
    };
    let name = path.display().to_string();
    Ok(Pools { kind: Kind::Sqlite, name, writers, readers, inline: Some(inline) })
}

/// Marks an empty file as ours, and refuses one that is damaged or of a newer version: that it stays
/// as it is, byte for byte, is better seen before the mode of its journal is set.
async fn mark(path: &Path, url: &str) -> Result<(), StoreError> {
    // Not from a pool, which would try again for long what cannot be mended.
    let mut connection = Connection::Single(AnyConnection::connect(url).await?);
    connection.execute(PATIENCE).await?;
    let tables = catalog::tables(&mut connection, Kind::Sqlite).await?;
    if tables.iter().any(|table| table.name == RECORDS) {
        whole(path, &mut connection).await?;
        let name = path.display().to_string();
        migrations::not_newer(&mut connection, Kind::Sqlite, &name).await?;
    } else if size(path)? == 0 {
        // Somebody made it beforehand. Outside of WAL mode and as the first write, so that the mark is in
        // the file's first page before anything else is anywhere; `foreign` looks for it there.
        let mark = format!("PRAGMA application_id = {APPLICATION_ID}");
        connection.execute(sqlx::AssertSqlSafe(mark)).await?;
    }
    write_ahead(path, &mut connection).await?;
    Ok(connection.close().await?)
}

/// Sets the mode of the journal in which who reads and who writes do not wait for each other. SQLite
/// keeps another one, without an error, where the file system cannot share memory between processes.
async fn write_ahead(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let row = sqlx::query("PRAGMA journal_mode = WAL").fetch_one(connection).await?;
    let mode = row.try_get::<String, _>(0)?;
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    let reason = format!(
        "SQLite cannot keep a write-ahead log beside it, only the journal mode `{mode}`: put it on a \
         local file system"
    );
    Err(file_error(path, io::Error::new(io::ErrorKind::Unsupported, reason)))
}

/// Looks through a file that is not large.
async fn whole(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    if size(path)? > CHECKED {
        return Ok(());
    }
    let row = sqlx::query("PRAGMA quick_check(1)").fetch_one(connection).await?;
    match row.try_get::<String, _>(0)?.as_str() {
        "ok" => Ok(()),
        found => Err(StoreError::damaged(found)),
    }
}

fn size(path: &Path) -> Result<u64, StoreError> {
    Ok(path.metadata().map_err(|error| file_error(path, error))?.len())
}

fn pool(connections: u32, setup: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30))
        // A connection is a file handle and a thread: nothing that goes stale.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // SQLite itself ends the transaction when the disk is full, so that the rollback which
        // follows fails and the connection counts as being in a transaction for ever. A new one
        // takes its place. (A dropped transaction is rolled back before its connection returns.)
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            if !usable {
                tracing::warn!("a database connection was left in a transaction: it is replaced");
            }
            Box::pin(std::future::ready(Ok(usable)))
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(PATIENCE).await?;
                connection.execute(setup).await?;
                Ok(())
            })
        })
}

/// The file's address for `sqlx`; the characters that would end the path are escaped.
fn url(path: &Path) -> Result<String, StoreError> {
    let text = path.to_str().ok_or_else(|| {
        let reason = "its name must be UTF-8";
        file_error(path, io::Error::new(io::ErrorKind::InvalidInput, reason))
    })?;
    let escaped = text.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    Ok(format!("sqlite:{escaped}?mode=rw"))
}

/// Makes the file if there is none, and refuses one that is not ours.
fn prepare(path: &Path) -> Result<(), StoreError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty())
        && !parent.exists()
    {
        slapos_sys::fs::create_dir_all(parent, 0o700).map_err(|error| file_error(path, error))?;
    }
    if !path.exists() {
        let new = blank::file(APPLICATION_ID);
        let made = slapos_sys::fs::write_once(path, &new, 0o600);
        if made.map_err(|error| file_error(path, error))? {
            return Ok(());
        }
    }
    match foreign(path).map_err(|error| file_error(path, error))? {
        None => Ok(()),
        Some(found) => Err(StoreError::NotOurs { database: path.display().to_string(), found }),
    }
}

/// What a file is, if it is not ours. The header is read directly: opening a foreign database
/// with SQLite could already change it (recovery of a journal).
fn foreign(path: &Path) -> io::Result<Option<String>> {
    if !path.metadata()?.is_file() {
        return Ok(Some("it is not a regular file".to_owned()));
    }
    let mut header = Vec::new();
    File::open(path)?.take(100).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(None);
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Ok(Some("it is not an SQLite file".to_owned()));
    }
    // Big-endian at offset 68, by the description of SQLite's file format.
    let id = header[68..72].iter().fold(0, |id, byte| (id << 8) | u32::from(*byte));
    if id == APPLICATION_ID {
        return Ok(None);
    }
    Ok(Some(format!("it is another SQLite database, with application id {id:#x}")))
}

fn file_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn single(url: &str) -> Connection {
        sqlx::any::install_default_drivers();
        Connection::Single(AnyConnection::connect(url).await.unwrap())
    }

    #[tokio::test]
    async fn what_can_have_no_write_ahead_log_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("proxy.db");
        let mut file = single(&format!("sqlite:{}?mode=rwc", path.display())).await;
        write_ahead(&path, &mut file).await.unwrap();
        file.close().await.unwrap();
        let mut memory = single("sqlite::memory:").await;
        let error = write_ahead(&path, &mut memory).await.unwrap_err();
        assert!(matches!(error, StoreError::File { .. }));
        assert!(error.to_string().contains("only the journal mode `memory`"), "{error}");
    }

    #[tokio::test]
    async fn pooled_readers_only_read() {
        sqlx::any::install_default_drivers();
        let directory = tempfile::tempdir().unwrap();
        let pools = open(&directory.path().join("proxy.db")).await.unwrap();
        pools.writers.execute("CREATE TABLE t (n INTEGER)").await.unwrap();
        let error = pools.readers.execute("INSERT INTO t VALUES (1)").await.unwrap_err();
        assert!(error.to_string().contains("readonly"), "{error}");
        pools.close().await;
    }
}
