//! The client: the daemon's methods as Rust functions, over its socket, without a runtime.

mod error;
mod foreign;
mod logs;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use error::ClientError;
use error::senseless;
pub use logs::{Followed, Tail};

use crate::Paths;
use crate::fault;
use crate::paths::with_socket_path;
use crate::state::State;
use crate::xmlrpc::{self, Call, Value};

/// How long an answer that needs no waiting may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// An answer longer than this is not read.
const MAX_ANSWER: u64 = 64 << 20;

/// The result of a call.
type Result<T> = std::result::Result<T, ClientError>;

/// One process, as the supervisor tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// The process's name within its group.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its state.
    pub state: State,
    /// Its process id while it lives.
    pub pid: Option<u32>,
    /// When it was last started, in seconds since 1970; 0: never.
    pub start: i64,
    /// When it last ended; 0: never.
    pub stop: i64,
    /// The last exit code; -1 for a signal.
    pub exit_status: i32,
    /// Why it is in `BACKOFF` or `FATAL`.
    pub spawn_error: String,
    /// The state in words, as `status` shows it.
    pub description: String,
    /// Where its output goes; empty if nowhere.
    pub log: String,
}

impl ProcessInfo {
    /// `group:name`, or `name` if both are the same: what other methods take.
    pub fn namespec(&self) -> String {
        if self.group == self.name {
            self.name.clone()
        } else {
            format!("{}:{}", self.group, self.name)
        }
    }
}

/// What a process and its descendants use.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessUsage {
    /// `group:name`.
    pub namespec: String,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Processor time since the service was first started, in seconds.
    pub cpu_seconds: Option<f64>,
}

/// What became of one process of a call about many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The process's name within its group.
    pub name: String,
    /// Its group.
    pub group: String,
    /// [`crate::fault::SUCCESS`], or why not.
    pub code: i32,
    /// The same in words.
    pub description: String,
}

/// What an update changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Groups that are new.
    pub added: Vec<String>,
    /// Groups of which something changed.
    pub changed: Vec<String>,
    /// Groups that are gone.
    pub removed: Vec<String>,
    /// The processes that were touched (`group:name`), each with `added`, `changed`, `removed`.
    pub processes: Vec<(String, String)>,
}

