//! The partition that a new instance gets: the policy of [`crate::allocation`] over what is stored.
//!
//! Whoever searches here has the right to write, which one of all Masters has at a time: what was seen
//! still is so when a partition is taken.

use std::collections::BTreeSet;
use std::net::IpAddr;

use slapos_slap::{ComputerId, InstanceRequest, PartitionId};

use super::offers::{gather, networks_of, survey};
use super::request::Origin;
use super::rows::{addresses, text};
use super::{Store, Tx};
use crate::allocation::{Ask, Candidate, Filter, Refusal, ranked};
use crate::error::StoreError;

/// A partition that is free, with its addresses by interface.
pub(super) struct Place {
    pub(super) computer: ComputerId,
    pub(super) partition: PartitionId,
    pub(super) addresses: Vec<(String, IpAddr)>,
}

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
    ) -> Result<Place, StoreError> {
        let title = request.title.as_str();
        let filter = read_filter(request, &origin.project)?;
        let taken = match filter.unique_by_network {
            true => networks_of(tx, &origin.project, origin.root_title(title)).await?,
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
            && let Some(place) = free_place(tx, best).await?
        {
            return Ok(place);
        }
        match ranked(&ask, &survey(tx, &ask).await?) {
            // A computer of others is not there for who may not see it.
            Err(refusal) => Err(match &filter.computer {
                Some(named) if refusal.is_of_others() => StoreError::no_computer(named),
                _ => StoreError::NotFound(refusal.to_string()),
            }),
            Ok(best) => free_place(tx, best).await?.ok_or_else(|| {
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

/// A free partition of the first of these computers that has one.
async fn free_place(tx: &mut Tx, candidates: Vec<&Candidate>) -> Result<Option<Place>, StoreError> {
    for candidate in candidates {
        if let Some(place) = free_partition(tx, &candidate.computer).await? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

async fn free_partition(tx: &mut Tx, computer: &ComputerId) -> Result<Option<Place>, StoreError> {
    let rows = sqlx::query(
        "SELECT p.reference, a.interface, a.address FROM computer_partition p \
         LEFT JOIN partition_address a ON a.computer = p.computer \
         AND a.partition_reference = p.reference WHERE p.computer = $1 AND p.reference = \
         (SELECT f.reference FROM computer_partition f LEFT JOIN instance i \
         ON i.computer = f.computer AND i.partition_reference = f.reference \
         WHERE f.computer = $1 AND i.title IS NULL ORDER BY f.position LIMIT 1) \
         ORDER BY a.position",
    )
    .bind(computer.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let partition = PartitionId::new(text(first, "reference")?);
    Ok(Some(Place { computer: computer.clone(), partition, addresses: addresses(&rows)? }))
}
