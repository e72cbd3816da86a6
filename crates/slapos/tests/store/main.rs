//! What a Master remembers, whatever happens to it and to its database: real Masters, over an SQLite
//! file and over a real PostgreSQL server, that are killed, doubled, cut off, saved and brought back.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

mod backup;
mod damaged;
mod disk;
mod gone;
mod killed;
mod masters;
mod migrated;
mod secure;
mod several;
mod starts;
