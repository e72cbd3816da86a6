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
                "{computer} is this Master's own computer, which requests go to that name none"
            )));
        }
        let row = sqlx::query("SELECT count(*) AS instances FROM instance WHERE computer = $1")
            .bind(computer.as_str())
            .fetch_one(&mut *tx)
            .await?;
        let instances: i64 = row.try_get("instances")?;
        if instances > 0 {
            return Err(StoreError::Conflict(format!(
                "{computer} has {instances} instances: destroy them first"
            )));
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
