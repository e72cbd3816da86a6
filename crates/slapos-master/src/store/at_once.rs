//! A new instance of a user at a server, found a place and noted by one way there and back, where the
//! general way ([`placing`](super::placing)) goes there for each of its questions while all who write wait.
//!
//! The policy of [`crate::allocation`] is said once more here, in SQL, for the cases in which it is an
//! order of rows: nothing is asked about the place, or the computer is named. Whatever is not one of them
//! finds nothing here, and goes the general way, which also says why there is no place. Among computers that are
//! equal in all else the first is taken by its reference, which a server orders by its collation: where that is
//! not the order of bytes, a check may name another of them.

use slapos_slap::{Change, ChangeKind, ComputerId, InstanceRequest, InstanceState, PartitionId};

use super::changes::noting;
use super::feed::{self, At, Entry};
use super::offers::one_less;
use super::placing::{Place, read_filter};
use super::pools::Kind;
use super::request::INSERT;
use super::rows::{addresses, text, to_column};
use super::together::in_one;
use super::{Store, Tx};
use crate::allocation::Filter;
use crate::error::StoreError;

/// The first offer, without a filter. The values are those of [`feed::bind`], the Software Release `$11` and
/// the computer `$12`, which is the Master's own or the one that is named.
const ANY: &str = "\
    SELECT computer FROM ( \
        (SELECT computer, project, built, free FROM offer WHERE software = $11 AND project = $10 \
        ORDER BY built DESC, free DESC, computer LIMIT 1) \
        UNION ALL \
        (SELECT computer, project, built, free FROM offer WHERE software = $11 AND project = '' \
        ORDER BY built DESC, free DESC, computer LIMIT 1) \
        UNION ALL \
        SELECT computer, project, built, free FROM offer \
        WHERE software = $11 AND computer = $12 AND project IN ($10, '') \
    ) offered ORDER BY project <> $10, built DESC, computer <> $12, free DESC, computer LIMIT 1";

/// The named one, which needs no Software Release.
const NAMED: &str = "\
    SELECT reference AS computer FROM computer WHERE reference = $12 \
    AND allocation_scope = 'open' AND ($10 = '' OR project IN ($10, '')) AND (capacity IS NULL \
    OR capacity > (SELECT count(*) FROM instance WHERE computer = $12))";

/// A computer with capabilities is not for everybody; whether it is nevertheless is left to the general way.
const FOR_EVERYBODY: &str = "strpos(c.labels, '\"capability\"') = 0";

/// Where the place is free, and nothing has the title.
const FREE: &str = "\
    i.title IS NULL AND NOT EXISTS \
    (SELECT 1 FROM instance WHERE project = $10 AND root = '' AND title = $7) \
    ORDER BY f.position LIMIT 1";

/// Comes behind [`INSERT`].
const MADE: &str = "\
    SELECT computer, reference, $7, '', $11, $13, $6, $14, '{}', $9, $15, $10, '' FROM place \
    RETURNING computer, partition_reference";

const ANSWER: &str = "\
    SELECT made.computer, made.partition_reference, a.interface, a.address FROM made \
    LEFT JOIN partition_address a ON a.computer = made.computer \
    AND a.partition_reference = made.partition_reference ORDER BY a.position";

/// The partition that is taken.
const OF_THE_MADE: At = At {
    computer: "(SELECT computer FROM made)",
    partition: "(SELECT partition_reference FROM made)",
    from: "FROM made",
};

impl Store {
    /// Makes the instance for which a user asks, which is to be in `state`, unless it has to go the general
    /// way: then nothing is done.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(super) async fn make_at_once(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        project: &str,
        state: InstanceState,
        now: i64,
    ) -> Result<Option<Place>, StoreError> {
        if tx.kind() != Kind::Postgres {
            return Ok(None);
        }
        let Ok(mut filter) = read_filter(request, project) else { return Ok(None) };
        let named = filter.computer.take();
        if filter != Filter::default() {
            return Ok(None);
        }
        let change = Change::new(ChangeKind::Request).state(state.as_str());
        let entry = Entry {
            tree: Some(request.title.to_string()),
            project: Some(project.to_owned()),
            ..Entry::of(&ComputerId::new(""), &change)
        };
        let statement = sqlx::AssertSqlSafe(statement(named.is_some(), now));
        let rows = feed::bind(sqlx::query(statement), tx.next_entry(), &entry, now)
            .bind(request.software.as_str())
            .bind(named.as_ref().unwrap_or(&self.home).as_str())
            .bind(request.software_type.as_str())
            .bind(to_column(&request.parameters))
            .bind(to_column(&request.sla))
            .fetch_all(&mut **tx)
            .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let computer = ComputerId::new(text(first, "computer")?);
        let partition = PartitionId::new(text(first, "partition_reference")?);
        tx.ring(&computer);
        feed::told(tx, now).await?;
        Ok(Some(Place { computer, partition, addresses: addresses(&rows)? }))
    }
}

/// Takes a place on the computer that is named, or on any, and notes it.
fn statement(is_named: bool, now: i64) -> String {
    let (best, fits) = if is_named { (NAMED, "TRUE") } else { (ANY, FOR_EVERYBODY) };
    let place = format!(
        "SELECT f.computer, f.reference FROM best b JOIN computer c ON c.reference = b.computer \
         JOIN computer_partition f ON f.computer = b.computer LEFT JOIN instance i \
         ON i.computer = f.computer AND i.partition_reference = f.reference WHERE {fits} AND {FREE}"
    );
    let mut steps =
        vec![("best", best.to_owned()), ("place", place), ("made", format!("{INSERT} {MADE}"))];
    steps.extend(["gone", "fewer"].into_iter().zip(one_less(OF_THE_MADE.computer)));
    // The last one may be absent.
    steps.extend(["noted", "noted1", "noted2"].into_iter().zip(noting(OF_THE_MADE, now)));
    steps.push(("told", feed::telling(Kind::Postgres, OF_THE_MADE)));
    in_one(&steps, ANSWER)
}
