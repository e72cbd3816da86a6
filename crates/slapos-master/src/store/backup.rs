//! All that a Master remembers as lines of JSON: the same for every kind of database, so that a backup
//! is also the way from one to another.
//!
//! The first line says what it is and which migrations were applied. Then comes for each table a line
//! with its name and columns, followed by a line for each row, each table after those that it refers
//! to. The last line has the number of rows and the SHA-256 of all lines before it: what has no last
//! line, or another sum, is not whole. It is written from one consistent view, while Masters go on.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::pin;

use futures_core::Stream as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::catalog::{self, Table, quoted};
use super::connection::Connection;
use super::database::Database;
use super::migrations;
use super::pools::Pools;
use super::rows::to_hex;
use crate::error::StoreError;

/// What this form is called, with its version.
pub(super) const FORM: &str = "slapos-master-backup-1";

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) form: String,
    /// The numbers of the migrations that were applied.
    pub(super) schema: BTreeSet<i64>,
}

/// Before the rows of a table.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableHead {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

/// The last line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) rows: u64,
    pub(super) sha256: String,
}

/// Writes a backup of the database, and returns how many rows it has. The schema stays as it is.
///
/// # Errors
/// Failures of the database, and [`StoreError::Backup`] of what is written to.
pub async fn backup(database: &Database, out: &mut dyn Write) -> Result<u64, StoreError> {
    let pools = Pools::existing(database).await?;
    let mut tx = pools.read_all().await?;
    migrations::not_newer(&mut tx, pools.kind, &pools.name).await?;
    let schema = migrations::applied(&mut tx, pools.kind).await?;
    let mut lines = Lines { out, sum: Sha256::new(), rows: 0 };
    lines.line(&Head { form: FORM.to_owned(), schema })?;
    let tables = catalog::in_order(&mut tx, pools.kind).await?;
    // The order of the feed is that of this very database.
    for table in tables.iter().filter(|table| table.name != "feed") {
        copy(&mut tx, table, &mut lines).await?;
    }
    drop(tx);
    pools.close().await;
    lines.end()
}

#[cfg(test)]
impl super::Store {
    /// All that is remembered, as the lines of a backup, except when somebody was heard of and what the
    /// logs tell.
    pub(crate) async fn lines(&self) -> Vec<String> {
        let pools = &self.pools;
        let mut tx = pools.read().await.unwrap();
        let mut out = Vec::new();
        let mut lines = Lines { out: &mut out, sum: Sha256::new(), rows: 0 };
        for mut table in catalog::in_order(&mut tx, pools.kind).await.unwrap() {
            if !["audit", "computer_contact", "feed"].contains(&table.name.as_str()) {
                table.columns.retain(|column| column.name != "used_at");
                copy(&mut tx, &table, &mut lines).await.unwrap();
            }
        }
        let text = String::from_utf8(out).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

async fn copy(tx: &mut Connection, table: &Table, lines: &mut Lines<'_>) -> Result<(), StoreError> {
    let columns = table.columns.iter().map(|column| column.name.clone()).collect();
    lines.line(&TableHead { table: table.name.clone(), columns })?;
    let sql = format!("SELECT {} FROM {}", table.column_list(), quoted(&table.name));
    let mut rows = pin!(sqlx::query(AssertSqlSafe(sql)).fetch(tx));
    while let Some(row) = poll_fn(|cx| rows.as_mut().poll_next(cx)).await {
        lines.line(&values(table, &row?)?)?;
        lines.rows += 1;
    }
    Ok(())
}

fn values(table: &Table, row: &AnyRow) -> Result<Vec<Value>, StoreError> {
    let value = |(index, column): (usize, &catalog::Column)| {
        Ok(match column.number {
            true => row.try_get::<Option<i64>, _>(index)?.map_or(Value::Null, Value::from),
            false => row.try_get::<Option<String>, _>(index)?.map_or(Value::Null, Value::from),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}

/// What is written, with its sum.
struct Lines<'a> {
    out: &'a mut dyn Write,
    sum: Sha256,
    rows: u64,
}

impl Lines<'_> {
    fn line(&mut self, line: &impl Serialize) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| failed(&error.into()))?;
        bytes.push(b'\n');
        self.sum.update(&bytes);
        self.out.write_all(&bytes).map_err(|error| failed(&error))
    }

    fn end(self) -> Result<u64, StoreError> {
        let end = End { rows: self.rows, sha256: to_hex(&self.sum.finalize()) };
        let line = serde_json::to_string(&end).map_err(|error| failed(&error.into()))?;
        let written = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
        written.map_err(|error| failed(&error))?;
        Ok(self.rows)
    }
}

fn failed(error: &io::Error) -> StoreError {
    StoreError::Backup(format!("it cannot be written: {error}"))
}
