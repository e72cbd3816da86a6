//! Telling our own Master what other Masters have no place for; see [`BuildProgress`] and its
//! neighbours.

use serde::Serialize;

use super::SlapClient;
use crate::error::SlapError;
use crate::told::{BuildProgress, NodeMetrics, PromiseReport};
use crate::words::ComputerId;

impl SlapClient {
    /// Tells how far a build is; `false` when it is another kind of Master, which is not told again.
    ///
    /// # Errors
    /// Any [`SlapError`] but that the route is not there.
    pub fn tell_progress(
        &self,
        computer: &ComputerId,
        progress: &BuildProgress,
    ) -> Result<bool, SlapError> {
        self.tell(computer, "progress", progress)
    }

    /// Tells what came of promises; `false` as for [`tell_progress`](Self::tell_progress).
    ///
    /// # Errors
    /// As for [`tell_progress`](Self::tell_progress).
    pub fn tell_promises(
        &self,
        computer: &ComputerId,
        report: &PromiseReport,
    ) -> Result<bool, SlapError> {
        self.tell(computer, "promises", report)
    }

    /// Tells how the machine is; `false` as for [`tell_progress`](Self::tell_progress).
    ///
    /// # Errors
    /// As for [`tell_progress`](Self::tell_progress).
    pub fn tell_metrics(
        &self,
        computer: &ComputerId,
        metrics: &NodeMetrics,
    ) -> Result<bool, SlapError> {
        self.tell(computer, "metrics", metrics)
    }

    fn tell(
        &self,
        computer: &ComputerId,
        what: &str,
        body: &impl Serialize,
    ) -> Result<bool, SlapError> {
        let mut url = self.transport.url("api/v1/computers")?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(computer.as_str()).push(what);
        }
        let bad = |error: serde_json::Error| self.transport.bad_url(what, &error.to_string());
        let text = serde_json::to_string(body).map_err(bad)?;
        match self.transport.post_json(&url, &text) {
            Ok(_) => Ok(true),
            // Unknown there: as such, or as something that nothing can be posted to.
            Err(SlapError::NotFound { .. } | SlapError::Server { status: 405, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
