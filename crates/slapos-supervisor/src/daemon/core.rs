//! The one owner of all state: feeds the machines with what happened and does what they ask.
//!
//! Invariants: a machine is only ever touched by [`Supervisor::feed`]; the ledger names a spawn
//! before it is begun; nothing here waits for a process, a user's file or another program.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_sys::cgroup::Cgroups;
use slapos_sys::clock::{self, Clock, SystemClock};
use slapos_sys::process::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::background::{self, Look, Seen};
use super::journal::Journal;
use super::launch::Launched;
use super::logs::Log;
use super::process::Process;
use super::replace::Replacement;
use super::starts::Starts;
use super::table::Origin;
use super::waiters::Waiter;
use crate::Paths;
use crate::events::{Notice, Said};
use crate::limits::GroupLimits;
use crate::spec::{Group, ProgramSpec};
use crate::state::{Action, Event, Machine, Moment, Policy, State};
use crate::xmlrpc::{Call, Fault, Value};

/// Names a supervised process for as long as the daemon lives.
pub(crate) type Id = u64;
/// Where the answer to a call goes.
pub(crate) type Reply = oneshot::Sender<Result<Value, Fault>>;

/// How often survivors are looked for.
const SWEEP_EVERY: Moment = Moment::from_millis(100);

/// What the owner is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Somebody calls a method.
    Request(Call, Reply),
    /// Somebody wants to follow the log of a process; the empty name means the daemon's own.
    FindLog(String, oneshot::Sender<Result<Log, Fault>>),
    /// A spawn is over.
    Launched(Id, String, Result<Launched, String>),
    /// The leader made by this spawn ended.
    Ended(Id, String),
    /// The processes of a group that run do not have its new limits, and why.
    Unlimited(String, String),
    /// Whether processes remain of these spawns.
    Swept(Vec<(Id, String, bool)>),
    /// The logs of this user were looked at, with these failures.
    Rotated(Option<String>, Vec<Seen>, Vec<String>),
    /// The listener made by this spawn said something, or nonsense.
    Heard(Id, String, Result<Vec<Said>, String>),
    /// The program that is to replace the daemon can run, or why not.
    Checked(Result<(), String>),
}

/// An active group.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) priority: i32,
    pub(crate) limits: GroupLimits,
    /// It is forgotten when its last process is.
    pub(crate) retiring: bool,
}

/// Whether the daemon goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Up,
    /// Everything is being stopped, then the daemon ends.
    Ending,
    /// Everything is being stopped, then the definitions are read anew.
    Restarting,
    /// Nothing is left to do.
    Ended,
    /// Another program is to take this one's place, in this very process.
    Replaced,
}

pub(crate) struct Supervisor {
    pub(crate) paths: Paths,
    /// Names this instance root in tags.
    pub(crate) instance: String,
    pub(crate) journal: Journal,
    pub(crate) outbox: mpsc::UnboundedSender<Message>,
    pub(crate) groups: IndexMap<String, Active>,
    pub(crate) processes: IndexMap<Id, Process>,
    /// The definitions as they were last read.
    pub(crate) defined: IndexMap<String, Group>,
    /// What was said of them.
    pub(crate) remarked: Vec<String>,
    pub(crate) waiters: Vec<Waiter>,
    pub(crate) mood: Mood,
    pub(crate) rotating: HashSet<Option<String>>,
    pub(crate) looks: HashMap<PathBuf, Look>,
    pub(crate) log_failures: HashSet<String>,
    pub(crate) launching: usize,
    pub(crate) open_files: (u64, u64),
    /// Where the kernel limits and accounts.
    pub(crate) cgroups: Option<Cgroups>,
    /// Events that listeners were not told yet.
    pub(crate) notices: Vec<Notice>,
    pub(crate) event_serial: u64,
    /// How many times [`Supervisor::emit_ticks`] has counted.
    pub(crate) ticks: u64,
    /// When the first log may have to be looked at.
    pub(crate) look_at: Moment,
    pub(crate) replacement: Replacement,
    /// The time since boot when the daemon was started.
    pub(crate) started_at: Moment,
    clock_origin: Instant,
    next_id: Id,
    pub(crate) starts: Starts,
    sweep_due: Option<Moment>,
    sweeping: bool,
    /// Signals to what remains of spawns, to be sent together.
    survivor_signals: Vec<(Origin, Signal, bool)>,
    pub(crate) ledger_due: Option<Moment>,
    /// How long the ledger took to write.
    pub(crate) ledger_cost: Moment,
    pub(crate) ledger_failed: bool,
    /// What is at the ledger's path is worth keeping as the generation before.
    pub(crate) ledger_good: bool,
}

