//! Whose a computer or an instance is.

use slapos_slap::{ComputerId, PartitionId};

use super::Store;
use super::feed::{self, Entry};
use super::listing::Query;
use super::people::require_project;
use super::rows::text;
use crate::error::StoreError;

impl Store {
    /// The project of a computer.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn project_of_computer(
        &self,
        computer: &ComputerId,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT project FROM computer WHERE reference = $1";
        let query = sqlx::query(sql).bind(computer.as_str());
        let row = query.fetch_optional(&mut self.reader().await?).await?;
        row.map(|row| text(&row, "project")).transpose()
    }

    /// The project of the instance in a partition, if there is one.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn project_of_instance(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT project FROM instance WHERE computer = $1 AND partition_reference = $2",
        )
        .bind(computer.as_str())
        .bind(partition.as_str())
        .fetch_optional(&mut self.reader().await?)
        .await?;
        row.map(|row| text(&row, "project")).transpose()
    }

    /// The projects that have an instance of that title in a tree of that root, the operator's first.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn projects_with(
        &self,
        root: &str,
        title: &str,
        shared: bool,
    ) -> Result<Vec<String>, StoreError> {
        let table = if shared { "shared_instance" } else { "instance" };
        let sql =
            format!("SELECT project FROM {table} WHERE root = $1 AND title = $2 ORDER BY project");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(root).bind(title);
        query
            .fetch_all(&mut self.reader().await?)
            .await?
            .iter()
            .map(|row| text(row, "project"))
            .collect()
    }

    /// The computers of these projects, in the order of their references.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn computers_of(&self, projects: &[String]) -> Result<Vec<ComputerId>, StoreError> {
        let mut tx = self.read().await?;
        let query = Query::new("SELECT reference FROM computer").one_of("project", projects);
        let rows = query.all(&mut tx, "reference").await?;
        rows.iter().map(|row| Ok(ComputerId::new(text(row, "reference")?))).collect()
    }

    /// Makes a computer known that was not formatted yet, and gives it to a project. Its title is what it
    /// is called, until somebody gives it another.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is known already, [`StoreError::NotFound`] when the project
    /// is not.
    pub(crate) async fn add_computer(
        &self,
        computer: &ComputerId,
        project: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        require_project(&mut tx, project).await?;
        let done = sqlx::query(
            "INSERT INTO computer (reference, address, netmask, title, project) \
             VALUES ($1, '', '', $1, $2) ON CONFLICT (reference) DO NOTHING",
        )
        .bind(computer.as_str())
        .bind(project)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            let message = format!("there is a computer {computer} already");
            return Err(StoreError::Conflict(message));
        }
        let made = Entry { state: Some("added".to_owned()), ..Entry::on("computer", computer) };
        feed::tell(&mut tx, &made, self.now()).await?;
        tx.commit().await
    }
}
