//! The promises of an instance, and what came of them lately.

use std::collections::HashMap;

use sqlx::Row as _;

use super::Scope;
use super::instances::find;
use super::query::Query;
use crate::error::StoreError;
use crate::store::Store;
use crate::store::rows::{rfc3339, text};
use crate::view::{Promise, PromisePast, Promises};

impl Store {
    /// The promises of an instance by name; of what came of them, only what is later than `since`
    /// (microseconds since 1970).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such instance in the scope.
    pub(crate) async fn show_promises(
        &self,
        scope: &Scope,
        guid: &str,
        since: i64,
    ) -> Result<Promises, StoreError> {
        let mut tx = self.read_long().await?;
        let (row, is_shared) = find(&mut tx, scope, guid).await?;
        if is_shared {
            // Those of its host are its host's.
            return Ok(Promises { promises: Vec::new() });
        }
        let (computer, partition) = (text(&row, "computer")?, text(&row, "partition_reference")?);
        let place = [computer.as_str(), partition.as_str()];
        let query = Query::new(
            "SELECT r.name, r.checked_at, r.failed, r.microseconds FROM promise_result r",
        )
        .and("r.computer = ? AND r.partition_reference = ?", place)
        .and(&format!("r.checked_at > {since}"), []);
        let mut past: HashMap<String, Vec<PromisePast>> = HashMap::new();
        for row in query.all(&mut tx, "r.name, r.checked_at").await? {
            let microseconds: i64 = row.try_get("microseconds")?;
            past.entry(text(&row, "name")?).or_default().push(PromisePast {
                at: rfc3339(row.try_get("checked_at")?),
                failed: row.try_get::<i64, _>("failed")? != 0,
                seconds: seconds(microseconds),
            });
        }
        let query = Query::new("SELECT p.name, p.failed, p.message, p.checked_at FROM promise p")
            .and("p.computer = ? AND p.partition_reference = ?", place);
        let mut promises = Vec::new();
        for row in query.all(&mut tx, "p.name").await? {
            let name = text(&row, "name")?;
            promises.push(Promise {
                failed: row.try_get::<i64, _>("failed")? != 0,
                message: text(&row, "message")?,
                at: rfc3339(row.try_get("checked_at")?),
                history: past.remove(&name).unwrap_or_default(),
                name,
            });
        }
        Ok(Promises { promises })
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown to people")]
fn seconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1e6
}
