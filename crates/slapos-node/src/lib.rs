//! The SlapOS Node: makes this machine converge on what its Master asks.
//!
//! Each command observes, plans (a pure function), executes and reports: [`mod@format`], [`software`],
//! [`instance`], [`report`], [`promises`], [`prune`]. They are run by [`mod@cron`], or by the [`agent`];
//! [`mod@boot`] and [`setup`] come before them. What belongs to another user is done by a [`worker`], a
//! child of this same program that has become that user.
//!
//! Absent on purpose: nothing here writes below a partition's own directory or executes what is
//! there, except in a worker that runs as the partition's user (`.slapos-resource`, what hooks keep
//! there and what is collected is without a worker, but with that user's rights alone); nothing here
//! prints.

mod action;
pub mod agent;
pub mod binary;
pub mod boot;
mod certificate;
mod client_config;
pub mod collect;
mod command;
pub mod config;
pub mod cron;
pub mod error;
pub mod explain;
pub mod format;
pub mod generation;
mod history;
pub mod hooks;
pub mod instance;
pub mod jobs;
mod journal;
pub mod limits;
mod listing;
mod node;
mod operator;
mod place;
mod pool;
mod program;
mod progress;
mod promise;
pub mod promises;
pub mod prune;
mod python;
mod record;
mod renewal;
pub mod report;
mod reporter;
mod retire;
mod routine;
mod services;
pub mod setup;
mod shelf;
mod size;
pub mod software;
pub mod standalone;
mod start;
mod text;
mod token_file;
mod told;
mod upload;
pub mod usage;
pub mod watchdog;
pub mod worker;

pub use client_config::ClientConfig;
pub use config::NodeConfig;
pub use error::NodeError;
pub use node::{Node, master, take_lock, tls_identity};
pub use operator::OperatorConfig;
pub use promise::{Kind as PromiseKind, Mode as PromiseMode, PromiseResult, Schedule};
pub use record::{Outcome, PartitionRecord};
pub use reporter::Reporter;
pub use services::{start_supervisor, supervisor};
pub use start::begin;
pub use token_file::{TokenFile, keep_token, new_token, read_secret, read_token};
