//! A connection to the database, whatever kind it is, and a transaction on it: what the rest of the
//! store asks.
//!
//! `sqlx` asks a server over a socket, and a file through a thread of its own. The way to that thread and
//! back is dearer than what most statements do there, so a file is asked right here ([`inline`]) where
//! an answer takes microseconds. What reads for long, a list of everything, goes to the thread, so that
//! no thread of the runtime is held by it; what writes many rows here lets others have a turn between
//! them. Who writes to a server asks through the task that has the connection ([`turns`]).
//!
//! Invariant: a transaction that is dropped without commit, at any moment, did not happen.
//!
//! [`inline`]: super::inline
//! [`turns`]: super::turns

use std::ops::{Deref, DerefMut};

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTransactionManager, AnyTypeInfo};
use sqlx::{Any, AnyConnection, Either, Error, Execute, Executor, SqlSafeStr as _, SqlStr};
use sqlx_core::transaction::TransactionManager as _;

use super::asked::{Answer, Ask, Asked, Keep};
use super::inline::Lent;
use super::pooled::Pooled;
use super::turns::Line;

/// See the module.
#[derive(Debug)]
pub(super) enum Connection {
    /// One of several to a server, or through a thread to a file.
    Pooled(Pooled),
    /// One of its own.
    Single(AnyConnection),
    /// A file, in the thread of who asks.
    Inline(Lent),
    /// A server, through the task that writes to it, in a transaction that it has begun.
    Line(Line),
}

/// The two ways to ask.
enum Way<'c> {
    Apart(&'c mut AnyConnection),
    Whole(&'c mut dyn Ask),
}

impl Connection {
    fn way(&mut self) -> Way<'_> {
        match self {
            Connection::Pooled(pooled) => Way::Apart(pooled),
            Connection::Single(single) => Way::Apart(single),
            Connection::Inline(lent) => Way::Whole(lent),
            Connection::Line(line) => Way::Whole(line),
        }
    }

    /// One whose transactions `sqlx` begins and ends.
    fn apart(&mut self) -> Result<&mut AnyConnection, Error> {
        match self.way() {
            Way::Apart(apart) => Ok(apart),
            Way::Whole(_) => Err(Error::InvalidSavePointStatement),
        }
    }

    /// Waits until one of its own is closed; others are given back.
    pub(super) async fn close(self) -> Result<(), Error> {
        match self {
            Connection::Single(single) => sqlx::Connection::close(single).await,
            Connection::Pooled(_) | Connection::Inline(_) | Connection::Line(_) => Ok(()),
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
            Way::Whole(whole) => {
                Box::pin(
                    async move { Ok(whole.ask(Asked::of(query)?, Keep::Nothing).await?.result()) },
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
            Way::Whole(whole) => Box::pin(Answer::of(whole, Asked::of(query))),
        }
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self.way() {
            Way::Apart(apart) => apart.fetch_all(query),
            Way::Whole(whole) => {
                Box::pin(async move { Ok(whole.ask(Asked::of(query)?, Keep::All).await?.rows) })
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
            Way::Whole(whole) => {
                Box::pin(
                    async move { Ok(whole.ask(Asked::of(query)?, Keep::First).await?.rows.pop()) },
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
            Way::Whole(_) => Box::pin(std::future::ready(Err(Error::Configuration(
                "statements are prepared by who asks the database, and then kept".into(),
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
        match &mut tx.connection {
            Connection::Inline(inline) => {
                inline.ask(Asked::plain(statement), Keep::Nothing).await?;
            }
            Connection::Pooled(pooled) => {
                // `sqlx` counts it only when that is answered: to whoever goes away before, nothing is open.
                let trusted = pooled.doubt();
                let statement = Some(statement.into_sql_str());
                AnyTransactionManager::begin(pooled, statement).await?;
                if trusted {
                    pooled.trust();
                }
            }
            other => {
                let statement = Some(statement.into_sql_str());
                AnyTransactionManager::begin(other.apart()?, statement).await?;
            }
        }
        Ok(tx)
    }

    /// Makes it happen: it is on disk then. That of an inline connection never suspends its caller,
    /// so that it cannot be given up in the middle.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        match &mut self.connection {
            Connection::Inline(inline) => inline.commit()?,
            other => AnyTransactionManager::commit(other.apart()?).await?,
        }
        self.has_ended();
        Ok(())
    }

    /// Ends it as if it had not been, and waits until that is so.
    pub(super) async fn roll_back(mut self) -> Result<(), Error> {
        match &mut self.connection {
            Connection::Inline(inline) => inline.roll_back(),
            other => AnyTransactionManager::rollback(other.apart()?).await?,
        }
        self.has_ended();
        Ok(())
    }

    fn has_ended(&mut self) {
        self.is_open = false;
        if let Connection::Pooled(pooled) = &mut self.connection {
            pooled.trust();
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        match &mut self.connection {
            Connection::Inline(inline) => inline.roll_back(),
            other => {
                if let Ok(apart) = other.apart() {
                    AnyTransactionManager::start_rollback(apart);
                }
            }
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
