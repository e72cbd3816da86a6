//! Callers that have finished, and wait until what they did together is on disk; and the words for those
//! who could not.
//!
//! Invariants: nobody is told before the outcome is known; when the whole fails, everybody is told so;
//! the bells of what was changed are rung whether or not who changed it still waits.

use std::io;
use std::time::Duration;

use slapos_slap::ComputerId;
use tokio::sync::oneshot;

use super::changes::Bells;
use crate::error::StoreError;

/// How long a caller waits for its turn to write.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What became of what a caller did.
pub(super) type Outcome = Result<(), StoreError>;

/// One who waits.
pub(super) struct Finished {
    /// What it changed.
    pub(super) changed: Vec<ComputerId>,
    /// Where it hears what became of that.
    pub(super) told: oneshot::Sender<Outcome>,
}

/// Tells all what became of what they did.
pub(super) fn tell(finished: Vec<Finished>, outcome: Outcome, bells: &Bells) {
    let mut failure = outcome.err();
    let reason = failure.as_ref().map(ToString::to_string);
    for one in finished {
        // Of a commit that failed nobody knows whether it happened: who listens looks for himself.
        one.changed.iter().for_each(|computer| bells.ring(computer));
        let told = match (failure.take(), &reason) {
            (Some(error), _) => Err(error),
            (None, Some(reason)) => Err(lost(reason)),
            (None, None) => Ok(()),
        };
        // It may have gone away.
        let _ = one.told.send(told);
    }
}

/// What those are told who lost by the failure of another.
fn lost(reason: &str) -> StoreError {
    StoreError::Unavailable(format!("what was written together was lost together: {reason}"))
}

/// What those are told whose turn did not come.
pub(super) fn too_late() -> StoreError {
    StoreError::Busy(format!("those who came before took more than {PATIENCE:?} to write"))
}

/// What those hear whom nobody answers any more.
pub(super) fn cut_off() -> sqlx::Error {
    sqlx::Error::Io(io::Error::other(
        "the turn to write ended before all was said, or what was written together was lost together",
    ))
}
