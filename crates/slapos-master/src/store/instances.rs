//! Instances that exist: what they publish, bang, new titles, and their end.

use indexmap::IndexMap;
use slapos_slap::{Change, ChangeKind, ComputerId, InstanceState, PartitionId};

use super::connection::Connection;
use super::feed::{self, Entry};
use super::offers::recount;
use super::rows::{INSTANCE_COLUMNS, InstanceRow, later_than, to_column};
use super::{
    Store, Tx, changes, consumption, farewells, require_computer, require_partition, shared, tokens,
};
use crate::error::StoreError;

/// What became of a partition whose instance is reported as removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freed {
    /// It is free.
    Yes,
    /// It is the root of a tree that still has children in these partitions; they are now wanted
    /// destroyed too.
    ChildrenFirst(Vec<PartitionId>),
    /// There is no such partition.
    Unknown,
}

impl Store {
    /// Replaces what the instance in a partition publishes. If that changes anything, the root of
    /// its tree, which asked for it, is processed again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no instance is there.
    pub async fn set_connection(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        connection: &IndexMap<String, String>,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_partition(&mut tx, computer, partition).await?;
        let instance = require_instance(&mut tx, computer, partition).await?;
        if instance.connection == *connection {
            return tx.commit().await;
        }
        touch_root(&mut tx, &instance.project, &instance.root, now).await?;
        changes::revise(&mut tx, computer).await?;
        feed::tell(&mut tx, &Entry::connection(computer, partition), now).await?;
        sqlx::query(
            "UPDATE instance SET connection = $3 WHERE computer = $1 AND partition_reference = $2",
        )
        .bind(computer.as_str())
        .bind(partition.as_str())
        .bind(to_column(connection))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes the whole tree of the instance in a partition be processed again. A free partition
    /// has none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such partition.
    pub async fn bang(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_partition(&mut tx, computer, partition).await?;
        if let Some(instance) = instance_at(&mut tx, computer, partition).await? {
            for member in tree(&mut tx, &instance.project, instance.root_title()).await? {
                touch(&mut tx, &member, member.requested_state, ChangeKind::Bang, now).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Makes every instance of a computer be processed again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub async fn bang_computer(&self, computer: &ComputerId) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        // As `later_than` has it.
        sqlx::query(
            "UPDATE instance SET changed_at = \
             CASE WHEN changed_at >= $2 THEN changed_at + 1 ELSE $2 END WHERE computer = $1",
        )
        .bind(computer.as_str())
        .bind(now)
        .execute(&mut *tx)
        .await?;
        changes::note(&mut tx, computer, &Change::new(ChangeKind::Bang), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives another title to the instance in a partition; `false` when there is no such
    /// partition. The children of a root stay its children, and what it asked of others stays its own.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no instance is there, [`StoreError::Conflict`] when its tree
    /// has the title already.
    pub async fn rename(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        title: &str,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        match require_partition(&mut tx, computer, partition).await {
            Err(StoreError::NotFound(_)) => return Ok(false),
            other => other?,
        }
        let instance = require_instance(&mut tx, computer, partition).await?;
        rename(&mut tx, &instance, title, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes note that the instance in a partition is removed from its computer. The partition
    /// becomes free, except that the children of a root must go first. The shared instances that a
    /// tree asked for go with its root.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the instance is wanted (again): it is kept.
    pub async fn destroyed(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Freed, StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        match require_partition(&mut tx, computer, partition).await {
            Err(StoreError::NotFound(_)) => return Ok(Freed::Unknown),
            other => other?,
        }
        let Some(instance) = instance_at(&mut tx, computer, partition).await? else {
            // Reported again, after an answer that was lost.
            tx.commit().await?;
            return Ok(Freed::Yes);
        };
        if instance.requested_state != InstanceState::Destroyed {
            // Wanted again while its node was removing it, or never to be removed at all.
            return Err(StoreError::Conflict(format!(
                "Not destroying because the instance {} in partition {partition} of {computer} \
                 is wanted {}: request it as destroyed first",
                instance.title, instance.requested_state
            )));
        }
        let mut children = Vec::new();
        if instance.root.is_empty() {
            for member in tree(&mut tx, &instance.project, &instance.title).await? {
                if member.root.is_empty() {
                    continue;
                }
                if member.requested_state != InstanceState::Destroyed {
                    touch(&mut tx, &member, InstanceState::Destroyed, ChangeKind::Request, now)
                        .await?;
                }
                children.push(member.partition);
            }
        }
        if children.is_empty() {
            if instance.root.is_empty() {
                let (project, title) = (&instance.project, &instance.title);
                shared::remove_of_root(&mut tx, project, title, now).await?;
                farewells::of_root(&mut tx, project, title, now).await?;
            }
            // While it is known whose it was.
            let change = Change::of_partition(ChangeKind::Free, partition);
            changes::note(&mut tx, computer, &change, now).await?;
            delete(&mut tx, computer, partition).await?;
            call_waiting_root(&mut tx, &instance, now).await?;
            consumption::forget(&mut tx, computer, partition).await?;
            tokens::revoke_of_partition(&mut tx, computer, partition, now).await?;
            recount(&mut tx, computer).await?;
        }
        tx.commit().await?;
        Ok(if children.is_empty() { Freed::Yes } else { Freed::ChildrenFirst(children) })
    }
}

/// The instance in a partition.
pub(super) async fn instance_at(
    tx: &mut Tx,
    computer: &ComputerId,
    partition: &PartitionId,
) -> Result<Option<InstanceRow>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {INSTANCE_COLUMNS} FROM instance i \
         WHERE i.computer = $1 AND i.partition_reference = $2"
    ));
    let row = sqlx::query(sql)
        .bind(computer.as_str())
        .bind(partition.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(InstanceRow::read).transpose()
}

/// The instance of that title in a tree of a project; `root` is empty for roots themselves.
pub(super) async fn instance_of(
    tx: &mut Connection,
    project: &str,
    root: &str,
    title: &str,
) -> Result<Option<InstanceRow>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {INSTANCE_COLUMNS} FROM instance i \
         WHERE i.project = $1 AND i.root = $2 AND i.title = $3"
    ));
    let row = sqlx::query(sql).bind(project).bind(root).bind(title).fetch_optional(tx).await?;
    row.as_ref().map(InstanceRow::read).transpose()
}

/// The root of that title and all its children.
pub(super) async fn tree(
    tx: &mut Tx,
    project: &str,
    title: &str,
) -> Result<Vec<InstanceRow>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {INSTANCE_COLUMNS} FROM instance i LEFT JOIN computer_partition p \
         ON p.computer = i.computer AND p.reference = i.partition_reference \
         WHERE i.project = $1 AND (i.root = $2 OR (i.root = '' AND i.title = $2)) \
         ORDER BY i.computer, p.position"
    ));
    let rows = sqlx::query(sql).bind(project).bind(title).fetch_all(&mut **tx).await?;
    rows.iter().map(InstanceRow::read).collect()
}

