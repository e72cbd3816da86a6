//! Requests that ask for what there is: almost all of them, because who asked for an instance asks
//! again at each of its runs.
//!
//! Such a request is answered from one consistent view, without the right to write, so that it
//! neither waits for those who write nor has them wait. Whether it is one is decided by the very
//! function that says what a request changes.

use slapos_slap::{InstanceAnswer, InstanceRequest, InstanceState};

use super::Store;
use super::instances::instance_of;
use super::request::{answer, origin, wish};
use crate::error::StoreError;

impl Store {
    /// The answer to a request for an instance that changes nothing; `None` for any other, and for
    /// shared instances. The software type must not be empty.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn repeated(
        &self,
        project: &str,
        request: &InstanceRequest,
    ) -> Result<Option<InstanceAnswer>, StoreError> {
        if request.shared {
            return Ok(None);
        }
        let mut tx = self.read().await?;
        let origin = origin(&mut tx, project, request).await?;
        let title = request.title.as_str();
        let found = instance_of(&mut tx, &origin.project, &origin.root, title).await?;
        let Some(former) = found else { return Ok(None) };
        let limit = match origin.root.as_str() {
            "" => InstanceState::Started,
            root => instance_of(&mut tx, &origin.project, "", root)
                .await?
                .map_or(InstanceState::Started, |root| root.requested_state),
        };
        if wish(&former, request, &origin, limit, self.now()) != former {
            return Ok(None);
        }
        answer(&mut tx, former).await.map(Some)
    }
}
