//! What an operator says of computers, by the JSON API of our own Master.

use super::{SlapClient, Verb};
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
        let path = ["computers", computer.as_str()];
        let change = self.worded(&path, change)?;
        self.read_api(&path, self.json(Verb::Patch, &path, Some(&change))?)
    }
}
