//! What people are to hear of a request beside its answer: what of it is not followed, and what else
//! it takes along.

use slapos_slap::{InstanceRequest, InstanceState};

use super::instances::instance_of;
use super::offers::exact;
use super::request::origin;
use super::rows::{InstanceRow, text};
use super::{Store, Tx};
use crate::allocation::Filter;
use crate::error::StoreError;

/// So many shared instances are named.
const NAMED: usize = 10;

impl Store {
    /// Sentences about a request for an instance that is there; none where there is nothing to say.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn remarks(
        &self,
        project: &str,
        request: &InstanceRequest,
    ) -> Result<Vec<String>, StoreError> {
        if request.shared {
            return Ok(Vec::new());
        }
        let mut tx = self.read().await?;
        let origin = origin(&mut tx, project, request).await?;
        let title = request.title.as_str();
        let found = instance_of(&mut tx, &origin.project, &origin.root, title).await?;
        let Some(row) = found else { return Ok(Vec::new()) };
        let remark = match request.state {
            Some(InstanceState::Destroyed) => go_along(&mut tx, &row).await?,
            _ => stays(&mut tx, &row, request).await?,
        };
        Ok(remark.into_iter().collect())
    }
}

/// That an instance is not moved, where its place is not what is asked for.
async fn stays(
    tx: &mut Tx,
    row: &InstanceRow,
    request: &InstanceRequest,
) -> Result<Option<String>, StoreError> {
    let Ok(filter) = Filter::read(&request.sla, &row.project) else { return Ok(None) };
    let words = filter.words();
    let Some(now) = exact(tx, &row.computer, row.software.as_str()).await? else { return Ok(None) };
    Ok((!words.is_empty() && !filter.accepts(&now)).then(|| {
        format!(
            "It stays on {}, which is not one with {words}: an instance is not moved",
            row.computer
        )
    }))
}

/// Which shared instances end with an instance, or with the tree of a root, that serves them.
async fn go_along(tx: &mut Tx, row: &InstanceRow) -> Result<Option<String>, StoreError> {
    let only = if row.root.is_empty() { "" } else { row.title.as_str() };
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT s.reference FROM instance i JOIN shared_instance s ON s.computer = i.computer \
         AND s.partition_reference = i.partition_reference \
         WHERE i.project = $1 AND (i.root = $2 OR (i.root = '' AND i.title = $2)) \
         AND ($3 = '' OR i.title = $3) AND NOT (s.project = $1 AND s.root = $2) \
         ORDER BY s.reference LIMIT {}",
        NAMED + 1
    ));
    let rows = sqlx::query(sql)
        .bind(row.project.as_str())
        .bind(row.root_title())
        .bind(only)
        .fetch_all(&mut **tx)
        .await?;
    let mut names: Vec<String> =
        rows.iter().map(|row| text(row, "reference")).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Ok(None);
    }
    if names.len() > NAMED {
        names.truncate(NAMED);
        names.push("and more".to_owned());
    }
    let names = names.join(", ");
    Ok(Some(format!("Shared instances that others asked for and it serves end with it: {names}")))
}
