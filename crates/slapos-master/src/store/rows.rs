//! Rows of the database as typed values, and the forms in which columns hold them.

use std::net::IpAddr;
use std::str::FromStr;

use indexmap::IndexMap;
use slapos_slap::{ComputerId, InstanceState, PartitionId, Report, SoftwareUrl};
use slapos_sys::clock::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::error::StoreError;

/// The columns of [`InstanceRow`], for `SELECT`.
pub(super) const INSTANCE_COLUMNS: &str = "i.computer, i.partition_reference, i.title, i.root, \
     i.software, i.software_type, i.requested_state, i.parameters, i.connection, i.changed_at, \
     i.reported_state, i.reported_message, i.reported_at, i.filter, i.project, i.asked_by, \
     i.orphan_since, i.restart_at";

/// An instance as stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InstanceRow {
    pub(super) computer: ComputerId,
    pub(super) partition: PartitionId,
    pub(super) project: String,
    pub(super) title: String,
    /// The title of the tree's root; empty for a root.
    pub(super) root: String,
    pub(super) software: SoftwareUrl,
    pub(super) software_type: String,
    pub(super) requested_state: InstanceState,
    pub(super) parameters: IndexMap<String, String>,
    pub(super) connection: IndexMap<String, String>,
    pub(super) changed_at: i64,
    pub(super) reported: Option<Report>,
    /// What was asked about its place; it moves no instance that exists.
    pub(super) filter: IndexMap<String, String>,
    /// The instance that asked last, as `<computer>-<partition>`; empty for a user.
    pub(super) asked_by: String,
    /// Since when that instance does not ask for it any more.
    pub(super) orphan_since: Option<i64>,
    /// When its services were last wanted to start anew.
    pub(super) restart_at: Option<i64>,
}

impl InstanceRow {
    pub(super) fn read(row: &AnyRow) -> Result<InstanceRow, StoreError> {
        Ok(InstanceRow {
            computer: ComputerId::new(text(row, "computer")?),
            partition: PartitionId::new(text(row, "partition_reference")?),
            title: text(row, "title")?,
            root: text(row, "root")?,
            software: SoftwareUrl::new(text(row, "software")?),
            software_type: text(row, "software_type")?,
            requested_state: word(row, "requested_state")?,
            parameters: texts(row, "parameters")?,
            connection: texts(row, "connection")?,
            changed_at: row.try_get("changed_at")?,
            reported: report(row)?,
            filter: texts(row, "filter")?,
            project: text(row, "project")?,
            asked_by: text(row, "asked_by")?,
            orphan_since: row.try_get("orphan_since")?,
            restart_at: row.try_get("restart_at")?,
        })
    }

    /// The title of the tree's root: its own for a root.
    pub(super) fn root_title(&self) -> &str {
        if self.root.is_empty() { &self.title } else { &self.root }
    }
}

/// A text column.
pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, StoreError> {
    Ok(row.try_get(column)?)
}

/// A column that holds a word of SLAP.
pub(super) fn word<T: FromStr>(row: &AnyRow, column: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text(row, column)?
        .parse()
        .map_err(|error| StoreError::Damaged(format!("column {column}: {error}")))
}

/// A column of parameters.
pub(super) fn texts(row: &AnyRow, column: &str) -> Result<IndexMap<String, String>, StoreError> {
    serde_json::from_str(&text(row, column)?)
        .map_err(|error| StoreError::Damaged(format!("column {column}: {error}")))
}

/// The columns of the last report, if there was any.
pub(super) fn report(row: &AnyRow) -> Result<Option<Report>, StoreError> {
    let state: Option<String> = row.try_get("reported_state")?;
    let message: Option<String> = row.try_get("reported_message")?;
    let at: Option<i64> = row.try_get("reported_at")?;
    Ok(state.map(|state| Report {
        state,
        message: message.unwrap_or_default(),
        at: at.map(rfc3339).unwrap_or_default(),
    }))
}

/// The addresses of one partition by interface, of rows to which they were joined: it may have none.
pub(super) fn addresses(rows: &[AnyRow]) -> Result<Vec<(String, IpAddr)>, StoreError> {
    let mut addresses = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(interface) = row.try_get::<Option<String>, _>("interface")? {
            addresses.push((interface, word(row, "address")?));
        }
    }
    Ok(addresses)
}

/// Parameters as a column holds them: the same parameters always give the same text.
pub(super) fn to_column(parameters: &IndexMap<String, String>) -> String {
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort();
    let object: serde_json::Map<String, serde_json::Value> =
        sorted.into_iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    serde_json::Value::Object(object).to_string()
}

/// Bytes in lower-case hexadecimal.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time as people read it.
pub(super) fn rfc3339(microseconds: i64) -> String {
    Timestamp::from_microsecond(microseconds).map(|time| time.to_string()).unwrap_or_default()
}

/// A time as `timestamp` of an instance: seconds with six digits after the point, which is also
/// how the original's embedded Master writes it.
pub(super) fn wire_timestamp(microseconds: i64) -> String {
    format!("{}.{:06}", microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000))
}

/// The time of a change that happens now: always later than the former one, so that a node sees
/// that something changed even if the clock stands still or goes back.
pub(super) fn later_than(former: i64, now: i64) -> i64 {
    now.max(former.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(wire_timestamp(1_795_374_015_778_843), "1795374015.778843");
        assert_eq!(wire_timestamp(1_000_007), "1.000007");
        assert_eq!(later_than(5, 9), 9);
        assert_eq!(later_than(9, 9), 10);
        assert_eq!(later_than(9, 3), 10);
    }

    #[test]
    fn parameters_are_sorted() {
        let pair = |key: &str| (key.to_owned(), "v".to_owned());
        let one: IndexMap<_, _> = [pair("b"), pair("a")].into();
        assert_eq!(to_column(&one), r#"{"a":"v","b":"v"}"#);
    }
}
