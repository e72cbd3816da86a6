//! One supervised process: its machine, who it is, and what was put off.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use slapos_sys::process::Signal;

use super::ledger::{NextRecord, ProcessRecord};
use super::listener::Line;
use super::logs::Log;
use super::pool::Pool;
use super::table::Origin;
use crate::spec::ProgramSpec;
use crate::state::{Exit, Machine};

/// One supervised process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) group: String,
    pub(crate) spec: Arc<ProgramSpec>,
    pub(crate) machine: Machine,
    /// The last spawn.
    pub(crate) origin: Origin,
    /// The descriptor of the leader while it lives.
    pub(crate) leader: Option<Arc<OwnedFd>>,
    /// Seconds since 1970; 0: never.
    pub(crate) started: i64,
    pub(crate) stopped: i64,
    pub(crate) next: Next,
    /// Of a listener: the events that wait for it.
    pub(crate) pool: Pool,
    /// Of a listener: how to speak to it.
    pub(crate) line: Option<Line>,
}

/// What is to be done with a process once it is at rest.
#[derive(Debug, Default)]
pub(crate) struct Next {
    /// It gets this definition.
    pub(crate) spec: Option<Arc<ProgramSpec>>,
    /// It is started.
    pub(crate) start: bool,
    /// It is forgotten.
    pub(crate) remove: bool,
}

impl Next {
    pub(crate) fn is_nothing(&self) -> bool {
        self.spec.is_none() && !self.start && !self.remove
    }

    fn record(&self) -> NextRecord {
        let spec = self.spec.as_ref().map(|spec| (**spec).clone());
        NextRecord { spec, start: self.start, remove: self.remove }
    }
}

impl From<NextRecord> for Next {
    fn from(record: NextRecord) -> Self {
        let NextRecord { spec, start, remove } = record;
        Self { spec: spec.map(Arc::new), start, remove }
    }
}

impl Process {
    /// One that was never started.
    pub(crate) fn new(group: &str, spec: ProgramSpec, machine: Machine) -> Self {
        Self {
            group: group.to_owned(),
            spec: Arc::new(spec),
            machine,
            origin: Origin::default(),
            leader: None,
            started: 0,
            stopped: 0,
            next: Next::default(),
            pool: Pool::default(),
            line: None,
        }
    }

    /// `group:name`, as people write it.
    pub(crate) fn display(&self) -> String {
        format!("{}:{}", self.group, self.spec.process_name)
    }

    /// The process's log, if it has one.
    pub(crate) fn log(&self) -> Option<Log> {
        Log::of(&self.spec)
    }

    /// Sends a signal to the leader or its group, provided that the leader is still itself. The
    /// descriptor names the leader for sure; a group has only its number, which the kernel does
    /// not give away while the leader is there, so that one is looked at immediately before.
    pub(crate) fn signal(&self, signal: Signal, group: bool) -> std::io::Result<()> {
        let pid = self.origin.leader;
        if !group && let Some(leader) = &self.leader {
            return signal_by(leader, signal);
        }
        if slapos_sys::process::start_time(pid) != Some(self.origin.start) {
            return Ok(());
        }
        if group {
            slapos_sys::process::kill_group(pid, signal)
        } else {
            slapos_sys::process::kill(pid, signal)
        }
    }

    /// What a successor must know of it.
    pub(crate) fn record(&self) -> ProcessRecord {
        ProcessRecord {
            spec: (*self.spec).clone(),
            state: self.machine.state(),
            exit: self.machine.exit(),
            error: self.machine.error().to_owned(),
            spawn: self.origin.spawn.clone(),
            pid: self.origin.leader,
            start: self.origin.start,
            started: self.started,
            stopped: self.stopped,
            rest: self.machine.rest_after(),
            failures: self.machine.failures(),
            next: self.next.record(),
            events: self.pool.undelivered(),
        }
    }

    /// The number that supervisor shows: the exit code, -1 for a signal or unknown.
    pub(crate) fn exit_status(&self) -> i32 {
        match self.machine.exit() {
            None => 0,
            Some(Exit::Code(code)) => code,
            Some(Exit::Signal(_) | Exit::Unknown) => -1,
        }
    }
}

/// Sends a signal to the process behind `pidfd`, and to nobody who has got its number since. It is
/// no error when it is gone.
pub(crate) fn signal_by(pidfd: &OwnedFd, signal: Signal) -> std::io::Result<()> {
    let number = rustix::process::Signal::from_named_raw(signal as i32);
    let number = number.ok_or(rustix::io::Errno::INVAL)?;
    match rustix::process::pidfd_send_signal(pidfd, number) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Policy;

    fn sleeper() -> (std::process::Child, Arc<OwnedFd>) {
        let child = slapos_sys::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let pidfd = slapos_sys::process::pidfd_open(child.id()).unwrap();
        (child, Arc::new(pidfd))
    }

    #[test]
    fn a_signal_goes_to_the_process_that_is_held_and_not_to_who_has_its_number() {
        let (mut former, held) = sleeper();
        signal_by(&held, Signal::SIGKILL).unwrap();
        former.wait().unwrap();
        // As if the kernel had given the number of the dead leader to somebody else just after
        // the look at it.
        let (mut innocent, _) = sleeper();
        let spec = ProgramSpec::new("p", vec!["x".into()]);
        let start = slapos_sys::process::start_time(innocent.id()).unwrap();
        let machine = Machine::new(Policy::from(&spec));
        let mut process = Process::new("g", spec, machine);
        process.origin = Origin { leader: innocent.id(), start, spawn: "n".into() };
        process.leader = Some(held);
        process.signal(Signal::SIGKILL, false).unwrap();
        assert!(innocent.try_wait().unwrap().is_none(), "somebody else was hit");
        innocent.kill().unwrap();
        innocent.wait().unwrap();
    }
}
