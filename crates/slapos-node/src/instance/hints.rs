//! Who started this run says by a socket, a byte each time, that the Master wants something new: the run
//! looks once more, though it still asks promises. Nothing depends on it; whoever says so sees to another run.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::thread;

use slapos_sys::process::inherited_fd;

use super::turns::Turns;
use crate::error::NodeError;

/// Passes on to `turns` what comes by the descriptor `fd`, until its other end is closed.
///
/// # Errors
/// When there is none, or no room for a thread.
pub(super) fn listen(fd: RawFd, turns: &Arc<Turns>) -> Result<(), NodeError> {
    let mut hints = inherited_fd(fd)
        .map(File::from)
        .map_err(|error| NodeError::user(format!("nothing can be heard by --hints: {error}")))?;
    let turns = Arc::clone(turns);
    let listen = move || {
        while let Ok(1..) = hints.read(&mut [0; 64]) {
            turns.hint();
        }
    };
    let started = thread::Builder::new().name("hints".to_owned()).spawn(listen);
    started.map(drop).map_err(|error| NodeError::user(format!("cannot start a thread: {error}")))
}
