//! The partition that a new instance gets: the policy of [`crate::allocation`] over what is stored.
//!
//! The computer that the policy prefers is locked (its row is written) and looked at again before a
//! partition of it is taken, so that of several Masters that decide at once each sees what the
//! other took; whoever comes too late goes on with the next computer.

use std::collections::BTreeSet;

use slapos_slap::{ComputerId, InstanceRequest, PartitionId};

use super::offers::{exact, gather, lock, networks_of, survey};
use super::pools::Kind;
use super::request::Origin;
use super::rows::text;
use super::{Store, Tx};
use crate::allocation::{Ask, Candidate, Filter, Refusal, ranked};
use crate::error::StoreError;

impl Store {
    /// A place for a new instance.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] with the reason for which there is none.
    pub(super) async fn place(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        origin: &Origin,
    ) -> Result<(ComputerId, PartitionId), StoreError> {
        let title = request.title.as_str();
        let filter = read_filter(request, &origin.project)?;
        let taken = match filter.unique_by_network {
            true => {
                lock_tree(tx, origin).await?;
                networks_of(tx, &origin.project, origin.root_title(title)).await?
            }
            false => BTreeSet::new(),
        };
        let ask = Ask {
            title,
            software: request.software.as_str(),
            project: &origin.project,
            filter: &filter,
            home: &self.home,
            here: origin.here.as_ref().map(|(computer, _)| computer),
            taken: &taken,
        };
        let offered = gather(tx, &ask).await?;
        if let (Some(named), []) = (&filter.computer, offered.as_slice()) {
            return Err(StoreError::no_computer(named));
        }
        if let Ok(best) = ranked(&ask, &offered)
            && let Some(place) = take_first(tx, &ask, best).await?
        {
            return Ok(place);
        }
        match ranked(&ask, &survey(tx, &ask).await?) {
            // A computer of others is not there for who may not see it.
            Err(refusal) => Err(match &filter.computer {
                Some(named) if refusal.is_of_others() => StoreError::no_computer(named),
                _ => StoreError::NotFound(refusal.to_string()),
            }),
            Ok(best) => take_first(tx, &ask, best).await?.ok_or_else(|| {
                let reason = "The partitions that were free have just been taken: ask again";
                StoreError::NotFound(Refusal::contradiction(title, reason).to_string())
            }),
        }
    }
}

/// What a request asks about its place.
///
/// # Errors
/// [`StoreError::NotFound`] when that cannot be.
pub(super) fn read_filter(request: &InstanceRequest, project: &str) -> Result<Filter, StoreError> {
    Filter::read(&request.sla, project).map_err(|reason| {
        let title = request.title.as_str();
        StoreError::NotFound(Refusal::contradiction(title, &reason).to_string())
    })
}

/// A free partition of the first of these computers that still fits.
async fn take_first(
    tx: &mut Tx,
    ask: &Ask<'_>,
    candidates: Vec<&Candidate>,
) -> Result<Option<(ComputerId, PartitionId)>, StoreError> {
    for candidate in candidates {
        let computer = &candidate.computer;
        if still_fits(tx, ask, computer).await?
            && let Some(partition) = free_partition(tx, computer).await?
        {
            return Ok(Some((computer.clone(), partition)));
        }
    }
    Ok(None)
}

/// Locks a computer, and tells whether it is what the request wants now that nobody else takes of it.
async fn still_fits(tx: &mut Tx, ask: &Ask<'_>, computer: &ComputerId) -> Result<bool, StoreError> {
    // A file has one writer: nothing changed since it was chosen.
    if tx.kind() == Kind::Sqlite {
        return Ok(true);
    }
    lock(tx, computer).await?;
    let now = exact(tx, computer, ask.software).await?;
    Ok(now.is_some_and(|now| ask.obstacle(&now).is_none()))
}

/// Has others who place an instance of this tree wait until this transaction ends.
async fn lock_tree(tx: &mut Tx, origin: &Origin) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE instance SET title = title WHERE project = $1 AND root = '' AND title = $2",
    )
    .bind(origin.project.as_str())
    .bind(origin.root.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn free_partition(
    tx: &mut Tx,
    computer: &ComputerId,
) -> Result<Option<PartitionId>, StoreError> {
    let row = sqlx::query(
        "SELECT p.reference FROM computer_partition p LEFT JOIN instance i \
         ON i.computer = p.computer AND i.partition_reference = p.reference \
         WHERE p.computer = $1 AND i.title IS NULL ORDER BY p.position LIMIT 1",
    )
    .bind(computer.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| Ok(PartitionId::new(text(&row, "reference")?))).transpose()
}
