//! What belongs to a caller: the half of the rules that needs the store.
//!
//! A node owns its computer and the instances there; an instance owns itself; a person owns the
//! computers and the instance trees of his projects. Invariants: what is not a node's or an
//! instance's is refused (403) without a look whether it exists; for a person it does not exist
//! (404), in the same words as what really does not. Either way nobody learns what others have.

use slapos_slap::{ComputerId, InstanceInfo, InstanceRequest, PartitionId};

use axum::http::StatusCode;

use super::access::Caller;
use super::{ApiError, App, audit};
use crate::error::StoreError;
use crate::store::Scope;

impl App {
    /// What the caller sees in lists; an instance sees what its node does.
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

    /// The instance trees that the caller may see, or those of that title.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn trees(
        &self,
        caller: &Caller,
        title: Option<&str>,
    ) -> Result<Vec<InstanceInfo>, ApiError> {
        Ok(match self.seen_by(caller).await? {
            Scope::All => self.store.instance_trees(title).await?,
            Scope::Projects(projects) => self.store.trees_in(Some(&projects), title).await?,
            Scope::Computer(_) => return Err(not_yours()),
        })
    }

    /// The computers that the caller may see.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn computers(&self, caller: &Caller) -> Result<Vec<ComputerId>, ApiError> {
        Ok(match self.seen_by(caller).await? {
            Scope::All => self.store.computers().await?,
            Scope::Projects(projects) => self.store.computers_of(&projects).await?,
            Scope::Computer(computer) => vec![computer],
        })
    }

    /// Whether the caller sees that computer.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn sees_computer(
        &self,
        caller: &Caller,
        computer: &ComputerId,
    ) -> Result<bool, ApiError> {
        let Some(project) = self.store.project_of_computer(computer).await? else {
            return Ok(false);
        };
        Ok(match self.seen_by(caller).await? {
            Scope::All => true,
            Scope::Projects(projects) => projects.contains(&project),
            Scope::Computer(own) => own == *computer,
        })
    }

    /// Requires that the computer is the caller's own.
    ///
    /// # Errors
    /// 403 or 404, see the module.
    pub(crate) async fn allow_computer(
        &self,
        caller: &Caller,
        computer: &ComputerId,
    ) -> Result<(), ApiError> {
        audit::about(computer);
        match caller {
            Caller::Operator => Ok(()),
            Caller::Computer(own) if own == computer => Ok(()),
            Caller::Computer(_) | Caller::Partition(..) => Err(not_yours()),
            Caller::User(name) => {
                let project = self.store.project_of_computer(computer).await?;
                let what = || StoreError::no_computer(computer).into();
                self.allow_project_or(name, project.as_deref(), what).await
            }
        }
    }

    /// Requires that the instance in that partition is the caller's own.
    ///
    /// # Errors
    /// 403 or 404, see the module.
    pub(crate) async fn allow_partition(
        &self,
        caller: &Caller,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<(), ApiError> {
        audit::about(format_args!("{computer}/{partition}"));
        match caller {
            Caller::Operator => Ok(()),
            Caller::Computer(own) if own == computer => Ok(()),
            Caller::Partition(own, part) if (own, part) == (computer, partition) => Ok(()),
            Caller::Computer(_) | Caller::Partition(..) => Err(not_yours()),
            Caller::User(name) => {
                let project = self.store.project_of_instance(computer, partition).await?;
                let what = || StoreError::no_partition(computer, partition).into();
                self.allow_project_or(name, project.as_deref(), what).await
            }
        }
    }

    /// Requires that the project is the caller's own.
    ///
    /// # Errors
    /// 403 or 404, see the module.
    pub(crate) async fn allow_project(
        &self,
        caller: &Caller,
        project: &str,
    ) -> Result<(), ApiError> {
        match caller {
            Caller::Operator => Ok(()),
            Caller::Computer(_) | Caller::Partition(..) => Err(not_yours()),
            Caller::User(name) => {
                let message = format!("there is no project {project}");
                let what = || ApiError::new(StatusCode::NOT_FOUND, message);
                self.allow_project_or(name, Some(project), what).await
            }
        }
    }

    async fn allow_project_or(
        &self,
        user: &str,
        project: Option<&str>,
        otherwise: impl FnOnce() -> ApiError,
    ) -> Result<(), ApiError> {
        let own = match project {
            // The operator's.
            None | Some("") => false,
            Some(project) => self.store.projects_of(user).await?.iter().any(|own| own == project),
        };
        if own { Ok(()) } else { Err(otherwise()) }
    }

    /// The project of what a person or the operator makes: the one that is named, which must be the
    /// caller's own, or else the only one that he has.
    ///
    /// # Errors
    /// 404 for a project that is not the caller's, 400 when it has to be named, 403 for nodes and
    /// instances, who make nothing.
    pub(crate) async fn project_for(
        &self,
        caller: &Caller,
        named: Option<&str>,
    ) -> Result<String, ApiError> {
        if let Some(named) = named {
            self.allow_project(caller, named).await?;
            return Ok(named.to_owned());
        }
        match caller {
            Caller::Operator => Ok(String::new()),
            Caller::Computer(_) | Caller::Partition(..) => Err(not_yours()),
            Caller::User(name) => match self.store.projects_of(name).await?.as_slice() {
                [only] => Ok(only.clone()),
                [] => Err(ApiError::new(
                    StatusCode::FORBIDDEN,
                    "you are in no project: ask the operator for one",
                )),
                several => Err(ApiError::bad_request(format!(
                    "you are in several projects: name one of them, as `project` or, with `slapos \
                     request`, by `--node project_guid=NAME`: {}",
                    several.join(", ")
                ))),
            },
        }
    }

    /// Requires that the caller may ask that: an instance for its own tree, a node for instances of
    /// its computer, a person for his projects. Returns the project that a root is in: the one
    /// that `project_guid` names, or else a person's only one.
    ///
    /// # Errors
    /// 403 or 404, see the module.
    pub(crate) async fn allow_request(
        &self,
        caller: &Caller,
        request: &InstanceRequest,
    ) -> Result<String, ApiError> {
        let wish = |project: Option<&str>| audit::wish(project.unwrap_or_default(), request);
        audit::about(wish(named_project(request)));
        match (&request.requester, caller) {
            (None, Caller::Operator) => {
                let named = named_project(request).unwrap_or_default();
                if !named.is_empty() {
                    self.store.require_project(named).await?;
                }
                Ok(named.to_owned())
            }
            // Whose tree it is is found by who asks.
            (Some(_), Caller::Operator) => Ok(String::new()),
            (Some((computer, partition)), caller) => {
                self.allow_partition(caller, computer, partition).await?;
                audit::about(format_args!("{computer}/{partition}: {}", wish(None)));
                // A tree has the project of its root.
                let project = self.store.project_of_instance(computer, partition).await?;
                match project {
                    Some(project) => Ok(project),
                    // Without an instance there is no tree, and nobody to ask for it.
                    None => Err(StoreError::no_partition(computer, partition).into()),
                }
            }
            (None, Caller::User(_)) => {
                let project = self.project_for(caller, named_project(request)).await?;
                audit::about(wish(Some(&project)));
                Ok(project)
            }
            (None, Caller::Computer(_) | Caller::Partition(..)) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "instances ask in the name of their own partition: give computer_id and \
                 computer_partition_id; trees are asked for by people",
            )),
        }
    }
}

/// The project that a request names by `project_guid`.
fn named_project(request: &InstanceRequest) -> Option<&str> {
    request.sla.get("project_guid").map(String::as_str).filter(|name| !name.is_empty())
}

/// The refusal of what is not the caller's, and may not even exist.
pub(crate) fn not_yours() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "this is not for you")
}
