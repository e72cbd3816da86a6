//! What nodes report. A report never changes what is wanted.

use std::borrow::Cow;

use slapos_slap::{
    Change, ChangeKind, ComputerId, PartitionId, Report, SoftwareState, SoftwareUrl,
};
use sqlx::Row as _;

use super::offers::recount;
use super::rows::{report, word};
use super::{Store, changes, require_computer, require_partition};
use crate::error::StoreError;

/// The longest message that is kept, in bytes: its end, where errors usually say why.
const MAX_MESSAGE: usize = 64 * 1024;

impl Store {
    /// Takes note of the state of a Software Release: `building`, `available` or `error`.
    /// Reports about one that is not supplied are dropped.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub async fn report_software(
        &self,
        url: &SoftwareUrl,
        computer: &ComputerId,
        state: &str,
        message: &str,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        let done = sqlx::query(
            "UPDATE software SET reported_state = $3, reported_message = $4, reported_at = $5 \
             WHERE computer = $1 AND url = $2",
        )
        .bind(computer.as_str())
        .bind(url.as_str())
        .bind(state)
        .bind(end_of(message))
        .bind(now)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() > 0 {
            recount(&mut tx, computer).await?;
            let change = Change::of_software(ChangeKind::Report, url).state(state);
            changes::note(&mut tx, computer, &change, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The last report about a Software Release, and when it came in microseconds since 1970. `None`
    /// for one that is not supplied.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn software_report(
        &self,
        url: &SoftwareUrl,
        computer: &ComputerId,
    ) -> Result<Option<(Report, i64)>, StoreError> {
        let mut tx = self.read().await?;
        require_computer(&mut tx, computer).await?;
        let row = sqlx::query(
            "SELECT reported_state, reported_message, reported_at FROM software \
             WHERE computer = $1 AND url = $2",
        )
        .bind(computer.as_str())
        .bind(url.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let at: Option<i64> = row.try_get("reported_at")?;
        Ok(report(&row)?.zip(at))
    }

    /// Forgets a Software Release that is removed from its computer. One that is not known is
    /// forgotten already.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is wanted (again): it is kept, and its node builds it.
    pub async fn software_destroyed(
        &self,
        url: &SoftwareUrl,
        computer: &ComputerId,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        let wanted =
            sqlx::query("SELECT requested_state FROM software WHERE computer = $1 AND url = $2")
                .bind(computer.as_str())
                .bind(url.as_str())
                .fetch_optional(&mut *tx)
                .await?;
        let state: Option<SoftwareState> =
            wanted.map(|row| word(&row, "requested_state")).transpose()?;
        if let Some(state) = state.filter(|state| *state != SoftwareState::Destroyed) {
            return Err(StoreError::Conflict(format!(
                "the Software Release {url} is wanted {state} on {computer}, so it is not \
                 forgotten: supply it as destroyed first"
            )));
        }
        sqlx::query("DELETE FROM software WHERE computer = $1 AND url = $2")
            .bind(computer.as_str())
            .bind(url.as_str())
            .execute(&mut *tx)
            .await?;
        if state.is_some() {
            recount(&mut tx, computer).await?;
            let change = Change::of_software(ChangeKind::Report, url).state("destroyed");
            changes::note(&mut tx, computer, &change, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Takes note of the state of an instance: `started`, `stopped` or `error`. Reports about a
    /// free partition are dropped.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such partition.
    pub async fn report_instance(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        state: &str,
        message: &str,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE instance SET reported_state = $3, reported_message = $4, reported_at = $5 \
             WHERE computer = $1 AND partition_reference = $2",
        )
        .bind(computer.as_str())
        .bind(partition.as_str())
        .bind(state)
        .bind(end_of(message))
        .bind(now)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            require_partition(&mut tx, computer, partition).await?;
            return tx.commit().await;
        }
        let change = Change::of_partition(ChangeKind::Report, partition).state(state);
        changes::note(&mut tx, computer, &change, now).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The end of a message, not longer than [`MAX_MESSAGE`]. Others read it: nodes in Python tell the whole
/// URL that they failed at, with the token in it.
pub(super) fn end_of(message: &str) -> String {
    let message = without_tokens(message);
    let mut start = message.len().saturating_sub(MAX_MESSAGE);
    while !message.is_char_boundary(start) {
        start += 1;
    }
    message[start..].to_owned()
}

/// A text without the tokens that are in paths.
fn without_tokens(text: &str) -> Cow<'_, str> {
    const MARK: &str = "/token/";
    if !text.contains(MARK) {
        return Cow::Borrowed(text);
    }
    let mut pieces = text.split(MARK);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let is_plain = |byte: char| byte.is_ascii_alphanumeric() || "-_.~".contains(byte);
        out.push_str(MARK);
        out.push_str("...");
        out.push_str(piece.trim_start_matches(is_plain));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_message_is_kept() {
        assert_eq!(end_of("short"), "short");
        let long = format!("{}end", "é".repeat(MAX_MESSAGE));
        let kept = end_of(&long);
        assert!(kept.len() <= MAX_MESSAGE && kept.ends_with("éend"));
    }

    #[test]
    fn no_token_of_a_url_is_kept() {
        let said = "404 for url: http://m:5000/token/slapos_c-1.a/getRunId?x, /token/b";
        assert_eq!(end_of(said), "404 for url: http://m:5000/token/.../getRunId?x, /token/...");
    }
}