impl Supervisor {
    pub(crate) fn new(
        paths: Paths,
        journal: Journal,
        outbox: mpsc::UnboundedSender<Message>,
        open_files: (u64, u64),
    ) -> Self {
        Self {
            instance: instance_name(&paths),
            paths,
            journal,
            outbox,
            groups: IndexMap::new(),
            processes: IndexMap::new(),
            defined: IndexMap::new(),
            remarked: Vec::new(),
            waiters: Vec::new(),
            mood: Mood::Up,
            rotating: HashSet::new(),
            looks: HashMap::new(),
            log_failures: HashSet::new(),
            launching: 0,
            open_files,
            cgroups: Cgroups::find(),
            notices: Vec::new(),
            event_serial: 0,
            ticks: 0,
            look_at: Moment::ZERO,
            replacement: Replacement::default(),
            started_at: clock::since_boot(),
            clock_origin: Instant::now(),
            next_id: 1,
            starts: Starts::default(),
            sweep_due: None,
            sweeping: false,
            survivor_signals: Vec::new(),
            ledger_due: None,
            ledger_cost: Moment::ZERO,
            ledger_failed: false,
            ledger_good: true,
        }
    }

    /// The time since boot, by a clock that nobody can set.
    pub(crate) fn now(&self) -> Moment {
        self.started_at + self.clock_origin.elapsed()
    }

