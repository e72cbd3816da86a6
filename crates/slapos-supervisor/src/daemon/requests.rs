//! The methods of the XML-RPC face: supervisor's, and `slapos.update`.

use std::io;

use slapos_sys::process::Signal;

use super::background::with_rights_of;
use super::core::{Id, Mood, Reply, Supervisor};
use super::follow;
use super::info;
use super::journal;
use super::logs::{self, Log};
use super::methods::{METHODS, help};
use super::process::Process;
use super::waiters::{Goal, Item, Shape, Waiter};
use crate::fault::{self, fault};
use crate::spec::StopSignal;
use crate::state::State;
use crate::xmlrpc::{Call, Fault, Value};

/// The version of supervisor's interface that is spoken here; `supervisorctl` asks for this one.
const API_VERSION: &str = "3.0";

type Job = Box<dyn FnOnce() -> Result<Value, Fault> + Send>;

/// How a call is answered.
enum Answer {
    Now(Value),
    /// When these processes have arrived.
    Wait(Vec<Item>, Shape),
    /// By a thread that reads or empties files.
    Read(Job),
}

impl Supervisor {
    /// Answers a call, now or later.
    pub(crate) fn dispatch(&mut self, call: &Call, reply: Reply) {
        match self.answer(call) {
            Ok(Answer::Now(value)) => drop(reply.send(Ok(value))),
            Err(fault) => drop(reply.send(Err(fault))),
            Ok(Answer::Wait(items, shape)) => {
                self.waiters.push(Waiter { items, shape, reply: Some(reply) });
            }
            Ok(Answer::Read(job)) => {
                tokio::task::spawn_blocking(move || drop(reply.send(job())));
            }
        }
    }

    fn answer(&mut self, call: &Call) -> Result<Answer, Fault> {
        let params = Params(&call.params);
        let Some(method) = call.method.strip_prefix("supervisor.") else {
            return self.other_answer(call);
        };
        match method {
            "getAPIVersion" | "getVersion" => Ok(Answer::Now(API_VERSION.into())),
            "getSupervisorVersion" => {
                let version = concat!(env!("CARGO_PKG_VERSION"), " (slapos)");
                Ok(Answer::Now(version.into()))
            }
            "getIdentification" => Ok(Answer::Now("supervisor".into())),
            "getPID" => Ok(Answer::Now(i64::from(std::process::id()).into())),
            "getState" => Ok(Answer::Now(self.daemon_state())),
            "getProcessInfo" => {
                let id = self.find(params.text(0)?)?;
                Ok(Answer::Now(info::process(&self.processes[&id], self.now())))
            }
            "getAllProcessInfo" => {
                let infos = self.ordered().into_iter();
                let now = self.now();
                let infos = infos.map(|id| info::process(&self.processes[&id], now));
                Ok(Answer::Now(Value::Array(infos.collect())))
            }
            "getAllConfigInfo" => Ok(Answer::Now(self.config_info())),
            "readLog" | "readMainLog" => read(self.own_log(), &params, 0),
            "readProcessStdoutLog" | "readProcessLog" => {
                read(self.log_of(params.text(0)?)?, &params, 1)
            }
            "tailProcessStdoutLog" | "tailProcessLog" => {
                tail(self.log_of(params.text(0)?)?, &params)
            }
            "readProcessStderrLog" => read(self.error_log_of(params.text(0)?)?, &params, 1),
            "tailProcessStderrLog" => tail(self.error_log_of(params.text(0)?)?, &params),
            _ if self.mood != Mood::Up => Err(fault(fault::SHUTDOWN_STATE, "")),
            _ => self.command(method, &params),
        }
    }

