//! Certificates of computers and of their partitions: what the Master's authority signs for callers,
//! by the classic routes and by our own.

use std::sync::Arc;

use slapos_slap::{ComputerId, PartitionId};
use slapos_sys::Secret;

use axum::http::StatusCode;

use super::{ApiError, App, audit};
use crate::authority::{Authority, new_serial};
use crate::store::Issued;

/// A certificate with its key, both as PEM.
pub(crate) struct Pair {
    pub(super) certificate: String,
    pub(super) key: Secret,
}

impl Pair {
    /// What there is where there is no TLS.
    pub(super) fn none() -> Pair {
        Pair { certificate: String::new(), key: Secret::new("") }
    }
}

impl App {
    /// The authority.
    ///
    /// # Errors
    /// 409 when this Master has none, because it has no TLS.
    pub(super) fn authority(&self) -> Result<&Arc<Authority>, ApiError> {
        self.authority.as_ref().ok_or_else(|| {
            let message = "this Master has no TLS, so that nobody needs a certificate: set \
                           `tls_port` in [slapproxy]";
            ApiError::new(StatusCode::CONFLICT, message)
        })
    }

    /// A new certificate for a computer, or for one of its partitions.
    ///
    /// # Errors
    /// 404 when that is not known.
    pub(super) async fn new_certificate(
        &self,
        computer: &ComputerId,
        partition: Option<&PartitionId>,
    ) -> Result<Pair, ApiError> {
        let authority = self.authority()?;
        let now = self.store.time();
        let name = match partition {
            None => computer.to_string(),
            Some(partition) => format!("{computer}/{partition}"),
        };
        let serial = new_serial()?;
        let pem = authority.client(&name, &serial, now, self.certificate_life)?;
        let life = i64::try_from(self.certificate_life).unwrap_or(i64::MAX);
        let life = life.saturating_mul(1_000_000);
        let not_after = now.saturating_add(life);
        let issued = Issued { serial, pem, issued_at: now, not_after };
        audit::changed_if(true);
        self.store.add_certificate(computer, partition, &issued).await?;
        self.pair(issued)
    }

    /// The present certificate of a partition; a new one when there is none, or when the present one
    /// has less than a third of its life before it. Where there is no TLS none is of use, and the
    /// texts are empty.
    ///
    /// # Errors
    /// 404 when the partition is not known.
    pub(super) async fn partition_certificate(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Pair, ApiError> {
        if self.authority.is_none() {
            return Ok(Pair::none());
        }
        let present = self.store.newest_certificate(computer, Some(partition)).await?;
        let now = self.store.time();
        let fresh =
            |issued: &Issued| (issued.not_after - now) > (issued.not_after - issued.issued_at) / 3;
        match present.filter(fresh) {
            Some(issued) => self.pair(issued),
            None => self.new_certificate(computer, Some(partition)).await,
        }
    }

    fn pair(&self, issued: Issued) -> Result<Pair, ApiError> {
        let key = self.authority()?.key_of(&issued.serial)?;
        Ok(Pair { certificate: issued.pem, key })
    }
}
