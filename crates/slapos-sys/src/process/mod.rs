//! Processes: starting them with nothing inherited, and naming them so that they cannot be
//! mistaken for another.

mod child;
mod command;
pub mod nursery;
mod offspring;
mod running;
mod signals;
mod table;
mod tree;

use std::io;

pub use command::Command;
pub use nix::sys::resource::Resource;
pub use nix::sys::signal::Signal;
pub use offspring::{Offspring, Piped};
pub use running::{
    children_cpu_seconds, children_peak_bytes, ended_within, executable, forbid_inspection,
    inherited_fd, kill, kill_all_of_this_user, kill_group, pidfd_open, raise_open_files,
    set_child_subreaper, urgently, wait_within,
};
pub use signals::{TERMINATION, on_signals};
pub use table::{
    Entry, Environment, Stat, Uids, alive, entry, environment, list, start_time, threads_of, uids,
};
pub use tree::{descendants, kill_descendants, kill_descendants_since, kill_each};

/// The result of a system call that returns a negative number when it fails.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
