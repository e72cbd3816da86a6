//! All that a Master remembers. Only this module and its children speak SQL.
//!
//! Invariants: each public function is one transaction; a change is on disk before the function
//! returns; readers never wait for writers. What is peculiar to a kind of database is in [`sqlite`] and
//! [`postgres`] alone, except how the list of tables is read ([`catalog`]).

mod asked;
mod at_once;
mod audit;
mod backup;
mod blank;
mod catalog;
mod certificates;
mod changes;
mod computers;
mod connection;
mod consumption;
mod database;
mod documents;
mod failure;
mod farewells;
mod feed;
mod finished;
mod forwarded;
mod group;
mod hosts;
mod information;
mod inline;
mod instances;
mod listing;
mod migrate;
mod migrations;
mod notes;
mod offers;
mod orphans;
mod other_masters;
mod overview;
mod owners;
mod people;
mod placing;
mod pooled;
mod pools;
mod postgres;
mod presence;
mod ready;
mod remarks;
mod removal;
mod repeated;
mod replace;
mod reports;
mod request;
mod restart;
mod restore;
mod routes;
mod rows;
mod settings;
mod shared;
mod sqlite;
#[cfg(test)]
mod tests;
mod together;
mod tokens;
mod told;
mod tree_addresses;
mod turns;
mod tx;
mod waits;

use std::sync::{Arc, Mutex, PoisonError};

use slapos_slap::{ComputerId, PartitionId};
use slapos_sys::clock::Clock;
use slapos_sys::lock::SharedLock;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error::StoreError;

pub(crate) use audit::{Entry as AuditEntry, Told as AuditTold};
pub use backup::backup;
pub(crate) use certificates::{Issued, KeptAuthority};
#[cfg(test)]
pub(crate) use changes::KEPT;
pub(crate) use changes::{Bell, News, Position};
pub use database::{Database, Server};
pub(crate) use documents::InstanceDocument;
pub(crate) use farewells::Farewell;
pub(crate) use feed::{Entry as FeedEntry, KINDS, Place};
pub(crate) use forwarded::Standing;
pub(crate) use information::Revision;
pub use instances::Freed;
pub(crate) use listing::{InstanceFilter, MOST, SOFTWARE_STATES, Scope, Window, cursor};
pub use migrate::{Migrated, migrate, rehearse_migration};
pub(crate) use people::{Named, check_name};
use pools::Pools;
pub(crate) use repeated::Known;
pub use request::Would;
pub use restore::{Restoration, rehearse_restore, restore};
pub(crate) use tokens::{Holder, TokenInfo};
pub(crate) use told::PartitionTold;
use tx::Tx;
pub(crate) use waits::Waits;

/// What gives those who write their turns.
#[derive(Clone)]
enum Writers {
    /// In a file.
    Group(Arc<group::Group>),
    /// At a server.
    Turns(turns::Turns),
}

impl Writers {
    fn of(pools: &Pools, bells: Arc<changes::Bells>) -> Writers {
        match &pools.inline {
            Some(inline) => Writers::Group(group::Group::new(Arc::clone(&inline.writer), bells)),
            None => {
                Writers::Turns(turns::Turns::new(pools.clone(), bells, turns::Limits::default()))
            }
        }
    }

    /// The right to change things, once those who came before have finished.
    async fn turn(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Writers::Group(group) => Tx::member(group.join().await?),
            Writers::Turns(turns) => Tx::turn(turns.next().await?),
        })
    }
}

/// The memory of a Master.
pub struct Store {
    pools: Pools,
    writers: Writers,
    clock: Arc<dyn Clock>,
    bells: Arc<changes::Bells>,
    /// What hears of the changes that other Masters make.
    hearing: Option<AbortHandle>,
    /// Becomes true when what hears finds another content in the database; a file is held all the time.
    replaced: Option<watch::Receiver<bool>>,
    /// At a file; at a server it is held by what hears.
    presence: Mutex<Option<SharedLock>>,
    /// The computer that requests go to when they name none; empty if there is none.
    home: ComputerId,
    notes: notes::Notes,
    waits: Waits,
}

