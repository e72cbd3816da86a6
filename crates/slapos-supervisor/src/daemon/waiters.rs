//! Calls whose answer has to wait until processes have come to where they were sent.

use super::core::{Id, Reply, Supervisor};
use super::process::Process;
use crate::fault::{self, fault};
use crate::state::State;
use crate::xmlrpc::{Fault, Value};

/// Where a process is to come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// It has run more often than so many times.
    Running {
        /// [`crate::state::Machine::runs`] when it was asked for.
        runs: u64,
    },
    /// It is at rest.
    Down,
    /// Nothing that was put off is left to do.
    Settled,
    /// It is there already, or could not even be sent.
    Nowhere,
}

/// One process that a call waits for.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: Id,
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) goal: Goal,
    pub(crate) outcome: Option<Result<(), Fault>>,
}

/// What the answer looks like.
#[derive(Debug)]
pub(crate) enum Shape {
    /// `true`, or the fault of the only item.
    One,
    /// A status for each item.
    Many,
    /// This value.
    This(Value),
}

/// A call that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) items: Vec<Item>,
    pub(crate) shape: Shape,
    pub(crate) reply: Option<Reply>,
}

impl Supervisor {
    /// Answers the calls whose processes have all arrived, or cannot any more.
    pub(crate) fn answer_waiters(&mut self) {
        let mut waiters = std::mem::take(&mut self.waiters);
        for waiter in &mut waiters {
            for item in &mut waiter.items {
                if item.outcome.is_none() {
                    item.outcome = arrival(self.processes.get(&item.id), item);
                }
            }
            let all = waiter.items.iter().all(|item| item.outcome.is_some());
            let gone = waiter.reply.as_ref().is_none_or(Reply::is_closed);
            if (all || gone)
                && let Some(reply) = waiter.reply.take()
            {
                let _ = reply.send(answer(waiter));
            }
        }
        waiters.retain(|waiter| waiter.reply.is_some());
        self.waiters = waiters;
    }
}

/// Whether the process has arrived; `None` while it is under way.
fn arrival(process: Option<&Process>, item: &Item) -> Option<Result<(), Fault>> {
    let Some(process) = process else {
        return Some(match item.goal {
            Goal::Running { .. } => Err(fault(fault::BAD_NAME, &item.name)),
            _ => Ok(()),
        });
    };
    let state = process.machine.state();
    match item.goal {
        Goal::Nowhere => Some(Ok(())),
        Goal::Down => state.is_down().then_some(Ok(())),
        Goal::Settled => (process.next.is_nothing() && state != State::Stopping).then_some(Ok(())),
        Goal::Running { runs } if process.machine.runs() > runs => Some(Ok(())),
        Goal::Running { .. } if process.next.start || state == State::Starting => None,
        // Not yet where its end leads to, which says why.
        Goal::Running { .. } if state == State::Stopping && process.machine.is_draining() => None,
        Goal::Running { .. } => {
            let error = process.machine.error();
            Some(Err(match error {
                "" => fault(fault::ABNORMAL_TERMINATION, process.display()),
                error => fault(fault::SPAWN_ERROR, format!("{}: {error}", process.display())),
            }))
        }
    }
}

fn answer(waiter: &mut Waiter) -> Result<Value, Fault> {
    let shape = std::mem::replace(&mut waiter.shape, Shape::One);
    match shape {
        Shape::This(value) => Ok(value),
        Shape::Many => Ok(statuses(&waiter.items)),
        Shape::One => match waiter.items.pop().and_then(|item| item.outcome) {
            Some(Err(fault)) => Err(fault),
            _ => Ok(true.into()),
        },
    }
}

/// The status of each process, as supervisor answers about many.
pub(crate) fn statuses(items: &[Item]) -> Value {
    Value::Array(items.iter().map(status).collect())
}

fn status(item: &Item) -> Value {
    let (code, text) = match &item.outcome {
        Some(Err(fault)) => (fault.code, fault.text.as_str()),
        _ => (fault::SUCCESS, "OK"),
    };
    Value::record([
        ("name", item.name.as_str().into()),
        ("group", item.group.as_str().into()),
        ("status", code.into()),
        ("description", text.into()),
    ])
}
