//! Native recipes, one file each, registered by the names that profiles use.
//!
//! Invariants: a recipe knows neither the node nor the Master's address, only what [`Ports`] gives
//! it; it decides from its options and from the contents it declared; while it is initialised it
//! changes nothing; it writes below paths that the engine recorded before. Each file says in its
//! first comment what every option of its recipe means.

mod check_port_listening;
mod check_url_available;
mod cmmi;
mod command;
mod common;
mod download;
mod download_unpacked;
mod files;
mod free_port;
mod jinja;
mod mkdirectory;
mod promise;
mod publish;
mod python_only;
mod registry;
mod slapconfiguration;
mod switch_softwaretype;
mod template;
#[cfg(test)]
mod testing;
mod wrapper;

pub use common::literal::{Literal, LiteralError};
pub use files::ProfileFiles;
pub use registry::{Ports, Registry, registry};
