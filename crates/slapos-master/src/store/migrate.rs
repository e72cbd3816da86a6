//! The schema changed by command: back, for an older version, or forth.

use slapos_sys::clock::Clock;

use super::database::Database;
use super::migrations::{self, Migration, Step, latest, up_to};
use super::pools::Pools;
use super::{audit, catalog, presence};
use crate::error::StoreError;

/// A change of the schema that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Its number.
    pub number: i64,
    /// What it is about.
    pub name: &'static str,
    /// Whether it was taken back.
    pub back: bool,
}

impl From<Step> for Migrated {
    fn from(step: Step) -> Migrated {
        match step {
            Step::Up(step) => Migrated { number: step.number, name: step.name, back: false },
            Step::Down(step) => Migrated { number: step.number, name: step.name, back: true },
        }
    }
}

/// The number of a schema that there is: of the present one unless it is given.
fn known(to: Option<i64>) -> Result<i64, StoreError> {
    let to = to.unwrap_or_else(latest);
    if !up_to(latest()).contains(&to) {
        let known: Vec<_> = up_to(latest()).iter().map(i64::to_string).collect();
        return Err(StoreError::Invalid(format!(
            "there is no schema {to}; this version knows {}",
            known.join(", ")
        )));
    }
    Ok(to)
}

/// What [`migrate`] would do; nothing is changed.
///
/// # Errors
/// As [`migrate`], but that a Master may be there.
pub async fn rehearse_migration(
    database: &Database,
    to: Option<i64>,
) -> Result<Vec<Migrated>, StoreError> {
    let wanted = up_to(known(to)?);
    let pools = Pools::existing(database).await?;
    let steps = {
        let mut tx = pools.read().await?;
        migrations::left(&mut tx, &pools, &wanted).await?
    };
    pools.close().await;
    Ok(steps.into_iter().map(Migrated::from).collect())
}

/// Brings the database to the schema `to`, or to the present one, and returns what that took. What
/// only the later schemas can hold is lost on the way back.
///
/// # Errors
/// [`StoreError::Invalid`] when there is no such schema, [`StoreError::Newer`] when the database has a
/// newer one, [`StoreError::InUse`] when it is to go back while a Master is there; none changes anything.
pub async fn migrate(
    database: &Database,
    to: Option<i64>,
    clock: &dyn Clock,
) -> Result<Vec<Migrated>, StoreError> {
    let to = known(to)?;
    let pools = Pools::existing(database).await?;
    migrations::not_newer(&mut *pools.read().await?, pools.kind, &pools.name).await?;
    // Forth is what a starting Master does as well, while others go on.
    let _alone = match to < latest() {
        true => Some(presence::alone(database).await?),
        false => None,
    };
    let done = migrations::migrate(&pools, clock, to).await?;
    keep(&pools, clock, &done, to).await?;
    pools.close().await;
    Ok(done.into_iter().map(Migrated::from).collect())
}

/// Has the audit log tell it, where there was a schema before, and one that has the log is there now.
async fn keep(pools: &Pools, clock: &dyn Clock, done: &[Step], to: i64) -> Result<(), StoreError> {
    let made = matches!(done.first(), None | Some(Step::Up(Migration { number: 1, .. })));
    let mut tx = pools.write_all().await?;
    let tables = catalog::tables(&mut tx, pools.kind).await?;
    if made || !tables.iter().any(|table| table.name == "audit") {
        return Ok(());
    }
    let now = clock.now().as_microsecond();
    audit::keep_command(&mut tx, now, "migrate", format!("to schema {to}")).await?;
    tx.commit().await.map_err(StoreError::from)
}
