//! The instances that might serve a shared one.

use slapos_slap::{ComputerId, InstanceRequest, PartitionId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::instances::instance_at;
use super::offers::read_computer;
use super::placing::read_filter;
use super::request::{Origin, guid};
use super::rows::{InstanceRow, text};
use super::shared::SharedRow;
use super::{Store, Tx, require_computer};
use crate::allocation::{Ask, Host, choose_host};
use crate::error::StoreError;

/// How many instances of a project are looked at together; those of one part are chosen from, and the
/// next part is looked at only if none of them will do.
const PART: usize = 64;

/// How many parts of a project are looked at for one request.
const MOST_PARTS: usize = 64;

impl Store {
    /// The partition of the instance that is to serve a request: the present one if it still fits.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] with the reason for which there is none.
    pub(super) async fn host_for(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        origin: &Origin,
        former: Option<&SharedRow>,
    ) -> Result<(ComputerId, PartitionId), StoreError> {
        let filter = read_filter(request, &origin.project)?;
        if let Some(named) = &filter.computer {
            require_computer(tx, named).await?;
        }
        if let Some(former) = former
            && let Some(host) = instance_at(tx, &former.computer, &former.partition).await?
            && still_fits(&host, request, filter.instance.as_deref())
        {
            return Ok((host.computer, host.partition));
        }
        let here = origin.here.as_ref().map(|(computer, _)| computer);
        let ask = Ask {
            title: request.title.as_str(),
            software: request.software.as_str(),
            project: &origin.project,
            filter: &filter,
            home: &self.home,
            here,
            // Those that share do not count as instances of a network.
            taken: &Default::default(),
        };
        let kind = request.software_type.as_str();
        let hosts = hosts(tx, &ask, kind).await?;
        let host = choose_host(&ask, kind, &hosts).map_err(StoreError::NotFound)?;
        Ok((host.computer.computer.clone(), host.partition.clone()))
    }
}

fn still_fits(host: &InstanceRow, request: &InstanceRequest, named: Option<&str>) -> bool {
    let (computer, partition) = (&host.computer, &host.partition);
    host.software == request.software
        && host.software_type == request.software_type
        && named.is_none_or(|name| name == partition.as_str() || name == guid(computer, partition))
}

/// Those that the policy chooses from.
async fn hosts(tx: &mut Tx, ask: &Ask<'_>, kind: &str) -> Result<Vec<Host>, StoreError> {
    let mut found: Vec<Host> = Vec::new();
    let places: Vec<&str> = match &ask.filter.computer {
        Some(named) => vec![named.as_str()],
        None => {
            let near = ask.here.map(ComputerId::as_str).into_iter().chain([ask.home.as_str()]);
            near.chain([""]).collect()
        }
    };
    let common = (!ask.project.is_empty()).then_some("");
    for project in std::iter::once(ask.project).chain(common) {
        for place in &places {
            let mut last = (String::new(), -1);
            for _ in 0..MOST_PARTS {
                let part = of_project(tx, ask, kind, (project, place), &last).await?;
                let whole = part.len() == PART;
                if let Some(host) = part.last() {
                    last = (host.computer.computer.to_string(), host.position);
                }
                for host in part {
                    if !found.iter().any(|known| is_same(known, &host)) {
                        found.push(host);
                    }
                }
                if !whole || choose_host(ask, kind, &found).is_ok() {
                    break;
                }
            }
        }
    }
    Ok(found)
}

fn is_same(one: &Host, other: &Host) -> bool {
    one.computer.computer == other.computer.computer && one.partition == other.partition
}

/// A part of the instances of one project, on one computer unless `place` is empty: those after the
/// `last` computer and position.
async fn of_project(
    tx: &mut Tx,
    ask: &Ask<'_>,
    kind: &str,
    (project, place): (&str, &str),
    last: &(String, i64),
) -> Result<Vec<Host>, StoreError> {
    let named = ask.filter.instance.as_deref().unwrap_or_default();
    let rows = sqlx::query(
        "SELECT c.reference, i.project, c.allocation_scope, c.labels, c.network, c.capacity, \
         i.partition_reference, p.position, (SELECT count(*) FROM shared_instance s \
         WHERE s.computer = i.computer AND s.partition_reference = i.partition_reference) \
         AS serves FROM instance i JOIN computer c ON c.reference = i.computer \
         JOIN computer_partition p ON p.computer = i.computer \
         AND p.reference = i.partition_reference \
         WHERE i.software = $1 AND i.software_type = $2 AND i.project = $3 \
         AND i.requested_state <> 'destroyed' AND ($4 = '' OR i.computer = $4) \
         AND ($5 = '' OR i.partition_reference = $5 \
         OR i.computer || '-' || i.partition_reference = $5) \
         AND (i.computer, p.position) > ($6, $7) ORDER BY i.computer, p.position LIMIT $8",
    )
    .bind(ask.software)
    .bind(kind)
    .bind(project)
    .bind(place)
    .bind(named)
    .bind(last.0.as_str())
    .bind(last.1)
    .bind(i64::try_from(PART).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Host, StoreError> {
    let serves: i64 = row.try_get("serves")?;
    let mut computer = read_computer(row)?;
    // It needs no partition.
    computer.free = 1;
    Ok(Host {
        computer,
        partition: PartitionId::new(text(row, "partition_reference")?),
        serves: u64::try_from(serves).unwrap_or(0),
        position: row.try_get("position")?,
    })
}
