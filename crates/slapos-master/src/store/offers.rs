//! What computers can take: the rows from which the policy of [`crate::allocation`] decides.
//!
//! A fleet is not read for each request. The table `offer` has a row for each Software Release that
//! is wanted on a computer which is open and has room; it follows from other tables, and
//! [`recount`] makes the rows of one computer anew in the transaction that changes any of them, at
//! the cost of counting that computer's partitions; a new instance makes each of them one less. Its
//! index has the order in which the policy prefers computers, so that the best that fits is on the first
//! page of [`PAGE`] rows, unless the request's filter (labels, networks) passes over those that come
//! first: then pages follow, at most [`MOST`] rows. A request that is refused reads at most [`MOST_TOLD`] computers that have the
//! release, in order to say why.

use std::collections::BTreeSet;

use slapos_slap::ComputerId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Tx;
use super::rows::{text, texts, word};
use crate::allocation::{Ask, Candidate, Release};
use crate::error::StoreError;

/// The project that a computer belongs to, as SQL.
const PROJECT: &str = "c.project";

/// How many offers are read at once.
const PAGE: i64 = 64;

/// How many offers are looked at for one request.
const MOST: usize = 4096;

/// How many computers a refusal tells of.
const MOST_TOLD: i64 = 1000;

/// Makes the offers of a computer anew, after its partitions, instances, Software Releases or
/// settings changed.
pub(super) async fn recount(tx: &mut Tx, computer: &ComputerId) -> Result<(), StoreError> {
    for sql in RECOUNT {
        sqlx::query(sql).bind(computer.as_str()).execute(&mut **tx).await?;
    }
    Ok(())
}

const RECOUNT: [&str; 2] = [
    "DELETE FROM offer WHERE computer = $1",
    "INSERT INTO offer (computer, software, project, built, free) \
     SELECT s.computer, s.url, r.project, \
     CASE s.reported_state WHEN 'available' THEN 2 WHEN 'error' THEN 0 ELSE 1 END, r.free \
     FROM (SELECT c.reference, c.project, \
     CASE WHEN c.capacity < (SELECT count(*) FROM computer_partition WHERE computer = $1) \
     THEN c.capacity ELSE (SELECT count(*) FROM computer_partition WHERE computer = $1) END \
     - (SELECT count(*) FROM instance WHERE computer = $1) AS free \
     FROM computer c WHERE c.reference = $1 AND c.allocation_scope = 'open') r \
     JOIN software s ON s.computer = r.reference AND s.requested_state = 'available' \
     WHERE r.free > 0",
];

/// What [`recount`] would do after one instance more on a computer, which is SQL, as statements that may
/// come [`together`](super::together).
pub(super) fn one_less(computer: &str) -> [String; 2] {
    [
        format!("DELETE FROM offer WHERE computer = {computer} AND free <= 1"),
        format!("UPDATE offer SET free = free - 1 WHERE computer = {computer} AND free > 1"),
    ]
}

/// One computer as it is, counted; `None` when it is not known.
pub(super) async fn exact(
    tx: &mut Tx,
    computer: &ComputerId,
    software: &str,
) -> Result<Option<Candidate>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT c.reference, {PROJECT} AS project, c.allocation_scope, c.labels, c.network, \
         c.capacity, s.url, s.reported_state, \
         (SELECT count(*) FROM computer_partition p WHERE p.computer = c.reference) AS partitions, \
         (SELECT count(*) FROM instance i WHERE i.computer = c.reference) AS busy \
         FROM computer c LEFT JOIN software s ON s.computer = c.reference AND s.url = $2 \
         AND s.requested_state = 'available' WHERE c.reference = $1"
    ));
    let row =
        sqlx::query(sql).bind(computer.as_str()).bind(software).fetch_optional(&mut **tx).await?;
    let Some(row) = row else { return Ok(None) };
    let partitions = unsigned(row.try_get("partitions")?);
    let busy = unsigned(row.try_get("busy")?);
    let url: Option<String> = row.try_get("url")?;
    let mut candidate = read(&row)?;
    if url.is_none() {
        candidate.release = Release::Absent;
    }
    let most = candidate.capacity.map_or(partitions, |capacity| capacity.min(partitions));
    candidate.free = most.saturating_sub(busy);
    candidate.partitions = Some(partitions);
    Ok(Some(candidate))
}

/// What a request is decided from: the computer that it names; or the Master's own, the one that
/// asks, and offers until one of them fits.
pub(super) async fn gather(tx: &mut Tx, ask: &Ask<'_>) -> Result<Vec<Candidate>, StoreError> {
    let mut found = nearby(tx, ask).await?;
    if ask.filter.computer.is_some() {
        return Ok(found);
    }
    for project in projects(ask) {
        let mut after = (i64::MAX, i64::MAX, String::new());
        loop {
            let page = offers(tx, ask, project, &after).await?;
            let Some(((built, free), last)) = page.last() else { break };
            after = (*built, *free, last.computer.to_string());
            let full = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            let fits = page.iter().any(|(_, one)| ask.obstacle(one).is_none());
            add(&mut found, page.into_iter().map(|(_, one)| one));
            // What follows is preferred less.
            if fits {
                return Ok(found);
            }
            if full || found.len() >= MOST {
                break;
            }
        }
    }
    Ok(found)
}

