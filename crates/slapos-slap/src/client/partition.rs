//! What a node asks and tells about one partition, beside the reports that others have too.

use slapos_sys::Secret;

use super::SlapClient;
use crate::error::SlapError;
use crate::marshal::{Value, dumps, loads};
use crate::words::{ComputerId, PartitionId};

/// A partition's certificate and its key, as PEM; both empty where the Master gives none.
#[derive(Debug, Clone)]
pub struct PartitionCertificate {
    /// The certificate.
    pub certificate: String,
    /// The key to it.
    pub key: Secret,
}

impl SlapClient {
    /// The certificate by which a partition's instance is known to the Master.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master does not know the partition.
    pub fn partition_certificate(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<PartitionCertificate, SlapError> {
        let query =
            [("computer_id", computer.as_str()), ("computer_partition_id", partition.as_str())];
        let reply = self.transport.get("getComputerPartitionCertificate", &query)?;
        let value =
            loads(&reply.body).map_err(|error| self.protocol(&reply, &error.to_string()))?;
        let text = |name: &str| value.as_dict()?.get(name)?.as_str().map(str::to_owned);
        match (text("certificate"), text("key")) {
            (Some(certificate), Some(key)) => {
                Ok(PartitionCertificate { certificate, key: Secret::new(key) })
            }
            _ => Err(self.protocol(&reply, "it has no \"certificate\" and \"key\"")),
        }
    }

    /// Tells which instances an instance asked for in its last whole run: all of them, by title.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master does not take such lists.
    pub fn related_instances(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        titles: &[String],
    ) -> Result<(), SlapError> {
        let list = Value::List(titles.iter().map(Value::str).collect());
        let xml = dumps(&list)?;
        let more = [("instance_reference_xml", xml.as_str())];
        self.tell_instance("updateComputerPartitionRelatedInstanceList", computer, partition, &more)
    }
}
