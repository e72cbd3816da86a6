//! The Master's certificate authority as it is kept, and what it signed.
//!
//! Invariants: the authority's key is here in sealed form only (see [`crate::authority`]); of what it
//! signed only the certificates are here, which are no secret.

use slapos_slap::{ComputerId, PartitionId};
use sqlx::Row as _;

use super::instances::require_instance;
use super::rows::text;
use super::tokens::Holder;
use super::{Store, audit, require_computer};
use crate::error::StoreError;

/// The name of the one authority.
const OWN: &str = "own";

/// The authority as kept: its certificate as PEM, and its sealed key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptAuthority {
    pub(crate) certificate: String,
    pub(crate) sealed_key: String,
}

/// A certificate that was issued. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) serial: String,
    pub(crate) pem: String,
    pub(crate) issued_at: i64,
    pub(crate) not_after: i64,
}

impl Store {
    /// The authority, if it was made.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn authority(&self) -> Result<Option<KeptAuthority>, StoreError> {
        let mut tx = self.read().await?;
        let sql = "SELECT certificate, sealed_key FROM authority WHERE name = $1";
        let row = sqlx::query(sql).bind(OWN).fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(None) };
        let (certificate, sealed_key) = (text(&row, "certificate")?, text(&row, "sealed_key")?);
        Ok(Some(KeptAuthority { certificate, sealed_key }))
    }

    /// Keeps a new authority, unless another Master was faster; the one that is kept is returned.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn keep_authority(
        &self,
        new: &KeptAuthority,
    ) -> Result<KeptAuthority, StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO authority (name, certificate, sealed_key, created_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING",
        )
        .bind(OWN)
        .bind(new.certificate.as_str())
        .bind(new.sealed_key.as_str())
        .bind(self.now())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let missing = || StoreError::Damaged("the certificate authority vanished".to_owned());
        self.authority().await?.ok_or_else(missing)
    }

    /// Keeps the key of the authority sealed in another way, which is in the audit log; returns whether it
    /// still was as in `former`.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn reseal_authority(
        &self,
        former: &KeptAuthority,
        sealed_key: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let sql = "UPDATE authority SET sealed_key = $3 WHERE name = $1 AND sealed_key = $2";
        let query = sqlx::query(sql).bind(OWN).bind(former.sealed_key.as_str()).bind(sealed_key);
        let changed = query.execute(&mut *tx).await?.rows_affected() > 0;
        if changed {
            let about = "the authority's key".to_owned();
            audit::keep_command(&mut tx, self.now(), "ca rekey", about).await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Keeps a certificate for a computer, or for one of its partitions.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when that is not known.
    pub(crate) async fn add_certificate(
        &self,
        computer: &ComputerId,
        partition: Option<&PartitionId>,
        issued: &Issued,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        match partition {
            None => require_computer(&mut tx, computer).await?,
            // It would be that of whoever comes next.
            Some(partition) => require_instance(&mut tx, computer, partition).await.map(drop)?,
        }
        sqlx::query(
            "INSERT INTO certificate \
             (serial, computer, partition_reference, pem, issued_at, not_after) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(issued.serial.as_str())
        .bind(computer.as_str())
        .bind(partition.map_or("", PartitionId::as_str))
        .bind(issued.pem.as_str())
        .bind(issued.issued_at)
        .bind(issued.not_after)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The certificate of a computer, or of one of its partitions, that is valid for longest.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn newest_certificate(
        &self,
        computer: &ComputerId,
        partition: Option<&PartitionId>,
    ) -> Result<Option<Issued>, StoreError> {
        let mut tx = self.read().await?;
        let row = sqlx::query(
            "SELECT serial, pem, issued_at, not_after FROM certificate \
             WHERE computer = $1 AND partition_reference = $2 AND revoked_at IS NULL \
             AND not_after > $3 ORDER BY not_after DESC, serial LIMIT 1",
        )
        .bind(computer.as_str())
        .bind(partition.map_or("", PartitionId::as_str))
        .bind(self.now())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Issued {
            serial: text(&row, "serial")?,
            pem: text(&row, "pem")?,
            issued_at: row.try_get("issued_at")?,
            not_after: row.try_get("not_after")?,
        }))
    }

    /// Whom the certificate of that serial number stands for, unless it is revoked or has expired. That
    /// a computer is there is noted.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn certificate_holder(
        &self,
        serial: &str,
    ) -> Result<Option<Holder>, StoreError> {
        let row = sqlx::query(
            "SELECT c.computer, c.partition_reference, k.contact_at FROM certificate c \
             LEFT JOIN computer_contact k ON k.computer = c.computer \
             WHERE c.serial = $1 AND c.revoked_at IS NULL AND c.not_after > $2",
        )
        .bind(serial)
        .bind(self.now())
        // One statement needs no transaction.
        .fetch_optional(&mut self.reader().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let computer = ComputerId::new(text(&row, "computer")?);
        let partition = text(&row, "partition_reference")?;
        if !partition.is_empty() {
            return Ok(Some(Holder::Partition(computer, PartitionId::new(partition))));
        }
        self.note_contact(&computer, row.try_get("contact_at")?);
        Ok(Some(Holder::Computer(computer)))
    }

    /// Revokes all certificates of a computer, and of its partitions; returns how many were valid.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn revoke_certificates(
        &self,
        computer: &ComputerId,
    ) -> Result<u64, StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        let done = sqlx::query(
            "UPDATE certificate SET revoked_at = $2 \
             WHERE computer = $1 AND revoked_at IS NULL AND not_after > $2",
        )
        .bind(computer.as_str())
        .bind(now)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}
