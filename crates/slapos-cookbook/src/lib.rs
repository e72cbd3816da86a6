//! Native recipes, one file each, registered by the names that profiles use.
//!
//! Invariants: a recipe knows neither the node nor the Master's address, only what [`Ports`] gives
//! it; it decides from its options and from the contents it declared; while it is initialised it
//! changes nothing on this machine (`request` asks the Master then); it writes below paths that the
//! engine recorded before. Each file says in its first comment what every option of its recipe
//! means.

mod authorized_key;
mod certificate_authority;
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
mod equeue;
mod files;
mod free_port;
mod generate_mac;
mod generate_password;
mod gitclone;
mod jinja;
mod jsondump;
mod kumofs;
mod load;
mod logrotate;
mod machine;
mod mkdirectory;
mod mysql_update;
mod postgres;
mod promise;
mod publish;
mod publish_early;
mod python;
mod random;
mod readline;
mod redis;
mod registry;
mod request;
mod script;
mod shell;
mod simplehttpserver;
mod simplelogger;
mod six_tunnel;
mod slapconfiguration;
mod sshkeys_authority;
mod switch_softwaretype;
mod symbolic_link;
mod template;
#[cfg(test)]
mod testing;
mod tidstorage;
mod urlparse;
mod userinfo;
mod wrapper;
mod zero_knowledge;

pub use common::literal::{Literal, LiteralError};
pub use files::ProfileFiles;
pub use load::{load_profile, own_python};
pub use machine::{machine_python, this_machine};
pub use registry::{Ports, Registry, registry};
