//! Orphans: instances that the instance which asked for them does not ask for any more.
//!
//! They stay as they are, as with the original's large Master: a profile that forgets a request by
//! mistake must not cost anybody's data. They are marked, so that a person sees them and has them
//! destroyed; one that is asked for again is none. Whoever is to be asked is the instance that asked
//! last: what a user or another instance of the tree asks for meanwhile is not orphaned.

use slapos_slap::{ChangeKind, ComputerId, InstanceState, PartitionId};

use super::feed::{self, Entry};
use super::instances::{instance_at, require_instance, touch, tree};
use super::request::guid;
use super::rows::InstanceRow;
use super::{Store, Tx, require_partition, shared};
use crate::error::StoreError;

impl Store {
    /// Takes note of the titles that the instance in a partition still asks for.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such partition.
    pub async fn still_asked_for(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        titles: &[String],
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_partition(&mut tx, computer, partition).await?;
        let Some(instance) = instance_at(&mut tx, computer, partition).await? else {
            return tx.commit().await;
        };
        let asker = guid(computer, partition);
        let (project, root) = (instance.project.as_str(), instance.root_title());
        for member in tree(&mut tx, project, root).await? {
            if member.root.is_empty() || member.asked_by != asker {
                continue;
            }
            let since = since(titles, &member.title, member.orphan_since, now);
            if since != member.orphan_since {
                mark(&mut tx, &member, since).await?;
                let partition = Some(member.partition.to_string());
                let entry = Entry { partition, ..Entry::on("orphan", &member.computer) };
                feed::tell(&mut tx, &entry, now).await?;
            }
        }
        for member in shared::of_root(&mut tx, project, root).await? {
            let since = since(titles, &member.title, member.orphan_since, now);
            if member.asked_by == asker && since != member.orphan_since {
                mark_shared(&mut tx, &member.reference, since).await?;
                feed::tell(&mut tx, &shared::told_of(&member, "orphan"), now).await?;
            }
        }
        tx.commit().await
    }

    /// Wants the orphans of the tree that the instance in a partition belongs to destroyed, and
    /// tells their titles.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no instance.
    pub async fn destroy_orphans(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Vec<String>, StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_partition(&mut tx, computer, partition).await?;
        let instance = require_instance(&mut tx, computer, partition).await?;
        let (project, root) = (instance.project.as_str(), instance.root_title());
        let mut titles = Vec::new();
        for member in tree(&mut tx, project, root).await? {
            if member.orphan_since.is_none() {
                continue;
            }
            if member.requested_state != InstanceState::Destroyed {
                let state = InstanceState::Destroyed;
                touch(&mut tx, &member, state, ChangeKind::Request, now).await?;
            }
            titles.push(member.title);
        }
        for member in shared::of_root(&mut tx, project, root).await? {
            if member.orphan_since.is_some() {
                shared::remove(&mut tx, &member).await?;
                shared::touch_host(&mut tx, &member, now).await?;
                titles.push(member.title);
            }
        }
        tx.commit().await?;
        Ok(titles)
    }
}

/// Since when an instance is an orphan, if it is one.
fn since(titles: &[String], title: &str, former: Option<i64>, now: i64) -> Option<i64> {
    match titles.iter().any(|asked| asked == title) {
        true => None,
        false => former.or(Some(now)),
    }
}

async fn mark(tx: &mut Tx, row: &InstanceRow, since: Option<i64>) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE instance SET orphan_since = $3 WHERE computer = $1 AND partition_reference = $2",
    )
    .bind(row.computer.as_str())
    .bind(row.partition.as_str())
    .bind(since)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn mark_shared(tx: &mut Tx, reference: &str, since: Option<i64>) -> Result<(), StoreError> {
    sqlx::query("UPDATE shared_instance SET orphan_since = $2 WHERE reference = $1")
        .bind(reference)
        .bind(since)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
