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
}

impl Tx {
    pub(super) fn new(inner: Transaction<'static, Any>, bells: &Arc<Bells>) -> Tx {
        Tx { inner, bells: Arc::clone(bells), changed: Vec::new() }
    }

    /// Has the bell of a computer rung after the commit.
    pub(super) fn ring(&mut self, computer: &ComputerId) {
        if !self.changed.contains(computer) {
            self.changed.push(computer.clone());
        }
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