impl Update {
    /// True if everything was already as defined.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Calls the methods of one supervisor. Each call is a connection of its own, so that a client
/// survives the daemon.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the supervisor of this instance root, which answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn connect(paths: &Paths) -> Result<Self> {
        let client = Self { socket: paths.socket() };
        client.pid().map(|_| client)
    }

    /// The daemon's process id.
    ///
    /// # Errors
    /// Those of any call.
    pub fn pid(&self) -> Result<u32> {
        let method = "supervisor.getPID";
        let pid = self.call(method, Vec::new())?;
        let pid = pid.as_int().and_then(|pid| u32::try_from(pid).ok());
        pid.ok_or_else(|| senseless(method, "it is not a process id"))
    }

    /// The daemon's state: `RUNNING`, `RESTARTING` or `SHUTDOWN`.
    ///
    /// # Errors
    /// Those of any call.
    pub fn state(&self) -> Result<String> {
        let state = self.call("supervisor.getState", Vec::new())?;
        Ok(text(&state, "statename"))
    }

    /// All processes, group by group.
    ///
    /// # Errors
    /// Those of any call.
    pub fn all_process_info(&self) -> Result<Vec<ProcessInfo>> {
        let method = "supervisor.getAllProcessInfo";
        let infos = self.call(method, Vec::new())?;
        let infos = infos.as_array().unwrap_or_default().iter();
        let infos: Option<Vec<_>> = infos.map(process_info).collect();
        infos.ok_or_else(|| senseless(method, "a process has no known state"))
    }

    /// One process, named `group:name`.
    ///
    /// # Errors
    /// Those of any call, a fault `BAD_NAME` if there is none.
    pub fn process_info(&self, namespec: &str) -> Result<ProcessInfo> {
        let method = "supervisor.getProcessInfo";
        let info = self.call(method, vec![namespec.into()])?;
        process_info(&info).ok_or_else(|| senseless(method, "it has no known state"))
    }

    /// Starts a process (all of a group if it is named `group:*`). With `wait`, returns when it is
    /// running, at most after that time.
    ///
    /// # Errors
    /// Those of any call; faults `BAD_NAME`, `ALREADY_STARTED`, `SPAWN_ERROR`,
    /// `ABNORMAL_TERMINATION`.
    pub fn start(&self, namespec: &str, wait: Option<Duration>) -> Result<()> {
        self.wait_call("supervisor.startProcess", Some(namespec), wait).map(drop)
    }

    /// Stops a process (all of a group if it is named `group:*`). With `wait`, returns when it is
    /// at rest, at most after that time.
    ///
    /// # Errors
    /// Those of any call; faults `BAD_NAME`, `NOT_RUNNING`.
    pub fn stop(&self, namespec: &str, wait: Option<Duration>) -> Result<()> {
        self.wait_call("supervisor.stopProcess", Some(namespec), wait).map(drop)
    }

    /// Starts what does not run of a group; see [`Client::start`].
    ///
    /// # Errors
    /// Those of any call, `BAD_NAME`. What single processes failed of is in the answer.
    pub fn start_group(&self, group: &str, wait: Option<Duration>) -> Result<Vec<Status>> {
        self.many("supervisor.startProcessGroup", Some(group), wait)
    }

    /// Stops what runs of a group; see [`Client::stop`].
    ///
    /// # Errors
    /// Those of any call, `BAD_NAME`.
    pub fn stop_group(&self, group: &str, wait: Option<Duration>) -> Result<Vec<Status>> {
        self.many("supervisor.stopProcessGroup", Some(group), wait)
    }

    /// Starts everything that does not run.
    ///
    /// # Errors
    /// Those of any call.
    pub fn start_all(&self, wait: Option<Duration>) -> Result<Vec<Status>> {
        self.many("supervisor.startAllProcesses", None, wait)
    }

    /// Stops everything that runs.
    ///
    /// # Errors
    /// Those of any call.
    pub fn stop_all(&self, wait: Option<Duration>) -> Result<Vec<Status>> {
        self.many("supervisor.stopAllProcesses", None, wait)
    }

    /// Has the definitions read again and makes one group, or all, as they say. Processes whose
    /// definition did not change are left alone; a changed one runs again if it ran. Returns when
    /// what had to stop has stopped, at most after `limit`.
    ///
    /// # Errors
    /// Those of any call; `CANT_REREAD` when a definition is wrong: any, or that of the named group.
    pub fn update(&self, group: Option<&str>, limit: Duration) -> Result<Update> {
        let names: Vec<&str> = group.into_iter().collect();
        let answer = match self.call_within("slapos.update", vec![names.into()], limit) {
            Err(ClientError::Fault { fault, .. }) if fault.code == fault::UNKNOWN_METHOD => {
                return self.update_foreign(group, limit);
            }
            answer => answer?,
        };
        let touched = answer.member("processes").and_then(Value::as_array);
        let touched = touched.unwrap_or_default().iter();
        let named = touched.map(|process| {
            let name = format!("{}:{}", text(process, "group"), text(process, "name"));
            (name, text(process, "change"))
        });
        Ok(Update {
            added: texts(&answer, "added"),
            changed: texts(&answer, "changed"),
            removed: texts(&answer, "removed"),
            processes: named.collect(),
        })
    }

    /// What was left out of the definitions when they were read last, in sentences; a supervisor that is not
    /// ours does not tell.
    ///
    /// # Errors
    /// Those of any call.
    pub fn remarks(&self) -> Result<Vec<String>> {
        match self.call("slapos.remarks", Vec::new()) {
            Err(ClientError::Fault { fault, .. }) if fault.code == fault::UNKNOWN_METHOD => {
                Ok(Vec::new())
            }
            answer => {
                let answer = answer?;
                let told = answer.as_array().unwrap_or_default().iter();
                Ok(told.filter_map(|one| Some(one.as_str()?.to_owned())).collect())
            }
        }
    }

    /// Waits until `done` says yes to the processes as they are, asking ten times a second.
    ///
    /// # Errors
    /// Those of any call; `Timeout` after `limit`.
    pub fn wait(&self, limit: Duration, done: impl Fn(&[ProcessInfo]) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !done(&self.all_process_info()?) {
            if begun.elapsed() > limit {
                let method = "supervisor.getAllProcessInfo".to_owned();
                return Err(ClientError::Timeout { method, limit });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Sends a signal (`HUP`, `USR1` ...) to a process.
    ///
    /// # Errors
    /// Those of any call; `BAD_NAME`, `BAD_SIGNAL`, `NOT_RUNNING`.
    pub fn signal(&self, namespec: &str, signal: &str) -> Result<()> {
        self.call("supervisor.signalProcess", vec![namespec.into(), signal.into()]).map(drop)
    }

    /// Has everything stopped and the daemon end. With `wait`, returns when nobody answers any
    /// more, at most after that time.
    ///
    /// # Errors
    /// Those of any call; `Timeout`.
    pub fn shutdown(&self, wait: Option<Duration>) -> Result<()> {
        let method = "supervisor.shutdown";
        self.call(method, Vec::new())?;
        let Some(limit) = wait else {
            return Ok(());
        };
        let begun = Instant::now();
        while self.pid().is_ok() {
            if begun.elapsed() > limit {
                let method = method.to_owned();
                return Err(ClientError::Timeout { method, limit });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Has the daemon execute its program anew, as it is on disk now; services go on. Returns when
    /// the new program answers, at most after `limit`.
    ///
    /// # Errors
    /// Those of any call; `FAILED` when the program on disk cannot run, and the present one goes on;
    /// `Timeout`.
    pub fn replace(&self, limit: Duration) -> Result<()> {
        let method = "slapos.replace";
        let old = self.call(method, Vec::new())?.as_int();
        let begun = Instant::now();
        loop {
            match self.call("slapos.generation", Vec::new()) {
                Ok(generation) if generation.as_int() != old => return Ok(()),
                Err(error) if error.fault_code() == Some(fault::FAILED) => return Err(error),
                // Whoever asks in the very moment is cut off.
                Ok(_) | Err(_) if begun.elapsed() > limit => {
                    return Err(ClientError::Timeout { method: method.to_owned(), limit });
                }
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What the processes use, where the kernel accounts for it: nothing elsewhere.
    ///
    /// # Errors
    /// Those of any call.
    pub fn usage(&self) -> Result<Vec<ProcessUsage>> {
        let rows = self.call("slapos.usage", Vec::new())?;
        let row = |row: &Value| ProcessUsage {
            namespec: format!("{}:{}", text(row, "group"), text(row, "name")),
            memory: count(row, "memory"),
            tasks: count(row, "tasks"),
            cpu_seconds: match row.member("cpu_seconds") {
                Some(Value::Double(seconds)) => Some(*seconds),
                _ => None,
            },
        };
        Ok(rows.as_array().unwrap_or_default().iter().map(row).collect())
    }

    /// Tells listeners something, as an event `REMOTE_COMMUNICATION`.
    ///
    /// # Errors
    /// Those of any call.
    pub fn send_event(&self, kind: &str, data: &str) -> Result<()> {
        let method = "supervisor.sendRemoteCommEvent";
        self.call(method, vec![kind.into(), data.into()]).map(drop)
    }

    fn many(
        &self,
        method: &str,
        name: Option<&str>,
        wait: Option<Duration>,
    ) -> Result<Vec<Status>> {
        let answer = self.wait_call(method, name, wait)?;
        let items = answer.as_array().unwrap_or_default().iter();
        let status = |item: &Value| Status {
            name: text(item, "name"),
            group: text(item, "group"),
            code: number(item, "status"),
            description: text(item, "description"),
        };
        Ok(items.map(status).collect())
    }

    fn wait_call(&self, method: &str, name: Option<&str>, wait: Option<Duration>) -> Result<Value> {
        let mut params: Vec<Value> = name.into_iter().map(Value::from).collect();
        params.push(wait.is_some().into());
        self.call_within(method, params, wait.unwrap_or(PATIENCE))
    }

    /// Calls any method.
    ///
    /// # Errors
    /// When nobody answers, when the answer is a fault, or makes no sense.
    pub fn call(&self, method: &str, params: Vec<Value>) -> Result<Value> {
        self.call_within(method, params, PATIENCE)
    }

    /// Calls any method and waits so long for its answer.
    ///
    /// # Errors
    /// As [`Client::call`], and `Timeout`.
    pub fn call_within(&self, method: &str, params: Vec<Value>, limit: Duration) -> Result<Value> {
        let target = params.first().and_then(Value::as_str).map(str::to_owned);
        let call = Call { method: method.to_owned(), params };
        let body =
            self.exchange(&xmlrpc::render_call(&call), limit).map_err(|source| {
                match source.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        ClientError::Timeout { method: method.to_owned(), limit }
                    }
                    _ => ClientError::Unreachable { socket: self.socket.clone(), source },
                }
            })?;
        let answer = content(&body).map_err(|reason| senseless(method, reason))?;
        let answer = xmlrpc::parse_response(answer);
        let answer = answer.map_err(|error| senseless(method, error.to_string()))?;
        answer.map_err(|fault| ClientError::Fault { method: method.to_owned(), target, fault })
    }

    fn exchange(&self, body: &str, limit: Duration) -> io::Result<String> {
        let mut stream = with_socket_path(&self.socket, |path| UnixStream::connect(path))?;
        // Zero would mean for ever.
        let limit = limit.max(Duration::from_millis(1));
        stream.set_write_timeout(Some(limit))?;
        stream.set_read_timeout(Some(limit))?;
        write!(
            stream,
            "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
        if answer.is_empty() {
            let closed = "the connection was closed without an answer";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, closed));
        }
        Ok(answer)
    }
}

/// The body of a response with status 200.
fn content(response: &str) -> std::result::Result<&str, String> {
    let (head, body) = response.split_once("\r\n\r\n").ok_or("it is not an HTTP response")?;
    let status = head.lines().next().unwrap_or_default();
    match status.split_whitespace().nth(1) {
        Some("200") => Ok(body),
        _ => Err(format!("{status}: {body}")),
    }
}

fn process_info(info: &Value) -> Option<ProcessInfo> {
    let integer = |name: &str| info.member(name).and_then(Value::as_int);
    Some(ProcessInfo {
        name: text(info, "name"),
        group: text(info, "group"),
        state: State::from_code(number(info, "state"))?,
        pid: integer("pid").and_then(|pid| u32::try_from(pid).ok().filter(|pid| *pid > 0)),
        start: integer("start").unwrap_or(0),
        stop: integer("stop").unwrap_or(0),
        exit_status: number(info, "exitstatus"),
        spawn_error: text(info, "spawnerr"),
        description: text(info, "description"),
        log: text(info, "stdout_logfile"),
    })
}

fn text(value: &Value, member: &str) -> String {
    let text = value.member(member).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn texts(value: &Value, member: &str) -> Vec<String> {
    let items = value.member(member).and_then(Value::as_array);
    let texts = items.unwrap_or_default().iter();
    texts.filter_map(|item| Some(item.as_str()?.to_owned())).collect()
}

fn count(value: &Value, member: &str) -> Option<u64> {
    value.member(member).and_then(Value::as_int).and_then(|number| u64::try_from(number).ok())
}

fn number(value: &Value, member: &str) -> i32 {
    let number = value.member(member).and_then(Value::as_int);
    number.and_then(|number| number.try_into().ok()).unwrap_or(-1)
}
