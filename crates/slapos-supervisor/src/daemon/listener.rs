//! Event listeners: collecting events, writing them to listeners, hearing their answers.
//!
//! A listener is a process like any other, but its standard input and output are pipes of the
//! daemon. So a daemon that adopts one cannot speak to it, and has it started again.

use std::os::fd::OwnedFd;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::core::{Id, Message, Supervisor, now_seconds};
use crate::events::{Change, Hearing, Notice, Said};
use crate::state::{Moment, Transition};

/// The shortest `TICK`, and how many of them make the longer ones.
const TICK: Moment = Moment::from_secs(5);
const TICKS: [(u64, u64); 3] = [(5, 1), (60, 12), (3600, 720)];

/// The daemon's ends of a listener's pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
}

/// A listener that can be spoken to. Dropping it closes the pipes.
#[derive(Debug)]
pub(crate) struct Line {
    input: mpsc::UnboundedSender<String>,
    reader: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Starts to hear and to write. What is heard arrives as `Heard`.
fn connect(
    outbox: mpsc::UnboundedSender<Message>,
    id: Id,
    spawn: String,
    pipes: Pipes,
) -> std::io::Result<Line> {
    let mut output = pipe::Receiver::from_owned_fd(pipes.output)?;
    let mut input = pipe::Sender::from_owned_fd(pipes.input)?;
    let (sender, mut texts) = mpsc::unbounded_channel::<String>();
    tokio::spawn(async move {
        while let Some(text) = texts.recv().await {
            if input.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let reader = tokio::spawn(async move {
        let mut hearing = Hearing::default();
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut bytes).await {
            let heard = hearing.hear(bytes.get(..length).unwrap_or_default());
            let go_on = heard.is_ok();
            let _ = outbox.send(Message::Heard(id, spawn.clone(), heard));
            if !go_on {
                return;
            }
        }
    });
    Ok(Line { input: sender, reader: reader.abort_handle() })
}

impl Supervisor {
    /// Notes an event for those who want it. They are told by [`Supervisor::tell_listeners`].
    pub(crate) fn emit(&mut self, name: impl Into<String>, payload: impl Into<String>) {
        self.event_serial += 1;
        let (name, payload) = (name.into(), payload.into());
        self.notices.push(Notice { serial: self.event_serial, name, payload });
    }

    /// Notes a change of state.
    pub(crate) fn emit_change(&mut self, id: Id, change: &Transition) {
        let Some(process) = self.processes.get(&id).filter(|_| change.from != change.to) else {
            return;
        };
        let change = Change {
            process: &process.spec.process_name,
            group: &process.group,
            from: change.from,
            to: change.to,
            pid: process.origin.leader,
            tries: process.machine.failures(),
            expected: !process.machine.ended_badly(),
        };
        let (name, payload) = change.words();
        self.emit(name, payload);
    }

    /// Notes the `TICK`s that are due.
    pub(crate) fn emit_ticks(&mut self) {
        let Some(due) = self.tick_due() else {
            return;
        };
        if due > self.now() {
            return;
        }
        let count = whole_ticks(self.now());
        self.ticks = count;
        for (seconds, every) in TICKS {
            if count.is_multiple_of(every) {
                let now = now_seconds();
                let when = now - now.rem_euclid(i64::try_from(seconds).unwrap_or(1));
                self.emit(format!("TICK_{seconds}"), format!("when:{when}"));
            }
        }
    }

    /// When the next `TICK` is due, if anybody listens to them.
    pub(crate) fn tick_due(&self) -> Option<Moment> {
        let mut listeners = self.processes.values().filter_map(|p| p.spec.listener.as_ref());
        let listened = listeners.any(|l| TICKS.iter().any(|(s, _)| l.wants(&format!("TICK_{s}"))));
        let next = self.ticks.max(whole_ticks(self.started_at)) + 1;
        listened.then(|| TICK.saturating_mul(u32::try_from(next).unwrap_or(u32::MAX)))
    }

    /// Hands the noted events to the listeners that want them, and writes to those that are ready.
    pub(crate) fn tell_listeners(&mut self) {
        let notices = std::mem::take(&mut self.notices);
        for process in self.processes.values_mut() {
            let Some(listener) = process.spec.listener.clone() else {
                continue;
            };
            for notice in notices.iter().filter(|notice| listener.wants(&notice.name)) {
                if let Some(lost) = process.pool.add(notice.clone(), &listener) {
                    let name = process.display();
                    let Notice { name: event, payload, .. } = lost;
                    let line = format!("{name}: too many events wait, dropped {event} {payload}");
                    self.journal.warn(&line);
                }
            }
            let Some(line) = &process.line else {
                continue;
            };
            if let Some(text) = process.pool.next(&process.group) {
                let _ = line.input.send(text);
            }
        }
    }

    /// The listener was started, with these pipes.
    pub(crate) fn connect_listener(&mut self, id: Id, pipes: Option<Pipes>) {
        let outbox = self.outbox.clone();
        let Some((process, pipes)) = self.processes.get_mut(&id).zip(pipes) else {
            return;
        };
        process.pool.hang_up();
        match connect(outbox, id, process.origin.spawn.clone(), pipes) {
            Ok(line) => process.line = Some(line),
            Err(error) => {
                let name = process.display();
                self.journal.warn(&format!("{name}: cannot speak to the listener: {error}"));
            }
        }
    }

    /// The listener is gone.
    pub(crate) fn disconnect_listener(&mut self, id: Id) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.line = None;
            process.pool.hang_up();
        }
    }

    pub(crate) fn on_heard(&mut self, id: Id, spawn: &str, heard: Result<Vec<Said>, String>) {
        let Some(process) = self.processes.get_mut(&id).filter(|p| p.origin.spawn == spawn) else {
            return;
        };
        let pool = &mut process.pool;
        let understood =
            heard.and_then(|said| said.into_iter().try_for_each(|said| pool.hear(said)));
        if let Err(nonsense) = understood {
            pool.confuse();
            // It is not read any more either: it might never end to talk.
            process.line = None;
            let name = process.display();
            let line = format!("{name}: {nonsense}; it is told no events until it is restarted");
            self.journal.warn(&line);
        }
        // A successor is not to tell again what was acknowledged.
        self.ledger_is_old();
    }
}

fn whole_ticks(moment: Moment) -> u64 {
    moment.as_secs() / TICK.as_secs()
}
