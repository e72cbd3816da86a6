//! One transaction, which rings the bells of the computers that it changed when it is committed,
//! and only then: its own, and through the database those of other Masters.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use slapos_slap::ComputerId;
use sqlx::{Any, AnyConnection, Transaction};

use super::changes::Bells;
use super::pools::Kind;
use super::postgres;
use crate::error::StoreError;

/// See the module. What is not committed did not happen.
pub(super) struct Tx {
    inner: Transaction<'static, Any>,
    kind: Kind,
    bells: Arc<Bells>,
    changed: Vec<ComputerId>,
    /// Entries of the feed that it wrote.
    entries: i64,
}

impl Tx {
    pub(super) fn new(inner: Transaction<'static, Any>, kind: Kind, bells: &Arc<Bells>) -> Tx {
        Tx { inner, kind, bells: Arc::clone(bells), changed: Vec::new(), entries: 0 }
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
            postgres::tell(&mut self.inner, self.bells.name(), &self.changed).await?;
        }
        self.inner.commit().await?;
        self.changed.iter().for_each(|computer| self.bells.ring(computer));
        Ok(())
    }
}

impl Deref for Tx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}
