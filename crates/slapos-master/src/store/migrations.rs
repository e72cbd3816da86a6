//! The schema of the database, step by step, each way.
//!
//! A migration is two texts that every database understands, [`MIGRATIONS`] is the one list. What is
//! applied is a set of numbers, recorded in `schema_migration`; each step is one transaction together
//! with its record, so that a killed run goes on where it was, and the right to write is had first, so
//! that of several processes at once each does what is left. A number that is not in the list was
//! written by a newer version: nothing is done then. No released migration is ever changed.

use std::collections::BTreeSet;

use slapos_sys::clock::Clock;
use sqlx::Row as _;

use super::catalog;
use super::connection::Connection;
use super::pools::{Kind, Pools};
use crate::error::StoreError;

/// One step of the schema.
#[derive(Debug, PartialEq)]
pub(super) struct Migration {
    /// Its place in the order; numbers are given once, and may have gaps.
    pub(super) number: i64,
    /// What it is about.
    pub(super) name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($number:literal, $digits:literal, $name:literal) => {
        Migration {
            number: $number,
            name: $name,
            up: include_str!(concat!("../../migrations/", $digits, "_", $name, ".up.sql")),
            down: include_str!(concat!("../../migrations/", $digits, "_", $name, ".down.sql")),
        }
    };
}

/// All steps, in order. The first makes the table of records.
pub(super) const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001", "first"),
    migration!(2, "0002", "filter"),
    migration!(3, "0003", "partition_route"),
    migration!(4, "0004", "changes"),
    migration!(6, "0006", "identity"),
    migration!(7, "0007", "requests"),
    migration!(8, "0008", "told"),
    migration!(10, "0010", "scale"),
    migration!(12, "0012", "summary"),
    migration!(13, "0013", "ops"),
    migration!(15, "0015", "protocols"),
];

/// A migration in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Makes it.
    Up(&'static Migration),
    /// Takes it back, with what only it can hold.
    Down(&'static Migration),
}

/// The number of the present schema.
pub(super) fn latest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.number).max().unwrap_or(0)
}

/// The steps that make the schema of that number.
pub(super) fn up_to(number: i64) -> BTreeSet<i64> {
    MIGRATIONS.iter().map(|step| step.number).filter(|step| *step <= number).collect()
}

/// What is left to be done so that exactly `wanted` is applied: first what is not wanted goes, from the
/// newest, then what is missing comes, from the oldest.
///
/// # Errors
/// The newest number of either that is not known, and so was written by a newer version.
pub(super) fn steps(applied: &BTreeSet<i64>, wanted: &BTreeSet<i64>) -> Result<Vec<Step>, i64> {
    let known = up_to(i64::MAX);
    if let Some(newer) = applied.union(wanted).filter(|number| !known.contains(number)).max() {
        return Err(*newer);
    }
    let surplus =
        |step: &&Migration| applied.contains(&step.number) && !wanted.contains(&step.number);
    let missing =
        |step: &&Migration| wanted.contains(&step.number) && !applied.contains(&step.number);
    let down = MIGRATIONS.iter().rev().filter(surplus).map(Step::Down);
    Ok(down.chain(MIGRATIONS.iter().filter(missing).map(Step::Up)).collect())
}

/// Brings the database to the schema `to`, and returns what that took.
///
/// # Errors
/// [`StoreError::Newer`] changes nothing.
pub(super) async fn migrate(
    pools: &Pools,
    clock: &dyn Clock,
    to: i64,
) -> Result<Vec<Step>, StoreError> {
    let wanted = up_to(to);
    let mut done = Vec::new();
    loop {
        let mut tx = pools.write_all().await?;
        let left = left(&mut tx, pools, &wanted).await?;
        let Some(step) = left.first().copied() else { return Ok(done) };
        take(&mut tx, step, clock.now().as_microsecond())
            .await
            .map_err(|error| stuck(step, error))?;
        tx.commit().await?;
        done.push(step);
    }
}

