//! The end of a computer.

use slapos_slap::ComputerId;
use sqlx::Row as _;

use super::feed::{self, Entry};
use super::{Store, require_computer};
use crate::error::StoreError;

/// What refers to a computer and goes with it, in an order in which nothing refers to what is gone.
/// What is not named here goes by itself.
const BELONGINGS: [&str; 3] = ["software", "computer_partition", "change"];

impl Store {
    /// Forgets a computer, its partitions and what was supplied to it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not known, [`StoreError::Conflict`] while it has instances
    /// or is the computer of requests that name none.
    pub(crate) async fn remove_computer(&self, computer: &ComputerId) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        if *computer == self.home {
            return Err(StoreError::Conflict(format!(
                "{computer} is this Master's own computer, which requests go to that name none: to remove \
                 it, change `computer_id` in the Master's [slapos], and start the Master again"
            )));
        }
        let row = sqlx::query("SELECT count(*) AS instances FROM instance WHERE computer = $1")
            .bind(computer.as_str())
            .fetch_one(&mut *tx)
            .await?;
        let instances: i64 = row.try_get("instances")?;
        if instances > 0 {
            return Err(StoreError::Conflict(occupied(computer, instances)));
        }
        // While it is known whose it was.
        let state = Some("removed".to_owned());
        let entry = Entry { state, ..Entry::on("computer", computer) };
        feed::tell(&mut tx, &entry, now).await?;
        for table in BELONGINGS {
            let sql = format!("DELETE FROM {table} WHERE computer = $1");
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(computer.as_str()).execute(&mut *tx).await?;
        }
        sqlx::query("DELETE FROM computer WHERE reference = $1")
            .bind(computer.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

/// What is to be done first.
fn occupied(computer: &ComputerId, instances: i64) -> String {
    let what = match instances {
        1 => "an instance".to_owned(),
        _ => format!("{instances} instances"),
    };
    format!(
        "{computer} has {what}: have them destroyed (`slapos request NAME SOFTWARE --state destroyed`), and \
         its node say that they are gone (`slapos node report` there); for a node that is gone for \
         ever, the operator may say so in its place (POST /destroyedComputerPartition)"
    )
}
