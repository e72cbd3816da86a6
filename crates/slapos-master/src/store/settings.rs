//! What computers may be used for, and whose they are, as their people say.
//!
//! Invariant: a computer has instances of its own project only, and those that the operator put on it,
//! unless it is the operator's, which all may use. So it changes hands without the instances of others.

use slapos_slap::{
    AllocationScope, Change, ChangeKind, ComputerId, ComputerSettings, PartitionId, Remaining,
    SetComputer,
};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::feed::{self, Entry};
use super::offers::recount;
use super::people::require_project;
use super::rows::{text, texts, to_column, word};
use super::{Store, Tx, changes, require_computer};
use crate::error::StoreError;

/// The longest of the texts that are kept, in bytes.
const LONGEST: usize = 1000;

/// The most labels of a computer.
const MOST_LABELS: usize = 100;

impl Store {
    /// What a computer may be used for, and, of one that is to become empty, what remains there.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub async fn settings(&self, computer: &ComputerId) -> Result<ComputerSettings, StoreError> {
        let mut tx = self.read().await?;
        require_computer(&mut tx, computer).await?;
        whole(&mut tx, computer).await
    }

    /// Changes what a computer may be used for, or whose it is. Instances that are there stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer or the project is not known,
    /// [`StoreError::Invalid`] when a text is too long or cannot be told in XML,
    /// [`StoreError::Conflict`] while instances are there that may not be on a computer of the project.
    pub async fn set_computer(
        &self,
        computer: &ComputerId,
        change: &SetComputer,
    ) -> Result<ComputerSettings, StoreError> {
        check(change)?;
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        let former = stored(&mut tx, computer).await?;
        let wanted = changed(&former, change);
        if wanted != former {
            if wanted.project != former.project {
                hand_over(&mut tx, &former, &wanted.project, now).await?;
            }
            write(&mut tx, &wanted).await?;
            recount(&mut tx, computer).await?;
            let told = Change::new(ChangeKind::Settings).state(wanted.allocation_scope.as_str());
            changes::note(&mut tx, computer, &told, now).await?;
        }
        let whole = whole(&mut tx, computer).await?;
        tx.commit().await?;
        Ok(whole)
    }
}

/// Requires that the computer may go to the project, and has those told who lose it: what is noted
/// later is told to those who have it then.
async fn hand_over(
    tx: &mut Tx,
    former: &ComputerSettings,
    project: &str,
    now: i64,
) -> Result<(), StoreError> {
    require_project(tx, project).await?;
    let sql = "SELECT title FROM instance WHERE computer = $1 AND project <> $2 AND project <> '' \
         ORDER BY title LIMIT 1";
    let others = sqlx::query(sql).bind(former.id.as_str()).bind(project);
    if !project.is_empty()
        && let Some(row) = others.fetch_optional(&mut **tx).await?
    {
        return Err(StoreError::Conflict(format!(
            "{} has instances of other projects, such as {}: destroy them first, or give it to theirs",
            former.id,
            text(&row, "title")?
        )));
    }
    let state = Some("moved".to_owned());
    feed::tell(tx, &Entry { state, ..Entry::on("computer", &former.id) }, now).await
}

fn check(change: &SetComputer) -> Result<(), StoreError> {
    let labels = change.labels.iter().flatten().flat_map(|(key, value)| [key, value]);
    let mut texts = change.title.iter().chain(&change.network).chain(labels);
    let bad = |text: &&String| text.len() > LONGEST || text.chars().any(char::is_control);
    if texts.any(|text| bad(&text)) {
        return Err(StoreError::Invalid(format!(
            "title, network and labels are lines of at most {LONGEST} bytes"
        )));
    }
    let labels = change.labels.iter().flatten();
    if change.labels.as_ref().is_some_and(|labels| labels.len() > MOST_LABELS) {
        return Err(StoreError::Invalid(format!("a computer has at most {MOST_LABELS} labels")));
    }
    if labels.into_iter().any(|(key, _)| key.is_empty()) {
        return Err(StoreError::Invalid("a label needs a name".to_owned()));
    }
    Ok(())
}

fn changed(former: &ComputerSettings, change: &SetComputer) -> ComputerSettings {
    let mut wanted = former.clone();
    if let Some(project) = &change.project {
        wanted.project.clone_from(project);
    }
    if let Some(title) = &change.title {
        wanted.title.clone_from(title);
    }
    if let Some(scope) = change.allocation_scope {
        wanted.allocation_scope = scope;
    }
    if let Some(labels) = &change.labels {
        wanted.labels.clone_from(labels);
    }
    if let Some(network) = &change.network {
        wanted.network.clone_from(network);
    }
    if let Some(capacity) = change.capacity {
        wanted.capacity = capacity;
    }
    wanted
}

/// The settings, with what remains where that is asked.
async fn whole(tx: &mut Tx, computer: &ComputerId) -> Result<ComputerSettings, StoreError> {
    let mut settings = stored(tx, computer).await?;
    if settings.allocation_scope == AllocationScope::Drain {
        settings.remaining = remaining(tx, computer).await?;
    }
    Ok(settings)
}

async fn stored(tx: &mut Tx, computer: &ComputerId) -> Result<ComputerSettings, StoreError> {
    let row = sqlx::query(
        "SELECT reference, project, title, allocation_scope, labels, network, capacity \
         FROM computer WHERE reference = $1",
    )
    .bind(computer.as_str())
    .fetch_one(&mut **tx)
    .await?;
    read_settings(&row)
}

/// The settings in a row of `computer`.
pub(super) fn read_settings(row: &AnyRow) -> Result<ComputerSettings, StoreError> {
    let capacity: Option<i64> = row.try_get("capacity")?;
    Ok(ComputerSettings {
        id: ComputerId::new(text(row, "reference")?),
        project: text(row, "project")?,
        title: text(row, "title")?,
        allocation_scope: word(row, "allocation_scope")?,
        labels: texts(row, "labels")?,
        network: text(row, "network")?,
        capacity: capacity.map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
        remaining: Vec::new(),
    })
}

async fn write(tx: &mut Tx, settings: &ComputerSettings) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE computer SET title = $2, allocation_scope = $3, labels = $4, network = $5, \
         capacity = $6, project = $7 WHERE reference = $1",
    )
    .bind(settings.id.as_str())
    .bind(settings.title.as_str())
    .bind(settings.allocation_scope.as_str())
    .bind(to_column(&settings.labels))
    .bind(settings.network.as_str())
    .bind(settings.capacity.map(i64::from))
    .bind(settings.project.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn remaining(tx: &mut Tx, computer: &ComputerId) -> Result<Vec<Remaining>, StoreError> {
    let rows = sqlx::query(
        "SELECT i.partition_reference, i.title, i.root FROM instance i \
         JOIN computer_partition p ON p.computer = i.computer \
         AND p.reference = i.partition_reference WHERE i.computer = $1 ORDER BY p.position",
    )
    .bind(computer.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let read = |row: &AnyRow| {
        let (title, root) = (text(row, "title")?, text(row, "root")?);
        Ok(Remaining {
            partition: PartitionId::new(text(row, "partition_reference")?),
            root_title: if root.is_empty() { title.clone() } else { root },
            title,
        })
    };
    rows.iter().map(read).collect()
}
