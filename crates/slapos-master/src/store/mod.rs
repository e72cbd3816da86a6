//! All that a Master remembers. Only this module and its children speak SQL.
//!
//! Invariants: each public function is one transaction; a change is on disk before the function
//! returns; readers never wait for writers. What is peculiar to SQLite is in [`sqlite`] alone.

mod audit;
mod certificates;
mod changes;
mod computers;
mod information;
mod instances;
mod overview;
mod owners;
mod people;
mod reports;
mod request;
mod routes;
mod rows;
mod shared;
mod sqlite;
#[cfg(test)]
mod tests;
mod tokens;
mod tree_addresses;
mod tx;

use std::path::Path;
use std::sync::Arc;

use slapos_slap::{ComputerId, PartitionId};
use slapos_sys::clock::Clock;
use sqlx::AnyPool;

use crate::error::StoreError;

pub(crate) use audit::Entry;
pub(crate) use certificates::{Issued, KeptAuthority};
#[cfg(test)]
pub(crate) use changes::KEPT;
pub(crate) use changes::{News, Position};
pub use instances::Freed;
pub(crate) use people::{Named, check_name};
pub(crate) use tokens::Holder;
use tx::Tx;

/// The memory of a Master.
pub struct Store {
    readers: AnyPool,
    writer: AnyPool,
    clock: Arc<dyn Clock>,
    bells: Arc<changes::Bells>,
    /// The computer that requests go to when they name none.
    home: ComputerId,
}

impl Store {
    /// Opens the database file, making it if it does not exist, and brings it to the present
    /// schema. `home` is the computer of requests that name none; it is made known.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`] and [`StoreError::Newer`] leave the file as it is.
    pub async fn open(
        path: &Path,
        home: ComputerId,
        clock: Arc<dyn Clock>,
    ) -> Result<Store, StoreError> {
        let (writer, readers) = sqlite::open(path, &*clock).await?;
        let store = Store { readers, writer, clock, bells: Arc::default(), home };
        let mut tx = store.write().await?;
        sqlx::query(
            "INSERT INTO computer (reference, address, netmask) VALUES ($1, '', '') \
             ON CONFLICT (reference) DO NOTHING",
        )
        .bind(store.home.as_str())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(store)
    }

    /// Waits for running transactions and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A consistent view; dropped without commit.
    async fn read(&self) -> Result<Tx, StoreError> {
        Ok(Tx::new(self.readers.begin().await?, &self.bells))
    }

    /// The right to change things; what is not committed did not happen.
    async fn write(&self) -> Result<Tx, StoreError> {
        Ok(Tx::new(self.writer.begin_with(sqlite::BEGIN_WRITE).await?, &self.bells))
    }

    /// The present time in microseconds since 1970.
    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

/// Requires that the computer is known.
async fn require_computer(tx: &mut Tx, computer: &ComputerId) -> Result<(), StoreError> {
    let found = sqlx::query("SELECT reference FROM computer WHERE reference = $1")
        .bind(computer.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    match found {
        Some(_) => Ok(()),
        None => Err(StoreError::no_computer(computer)),
    }
}

/// Requires that the partition is known.
async fn require_partition(
    tx: &mut Tx,
    computer: &ComputerId,
    partition: &PartitionId,
) -> Result<(), StoreError> {
    let found = sqlx::query(
        "SELECT reference FROM computer_partition WHERE computer = $1 AND reference = $2",
    )
    .bind(computer.as_str())
    .bind(partition.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    match found {
        Some(_) => Ok(()),
        None => Err(StoreError::no_partition(computer, partition)),
    }
}
