//! The host as the rest of the program sees it: started when first needed, asked to do something,
//! and lost for good when it fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use slapos_engine::{PartContext, PartInit};

use crate::at::{At, AtInit, AtRun, Outside};
use crate::connection::{Connection, NoMessage, Patience};
use crate::error::{HostError, Raised, RaisedKind};
use crate::message::{Call, Framed, Received, Sent, Version};

/// Oldest Python that can be the host.
const OLDEST: Version = (3, 8, 0);
/// How long a recipe may think, without a word, while nothing is installed yet.
const SILENCE: Duration = Duration::from_secs(600);

/// How many of the lines that were printed before an exception it shows.
const LAST_LINES: usize = 20;

/// Number of an object that the host keeps.
pub type Handle = u64;

/// How the host is started.
#[derive(Clone)]
pub struct HostConfig {
    /// The interpreter; `None` for the first `python3` on the machine's path.
    pub python: Option<PathBuf>,
    /// The whole environment it starts with, for a buildout directory.
    pub environment: fn(&Path) -> BTreeMap<String, String>,
}

/// The one process of Python of a run. Nothing is started until it is needed.
pub struct Host {
    config: HostConfig,
    state: Mutex<State>,
    /// Held while a part that runs is worked for: parts run beside each other, the host does not.
    /// Not held at initialisations, which one thread does one inside the other.
    turn: Mutex<()>,
}

enum State {
    Idle,
    Running(Arc<Connection>),
    Lost(String),
}

impl Host {
    /// A host to be started as `config` says.
    pub fn new(config: HostConfig) -> Self {
        Self { config, state: Mutex::new(State::Idle), turn: Mutex::new(()) }
    }

    /// Does `call` for the part that is being initialised.
    ///
    /// # Errors
    /// See [`HostError`]; [`HostError::at_option`] makes it one of the part.
    pub fn initialise(
        &self,
        init: &mut PartInit<'_>,
        outside: &dyn Outside,
        call: &Call,
    ) -> Result<Value, HostError> {
        self.call(call, &mut AtInit::new(init, outside))
    }

    /// Does `call` for the part that is being installed or updated.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn run(
        &self,
        cx: &PartContext<'_>,
        outside: &dyn Outside,
        call: &Call,
    ) -> Result<Value, HostError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if cx.cancelled() {
            // Whoever had the turn may have taken the host along.
            return Err(HostError::Cancelled);
        }
        self.call(call, &mut AtRun::new(cx, outside))
    }

    /// Path of the interpreter.
    ///
    /// # Errors
    /// When there is none.
    pub fn python(&self) -> Result<PathBuf, HostError> {
        if let Some(python) = &self.config.python {
            return Ok(python.clone());
        }
        let path = (self.config.environment)(Path::new("/")).remove("PATH").unwrap_or_default();
        let mut candidates = path.split(':').map(|directory| Path::new(directory).join("python3"));
        candidates
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| HostError::NoPython { why: format!("there is no python3 in {path}") })
    }

    pub(crate) fn call(&self, call: &Call, at: &mut dyn At) -> Result<Value, HostError> {
        let connection = self.connect(&at.directory())?;
        let traces = at.traces()?;
        let has_log = traces.log.is_some();
        let said = || if has_log { Vec::new() } else { connection.said() };
        self.say(&connection, &Sent::Call(Framed { call, traces }), at)?;
        loop {
            let cancellation = Some(at.cancellation());
            let limit = at.is_quick().then_some(SILENCE);
            let patience = Patience { limit, cancellation };
            match connection.receive(patience) {
                Ok(Received::Ask(ask)) => {
                    let answer = at.answer(ask);
                    self.say(&connection, &answer, at)?;
                }
                Ok(Received::Done { value, environ }) => {
                    tell(&said(), at);
                    at.changed_variables(&environ);
                    return Ok(value);
                }
                Ok(Received::Raised { kind, text, traceback, line, place, token, environ }) => {
                    let said = said();
                    tell(&said, at);
                    at.changed_variables(&environ);
                    let origin = token.and_then(|token| at.take_error(token));
                    let kind = match kind.as_str() {
                        "user" => RaisedKind::User,
                        "import" => RaisedKind::Import,
                        _ => RaisedKind::Other,
                    };
                    return Err(HostError::Raised(Box::new(Raised {
                        kind,
                        text,
                        traceback,
                        line,
                        place,
                        printed: last(said),
                        origin,
                    })));
                }
                Ok(Received::Ready { .. }) => {
                    return Err(self.lose(&connection, "starts again".to_owned(), at));
                }
                Err(NoMessage::Ended(how) | NoMessage::Nonsense(how)) => {
                    return Err(self.lose(&connection, how, at));
                }
                Err(NoMessage::Silent(limit)) => {
                    let how = format!("said nothing for {} seconds", limit.as_secs());
                    return Err(self.lose(&connection, how, at));
                }
                Err(NoMessage::Cancelled) => {
                    let _ = self.lose(&connection, "was ended with the run".to_owned(), at);
                    return Err(HostError::Cancelled);
                }
            }
        }
    }

    fn say(
        &self,
        connection: &Connection,
        message: &Sent<'_>,
        at: &dyn At,
    ) -> Result<(), HostError> {
        connection.send(message).map_err(|error| {
            // Its end says more than the broken pipe does.
            let ended =
                connection.receive(Patience { limit: Some(Duration::ZERO), cancellation: None });
            let how = match ended {
                Err(NoMessage::Ended(how)) => how,
                _ => format!("cannot be talked to: {error}"),
            };
            self.lose(connection, how, at)
        })
    }

    /// Ends a host that is of no use any more, and remembers why.
    fn lose(&self, connection: &Connection, how: String, at: &dyn At) -> HostError {
        connection.kill();
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Lost(how.clone());
        HostError::Lost { how, doing: at.doing(), last_words: connection.last_words() }
    }

    /// The running host, started if need be: by one thread, as the first to need it either plans
    /// alone or has the turn.
    fn connect(&self, directory: &Path) -> Result<Arc<Connection>, HostError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Running(connection) => return Ok(Arc::clone(connection)),
            State::Lost(how) => {
                let how = format!("is not there any more (it {how})");
                let doing = "wanted again".to_owned();
                return Err(HostError::Lost { how, doing, last_words: Vec::new() });
            }
            State::Idle => {}
        }
        let python = self.python()?;
        // A plan is made where nothing may exist yet.
        let existing = directory.ancestors().find(|path| path.is_dir());
        let environment = (self.config.environment)(directory);
        let started = Connection::start(&python, existing.unwrap_or(Path::new("/")), &environment);
        let (connection, version) =
            started.map_err(|source| HostError::Io { what: "start", source })?;
        if version < OLDEST {
            let (major, minor, _) = version;
            let why = format!("{} is Python {major}.{minor}, which is too old", python.display());
            return Err(HostError::NoPython { why });
        }
        let connection = Arc::new(connection);
        *state = State::Running(Arc::clone(&connection));
        Ok(connection)
    }
}

fn tell(said: &[(String, String)], at: &mut dyn At) {
    for (part, line) in said {
        at.said(part, line);
    }
}

/// The last lines of what was printed.
fn last(said: Vec<(String, String)>) -> Vec<String> {
    let skipped = said.len().saturating_sub(LAST_LINES);
    said.into_iter().skip(skipped).map(|(_, line)| line).collect()
}
