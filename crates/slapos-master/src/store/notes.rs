//! What is noted of callers beside what they ask for: that a token was used, that a node is there.
//!
//! Invariants: nobody waits for it, and that it could not be noted keeps nobody out; whoever asks all
//! the time has it written seldom, and never twice at once by one Master, however long the database
//! takes; of several Masters that note one node at once one does.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slapos_slap::ComputerId;

use super::feed::{self, Entry};
use super::{Store, Tx};
use crate::error::StoreError;

/// How old the note of a token's last use may become before it is written again, in microseconds: it
/// says the hour.
const USE: i64 = 3_600_000_000;

/// Between two signs of life of a computer that are noted, in microseconds.
const CONTACT: i64 = 5 * 60 * 1_000_000;

/// What is being noted.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<HashSet<String>>>);

impl Notes {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        // Nothing that can panic is done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to note that, unless somebody does.
    fn begin(&self, what: String) -> Option<Note> {
        let new = self.lock().insert(what.clone());
        new.then(|| Note { notes: self.clone(), what })
    }
}

/// Something that is being noted.
struct Note {
    notes: Notes,
    what: String,
}

impl Drop for Note {
    fn drop(&mut self) {
        self.notes.lock().remove(&self.what);
    }
}

impl Store {
    /// Notes, by and by, that a token was used which was last noted then.
    pub(super) fn note_use(&self, id: String, last: Option<i64>) {
        let now = self.now();
        if !is_due(last, now, USE) {
            return;
        }
        let writing = self.writing();
        self.note(format!("the use of the token {id}"), async move {
            let mut tx = writing.await?;
            let sql = "UPDATE token SET used_at = $2 WHERE id = $1";
            sqlx::query(sql).bind(id.as_str()).bind(now).execute(&mut *tx).await?;
            tx.commit().await
        });
    }

    /// Notes, by and by, that a computer's node is there which was last noted to be then.
    pub(super) fn note_contact(&self, computer: &ComputerId, last: Option<i64>) {
        let now = self.now();
        if !is_due(last, now, CONTACT) {
            return;
        }
        let (writing, computer) = (self.writing(), computer.clone());
        self.note(format!("the contact of {computer}"), async move {
            write_contact(writing.await?, &computer, now).await
        });
    }

    fn note(
        &self,
        what: String,
        noted: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        let Some(note) = self.notes.begin(what) else { return };
        tokio::spawn(async move {
            if let Err(error) = noted.await {
                tracing::warn!("not noted: {}: {error}", note.what);
            }
        });
    }

    /// Takes note that a computer's node is there, and waits for that. Costs a look at one row, and
    /// nothing more in the five minutes after one that was noted. Unknown computers are not noted.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn contact(&self, computer: &ComputerId) -> Result<(), StoreError> {
        let now = self.now();
        let last = match self.last_contact(computer).await {
            Err(StoreError::NotFound(_)) => return Ok(()),
            last => last?,
        };
        match is_due(last, now, CONTACT) {
            true => write_contact(self.write().await?, computer, now).await,
            false => Ok(()),
        }
    }
}

/// Whether it is time to note something again. A clock that went back would keep it quiet for long.
fn is_due(last: Option<i64>, now: i64, after: i64) -> bool {
    last.is_none_or(|last| !(now - after..=now).contains(&last))
}

async fn write_contact(mut tx: Tx, computer: &ComputerId, now: i64) -> Result<(), StoreError> {
    let done = sqlx::query(
        "INSERT INTO computer_contact (computer, contact_at) \
         SELECT reference, CAST($2 AS BIGINT) FROM computer WHERE reference = $1 \
         ON CONFLICT (computer) DO UPDATE SET contact_at = excluded.contact_at \
         WHERE computer_contact.contact_at <= CAST($3 AS BIGINT) \
         OR computer_contact.contact_at > CAST($2 AS BIGINT)",
    )
    .bind(computer.as_str())
    .bind(now)
    .bind(now - CONTACT)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() > 0 {
        feed::tell(&mut tx, &Entry::on("contact", computer), now).await?;
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_noted_is_not_noted_twice() {
        let notes = Notes::default();
        let first = notes.begin("a".to_owned()).unwrap();
        assert!(notes.begin("a".to_owned()).is_none() && notes.begin("b".to_owned()).is_some());
        drop(first);
        assert!(notes.begin("a".to_owned()).is_some());
    }

    #[test]
    fn what_was_noted_a_moment_ago_or_in_the_future() {
        assert!(is_due(None, 100, 10) && is_due(Some(89), 100, 10) && is_due(Some(101), 100, 10));
        assert!(!is_due(Some(90), 100, 10) && !is_due(Some(100), 100, 10));
    }
}
