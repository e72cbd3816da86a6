//! Tokens that were given out, by their digests.
//!
//! Invariants: the store never sees a token, only what [`slapos_slap::token`] makes of it; what was made with
//! a token is valid no longer than that, however it ends.

use slapos_slap::token::id_of_digest;
use slapos_slap::{ComputerId, PartitionId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::instances::require_instance;
use super::people::require_user;
use super::rows::{rfc3339, text};
use super::{Store, Tx, require_computer};
use crate::error::StoreError;

/// How long a token is told of after it has ended, in microseconds: 30 days. The audit log tells of it
/// for longer.
const TOLD_OF: i64 = 30 * 86_400 * 1_000_000;

/// So many are forgotten at once: who writes has others wait.
const AT_ONCE: i64 = 500;

/// Whom a token, or a certificate, stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    User(String),
    Computer(ComputerId),
    Partition(ComputerId, PartitionId),
}

/// What is told of a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
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
    /// Takes a token for valid from now on, if whom it stands for exists; returns its name, and until when
    /// it is valid. `maker` is the digest of the token with which it is made, if it is one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the holder is not known, [`StoreError::Conflict`] when the maker is
    /// not valid any more.
    pub(crate) async fn add_token(
        &self,
        holder: &Holder,
        digest: &str,
        label: &str,
        expires_at: Option<i64>,
        maker: Option<&str>,
    ) -> Result<(String, Option<String>), StoreError> {
        let (id, now) = (id_of_digest(digest), self.now());
        let mut tx = self.write().await?;
        require_holder(&mut tx, holder).await?;
        let limit = match maker {
            Some(maker) => end_of(&mut tx, maker, now).await?,
            None => None,
        };
        // Nothing is later than any time.
        let expires_at = [expires_at, limit].into_iter().flatten().min();
        let (person, computer, partition) = columns(holder);
        sqlx::query(
            "INSERT INTO token (id, digest, person, computer, partition_reference, label, \
             created_at, expires_at, made_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(id.as_str())
        .bind(digest)
        .bind(person)
        .bind(computer)
        .bind(partition)
        .bind(label)
        .bind(now)
        .bind(expires_at)
        .bind(maker.map(id_of_digest))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok((id, expires_at.map(rfc3339)))
    }

    /// Whom the token of that digest stands for, unless it is revoked or has expired. That it was used,
    /// and that a computer is there, is noted.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn token_holder(&self, digest: &str) -> Result<Option<Holder>, StoreError> {
        let row = sqlx::query(
            "SELECT t.id, t.person, t.computer, t.partition_reference, t.used_at, k.contact_at \
             FROM token t LEFT JOIN computer_contact k ON k.computer = t.computer \
             WHERE t.digest = $1 AND t.revoked_at IS NULL \
             AND (t.expires_at IS NULL OR t.expires_at > $2)",
        )
        .bind(digest)
        .bind(self.now())
        // One statement needs no transaction.
        .fetch_optional(&mut self.reader().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        self.note_use(text(&row, "id")?, row.try_get("used_at")?);
        let holder = holder(&row)?;
        if let Holder::Computer(computer) = &holder {
            self.note_contact(computer, row.try_get("contact_at")?);
        }
        Ok(Some(holder))
    }

    /// The digest of a token that is valid, by its name.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn token_digest(&self, id: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT digest FROM token WHERE id = $1 AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(id)
        .bind(self.now())
        // One statement needs no transaction.
        .fetch_optional(&mut self.reader().await?)
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

    /// Revokes the token of that name, or all, of a holder, of a computer with those of its partitions, and
    /// whatever was made with them; returns how many were valid.
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
        let done = revoke(&mut tx, holder, id, self.now()).await?;
        if let (0, Some(id)) = (done, id) {
            let message = format!("there is no valid token {id} of that holder");
            return Err(StoreError::NotFound(message));
        }
        tx.commit().await?;
        Ok(done)
    }
}

impl Store {
    /// Forgets the tokens that have ended long ago, and returns how many these were. What was made with
    /// them has ended as well.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn forget_tokens(&self) -> Result<u64, StoreError> {
        const ENDED: &str =
            "SELECT id FROM token WHERE expires_at < $1 OR revoked_at < $1 ORDER BY id LIMIT $2";
        let before = self.now().saturating_sub(TOLD_OF);
        let mut forgotten = 0;
        loop {
            // Most often there are none, and nobody has to wait.
            let some = sqlx::query(ENDED).bind(before).bind(1_i64);
            if some.fetch_optional(&mut self.reader().await?).await?.is_none() {
                return Ok(forgotten);
            }
            let mut tx = self.write().await?;
            let sql = format!("DELETE FROM token WHERE id IN ({ENDED})");
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(before).bind(AT_ONCE);
            forgotten += query.execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
        }
    }
}

/// Revokes the token of that name, or all, of a holder, with whatever was made with them, and so on.
pub(super) async fn revoke(
    tx: &mut Tx,
    holder: &Holder,
    id: Option<&str>,
    now: i64,
) -> Result<u64, StoreError> {
    let (filter, [first, second]) = match (holder, id) {
        (Holder::Computer(computer), None) => {
            ("computer = $1 AND $2 = ''", [computer.to_string(), String::new()])
        }
        _ => filter(holder),
    };
    let sql = format!(
        "WITH RECURSIVE gone (id) AS (SELECT id FROM token WHERE {filter} AND revoked_at IS NULL \
         AND ($4 = '' OR id = $4) UNION SELECT t.id FROM token t JOIN gone g ON t.made_by = g.id) \
         UPDATE token SET revoked_at = $3 \
         WHERE revoked_at IS NULL AND id IN (SELECT id FROM gone)"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(first).bind(second);
    let query = query.bind(now).bind(id.unwrap_or_default());
    Ok(query.execute(&mut **tx).await?.rows_affected())
}

/// Until when the token of that digest is valid.
async fn end_of(tx: &mut Tx, digest: &str, now: i64) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(
        "SELECT expires_at FROM token \
         WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(digest)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let gone = || StoreError::Conflict("the token that asks is not valid any more".to_owned());
    Ok(row.ok_or_else(gone)?.try_get("expires_at")?)
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
