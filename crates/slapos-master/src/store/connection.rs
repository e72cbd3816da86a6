//! A connection to the database, whatever kind it is, and a transaction on it: what the rest of the
//! store asks.
//!
//! `sqlx` asks a server over a socket, and a file through a thread of its own. The way to that thread and
//! back is dearer than what most statements do there, so a file is asked right here ([`inline`]) where
//! an answer takes microseconds. What reads for long, a list of everything, goes to the thread, so that
//! no thread of the runtime is held by it; what writes many rows here lets others have a turn between
//! them.
//!
//! Invariant: a transaction that is dropped without commit, at any moment, did not happen.
//!
//! [`inline`]: super::inline

use std::ops::{Deref, DerefMut};

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTransactionManager, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Either, Error, Execute, Executor, SqlSafeStr as _, SqlStr};
use sqlx_core::transaction::TransactionManager as _;

use super::inline::{Asked, Keep, Lent};

/// See the module.
#[derive(Debug)]
pub(super) enum Connection {
    /// One of several to a server, or through a thread to a file.
    Pooled(PoolConnection<Any>),
    /// One of its own.
    Single(AnyConnection),
    /// A file, in the thread of who asks.
    Inline(Lent),
}

/// The two ways to ask.
enum Way<'c> {
    Apart(&'c mut AnyConnection),
    Inline(&'c mut Lent),
}

impl Connection {
    fn way(&mut self) -> Way<'_> {
        match self {
            Connection::Pooled(pooled) => Way::Apart(pooled),
            Connection::Single(single) => Way::Apart(single),
            Connection::Inline(lent) => Way::Inline(lent),
        }
    }

    /// Waits until one of its own is closed; others are given back.
    pub(super) async fn close(self) -> Result<(), Error> {
        match self {
            Connection::Single(single) => sqlx::Connection::close(single).await,
            Connection::Pooled(_) | Connection::Inline(_) => Ok(()),
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<AnyQueryResult, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self.way() {
            Way::Apart(apart) => apart.execute(query),
            Way::Inline(inline) => {
                Box::pin(
                    async move { Ok(inline.ask(Asked::of(query)?, Keep::Nothing).await?.result()) },
                )
            }
        }
    }

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self.way() {
            Way::Apart(apart) => apart.fetch_many(query),
            Way::Inline(inline) => Box::pin(inline.stream(Asked::of(query))),
        }
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self.way() {
            Way::Apart(apart) => apart.fetch_all(query),
            Way::Inline(inline) => {
                Box::pin(async move { Ok(inline.ask(Asked::of(query)?, Keep::All).await?.rows) })
            }
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self.way() {
            Way::Apart(apart) => apart.fetch_optional(query),
            Way::Inline(inline) => {
                Box::pin(
                    async move { Ok(inline.ask(Asked::of(query)?, Keep::First).await?.rows.pop()) },
                )
            }
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        match self.way() {
            Way::Apart(apart) => apart.prepare_with(sql, parameters),
            Way::Inline(_) => Box::pin(std::future::ready(Err(Error::Configuration(
                "statements about a file are prepared when they are asked, and then kept".into(),
            )))),
        }
    }
}

/// A transaction. See the module.
#[derive(Debug)]
pub(super) struct Transaction {
    connection: Connection,
    is_open: bool,
}

impl Transaction {
    /// Begins one by that statement.
    pub(super) async fn begin(
        connection: Connection,
        statement: &'static str,
    ) -> Result<Transaction, Error> {
        // Open from now on: whoever goes away while it begins leaves nothing.
        let mut tx = Transaction { connection, is_open: true };
        match tx.connection.way() {
            Way::Apart(apart) => {
                AnyTransactionManager::begin(apart, Some(statement.into_sql_str())).await?;
            }
            Way::Inline(inline) => {
                inline.ask(Asked::plain(statement), Keep::Nothing).await?;
            }
        }
        Ok(tx)
    }

    /// Makes it happen: it is on disk then. That of an inline connection never suspends its caller,
    /// so that it cannot be given up in the middle.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        match self.connection.way() {
            Way::Apart(apart) => AnyTransactionManager::commit(apart).await?,
            Way::Inline(inline) => inline.commit()?,
        }
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        match self.connection.way() {
            Way::Apart(apart) => AnyTransactionManager::start_rollback(apart),
            Way::Inline(inline) => inline.roll_back(),
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
