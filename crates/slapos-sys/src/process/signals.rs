//! Signals as messages: a thread of its own waits for them.

use std::io;

use super::Signal;

/// What asks a process to end.
pub const TERMINATION: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Calls `act` in a thread of its own for each of these signals that comes to this process, which
/// they do nothing else to any more. To be called before other threads are started: they inherit
/// that the signals wait. Children do not.
///
/// # Errors
/// When the signals cannot be held back or the thread cannot be started.
pub fn on_signals(
    signals: &[Signal],
    mut act: impl FnMut(Signal) + Send + 'static,
) -> io::Result<()> {
    let mut set = nix::sys::signal::SigSet::empty();
    signals.iter().for_each(|signal| set.add(*signal));
    set.thread_block()?;
    let wait = move || {
        while let Ok(signal) = set.wait() {
            act(signal);
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
