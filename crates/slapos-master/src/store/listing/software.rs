//! Software Releases on computers, with the progress and the log of their builds.

use slapos_slap::{ComputerId, SoftwareUrl};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::columns::computers_of;
use super::query::Query;
use super::{Scope, Window};
use crate::error::StoreError;
use crate::store::rows::{report, rfc3339, text};
use crate::store::{Store, Tx};
use crate::view::{Page, Progress, Software};

impl Store {
    /// Software Releases by computer and URL; `computer` and `state` (as reported, or `wanted` before
    /// any report) narrow the list unless empty.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor or a state that is none.
    pub(crate) async fn list_software(
        &self,
        scope: &Scope,
        window: &Window,
        computer: &str,
        state: &str,
    ) -> Result<Page<Software>, StoreError> {
        let keys = window.keys(2)?;
        if !state.is_empty() && !STATES.contains(&state) {
            let words = STATES.join(", ");
            let message = format!("no Software Release is in the state {state:?}: {words}");
            return Err(StoreError::Invalid(message));
        }
        let mut tx = self.read_long().await?;
        let query = computers_of(select(), scope)
            .after(&["s.computer", "s.url"], keys.as_deref())
            .if_given("s.computer = ?", computer)
            .if_given("COALESCE(s.reported_state, 'wanted') = ?", state)
            .search(&["s.url"], &window.search);
        let rows = query.rows(&mut tx, "s.computer, s.url", window.fetch()).await?;
        let items: Result<Vec<_>, _> = rows.iter().map(read).collect();
        Ok(window.page(items?, |software| vec![software.computer.clone(), software.url.clone()]))
    }

    /// The end of the log of the last build; empty when there is none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the Software Release is not wanted there, or not in the scope.
    pub(crate) async fn build_log(
        &self,
        scope: &Scope,
        computer: &ComputerId,
        url: &SoftwareUrl,
    ) -> Result<String, StoreError> {
        let mut tx = self.read_long().await?;
        let query = Query::new(&format!("SELECT COALESCE(b.log, '') AS log {FROM}"))
            .and("s.computer = ? AND s.url = ?", [computer.as_str(), url.as_str()]);
        let rows = computers_of(query, scope).rows(&mut tx, "s.url", 1).await?;
        match rows.first() {
            Some(row) => text(row, "log"),
            None => Err(StoreError::NotFound(format!(
                "the Software Release {url} is not supplied to a computer {computer}"
            ))),
        }
    }
}

/// What is reported of a Software Release; the last before anything is.
pub(crate) const STATES: [&str; 5] = ["available", "building", "destroyed", "error", "wanted"];

const FROM: &str = "FROM software s JOIN computer c ON c.reference = s.computer \
     LEFT JOIN build_progress b ON b.computer = s.computer AND b.url = s.url";

pub(super) fn select() -> Query {
    Query::new(&format!(
        "SELECT s.computer, s.url, s.requested_state, s.reported_state, s.reported_message, \
         s.reported_at, b.done, b.total, b.part, b.told_at {FROM}"
    ))
}

/// All those of a computer.
pub(super) async fn of_computer(
    tx: &mut Tx,
    computer: &ComputerId,
) -> Result<Vec<Software>, StoreError> {
    let query = select().and("s.computer = ?", [computer.as_str()]);
    query.all(tx, "s.url").await?.iter().map(read).collect()
}

pub(super) fn read(row: &AnyRow) -> Result<Software, StoreError> {
    let url = SoftwareUrl::new(text(row, "url")?);
    Ok(Software {
        computer: text(row, "computer")?,
        md5: url.md5_hex(),
        url: url.to_string(),
        requested_state: text(row, "requested_state")?,
        reported: report(row)?.map(Into::into),
        progress: progress(row)?,
    })
}

fn progress(row: &AnyRow) -> Result<Option<Progress>, StoreError> {
    let Some(at) = row.try_get::<Option<i64>, _>("told_at")? else { return Ok(None) };
    Ok(Some(Progress {
        done: row.try_get("done")?,
        total: row.try_get("total")?,
        part: text(row, "part")?,
        at: rfc3339(at),
    }))
}
