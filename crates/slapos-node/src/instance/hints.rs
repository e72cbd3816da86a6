//! Who started this run says by a socket, a byte each time, that the Master wants something new: the run
//! looks once more, though it still asks promises. Nothing depends on it; whoever says so sees to another run.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::thread;

use slapos_sys::process::inherited_fd;

use super::turns::Turns;
use crate::reporter::Reporter;

/// Passes on to `turns` what comes by the descriptor `fd`, until its other end is closed. Where that cannot
/// be, the run goes on without.
pub(super) fn listen(fd: RawFd, turns: &Arc<Turns>, reporter: &dyn Reporter) {
    if let Err(error) = begin(fd, turns) {
        let text = format!(
            "nothing can be heard by --hints: {error}; what is asked for meanwhile waits for the next run"
        );
        reporter.warn("node", &text);
    }
}

fn begin(fd: RawFd, turns: &Arc<Turns>) -> io::Result<()> {
    let mut hints = File::from(inherited_fd(fd)?);
    let turns = Arc::clone(turns);
    let listen = move || {
        while let Ok(1..) = hints.read(&mut [0; 64]) {
            turns.hint();
        }
    };
    thread::Builder::new().name("hints".to_owned()).spawn(listen).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use slapos_engine::Event;

    use super::*;
    use crate::error::NodeError;

    #[derive(Default)]
    struct Warned(Mutex<Vec<String>>);

    impl Reporter for Warned {
        fn note(&self, _: &str, _: &str) {}
        fn warn(&self, _: &str, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
        fn part(&self, _: &str, _: &Event) {}
        fn failed(&self, _: &str, _: &NodeError) {}
    }

    #[test]
    fn a_run_that_cannot_be_told_anything_goes_on() {
        let turns = Arc::new(Turns::new(Vec::new(), Duration::ZERO));
        let warned = Warned::default();
        listen(-1, &turns, &warned);
        let warned = warned.0.into_inner().unwrap();
        assert!(
            warned.len() == 1 && warned[0].contains("by --hints: no descriptor -1"),
            "{warned:?}"
        );
    }
}
