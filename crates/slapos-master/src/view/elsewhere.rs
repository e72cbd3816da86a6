//! What the API shows of instances that are not here: another Master serves them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Texts, TreeName};

/// An instance that this Master granted and does not serve itself, as it was answered.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Elsewhere {
    pub(crate) title: String,
    pub(crate) project: String,
    pub(crate) shared: bool,
    /// The Master that serves it, and that has to be asked about it; `null` where nobody does, and who
    /// asks is told his own address (`direct_frontends`).
    pub(crate) master_url: Option<String>,
    pub(crate) software_release: String,
    pub(crate) software_type: String,
    /// What is wanted: `started`, `stopped` or `destroyed`.
    pub(crate) state: String,
    /// What it published last.
    #[schema(value_type = HashMap<String, String>)]
    pub(crate) connection: Texts,
}

/// A request that another Master serves.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Forwarded {
    pub(crate) title: String,
    pub(crate) project: String,
    pub(crate) tree: TreeName,
    /// Whether it is the root of its tree.
    pub(crate) root: bool,
    pub(crate) shared: bool,
    /// The Master that serves it, and that has to be asked about it.
    pub(crate) master_url: String,
    /// What it is called there.
    pub(crate) title_there: String,
    pub(crate) software_release: String,
    pub(crate) software_type: String,
    /// When that Master was asked last.
    pub(crate) asked_at: String,
}
