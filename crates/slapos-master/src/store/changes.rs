//! What changed lately, for nodes that listen.
//!
//! A change is written by the transaction that makes it, so that none is told that did not happen,
//! and none is lost. Only the last [`KEPT`] of each computer are kept: whoever missed more looks at
//! everything. Listeners are woken by [`Bells`], which ring when such a transaction is committed;
//! all that they hear then comes from the database. Masters that share a PostgreSQL database ring each
//! other's bells through it; processes that share a file do not, so that their listeners hear of
//! what another did with the next sign of life.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slapos_slap::{Change, ComputerId, PartitionId, SoftwareUrl};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use tokio::sync::watch;

use super::connection::Connection;
use super::feed::{self, At, Entry, OF_THE_ENTRY};
use super::pools::Kind;
use super::rows::{text, word};
use super::{Store, Tx, postgres};
use crate::error::StoreError;

/// How many changes of a computer are kept.
pub(crate) const KEPT: i64 = 1000;

/// One of so many changes, as the clock has it, removes those that are too old, all at once.
const SWEPT: i64 = 50;

/// How many changes are read at once.
const PAGE: i64 = 100;

/// How far a listener has come: the database, and the number of the last change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    era: String,
    number: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.era, self.number)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Position, ()> {
        let (era, number) = text.split_once('-').ok_or(())?;
        Ok(Position { era: era.to_owned(), number: number.parse().map_err(drop)? })
    }
}

/// What a listener is to be told next.
#[derive(Debug, PartialEq)]
pub(crate) enum News {
    /// These changes, each with the position after it; there may be more.
    Changes(Vec<(Position, Change)>),
    /// To look at everything, and to go on from here: what it missed is not kept.
    Resync(Position),
}

/// Gives the database another name when it was moved to another server by the server's own tools, whose
/// numbers of transactions mean nothing there: listeners look at everything.
pub(super) async fn leave_era(tx: &mut Connection, kind: Kind) -> Result<(), StoreError> {
    if kind == Kind::Postgres
        && sqlx::query(postgres::FORGET_AHEAD).execute(&mut *tx).await?.rows_affected() > 0
    {
        sqlx::query("DELETE FROM era").execute(tx).await?;
    }
    Ok(())
}

/// Gives the database its name, unless it has one, and returns it.
pub(super) async fn name_era(tx: &mut Connection) -> Result<String, StoreError> {
    if let Some(row) = sqlx::query("SELECT name FROM era").fetch_optional(&mut *tx).await? {
        return text(&row, "name");
    }
    let name = slapos_sys::random::hex(8)
        .map_err(|error| StoreError::Unavailable(format!("no random name: {error}")))?;
    sqlx::query("INSERT INTO era (name) VALUES ($1)").bind(name.as_str()).execute(tx).await?;
    Ok(name)
}

impl Store {
    /// What is new on a computer after `position`; without one, to look at everything.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn news(
        &self,
        computer: &ComputerId,
        position: Option<&Position>,
    ) -> Result<News, StoreError> {
        // One look is enough most often: listeners come by at every sign of life.
        let present = last_position(&mut self.reader().await?, computer).await?;
        match position {
            None => return Ok(News::Resync(present)),
            Some(position) if *position == present => return Ok(News::Changes(Vec::new())),
            Some(_) => {}
        }
        let mut tx = self.read().await?;
        let Position { era, number: last } = last_position(&mut *tx, computer).await?;
        let Some(heard) = position.filter(|position| {
            position.era == era && (last.saturating_sub(KEPT)..=last).contains(&position.number)
        }) else {
            return Ok(News::Resync(Position { era, number: last }));
        };
        let rows = sqlx::query(
            "SELECT number, kind, partition_reference, software, state FROM change \
             WHERE computer = $1 AND number > $2 ORDER BY number LIMIT $3",
        )
        .bind(computer.as_str())
        .bind(heard.number)
        .bind(PAGE)
        .fetch_all(&mut *tx)
        .await?;
        let read = |row: &AnyRow| {
            let number = row.try_get("number")?;
            Ok((Position { era: era.clone(), number }, read_change(row)?))
        };
        Ok(News::Changes(rows.iter().map(read).collect::<Result<_, StoreError>>()?))
    }

    /// What wakes whoever listens to a computer. What was rung before counts as heard.
    pub(crate) fn bell(&self, computer: &ComputerId) -> Bell {
        Bells::subscribe(&self.bells, computer)
    }
}

/// Takes note of a change of a computer, and of the bell to be rung when `tx` is committed.
pub(super) async fn note(
    tx: &mut Tx,
    computer: &ComputerId,
    change: &Change,
    now: i64,
) -> Result<(), StoreError> {
    tx.ring(computer);
    feed::tell_with(tx, &noting(OF_THE_ENTRY, now), &Entry::of(computer, change), now).await
}

