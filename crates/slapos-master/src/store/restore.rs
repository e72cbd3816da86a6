//! Puts a backup in the place of all that a database holds, in one transaction: killed at any moment,
//! or given what is not whole, it leaves everything as it was.
//!
//! The schema goes back to nothing, comes to that of the backup, takes its rows, and comes to the
//! present one, as the database from which the backup is would have. The database gets another name
//! (`era`): positions that listeners had in the former one mean nothing in this.

use std::collections::BTreeSet;
use std::io::BufRead;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use slapos_sys::clock::Clock;
use sqlx::{AssertSqlSafe, Executor as _};

use super::audit;
use super::backup::{End, FORM, Head, TableHead};
use super::catalog::{self, Table, quoted};
use super::changes;
use super::connection::{Connection, Transaction};
use super::database::Database;
use super::migrate::Migrated;
use super::migrations::{self, latest, up_to};
use super::pools::Pools;
use super::presence;
use super::replace;
use super::rows::to_hex;
use crate::error::StoreError;

/// The longest line that is read, in bytes: more than a Master takes in one request.
const LONGEST: u64 = 64 << 20;

/// Tables that may have rows in a database that holds nothing of use: what every Master makes when it
/// starts, and what was to be told.
const OF_NO_USE: [&str; 2] = ["era", "feed"];

/// Restores the backup, and returns how many rows it has. A database that holds something is replaced
/// only with `force`; so is a damaged file, which is kept beside it (`proxy.db.damaged-1`).
///
/// # Errors
/// [`StoreError::Backup`] when the backup is not whole or of a newer version, [`StoreError::Conflict`]
/// when the database holds something, [`StoreError::InUse`] while a Master is there; nothing is changed
/// then.
pub async fn restore(
    database: &Database,
    from: &mut dyn BufRead,
    force: bool,
    clock: &dyn Clock,
) -> Result<u64, StoreError> {
    if let (true, Database::File(path)) = (force, database)
        && let Err(StoreError::Damaged(_)) = Pools::connect(database).await
    {
        return replace::damaged(path, from, clock).await;
    }
    into(database, from, force, clock).await
}

/// The same, for a database that is not damaged.
pub(super) async fn into(
    database: &Database,
    from: &mut dyn BufRead,
    force: bool,
    clock: &dyn Clock,
) -> Result<u64, StoreError> {
    let pools = Pools::connect(database).await?;
    let _alone = presence::alone(database).await?;
    let mut lines = Lines::of(from);
    let head = head(&mut lines)?;
    let mut tx = pools.write_all().await?;
    if !force {
        refuse_to_replace(&pools.name, held(&mut tx, &pools).await?)?;
    }
    let now = clock.now().as_microsecond();
    empty(&mut tx, &pools).await?;
    become_schema(&mut tx, &pools, &BTreeSet::new(), now).await?;
    become_schema(&mut tx, &pools, &head.schema, now).await?;
    fill(&mut tx, &pools, &mut lines).await?;
    become_schema(&mut tx, &pools, &up_to(latest()), now).await?;
    begin_era(&mut tx).await?;
    audit::keep_command(&mut tx, now, "restore", format!("{} rows", lines.rows)).await?;
    tx.commit().await?;
    pools.close().await;
    Ok(lines.rows)
}

/// What restoring a backup would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// How many rows the backup has.
    pub rows: u64,
    /// The number of its schema.
    pub schema: i64,
    /// What then makes the present schema of it.
    pub steps: Vec<Migrated>,
    /// A table of the database that holds something, which would be replaced.
    pub replaces: Option<String>,
}

/// What [`restore`] would do. All of the backup is read, and nothing is changed.
///
/// # Errors
/// As [`restore`], but for values that the database would refuse, and that a Master may be there.
pub async fn rehearse_restore(
    database: &Database,
    from: &mut dyn BufRead,
    force: bool,
) -> Result<Restoration, StoreError> {
    let mut lines = Lines::of(from);
    let head = head(&mut lines)?;
    look_through(&mut lines)?;
    let replaces = if database.is_absent() { None } else { held_by(database).await? };
    if !force {
        refuse_to_replace(&database.to_string(), replaces.clone())?;
    }
    let steps = migrations::steps(&head.schema, &up_to(latest()));
    let steps = steps.map_err(|found| migrations::newer("the backup", found))?;
    Ok(Restoration {
        rows: lines.rows,
        schema: head.schema.last().copied().unwrap_or(0),
        steps: steps.into_iter().map(Migrated::from).collect(),
        replaces,
    })
}

