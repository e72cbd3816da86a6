//! Group commit in a file: changes of several callers that reach the disk together.
//!
//! SQLite has one writer at a time, and most of what a change costs there is the wait for the disk.
//! So those who write one after the other share a transaction: each is a [`Member`] with a savepoint
//! of its own, and who has finished waits until all of it is on disk. The first to finish commits
//! for all: at once when nobody else writes, else in a task of its own that queues behind those who
//! came before, who are thereby in the same group. Nobody waits for company: a single caller's group is
//! itself. At a server it is done by a task ([`turns`]), because a statement there suspends who asks.
//!
//! Invariants: nobody is told that it is done before it is on disk, neither who found that somebody
//! else had done it just before (he, too, ends with a commit), and nobody who asks for an instance is
//! refused because of what is not; what one member gives up touches no other; when the whole fails, every
//! member is told so; a caller that goes away at any moment leaves nothing half done.
//!
//! [`turns`]: super::turns

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use slapos_slap::ComputerId;
use sqlx::Executor as _;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, oneshot};

use super::changes::Bells;
use super::connection::{Connection, Transaction};
use super::finished::{self, Finished, Outcome, PATIENCE, cut_off};
use super::inline::Files;
use super::sqlite::BEGIN_WRITE;
use crate::error::StoreError;

/// All who write to one database file.
pub(super) struct Group {
    /// The connection that writes: nothing that is asked of it suspends who asks, but for the
    /// beginning of a transaction while another process writes.
    writer: Arc<Files>,
    /// The transaction that is shared, if there is one. What follows its savepoint `member` is what one
    /// member did. Whoever has the lock is the one that writes.
    open: Arc<Mutex<Option<Transaction>>>,
    /// Whether the last member left something that does not count.
    given_up: AtomicBool,
    /// The members that wait for the disk.
    finished: Lock<Vec<Finished>>,
    bells: Arc<Bells>,
}

impl Group {
    pub(super) fn new(writer: Arc<Files>, bells: Arc<Bells>) -> Arc<Group> {
        let (given_up, finished) = (AtomicBool::new(false), Lock::default());
        Arc::new(Group { writer, open: Arc::default(), given_up, finished, bells })
    }

    /// The right to write, once those who came before have finished.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when that takes too long; failures of the database.
    pub(super) async fn join(self: &Arc<Self>) -> Result<Member, StoreError> {
        let turn = Arc::clone(&self.open).lock_owned();
        let turn = tokio::time::timeout(PATIENCE, turn).await;
        let mut open = turn.map_err(|_| finished::too_late())?;
        self.tidy(&mut open).await;
        if open.is_none() {
            let writer = Connection::Inline(self.writer.lend().await?);
            *open = Some(Transaction::begin(writer, BEGIN_WRITE).await?);
        }
        let shared = OwnedMutexGuard::try_map(open, Option::as_mut);
        let shared = shared.map_err(|_| sqlx::Error::WorkerCrashed)?;
        // From now on it counts as given up if it goes away.
        let mut member = Member { shared, group: Arc::clone(self), has_finished: false };
        member.execute("SAVEPOINT member").await?;
        Ok(member)
    }

    /// Waits until nobody writes.
    pub(super) async fn settled(&self) {
        drop(self.open.lock().await);
    }

    /// Takes back what the last member gave up.
    async fn tidy(&self, open: &mut Option<Transaction>) {
        let Some(shared) = open.as_mut() else {
            self.given_up.store(false, Ordering::Release);
            return;
        };
        if !self.given_up.load(Ordering::Acquire) {
            return;
        }
        // There is no such savepoint when SQLite has ended the whole transaction by itself, as it does
        // when the disk is full.
        let back = shared.execute("ROLLBACK TO member; RELEASE member").await;
        self.given_up.store(false, Ordering::Release);
        if let Err(error) = back {
            *open = None;
            self.tell(Err(error.into()));
        }
    }

    /// Makes all that is finished permanent: now when nobody else writes, else behind those who write
    /// already, whoever goes away meanwhile.
    async fn lead(self: &Arc<Self>) {
        match Arc::clone(&self.open).try_lock_owned() {
            // Suspends nobody, so that it cannot be given up in the middle.
            Ok(mut open) => self.commit(&mut open).await,
            Err(_) => self.commit_later(&Handle::current()),
        }
    }

    fn commit_later(self: &Arc<Self>, runtime: &Handle) {
        let group = Arc::clone(self);
        runtime.spawn(async move {
            let mut open = group.open.lock().await;
            group.commit(&mut open).await;
        });
    }

    async fn commit(&self, open: &mut Option<Transaction>) {
        self.tidy(open).await;
        if let Some(shared) = open.take() {
            let outcome = shared.commit().await.map_err(StoreError::from);
            self.tell(outcome);
        }
    }

    fn finished(&self) -> std::sync::MutexGuard<'_, Vec<Finished>> {
        // Nothing that can panic is done under the lock.
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all members that wait what became of them.
    fn tell(&self, outcome: Outcome) {
        let waiting = std::mem::take(&mut *self.finished());
        finished::tell(waiting, outcome, &self.bells);
    }
}

/// One caller's part of what is committed together; dropped without commit, it did not happen.
pub(super) struct Member {
    shared: OwnedMappedMutexGuard<Option<Transaction>, Transaction>,
    group: Arc<Group>,
    has_finished: bool,
}

impl Member {
    /// Waits until the changes, which are of these computers, are on disk.
    ///
    /// # Errors
    /// Failures of the database, in which case nothing happened.
    pub(super) async fn commit(mut self, changed: Vec<ComputerId>) -> Outcome {
        self.execute("RELEASE member").await?;
        self.has_finished = true;
        let (tell, told) = oneshot::channel();
        let group = Arc::clone(&self.group);
        let is_first = {
            let mut finished = group.finished();
            finished.push(Finished { changed, told: tell });
            finished.len() == 1
        };
        // The right to write goes to the next one, if somebody waits.
        drop(self);
        // A caller that goes away does not take along those who rely on it.
        if is_first {
            group.lead().await;
        }
        told.await.map_err(|_| cut_off())?
    }

    /// Takes back what was done, and waits until what others had written in the same transaction, which
    /// could be seen, is on disk.
    ///
    /// # Errors
    /// Failures of the database: what could be seen is not there.
    pub(super) async fn give_up(self) -> Outcome {
        let (tell, told) = oneshot::channel();
        {
            let mut finished = self.group.finished();
            if finished.is_empty() {
                return Ok(());
            }
            // Whoever commits for those tells this one, too.
            finished.push(Finished { changed: Vec::new(), told: tell });
        }
        drop(self);
        told.await.map_err(|_| cut_off())?
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.has_finished {
            return;
        }
        // Before the next one gets the lock, which goes after this.
        self.group.given_up.store(true, Ordering::Release);
        // So that the file is not held when no next one comes.
        if let Ok(runtime) = Handle::try_current() {
            self.group.commit_later(&runtime);
        }
    }
}

impl Deref for Member {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.shared
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.shared
    }
}