/// What a step of the schema fails by: data that the other schema has no room for, most likely.
fn stuck(step: Step, error: StoreError) -> StoreError {
    let (migration, direction) = match step {
        Step::Up(migration) => (migration, "made"),
        Step::Down(migration) => (migration, "taken back"),
    };
    match error {
        StoreError::Database(why) => StoreError::Database(format!(
            "schema {} ({}) cannot be {direction}: {why}; the database is as before that step: \
             remove what stands in its way",
            migration.number, migration.name
        )),
        other => other,
    }
}

/// What is left to be done in the database that `tx` is of, so that exactly `wanted` is applied.
pub(super) async fn left(
    tx: &mut Connection,
    pools: &Pools,
    wanted: &BTreeSet<i64>,
) -> Result<Vec<Step>, StoreError> {
    let applied = applied(tx, pools.kind).await?;
    steps(&applied, wanted).map_err(|found| newer(&pools.name, found))
}

pub(super) fn newer(database: &str, found: i64) -> StoreError {
    StoreError::Newer { database: database.to_owned(), found, known: latest() }
}

/// Requires that no newer version has made anything in the database of that name.
pub(super) async fn not_newer(
    tx: &mut Connection,
    kind: Kind,
    database: &str,
) -> Result<(), StoreError> {
    let applied = applied(tx, kind).await?;
    steps(&applied, &BTreeSet::new()).map(drop).map_err(|found| newer(database, found))
}

/// One step with its record.
pub(super) async fn take(tx: &mut Connection, step: Step, now: i64) -> Result<(), StoreError> {
    let record = match step {
        Step::Up(migration) => {
            sqlx::raw_sql(migration.up).execute(&mut *tx).await?;
            sqlx::query(
                "INSERT INTO schema_migration (version, name, applied_at) VALUES ($1, $2, $3)",
            )
            .bind(migration.number)
            .bind(migration.name)
            .bind(now)
        }
        Step::Down(migration) => {
            sqlx::raw_sql(migration.down).execute(&mut *tx).await?;
            if migration.number == MIGRATIONS[0].number {
                // The records went with it.
                return Ok(());
            }
            sqlx::query("DELETE FROM schema_migration WHERE version = $1").bind(migration.number)
        }
    };
    record.execute(tx).await?;
    Ok(())
}

/// The numbers of what is applied; none where there is no schema yet.
pub(super) async fn applied(tx: &mut Connection, kind: Kind) -> Result<BTreeSet<i64>, StoreError> {
    let tables = catalog::tables(tx, kind).await?;
    if !tables.iter().any(|table| table.name == catalog::RECORDS) {
        return Ok(BTreeSet::new());
    }
    let rows = sqlx::query("SELECT version FROM schema_migration").fetch_all(tx).await?;
    rows.iter().map(|row| Ok(row.try_get("version")?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(applied: &[i64], to: i64) -> Vec<i64> {
        let steps = steps(&applied.iter().copied().collect(), &up_to(to)).unwrap();
        let number = |step| match step {
            Step::Up(migration) => migration.number,
            Step::Down(migration) => -migration.number,
        };
        steps.into_iter().map(number).collect()
    }

    #[test]
    fn what_is_missing_comes_and_what_is_above_goes() {
        assert_eq!(numbers(&[], 3), [1, 2, 3]);
        assert!(numbers(&[1, 2, 3], 3).is_empty());
        assert_eq!(numbers(&[1, 2, 3, 4], 2), [-4, -3]);
        assert_eq!(numbers(&[1, 3], 2), [-3, 2], "a number that came late");
        assert_eq!(numbers(&[1, 2, 3, 4], 0), [-4, -3, -2, -1]);
    }

    #[test]
    fn what_is_newer_is_left_alone() {
        let applied = (1..=latest()).chain([98, 99]).collect();
        assert_eq!(steps(&applied, &up_to(1)), Err(99));
        assert_eq!(steps(&up_to(2), &applied), Err(99));
    }

    #[test]
    fn numbers_ascend() {
        assert!(MIGRATIONS.is_sorted_by(|one, two| one.number < two.number));
    }
}
