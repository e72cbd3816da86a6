//! A request from the caller to the answer: parameters are judged, another Master is asked where
//! the configuration says so, and what is left is the store's.
//!
//! Schemas of the network are waited for by who only wants to know ([`LOOK`]), and hardly by who
//! requests ([`WAIT`]): what is not read by then judges nothing.
//!
//! Invariant: no transaction is open while a schema is read or another Master is asked.

mod bench;
mod farewell;
mod forward;
mod frontend;
mod job;
mod judgement;
mod library;
mod schema;

use std::time::Duration;

use prometheus_client::registry::Registry;
use slapos_slap::{
    DEFAULT_SOFTWARE_TYPE, InstanceAnswer, InstanceRequest, InstanceState, SlapError,
};

use crate::error::StoreError;
use crate::store::{Known, Standing, Store, Would};
use bench::Unanswered;
pub use bench::judge;
pub(crate) use farewell::Said;
pub use forward::OtherMaster;
use judgement::{Judgement, LOOK};
use library::WAIT;
pub use schema::{SchemaError, Verdict, Web};

/// Why a schema counts as one that cannot be read.
const TOO_MUCH: &str = "to read it and to judge by it takes too long, or too much memory";

/// What becomes of parameters that do not fit their schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SchemaMode {
    /// The request is refused.
    #[default]
    Enforce,
    /// The log tells it.
    Warn,
    /// Nobody looks.
    Off,
}

/// What a Master needs to know about requests.
#[derive(Debug, Clone)]
pub struct RequestsConfig {
    /// See [`SchemaMode`].
    pub schema: SchemaMode,
    /// Where schemas may be read from.
    pub schema_http: Web,
    /// Whether who asks for a frontend that nobody has is told his own address.
    pub direct_frontends: bool,
    /// Masters that requests may be forwarded to.
    pub other_masters: Vec<OtherMaster>,
    /// With which words this program, started again, does what [`judge`] does.
    pub judge: &'static [&'static str],
}

impl Default for RequestsConfig {
    fn default() -> RequestsConfig {
        RequestsConfig {
            schema: SchemaMode::default(),
            schema_http: Web::default(),
            direct_frontends: false,
            other_masters: Vec::new(),
            judge: &["judge"],
        }
    }
}

/// Why a request is not granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The parameters do not fit.
    #[error(
        "the parameters are not what {software} says of its type {kind}: {}. (`schema = warn` in \
         [slapproxy] lets them pass)",
        listed(errors)
    )]
    Parameters { software: String, kind: String, errors: Vec<SchemaError> },
    /// Another Master is to be asked, and cannot be. The original answers 404.
    #[error("{0}")]
    Configuration(String),
    /// Another Master has not allocated it yet.
    #[error("the Master {0} has not allocated the instance yet: ask again")]
    NotReady(String),
    /// It could not be judged for now.
    #[error("the parameters are not judged yet, because too much is judged at present: ask again")]
    Busy,
    /// There is no time any more to judge it.
    #[error("this Master ends: ask again")]
    Ending,
    /// Another Master was asked.
    #[error("{0}")]
    Other(#[from] SlapError),
}

fn listed(errors: &[SchemaError]) -> String {
    let words = errors.iter().map(|error| format!("{}: {}", error.path, error.message));
    words.collect::<Vec<_>>().join("; ")
}

/// Who would answer a request, and what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Prospect {
    /// The store, which would do that.
    Here(Would, Box<InstanceAnswer>),
    /// Another Master, of that URL.
    Other(String),
}

/// What a request would do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checked {
    /// What would be done, or why it is refused.
    pub(crate) outcome: Result<Prospect, String>,
    /// What there is to say of it beside.
    pub(crate) remarks: Vec<String>,
    /// What its schema says.
    pub(crate) verdict: Verdict,
}

/// Who grants requests.
#[derive(Debug)]
pub(crate) struct Desk {
    config: RequestsConfig,
    run_id: String,
    judgement: Judgement,
}

impl Desk {
    /// `run_id` is what this Master answers to `getRunId`.
    pub(crate) fn new(config: RequestsConfig, run_id: String) -> Desk {
        let judgement = Judgement::new(config.schema_http.clone(), config.judge);
        Desk { config, run_id, judgement }
    }

