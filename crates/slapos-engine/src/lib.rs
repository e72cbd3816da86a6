//! Parts: from a profile to an immutable plan with reasons, and from the plan to installed parts.
//!
//! The order of work is observe (profile, ledger) → [`Plan`] → execute → record. What is written
//! here never happens by time or by listing a directory: the identity of a part is the hash of
//! its recipe, its resolved options, the contents it declared and the identities of the sections
//! it refers to, and the ledger is the only truth about what is installed.
//!
//! Absent on purpose: no recipe lives here, nothing here talks to a Master or to the network, and
//! nothing is read from the environment.

mod apart;
mod aside;
mod build;
mod cancel;
mod command;
mod context;
mod dynamic;
mod error;
mod event;
mod execute;
mod finish;
mod hints;
mod hold;
mod holdings;
mod identity;
mod initialise;
mod installed_cfg;
mod jobs;
mod ledger;
mod live;
mod nested;
mod part_run;
mod plan;
mod recipe;
mod secret;
mod shared;
mod store;
mod stragglers;
mod strip;
#[cfg(test)]
mod tests;

pub use build::{Buildout, Outcome, Settings};
pub use cancel::Cancellation;
pub use command::CommandSpec;
pub use context::PartContext;
pub use error::{BuildError, PartError, PartFailure};
pub use event::{Action, Event, NoObserver, Observer};
pub use holdings::{Holdings, remove_unnamed};
pub use installed_cfg::Installed;
pub use ledger::{Entry, EntryState, Ledger, LedgerError};
pub use nested::Within;
pub use plan::{Plan, Reason, Step};
pub use recipe::{Part, PartInit, Recipe, Recipes, Turn};
pub use slapos_profile::closest;
pub use slapos_profile::{Profile, ProfileError};
pub use store::{SharedStore, StoredPart, StoredState};
