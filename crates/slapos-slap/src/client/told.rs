//! Telling our own Master what other Masters have no place for; see [`BuildProgress`] and its
//! neighbours.

use serde::Serialize;

use super::{SlapClient, Verb};
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
        let path = ["computers", computer.as_str(), what];
        let body = self.worded(&path, body)?;
        match self.json(Verb::Post, &path, Some(&body)) {
            Ok(_) => Ok(true),
            // Unknown there: as such, as something that nothing can be posted to, or as a page for people.
            Err(
                SlapError::NotFound { .. }
                | SlapError::Server { status: 405, .. }
                | SlapError::Protocol { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
