//! One transaction, or a member of one that several callers share, which rings the bells of the
//! computers that it changed when it is committed, and only then.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use slapos_slap::ComputerId;
use sqlx::{Any, AnyConnection, Transaction};

use super::changes::Bells;
use super::group::Member;
use crate::error::StoreError;

/// See the module. What is not committed did not happen.
pub(super) struct Tx {
    inner: Inner,
    bells: Arc<Bells>,
    changed: Vec<ComputerId>,
}

enum Inner {
    Own(Transaction<'static, Any>),
    Shared(Member),
}

impl Tx {
    pub(super) fn new(inner: Transaction<'static, Any>, bells: &Arc<Bells>) -> Tx {
        Tx { inner: Inner::Own(inner), bells: Arc::clone(bells), changed: Vec::new() }
    }

    /// One that is committed together with others.
    pub(super) fn shared(inner: Member, bells: &Arc<Bells>) -> Tx {
        Tx { inner: Inner::Shared(inner), bells: Arc::clone(bells), changed: Vec::new() }
    }

    /// Has the bell of a computer rung after the commit.
    pub(super) fn ring(&mut self, computer: &ComputerId) {
        if !self.changed.contains(computer) {
            self.changed.push(computer.clone());
        }
    }

    /// Makes it all happen.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Own(transaction) => transaction.commit().await?,
            Inner::Shared(member) => member.commit().await?,
        }
        self.changed.iter().for_each(|computer| self.bells.ring(computer));
        Ok(())
    }
}

impl Deref for Tx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match &self.inner {
            Inner::Own(transaction) => transaction,
            Inner::Shared(member) => member,
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match &mut self.inner {
            Inner::Own(transaction) => transaction,
            Inner::Shared(member) => member,
        }
    }
}
