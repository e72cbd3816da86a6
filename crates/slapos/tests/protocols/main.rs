//! What programs that know the original's embedded Master find at ours: the same calls are made to
//! both, and the answers compared. The original comes from PyPI; skipped with a visible line where
//! that cannot be reached.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

mod clients;
mod commands;
mod json_rpc;
mod master;
mod registration;
mod shacache;
mod slapgrid;
mod uploads;
