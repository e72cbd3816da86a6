//! Native recipes, one file each, registered by the names that profiles use.
//!
//! Invariants: a recipe knows neither the node nor the Master's address, only what [`Ports`] gives
//! it; it decides from its options and from the contents it declared; while it is initialised it
//! changes nothing; it writes below paths that the engine recorded before. Each file says in its
//! first comment what every option of its recipe means.

mod check_parameter;
mod check_port_listening;
mod check_url_available;
mod cmmi;
mod collective_template;
mod command;
mod common;
mod copyfilelist;
mod cron;
mod download;
mod download_unpacked;
mod egg;
mod files;
mod free_port;
mod generate_mac;
mod generate_password;
mod gitclone;
mod jinja;
mod jsondump;
mod logrotate;
mod machine;
mod mkdirectory;
mod promise;
mod publish;
mod publish_early;
mod python_only;
mod random;
mod readline;
mod registry;
mod shell;
mod simplelogger;
mod slapconfiguration;
mod switch_softwaretype;
mod symbolic_link;
mod template;
#[cfg(test)]
mod testing;
mod urlparse;
mod userinfo;
mod wrapper;

pub use common::literal::{Literal, LiteralError};
pub use files::ProfileFiles;
pub use machine::this_machine;
pub use registry::{Ports, Registry, registry};
