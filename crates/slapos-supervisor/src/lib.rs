//! Processes of a node: a pure state machine, the daemon around it, its client and XML-RPC face.
pub mod definitions;
pub mod fault;
mod paths;
pub mod spec;
pub mod state;
pub mod xmlrpc;
pub use paths::Paths;