/// A table that holds something in a database that nobody is to change.
async fn held_by(database: &Database) -> Result<Option<String>, StoreError> {
    let pools = Pools::existing(database).await?;
    let held = {
        let mut tx = pools.read().await?;
        migrations::not_newer(&mut tx, pools.kind, &pools.name).await?;
        held(&mut tx, &pools).await?
    };
    pools.close().await;
    Ok(held)
}

/// Reads to the last line, for nobody.
fn look_through(lines: &mut Lines<'_>) -> Result<(), StoreError> {
    let mut columns = None;
    while let Some(item) = lines.item()? {
        match (item, columns) {
            (Item::Table(head), _) => columns = Some(head.columns.len()),
            (Item::Row(_), None) => return Err(lines.wrong(NO_TABLE)),
            (Item::Row(values), Some(width)) if values.len() != width => {
                return Err(lines.wrong(WRONG_WIDTH));
            }
            (Item::Row(_), Some(_)) => {}
        }
    }
    Ok(())
}

/// Listeners of the former database look at everything in this one. What was to be told to those who
/// listen to everything goes, because its numbers are those of transactions of another database.
async fn begin_era(tx: &mut Connection) -> Result<(), StoreError> {
    tx.execute("DELETE FROM feed").await?;
    tx.execute("DELETE FROM era").await?;
    changes::name_era(tx).await.map(drop)
}

fn head(lines: &mut Lines<'_>) -> Result<Head, StoreError> {
    let head: Head = lines.parsed("its first line")?;
    if head.form != FORM {
        return Err(backup(format!("it has the form {}, this version reads {FORM}", head.form)));
    }
    match migrations::steps(&BTreeSet::new(), &head.schema) {
        Ok(_) => Ok(head),
        Err(found) => Err(backup(format!(
            "a newer slapos wrote it (schema {found}, this one knows {}): use that one",
            latest()
        ))),
    }
}

