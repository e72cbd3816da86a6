//! The Buildout language, as SlapOS uses it: scan, extends, merge, macros, conditions, substitution.
//!
//! Invariants of this room:
//! - no I/O: bytes reach it only through [`Files`], facts about the machine only through
//!   [`Environment`], recipes only through [`Host`];
//! - every value knows the file, line and column each of its lines was written at;
//! - an error owns everything it shows, so it can outlive the profile ([`ProfileError`]);
//! - a profile, however odd, gives a value or an error: never a panic, never unbounded recursion.
//!
//! The stages, in order: [`Profile::load`] reads and merges files; [`Profile::expand`] applies the
//! macros (`<=`) of one section; [`Resolver`] substitutes `${section:option}` on demand and asks
//! the [`Host`] to build the recipe of each section it reaches. [`inspect`] looks at a profile where
//! nothing is to be built: for people, editors and other programs.

mod condition;
mod environment;
mod error;
mod expand;
mod grow;
pub mod inspect;
mod load;
mod location;
mod merge;
mod model;
mod plain;
mod reference;
mod resolve;
mod scan;
mod source;
mod suggest;
#[cfg(test)]
mod testing;

pub use environment::{Disk, Environment, FileKind};
pub use error::{ErrorKind, ProfileError};
pub use location::{Location, LocationError};
pub use model::{
    Assignment, Files, Map, Operator, OptionValue, Pending, Profile, ReadError, Section, Step,
};
pub use plain::plain_sections;
pub use reference::{escape, unescape};
pub use resolve::{Host, Resolved, ResolvedOption, Resolver};
pub use source::{FileId, SourceFile, Span, WrittenAt};
pub use suggest::closest;
