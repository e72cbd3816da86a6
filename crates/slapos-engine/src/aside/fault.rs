//! Points between the steps of the work, where tests end the process as a kill would.

/// Passes a point; outside tests nothing is there.
#[cfg(not(test))]
pub(crate) fn point(_name: &str) {}

/// Names the point at which a process that a test has started ends: `<number>`, counted from 1.
#[cfg(test)]
pub(crate) const VARIABLE: &str = "SLAPOS_TEST_KILL_AT";

/// Passes a point. It is the end of a process that a test started for that.
#[cfg(test)]
pub(crate) fn point(name: &str) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    let Ok(last) = std::env::var(VARIABLE) else { return };
    let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if last == number.to_string() {
        eprintln!("killed at {number}: {name}");
        let own = std::process::id();
        let _ = slapos_sys::process::kill(own, slapos_sys::process::Signal::SIGKILL);
        std::process::abort();
    }
}
