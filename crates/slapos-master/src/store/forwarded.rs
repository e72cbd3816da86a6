//! Requests that another Master serves: which, where, and under which title.

use slapos_slap::InstanceRequest;

use super::connection::Connection;
use super::instances::instance_of;
use super::request::{Origin, origin};
use super::rows::{InstanceRow, text};
use super::{Store, Tx, farewells, shared};
use crate::error::StoreError;

/// What is known of what a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// An instance of this Master. Whether the parameters, the Software Release and its type are
    /// what they were.
    Here {
        /// See above.
        same: bool,
    },
    /// Another Master was asked.
    Forwarded {
        /// Which.
        master_url: String,
        /// What it is called there.
        title: String,
    },
    /// Nothing.
    New,
}

impl Store {
    /// What is known of what a request asks for, and whether an instance asks.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn standing(
        &self,
        project: &str,
        request: &InstanceRequest,
    ) -> Result<(Standing, bool), StoreError> {
        let mut tx = self.read().await?;
        let origin = origin(&mut tx, project, request).await?;
        let standing = standing(&mut tx, &origin, request).await?;
        Ok((standing, origin.here.is_some()))
    }

    /// Takes note that another Master is asked.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn note_forwarded(
        &self,
        project: &str,
        request: &InstanceRequest,
        master_url: &str,
        title: &str,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        let origin = origin(&mut tx, project, request).await?;
        farewells::wanted_again(&mut tx, master_url, title, request.shared).await?;
        sqlx::query(
            "INSERT INTO forwarded_request (project, root, title, shared, master_url, \
             forwarded_title, software, software_type, forwarded_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (project, root, title, shared) DO UPDATE SET \
             master_url = excluded.master_url, forwarded_title = excluded.forwarded_title, \
             software = excluded.software, software_type = excluded.software_type, \
             forwarded_at = excluded.forwarded_at",
        )
        .bind(origin.project.as_str())
        .bind(origin.root.as_str())
        .bind(request.title.as_str())
        .bind(i64::from(request.shared))
        .bind(master_url)
        .bind(title)
        .bind(request.software.as_str())
        .bind(request.software_type.as_str())
        .bind(now)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Forgets that another Master was asked: it refused, or what it serves is to be destroyed.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn forget_forwarded(
        &self,
        project: &str,
        request: &InstanceRequest,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let origin = origin(&mut tx, project, request).await?;
        sqlx::query(
            "DELETE FROM forwarded_request WHERE project = $1 AND root = $2 AND title = $3 \
             AND shared = $4",
        )
        .bind(origin.project.as_str())
        .bind(origin.root.as_str())
        .bind(request.title.as_str())
        .bind(i64::from(request.shared))
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}

async fn standing(
    tx: &mut Tx,
    origin: &Origin,
    request: &InstanceRequest,
) -> Result<Standing, StoreError> {
    let (project, root, title) = (&origin.project, &origin.root, request.title.as_str());
    let same = if request.shared {
        let asked = (&request.software, &request.software_type, &request.parameters);
        let found = shared::titled(tx, project, root, title).await?;
        found.map(|row| (&row.software, &row.software_type, &row.parameters) == asked)
    } else {
        instance_of(tx, project, root, title).await?.map(|row| same(&row, request))
    };
    match same {
        Some(same) => Ok(Standing::Here { same }),
        None => asked(tx, origin, request).await,
    }
}

/// Whether the parameters, the Software Release and its type are what they were.
pub(super) fn same(row: &InstanceRow, request: &InstanceRequest) -> bool {
    let asked = (&request.software, &request.software_type, &request.parameters);
    (&row.software, &row.software_type, &row.parameters) == asked
}

/// Whether another Master was asked for what is not here.
pub(super) async fn asked(
    connection: &mut Connection,
    origin: &Origin,
    request: &InstanceRequest,
) -> Result<Standing, StoreError> {
    let row = sqlx::query(
        "SELECT master_url, forwarded_title FROM forwarded_request WHERE project = $1 \
         AND root = $2 AND title = $3 AND shared = $4",
    )
    .bind(origin.project.as_str())
    .bind(origin.root.as_str())
    .bind(request.title.as_str())
    .bind(i64::from(request.shared))
    .fetch_optional(connection)
    .await?;
    row.map_or(Ok(Standing::New), |row| {
        Ok(Standing::Forwarded {
            master_url: text(&row, "master_url")?,
            title: text(&row, "forwarded_title")?,
        })
    })
}
