//! How all is, in numbers, and what fails: what one wants to know first.
//!
//! Invariant: what is counted is read from indices and not from rows, and only what the scope has; what
//! fails costs as much as fails, and nothing while all is well.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::columns::{computers_of, instances_of, shared_of};
use super::query::Query;
use super::{Scope, computers, instances, software};
use crate::error::StoreError;
use crate::store::rows::text;
use crate::store::{Store, Tx};
use crate::view::{
    BrokenPromise, ComputerSummary, Failing, Instance, InstanceSummary, PartitionCounts,
    SoftwareSummary, Summary,
};

/// How many of a kind that fail are named.
const NAMED: usize = 20;

/// Narrows instances `i` to those that told an error, or have a broken promise. As a join it is read
/// first, which a condition is not.
const FAILING: &str = " JOIN (SELECT e.computer, e.partition_reference FROM instance e \
     WHERE e.reported_state = 'error' \
     UNION SELECT p.computer, p.partition_reference FROM promise p WHERE p.failed = 1) f \
     ON f.computer = i.computer AND f.partition_reference = i.partition_reference";

impl Store {
    /// All that the scope has, counted, and the first of what fails.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn summary(&self, scope: &Scope) -> Result<Summary, StoreError> {
        let mut tx = self.read_long().await?;
        let (shared, shared_trees) = shared_counts(&mut tx, scope).await?;
        Ok(Summary {
            computers: computer_counts(&mut tx, scope, self.now()).await?,
            software: software_counts(&mut tx, scope).await?,
            partitions: PartitionCounts {
                total: count(&mut tx, on_computers("count(*)", "computer_partition", scope))
                    .await?,
                busy: count(&mut tx, on_computers("count(*)", "instance", scope)).await?,
            },
            trees: count(&mut tx, instances_in(scope, "").and("i.root = ''", [])).await?,
            shared_trees,
            instances: InstanceSummary {
                total: count(&mut tx, instances_in(scope, "")).await?,
                started: started(&mut tx, scope).await?,
                failed: count(&mut tx, instances_in(scope, FAILING)).await?,
                shared,
            },
            failing: failing(&mut tx, scope, self.now()).await?,
        })
    }
}

/// `what` of the rows of a table, called `t`, that are about computers of the scope.
fn on_computers(what: &str, table: &str, scope: &Scope) -> Query {
    let join = match scope {
        Scope::All => "",
        _ => " JOIN computer c ON c.reference = t.computer",
    };
    computers_of(Query::new(&format!("SELECT {what} AS found FROM {table} t{join}")), scope)
}

/// Counts the instances of the scope; `join` narrows them.
fn instances_in(scope: &Scope, join: &str) -> Query {
    instances_of(Query::new(&format!("SELECT count(*) AS found FROM instance i{join}")), scope)
}

async fn count(tx: &mut Tx, query: Query) -> Result<i64, StoreError> {
    let row = query.all(tx, "1").await?.into_iter().next();
    let row = row.ok_or_else(no_row)?;
    Ok(row.try_get("found")?)
}

async fn started(tx: &mut Tx, scope: &Scope) -> Result<i64, StoreError> {
    count(tx, instances_in(scope, "").and("i.requested_state = 'started'", [])).await
}

/// How many shared instances there are, and how many of them a person asked for.
async fn shared_counts(tx: &mut Tx, scope: &Scope) -> Result<(i64, i64), StoreError> {
    let counts = "SELECT count(*) AS found, CAST(COALESCE(sum(CASE WHEN s.root = '' THEN 1 ELSE 0 END), \
                  0) AS BIGINT) AS roots FROM shared_instance s";
    let rows = shared_of(Query::new(counts), scope).all(tx, "1").await?;
    let row = rows.first().ok_or_else(no_row)?;
    Ok((row.try_get("found")?, row.try_get("roots")?))
}

fn no_row() -> StoreError {
    StoreError::Damaged("a count has no row".to_owned())
}

async fn computer_counts(
    tx: &mut Tx,
    scope: &Scope,
    now: i64,
) -> Result<ComputerSummary, StoreError> {
    let all = Query::new("SELECT count(*) AS found FROM computer c");
    let total = count(tx, computers_of(all, scope)).await?;
    let heard = count(tx, on_computers("count(*)", "computer_contact", scope)).await?;
    let limit = now.saturating_sub(computers::SILENT).to_string();
    let silent = on_computers("count(*)", "computer_contact", scope)
        .and("t.contact_at < CAST(CAST(? AS TEXT) AS BIGINT)", [limit.as_str()]);
    let silent = count(tx, silent).await?;
    Ok(ComputerSummary { total, ok: heard - silent, silent, never: total - heard })
}

async fn software_counts(tx: &mut Tx, scope: &Scope) -> Result<SoftwareSummary, StoreError> {
    let state = "COALESCE(t.reported_state, '') AS state, count(*)";
    let rows = on_computers(state, "software", scope).grouped(tx, "t.reported_state").await?;
    let mut counts = SoftwareSummary::default();
    for row in &rows {
        let found: i64 = row.try_get("found")?;
        counts.total += found;
        match row.try_get::<String, _>("state")?.as_str() {
            "available" => counts.available = found,
            "building" => counts.building = found,
            "error" => counts.error = found,
            _ => {}
        }
    }
    Ok(counts)
}

async fn failing(tx: &mut Tx, scope: &Scope, now: i64) -> Result<Failing, StoreError> {
    let silent = computers::in_state(computers_of(computers::select(), scope), "silent", now)?;
    let silent = silent.rows(tx, "c.reference", NAMED).await?;
    let software = computers_of(software::select(), scope).and("s.reported_state = 'error'", []);
    let software = software.rows(tx, "s.computer, s.url", NAMED).await?;
    let broken = instances_of(instances::select_joined(FAILING), scope);
    let broken = broken.rows(tx, "i.computer, i.partition_reference", NAMED).await?;
    let instances = read(&broken, instances::read)?;
    Ok(Failing {
        computers: read(&silent, |row| computers::read(row, now))?,
        software: read(&software, software::read)?,
        promises: broken_promises(tx, &instances).await?,
        instances,
    })
}

/// The first broken promise of each of these instances that has one.
async fn broken_promises(
    tx: &mut Tx,
    instances: &[Instance],
) -> Result<Vec<BrokenPromise>, StoreError> {
    let mut found = Vec::new();
    for instance in instances {
        if instance.promises.as_ref().is_none_or(|promises| promises.failed == 0) {
            continue;
        }
        let place = [instance.computer.as_str(), instance.partition.as_str()];
        let query = Query::new("SELECT p.name, p.message FROM promise p")
            .and("p.computer = ? AND p.partition_reference = ? AND p.failed = 1", place);
        for row in query.rows(tx, "p.name", 1).await? {
            let (guid, name) = (instance.guid.clone(), text(&row, "name")?);
            found.push(BrokenPromise { guid, name, message: text(&row, "message")? });
        }
    }
    Ok(found)
}

fn read<T>(
    rows: &[AnyRow],
    one: impl Fn(&AnyRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(one).collect()
}
