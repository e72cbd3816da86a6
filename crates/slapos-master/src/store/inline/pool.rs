//! The connections to a file, which are lent one by one.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Error;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::Inline;

/// How long a caller waits for a connection before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(in crate::store) struct Files {
    path: PathBuf,
    /// What each connection is told first.
    setup: &'static str,
    /// As many as there are places.
    turns: Arc<Semaphore>,
    /// Who has a turn finds one that nobody has. A connection is opened when it is needed.
    places: Vec<Arc<Mutex<Option<Inline>>>>,
}

impl Files {
    pub(in crate::store) fn new(path: PathBuf, most: usize, setup: &'static str) -> Arc<Files> {
        let turns = Arc::new(Semaphore::new(most));
        let places = std::iter::repeat_with(Arc::default).take(most).collect();
        Arc::new(Files { path, setup, turns, places })
    }

    /// A connection, once there is one.
    ///
    /// # Errors
    /// [`Error::PoolTimedOut`] when that takes too long, [`Error::PoolClosed`], and why the file cannot
    /// be opened.
    pub(in crate::store) async fn lend(&self) -> Result<Lent, Error> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)?;
        let mut free =
            self.places.iter().filter_map(|place| Arc::clone(place).try_lock_owned().ok());
        let mut place = free.next().ok_or(Error::WorkerCrashed)?;
        // One whose transaction could not be ended is closed, which ends it.
        if place.as_ref().is_none_or(Inline::is_in_transaction) {
            *place = None;
            *place = Some(Inline::open(&self.path, self.setup).await?);
        }
        let inline = OwnedMutexGuard::try_map(place, Option::as_mut);
        Ok(Lent { inline: inline.map_err(|_| Error::WorkerCrashed)?, _turn: turn })
    }

    /// Waits for those that are lent, and closes all.
    pub(in crate::store) async fn close(&self) {
        self.turns.close();
        for place in &self.places {
            *place.lock().await = None;
        }
    }
}

/// A connection that is lent. Dropped, it is given back.
#[derive(Debug)]
pub(in crate::store) struct Lent {
    inline: OwnedMappedMutexGuard<Option<Inline>, Inline>,
    /// Ends after the former.
    _turn: OwnedSemaphorePermit,
}

impl Deref for Lent {
    type Target = Inline;

    fn deref(&self) -> &Inline {
        &self.inline
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Inline {
        &mut self.inline
    }
}
