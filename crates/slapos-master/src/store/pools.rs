//! The connections to a database, and how transactions begin on each kind of it.
//!
//! Invariants, for both kinds: a transaction that reads has one consistent view, and never waits for
//! those that write; a transaction that writes sees all that was committed before, and nobody else
//! changes what it may touch until it ends. How that is had is said in [`sqlite`] and [`postgres`].
//!
//! [`sqlite`]: super::sqlite
//! [`postgres`]: super::postgres

use std::sync::Arc;

use slapos_sys::clock::Clock;
use sqlx::AnyPool;

use super::connection::{Connection, Transaction};
use super::database::Database;
use super::inline::Files;
use super::pooled::Pooled;
use super::{migrations, postgres, sqlite};
use crate::error::StoreError;

/// The kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One file.
    Sqlite,
    /// A server.
    Postgres,
}

/// The connections.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    pub(super) kind: Kind,
    /// The database, as it may be shown.
    pub(super) name: String,
    /// Connections to a server; those to a file for lists, and for what changes everything.
    pub(super) writers: AnyPool,
    pub(super) readers: AnyPool,
    /// Those to a file for what is short.
    pub(super) inline: Option<Inlines>,
}

/// Connections to a file in the thread of who asks.
#[derive(Debug, Clone)]
pub(super) struct Inlines {
    /// There is one: a file has one writer.
    pub(super) writer: Arc<Files>,
    pub(super) readers: Arc<Files>,
}

impl Pools {
    /// Connects, having made sure that the database is ours, or empty. The schema stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`] leaves the database as it is.
    pub(super) async fn connect(database: &Database) -> Result<Pools, StoreError> {
        sqlx::any::install_default_drivers();
        match database {
            Database::File(path) => sqlite::open(path).await,
            Database::Server(server) => postgres::open(server, database.to_string()).await,
        }
    }

    /// Connects to a database that exists already.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`StoreError::File`] when there is no such file.
    pub(super) async fn existing(database: &Database) -> Result<Pools, StoreError> {
        if let Database::File(path) = database {
            let failed = |source| StoreError::File { path: path.clone(), source };
            path.metadata().map_err(failed)?;
        }
        Pools::connect(database).await
    }

    /// Brings the database to the present schema.
    ///
    /// # Errors
    /// [`StoreError::Newer`].
    pub(super) async fn update(&self, clock: &dyn Clock) -> Result<(), StoreError> {
        migrations::migrate(self, clock, migrations::latest()).await.map(drop)
    }

    /// A connection for one statement that reads.
    pub(super) async fn reader(&self) -> Result<Connection, StoreError> {
        Ok(match &self.inline {
            Some(inline) => Connection::Inline(inline.readers.lend().await?),
            None => Connection::Pooled(self.readers.acquire().await?.into()),
        })
    }

    /// A consistent view; dropped without commit.
    pub(super) async fn read(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction::begin(self.reader().await?, self.begin_read()).await?)
    }

    /// The same for what may read longer than a thread of the runtime should be held.
    pub(super) async fn read_long(&self) -> Result<Transaction, StoreError> {
        let reader = Connection::Pooled(self.readers.acquire().await?.into());
        Ok(Transaction::begin(reader, self.begin_read()).await?)
    }

    fn begin_read(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => sqlite::BEGIN_READ,
            Kind::Postgres => postgres::BEGIN_READ,
        }
    }

    /// The right to change everything: one transaction at a time has it.
    pub(super) async fn write(&self) -> Result<Transaction, StoreError> {
        match &self.inline {
            Some(inline) => {
                let writer = Connection::Inline(inline.writer.lend().await?);
                Ok(Transaction::begin(writer, sqlite::BEGIN_WRITE).await?)
            }
            None => self.write_long().await,
        }
    }

    /// The same for commands that change everything, and at a server, where the connection is closed
    /// unless the transaction is ended by its owner: what it holds others wait for.
    async fn write_long(&self) -> Result<Transaction, StoreError> {
        let writer = self.writers.acquire().await?;
        match self.kind {
            Kind::Sqlite => {
                let writer = Connection::Pooled(writer.into());
                Ok(Transaction::begin(writer, sqlite::BEGIN_WRITE).await?)
            }
            Kind::Postgres => {
                let writer = Connection::Pooled(Pooled::in_doubt(writer));
                let mut tx = Transaction::begin(writer, postgres::BEGIN_WRITE).await?;
                postgres::lock_all(&mut tx).await?;
                Ok(tx)
            }
        }
    }

    /// As [`read`](Self::read), for as long as it takes to copy everything.
    pub(super) async fn read_all(&self) -> Result<Transaction, StoreError> {
        let tx = self.read_long().await?;
        self.patient(tx).await
    }

    /// As [`write`](Self::write), for as long as it takes to change everything.
    pub(super) async fn write_all(&self) -> Result<Transaction, StoreError> {
        let tx = self.write_long().await?;
        self.patient(tx).await
    }

    async fn patient(&self, mut tx: Transaction) -> Result<Transaction, StoreError> {
        if self.kind == Kind::Postgres {
            postgres::take_time(&mut tx).await?;
        }
        Ok(tx)
    }

    /// Waits for running transactions and closes the connections.
    pub(super) async fn close(&self) {
        if let Some(inline) = &self.inline {
            inline.readers.close().await;
            inline.writer.close().await;
        }
        self.readers.close().await;
        self.writers.close().await;
    }
}
