//! What nodes tell beside their reports: that they are there, how far a build is, what came of
//! promises, how the machine is. Nothing of it changes what is wanted, and none of it wakes a node.
//!
//! Invariants: of a promise only so much past is kept, whatever its node tells; the result that was
//! told last is the one that counts, whatever the node's clock says, and none is of a time to come. When
//! a node is noted to be there is a matter of [`super::notes`].

use std::collections::HashMap;

use slapos_slap::{BuildProgress, ComputerId, NodeMetrics, PartitionId, PromiseResult};
use sqlx::Row as _;

use super::feed::{self, Entry};
use super::reports::end_of;
use super::{Store, Tx, require_computer};
use crate::error::StoreError;

/// When a computer that is known was last noted to be there.
const LAST_CONTACT: &str = "SELECT k.contact_at FROM computer c LEFT JOIN computer_contact k \
     ON k.computer = c.reference WHERE c.reference = $1";

/// How many results of a promise are kept, and how many more that differ from the one before.
const RESULTS: i64 = 100;

impl Store {
    /// When a computer's node was last noted to be there, in microseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn last_contact(
        &self,
        computer: &ComputerId,
    ) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query(LAST_CONTACT).bind(computer.as_str());
        let row = row.fetch_optional(&mut self.reader().await?).await?;
        let row = row.ok_or_else(|| StoreError::no_computer(computer))?;
        Ok(row.try_get("contact_at")?)
    }

    /// Takes note of how far a build is. One of a Software Release that is not supplied is dropped.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn build_progress(
        &self,
        computer: &ComputerId,
        progress: &BuildProgress,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        // A log that is not told leaves the former one.
        let done = sqlx::query(
            "INSERT INTO build_progress (computer, url, done, total, part, log, told_at) \
             SELECT computer, url, CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS TEXT), \
             COALESCE($6, ''), CAST($7 AS BIGINT) FROM software WHERE computer = $1 AND url = $2 \
             ON CONFLICT (computer, url) DO UPDATE SET done = excluded.done, \
             total = excluded.total, part = excluded.part, told_at = excluded.told_at, \
             log = COALESCE($6, build_progress.log)",
        )
        .bind(computer.as_str())
        .bind(progress.url.as_str())
        .bind(i64::from(progress.done))
        .bind(i64::from(progress.total))
        .bind(progress.part.as_str())
        .bind(progress.log.as_deref().map(end_of))
        .bind(now)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() > 0 {
            let software = Some(progress.url.clone());
            let entry = Entry { software, ..Entry::on("progress", computer) };
            feed::tell(&mut tx, &entry, now).await?;
        }
        tx.commit().await
    }

    /// Takes note of what came of promises, by partition, each with when it was checked
    /// (microseconds since 1970). Those of partitions without instance are dropped.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn promises(
        &self,
        computer: &ComputerId,
        told: &[PartitionTold],
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        for part in told {
            let place = (computer, &part.partition);
            if super::instances::instance_at(&mut tx, computer, &part.partition).await?.is_none() {
                continue;
            }
            let former = forget_others(&mut tx, place, part.names.as_deref()).await?;
            let mut turned = false;
            for (at, result) in &part.results {
                let before = former.get(&result.name).copied();
                turned |= before != Some(result.failed);
                keep(&mut tx, place, (not_to_come(*at, now), result), before).await?;
            }
            if turned {
                let partition = Some(part.partition.to_string());
                let entry = Entry { partition, ..Entry::on("promise", computer) };
                feed::tell(&mut tx, &entry, now).await?;
            }
        }
        tx.commit().await
    }

    /// Takes note of how a computer is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not known.
    pub(crate) async fn node_metrics(
        &self,
        computer: &ComputerId,
        metrics: &NodeMetrics,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let text = serde_json::to_string(metrics)
            .map_err(|error| StoreError::Invalid(format!("the metrics of {computer}: {error}")))?;
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        sqlx::query(
            "INSERT INTO computer_metrics (computer, metrics, told_at) VALUES ($1, $2, $3) \
             ON CONFLICT (computer) DO UPDATE SET metrics = excluded.metrics, \
             told_at = excluded.told_at",
        )
        .bind(computer.as_str())
        .bind(text)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        feed::tell(&mut tx, &Entry::on("metrics", computer), now).await?;
        tx.commit().await
    }
}

