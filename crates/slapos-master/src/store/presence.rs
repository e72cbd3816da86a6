//! Who uses a database: Masters, any number of them together, or one command alone that puts something
//! else in the place of what they remember.
//!
//! Beside a file it is a lock on another file, on a server an advisory lock of a session: either ends with
//! the process that holds it, whatever ended that. What a Master holds on a server is held by the
//! connection that listens (see [`postgres`]).

use std::path::{Path, PathBuf};

use slapos_sys::lock::SharedLock;
use sqlx::AnyConnection;

use super::database::Database;
use super::postgres;
use crate::error::StoreError;

/// The right to be at a database alone, until it is dropped.
pub(super) enum Alone {
    /// At a file.
    File { _lock: SharedLock },
    /// At a server.
    Server { _session: AnyConnection },
}

/// The right of a Master to be at a file, with others.
///
/// # Errors
/// [`StoreError::Busy`] while somebody is there alone.
pub(super) fn share(path: &Path) -> Result<SharedLock, StoreError> {
    let lock = SharedLock::try_share(&beside(path)).map_err(|error| failed(path, error))?;
    lock.ok_or_else(|| taken(&path.display().to_string()))
}

/// What a Master is told who comes while somebody is there alone.
pub(super) fn taken(name: &str) -> StoreError {
    StoreError::Busy(format!("{name} is being restored, or taken to another schema"))
}

/// The right to be there alone.
///
/// # Errors
/// [`StoreError::InUse`] while a Master is there.
pub(super) async fn alone(database: &Database) -> Result<Alone, StoreError> {
    let in_use = |by| StoreError::InUse { database: database.to_string(), by };
    match database {
        Database::File(path) => {
            let lock = SharedLock::try_alone(&beside(path)).map_err(|error| failed(path, error))?;
            let lock = lock.ok_or_else(|| in_use("a Master on this machine".to_owned()))?;
            Ok(Alone::File { _lock: lock })
        }
        Database::Server(server) => match postgres::alone(server).await? {
            Ok(session) => Ok(Alone::Server { _session: session }),
            Err(places) if places.is_empty() => Err(in_use("a Master".to_owned())),
            Err(places) => Err(in_use(format!("a Master (connected from {})", places.join(", ")))),
        },
    }
}

/// The file that is locked for a database, which itself SQLite locks in its own way.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    path.with_file_name(name)
}

fn failed(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::File { path: beside(path), source }
}
