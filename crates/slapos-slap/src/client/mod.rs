//! A blocking client of a Master, over the classic SLAP routes.
//!
//! Invariants: one call is one request (plus the documented fallback to an older route); nothing
//! is retried, cached or written to disk; the token is sent to the Master's own origin only, and only
//! on connections whose other end has proved that it knows the token (see [`crate::proof`]; a new
//! connection costs one request more).

mod api;
mod authority;
mod computers;
mod directory;
mod events;
mod guard;
mod hateoas;
mod identity;
mod instances;
mod partition;
pub mod person;
mod told;
mod transport;
mod tree;

use std::time::Duration;

use indexmap::IndexMap;
use slapos_sys::Secret;

use crate::convert::{self, ConvertError};
use crate::description::ComputerDescription;
use crate::error::SlapError;
use crate::marshal::{Value, dumps, loads};
use crate::overview::Overview;
use crate::types::{Computer, ComputerPartition, InstanceAnswer, InstanceRequest};
use crate::words::{ComputerId, PartitionId, SoftwareState, SoftwareUrl};
use transport::{Reply, Transport};

pub use api::Verb;
pub use authority::Authority;
pub use directory::ComputerSummary;
pub use events::{EventStream, Heard};
pub use identity::TlsIdentity;
pub use instances::{
    ListedForwarded, ListedInstance, ListedTree, Outlook, OutlookError, OutlookPlace, OutlookSchema,
};
pub use partition::PartitionCertificate;
pub use transport::told_url;

/// How long a Master may take for one answer, unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one Master. Cheap to clone: clones share their connections.
#[derive(Debug, Clone)]
pub struct SlapClient {
    transport: Transport,
}

impl SlapClient {
    /// A client of the Master at `base_url`; nothing is sent yet. `timeout` bounds each call as
    /// a whole (usually [`DEFAULT_TIMEOUT`]). A `token` that is empty counts as none; with one,
    /// every call fails with [`SlapError::Impostor`] unless the Master knows it too.
    ///
    /// # Errors
    /// [`SlapError::InvalidUrl`].
    pub fn new(
        base_url: &str,
        token: Option<Secret>,
        timeout: Duration,
    ) -> Result<SlapClient, SlapError> {
        Self::with_identity(base_url, token, timeout, &TlsIdentity::default())
    }

    /// The same for a Master reached by https that asks who we are, or whose authority the machine
    /// does not know.
    ///
    /// # Errors
    /// [`SlapError::InvalidUrl`].
    pub fn with_identity(
        base_url: &str,
        token: Option<Secret>,
        timeout: Duration,
        identity: &TlsIdentity,
    ) -> Result<SlapClient, SlapError> {
        Ok(SlapClient { transport: Transport::new(base_url, token, timeout, identity)? })
    }

    /// The same client, which has no token: `advice` is what is told when the Master wants one.
    #[must_use]
    pub fn without_token(self, advice: &str) -> SlapClient {
        SlapClient { transport: self.transport.without_token(advice) }
    }

    /// The Master's URL as it may be shown, with a trailing slash.
    pub fn base_url(&self) -> &str {
        self.transport.base_url()
    }

    /// Whether a Master answers there and accepts our token.
    ///
    /// # Errors
    /// Any [`SlapError`]; [`SlapError::is_temporary`] while it is starting.
    pub fn ping(&self) -> Result<(), SlapError> {
        self.transport.get("getRunId", &[]).map(drop)
    }