/// What a refusal is worded from: every computer that has the release, whatever is in its way.
pub(super) async fn survey(tx: &mut Tx, ask: &Ask<'_>) -> Result<Vec<Candidate>, StoreError> {
    let mut found = nearby(tx, ask).await?;
    if ask.filter.computer.is_some() {
        return Ok(found);
    }
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT c.reference, {PROJECT} AS project, c.allocation_scope, c.labels, c.network, \
         c.capacity, s.reported_state, o.free FROM software s \
         JOIN computer c ON c.reference = s.computer \
         LEFT JOIN offer o ON o.computer = s.computer AND o.software = s.url \
         WHERE s.url = $1 AND s.requested_state = 'available' \
         AND ({PROJECT} = '' OR {PROJECT} = $2) ORDER BY s.computer LIMIT $3"
    ));
    let rows = sqlx::query(sql)
        .bind(ask.software)
        .bind(ask.project)
        .bind(MOST_TOLD)
        .fetch_all(&mut **tx)
        .await?;
    for row in &rows {
        let mut candidate = read(row)?;
        candidate.free = unsigned(row.try_get::<Option<i64>, _>("free")?.unwrap_or(0));
        // The words about one computer have more to say.
        if rows.len() == 1 {
            candidate = exact(tx, &candidate.computer, ask.software).await?.unwrap_or(candidate);
        }
        add(&mut found, [candidate]);
    }
    Ok(found)
}

/// The networks that have an instance of a tree.
pub(super) async fn networks_of(
    tx: &mut Tx,
    project: &str,
    root: &str,
) -> Result<BTreeSet<String>, StoreError> {
    let rows = sqlx::query(
        "SELECT DISTINCT c.network FROM instance i JOIN computer c ON c.reference = i.computer \
         WHERE i.project = $1 AND (i.root = $2 OR (i.root = '' AND i.title = $2))",
    )
    .bind(project)
    .bind(root)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(|row| text(row, "network")).collect()
}

/// The computers that are looked at in any case.
async fn nearby(tx: &mut Tx, ask: &Ask<'_>) -> Result<Vec<Candidate>, StoreError> {
    let mut found = Vec::new();
    let named = ask.filter.computer.as_ref();
    let names = match named {
        Some(_) => [named, None],
        None => [Some(ask.home), ask.here],
    };
    for name in names.into_iter().flatten() {
        let candidate = exact(tx, name, ask.software).await?;
        // One that asks and does not have the release is no place: nobody need hear of it.
        let counts = |one: &Candidate| {
            named.is_some() || one.computer == *ask.home || one.release != Release::Absent
        };
        add(&mut found, candidate.filter(counts));
    }
    Ok(found)
}

/// Whose computers an instance may be on, its own project first.
fn projects<'a>(ask: &Ask<'a>) -> impl Iterator<Item = &'a str> {
    let common = (!ask.project.is_empty()).then_some("");
    std::iter::once(ask.project).chain(common)
}

/// The next offers of a project after the one with that standing, room and computer.
async fn offers(
    tx: &mut Tx,
    ask: &Ask<'_>,
    project: &str,
    (built, free, computer): &(i64, i64, String),
) -> Result<Vec<((i64, i64), Candidate)>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.reference, o.project, c.allocation_scope, c.labels, c.network, c.capacity, \
         o.built, o.free FROM offer o JOIN computer c ON c.reference = o.computer \
         WHERE o.software = $1 AND o.project = $2 AND (o.built < $3 OR (o.built = $3 AND \
         (o.free < $4 OR (o.free = $4 AND o.computer > $5)))) \
         ORDER BY o.built DESC, o.free DESC, o.computer LIMIT $6",
    )
    .bind(ask.software)
    .bind(project)
    .bind(*built)
    .bind(*free)
    .bind(computer.as_str())
    .bind(PAGE)
    .fetch_all(&mut **tx)
    .await?;
    let offer = |row: &AnyRow| {
        let built: i64 = row.try_get("built")?;
        let free: i64 = row.try_get("free")?;
        let mut candidate = read_computer(row)?;
        candidate.free = unsigned(free);
        candidate.release = match built {
            0 => Release::Failed,
            1 => Release::Wanted,
            _ => Release::Available,
        };
        Ok(((built, free), candidate))
    };
    rows.iter().map(offer).collect()
}

/// A computer with what its node reported of a Software Release that is wanted there.
fn read(row: &AnyRow) -> Result<Candidate, StoreError> {
    let reported: Option<String> = row.try_get("reported_state")?;
    let release = match reported.as_deref() {
        Some("available") => Release::Available,
        Some("error") => Release::Failed,
        _ => Release::Wanted,
    };
    Ok(Candidate { release, ..read_computer(row)? })
}

pub(super) fn read_computer(row: &AnyRow) -> Result<Candidate, StoreError> {
    let capacity: Option<i64> = row.try_get("capacity")?;
    Ok(Candidate {
        computer: ComputerId::new(text(row, "reference")?),
        project: text(row, "project")?,
        scope: word(row, "allocation_scope")?,
        labels: texts(row, "labels")?,
        network: text(row, "network")?,
        release: Release::Available,
        free: 0,
        partitions: None,
        capacity: capacity.map(unsigned),
    })
}

fn add(found: &mut Vec<Candidate>, more: impl IntoIterator<Item = Candidate>) {
    let new: Vec<Candidate> = more
        .into_iter()
        .filter(|one| !found.iter().take(2).any(|known| known.computer == one.computer))
        .collect();
    found.extend(new);
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
