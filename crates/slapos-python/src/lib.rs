//! The Python host: runs what profiles bring in Python as if it ran in Buildout's own process.
//!
//! One process of Python, started when the first part needs it and ended with the run, holds the
//! recipes' objects. `buildout` and `options` are proxies there: what is read or changed through
//! them is asked of the engine over a socket, one JSON object a line, while the engine waits for
//! the recipe. An answer may make the engine initialise another section, whose recipe may be in
//! Python, too: so while either side waits for an answer it serves the other's questions.
//!
//! Invariants:
//! - the host process knows only the standard library and the modules of this crate; whatever else
//!   a recipe imports is put on its path by whoever asks for that recipe;
//! - nothing of Python runs in this process, and a host that dies, hangs or talks nonsense is an
//!   error of the part it was working for;
//! - a traceback that people see shows their code, not the host's;
//! - no recipe lives here: this crate only knows how to call things.

mod at;
mod connection;
mod error;
mod host;
mod message;
mod modules;
#[cfg(test)]
mod tests;

pub use at::{Outside, Wanted};
pub use error::{HostError, Raised, RaisedKind};
pub use host::{Handle, Host, HostConfig};
pub use message::{Call, Rendering, Variables, Version};