    fn other_answer(&mut self, call: &Call) -> Result<Answer, Fault> {
        match call.method.as_str() {
            "system.listMethods" => {
                let names = METHODS.iter().map(|(name, _)| Value::from(*name));
                Ok(Answer::Now(Value::Array(names.collect())))
            }
            "system.methodHelp" => {
                let method = Params(&call.params).text(0)?;
                let help = help(method).ok_or_else(|| fault(fault::UNKNOWN_METHOD, method))?;
                Ok(Answer::Now(help.into()))
            }
            "slapos.usage" => {
                let usage = self.usage();
                Ok(Answer::Read(Box::new(|| Ok(usage()))))
            }
            "slapos.follow" => follow(&call.params, |name| self.log_of(name)),
            "slapos.generation" => self.generation().map(Answer::Now),
            "slapos.remarks" => Ok(Answer::Now(self.remarked.clone().into())),
            "slapos.update" | "slapos.replace" if self.mood != Mood::Up => {
                Err(fault(fault::SHUTDOWN_STATE, ""))
            }
            "slapos.replace" => Ok(Answer::Now(self.replace("on request"))),
            "slapos.update" => {
                let names = Params(&call.params).names(0)?;
                let (items, shape) = self.update(&names)?;
                Ok(Answer::Wait(items, shape))
            }
            other => Err(fault(fault::UNKNOWN_METHOD, other)),
        }
    }

    /// The methods that change something.
    fn command(&mut self, method: &str, params: &Params<'_>) -> Result<Answer, Fault> {
        match method {
            "reloadConfig" => self.reload_config().map(Answer::Now),
            "addProcessGroup" => self.add_process_group(params.text(0)?).map(Answer::Now),
            "removeProcessGroup" => self.remove_process_group(params.text(0)?).map(Answer::Now),
            "startProcess" => self.start_process(params.text(0)?, params.flag(1)?),
            "stopProcess" => self.stop_process(params.text(0)?, params.flag(1)?),
            "startProcessGroup" => {
                let ids = self.group(params.text(0)?)?;
                Ok(self.start_all(ids, params.flag(1)?))
            }
            "stopProcessGroup" => {
                let ids = self.group(params.text(0)?)?;
                Ok(self.stop_all(ids, params.flag(1)?))
            }
            "startAllProcesses" => Ok(self.start_all(self.ordered(), params.flag(0)?)),
            "stopAllProcesses" => Ok(self.stop_all(self.ordered(), params.flag(0)?)),
            "signalProcess" => self.signal_process(params.text(0)?, params.signal(1)?),
            "signalProcessGroup" => {
                let ids = self.group(params.text(0)?)?;
                Ok(self.signal_all(ids, params.signal(1)?))
            }
            "signalAllProcesses" => Ok(self.signal_all(self.ordered(), params.signal(0)?)),
            "clearProcessLogs" | "clearProcessLog" => {
                let id = self.find(params.text(0)?)?;
                Ok(self.clear(vec![id], Shape::One))
            }
            "clearAllProcessLogs" => Ok(self.clear(self.ordered(), Shape::Many)),
            "clearLog" => {
                let log = self.own_log();
                Ok(Answer::Read(Box::new(move || {
                    read_as(&log, || logs::clear(&log)).map(|()| true.into())
                })))
            }
            "sendProcessStdin" => {
                let name = self.processes[&self.find(params.text(0)?)?].display();
                Err(fault(fault::NO_FILE, format!("{name} has no standard input")))
            }
            "sendRemoteCommEvent" => {
                let (kind, data) = (params.text(0)?, params.text(1)?);
                self.emit("REMOTE_COMMUNICATION", format!("type:{kind}\n{data}"));
                Ok(Answer::Now(true.into()))
            }
            "shutdown" => {
                self.stop_everything(Mood::Ending, "shutdown requested");
                Ok(Answer::Now(true.into()))
            }
            "restart" => {
                self.stop_everything(Mood::Restarting, "restart requested");
                Ok(Answer::Now(true.into()))
            }
            other => Err(fault(fault::UNKNOWN_METHOD, format!("supervisor.{other}"))),
        }
    }

