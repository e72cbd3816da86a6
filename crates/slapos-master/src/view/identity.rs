//! What the API answers about who may do what. None of it can be shown for debugging: tokens and keys are
//! told once, to who made them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::Named;

/// A person.
#[derive(Serialize, ToSchema)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) created_at: String,
    /// The projects that he is a member of.
    pub(crate) projects: Vec<String>,
}

/// A project.
#[derive(Serialize, ToSchema)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) created_at: String,
    pub(crate) members: Vec<String>,
}

impl From<Named> for Person {
    fn from(Named { name, created_at, with }: Named) -> Person {
        Person { name, created_at, projects: with }
    }
}

impl From<Named> for Project {
    fn from(Named { name, created_at, with }: Named) -> Project {
        Project { name, created_at, members: with }
    }
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken {
    /// Its name, by which it is revoked.
    pub(crate) id: String,
    pub(crate) label: String,
    /// The token itself, which is told this once.
    pub(crate) token: String,
    /// At the latest when the token ends that made it; until it is revoked, if `null`.
    pub(crate) expires_at: Option<String>,
}

/// A computer that was made known.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeComputer {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) project: Option<String>,
    /// The token of its node, which is told this once.
    pub(crate) token: String,
}

/// A certificate that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeCertificate {
    /// PEM.
    pub(crate) certificate: String,
    /// PEM.
    pub(crate) key: String,
}

/// What was taken back.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// How many were valid.
    pub(crate) revoked: u64,
}
