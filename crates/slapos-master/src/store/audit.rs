//! The log of what people changed, and of who was refused.

use sqlx::Row as _;

use super::Store;
use super::connection::Connection;
use super::pools::Kind;
use super::rows::{rfc3339, text};
use crate::error::StoreError;

/// How long entries are kept, in microseconds: 90 days.
const KEPT_FOR: i64 = 90 * 86_400 * 1_000_000;

/// So many entries are written by one statement to a server: who writes has others wait. To a file they
/// go one by one, by a statement that is prepared: nothing is on the way, and what names 700 values
/// takes SQLite longer to read than to do.
const AT_ONCE: usize = 100;

/// One thing that somebody did, or tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) caller: String,
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) about: String,
    /// The status of the answer; 499 if whoever asked went away before it.
    pub(crate) outcome: u16,
}

/// An entry as it is told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) at: String,
    pub(crate) caller: String,
    /// `RUN` for a command on the Master's machine.
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) about: String,
    /// The status of the answer; 499 if whoever asked went away before it: then it may be done, or not.
    pub(crate) outcome: i64,
}

impl Store {
    /// The present time in microseconds since 1970, for entries.
    pub(crate) fn time(&self) -> i64 {
        self.now()
    }

    /// Keeps entries, and forgets those that are too old.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn keep_audit(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let at_once = if tx.kind() == Kind::Sqlite { 1 } else { AT_ONCE };
        for some in entries.chunks(at_once) {
            insert(&mut tx, some).await?;
            // A file answers at once, always: others have a turn in this thread.
            tokio::task::consume_budget().await;
        }
        let sql = "DELETE FROM audit WHERE happened_at < $1";
        sqlx::query(sql).bind(self.now().saturating_sub(KEPT_FOR)).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// Entries before that one (all, if empty), the newest first.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn audit(&self, before: &str, limit: i64) -> Result<Vec<Told>, StoreError> {
        let mut tx = self.read_long().await?;
        let rows = sqlx::query(
            "SELECT id, happened_at, caller, method, route, about, outcome FROM audit \
             WHERE ($1 = '' OR id < $1) ORDER BY id DESC LIMIT $2",
        )
        .bind(before)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        let read = |row| {
            Ok(Told {
                id: text(row, "id")?,
                at: rfc3339(sqlx::Row::try_get(row, "happened_at")?),
                caller: text(row, "caller")?,
                method: text(row, "method")?,
                route: text(row, "route")?,
                about: text(row, "about")?,
                outcome: row.try_get("outcome")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Keeps what the operator did by a command on the machine itself.
///
/// # Errors
/// Only failures of the database.
pub(super) async fn keep_command(
    tx: &mut Connection,
    at: i64,
    command: &str,
    about: String,
) -> Result<(), StoreError> {
    insert(tx, &[Entry::of_command(at, command, about)]).await
}

impl Entry {
    /// What the operator did by a command on the machine itself; that it was done is told as the
    /// status of an answer would.
    fn of_command(at: i64, command: &str, about: String) -> Entry {
        Entry {
            at,
            caller: "operator".to_owned(),
            method: "RUN".to_owned(),
            route: format!("slapos proxy {command}"),
            about,
            outcome: 200,
        }
    }
}

async fn insert(tx: &mut Connection, entries: &[Entry]) -> Result<(), StoreError> {
    let row = |number: usize| {
        let value = |column| format!("${}", number * 7 + column);
        format!("({})", (1..=7).map(value).collect::<Vec<_>>().join(", "))
    };
    let rows = (0..entries.len()).map(row).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO audit (id, happened_at, caller, method, route, about, outcome) VALUES {rows}"
    );
    let random = slapos_sys::random::hex(4 * entries.len())
        .map_err(|error| StoreError::Invalid(error.to_string()))?;
    // Of many lengths: none but the shortest is worth being kept.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(entries.len() == 1);
    for (index, entry) in entries.iter().enumerate() {
        let random = random.get(8 * index..8 * (index + 1)).unwrap_or_default();
        query = query
            .bind(format!("{:016x}{random}", entry.at))
            .bind(entry.at)
            .bind(entry.caller.as_str())
            .bind(entry.method.as_str())
            .bind(entry.route.as_str())
            .bind(entry.about.as_str())
            .bind(i64::from(entry.outcome));
    }
    query.execute(tx).await?;
    Ok(())
}