/// The statements that take note of an entry of the feed for the node of its computer, with the values
/// of [`feed::bind`]. All of them count from what was before.
pub(super) fn noting(at: At, now: i64) -> Vec<String> {
    let At { computer, partition, from } = at;
    let mut statements = vec![format!(
        "INSERT INTO change \
         (computer, number, kind, partition_reference, software, state, changed_at) \
         SELECT {computer}, (SELECT changes + 1 FROM computer WHERE reference = {computer}), \
         $2, {partition}, $5, $6, $9 {from}"
    )];
    if now % SWEPT == 0 {
        statements.push(format!(
            "DELETE FROM change WHERE computer = {computer} AND number <= \
             (SELECT changes + 1 - {KEPT} FROM computer WHERE reference = {computer})"
        ));
    }
    statements.push(format!(
        "UPDATE computer SET changes = changes + 1, revision = revision + 1 \
         WHERE reference = {computer}"
    ));
    statements
}

/// What tells this database from another.
pub(super) async fn era(tx: &mut Tx) -> Result<String, StoreError> {
    text(&sqlx::query("SELECT name FROM era").fetch_one(&mut **tx).await?, "name")
}

/// Takes note of a change in what the node of a computer is told, for which it need not be woken.
pub(super) async fn revise(tx: &mut Tx, computer: &ComputerId) -> Result<(), StoreError> {
    sqlx::query("UPDATE computer SET revision = revision + 1 WHERE reference = $1")
        .bind(computer.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The same for all computers that have children of a root.
pub(super) async fn revise_children(
    tx: &mut Tx,
    project: &str,
    root: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE computer SET revision = revision + 1 WHERE reference IN \
         (SELECT computer FROM instance WHERE project = $1 AND root = $2)",
    )
    .bind(project)
    .bind(root)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The position after the last change of a computer.
async fn last_position(
    executor: impl sqlx::Executor<'_, Database = sqlx::Any>,
    computer: &ComputerId,
) -> Result<Position, StoreError> {
    let row = sqlx::query("SELECT c.changes, e.name FROM computer c, era e WHERE c.reference = $1")
        .bind(computer.as_str())
        .fetch_optional(executor)
        .await?;
    let row = row.ok_or_else(|| StoreError::no_computer(computer))?;
    Ok(Position { era: text(&row, "name")?, number: row.try_get("changes")? })
}

fn read_change(row: &AnyRow) -> Result<Change, StoreError> {
    let optional = |column| row.try_get::<Option<String>, _>(column);
    Ok(Change {
        kind: word(row, "kind")?,
        partition: optional("partition_reference")?.map(PartitionId::new),
        software: optional("software")?.map(SoftwareUrl::new),
        state: optional("state")?,
    })
}

/// One bell for each computer that somebody listens to.
#[derive(Debug)]
pub(super) struct Bells {
    /// Tells this Master from others that ring for the same database.
    name: String,
    bells: Mutex<HashMap<ComputerId, watch::Sender<()>>>,
}

impl Bells {
    pub(super) fn new() -> std::io::Result<Bells> {
        Ok(Bells { name: slapos_sys::random::hex(8)?, bells: Mutex::default() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ComputerId, watch::Sender<()>>> {
        // Nothing that can panic is done under the lock.
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(bells: &Arc<Bells>, computer: &ComputerId) -> Bell {
        let mut all = bells.lock();
        let bell = all.entry(computer.clone()).or_insert_with(|| watch::channel(()).0);
        let rung = bell.subscribe();
        Bell { rung, computer: computer.clone(), bells: Arc::clone(bells) }
    }

    /// Rings the bell of a computer, and that of everything, which is that of the empty name.
    pub(super) fn ring(&self, computer: &ComputerId) {
        let bells = self.lock();
        for bell in [bells.get(computer), bells.get(&ComputerId::new(""))].into_iter().flatten() {
            bell.send_replace(());
        }
    }

    /// For who cannot know what has changed.
    pub(super) fn ring_all(&self) {
        self.lock().values().for_each(|bell| bell.send_replace(()));
    }
}

/// Somebody's ear for one computer. The last to go takes the bell along.
pub(crate) struct Bell {
    rung: watch::Receiver<()>,
    computer: ComputerId,
    bells: Arc<Bells>,
}

impl Bell {
    /// Waits until it is rung; at once if it was since the last time.
    pub(crate) async fn rung(&mut self) {
        // The sender stays as long as this is here.
        let _ = self.rung.changed().await;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut all = self.bells.lock();
        if all.get(&self.computer).is_some_and(|bell| bell.receiver_count() <= 1) {
            all.remove(&self.computer);
        }
    }
}
