//! All changes in one order, for those who listen to everything.
//!
//! A counter for all changes would make all writers wait for each other. So a change has the number
//! of its *transaction*, as the database counts them, and its place there. Transactions end in another
//! order than they began, therefore nothing is told that has not a lower number than every transaction
//! that still runs (the *horizon*): what is told later always has a higher number, and nobody who
//! goes on from the last number misses anything. On SQLite, where one writes at a time, the number is
//! the highest one so far and one more, and everything committed is below the horizon. On
//! PostgreSQL it is the transaction id, and the horizon that of the oldest running one; a transaction
//! that takes long delays what is told, but loses nothing.
//!
//! Invariants: an entry is written by the transaction that makes the change; only what is further
//! back than [`KEPT`] transactions is ever forgotten, and who missed that is told to look at
//! everything; who may not see something is not told of it.

use std::fmt;
use std::str::FromStr;

use slapos_slap::{Change, ComputerId, PartitionId};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row as _};

use super::listing::Scope;
use super::pools::Kind;
use super::together::together;
use super::{Store, Tx, postgres, sqlite};
use crate::error::StoreError;

/// How many transactions back entries are kept.
const KEPT: i64 = 100_000;

/// The same as the database counts. At a server who writes has a savepoint, which takes a number of its
/// own beside that of the transaction, so that who writes alone takes two.
fn kept(kind: Kind) -> i64 {
    match kind {
        Kind::Sqlite => KEPT,
        Kind::Postgres => 2 * KEPT,
    }
}

/// How far back a listener may go on: less, so that nothing is forgotten while it is read.
fn heard(kind: Kind) -> i64 {
    kept(kind) / 2
}

/// Entries are removed by one of so many transactions, as the clock has it.
const SWEEP: i64 = 64;

/// How many entries are read at once.
const PAGE: i64 = 200;

/// What happens, in the words of the document for clients: those of
/// [`ChangeKind`](slapos_slap::ChangeKind) first, then what a node need not know.
pub(crate) const KINDS: [(&str, &str); 18] = [
    ("request", "an instance was asked for, or differently (`state` is what is wanted)"),
    ("supply", "a Software Release is wanted in that `state`"),
    ("bang", "a partition, or all of a computer, is to be processed again"),
    ("connection", "something was published that an instance asked for, or by itself"),
    ("rename", "an instance has another title"),
    ("free", "a partition has become free"),
    ("format", "a computer was formatted"),
    ("report", "a node said in which `state` something is"),
    ("restart", "the services of an instance are to start anew"),
    ("settings", "what a computer may be used for was changed (`state` is its scope)"),
    ("orphan", "an instance is not asked for any more by who asked, or is again"),
    ("contact", "a node was heard of, which is told every five minutes"),
    ("metrics", "a node told how its machine is"),
    ("progress", "a build went on, or its log"),
    ("promise", "a promise of a partition turned"),
    ("computer", "a computer was `added`, `moved` to another project, or `removed`"),
    ("user", "the person `about` was `added` or `removed`"),
    ("project", "the project `about` was `added` or `removed`, or has other `members`"),
];

/// Something that changed. It says where to look, and nothing of what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Event)]
pub(crate) struct Entry {
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) computer: Option<String>,
    /// Absent if it happened to all of the computer, or to no partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<String>,
    /// The URL of the Software Release that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) software: Option<String>,
    /// What is wanted, what was reported, or what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// The title of the instance's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tree: Option<String>,
    /// The user or the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<String>,
    /// Whose it is, where that does not follow from the instance.
    #[serde(skip)]
    #[schema(ignore)]
    pub(super) project: Option<String>,
}

impl Entry {
    /// Something that happened on a computer.
    pub(super) fn of(computer: &ComputerId, change: &Change) -> Entry {
        Entry {
            kind: change.kind.as_str().to_owned(),
            computer: Some(computer.to_string()),
            partition: change.partition.as_ref().map(ToString::to_string),
            software: change.software.as_ref().map(ToString::to_string),
            state: change.state.clone(),
            ..Entry::default()
        }
    }

    /// Something of a person or of a project, which only the operator, and the members of the
    /// project, hear of.
    pub(super) fn about(kind: &str, name: &str, state: &str) -> Entry {
        Entry {
            kind: kind.to_owned(),
            about: Some(name.to_owned()),
            state: Some(state.to_owned()),
            project: (kind == "project").then(|| name.to_owned()),
            ..Entry::default()
        }
    }

    /// Something of a computer that its node need not know.
    pub(super) fn on(kind: &str, computer: &ComputerId) -> Entry {
        let (kind, computer) = (kind.to_owned(), Some(computer.to_string()));
        Entry { kind, computer, ..Entry::default() }
    }
}

