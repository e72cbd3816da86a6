//! What is known of what a request asks for; most requests ask for what there is, because who asked
//! for an instance asks again at each of its runs.
//!
//! Such a request is answered without the right to write, so that it neither waits for those who
//! write nor has them wait. Whether it is one is decided by the very function that says what a
//! request changes. A user's is one statement; an instance's, whose tree has to be found, has one
//! consistent view.

use std::net::IpAddr;

use slapos_slap::{InstanceAnswer, InstanceRequest};

use super::Store;
use super::connection::Connection;
use super::forwarded::{self, Standing};
use super::request::{Origin, answer_with, limit, origin, wish};
use super::rows::{INSTANCE_COLUMNS, InstanceRow, addresses};
use crate::error::StoreError;

/// See the module.
#[derive(Debug)]
pub(crate) enum Known {
    /// The request changes nothing; this is its answer.
    Repeated(Box<InstanceAnswer>),
    /// It may change something.
    Other {
        /// What there is.
        standing: Standing,
        /// Whether an instance asks.
        by_instance: bool,
    },
}

impl Store {
    /// What is known of what a request asks for. The software type must not be empty.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn known(
        &self,
        project: &str,
        request: &InstanceRequest,
    ) -> Result<Known, StoreError> {
        if request.shared {
            let (standing, by_instance) = self.standing(project, request).await?;
            return Ok(Known::Other { standing, by_instance });
        }
        if request.requester.is_none() {
            let origin = Origin { project: project.to_owned(), ..Origin::default() };
            let mut connection = self.reader().await?;
            return self.known_of(&mut connection, &origin, request).await;
        }
        let mut tx = self.read().await?;
        let origin = origin(&mut tx, project, request).await?;
        self.known_of(&mut tx, &origin, request).await
    }

    async fn known_of(
        &self,
        connection: &mut Connection,
        origin: &Origin,
        request: &InstanceRequest,
    ) -> Result<Known, StoreError> {
        let by_instance = origin.here.is_some();
        let Some((former, addresses)) = find(connection, origin, request).await? else {
            let standing = forwarded::asked(connection, origin, request).await?;
            return Ok(Known::Other { standing, by_instance });
        };
        let limit = limit(connection, origin).await?;
        if wish(&former, request, origin, limit, self.now()) == former {
            return Ok(Known::Repeated(Box::new(answer_with(former, addresses))));
        }
        let same = forwarded::same(&former, request);
        Ok(Known::Other { standing: Standing::Here { same }, by_instance })
    }
}

/// The instance that a request means, with the addresses of its partition.
async fn find(
    connection: &mut Connection,
    origin: &Origin,
    request: &InstanceRequest,
) -> Result<Option<(InstanceRow, Vec<(String, IpAddr)>)>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {INSTANCE_COLUMNS}, a.interface, a.address FROM instance i \
         LEFT JOIN partition_address a ON a.computer = i.computer \
         AND a.partition_reference = i.partition_reference \
         WHERE i.project = $1 AND i.root = $2 AND i.title = $3 ORDER BY a.position"
    ));
    let rows = sqlx::query(sql)
        .bind(origin.project.as_str())
        .bind(origin.root.as_str())
        .bind(request.title.as_str())
        .fetch_all(connection)
        .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some((InstanceRow::read(first)?, addresses(&rows)?)))
}
