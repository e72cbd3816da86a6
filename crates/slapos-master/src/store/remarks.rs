//! What people are to hear of a request beside its answer: what of it is not followed, what it waits
//! for, and what else it takes along.

use slapos_slap::{ComputerId, InstanceRequest, InstanceState};

use super::instances::instance_of;
use super::offers::exact;
use super::request::origin;
use super::rows::{InstanceRow, text};
use super::{Store, Tx};
use crate::allocation::{Candidate, Filter, Release};
use crate::error::StoreError;

/// So many shared instances are named.
const NAMED: usize = 10;

impl Store {
    /// Sentences about a request for an instance that is, or would be, on that computer; none where
    /// there is nothing to say.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn remarks(
        &self,
        project: &str,
        request: &InstanceRequest,
        computer: &ComputerId,
    ) -> Result<Vec<String>, StoreError> {
        if request.shared {
            return Ok(Vec::new());
        }
        let mut tx = self.read().await?;
        let origin = origin(&mut tx, project, request).await?;
        let title = request.title.as_str();
        let found = instance_of(&mut tx, &origin.project, &origin.root, title).await?;
        if request.state == Some(InstanceState::Destroyed) {
            let Some(row) = found else { return Ok(Vec::new()) };
            return Ok(go_along(&mut tx, &row).await?.into_iter().collect());
        }
        let there = exact(&mut tx, computer, request.software.as_str()).await?;
        let Some(there) = there else { return Ok(Vec::new()) };
        let stays = found.and_then(|row| stays(&row, request, &there));
        Ok(stays.into_iter().chain(waits(request, &there)).collect())
    }
}

/// That an instance is not moved, where its place is not what is asked for.
fn stays(row: &InstanceRow, request: &InstanceRequest, there: &Candidate) -> Option<String> {
    let filter = Filter::read(&request.sla, &row.project).ok()?;
    let words = filter.words();
    (!words.is_empty() && !filter.accepts(there)).then(|| {
        format!(
            "It stays on {}, which is not one with {words}: an instance is not moved",
            there.computer
        )
    })
}

/// That nobody has the Software Release built there. Nodes build what is supplied and nothing else,
/// also the Master's own, which gets instances without it.
fn waits(request: &InstanceRequest, there: &Candidate) -> Option<String> {
    (there.release == Release::Absent).then(|| {
        format!(
            "Nobody supplies {} to {}: unless it is there already, the instance waits until \
             somebody does",
            request.software, there.computer
        )
    })
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
