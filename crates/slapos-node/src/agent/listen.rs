//! The ear of the agent: a thread that listens to the Master, and comes back when it is interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use slapos_slap::{Heard, SlapError};

use super::jitter::{Jitter, backoff};
use super::schedule::{Input, Source};
use super::{Message, SMALL_STACK};
use crate::config::NodeConfig;
use crate::error::NodeError;
use crate::node::master;

/// Between two tries to reach a Master that went away: at first, and at most.
const FIRST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(60);
/// After how long a Master that tells of no changes (to us, or yet) is asked again whether it does:
/// at first, and at most.
const FIRST_ASKED: Duration = Duration::from_secs(5);
const MOST_ASKED: Duration = Duration::from_secs(600);

/// Listens until it is dropped.
pub(super) struct Ear {
    deaf: Arc<AtomicBool>,
}

impl Drop for Ear {
    /// The thread ends when it next hears something, or waited in vain.
    fn drop(&mut self) {
        self.deaf.store(true, Ordering::Relaxed);
    }
}

impl Ear {
    /// Starts to listen; what is heard is sent to `out`.
    ///
    /// # Errors
    /// When there is no room for a thread.
    pub(super) fn start(config: &NodeConfig, out: Sender<Message>) -> Result<Ear, NodeError> {
        let deaf = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            config: config.clone(),
            out,
            deaf: Arc::clone(&deaf),
            jitter: Jitter::new(Jitter::seed()),
            position: None,
            failures: 0,
        };
        let thread = thread::Builder::new().name("listener".to_owned()).stack_size(SMALL_STACK);
        let started = thread.spawn(move || listener.listen());
        started.map_err(|error| NodeError::user(format!("cannot start a thread: {error}")))?;
        Ok(Ear { deaf })
    }
}

/// Nobody wants to hear any more.
struct Deaf;

struct Listener {
    config: NodeConfig,
    out: Sender<Message>,
    deaf: Arc<AtomicBool>,
    jitter: Jitter,
    position: Option<String>,
    failures: u32,
}

impl Listener {
    fn listen(mut self) {
        loop {
            let Err(error) = self.one_connection() else { return };
            let (source, wait) = match error {
                Trouble::OtherKind => {
                    (Source::Asked, backoff(FIRST_ASKED, self.failures, MOST_ASKED))
                }
                Trouble::Away(_) => (Source::Away, backoff(FIRST, self.failures, MOST)),
            };
            self.failures = self.failures.saturating_add(1);
            let reason = match error {
                Trouble::Away(reason) => Some(reason),
                Trouble::OtherKind => None,
            };
            if self.tell(Input::Source(source), reason).is_err() {
                return;
            }
            // All nodes of a Master that was restarted are waiting now: not for the same moment.
            thread::sleep(wait / 4 + self.jitter.below(wait / 4 * 3));
        }
    }

    /// Listens on one connection until it ends, which is an error; `Ok` when nobody wants to hear.
    fn one_connection(&mut self) -> Result<(), Trouble> {
        let master = master(&self.config).map_err(|error| Trouble::Away(error.to_string()))?;
        let computer = &self.config.computer_id;
        let mut stream = master.events(computer, self.position.as_deref())?;
        if self.tell(Input::Source(Source::Told), None).is_err() {
            return Ok(());
        }
        loop {
            let heard = stream.hear()?;
            self.failures = 0;
            self.position = stream.position().map(str::to_owned);
            let told = match heard {
                Heard::Alive => self.tell(Input::Time, None),
                Heard::Resync => self.tell(Input::Resync, None),
                Heard::Change(change) => self.tell(Input::Change(change), None),
            };
            if told.is_err() {
                return Ok(());
            }
        }
    }

    fn tell(&self, input: Input, reason: Option<String>) -> Result<(), Deaf> {
        if self.deaf.load(Ordering::Relaxed) {
            return Err(Deaf);
        }
        self.out.send(Message::Heard(input, reason)).map_err(|_| Deaf)
    }
}

/// Why nothing is heard.
enum Trouble {
    /// The Master does not tell of changes, or not on this computer.
    OtherKind,
    /// It cannot be reached, for that reason.
    Away(String),
}

impl From<SlapError> for Trouble {
    fn from(error: SlapError) -> Trouble {
        match error {
            // 503: it tells of changes, but there are too many listeners.
            SlapError::Server { status: 503, .. } => Trouble::OtherKind,
            error if error.is_temporary() => Trouble::Away(error.to_string()),
            SlapError::NotFound { .. } | SlapError::Server { .. } | SlapError::Protocol { .. } => {
                Trouble::OtherKind
            }
            other => Trouble::Away(other.to_string()),
        }
    }
}