    /// Has told what is kept of schemas and done with them.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.judgement.counts.register(registry);
    }

    /// Judges nothing any more: whoever waits for that is told to ask again.
    pub(crate) fn dismiss(&self) {
        self.judgement.dismiss();
    }

    /// Grants a request, and tells what was done for it (of what another Master did nothing is
    /// known). A root is in `project`; `origin` is where the caller sees this Master.
    pub(crate) async fn request(
        &self,
        store: &Store,
        project: &str,
        request: &InstanceRequest,
        origin: &str,
    ) -> Result<(InstanceAnswer, Option<Would>), Refused> {
        let request = &with_type(request);
        match store.known(project, request).await? {
            Known::Repeated(answer) => Ok((*answer, Some(Would::Nothing))),
            Known::Other { standing, by_instance } => {
                let known = (&standing, by_instance);
                self.grant(store, project, request, known, None, origin).await
            }
        }
    }

    /// The same, and gives the instance another title: both, or neither.
    pub(crate) async fn request_renamed(
        &self,
        store: &Store,
        project: &str,
        request: &InstanceRequest,
        title: &str,
        origin: &str,
    ) -> Result<(InstanceAnswer, Option<Would>), Refused> {
        let request = &with_type(request);
        let (standing, by_instance) = store.standing(project, request).await?;
        self.grant(store, project, request, (&standing, by_instance), Some(title), origin).await
    }

    async fn grant(
        &self,
        store: &Store,
        project: &str,
        request: &InstanceRequest,
        (standing, by_instance): (&Standing, bool),
        title: Option<&str>,
        origin: &str,
    ) -> Result<(InstanceAnswer, Option<Would>), Refused> {
        if !by_instance && !matches!(standing, Standing::Here { same: true }) {
            self.judge(project, request).await?;
        }
        match (self.target(request, standing, origin).await?, title) {
            (None, None) => match store.granted(project, request, *standing == Standing::New).await
            {
                Ok((answer, would)) => Ok((answer, Some(would))),
                Err(StoreError::NotFound(why)) => match self.without_frontend(request) {
                    Some(answer) => Ok((answer, None)),
                    None => Err(StoreError::NotFound(why).into()),
                },
                Err(error) => Err(error.into()),
            },
            (None, Some(title)) => {
                Ok((store.request_renamed(project, request, title).await?, Some(Would::Change)))
            }
            (Some(other), None) => {
                let answer = self.forward(store, project, request, standing, other).await?;
                Ok((answer, None))
            }
            (Some(other), Some(_)) => Err(Refused::Store(StoreError::Conflict(format!(
                "{} would be asked of the Master {}, which does not rename: change it first",
                request.title,
                other.name()
            )))),
        }
    }

    /// What [`Desk::request`] would do, without doing it.
    pub(crate) async fn check(
        &self,
        store: &Store,
        project: &str,
        request: &InstanceRequest,
        origin: &str,
    ) -> Result<Checked, Refused> {
        let request = &with_type(request);
        let verdict = self.verdict(project, request, LOOK).await?;
        let (standing, _) = store.standing(project, request).await?;
        let judged = self.config.schema == SchemaMode::Enforce
            && request.state != Some(InstanceState::Destroyed)
            && !matches!(standing, Standing::Here { same: true });
        let outcome = match self.target(request, &standing, origin).await {
            Ok(Some(other)) => Ok(Prospect::Other(other.name())),
            Ok(None) => match store.check(project, request).await {
                Ok((would, answer)) => Ok(Prospect::Here(would, Box::new(answer))),
                Err(StoreError::NotFound(why) | StoreError::Conflict(why)) => Err(why),
                Err(error) => return Err(error.into()),
            },
            Err(Refused::Configuration(why)) => Err(why),
            Err(error) => return Err(error),
        };
        if judged && !verdict.errors.is_empty() {
            let why = "its parameters are not what the Software Release says of them".to_owned();
            return Ok(Checked { outcome: Err(why), remarks: Vec::new(), verdict });
        }
        let remarks = match &outcome {
            Ok(Prospect::Here(_, answer)) => {
                store.remarks(project, request, &answer.computer).await?
            }
            _ => Vec::new(),
        };
        Ok(Checked { outcome, remarks, verdict })
    }

    /// What a Software Release says of its parameters, for forms.
    ///
    /// Says why nothing can be read.
    ///
    /// # Errors
    /// When it is to be asked again.
    pub(crate) async fn schema(
        &self,
        project: &str,
        software: &slapos_slap::SoftwareUrl,
    ) -> Result<Result<serde_json::Value, String>, Refused> {
        let described = self.judgement.description(project, software).await;
        answered(described, || Err(TOO_MUCH.to_owned()))
    }

    /// Refuses parameters that do not fit. Only people's requests are judged: what a profile asks
    /// for is its own matter, as with the original.
    async fn judge(&self, project: &str, request: &InstanceRequest) -> Result<(), Refused> {
        if self.config.schema == SchemaMode::Off || request.state == Some(InstanceState::Destroyed)
        {
            return Ok(());
        }
        let verdict = match self.verdict(project, request, WAIT).await {
            Err(busy @ Refused::Busy) if self.config.schema == SchemaMode::Warn => {
                tracing::warn!("{}: {busy}; `schema = warn` lets it pass", request.title);
                return Ok(());
            }
            verdict => verdict?,
        };
        if verdict.errors.is_empty() {
            return Ok(());
        }
        let refused = Refused::Parameters {
            software: request.software.to_string(),
            kind: request.software_type.clone(),
            errors: verdict.errors,
        };
        match self.config.schema {
            SchemaMode::Enforce => Err(refused),
            _ => {
                tracing::warn!("{}: {refused}", request.title);
                Ok(())
            }
        }
    }

    async fn verdict(
        &self,
        project: &str,
        request: &InstanceRequest,
        patience: Duration,
    ) -> Result<Verdict, Refused> {
        let verdict = self.judgement.verdict(project, request, patience).await;
        answered(verdict, || Verdict::unreadable(TOO_MUCH))
    }
}

/// What takes too much counts as what cannot be read; the rest is to be asked again.
fn answered<T>(
    answer: Result<T, Unanswered>,
    unreadable: impl FnOnce() -> T,
) -> Result<T, Refused> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(Unanswered::TooMuch) => Ok(unreadable()),
        Err(Unanswered::Busy) => Err(Refused::Busy),
        Err(Unanswered::Ending) => Err(Refused::Ending),
    }
}

fn with_type(request: &InstanceRequest) -> InstanceRequest {
    let mut request = request.clone();
    if request.software_type.is_empty() {
        DEFAULT_SOFTWARE_TYPE.clone_into(&mut request.software_type);
    }
    request
}
