//! Where a call happens: at the initialisation of a part, or when it is installed; and how what
//! its recipe asks is answered there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use slapos_engine::{Cancellation, PartContext, PartInit, ProfileError};

use crate::error::HostError;
use crate::message::{Ask, Refusal, Sent, Traces};

/// A file that a recipe wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The part it is for.
    pub part: String,
    /// Where it is: a URL or a path.
    pub url: String,
    /// MD5 of its bytes, 32 hexadecimal digits, or a digest with its name (`sha256:...`).
    pub md5sum: Option<String>,
    /// Where else it may be.
    pub alternate: Option<String>,
    /// Nothing may be downloaded.
    pub offline: bool,
}

/// What the host has others do for recipes.
pub trait Outside: Sync {
    /// Brings a file; returns where it is, to be read only.
    ///
    /// # Errors
    /// Why it cannot be had, for people.
    fn download(&self, wanted: &Wanted) -> Result<PathBuf, String>;

    /// Unpacks an archive into a directory, without its top directory if `strip` says so, or if
    /// `strip` says nothing and it is the only one.
    ///
    /// # Errors
    /// Why it cannot be unpacked.
    fn unpack(&self, archive: &Path, into: &Path, strip: Option<bool>) -> Result<(), String>;

    /// Answers a question about Python distributions.
    ///
    /// # Errors
    /// Why there is no answer.
    fn distributions(&self, request: &Value) -> Result<Value, String>;
}

/// The side of the engine, during a call.
pub(crate) trait At {
    fn directory(&self) -> PathBuf;
    /// For messages: what is being done.
    fn doing(&self) -> String;
    /// Whether this should not take long.
    fn is_quick(&self) -> bool;
    fn cancellation(&self) -> &Cancellation;
    fn traces(&self) -> Result<Traces, HostError>;
    fn answer(&mut self, ask: Ask) -> Sent<'static>;
    fn changed_variables(&mut self, changes: &BTreeMap<String, Option<String>>);
    fn take_error(&mut self, token: usize) -> Option<ProfileError>;
    /// A line was printed for `part` where there is no log.
    fn said(&mut self, part: &str, line: &str);
}

fn refused(kind: &'static str, text: impl Into<String>) -> Sent<'static> {
    Sent::Refused(Refusal { kind, text: text.into(), token: None })
}

fn done() -> Sent<'static> {
    Sent::Reply(Value::Null)
}

/// Answers that do not depend on where the call happens.
fn from_outside(outside: &dyn Outside, ask: Ask, part: &str, no_network: bool) -> Sent<'static> {
    let text = |path: PathBuf| json!(path.to_string_lossy());
    let result = match ask {
        Ask::Download { url, md5sum, alternate, offline } => {
            let offline = offline || no_network;
            let part = part.to_owned();
            outside.download(&Wanted { part, url, md5sum, alternate, offline }).map(text)
        }
        Ask::Unpack { archive, directory, strip } => {
            let (archive, directory) = (PathBuf::from(archive), PathBuf::from(directory));
            outside.unpack(&archive, &directory, strip).map(|()| Value::Null)
        }
        Ask::Distributions { request } => outside.distributions(&request),
        _ => Err("this cannot be asked now".to_owned()),
    };
    match result {
        Ok(value) => Sent::Reply(value),
        Err(text) => refused("other", text),
    }
}

/// A part is being initialised.
pub(crate) struct AtInit<'i, 'p> {
    init: &'i mut PartInit<'p>,
    outside: &'i dyn Outside,
    /// Errors of the engine that the recipe has been told of; it may let them pass.
    errors: Vec<Option<ProfileError>>,
}

impl<'i, 'p> AtInit<'i, 'p> {
    pub(crate) fn new(init: &'i mut PartInit<'p>, outside: &'i dyn Outside) -> Self {
        Self { init, outside, errors: Vec::new() }
    }

    /// Keeps the whole error, and tells the recipe what it says.
    fn refuse(&mut self, error: ProfileError) -> Sent<'static> {
        let token = Some(self.errors.len());
        let text = error.to_string();
        self.errors.push(Some(error));
        Sent::Refused(Refusal { kind: "other", text, token })
    }

    fn section(&mut self, section: &str) -> Sent<'static> {
        if section == self.init.name() {
            return Sent::Reply(json!(self.init.options()));
        }
        if !self.init.has_section(section) {
            return refused("section", format!("there is no section [{section}]"));
        }
        match self.init.section(section) {
            Ok(options) => Sent::Reply(json!(options)),
            Err(error) => {
                let note = format!("[{section}] is needed by [{}]", self.init.name());
                self.refuse(error.with_note(note))
            }
        }
    }

    fn set(&mut self, section: &str, option: &str, value: Option<&str>) -> Sent<'static> {
        match value {
            Some(value) => self.init.set_in(section, option, value),
            None => self.init.remove_in(section, option),
        }
        done()
    }
}