/// What came of the promises of a partition.
#[derive(Debug)]
pub(crate) struct PartitionTold {
    pub(crate) partition: PartitionId,
    pub(crate) results: Vec<(i64, PromiseResult)>,
    /// All that there are, if that is known.
    pub(crate) names: Option<Vec<String>>,
}

/// Where promises are.
type Place<'a> = (&'a ComputerId, &'a PartitionId);

/// Removes the promises that are not among the names; gives the others, and whether they are broken.
async fn forget_others(
    tx: &mut Tx,
    (computer, partition): Place<'_>,
    names: Option<&[String]>,
) -> Result<HashMap<String, bool>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, failed FROM promise WHERE computer = $1 AND partition_reference = $2",
    )
    .bind(computer.as_str())
    .bind(partition.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let mut known = HashMap::new();
    for row in &rows {
        let name: String = row.try_get("name")?;
        if names.is_none_or(|names| names.contains(&name)) {
            known.insert(name, row.try_get::<i64, _>("failed")? != 0);
            continue;
        }
        sqlx::query(
            "DELETE FROM promise WHERE computer = $1 AND partition_reference = $2 AND name = $3",
        )
        .bind(computer.as_str())
        .bind(partition.as_str())
        .bind(name)
        .execute(&mut **tx)
        .await?;
    }
    Ok(known)
}

/// How far a node's clock may be ahead of ours, in microseconds.
const AHEAD: i64 = 60_000_000;

/// When something happened that is said to have happened then: now, if that is still to come.
fn not_to_come(at: i64, now: i64) -> i64 {
    if at > now.saturating_add(AHEAD) { now } else { at }
}

/// Keeps a result, and no more of the past than is kept. One that is told again changes nothing.
async fn keep(
    tx: &mut Tx,
    (computer, partition): Place<'_>,
    (at, result): (i64, &PromiseResult),
    before: Option<bool>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO promise (computer, partition_reference, name, failed, message, checked_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (computer, partition_reference, name) \
         DO UPDATE SET failed = excluded.failed, message = excluded.message, \
         checked_at = excluded.checked_at",
    )
    .bind(computer.as_str())
    .bind(partition.as_str())
    .bind(result.name.as_str())
    .bind(i64::from(result.failed))
    .bind(end_of(&result.message))
    .bind(at)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO promise_result \
         (computer, partition_reference, name, checked_at, failed, turned, microseconds) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (computer, partition_reference, name, checked_at) DO NOTHING",
    )
    .bind(computer.as_str())
    .bind(partition.as_str())
    .bind(result.name.as_str())
    .bind(at)
    .bind(i64::from(result.failed))
    .bind(i64::from(before != Some(result.failed)))
    .bind(microseconds(result.seconds))
    .execute(&mut **tx)
    .await?;
    for turned in [0_i64, 1] {
        forget_past(tx, (computer, partition), &result.name, turned).await?;
    }
    Ok(())
}

/// Removes the results beyond the newest [`RESULTS`] of their kind.
async fn forget_past(
    tx: &mut Tx,
    (computer, partition): Place<'_>,
    name: &str,
    turned: i64,
) -> Result<(), StoreError> {
    let sql = format!(
        "DELETE FROM promise_result WHERE computer = $1 AND partition_reference = $2 \
         AND name = $3 AND turned = $4 AND checked_at <= (SELECT r.checked_at \
         FROM promise_result r WHERE r.computer = $1 AND r.partition_reference = $2 \
         AND r.name = $3 AND r.turned = $4 ORDER BY r.checked_at DESC LIMIT 1 OFFSET {RESULTS})"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(computer.as_str())
        .bind(partition.as_str())
        .bind(name)
        .bind(turned)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A length of time as a column holds it.
#[allow(clippy::cast_possible_truncation, reason = "bounded before")]
fn microseconds(seconds: f64) -> i64 {
    // Not a number becomes nothing.
    (seconds.clamp(0.0, 1e9) * 1e6) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_happened_in_a_time_to_come() {
        assert_eq!((not_to_come(5, 9), not_to_come(9 + AHEAD, 9)), (5, 9 + AHEAD));
        assert_eq!((not_to_come(10 + AHEAD, 9), not_to_come(i64::MAX, i64::MAX)), (9, i64::MAX));
    }
}
