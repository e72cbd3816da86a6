//! What an operator says of computers, by the JSON API of our own Master.

use super::SlapClient;
use crate::error::SlapError;
use crate::settings::{ComputerSettings, SetComputer};
use crate::words::ComputerId;

impl SlapClient {
    /// Changes what a computer may be used for; what is absent stays as it is.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master does not know the computer, or is another kind of
    /// Master.
    pub fn set_computer(
        &self,
        computer: &ComputerId,
        change: &SetComputer,
    ) -> Result<ComputerSettings, SlapError> {
        let mut url = self.transport.url("api/v1/computers")?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(computer.as_str());
        }
        let bad =
            |error: serde_json::Error| self.transport.bad_url(url.as_str(), &error.to_string());
        let body = serde_json::to_string(change).map_err(bad)?;
        let reply = self.transport.patch_json(&url, &body)?;
        serde_json::from_str(&reply.body).map_err(|error| self.protocol(&reply, &error.to_string()))
    }
}
