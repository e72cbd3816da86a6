//! The database as one SQLite file: whose it is, its schema, its connections.
//!
//! Invariant: a file that is not ours is only read, never written, not even by SQLite itself.
//! A process opens a file once at a time: looking at the header and closing the file again would
//! drop the locks of connections that the same process has on it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use slapos_sys::clock::Clock;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Connection as _, Executor as _, Row as _, Transaction};

use crate::error::StoreError;

/// `PRAGMA application_id` of our files: the letters `SlaM`.
const APPLICATION_ID: u32 = 0x536c_614d;

/// Starts a transaction that may write. A deferred one would fail when it turned out to write
/// while another does, instead of waiting.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// All schema changes in order, with their numbers.
const MIGRATIONS: [(i64, &str, &str); 5] = [
    (1, "first", include_str!("../../migrations/sqlite/0001_first.sql")),
    (2, "filter", include_str!("../../migrations/sqlite/0002_filter.sql")),
    (3, "partition_route", include_str!("../../migrations/sqlite/0003_partition_route.sql")),
    (4, "changes", include_str!("../../migrations/sqlite/0004_changes.sql")),
    (6, "identity", include_str!("../../migrations/0006_identity.up.sql")),
];

/// Connections that only read. They do not wait for the writer (WAL), and SQLite itself is fast
/// enough that more would only take memory.
const READERS: u32 = 4;

/// Opens the file: a pool of one connection that writes, and one of several that read.
pub(super) async fn open(path: &Path, clock: &dyn Clock) -> Result<(AnyPool, AnyPool), StoreError> {
    prepare(path)?;
    sqlx::any::install_default_drivers();
    let url = url(path)?;
    let writer = pool(1).connect(&url).await?;
    migrate(path, &writer, clock).await?;
    let readers = pool(READERS).connect(&url).await?;
    Ok((writer, readers))
}

fn pool(connections: u32) -> AnyPoolOptions {
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
        .after_connect(|connection, _| {
            Box::pin(async move {
                // FULL: what was answered survives a power failure, not only a kill.
                connection
                    .execute(
                        "PRAGMA busy_timeout = 30000; PRAGMA foreign_keys = ON; \
                         PRAGMA synchronous = FULL;",
                    )
                    .await?;
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
    match slapos_sys::fs::create_new(path, 0o600) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(file_error(path, error)),
    }
    match foreign(path).map_err(|error| file_error(path, error))? {
        None => Ok(()),
        Some(found) => Err(StoreError::NotOurs { path: path.to_owned(), found }),
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

/// Marks a new file as ours and applies the migrations that it lacks. A newer file is left alone.
async fn migrate(path: &Path, writer: &AnyPool, clock: &dyn Clock) -> Result<(), StoreError> {
    let known = MIGRATIONS.iter().map(|(number, ..)| *number).max().unwrap_or_default();
    let found = version(&mut writer.begin().await?).await?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    if found == 0 {
        // Outside of WAL mode and as the first write, so that the mark is in the file's first
        // page before anything else is anywhere; `foreign` looks for it there.
        let mark = format!("PRAGMA application_id = {APPLICATION_ID}");
        writer.execute(sqlx::AssertSqlSafe(mark)).await?;
    }
    writer.execute("PRAGMA journal_mode = WAL").await?;
    let mut tx = writer.begin_with(BEGIN_WRITE).await?;
    // Again, now that nobody else can change it.
    let found = version(&mut tx).await?;
    for (number, name, sql) in MIGRATIONS {
        if number <= found {
            continue;
        }
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_migration (version, name, applied_at) VALUES ($1, $2, $3)")
            .bind(number)
            .bind(name)
            .bind(clock.now().as_microsecond())
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The schema of the file: 0 when it has none yet.
async fn version(tx: &mut Transaction<'static, Any>) -> Result<i64, StoreError> {
    let table = sqlx::query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'",
    );
    if table.fetch_optional(&mut **tx).await?.is_none() {
        return Ok(0);
    }
    let newest = sqlx::query("SELECT version FROM schema_migration ORDER BY version DESC LIMIT 1");
    match newest.fetch_optional(&mut **tx).await? {
        Some(row) => Ok(row.try_get("version")?),
        None => Ok(0),
    }
}

fn file_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::File { path: path.to_owned(), source }
}
