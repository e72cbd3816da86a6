//! The `buildout` command, for those who run it by hand: what its words mean, which profile and
//! directory they name, and one run there.
//!
//! Absent on purpose: no node, no Master, no other user; nothing here prints. Recipes run in this
//! process, as whoever called it.

mod arguments;
mod error;
mod files;
mod lines;
mod session;
mod setup;
mod surroundings;

pub use arguments::{Command, HELP, Invocation, parse};
pub use error::Error;
pub use lines::{Level, line, threshold};
pub use session::{Done, Session};
pub use setup::{bootstrap, init};
pub use surroundings::Surroundings;
