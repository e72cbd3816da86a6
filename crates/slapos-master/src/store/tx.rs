//! One transaction that reads, or a member of one that several callers share: what it changed is noted
//! with it, so that the bells of those computers are rung when it is committed, and only then: this
//! Master's own, and through the database those of others.

use std::ops::{Deref, DerefMut};

use slapos_slap::ComputerId;

use super::connection::{Connection, Transaction};
use super::group::Member;
use super::pools::Kind;
use super::turns::Turn;
use crate::error::StoreError;

/// See the module. What is not committed did not happen.
pub(super) struct Tx {
    inner: Inner,
    kind: Kind,
    changed: Vec<ComputerId>,
    /// Entries of the feed that the transaction has.
    entries: i64,
}

enum Inner {
    Own(Transaction),
    Member(Member),
    Turn(Turn),
}

impl Tx {
    /// One that reads.
    pub(super) fn reading(own: Transaction, kind: Kind) -> Tx {
        Tx { inner: Inner::Own(own), kind, changed: Vec::new(), entries: 0 }
    }

    /// One that is committed together with others, in a file.
    pub(super) fn member(member: Member) -> Tx {
        let (inner, kind) = (Inner::Member(member), Kind::Sqlite);
        Tx { inner, kind, changed: Vec::new(), entries: 0 }
    }

    /// One that is committed together with others, at a server.
    pub(super) fn turn(turn: Turn) -> Tx {
        let (entries, kind) = (turn.entries(), Kind::Postgres);
        Tx { inner: Inner::Turn(turn), kind, changed: Vec::new(), entries }
    }

    /// Has the bell of a computer rung after the commit.
    pub(super) fn ring(&mut self, computer: &ComputerId) {
        if !self.changed.contains(computer) {
            self.changed.push(computer.clone());
        }
    }

    /// The kind of database that it is in.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The place of the next entry of the feed among those of the transaction.
    pub(super) fn next_entry(&mut self) -> i64 {
        self.entries += 1;
        self.entries
    }

    /// Makes it all happen.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Own(transaction) => Ok(transaction.commit().await?),
            Inner::Member(member) => member.commit(self.changed).await,
            Inner::Turn(turn) => turn.commit(self.changed, self.entries).await,
        }
    }

    /// Makes nothing of it happen, and waits until what others had written in the same transaction, which
    /// could be seen, is on disk.
    ///
    /// # Errors
    /// Failures of the database: what could be seen is not there.
    pub(super) async fn give_up(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Own(_) => Ok(()),
            Inner::Member(member) => member.give_up().await,
            Inner::Turn(turn) => turn.give_up().await,
        }
    }

    /// Why something is refused, once all that it follows from is on disk; or why that is not.
    pub(super) async fn refuse(self, why: StoreError) -> StoreError {
        match why {
            StoreError::NotFound(_) | StoreError::Conflict(_) | StoreError::Invalid(_) => {
                self.give_up().await.err().unwrap_or(why)
            }
            failure => failure,
        }
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.inner {
            Inner::Own(transaction) => transaction,
            Inner::Member(member) => member,
            Inner::Turn(turn) => turn,
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.inner {
            Inner::Own(transaction) => transaction,
            Inner::Member(member) => member,
            Inner::Turn(turn) => turn,
        }
    }
}
