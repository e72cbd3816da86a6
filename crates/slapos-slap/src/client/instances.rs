//! What people ask of instances beyond SLAP, by the JSON API of our own Master.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{SlapClient, Verb};
use crate::error::SlapError;
use crate::types::InstanceRequest;
use crate::words::SoftwareUrl;

/// An instance, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedInstance {
    /// What the API names it by.
    pub guid: String,
    /// Its title.
    pub title: String,
    /// Its tree.
    pub tree: ListedTree,
    /// Whether it is the root of that.
    pub root: bool,
    /// Whether it is a place in another one.
    pub shared: bool,
    /// The computer that it is on.
    pub computer: String,
    /// Its partition there.
    pub partition: String,
    /// What is wanted of it.
    pub state: String,
    /// Since when the instance that asked for it does not ask any more, if so.
    pub orphan_since: Option<String>,
}

/// Which tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTree {
    /// Whose it is.
    pub project: String,
    /// The title of its root.
    pub title: String,
}

/// A request that another Master serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedForwarded {
    /// Its title.
    pub title: String,
    /// Its tree.
    pub tree: ListedTree,
    /// Whether it is the root of that.
    pub root: bool,
    /// Whether it is a place in another one.
    pub shared: bool,
    /// Its Software Release.
    pub software_release: SoftwareUrl,
    /// Its type.
    pub software_type: String,
    /// The Master that serves it.
    pub master_url: String,
    /// What it is called there.
    pub title_there: String,
    /// When that Master was asked last.
    pub asked_at: String,
}

/// What a request would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// `create`, `change`, `nothing`, or `forward`: another Master would be asked, and would decide.
    pub would: String,
    /// Where the instance is, or would be now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<OutlookPlace>,
    /// Why; the refusal, where there is no place.
    pub why: String,
    /// Sentences: what of it would not be followed, and what else it would do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// What the Software Release says of the parameters.
    pub schema: OutlookSchema,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlookPlace {
    /// The computer.
    pub computer: String,
    /// The partition there.
    pub partition: String,
}

/// What a Software Release says of parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlookSchema {
    /// Whether it says anything that can be read.
    pub readable: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What does not fit.
    pub errors: Vec<OutlookError>,
}

/// A parameter that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlookError {
    /// Where: `$` is all of them.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl SlapClient {
    /// All instances that we may see; `tree` only those of the trees of that title.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when it is another kind of Master.
    pub fn list_instances(&self, tree: Option<&str>) -> Result<Vec<ListedInstance>, SlapError> {
        let only: Vec<_> = tree.map(|title| ("tree", title)).into_iter().collect();
        let path = ["instances"];
        let found = self.list(&path, &only)?;
        found.into_iter().map(|one| self.read_api(&path, one)).collect()
    }

    /// The roots of that title that we may see: one of each project at most that is not shared.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when it is another kind of Master.
    pub fn list_roots(&self, title: &str) -> Result<Vec<ListedInstance>, SlapError> {
        let path = ["instances"];
        // Of the members only those come along that are called alike.
        let found = self.list(&path, &[("tree", title), ("search", title)])?;
        let listed = found.into_iter().map(|one| self.read_api(&path, one));
        let mut roots = listed.collect::<Result<Vec<ListedInstance>, _>>()?;
        roots.retain(|one| one.root && one.title == title);
        Ok(roots)
    }

    /// With which words about its place and keeping an instance was asked for last.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when there is none, or it is another kind of Master.
    pub fn instance_sla(&self, guid: &str) -> Result<IndexMap<String, String>, SlapError> {
        let path = ["instances", guid];
        let mut answer = self.look(&path, &[])?;
        self.read_api(&path, answer.get_mut("sla").map(Json::take).unwrap_or_default())
    }

    /// All requests that we may see and that other Masters serve.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when it is another kind of Master.
    pub fn list_forwarded(&self) -> Result<Vec<ListedForwarded>, SlapError> {
        let path = ["forwarded"];
        let found = self.list(&path, &[])?;
        found.into_iter().map(|one| self.read_api(&path, one)).collect()
    }

    /// Has the services of an instance start anew.
    ///
    /// # Errors
    /// [`SlapError::Server`] with status 409 when it is not wanted started.
    pub fn restart_instance(&self, guid: &str) -> Result<(), SlapError> {
        self.json(Verb::Post, &["instances", guid, "restart"], None).map(drop)
    }

    /// Wants those of an instance's tree destroyed that nobody asks for any more; their titles.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when there is no such instance.
    pub fn destroy_orphans(&self, guid: &str) -> Result<Vec<String>, SlapError> {
        #[derive(Deserialize)]
        struct Destroyed {
            destroyed: Vec<String>,
        }
        let path = ["instances", guid, "orphans", "destroy"];
        let answer = self.json(Verb::Post, &path, None)?;
        Ok(self.read_api::<Destroyed>(&path, answer)?.destroyed)
    }

    /// What a request would do, without doing it.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when it is another kind of Master.
    pub fn check_request(&self, request: &InstanceRequest) -> Result<Outlook, SlapError> {
        let mut wish = json!({
            "title": request.title,
            "software_release": request.software,
            "software_type": request.software_type,
            "parameters": request.parameters,
            "sla": request.sla,
            "shared": request.shared,
        });
        if let Some(state) = request.state {
            wish["state"] = json!(state);
        }
        let path = ["requests", "check"];
        self.read_api(&path, self.json(Verb::Post, &path, Some(&wish))?)
    }

    /// What a Software Release says of its parameters, as the Master reads it.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master cannot read it, or is another kind of Master.
    pub fn software_schema(&self, software: &SoftwareUrl) -> Result<Json, SlapError> {
        let mut answer = self.look(&["schema"], &[("software_release", software.as_str())])?;
        Ok(answer.get_mut("software").map(Json::take).unwrap_or_default())
    }
}