impl At for AtInit<'_, '_> {
    fn directory(&self) -> PathBuf {
        self.init.buildout_directory().to_owned()
    }

    fn doing(&self) -> String {
        format!("initialising part `{}`", self.init.name())
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn cancellation(&self) -> &Cancellation {
        self.init.cancellation()
    }

    fn traces(&self) -> Result<Traces, HostError> {
        Ok(Traces { log: None, tag: self.init.tag(), directory: self.directory() })
    }

    fn answer(&mut self, ask: Ask) -> Sent<'static> {
        match ask {
            Ask::Names => Sent::Reply(json!(self.init.section_names())),
            Ask::Section { section } => self.section(&section),
            Ask::Set { section, option, value } => self.set(&section, &option, value.as_deref()),
            Ask::Substitute { text } => match self.init.substitute(&text) {
                Ok(text) => Sent::Reply(json!(text)),
                Err(error) => self.refuse(error),
            },
            Ask::References => Sent::Reply(json!(self.init.references())),
            Ask::SetReferences { sections } => {
                self.init.set_references(sections);
                done()
            }
            Ask::Barrier => {
                self.init.barrier();
                done()
            }
            Ask::Parse { text } => match self.init.parse(&text) {
                Ok(names) => Sent::Reply(json!(names)),
                Err(error) => self.refuse(error),
            },
            Ask::Created { .. } => refused(
                "other",
                "paths can only be recorded while a part is installed: nothing may be made before",
            ),
            other => {
                let offline = self.init.offline();
                from_outside(self.outside, other, self.init.name(), offline)
            }
        }
    }

    fn changed_variables(&mut self, changes: &BTreeMap<String, Option<String>>) {
        for (name, value) in changes {
            self.init.set_variable(name, value.as_deref());
        }
    }

    fn take_error(&mut self, token: usize) -> Option<ProfileError> {
        self.errors.get_mut(token)?.take()
    }

    fn said(&mut self, part: &str, line: &str) {
        self.init.say(part, line);
    }
}

/// A part is being installed or updated.
pub(crate) struct AtRun<'r> {
    cx: &'r PartContext<'r>,
    outside: &'r dyn Outside,
}

impl<'r> AtRun<'r> {
    pub(crate) fn new(cx: &'r PartContext<'r>, outside: &'r dyn Outside) -> Self {
        Self { cx, outside }
    }

    fn section(&self, section: &str) -> Sent<'static> {
        match self.cx.section(section) {
            Some(options) => Sent::Reply(json!(options)),
            None => refused(
                "section",
                format!(
                    "section [{section}] was not initialised before parts are installed: refer \
                     to it from the part, or read it while the part is initialised"
                ),
            ),
        }
    }
}

impl At for AtRun<'_> {
    fn directory(&self) -> PathBuf {
        self.cx.directory().to_owned()
    }

    fn doing(&self) -> String {
        format!("working on part `{}`", self.cx.part())
    }

    fn is_quick(&self) -> bool {
        false
    }

    fn cancellation(&self) -> &Cancellation {
        self.cx.cancellation()
    }

    fn traces(&self) -> Result<Traces, HostError> {
        // What the last run left of the log is gone before the host writes there.
        self.cx.open_log_file().map_err(|error| HostError::Io {
            what: "keep the log of",
            source: std::io::Error::other(error.to_string()),
        })?;
        let log = self.cx.log_path().to_string_lossy().into_owned();
        Ok(Traces { log: Some(log), tag: self.cx.tag(), directory: self.directory() })
    }

    fn answer(&mut self, ask: Ask) -> Sent<'static> {
        match ask {
            Ask::Section { section } => self.section(&section),
            Ask::Set { section, option, value } => {
                match self.cx.set_option(&section, &option, value.as_deref()) {
                    true => done(),
                    false => self.section(&section),
                }
            }
            Ask::Created { paths } => {
                let recorded =
                    paths.iter().try_for_each(|path| self.cx.record_path(Path::new(path)));
                match recorded {
                    Ok(()) => done(),
                    Err(error) => refused("other", error.to_string()),
                }
            }
            Ask::References => Sent::Reply(json!(Vec::<String>::new())),
            Ask::SetReferences { .. }
            | Ask::Barrier
            | Ask::Substitute { .. }
            | Ask::Parse { .. }
            | Ask::Names => refused("other", "this can only be done while a part is initialised"),
            other => {
                let offline = self.cx.offline();
                from_outside(self.outside, other, self.cx.part(), offline)
            }
        }
    }

    fn changed_variables(&mut self, changes: &BTreeMap<String, Option<String>>) {
        for (name, value) in changes {
            self.cx.set_variable(name, value.as_deref());
        }
    }

    fn take_error(&mut self, _token: usize) -> Option<ProfileError> {
        None
    }

    // What is printed while a part runs is in its log.
    fn said(&mut self, _part: &str, _line: &str) {}
}