    /// When [`Supervisor::advance`] has something to do though nobody sent a message.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let machines = self.processes.values().map(|p| p.machine.deadline());
        let sweep = self.sweep_due.filter(|_| !self.sweeping);
        let others = [
            sweep,
            self.ledger_due,
            Some(self.look_at),
            self.starts.due(),
            self.tick_due(),
            self.replace_due(),
        ];
        let first = machines.chain(others).flatten().min()?;
        Some(self.clock_origin + first.saturating_sub(self.started_at))
    }

    /// Takes note of one message.
    pub(crate) fn take(&mut self, message: Message) {
        match message {
            Message::Request(call, reply) => self.dispatch(&call, reply),
            Message::FindLog(name, reply) => {
                let _ = reply.send(self.find_log(&name));
            }
            Message::Launched(id, spawn, result) => self.on_launched(id, &spawn, result),
            Message::Ended(id, spawn) => self.on_ended(id, spawn),
            Message::Unlimited(group, why) => self.on_unlimited(&group, &why),
            Message::Swept(found) => self.on_swept(found),
            Message::Rotated(user, seen, failures) => self.on_rotated(&user, seen, failures),
            Message::Heard(id, spawn, heard) => self.on_heard(id, &spawn, heard),
            Message::Checked(result) => self.on_checked(result),
        }
    }

    /// Does what is due. To be called after messages were taken and when the deadline has come.
    pub(crate) fn advance(&mut self) {
        self.tick();
        self.answer_waiters();
        self.settle();
        self.continue_shutdown();
        self.answer_waiters();
        self.emit_ticks();
        self.tell_listeners();
        self.flush();
        self.continue_replacement();
    }

    /// Adds a process at rest.
    pub(crate) fn add(&mut self, group: &str, spec: ProgramSpec) -> Id {
        let machine = Machine::new(Policy::from(&spec));
        self.add_with(group, spec, machine)
    }

    /// Adds a process with the machine it is to have.
    pub(crate) fn add_with(&mut self, group: &str, spec: ProgramSpec, machine: Machine) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        self.processes.insert(id, Process::new(group, spec, machine));
        self.ledger_is_old();
        id
    }

    /// Tells the machine of a process what happened, and does what it asks for.
    pub(crate) fn feed(&mut self, id: Id, event: Event) {
        let now = self.now();
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let adopted = matches!(event, Event::Adopted { .. });
        let step = process.machine.handle(event, now);
        for change in &step.transitions {
            let (from, to) = (change.from.name(), change.to.name());
            let name = process.display();
            let line = format!("{name}: {from} -> {to}: {}", change.reason);
            match change.to {
                State::Backoff | State::Fatal => self.journal.warn(&line),
                _ => self.journal.info(&line),
            }
        }
        // That it runs is no news to those who heard of it from the daemon before.
        for change in step.transitions.iter().filter(|_| !adopted) {
            self.emit_change(id, change);
        }
        if !step.transitions.is_empty() {
            self.ledger_is_old();
        }
        for action in step.actions {
            self.act(id, action);
        }
    }

    fn act(&mut self, id: Id, action: Action) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        match action {
            Action::Spawn => self.starts.asked.push(id),
            Action::Signal { signal, group, .. } => {
                if let Err(error) = process.signal(signal, group) {
                    let name = process.display();
                    self.journal.warn(&format!("{name}: cannot send {signal}: {error}"));
                }
            }
            Action::Sweep => self.sweep_due = Some(self.now()),
            Action::SignalSurvivors { signal, strays_only } => {
                self.survivor_signals.push((process.origin.clone(), signal, strays_only));
            }
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        let due = |process: &Process| process.machine.deadline().is_some_and(|at| at <= now);
        let ids: Vec<Id> = self.ids(due);
        for id in ids {
            self.feed(id, Event::Tick);
        }
    }

    /// The processes that `filter` accepts, in the order in which they were added.
    pub(crate) fn ids(&self, filter: impl Fn(&Process) -> bool) -> Vec<Id> {
        let all = self.processes.iter().filter(|(_, process)| filter(process));
        all.map(|(id, _)| *id).collect()
    }

    /// Does what was put off until a process is at rest.
    fn settle(&mut self) {
        let mut gone = false;
        for id in self.ids(|p| !p.next.is_nothing() && p.machine.state().is_down()) {
            let Some(process) = self.processes.get_mut(&id) else {
                continue;
            };
            let next = std::mem::take(&mut process.next);
            if next.remove {
                self.processes.shift_remove(&id);
                self.ledger_is_old();
                gone = true;
                continue;
            }
            if let Some(spec) = next.spec {
                process.machine = Machine::new(Policy::from(&*spec));
                process.spec = spec;
                self.ledger_is_old();
            }
            if next.start {
                self.feed(id, Event::Start);
            }
        }
        if gone || self.groups.values().any(|active| active.retiring) {
            self.forget_retired_groups();
        }
    }

    fn forget_retired_groups(&mut self) {
        let used: HashSet<&str> = self.processes.values().map(|p| p.group.as_str()).collect();
        let mut gone = Vec::new();
        self.groups.retain(|name, active| {
            let stays = !active.retiring || used.contains(name.as_str());
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
        for name in gone {
            self.forget_control(&name);
            self.emit("PROCESS_GROUP_REMOVED", format!("groupname:{name}"));
        }
    }

    /// Writes the ledger if it is old, begins the spawns that were asked for, looks for survivors.
    fn flush(&mut self) {
        let announced = self.announce_starts();
        let now = self.now();
        if announced || self.ledger_due.is_some_and(|due| due <= now) {
            self.write_ledger();
        }
        // Announced, they are begun by who takes over.
        if !self.replacement.holds_starts() {
            self.begin_starts();
        }
        background::signal_survivors(std::mem::take(&mut self.survivor_signals));
        self.sweep(now);
        self.rotate_logs(now);
        background::reap_strangers(self);
    }

    fn on_launched(&mut self, id: Id, spawn: &str, result: Result<Launched, String>) {
        self.launching -= 1;
        self.starts.done(id);
        let event = match result {
            Err(reason) => Event::SpawnFailed(reason),
            Ok(launched) => {
                let origin =
                    Origin { leader: launched.pid, start: launched.start, spawn: spawn.to_owned() };
                self.attach(id, origin, Arc::new(launched.pidfd), now_seconds());
                self.connect_listener(id, launched.pipes);
                Event::Spawned(launched.pid)
            }
        };
        self.feed(id, event);
    }

    /// Notes who the leader of a process is now, and has its end told.
    pub(crate) fn attach(&mut self, id: Id, origin: Origin, pidfd: Arc<OwnedFd>, started: i64) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        background::watch(self.outbox.clone(), id, origin.spawn.clone(), Arc::clone(&pidfd));
        process.origin = origin;
        process.leader = Some(pidfd);
        process.started = started;
        // A new process may write faster than the one before.
        let log = process.spec.stdout_logfile.clone();
        self.look_soon(log);
        self.ledger_is_old();
    }

    fn on_ended(&mut self, id: Id, spawn: String) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let Some(pidfd) = process.leader.clone().filter(|_| process.origin.spawn == spawn) else {
            return;
        };
        match background::exit_of(&pidfd, &process.origin) {
            None => background::watch_later(self.outbox.clone(), id, spawn, pidfd),
            Some(exit) => {
                process.leader = None;
                process.stopped = now_seconds();
                self.disconnect_listener(id);
                self.feed(id, Event::Exited(exit));
            }
        }
    }

    fn sweep(&mut self, now: Moment) {
        if self.sweeping || self.sweep_due.is_none_or(|due| due > now) {
            return;
        }
        self.sweep_due = None;
        let draining = self.processes.iter().filter(|(_, p)| p.machine.is_draining());
        let origins: Vec<_> = draining.map(|(id, p)| (*id, p.origin.clone())).collect();
        if !origins.is_empty() {
            self.sweeping = true;
            background::sweep(self.outbox.clone(), origins);
        }
    }

    fn on_swept(&mut self, found: Vec<(Id, String, bool)>) {
        self.sweeping = false;
        for (id, spawn, remain) in found {
            if self.processes.get(&id).is_some_and(|p| p.origin.spawn == spawn) {
                self.feed(id, Event::Survivors(remain));
            }
        }
        if self.processes.values().any(|p| p.machine.is_draining()) {
            let due = self.now() + SWEEP_EVERY;
            self.sweep_due.get_or_insert(due);
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now_seconds() -> i64 {
    SystemClock.now().as_second()
}

/// A short name for an instance root, the same in every build (FNV-1a).
fn instance_name(paths: &Paths) -> String {
    use std::os::unix::ffi::OsStrExt;
    let root = std::fs::canonicalize(paths.root()).unwrap_or_else(|_| paths.root().to_owned());
    let bytes = root.as_os_str().as_bytes().iter();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
