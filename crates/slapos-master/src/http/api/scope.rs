//! What a caller of the API sees, and whether something is his.

use super::super::access::Caller;
use super::super::{ApiError, App};
use crate::store::Scope;

impl App {
    /// What the caller sees in lists.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn seen_by(&self, caller: &Caller) -> Result<Scope, ApiError> {
        Ok(match caller {
            Caller::Operator => Scope::All,
            Caller::User(name) => Scope::Projects(self.store.projects_of(name).await?),
            Caller::Computer(computer) | Caller::Partition(computer, _) => {
                Scope::Computer(computer.clone())
            }
        })
    }
}
