//! What can go wrong with a host, said so that a person can act on it.

use std::io;

use slapos_engine::{PartError, PartInit, ProfileError};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no Python, or none that can be used.
    #[error("{why}")]
    NoPython {
        /// What was looked for and found.
        why: String,
    },
    /// The operating system refused something.
    #[error("cannot {what} the Python host: {source}")]
    Io {
        /// A verb.
        what: &'static str,
        /// The refusal.
        source: io::Error,
    },
    /// The process ended, or said something that makes no sense, while it was working.
    #[error("the Python host {how} while it was {doing}")]
    Lost {
        /// How it was lost.
        how: String,
        /// What it was doing.
        doing: String,
        /// The last lines it printed.
        last_words: Vec<String>,
    },
    /// The run was asked to stop.
    #[error("stopped because the run was asked to stop")]
    Cancelled,
    /// The Python code raised an exception.
    #[error("{}", .0.text)]
    Raised(Box<Raised>),
}

/// What kind of exception it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RaisedKind {
    /// `zc.buildout.UserError`: the recipe explains itself.
    User,
    /// A module that is not there.
    Import,
    /// Anything else: a mistake in the code.
    Other,
}

/// An exception.
#[derive(Debug)]
pub struct Raised {
    /// What kind it was.
    pub kind: RaisedKind,
    /// One line, or as many as the recipe wrote.
    pub text: String,
    /// Where, in the code of the recipe.
    pub traceback: Vec<String>,
    /// The line of that code.
    pub line: Option<String>,
    /// `file:line` in the profile, where a script of it was running.
    pub place: Option<String>,
    /// What was printed before, the last lines.
    pub printed: Vec<String>,
    /// The engine's own error, if that is what passed through.
    pub origin: Option<ProfileError>,
}

impl HostError {
    /// What to do about it, if known.
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoPython { .. } => {
                Some("install Python 3.8 or newer (on Debian: `apt install python3`)")
            }
            _ => None,
        }
    }

    fn detail(&self) -> &[String] {
        match self {
            Self::Lost { last_words, .. } => last_words,
            Self::Raised(raised) => &raised.traceback,
            _ => &[],
        }
    }

    /// The error of the part that is being initialised, shown at `option`.
    pub fn at_option(self, init: &PartInit<'_>, option: &str) -> ProfileError {
        if let Self::Raised(raised) = self {
            return match raised.origin {
                Some(origin) => origin,
                None => {
                    let message = in_part(init.name(), &raised.text);
                    let line = raised.line.as_deref().unwrap_or_default();
                    let known =
                        !line.is_empty() && init.get(option).is_some_and(|o| o.contains(line));
                    let error = match known {
                        true => init.error_at_word(option, line, &message, None),
                        false => init.error(option, &message, None),
                    };
                    let error = with_notes(error, &raised.traceback);
                    match raised.printed.is_empty() {
                        true => error,
                        false => error.with_note(printed(&raised.printed)),
                    }
                }
            };
        }
        let error = init.error(option, &in_part(init.name(), &self.to_string()), self.help());
        with_notes(error, self.detail())
    }
}

fn in_part(part: &str, text: &str) -> String {
    format!("part `{part}`: {text}")
}

fn printed(lines: &[String]) -> String {
    format!("before, it printed:\n{}", lines.join("\n"))
}

fn with_notes(error: ProfileError, lines: &[String]) -> ProfileError {
    match lines.is_empty() {
        true => error,
        false => error.with_note(lines.join("\n")),
    }
}

impl From<HostError> for PartError {
    fn from(error: HostError) -> Self {
        if matches!(error, HostError::Cancelled) {
            return Self::cancelled();
        }
        // What explains itself has no traceback, and yet a place.
        let place = match &error {
            HostError::Raised(raised) if raised.traceback.is_empty() => raised.place.as_ref(),
            _ => None,
        };
        let detail = place.map(|place| format!("raised at {place}"));
        let detail = error.detail().iter().cloned().chain(detail);
        let part = Self::new(error.to_string()).with_detail(detail);
        match error.help() {
            Some(help) => part.with_help(help),
            None => part,
        }
    }
}