    fn daemon_state(&self) -> Value {
        let (code, name) = match self.mood {
            // The successor is up in a moment.
            Mood::Up | Mood::Replaced => (1, "RUNNING"),
            Mood::Restarting => (0, "RESTARTING"),
            Mood::Ending | Mood::Ended => (-1, "SHUTDOWN"),
        };
        Value::record([("statecode", code.into()), ("statename", name.into())])
    }

    fn config_info(&self) -> Value {
        let mut infos = Vec::new();
        for group in self.defined.values() {
            let in_use = self.groups.contains_key(&group.name);
            infos.extend(group.programs.iter().map(|spec| info::config(group, spec, in_use)));
        }
        Value::Array(infos)
    }

    /// The process named `group:name`, or `name` where both are the same.
    fn find(&self, namespec: &str) -> Result<Id, Fault> {
        let (group, name) = namespec.split_once(':').unwrap_or((namespec, namespec));
        let named = |p: &Process| p.group == group && p.spec.process_name == name;
        let found = self.ids(named).first().copied();
        found.ok_or_else(|| fault(fault::BAD_NAME, namespec))
    }

    /// The processes of a group.
    fn group(&self, name: &str) -> Result<Vec<Id>, Fault> {
        if !self.groups.contains_key(name) {
            return Err(fault(fault::BAD_NAME, name));
        }
        let mut ids = self.ordered();
        ids.retain(|id| self.processes[id].group == name);
        Ok(ids)
    }

    fn start_process(&mut self, namespec: &str, wait: bool) -> Result<Answer, Fault> {
        if let Some(group) = whole_group(namespec) {
            return Ok(self.start_all(self.group(group)?, wait));
        }
        let id = self.find(namespec)?;
        let runs = self.processes[&id].machine.runs();
        self.start(id)?;
        let goal = if wait { Goal::Running { runs } } else { Goal::Nowhere };
        Ok(Answer::Wait(self.item(id, goal).into_iter().collect(), Shape::One))
    }

    fn stop_process(&mut self, namespec: &str, wait: bool) -> Result<Answer, Fault> {
        if let Some(group) = whole_group(namespec) {
            return Ok(self.stop_all(self.group(group)?, wait));
        }
        let id = self.find(namespec)?;
        self.stop(id)?;
        let goal = if wait { Goal::Down } else { Goal::Nowhere };
        Ok(Answer::Wait(self.item(id, goal).into_iter().collect(), Shape::One))
    }

    /// Starts those that are not up.
    fn start_all(&mut self, ids: Vec<Id>, wait: bool) -> Answer {
        let mut items = Vec::new();
        for id in ids {
            let runs = self.processes[&id].machine.runs();
            if self.start(id).is_ok() {
                let goal = if wait { Goal::Running { runs } } else { Goal::Nowhere };
                items.extend(self.item(id, goal));
            }
        }
        Answer::Wait(items, Shape::Many)
    }

    /// Stops those that are not at rest, the last started first.
    fn stop_all(&mut self, mut ids: Vec<Id>, wait: bool) -> Answer {
        let mut items = Vec::new();
        ids.reverse();
        for id in ids {
            if self.stop(id).is_ok() {
                let goal = if wait { Goal::Down } else { Goal::Nowhere };
                items.extend(self.item(id, goal));
            }
        }
        Answer::Wait(items, Shape::Many)
    }

    fn signal_process(&mut self, namespec: &str, signal: Signal) -> Result<Answer, Fault> {
        if let Some(group) = whole_group(namespec) {
            return Ok(self.signal_all(self.group(group)?, signal));
        }
        let id = self.find(namespec)?;
        self.signal(id, signal)?;
        Ok(Answer::Now(true.into()))
    }

