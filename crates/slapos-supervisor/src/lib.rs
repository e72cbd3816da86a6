//! Processes of a node: a pure state machine, the daemon around it, its client and XML-RPC face.
//!
//! - [`spec`] and [`definitions`]: what a program is, and the files that say so;
//! - [`state`]: what becomes of a process, without clock or I/O;
//! - [`events`]: what listeners are told, in supervisor's words;
//! - [`run_daemon`]: the daemon; [`ensure_running`]: having one;
//! - [`Client`]: talking to it; [`xmlrpc`] and [`fault`]: the words on the wire, which are those
//!   of supervisor, so that `supervisorctl` understands them.
//!
//! No program's exit, output or existence depends on the daemon living on, and no decision about
//! a process is taken outside [`state`].

mod client;
mod configuration;
mod daemon;
pub mod definitions;
pub mod events;
pub mod fault;
mod launcher;
mod limits;
mod paths;
pub mod spec;
pub mod state;
pub mod xmlrpc;

pub use client::{Client, ClientError, Followed, ProcessInfo, ProcessUsage, Status, Tail, Update};
pub use configuration::write_configuration;
pub use daemon::{DaemonError, run_daemon};
pub use definitions::{remove_group, write_group, write_limited_group, write_listener};
pub use events::Listener;
pub use launcher::{LaunchError, ensure_running};
pub use limits::{GroupLimits, Limits};
pub use paths::Paths;
pub use spec::{AutoRestart, Group, ProgramSpec, StopSignal};
