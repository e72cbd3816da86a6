//! What a caller of the API sees, and whether something is his.

use slapos_slap::ComputerId;

use super::super::access::Caller;
use super::super::{ApiError, App};
use crate::error::StoreError;
use crate::store::Scope;

impl App {
    /// What the caller sees in lists.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn seen_by(&self, caller: &Caller) -> Result<Scope, ApiError> {
        Ok(match caller {
            Caller::Operator => Scope::All,
            Caller::User(_) => Scope::Projects(Vec::new()),
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
        let named = named.unwrap_or_default();
        match caller {
            Caller::Operator => Ok(named.to_owned()),
            _ => Err(StoreError::NotFound(format!("there is no project {named}")).into()),
        }
    }

    /// Requires that the computer is the caller's.
    ///
    /// # Errors
    /// 404 when it is not, or is not known to the caller.
    pub(crate) async fn mine(
        &self,
        caller: &Caller,
        computer: &ComputerId,
    ) -> Result<(), ApiError> {
        match caller {
            Caller::Operator => Ok(()),
            Caller::Computer(own) if own == computer => Ok(()),
            _ => Err(StoreError::NotFound(format!("there is no computer {computer}")).into()),
        }
    }
}
