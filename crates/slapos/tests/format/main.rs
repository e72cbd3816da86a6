//! `slapos node format` by the real binary: users, directories, addresses and interfaces of real
//! network namespaces, what partitions plant in its way, and the original beside it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

mod alone;
mod network;
mod original;
mod support;