/// A table that holds something of use.
async fn held(tx: &mut Connection, pools: &Pools) -> Result<Option<String>, StoreError> {
    for table in catalog::in_order(&mut *tx, pools.kind).await? {
        let some = match table.name.as_str() {
            "computer" => {
                "SELECT reference FROM computer WHERE formatted_at > 0 LIMIT 1".to_owned()
            }
            name if OF_NO_USE.contains(&name) => continue,
            name => format!("SELECT 1 FROM {} LIMIT 1", quoted(name)),
        };
        if sqlx::query(AssertSqlSafe(some)).fetch_optional(&mut *tx).await?.is_some() {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

fn refuse_to_replace(database: &str, held: Option<String>) -> Result<(), StoreError> {
    let Some(table) = held else { return Ok(()) };
    Err(StoreError::Conflict(format!(
        "{database} holds something already (in {table}), and was left as it is: have a backup made of \
         it, stop its Masters, and say --force to replace it"
    )))
}

/// Removes all rows, so that no schema on the way has to hold them.
async fn empty(tx: &mut Connection, pools: &Pools) -> Result<(), StoreError> {
    let tables = catalog::in_order(&mut *tx, pools.kind).await?;
    for table in tables.iter().rev() {
        let sql = format!("DELETE FROM {}", quoted(&table.name));
        tx.execute(AssertSqlSafe(sql)).await?;
    }
    Ok(())
}

async fn become_schema(
    tx: &mut Transaction,
    pools: &Pools,
    wanted: &BTreeSet<i64>,
    now: i64,
) -> Result<(), StoreError> {
    for step in migrations::left(tx, pools, wanted).await? {
        migrations::take(tx, step, now).await?;
    }
    Ok(())
}

/// Takes the rows, to the last line.
async fn fill(tx: &mut Connection, pools: &Pools, lines: &mut Lines<'_>) -> Result<(), StoreError> {
    let tables = catalog::in_order(&mut *tx, pools.kind).await?;
    let mut insert: Option<(Table, String)> = None;
    while let Some(item) = lines.item()? {
        match (item, &insert) {
            (Item::Table(head), _) => insert = Some(insertion(&tables, &head, lines)?),
            (Item::Row(_), None) => return Err(lines.wrong(NO_TABLE)),
            (Item::Row(values), Some((table, sql))) => put(tx, table, sql, &values, lines).await?,
        }
    }
    Ok(())
}

/// The table, with its columns in the order of the backup, and how a row comes into it.
fn insertion(
    tables: &[Table],
    head: &TableHead,
    lines: &Lines<'_>,
) -> Result<(Table, String), StoreError> {
    let known = tables.iter().find(|table| table.name == head.table);
    let column = |name: &String| known?.columns.iter().find(|column| column.name == *name).cloned();
    let columns: Option<Vec<_>> = head.columns.iter().map(column).collect();
    let Some(columns) = columns else {
        return Err(lines.wrong("its schema has no such table and columns"));
    };
    let table = Table { name: head.table.clone(), columns };
    let places: Vec<_> = (1..=table.columns.len()).map(|place| format!("${place}")).collect();
    let (name, columns, places) = (quoted(&table.name), table.column_list(), places.join(", "));
    Ok((table, format!("INSERT INTO {name} ({columns}) VALUES ({places})")))
}

async fn put(
    tx: &mut Connection,
    table: &Table,
    sql: &str,
    values: &[Value],
    lines: &Lines<'_>,
) -> Result<(), StoreError> {
    if values.len() != table.columns.len() {
        return Err(lines.wrong(WRONG_WIDTH));
    }
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for (column, value) in table.columns.iter().zip(values) {
        query = match (value, column.number) {
            (Value::Null, true) => query.bind(None::<i64>),
            (Value::Null, false) => query.bind(None::<String>),
            (Value::String(text), false) => query.bind(text.clone()),
            (Value::Number(number), true) if number.is_i64() => query.bind(number.as_i64()),
            _ => return Err(lines.wrong("a value is not what its column holds")),
        };
    }
    match query.execute(tx).await.map_err(StoreError::from) {
        Ok(_) => Ok(()),
        Err(StoreError::Database(why) | StoreError::Invalid(why)) => Err(lines.wrong(&why)),
        Err(other) => Err(other),
    }
}

/// What is read, with its sum.
struct Lines<'a> {
    from: &'a mut dyn BufRead,
    sum: Sha256,
    number: u64,
    rows: u64,
}

/// What there is between the first line and the last.
enum Item {
    Table(TableHead),
    Row(Vec<Value>),
}

const NO_TABLE: &str = "a row comes before its table";
const WRONG_WIDTH: &str = "it has not as many values as its table has columns";

impl<'a> Lines<'a> {
    fn of(from: &'a mut dyn BufRead) -> Lines<'a> {
        Lines { from, sum: Sha256::new(), number: 0, rows: 0 }
    }

    /// The next table or row; nothing once the last line was read, and agrees with all before it.
    fn item(&mut self) -> Result<Option<Item>, StoreError> {
        let sum = self.sum.clone();
        match self.parsed("a line")? {
            Value::Array(values) => {
                self.rows += 1;
                Ok(Some(Item::Row(values)))
            }
            line if line.get("table").is_some() => Ok(Some(Item::Table(self.typed(line)?))),
            line => {
                let end: End = self.typed(line)?;
                let here = End { rows: self.rows, sha256: to_hex(&sum.finalize()) };
                if end != here {
                    return Err(self.wrong("it does not agree with what comes before it"));
                }
                self.nothing_more().map(|()| None)
            }
        }
    }

    fn parsed<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, StoreError> {
        let line = self.line()?;
        serde_json::from_slice(&line).map_err(|_| match line.ends_with(b"\n") {
            true => self.wrong("it is not what a backup has there"),
            false => backup(format!("it is cut off: {what} is missing or not whole")),
        })
    }

    fn typed<T: DeserializeOwned>(&self, line: Value) -> Result<T, StoreError> {
        serde_json::from_value(line).map_err(|_| self.wrong("it is not what a backup has there"))
    }

    fn line(&mut self) -> Result<Vec<u8>, StoreError> {
        use std::io::Read as _;
        let mut line = Vec::new();
        let read = (&mut *self.from).take(LONGEST).read_until(b'\n', &mut line);
        read.map_err(|error| backup(format!("it cannot be read: {error}")))?;
        self.number += 1;
        self.sum.update(&line);
        Ok(line)
    }

    fn nothing_more(&mut self) -> Result<(), StoreError> {
        match self.line()?.is_empty() {
            true => Ok(()),
            false => Err(self.wrong("it comes after the last line")),
        }
    }

    fn wrong(&self, why: &str) -> StoreError {
        backup(format!("line {}: {why}; nothing was changed", self.number))
    }
}

fn backup(why: String) -> StoreError {
    StoreError::Backup(why)
}
