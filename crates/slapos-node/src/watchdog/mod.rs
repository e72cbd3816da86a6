//! The watchdog: has the Master told when a service ended that is to run for ever.
//!
//! It is an event listener of the supervisor. What it hears is noted on disk before it is
//! acknowledged, and told to the Master by a thread that tries until it is heard; so that neither
//! a Master that is away nor the death of the watchdog loses it, and a Master that is slow does
//! not keep events waiting. Promises complain in the same way (`bang`): one bang for one
//! deployment. Until an instance has been deployed again without an error, what its services and
//! promises do is no news; and none at all while a former generation is in place that is to stay.
//! The Master's token is read from its file and is nowhere else.

mod ear;
mod mark;

use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use slapos_slap::{PartitionId, SlapClient, SlapError};

use crate::error::NodeError;
use crate::node::{Node, master_within};
use crate::record::PartitionRecord;
use mark::{Mark, Notes, Standing};

pub(crate) use mark::Marks;

/// The supervisor's name for it, as in the original.
pub const PROGRAM: &str = "watchdog";
/// What it listens to.
pub(crate) const EVENTS: &str = "PROCESS_STATE_EXITED,PROCESS_STATE_BACKOFF,PROCESS_STATE_FATAL";
/// The original tells by this suffix which ends are answered.
pub(crate) const MARK: &str = "-on-watch";
/// How long the Master may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before it is tried again: the first time, and at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_LIMIT: Duration = Duration::from_secs(300);
/// How often to look for what others noted and could not tell.
const LOOK: Duration = Duration::from_secs(60);

/// Listens to the supervisor by `input` and `output` until that hangs up.
///
/// # Errors
/// When the supervisor says what is not its protocol, or a note cannot be written.
pub fn run(
    node: &Node<'_>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<(), NodeError> {
    let marks = &Marks::of(node);
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
    marks: &Marks<'_>,
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
            Some(ended) if ended.process.contains(MARK) && !node.is_down() => {
                note(node, marks, &ended.group, &ended.to_string())
            }
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

/// Has the Master have the tree of the instance in `partition` deployed again because of `message`,
/// unless it was told since the last deployment. A Master that does not hear is told later, by the
/// watchdog.
pub(crate) fn bang(node: &Node<'_>, master: &SlapClient, partition: &str, message: &str) {
    let marks = Marks::of(node);
    let told = note(node, &marks, partition, message)
        .and_then(|_| tell(node, &marks, master, partition).map(drop));
    if let Err(error) = told {
        node.reporter.warn(partition, &format!("the bang is put off: {error}"));
    }
}

/// Notes that the Master is to be told. Returns whether it is, now or later.
fn note(
    node: &Node<'_>,
    marks: &Marks<'_>,
    partition: &str,
    message: &str,
) -> Result<bool, NodeError> {
    let hear = |notes: &mut Notes| Ok(notes.hear(&standing(node, partition)?, message.to_owned()));
    let dropped = marks.update(partition, hear)?;
    if let Some(why) = dropped {
        node.reporter.note(partition, &format!("{message}: no bang, {why}"));
    }
    Ok(dropped.is_none())
}

fn standing(node: &Node<'_>, partition: &str) -> Result<Standing, NodeError> {
    let record = node.records().load(partition)?;
    // A history that cannot be read holds nothing.
    let history = node.histories().load(partition);
    let held = history
        .is_ok_and(|history| history.holds(record.as_ref().map(PartitionRecord::wanted).as_ref()));
    Ok(Standing::of(record.as_ref(), held))
}

/// Tells the Master what is noted and not told yet; until the other end of `woken` is gone.
fn tell_all(node: &Node<'_>, marks: &Marks<'_>, woken: &Receiver<()>) {
    let mut wait = RETRY;
    loop {
        let patience = match tell_what_is_left(node, marks) {
            true => {
                wait = RETRY;
                LOOK
            }
            false => {
                let patience = wait;
                wait = (wait * 2).min(RETRY_LIMIT);
                patience
            }
        };
        match woken.recv_timeout(patience) {
            Ok(()) => wait = RETRY,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Returns whether nothing is left to do.
fn tell_what_is_left(node: &Node<'_>, marks: &Marks<'_>) -> bool {
    match marks.left() {
        Ok(left) => left.iter().filter(|name| !try_to_tell(node, marks, name)).count() == 0,
        Err(error) => {
            node.reporter.failed(PROGRAM, &error);
            false
        }
    }
}

/// Returns whether nothing is left to do about `partition`.
fn try_to_tell(node: &Node<'_>, marks: &Marks<'_>, partition: &str) -> bool {
    let told = master_within(node.config, PATIENCE)
        .and_then(|master| tell(node, marks, &master, partition));
    told.unwrap_or_else(|error| {
        node.reporter.warn(partition, &format!("the bang is put off: {error}"));
        false
    })
}

/// Tells what is noted of `partition`, unless somebody else is at it. Returns whether nothing is
/// left to do.
fn tell(
    node: &Node<'_>,
    marks: &Marks<'_>,
    master: &SlapClient,
    partition: &str,
) -> Result<bool, NodeError> {
    let Some(_turn) = marks.turn(partition)? else {
        return Ok(false);
    };
    let (dropped, mark, left) = marks.update(partition, |notes| {
        let dropped = notes.settle(&standing(node, partition)?);
        Ok((dropped, notes.untold().cloned(), notes.is_left()))
    })?;
    if let Some((message, why)) = dropped {
        node.reporter.note(partition, &format!("{message}: no bang, {why}"));
    }
    let Some(mark) = mark else {
        return Ok(!left);
    };
    send(node, master, partition, &mark)?;
    marks.told(partition, &mark)
}

fn send(
    node: &Node<'_>,
    master: &SlapClient,
    partition: &str,
    mark: &Mark,
) -> Result<(), NodeError> {
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

#[cfg(test)]
mod tests;