impl Entry {
    /// What an instance publishes is different, to itself or to those whom it serves.
    pub(super) fn connection(computer: &ComputerId, partition: &PartitionId) -> Entry {
        let partition = Some(partition.to_string());
        Entry { partition, ..Entry::on("connection", computer) }
    }
}

/// How far a listener to everything has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    era: String,
    transaction: i64,
    number: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.era, self.transaction, self.number)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Place, ()> {
        let (era, rest) = text.split_once('-').ok_or(())?;
        let (transaction, number) = rest.split_once('.').ok_or(())?;
        let transaction = transaction.parse().map_err(drop)?;
        Ok(Place { era: era.to_owned(), transaction, number: number.parse().map_err(drop)? })
    }
}

/// What is to be told next.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    /// Whether the listener has to look at everything first, because what it missed is not kept.
    pub(crate) resync: bool,
    /// What changed, each with the place after it.
    pub(crate) entries: Vec<(Place, Entry)>,
    /// Where to go on.
    pub(crate) place: Place,
    /// Whether there is more to be told at once.
    pub(crate) full: bool,
    /// Whether something will be told soon that is not certain yet.
    pub(crate) pending: bool,
}

impl Store {
    /// What changed after `place`, as far as the scope has it; without one, where to begin.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn feed(
        &self,
        scope: &Scope,
        place: Option<&Place>,
    ) -> Result<Told, StoreError> {
        let mut tx = self.read().await?;
        let era = super::changes::era(&mut tx).await?;
        // First: what is seen afterwards has all that is below it.
        let horizon = match tx.kind() {
            Kind::Sqlite => sqlite::HORIZON,
            Kind::Postgres => postgres::HORIZON,
        };
        let horizon = number(&mut tx, horizon).await?;
        let reached = Place { era: era.clone(), transaction: horizon - 1, number: i64::MAX };
        let far = heard(tx.kind());
        let heard = place.filter(|place| {
            place.era == era && (horizon - far..=horizon).contains(&place.transaction)
        });
        let Some(heard) = heard else {
            let (entries, place) = (Vec::new(), reached);
            return Ok(Told { resync: true, entries, place, full: false, pending: false });
        };
        let rows = below(&mut tx, heard, horizon).await?;
        let full = rows.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
        let mut last = if full { heard.clone() } else { later(heard, reached) };
        let mut entries = Vec::new();
        for row in &rows {
            let (transaction, number) =
                (row.try_get("transaction_number")?, row.try_get("number")?);
            let at = Place { era: era.clone(), transaction, number };
            if full {
                last = at.clone();
            }
            if visible(row, scope)? {
                entries.push((at, read(row)?));
            }
        }
        let pending = number(&mut tx, NEWEST).await? >= horizon;
        Ok(Told { resync: false, entries, place: last, full, pending })
    }

    /// What wakes whoever listens to everything: it rings with every computer's.
    pub(crate) fn feed_bell(&self) -> super::Bell {
        self.bell(&ComputerId::new(""))
    }
}

/// Where statements find the partition of which they tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// The reference of its computer, as SQL.
    pub(super) computer: &'static str,
    pub(super) partition: &'static str,
    /// What comes behind the values of a new row, which is there for each row of that.
    pub(super) from: &'static str,
}

/// The partition of the entry.
pub(super) const OF_THE_ENTRY: At = At { computer: "$3", partition: "$4", from: "" };

/// Takes note of a change for those who listen to everything.
pub(super) async fn tell(tx: &mut Tx, entry: &Entry, now: i64) -> Result<(), StoreError> {
    tell_with(tx, &[], entry, now).await
}

/// The same, [`together`] with statements which find what the entry says as [`bind`] numbers it.
pub(super) async fn tell_with(
    tx: &mut Tx,
    others: &[String],
    entry: &Entry,
    now: i64,
) -> Result<(), StoreError> {
    let place = tx.next_entry();
    let own = telling(tx.kind(), OF_THE_ENTRY);
    let statements: Vec<&str> = others.iter().chain([&own]).map(String::as_str).collect();
    together(tx, &statements, |query| bind(query, place, entry, now)).await?;
    told(tx, now).await
}

/// The statement that takes note of an entry with the values of [`bind`].
pub(super) fn telling(kind: Kind, at: At) -> String {
    let transaction = match kind {
        Kind::Sqlite => sqlite::TRANSACTION,
        Kind::Postgres => postgres::TRANSACTION,
    };
    let At { computer, partition, from } = at;
    let of_instance = format!(
        "FROM instance i WHERE i.computer = {computer} AND i.partition_reference = {partition}"
    );
    let of_computer = format!("FROM computer c WHERE c.reference = {computer}");
    format!(
        "INSERT INTO feed (transaction_number, number, kind, computer, partition_reference, \
         software, state, tree, about, project, computer_project, changed_at) \
         SELECT {transaction}, $1, $2, {computer}, {partition}, $5, $6, COALESCE($7, \
         (SELECT CASE WHEN i.root = '' THEN i.title ELSE i.root END {of_instance})), $8, \
         COALESCE($10, (SELECT i.project {of_instance}), ''), \
         COALESCE((SELECT c.project {of_computer}), ''), $9 {from}"
    )
}

