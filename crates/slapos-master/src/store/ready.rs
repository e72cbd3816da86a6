//! Whether a store can be used: read, and written. What is tried costs next to nothing and leaves nothing,
//! because strangers may ask for it.
//!
//! A file is not written for that: a transaction that is rolled back does not come to the disk, and one
//! that is committed has others wait. Instead its file system must have room, and take some bytes.

use std::io;
use std::path::{Path, PathBuf};

use super::connection::{Connection, Transaction};
use super::pools::Kind;
use super::{Store, migrations, postgres};
use crate::error::StoreError;

/// So much must be free beside a file, bytes: what is written ahead of it takes some, too.
const ROOM: u64 = 16 << 20;

impl Store {
    /// Whether the database answers, has the schema that this version knows, and can be written.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let pools = &self.pools;
        migrations::not_newer(&mut *pools.read().await?, pools.kind, &pools.name).await?;
        match pools.kind {
            Kind::Sqlite => {
                let path = PathBuf::from(&pools.name);
                let tried = tokio::task::spawn_blocking(move || can_be_written(&path, ROOM)).await;
                tried.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
            }
            // A server that only reads refuses the beginning already.
            Kind::Postgres => {
                let writer = Connection::Pooled(pools.writers.acquire().await?.into());
                drop(Transaction::begin(writer, postgres::BEGIN_WRITE).await?);
                Ok(())
            }
        }
    }
}

/// Whether the file system of the file has so many bytes free, and takes some.
fn can_be_written(file: &Path, room: u64) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { path: file.to_owned(), source };
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let free = slapos_sys::fs::free_space(directory).map_err(failed)?;
    if free < room {
        let why = format!("its file system has {free} bytes free, and needs {room}");
        return Err(failed(io::Error::new(io::ErrorKind::StorageFull, why)));
    }
    slapos_sys::fs::try_to_write(directory).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_needs_room_and_a_directory_that_takes_something() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("proxy.db");
        can_be_written(&file, 1).unwrap();
        let full = can_be_written(&file, u64::MAX).unwrap_err().to_string();
        assert!(
            full.contains("proxy.db: its file system has ") && full.contains("needs"),
            "{full}"
        );
        assert!(can_be_written(&directory.path().join("gone/proxy.db"), 1).is_err());
    }
}