    fn signal_all(&mut self, ids: Vec<Id>, signal: Signal) -> Answer {
        let mut items = Vec::new();
        for id in ids {
            if self.processes[&id].machine.pid().is_some() {
                let outcome = self.signal(id, signal);
                let item = self.item(id, Goal::Nowhere).into_iter();
                items.extend(item.map(|item| Item { outcome: Some(outcome.clone()), ..item }));
            }
        }
        Answer::Wait(items, Shape::Many)
    }

    fn signal(&mut self, id: Id, signal: Signal) -> Result<(), Fault> {
        let process = &self.processes[&id];
        let name = process.display();
        let up = process.machine.pid().is_some() && process.machine.state() != State::Backoff;
        if !up {
            return Err(fault(fault::NOT_RUNNING, name));
        }
        self.journal.info(&format!("{name}: {signal} on request"));
        let sent = self.processes[&id].signal(signal, false);
        sent.map_err(|error| fault(fault::FAILED, format!("{name}: {error}")))
    }

    fn clear(&self, ids: Vec<Id>, shape: Shape) -> Answer {
        let mut targets = Vec::new();
        for id in ids {
            if let Some(item) = self.item(id, Goal::Nowhere) {
                targets.push((item, self.processes[&id].log()));
            }
        }
        Answer::Read(Box::new(move || {
            let mut items: Vec<Item> = targets.into_iter().map(cleared).collect();
            match shape {
                Shape::Many => Ok(super::waiters::statuses(&items)),
                _ => match items.pop().and_then(|item| item.outcome) {
                    Some(Err(fault)) => Err(fault),
                    _ => Ok(true.into()),
                },
            }
        }))
    }

    /// Only listeners have a log of errors, and no other.
    fn error_log_of(&self, namespec: &str) -> Result<Log, Fault> {
        match self.processes[&self.find(namespec)?].spec.listener {
            Some(_) => self.log_of(namespec),
            None => Err(fault(fault::NO_FILE, "errors are in the stdout log")),
        }
    }

    fn log_of(&self, namespec: &str) -> Result<Log, Fault> {
        let log = self.processes[&self.find(namespec)?].log();
        log.ok_or_else(|| fault(fault::NO_FILE, namespec))
    }

    /// The log of a process; of the daemon itself if the name is empty.
    pub(crate) fn find_log(&self, namespec: &str) -> Result<Log, Fault> {
        if namespec.is_empty() {
            return Ok(self.own_log());
        }
        self.log_of(namespec)
    }

    pub(crate) fn own_log(&self) -> Log {
        Log {
            path: self.paths.log(),
            user: None,
            max_bytes: journal::MAX_BYTES,
            backups: journal::BACKUPS,
        }
    }
}

fn cleared((mut item, log): (Item, Option<Log>)) -> Item {
    let result = log.map_or(Ok(()), |log| {
        with_rights_of(log.user.as_deref(), || logs::clear(&log))
            .and_then(|done| done.map_err(|error| error.to_string()))
    });
    let name = &item.name;
    item.outcome = Some(result.map_err(|error| fault(fault::FAILED, format!("{name}: {error}"))));
    item
}

/// `group:*` and `group:` mean all of the group.
fn whole_group(namespec: &str) -> Option<&str> {
    let group = namespec.strip_suffix(":*");
    group.or_else(|| namespec.strip_suffix(':'))
}

fn read(log: Log, params: &Params<'_>, first: usize) -> Result<Answer, Fault> {
    let (offset, length) = (params.number(first)?, params.number(first + 1)?);
    let length = u64::try_from(length).ok().filter(|length| offset >= 0 || *length == 0);
    let length = length.ok_or_else(|| fault(fault::BAD_ARGUMENTS, "offset and length"))?;
    Ok(Answer::Read(Box::new(move || {
        let bytes = read_as(&log, || logs::read(&log.path, offset, length))?;
        let bytes = bytes.ok_or_else(|| fault(fault::NO_FILE, log.path.display().to_string()))?;
        Ok(String::from_utf8_lossy(&bytes).as_ref().into())
    })))
}

