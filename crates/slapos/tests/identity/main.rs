//! Who may do what, with the real program on all sides: the operator's commands, a Master by https, a
//! node that registers by token and goes on by certificate, people, and those who are refused.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

mod alone;
mod clock;
mod fleet;
mod forge;
mod limits;
mod master;
mod names;
mod node;
mod people;
mod recognition;
mod renewal;
mod schemas;
