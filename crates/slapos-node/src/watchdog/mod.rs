//! The watchdog: has the Master told when a service ended that is to run for ever.
//!
//! It is an event listener of the supervisor. What it hears is noted on disk before it is
//! acknowledged, and told to the Master by a thread that tries until it is heard; so that neither
//! a Master that is away nor the death of the watchdog loses it, and a Master that is slow does
//! not keep events waiting. One bang for one deployment: until an instance has been deployed again
//! without an error, what its services do is no news. The Master's token is read from its file and
//! is nowhere else.

mod ear;
mod mark;

use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use slapos_slap::{PartitionId, SlapError};

use crate::error::NodeError;
use crate::node::{Node, master_within};
use ear::Ended;
use mark::{Mark, Marks, Verdict};

/// The supervisor's name for it, as in the original.
pub const PROGRAM: &str = "watchdog";
/// What it listens to.
pub(crate) const EVENTS: &str = "PROCESS_STATE_EXITED,PROCESS_STATE_FATAL";
/// The original tells by this suffix which ends are answered.
pub(crate) const MARK: &str = "-on-watch";
/// How long the Master may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before it is tried again: the first time, and at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_LIMIT: Duration = Duration::from_secs(300);

/// Listens to the supervisor by `input` and `output` until that hangs up.
///
/// # Errors
/// When the supervisor says what is not its protocol, or a note cannot be written.
pub fn run(
    node: &Node<'_>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<(), NodeError> {
    let marks = &Marks::new(&node.config.instance_root);
    std::thread::scope(|scope| {
        let (wake, woken) = channel();
        let teller = move || tell_all(node, marks, &woken);
        let named = std::thread::Builder::new().name("teller".to_owned());
        named.spawn_scoped(scope, teller).map_err(|error| {
            NodeError::user(format!("the watchdog cannot start a thread: {error}"))
        })?;
        listen(node, marks, &wake, input, output)
    })
}

fn listen(
    node: &Node<'_>,
    marks: &Marks,
    wake: &Sender<()>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<(), NodeError> {
    let broken =
        |error: std::io::Error| NodeError::user(format!("the supervisor cannot be heard: {error}"));
    loop {
        ear::say(output, "READY\n").map_err(broken)?;
        let Some(event) = ear::next(input).map_err(broken)? else {
            return Ok(());
        };
        let noted = match ear::ended(&event) {
            Some(ended) if ended.process.contains(MARK) => note(node, marks, &ended),
            _ => Ok(false),
        };
        match noted {
            Ok(true) => drop(wake.send(())),
            Ok(false) => {}
            // A full disk: the supervisor keeps the event and tells it again.
            Err(error) => {
                node.reporter.failed(PROGRAM, &error);
                std::thread::sleep(RETRY);
                ear::say(output, "RESULT 4\nFAIL").map_err(broken)?;
                continue;
            }
        }
        ear::say(output, "RESULT 2\nOK").map_err(broken)?;
    }
}

/// Notes that the Master is to be told, unless it was since the last deployment.
fn note(node: &Node<'_>, marks: &Marks, ended: &Ended) -> Result<bool, NodeError> {
    let what = ended.to_string();
    if node.is_down() {
        return Ok(false);
    }
    let record = node.records().load(&ended.group)?;
    match mark::judge(record.as_ref(), marks.load(&ended.group)?.as_ref()) {
        Verdict::Known(why) => {
            node.reporter.note(&ended.group, &format!("{what}: no bang, {why}"));
            Ok(false)
        }
        Verdict::Bang(deployment) => {
            let mark = Mark { deployment, message: what, told: false };
            marks.store(&ended.group, &mark)?;
            Ok(true)
        }
    }
}

/// Tells the Master what is noted and not told yet; until the other end of `woken` is gone.
fn tell_all(node: &Node<'_>, marks: &Marks, woken: &Receiver<()>) {
    let mut wait = RETRY;
    loop {
        let left = marks.untold().into_iter().filter(|partition| !tell(node, marks, partition));
        let next = match left.count() {
            0 => {
                wait = RETRY;
                woken.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
            _ => woken.recv_timeout(wait),
        };
        match next {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => wait = (wait * 2).min(RETRY_LIMIT),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Returns whether nothing is left to do about `partition`.
fn tell(node: &Node<'_>, marks: &Marks, partition: &str) -> bool {
    let told = marks.load(partition).and_then(|mark| match mark {
        Some(mark) => bang(node, partition, &mark)
            .and_then(|()| marks.store(partition, &Mark { told: true, ..mark })),
        None => Ok(()),
    });
    match told {
        Ok(()) => true,
        Err(error) => {
            node.reporter.warn(partition, &format!("the bang is put off: {error}"));
            false
        }
    }
}

fn bang(node: &Node<'_>, partition: &str, mark: &Mark) -> Result<(), NodeError> {
    let master = master_within(node.config, PATIENCE)?;
    let id = PartitionId::from(partition);
    match master.bang(&node.config.computer_id, &id, &mark.message) {
        Ok(()) => node.reporter.note(partition, &format!("bang: {}", mark.message)),
        // There is no instance to be processed again.
        Err(error @ SlapError::NotFound { .. }) => {
            node.reporter.warn(partition, &format!("the Master does not take the bang: {error}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
