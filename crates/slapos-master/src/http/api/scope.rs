//! What a caller sees in lists.

use super::super::access::Caller;
use super::super::own;
use super::super::{ApiError, App};
use crate::store::Scope;

impl App {
    /// What the caller sees in lists.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn seen_by(&self, caller: &Caller) -> Result<Scope, ApiError> {
        Ok(match self.scope(caller).await? {
            own::Scope::All => Scope::All,
            own::Scope::Projects(projects) => Scope::Projects(projects),
            own::Scope::Computer(computer) => Scope::Computer(computer),
            // No list is for instances.
            own::Scope::Partition(..) => Scope::Projects(Vec::new()),
        })
    }
}
