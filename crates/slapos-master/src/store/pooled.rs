//! A connection of a pool, which gets it back whole or not at all.
//!
//! Before `sqlx` gives a place in a pool to the next one it asks the server whether the connection can
//! still be used, and waits for the answer for as long as TCP hopes: a quarter of an hour, if the server
//! vanished without a word. So that wait has a limit, after which the connection is closed; and one that is
//! in doubt is closed at once.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long it may take to give a connection back: longer than a server works on what somebody asked
/// who went away, so that it never does more at a time than there are places. (Tests want to see it.)
const GIVING_BACK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 40 });

/// See the module.
#[derive(Debug)]
pub(super) struct Pooled {
    connection: PoolConnection<Any>,
    is_in_doubt: bool,
}

impl Pooled {
    /// One that is in doubt until it is [trusted](Self::trust): closed, whatever happens before.
    pub(super) fn in_doubt(connection: PoolConnection<Any>) -> Pooled {
        Pooled { connection, is_in_doubt: true }
    }

    /// Has it closed unless it is [trusted](Self::trust) before; whether it was until now.
    pub(super) fn doubt(&mut self) -> bool {
        !std::mem::replace(&mut self.is_in_doubt, true)
    }

    /// Says that all that was asked is answered, and nothing is open.
    pub(super) fn trust(&mut self) {
        self.is_in_doubt = false;
    }
}

impl From<PoolConnection<Any>> for Pooled {
    fn from(connection: PoolConnection<Any>) -> Pooled {
        Pooled { connection, is_in_doubt: false }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.is_in_doubt {
            // `sqlx` has a limit for that.
            self.connection.close_on_drop();
        } else if let Ok(runtime) = Handle::try_current() {
            let back = self.connection.return_to_pool();
            runtime.spawn(async { timeout(GIVING_BACK, back).await });
        }
    }
}

impl Deref for Pooled {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}
