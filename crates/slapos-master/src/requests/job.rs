//! What a child of the Master is to do with the schemas of a Software Release, and what it answers:
//! one JSON document each way.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use slapos_slap::{InstanceRequest, SoftwareUrl};

use super::schema::{self, Documents, Reading, Texts, Verdict, Web};

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) software: SoftwareUrl,
    /// Whose instance it is about.
    pub(super) project: String,
    /// What of the network may be read.
    pub(super) web: Web,
    /// What was read of it.
    #[serde(serialize_with = "told", deserialize_with = "heard")]
    pub(super) texts: Arc<Texts>,
    pub(super) task: Task,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Task {
    /// All that is on the network is read: a [`Reading`].
    Read,
    /// The parameters of a request are judged: a [`Verdict`] as [`Answer`].
    Judge(Box<InstanceRequest>),
    /// The schemas are told: what [`schema::describe`] gives, as [`Answer`].
    Describe,
}

/// What comes of a job that reads nothing of the network.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer<T> {
    pub(super) said: T,
    /// Whether it lacks documents of the network that nobody has tried to read.
    pub(super) missed: bool,
}

impl Job {
    /// Which documents may be read for it.
    ///
    /// # Errors
    /// When none may.
    pub(super) fn documents(&self) -> Result<Documents, String> {
        Documents::of(&self.software, &self.project, self.web.clone(), Arc::clone(&self.texts))
    }

    /// What reads the documents that this one needs.
    pub(super) fn reading(&self) -> Job {
        Job { texts: Arc::default(), task: Task::Read, ..self.clone() }
    }

    /// Does it; the answer.
    pub(super) fn done(&self) -> serde_json::Result<String> {
        let documents = self.documents().map(Arc::new);
        match (&self.task, documents) {
            (Task::Read, Ok(documents)) => serde_json::to_string(&schema::read(&documents)),
            (Task::Read, Err(why)) => serde_json::to_string(&Reading::failed(why)),
            (Task::Judge(request), Ok(documents)) => {
                answer(schema::judge(&documents, request), &documents)
            }
            (Task::Judge(_), Err(why)) => {
                serde_json::to_string(&Answer { said: Verdict::unreadable(why), missed: false })
            }
            (Task::Describe, Ok(documents)) => answer(schema::describe(&documents), &documents),
            (Task::Describe, Err(why)) => {
                serde_json::to_string(&Answer { said: Err::<(), _>(why), missed: false })
            }
        }
    }
}

fn answer<T: Serialize>(said: T, documents: &Documents) -> serde_json::Result<String> {
    serde_json::to_string(&Answer { said, missed: documents.missed() })
}

fn told<S: Serializer>(texts: &Arc<Texts>, to: S) -> Result<S::Ok, S::Error> {
    texts.as_ref().serialize(to)
}

fn heard<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Texts>, D::Error> {
    Texts::deserialize(from).map(Arc::new)
}
