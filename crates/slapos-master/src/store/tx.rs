//! One transaction, or a member of one that several callers share, which rings the bells of the
//! computers that it changed when it is committed, and only then: its own, and through the database
//! those of other Masters.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use slapos_slap::ComputerId;

use super::changes::Bells;
use super::connection::{Connection, Transaction};
use super::group::Member;
use super::pools::Kind;
use super::postgres;
use crate::error::StoreError;

/// See the module. What is not committed did not happen.
pub(super) struct Tx {
    inner: Inner,
    kind: Kind,
    bells: Arc<Bells>,
    changed: Vec<ComputerId>,
    /// Entries of the feed that it wrote.
    entries: i64,
}

enum Inner {
    Own(Transaction),
    Shared(Member),
}

impl Tx {
    pub(super) fn new(inner: Transaction, kind: Kind, bells: &Arc<Bells>) -> Tx {
        Tx {
            inner: Inner::Own(inner),
            kind,
            bells: Arc::clone(bells),
            changed: Vec::new(),
            entries: 0,
        }
    }

    /// One that is committed together with others.
    pub(super) fn shared(inner: Member, kind: Kind, bells: &Arc<Bells>) -> Tx {
        let (bells, changed) = (Arc::clone(bells), Vec::new());
        Tx { inner: Inner::Shared(inner), kind, bells, changed, entries: 0 }
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
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        if self.kind == Kind::Postgres {
            let (teller, changed) = (self.bells.name().to_owned(), self.changed.clone());
            postgres::tell(&mut self, &teller, &changed).await?;
        }
        match self.inner {
            Inner::Own(transaction) => transaction.commit().await?,
            Inner::Shared(member) => member.commit().await?,
        }
        self.changed.iter().for_each(|computer| self.bells.ring(computer));
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.inner {
            Inner::Own(transaction) => transaction,
            Inner::Shared(member) => member,
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.inner {
            Inner::Own(transaction) => transaction,
            Inner::Shared(member) => member,
        }
    }
}