    /// What names the Master's process, as long as it runs.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn run_id(&self) -> Result<String, SlapError> {
        Ok(self.transport.get("getRunId", &[])?.body)
    }

    /// Everything wanted of a computer.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master does not know the computer.
    pub fn full_computer_information(&self, computer: &ComputerId) -> Result<Computer, SlapError> {
        let query = [("computer_id", computer.as_str())];
        let reply = match self.transport.get("getFullComputerInformation", &query) {
            // Masters older than that route.
            Err(SlapError::NotFound { .. }) => {
                self.transport.get("getComputerInformation", &query)?
            }
            other => other?,
        };
        self.read(&reply, convert::computer_from_value)
    }

    /// One partition and what is wanted of the instance in it.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master does not know the partition.
    pub fn computer_partition(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<ComputerPartition, SlapError> {
        let query = [
            ("computer_reference", computer.as_str()),
            ("computer_partition_reference", partition.as_str()),
        ];
        let reply = self.transport.get("registerComputerPartition", &query)?;
        self.read(&reply, convert::partition_from_value)
    }

    /// Tells the Master how a computer is formatted.
    ///
    /// # Errors
    /// [`SlapError::Server`] with status 409 when a partition in use would be forgotten.
    pub fn load_computer_configuration(
        &self,
        description: &ComputerDescription,
    ) -> Result<(), SlapError> {
        let xml = dumps(&convert::description_to_value(description))?;
        self.post("loadComputerConfigurationFromXML", &[("xml", &xml)])
    }

    /// Wants a Software Release on a computer, or no longer.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master does not know the computer.
    pub fn supply(
        &self,
        software: &SoftwareUrl,
        computer: &ComputerId,
        state: SoftwareState,
    ) -> Result<(), SlapError> {
        self.tell_software("supplySupply", software, computer, &[("state", state.as_str())])
    }

    /// Asks for an instance, or changes one. `None` when the Master has not allocated it yet.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when there is no room for it.
    pub fn request(&self, request: &InstanceRequest) -> Result<Option<InstanceAnswer>, SlapError> {
        let form = convert::request_to_form(request)?;
        let form: Vec<_> = form.iter().map(|(key, text)| (*key, text.as_str())).collect();
        match self.transport.post("requestComputerPartition", &form)? {
            None => Ok(None),
            Some(reply) => self.read(&reply, convert::answer_from_value).map(Some),
        }
    }

    /// Replaces the connection parameters of the instance in a partition.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when no instance is there.
    pub fn set_connection(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        connection: &IndexMap<String, String>,
    ) -> Result<(), SlapError> {
        self.publish(computer, partition, None, connection)
    }

    /// Replaces the connection parameters of a shared instance that a partition hosts.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when it hosts none of that reference.
    pub fn set_shared_connection(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        slave_reference: &str,
        connection: &IndexMap<String, String>,
    ) -> Result<(), SlapError> {
        self.publish(computer, partition, Some(slave_reference), connection)
    }

    fn publish(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        slave: Option<&str>,
        connection: &IndexMap<String, String>,
    ) -> Result<(), SlapError> {
        let xml = dumps(&convert::texts_to_value(connection))?;
        let mut more = vec![("connection_xml", xml.as_str())];
        more.extend(slave.map(|reference| ("slave_reference", reference)));
        self.tell_instance("setComputerPartitionConnectionXml", computer, partition, &more)
    }

    /// Reports that a Software Release is being built.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn software_building(
        &self,
        software: &SoftwareUrl,
        computer: &ComputerId,
    ) -> Result<(), SlapError> {
        self.tell_software("buildingSoftwareRelease", software, computer, &[])
    }

    /// Reports that a Software Release is built.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn software_available(
        &self,
        software: &SoftwareUrl,
        computer: &ComputerId,
    ) -> Result<(), SlapError> {
        self.tell_software("availableSoftwareRelease", software, computer, &[])
    }

    /// Reports that a Software Release is removed; the Master forgets it.
    ///
    /// # Errors
    /// [`SlapError::Server`] with status 409 when it is wanted again.
    pub fn software_destroyed(
        &self,
        software: &SoftwareUrl,
        computer: &ComputerId,
    ) -> Result<(), SlapError> {
        self.tell_software("destroyedSoftwareRelease", software, computer, &[])
    }

    /// Reports why a Software Release could not be built or removed.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn software_error(
        &self,
        software: &SoftwareUrl,
        computer: &ComputerId,
        message: &str,
    ) -> Result<(), SlapError> {
        self.tell_software("softwareReleaseError", software, computer, &[("error_log", message)])
    }

    /// Reports that an instance is deployed and runs.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn instance_started(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<(), SlapError> {
        self.tell_instance("startedComputerPartition", computer, partition, &[])
    }

    /// Reports that an instance is stopped.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn instance_stopped(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<(), SlapError> {
        self.tell_instance("stoppedComputerPartition", computer, partition, &[])
    }

    /// Reports that an instance is removed, so that its partition becomes free. `Some` is the
    /// Master's reason for not freeing it yet, such as children that must go first, or that the
    /// instance is wanted again.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn instance_destroyed(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Option<String>, SlapError> {
        let form =
            [("computer_id", computer.as_str()), ("computer_partition_id", partition.as_str())];
        let reply = self.transport.post("destroyedComputerPartition", &form)?;
        let text = reply.map(|reply| reply.body).unwrap_or_default();
        // A refusal is a text with status 200.
        Ok((text.trim() != "OK").then_some(text))
    }

    /// Reports why an instance could not be deployed, or a promise that fails.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn instance_error(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        message: &str,
    ) -> Result<(), SlapError> {
        self.tell_instance("softwareInstanceError", computer, partition, &[("error_log", message)])
    }

    /// Asks for the whole instance tree to be processed again.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn bang(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        message: &str,
    ) -> Result<(), SlapError> {
        self.tell_instance("softwareInstanceBang", computer, partition, &[("message", message)])
    }

    /// Asks for every instance of a computer to be processed again.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master does not know the computer.
    pub fn computer_bang(&self, computer: &ComputerId, message: &str) -> Result<(), SlapError> {
        self.post("computerBang", &[("computer_id", computer.as_str()), ("message", message)])
    }

    /// Gives another title to the instance in a partition.
    ///
    /// # Errors
    /// [`SlapError::Server`] with status 409 when the tree has that title already.
    pub fn rename(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        title: &str,
    ) -> Result<(), SlapError> {
        self.tell_instance("softwareInstanceRename", computer, partition, &[("new_name", title)])
    }

    /// Everything that the Master knows (only our own Master has this).
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when it is another kind of Master.
    pub fn overview(&self) -> Result<Overview, SlapError> {
        let reply = self.transport.get("api/v1/overview", &[])?;
        serde_json::from_str(&reply.body).map_err(|error| self.protocol(&reply, &error.to_string()))
    }

    fn tell_software(
        &self,
        route: &str,
        software: &SoftwareUrl,
        computer: &ComputerId,
        more: &[(&str, &str)],
    ) -> Result<(), SlapError> {
        let mut form = vec![("url", software.as_str()), ("computer_id", computer.as_str())];
        form.extend_from_slice(more);
        self.post(route, &form)
    }

    fn tell_instance(
        &self,
        route: &str,
        computer: &ComputerId,
        partition: &PartitionId,
        more: &[(&str, &str)],
    ) -> Result<(), SlapError> {
        let mut form =
            vec![("computer_id", computer.as_str()), ("computer_partition_id", partition.as_str())];
        form.extend_from_slice(more);
        self.post(route, &form)
    }

    fn post(&self, route: &str, form: &[(&str, &str)]) -> Result<(), SlapError> {
        self.transport.post(route, form).map(drop)
    }

    fn read<T>(
        &self,
        reply: &Reply,
        convert: impl Fn(&Value) -> Result<T, ConvertError>,
    ) -> Result<T, SlapError> {
        let value = loads(&reply.body).map_err(|error| self.protocol(reply, &error.to_string()))?;
        convert(&value).map_err(|error| self.protocol(reply, &error.to_string()))
    }

    fn protocol(&self, reply: &Reply, reason: &str) -> SlapError {
        SlapError::Protocol {
            url: self.base_url().to_owned(),
            reason: format!("{}: {reason}", reply.route),
        }
    }
}