/// Gives statements what the entry says: its place `$1`, the kind `$2`, the computer `$3`, the partition
/// `$4`, the Software Release `$5`, the state `$6`, the tree `$7`, whom it is about `$8`, the time `$9`
/// and the project `$10`.
pub(super) fn bind<'q>(
    query: Query<'q, Any, AnyArguments>,
    place: i64,
    entry: &'q Entry,
    now: i64,
) -> Query<'q, Any, AnyArguments> {
    query
        .bind(place)
        .bind(entry.kind.as_str())
        .bind(entry.computer.as_deref())
        .bind(entry.partition.as_deref())
        .bind(entry.software.as_deref())
        .bind(entry.state.as_deref())
        .bind(entry.tree.as_deref())
        .bind(entry.about.as_deref())
        .bind(now)
        .bind(entry.project.as_deref())
}

/// What follows when an entry is written.
pub(super) async fn told(tx: &mut Tx, now: i64) -> Result<(), StoreError> {
    if now % SWEEP == 0 {
        sweep(tx).await?;
    }
    // That of everything alone: no node need look, unless `changes::note` says so.
    tx.ring(&ComputerId::new(""));
    Ok(())
}

/// Forgets what is too far back.
async fn sweep(tx: &mut Tx) -> Result<(), StoreError> {
    let newest = number(tx, NEWEST).await?;
    sqlx::query("DELETE FROM feed WHERE transaction_number <= $1")
        .bind(newest.saturating_sub(kept(tx.kind())))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

const NEWEST: &str = "SELECT COALESCE(max(transaction_number), 0) AS n FROM feed";

async fn below(tx: &mut Tx, heard: &Place, horizon: i64) -> Result<Vec<AnyRow>, StoreError> {
    Ok(sqlx::query(
        "SELECT transaction_number, number, kind, computer, partition_reference, software, state, \
         tree, about, project, computer_project FROM feed \
         WHERE (transaction_number, number) > ($1, $2) AND transaction_number < $3 \
         ORDER BY transaction_number, number LIMIT $4",
    )
    .bind(heard.transaction)
    .bind(heard.number)
    .bind(horizon)
    .bind(PAGE)
    .fetch_all(&mut **tx)
    .await?)
}

/// The further one.
fn later(one: &Place, other: Place) -> Place {
    if (one.transaction, one.number) > (other.transaction, other.number) {
        one.clone()
    } else {
        other
    }
}

fn visible(row: &AnyRow, scope: &Scope) -> Result<bool, StoreError> {
    Ok(match scope {
        Scope::All => true,
        Scope::Computer(computer) => {
            row.try_get::<Option<String>, _>("computer")?.as_deref() == Some(computer.as_str())
        }
        Scope::Projects(projects) => {
            let of = |column| Ok::<_, StoreError>(projects.contains(&row.try_get(column)?));
            of("project")? || of("computer_project")?
        }
    })
}

fn read(row: &AnyRow) -> Result<Entry, StoreError> {
    let optional = |column| row.try_get::<Option<String>, _>(column);
    Ok(Entry {
        kind: row.try_get("kind")?,
        computer: optional("computer")?,
        partition: optional("partition_reference")?,
        software: optional("software")?,
        state: optional("state")?,
        tree: optional("tree")?,
        about: optional("about")?,
        project: None,
    })
}

async fn number(tx: &mut Tx, sql: &'static str) -> Result<i64, StoreError> {
    Ok(sqlx::query(sql).fetch_one(&mut **tx).await?.try_get("n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_know_comes_first_in_the_list_and_all_of_it() {
        use slapos_slap::ChangeKind::{self, *};
        let known =
            [Request, Supply, Bang, Connection, Rename, Free, Format, Report, Restart, Settings];
        let words: Vec<_> = KINDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(words[..known.len()], known.map(ChangeKind::as_str));
        let others = words[known.len()..].iter().map(|word| word.parse::<ChangeKind>().unwrap());
        assert!(others.into_iter().all(|kind| kind == Other), "nodes do not know them");
    }

    #[test]
    fn a_place_reads_back() {
        let place = Place { era: "a1".to_owned(), transaction: 7, number: i64::MAX };
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", "a1-7", "a1-7.x", "7.1"] {
            assert_eq!(wrong.parse::<Place>(), Err(()));
        }
    }
}