/// Wants the root of that title to be looked at again, because what its tree publishes to it
/// changed; nothing for the empty title, by which roots name their root.
pub(super) async fn touch_root(
    tx: &mut Tx,
    project: &str,
    root: &str,
    now: i64,
) -> Result<(), StoreError> {
    if root.is_empty() {
        return Ok(());
    }
    match instance_of(tx, project, "", root).await? {
        Some(root) => touch(tx, &root, root.requested_state, ChangeKind::Connection, now).await,
        None => Ok(()),
    }
}

/// Calls the node of a root that is to go and waited for its children, of which `gone` was the last.
/// One on the same computer is come to in the run that took the child away.
async fn call_waiting_root(tx: &mut Tx, gone: &InstanceRow, now: i64) -> Result<(), StoreError> {
    if gone.root.is_empty() {
        return Ok(());
    }
    // With its root as the first and only one, or without one.
    let left = tree(tx, &gone.project, &gone.root).await?;
    match left.as_slice() {
        [root]
            if root.root.is_empty()
                && root.requested_state == InstanceState::Destroyed
                && root.computer != gone.computer =>
        {
            touch(tx, root, root.requested_state, ChangeKind::Request, now).await
        }
        _ => Ok(()),
    }
}

/// Wants that state of an instance, and its node to look at it again, because of that.
pub(super) async fn touch(
    tx: &mut Tx,
    instance: &InstanceRow,
    state: InstanceState,
    why: ChangeKind,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE instance SET requested_state = $3, changed_at = $4 \
         WHERE computer = $1 AND partition_reference = $2",
    )
    .bind(instance.computer.as_str())
    .bind(instance.partition.as_str())
    .bind(state.as_str())
    .bind(later_than(instance.changed_at, now))
    .execute(&mut **tx)
    .await?;
    let change = Change::of_partition(why, &instance.partition).state(state.as_str());
    changes::note(tx, &instance.computer, &change, now).await
}

/// Gives an instance another title; the children of a root, and what it asked of others, stay its own.
pub(super) async fn rename(
    tx: &mut Tx,
    instance: &InstanceRow,
    title: &str,
    now: i64,
) -> Result<(), StoreError> {
    let former = &instance.title;
    if former == title {
        return Ok(());
    }
    if instance_of(tx, &instance.project, &instance.root, title).await?.is_some() {
        return Err(StoreError::Conflict(format!(
            "{former} cannot be renamed: there is another instance {title}"
        )));
    }
    sqlx::query("UPDATE instance SET title = $3 WHERE computer = $1 AND partition_reference = $2")
        .bind(instance.computer.as_str())
        .bind(instance.partition.as_str())
        .bind(title)
        .execute(&mut **tx)
        .await?;
    if instance.root.is_empty() {
        for sql in [
            "UPDATE instance SET root = $3 WHERE project = $1 AND root = $2",
            "UPDATE shared_instance SET root = $3 WHERE project = $1 AND root = $2",
            "UPDATE forwarded_request SET root = $3 WHERE project = $1 AND root = $2",
        ] {
            sqlx::query(sql)
                .bind(instance.project.as_str())
                .bind(former.as_str())
                .bind(title)
                .execute(&mut **tx)
                .await?;
        }
        changes::revise_children(tx, &instance.project, title).await?;
    }
    let change = Change::of_partition(ChangeKind::Rename, &instance.partition);
    changes::note(tx, &instance.computer, &change, now).await
}

/// The instance in a partition, which must have one.
pub(super) async fn require_instance(
    tx: &mut Tx,
    computer: &ComputerId,
    partition: &PartitionId,
) -> Result<InstanceRow, StoreError> {
    instance_at(tx, computer, partition).await?.ok_or_else(|| {
        StoreError::NotFound(format!("partition {partition} of {computer} has no instance"))
    })
}

async fn delete(
    tx: &mut Tx,
    computer: &ComputerId,
    partition: &PartitionId,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM instance WHERE computer = $1 AND partition_reference = $2")
        .bind(computer.as_str())
        .bind(partition.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