fn tail(log: Log, params: &Params<'_>) -> Result<Answer, Fault> {
    let wrong = |_| fault(fault::BAD_ARGUMENTS, "offset and length");
    let offset = u64::try_from(params.number(1)?).map_err(wrong)?;
    let length = u64::try_from(params.number(2)?).map_err(wrong)?;
    Ok(Answer::Read(Box::new(move || {
        let (bytes, end, overflow) = read_as(&log, || logs::tail(&log.path, offset, length))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let end = i64::try_from(end).unwrap_or(i64::MAX);
        Ok(Value::Array(vec![text.into(), end.into(), overflow.into()]))
    })))
}

/// `slapos.follow`: text, where to go on, whether something was lost, whether there is more.
fn follow(
    params: &[Value],
    log_of: impl FnOnce(&str) -> Result<Log, Fault>,
) -> Result<Answer, Fault> {
    let params = Params(params);
    let wrong = || fault(fault::BAD_ARGUMENTS, "position and length");
    let log = log_of(params.text(0)?)?;
    let position = match params.text(1)? {
        "" => None,
        text => Some(text.parse::<follow::Position>().map_err(|_| wrong())?),
    };
    let length = u64::try_from(params.number(2)?).map_err(|_| wrong())?.min(logs::MAX_READ);
    Ok(Answer::Read(Box::new(move || {
        let piece = read_as(&log, || follow::follow(&log, position, length))?;
        let text = String::from_utf8_lossy(&piece.bytes).into_owned();
        let position = piece.position.map_or(String::new(), |position| position.to_string());
        let (lost, more) = (piece.lost.into(), piece.more.into());
        Ok(Value::Array(vec![text.into(), position.into(), lost, more]))
    })))
}

fn read_as<T>(log: &Log, action: impl FnOnce() -> io::Result<T>) -> Result<T, Fault> {
    let result = with_rights_of(log.user.as_deref(), action);
    let result = result.and_then(|done| done.map_err(|error| error.to_string()));
    result.map_err(|error| fault(fault::FAILED, format!("{}: {error}", log.path.display())))
}

/// The arguments of a call.
struct Params<'a>(&'a [Value]);

impl<'a> Params<'a> {
    fn text(&self, index: usize) -> Result<&'a str, Fault> {
        let value = self.0.get(index).and_then(Value::as_str);
        value.ok_or_else(|| wrong(index, "a string"))
    }

    fn number(&self, index: usize) -> Result<i64, Fault> {
        let value = self.0.get(index).and_then(Value::as_int);
        value.ok_or_else(|| wrong(index, "a number"))
    }

    /// Whether to wait; so it is unless told otherwise.
    fn flag(&self, index: usize) -> Result<bool, Fault> {
        match self.0.get(index) {
            None => Ok(true),
            Some(value) => value.as_bool().ok_or_else(|| wrong(index, "a boolean")),
        }
    }

    fn signal(&self, index: usize) -> Result<Signal, Fault> {
        let text = match self.0.get(index) {
            Some(Value::Int(number)) => number.to_string(),
            _ => self.text(index)?.to_owned(),
        };
        let signal = text.parse::<StopSignal>();
        signal.map(|signal| signal.0).map_err(|_| fault(fault::BAD_SIGNAL, text))
    }

    fn names(&self, index: usize) -> Result<Vec<String>, Fault> {
        let Some(value) = self.0.get(index) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().ok_or_else(|| wrong(index, "an array"))?;
        let names = items.iter().map(|item| Some(item.as_str()?.to_owned()));
        let names: Option<Vec<String>> = names.collect();
        names.ok_or_else(|| wrong(index, "an array of strings"))
    }
}

fn wrong(index: usize, what: &str) -> Fault {
    let about = format!("argument {} must be {what}", index + 1);
    fault(fault::INCORRECT_PARAMETERS, about)
}