impl Store {
    /// Opens the database, making a file that does not exist, and brings it to the present schema.
    /// `home` is the computer of requests that name none, and is made known; an empty one is none. To be
    /// called on a `tokio` runtime, which serves the store from then on.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`] and [`StoreError::Newer`] leave the database as it is;
    /// [`StoreError::Busy`] while it is being restored.
    pub async fn open(
        database: &Database,
        home: ComputerId,
        clock: Arc<dyn Clock>,
    ) -> Result<Store, StoreError> {
        let pools = Pools::connect(database).await?;
        // Before anything is changed, and for as long as the store is open.
        let (presence, listener) = match database {
            Database::File(path) => (Some(presence::share(path)?), None),
            Database::Server(server) => (None, Some((server, postgres::listen(server).await?))),
        };
        pools.update(&*clock).await?;
        let mut tx = pools.write().await?;
        changes::leave_era(&mut tx, pools.kind).await?;
        let era = changes::name_era(&mut tx).await?;
        make_known(&mut tx, &home).await?;
        other_masters::without_tokens(&mut tx).await?;
        tx.commit().await?;
        let bells = Arc::new(changes::Bells::new().map_err(|error| {
            StoreError::Unavailable(format!("the machine gives no random name: {error}"))
        })?);
        let (hearing, replaced) = listener
            .map(|(server, listener)| {
                let hear = postgres::hear(server.clone(), listener, Arc::clone(&bells), era);
                let (tell, replaced) = watch::channel(false);
                let hear = async move {
                    hear.await;
                    let _ = tell.send(true);
                };
                (tokio::spawn(hear).abort_handle(), replaced)
            })
            .unzip();
        let writers = Writers::of(&pools, Arc::clone(&bells));
        let notes = notes::Notes::default();
        let presence = Mutex::new(presence);
        let waits = Waits::default();
        Ok(Store { pools, writers, clock, bells, hearing, replaced, presence, home, notes, waits })
    }

    /// Waits until the database turns out to have been replaced behind the back of this Master, which had
    /// lost its connection: nothing that it remembers holds then. Most often that is never.
    pub(crate) async fn replaced(&self) -> StoreError {
        if let Some(mut replaced) = self.replaced.clone()
            && replaced.wait_for(|replaced| *replaced).await.is_ok()
        {
            return StoreError::Replaced { database: self.pools.name.clone() };
        }
        std::future::pending().await
    }

    /// Waits for running transactions and closes the database.
    pub async fn close(&self) {
        self.hearing.iter().for_each(AbortHandle::abort);
        if let Writers::Group(group) = &self.writers {
            group.settled().await;
        }
        self.pools.close().await;
        *self.presence.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How long requests waited for the database.
    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// The computer of requests that name none; empty if there is none.
    pub(crate) fn home(&self) -> &ComputerId {
        &self.home
    }

    /// A consistent view; dropped without commit.
    async fn read(&self) -> Result<Tx, StoreError> {
        let own = self.waits.count("read", self.pools.read()).await?;
        Ok(Tx::reading(own, self.pools.kind))
    }

    /// A connection for one statement that reads.
    async fn reader(&self) -> Result<connection::Connection, StoreError> {
        self.waits.count("read", self.pools.reader()).await
    }

    /// The same for what may take long: lists of everything.
    async fn read_long(&self) -> Result<Tx, StoreError> {
        let own = self.waits.count("list", self.pools.read_long()).await?;
        Ok(Tx::reading(own, self.pools.kind))
    }

    /// The right to change things; what is not committed did not happen.
    async fn write(&self) -> Result<Tx, StoreError> {
        self.writing().await
    }

    /// The same for what goes on beside its caller.
    fn writing(&self) -> impl Future<Output = Result<Tx, StoreError>> + Send + use<> {
        let (writers, waits) = (self.writers.clone(), self.waits.clone());
        async move { waits.count("write", writers.turn()).await }
    }

    /// The present time in microseconds since 1970.
    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.hearing.iter().for_each(AbortHandle::abort);
    }
}

/// Makes a computer known that has told nothing of itself yet.
async fn make_known(
    tx: &mut connection::Connection,
    computer: &ComputerId,
) -> Result<(), StoreError> {
    if computer.as_str().is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO computer (reference, address, netmask) VALUES ($1, '', '') \
         ON CONFLICT (reference) DO NOTHING",
    )
    .bind(computer.as_str())
    .execute(tx)
    .await?;
    Ok(())
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
