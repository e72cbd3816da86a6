//! A new instance for which a user asks nothing about its place, at a server: one way there and back
//! finds the place and takes it, where the general way ([`placing`](super::placing)) goes there for each
//! of its questions while all who write wait.
//!
//! The policy of [`crate::allocation`] is said once more here, in SQL, for the one case in which it is an
//! order of rows: without a filter, the first offer. Whatever is not that case finds nothing here, and
//! goes the general way, which also says why there is no place.

use slapos_slap::{ComputerId, InstanceRequest, InstanceState, PartitionId};

use super::placing::{Place, read_filter};
use super::pools::Kind;
use super::rows::{addresses, text, to_column};
use super::{Store, Tx};
use crate::allocation::Filter;
use crate::error::StoreError;

/// `$1` is the Software Release, `$2` the project, `$3` the Master's own computer, `$4` the title. A computer
/// with capabilities is not for everybody, so it is left to the general way, when it comes first, whether it fits.
const TAKE: &str = "\
    WITH offered AS ( \
        (SELECT computer, project, built, free FROM offer WHERE software = $1 AND project = $2 \
        ORDER BY built DESC, free DESC, computer LIMIT 1) \
        UNION ALL \
        (SELECT computer, project, built, free FROM offer WHERE software = $1 AND project = '' \
        ORDER BY built DESC, free DESC, computer LIMIT 1) \
        UNION ALL \
        SELECT computer, project, built, free FROM offer \
        WHERE software = $1 AND computer = $3 AND project IN ($2, '') \
    ), best AS ( \
        SELECT computer FROM offered \
        ORDER BY project <> $2, built DESC, computer <> $3, free DESC, computer LIMIT 1 \
    ), place AS ( \
        SELECT f.computer, f.reference FROM best b JOIN computer c ON c.reference = b.computer \
        JOIN computer_partition f ON f.computer = b.computer LEFT JOIN instance i \
        ON i.computer = f.computer AND i.partition_reference = f.reference \
        WHERE i.title IS NULL AND strpos(c.labels, '\"capability\"') = 0 AND NOT EXISTS \
        (SELECT 1 FROM instance WHERE project = $2 AND root = '' AND title = $4) \
        ORDER BY f.position LIMIT 1 \
    ), made AS ( \
        INSERT INTO instance (computer, partition_reference, title, root, software, \
        software_type, requested_state, parameters, connection, changed_at, filter, project, \
        asked_by) SELECT computer, reference, $4, '', $1, $5, $6, $7, '{}', $8, $9, $2, '' \
        FROM place RETURNING computer, partition_reference \
    ), gone AS ( \
        DELETE FROM offer o USING made WHERE o.computer = made.computer AND o.free <= 1 \
    ), fewer AS ( \
        UPDATE offer o SET free = free - 1 FROM made \
        WHERE o.computer = made.computer AND o.free > 1 \
    ) \
    SELECT made.computer, made.partition_reference, a.interface, a.address FROM made \
    LEFT JOIN partition_address a ON a.computer = made.computer \
    AND a.partition_reference = made.partition_reference ORDER BY a.position";

impl Store {
    /// Makes the instance for which a user asks, which is to be in `state`, unless it has to go the general
    /// way: then nothing is done.
    pub(super) async fn take_at_once(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        project: &str,
        state: InstanceState,
        now: i64,
    ) -> Result<Option<Place>, StoreError> {
        if tx.kind() != Kind::Postgres || read_filter(request, project)? != Filter::default() {
            return Ok(None);
        }
        let rows = sqlx::query(TAKE)
            .bind(request.software.as_str())
            .bind(project)
            .bind(self.home.as_str())
            .bind(request.title.as_str())
            .bind(request.software_type.as_str())
            .bind(state.as_str())
            .bind(to_column(&request.parameters))
            .bind(now)
            .bind(to_column(&request.sla))
            .fetch_all(&mut **tx)
            .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        Ok(Some(Place {
            computer: ComputerId::new(text(first, "computer")?),
            partition: PartitionId::new(text(first, "partition_reference")?),
            addresses: addresses(&rows)?,
        }))
    }
}
