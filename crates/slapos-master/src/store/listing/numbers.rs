//! Each computer in numbers, for whoever watches all of them. What its node tells of itself is left out
//! once nobody has heard of it for a while: a number that nobody stands for any more is none.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::computers::{SILENT, read_metrics};
use crate::error::StoreError;
use crate::store::rows::text;
use crate::store::{Store, Tx};
use crate::view::NodeNumbers;

/// Of which computers somebody has heard.
const HEARD: &str = "SELECT computer, contact_at FROM computer_contact";

/// How many partitions each has.
const PARTITIONS: &str =
    "SELECT computer, count(*) AS found FROM computer_partition GROUP BY computer";

/// What is wanted of their instances, or that these could not be made so.
const INSTANCES: &str = "SELECT computer, CASE WHEN reported_state = 'error' THEN 'error' \
     ELSE requested_state END AS state, count(*) AS found FROM instance GROUP BY 1, 2";

/// Software Releases that could not be built.
const RELEASES: &str = "SELECT computer, count(*) AS found FROM software \
     WHERE reported_state = 'error' GROUP BY computer";

/// What came of promises.
const PROMISES: &str = "SELECT p.computer, count(*) AS found, CAST(sum(p.failed) AS BIGINT) AS failed \
     FROM promise p JOIN computer_contact k ON k.computer = p.computer \
     WHERE k.contact_at >= CAST(CAST($1 AS TEXT) AS BIGINT) GROUP BY p.computer";

/// How machines are.
const MACHINES: &str = "SELECT computer, metrics, told_at FROM computer_metrics \
     WHERE told_at >= CAST(CAST($1 AS TEXT) AS BIGINT)";

impl Store {
    /// The numbers of each computer, by its name.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn node_numbers(&self) -> Result<BTreeMap<String, NodeNumbers>, StoreError> {
        let mut tx = self.read_long().await?;
        let fresh = self.now().saturating_sub(SILENT).to_string();
        let mut nodes = BTreeMap::<String, NodeNumbers>::new();
        let mut each = |rows: Vec<AnyRow>, take: Take| {
            rows.iter()
                .try_for_each(|row| take(nodes.entry(text(row, "computer")?).or_default(), row))
        };
        each(all(&mut tx, PARTITIONS, None).await?, |node, row| {
            node.partitions = row.try_get("found")?;
            Ok(())
        })?;
        each(all(&mut tx, INSTANCES, None).await?, |node, row| {
            node.instances.insert(text(row, "state")?, row.try_get("found")?);
            Ok(())
        })?;
        each(all(&mut tx, RELEASES, None).await?, |node, row| {
            node.releases_failed = row.try_get("found")?;
            Ok(())
        })?;
        each(all(&mut tx, HEARD, None).await?, |node, row| {
            node.contact_at = Some(row.try_get("contact_at")?);
            Ok(())
        })?;
        each(all(&mut tx, PROMISES, Some(&fresh)).await?, |node, row| {
            node.promises = Some((row.try_get("found")?, row.try_get("failed")?));
            Ok(())
        })?;
        each(all(&mut tx, MACHINES, Some(&fresh)).await?, |node, row| {
            node.machine = Some(read_metrics(row)?);
            Ok(())
        })?;
        Ok(nodes)
    }
}

/// Takes what a row says of a computer.
type Take = fn(&mut NodeNumbers, &AnyRow) -> Result<(), StoreError>;

async fn all(
    tx: &mut Tx,
    sql: &'static str,
    fresh: Option<&str>,
) -> Result<Vec<AnyRow>, StoreError> {
    let query = sqlx::query(sql);
    let query = match fresh {
        Some(fresh) => query.bind(fresh.to_owned()),
        None => query,
    };
    Ok(query.fetch_all(&mut **tx).await?)
}
