//! One transaction, which rings the bells of the computers that it changed when it is committed,
//! and only then.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use slapos_slap::ComputerId;
use sqlx::{Any, AnyConnection, Transaction};

use super::changes::Bells;
use crate::error::StoreError;

/// See the module. What is not committed did not happen.
pub(super) struct Tx {
    inner: Transaction<'static, Any>,
    bells: Arc<Bells>,
    changed: Vec<ComputerId>,
    /// Entries of the feed that it wrote.
    entries: i64,
}

impl Tx {
    pub(super) fn new(inner: Transaction<'static, Any>, bells: &Arc<Bells>) -> Tx {
        Tx { inner, bells: Arc::clone(bells), changed: Vec::new(), entries: 0 }
    }

    /// Has the bell of a computer rung after the commit.
    pub(super) fn ring(&mut self, computer: &ComputerId) {
        if !self.changed.contains(computer) {
            self.changed.push(computer.clone());
        }
    }

    /// The place of the next entry of the feed among those of the transaction.
    pub(super) fn next_entry(&mut self) -> i64 {
        self.entries += 1;
        self.entries
    }

    /// Makes it all happen.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
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
