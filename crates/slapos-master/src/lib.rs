//! The SlapOS Master: which Software Releases and instances are wanted on which computers.
//!
//! [`Master::bind`] opens the database and the port, [`Master::serve`] answers until told to
//! stop. Invariants: nothing but the [`Store`] remembers anything that others would miss, so that any
//! number of processes may serve one database; every change is one transaction, and an answered request
//! survives `kill -9`; every route says who may call it, and is checked (`docs/access.md`).

mod allocation;
mod authority;
mod connections;
mod error;
mod guests;
mod http;
mod outward;
mod protocols;
mod refused;
mod rekey;
mod requests;
mod seldom;
mod server;
mod settings;
mod shacache;
mod store;
#[cfg(test)]
mod testing;
mod tls;
mod view;

pub use authority::AuthorityError;
pub use error::{MasterError, StoreError};
pub use protocols::{Protocols, ShacacheConfig};
pub use rekey::rekey;
pub use requests::{OtherMaster, RequestsConfig, SchemaError, SchemaMode, Verdict, Web, judge};
pub use server::{Keep, Master, MasterConfig, serve};
pub use settings::{Access, Rate, TlsAccess};
pub use store::{
    Database, Freed, Migrated, Restoration, Server, Store, Would, backup, migrate,
    rehearse_migration, rehearse_restore, restore,
};
