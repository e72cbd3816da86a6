//! Group commit: changes of several callers that reach the disk together.
//!
//! SQLite has one writer at a time, and most of what a change costs there is the wait for the disk.
//! So those who write one after the other share a transaction: each is a [`Member`] with a savepoint
//! of its own, and who has finished waits until all of it is on disk. The first to finish commits
//! for all; it queues for that behind those who came before, who are thereby in the same group.
//! Nobody waits for company: a single caller's group is itself.
//!
//! Invariants: nobody is told that it is done before it is on disk, neither who found that somebody
//! else had done it just before (he, too, ends with a commit); what one member gives up
//! touches no other; when the whole fails, every member is told so; a caller that goes away at any
//! moment leaves nothing half done.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use sqlx::{Any, AnyConnection, AnyPool, Executor as _, Transaction};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, oneshot};

use crate::error::StoreError;

/// How long a writer waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

type Outcome = Result<(), StoreError>;

/// All who write to one database file.
pub(super) struct Group {
    pool: AnyPool,
    /// How a transaction that writes begins, with the savepoint of its first member.
    begin: &'static str,
    /// The transaction that is shared, if there is one. Its savepoint `member` is where the next
    /// member begins. Whoever has the lock is the one that writes.
    open: Arc<Mutex<Option<Transaction<'static, Any>>>>,
    /// Whether the last member left something that does not count.
    given_up: AtomicBool,
    /// The members that wait for the disk.
    finished: Lock<Vec<oneshot::Sender<Outcome>>>,
}

impl Group {
    pub(super) fn new(pool: AnyPool, begin: &'static str) -> Arc<Group> {
        let given_up = AtomicBool::new(false);
        Arc::new(Group { pool, begin, open: Arc::default(), given_up, finished: Lock::default() })
    }

    /// The right to write, once those who came before have finished.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when that takes too long; failures of the database.
    pub(super) async fn join(self: &Arc<Self>) -> Result<Member, StoreError> {
        let turn = Arc::clone(&self.open).lock_owned();
        let turn = tokio::time::timeout(PATIENCE, turn).await;
        let mut open = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        self.tidy(&mut open).await;
        if open.is_none() {
            *open = Some(self.pool.begin_with(self.begin).await?);
        }
        let shared = OwnedMutexGuard::try_map(open, Option::as_mut);
        let shared = shared.map_err(|_| sqlx::Error::WorkerCrashed)?;
        Ok(Member { shared, group: Arc::clone(self), has_finished: false })
    }

    /// Waits until nobody writes.
    pub(super) async fn settled(&self) {
        drop(self.open.lock().await);
    }

    /// Takes back what the last member gave up.
    async fn tidy(&self, open: &mut Option<Transaction<'static, Any>>) {
        let Some(shared) = open.as_mut() else {
            self.given_up.store(false, Ordering::Release);
            return;
        };
        if !self.given_up.load(Ordering::Acquire) {
            return;
        }
        // The savepoint stays for the next member. It is gone when SQLite has ended the whole
        // transaction by itself, as it does when the disk is full.
        let back = shared.execute("ROLLBACK TO member").await;
        self.given_up.store(false, Ordering::Release);
        if let Err(error) = back {
            *open = None;
            self.tell(Err(error.into()));
        }
    }

    /// Makes all that is finished permanent, behind those who write already.
    async fn commit(&self) {
        let mut open = self.open.lock().await;
        self.tidy(&mut open).await;
        if let Some(shared) = open.take() {
            let outcome = shared.commit().await.map_err(StoreError::from);
            self.tell(outcome);
        }
    }

    fn finished(&self) -> std::sync::MutexGuard<'_, Vec<oneshot::Sender<Outcome>>> {
        // Nothing that can panic is done under the lock.
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all members that wait what became of them.
    fn tell(&self, outcome: Outcome) {
        let waiting = std::mem::take(&mut *self.finished());
        let mut failure = outcome.err();
        let reason = failure.as_ref().map(ToString::to_string);
        for member in waiting {
            let told = match (failure.take(), &reason) {
                (Some(error), _) => Err(error),
                (None, Some(reason)) => Err(lost(reason)),
                (None, None) => Ok(()),
            };
            // It may have gone away.
            let _ = member.send(told);
        }
    }
}

fn lost(reason: &str) -> StoreError {
    StoreError::Unavailable(format!("what was written together was lost together: {reason}"))
}

/// One caller's part of what is committed together; dropped without commit, it did not happen.
pub(super) struct Member {
    shared: OwnedMappedMutexGuard<Option<Transaction<'static, Any>>, Transaction<'static, Any>>,
    group: Arc<Group>,
    has_finished: bool,
}

impl Member {
    /// Waits until the changes are on disk.
    ///
    /// # Errors
    /// Failures of the database, in which case nothing happened.
    pub(super) async fn commit(self) -> Outcome {
        let (tell, told) = oneshot::channel();
        // A caller that goes away does not take along those who rely on it.
        tokio::spawn(self.finish(tell));
        told.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }

    async fn finish(mut self, tell: oneshot::Sender<Outcome>) {
        if let Err(error) = self.shared.execute("RELEASE member; SAVEPOINT member").await {
            let _ = tell.send(Err(error.into()));
            return;
        }
        self.has_finished = true;
        let group = Arc::clone(&self.group);
        let is_first = {
            let mut finished = group.finished();
            finished.push(tell);
            finished.len() == 1
        };
        drop(self);
        if is_first {
            group.commit().await;
        }
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
            let group = Arc::clone(&self.group);
            runtime.spawn(async move { group.commit().await });
        }
    }
}

impl Deref for Member {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.shared
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.shared
    }
}
