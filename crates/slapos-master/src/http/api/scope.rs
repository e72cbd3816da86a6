//! What a caller of the API sees, and whether something is his.

use slapos_slap::ComputerId;

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

    /// The project of what a person or the operator makes.
    ///
    /// # Errors
    /// 404 for a project that is not the caller's.
    pub(crate) async fn project_of(
        &self,
        caller: &Caller,
        named: Option<&str>,
    ) -> Result<String, ApiError> {
        self.project_for(caller, named.filter(|named| !named.is_empty())).await
    }

    /// Requires that the computer is the caller's.
    ///
    /// # Errors
    /// 403 or 404, see [`super::super::own`].
    pub(crate) async fn mine(
        &self,
        caller: &Caller,
        computer: &ComputerId,
    ) -> Result<(), ApiError> {
        self.allow_computer(caller, computer).await
    }
}
