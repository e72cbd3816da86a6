//! Tokens that were given out, by their digests.
//!
//! Invariant: the store never sees a token, only what [`slapos_slap::token`] makes of it.

use slapos_slap::token::id_of_digest;
use slapos_slap::{ComputerId, PartitionId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::instances::require_instance;
use super::people::require_user;
use super::rows::{rfc3339, text};
use super::{Store, Tx, require_computer};
use crate::error::StoreError;

/// How old the note of the last use may become before it is written again, in microseconds: it says
/// the hour, and costs no write for each request.
const COARSE: i64 = 3_600_000_000;

/// Whom a token, or a certificate, stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    User(String),
    Computer(ComputerId),
    Partition(ComputerId, PartitionId),
}

/// What is told of a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct TokenInfo {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) created_at: String,
    pub(crate) expires_at: Option<String>,
    pub(crate) revoked_at: Option<String>,
    /// Within the hour.
    pub(crate) used_at: Option<String>,
}

impl Store {
    /// Takes a token for valid from now on, if whom it stands for exists; returns its name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the holder is not known.
    pub(crate) async fn add_token(
        &self,
        holder: &Holder,
        digest: &str,
        label: &str,
        expires_at: Option<i64>,
    ) -> Result<String, StoreError> {
        let id = id_of_digest(digest);
        let mut tx = self.write().await?;
        require_holder(&mut tx, holder).await?;
        let (person, computer, partition) = columns(holder);
        sqlx::query(
            "INSERT INTO token (id, digest, person, computer, partition_reference, label, \
             created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id.as_str())
        .bind(digest)
        .bind(person)
        .bind(computer)
        .bind(partition)
        .bind(label)
        .bind(self.now())
        .bind(expires_at)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Whom the token of that digest stands for, unless it is revoked or has expired.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn token_holder(&self, digest: &str) -> Result<Option<Holder>, StoreError> {
        let now = self.now();
        let row = sqlx::query(
            "SELECT id, person, computer, partition_reference, used_at FROM token \
             WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(digest)
        .bind(now)
        // One statement needs no transaction.
        .fetch_optional(&mut self.pools.reader().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let used: Option<i64> = row.try_get("used_at")?;
        if used.is_none_or(|used| now - used >= COARSE) {
            self.note_use(text(&row, "id")?, now);
        }
        holder(&row).map(Some)
    }

    /// Notes, by and by, that a token was used. Nobody waits for that, and that it could not be noted
    /// keeps nobody out.
    fn note_use(&self, id: String, now: i64) {
        let writing = self.writing();
        tokio::spawn(async move {
            let noted = async {
                let mut tx = writing.await?;
                let sql = "UPDATE token SET used_at = $2 WHERE id = $1";
                sqlx::query(sql).bind(id.as_str()).bind(now).execute(&mut *tx).await?;
                tx.commit().await
            };
            if let Err(error) = noted.await {
                tracing::warn!("the use of the token {id} was not noted: {error}");
            }
        });
    }

    /// The digest of a token that is valid, by its name.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn token_digest(&self, id: &str) -> Result<Option<String>, StoreError> {
        let mut tx = self.read().await?;
        let row = sqlx::query(
            "SELECT digest FROM token WHERE id = $1 AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(id)
        .bind(self.now())
        .fetch_optional(&mut *tx)
        .await?;
        row.map(|row| text(&row, "digest")).transpose()
    }

    /// The tokens of a holder, in the order in which they were made, revoked ones included.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the holder is not known.
    pub(crate) async fn tokens(&self, holder: &Holder) -> Result<Vec<TokenInfo>, StoreError> {
        let mut tx = self.read().await?;
        require_holder(&mut tx, holder).await?;
        let (filter, values) = filter(holder);
        let sql = format!(
            "SELECT id, label, created_at, expires_at, revoked_at, used_at FROM token \
             WHERE {filter} ORDER BY created_at, id"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for value in values {
            query = query.bind(value);
        }
        query.fetch_all(&mut *tx).await?.iter().map(info).collect()
    }

    /// Revokes the token of that name, or all, of a holder, of a computer with those of its partitions;
    /// returns how many were valid.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the holder is not known, or has no token of that name.
    pub(crate) async fn revoke_tokens(
        &self,
        holder: &Holder,
        id: Option<&str>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        require_holder(&mut tx, holder).await?;
        let (filter, values) = match (holder, id) {
            (Holder::Computer(computer), None) => {
                ("computer = $1 AND $2 = ''", [computer.to_string(), String::new()])
            }
            _ => filter(holder),
        };
        let sql = format!(
            "UPDATE token SET revoked_at = $3 WHERE {filter} AND revoked_at IS NULL \
             AND ($4 = '' OR id = $4)"
        );
        let mut values = values.into_iter();
        let (first, second) = (values.next(), values.next());
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(first.unwrap_or_default())
            .bind(second.unwrap_or_default())
            .bind(self.now())
            .bind(id.unwrap_or_default())
            .execute(&mut *tx)
            .await?
            .rows_affected();
        if let (0, Some(id)) = (done, id) {
            let message = format!("there is no valid token {id} of that holder");
            return Err(StoreError::NotFound(message));
        }
        tx.commit().await?;
        Ok(done)
    }
}

/// Revokes what proves to be the instance of a partition, which is there no more.
pub(super) async fn revoke_of_partition(
    tx: &mut Tx,
    computer: &ComputerId,
    partition: &PartitionId,
    now: i64,
) -> Result<(), StoreError> {
    for table in ["token", "certificate"] {
        let sql = format!(
            "UPDATE {table} SET revoked_at = $3 \
             WHERE computer = $1 AND partition_reference = $2 AND revoked_at IS NULL"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(computer.as_str())
            .bind(partition.as_str())
            .bind(now)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn require_holder(tx: &mut Tx, holder: &Holder) -> Result<(), StoreError> {
    match holder {
        Holder::User(name) => require_user(tx, name).await,
        Holder::Computer(computer) => require_computer(tx, computer).await,
        Holder::Partition(computer, partition) => {
            require_instance(tx, computer, partition).await.map(drop)
        }
    }
}

type Columns<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

fn columns(holder: &Holder) -> Columns<'_> {
    match holder {
        Holder::User(name) => (Some(name), None, None),
        Holder::Computer(computer) => (None, Some(computer.as_str()), None),
        Holder::Partition(computer, partition) => {
            (None, Some(computer.as_str()), Some(partition.as_str()))
        }
    }
}

/// Which rows are a holder's, and the two values that the condition wants.
fn filter(holder: &Holder) -> (&'static str, [String; 2]) {
    match holder {
        Holder::User(name) => ("person = $1 AND $2 = ''", [name.clone(), String::new()]),
        Holder::Computer(computer) => (
            "computer = $1 AND partition_reference IS NULL AND $2 = ''",
            [computer.to_string(), String::new()],
        ),
        Holder::Partition(computer, partition) => (
            "computer = $1 AND partition_reference = $2",
            [computer.to_string(), partition.to_string()],
        ),
    }
}

fn holder(row: &AnyRow) -> Result<Holder, StoreError> {
    let optional = |column| row.try_get::<Option<String>, _>(column);
    let partition = optional("partition_reference")?;
    match (optional("person")?, optional("computer")?) {
        (Some(name), None) => Ok(Holder::User(name)),
        (None, Some(computer)) => {
            let computer = ComputerId::new(computer);
            Ok(match partition {
                Some(partition) => Holder::Partition(computer, PartitionId::new(partition)),
                None => Holder::Computer(computer),
            })
        }
        _ => Err(StoreError::Damaged(format!("token {} has no holder", text(row, "id")?))),
    }
}

fn info(row: &AnyRow) -> Result<TokenInfo, StoreError> {
    let time = |column| -> Result<Option<String>, StoreError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(rfc3339))
    };
    Ok(TokenInfo {
        id: text(row, "id")?,
        label: text(row, "label")?,
        created_at: time("created_at")?.unwrap_or_default(),
        expires_at: time("expires_at")?,
        revoked_at: time("revoked_at")?,
        used_at: time("used_at")?,
    })
}
