//! What trees that have ended asked other Masters for, until those were asked to destroy it.
//!
//! Invariant: of several Masters over one database one asks at a time: who is about to ask first puts
//! the next try off, for longer than asking takes.

use slapos_slap::SoftwareUrl;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::rows::text;
use super::{Store, Tx};
use crate::error::StoreError;

/// Between the first try and the second, and between late ones, in microseconds.
const SOON: i64 = 60 * 1_000_000;
const LATE: i64 = 3600 * 1_000_000;

/// How many are looked at in one go.
const SOME: i64 = 20;

/// Something that another Master is to destroy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) master_url: String,
    /// What it is called there.
    pub(crate) title: String,
    pub(crate) shared: bool,
    pub(crate) software: SoftwareUrl,
    pub(crate) software_type: String,
    /// The tree that asked for it.
    pub(crate) root: String,
    /// How often that Master was asked.
    pub(crate) tries: i64,
    next_at: i64,
}

impl Farewell {
    fn read(row: &AnyRow) -> Result<Farewell, StoreError> {
        Ok(Farewell {
            master_url: text(row, "master_url")?,
            title: text(row, "title")?,
            shared: row.try_get::<i64, _>("shared")? != 0,
            software: SoftwareUrl::new(text(row, "software")?),
            software_type: text(row, "software_type")?,
            root: text(row, "root")?,
            tries: row.try_get("tries")?,
            next_at: row.try_get("next_at")?,
        })
    }
}

impl Store {
    /// What is due, those that wait longest first.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn due_farewells(&self) -> Result<Vec<Farewell>, StoreError> {
        let rows = sqlx::query(
            "SELECT master_url, title, shared, software, software_type, root, tries, next_at \
             FROM farewell WHERE next_at <= $1 ORDER BY next_at, master_url, title LIMIT $2",
        )
        .bind(self.now())
        .bind(SOME)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(Farewell::read).collect()
    }

    /// Masters that something is to be asked of, by URL.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn farewell_masters(&self) -> Result<Vec<String>, StoreError> {
        let rows =
            sqlx::query("SELECT DISTINCT master_url FROM farewell ORDER BY master_url LIMIT $1")
                .bind(SOME)
                .fetch_all(&mut self.pools.reader().await?)
                .await?;
        rows.iter().map(|row| text(row, "master_url")).collect()
    }

    /// Takes it upon the caller to ask now; `false` if another one did, or it is wanted again.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn take_farewell(&self, farewell: &mut Farewell) -> Result<bool, StoreError> {
        let doublings = u32::try_from(farewell.tries.clamp(0, 10)).unwrap_or(0);
        let next_at = self.now().saturating_add((SOON << doublings).min(LATE));
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE farewell SET tries = tries + 1, next_at = $5 \
             WHERE master_url = $1 AND title = $2 AND shared = $3 AND next_at = $4",
        )
        .bind(farewell.master_url.as_str())
        .bind(farewell.title.as_str())
        .bind(i64::from(farewell.shared))
        .bind(farewell.next_at)
        .bind(next_at)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let taken = done.rows_affected() == 1;
        if taken {
            farewell.next_at = next_at;
        }
        Ok(taken)
    }

    /// Forgets one that was taken: it is destroyed there, or nobody will ask any more. What came to be
    /// due since, of a tree that was made and ended again meanwhile, stays.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn end_farewell(&self, farewell: &Farewell) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "DELETE FROM farewell \
             WHERE master_url = $1 AND title = $2 AND shared = $3 AND next_at = $4",
        )
        .bind(farewell.master_url.as_str())
        .bind(farewell.title.as_str())
        .bind(i64::from(farewell.shared))
        .bind(farewell.next_at)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}

/// Has what the tree of a root, which ends, asked other Masters for be destroyed there.
pub(super) async fn of_root(
    tx: &mut Tx,
    project: &str,
    root: &str,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO farewell (master_url, title, shared, software, software_type, project, root, \
         tries, next_at) SELECT master_url, forwarded_title, shared, software, software_type, \
         project, root, 0, CAST($3 AS BIGINT) FROM forwarded_request \
         WHERE project = $1 AND root = $2 \
         ON CONFLICT (master_url, title, shared) DO UPDATE SET software = excluded.software, \
         software_type = excluded.software_type, project = excluded.project, \
         root = excluded.root, tries = 0, next_at = excluded.next_at",
    )
    .bind(project)
    .bind(root)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM forwarded_request WHERE project = $1 AND root = $2")
        .bind(project)
        .bind(root)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What is asked for at that Master is not to be destroyed there, whatever slash its address ends with.
pub(super) async fn wanted_again(
    tx: &mut Tx,
    master_url: &str,
    title: &str,
    shared: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM farewell WHERE rtrim(master_url, '/') = $1 AND title = $2 AND shared = $3",
    )
    .bind(master_url.trim_end_matches('/'))
    .bind(title)
    .bind(i64::from(shared))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
