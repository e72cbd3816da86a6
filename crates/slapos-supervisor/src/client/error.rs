//! Why a call failed, in words for people.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::fault;
use crate::xmlrpc::Fault;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("no supervisor answers at {}: {source}", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The answer takes longer than the caller wanted to wait.
    #[error("the supervisor did not {} within {} s", doing(method), limit.as_secs_f32())]
    Timeout {
        /// The method.
        method: String,
        /// How long it was waited.
        limit: Duration,
    },
    /// The supervisor refused the call.
    #[error("cannot {}", refusal(method, target.as_deref(), fault))]
    Fault {
        /// The method.
        method: String,
        /// The process or group that it was about, if it named one.
        target: Option<String>,
        /// Code and text, see [`crate::fault`].
        fault: Fault,
    },
    /// The answer makes no sense.
    #[error(
        "the supervisor was asked to {}, and its answer makes no sense: {reason}",
        doing(method)
    )]
    Protocol {
        /// The method.
        method: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// The fault code, if the supervisor refused the call.
    pub fn fault_code(&self) -> Option<i32> {
        match self {
            Self::Fault { fault, .. } => Some(fault.code),
            _ => None,
        }
    }
}

/// What a method does, as people say it.
fn doing(method: &str) -> String {
    let words = match method.rsplit('.').next().unwrap_or(method) {
        "startProcess" | "startProcessGroup" => "start",
        "stopProcess" | "stopProcessGroup" => "stop",
        "startAllProcesses" => "start everything",
        "stopAllProcesses" => "stop everything",
        "signalProcess" | "signalProcessGroup" => "send a signal to",
        "update" | "reloadConfig" => "update its programs",
        "replace" | "generation" => "execute its program anew",
        "shutdown" => "stop everything and end",
        "getProcessInfo" => "tell the state of",
        "getAllProcessInfo" => "tell the state of its programs",
        "getPID" | "getState" => "tell its own state",
        "tailProcessStdoutLog" | "readProcessStdoutLog" => "read the log of",
        "clearProcessLogs" => "clear the log of",
        _ => return format!("answer `{method}`"),
    };
    words.to_owned()
}

/// What could not be done and why, to follow "cannot".
fn refusal(method: &str, target: Option<&str>, fault: &Fault) -> String {
    let name = fault::name(fault.code);
    let about = fault.text.strip_prefix(name).unwrap_or(&fault.text);
    let about = about.trim_start_matches([':', ' ']);
    let mut what = doing(method);
    if let Some(target) = target {
        what = format!("{what} {target}");
    }
    // The target is not said twice.
    let detail = target.and_then(|target| about.strip_prefix(target)).unwrap_or(about);
    let detail = detail.trim_start_matches([':', ' ']);
    let because = |reason: &str| match detail {
        "" => format!("{what}: {reason}"),
        detail => format!("{what}: {reason}: {detail}"),
    };
    match fault.code {
        fault::BAD_NAME => because("there is no such program or group"),
        fault::ALREADY_STARTED => because("it is already started"),
        fault::NOT_RUNNING => because("it is not running"),
        fault::ABNORMAL_TERMINATION => because("it ended before it counted as running"),
        fault::SHUTDOWN_STATE => because("the supervisor is shutting down"),
        fault::CANT_REREAD => because("a definition is wrong"),
        fault::NO_FILE => because("there is no such file"),
        fault::BAD_SIGNAL => because("there is no such signal"),
        fault::STILL_RUNNING => because("it still runs"),
        fault::ALREADY_ADDED => because("it is there already"),
        _ if detail.is_empty() => because("the supervisor does not say why"),
        _ => format!("{what}: {detail}"),
    }
}

/// An answer that is none.
pub(super) fn senseless(method: &str, reason: impl Into<String>) -> ClientError {
    ClientError::Protocol { method: method.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &str, target: Option<&str>, code: i32, about: &str) -> String {
        let (method, target) = (format!("supervisor.{method}"), target.map(str::to_owned));
        let error = ClientError::Fault { method, target, fault: fault::fault(code, about) };
        assert_eq!(error.fault_code(), Some(code));
        error.to_string()
    }

    #[test]
    fn faults_read_as_sentences() {
        let missing = "p:web: cannot start /bin/x: No such file or directory";
        insta::assert_snapshot!(
            told("startProcess", Some("p:web"), fault::SPAWN_ERROR, missing),
            @"cannot start p:web: cannot start /bin/x: No such file or directory"
        );
        insta::assert_snapshot!(
            told("stopProcess", Some("p:web"), fault::NOT_RUNNING, "p:web"),
            @"cannot stop p:web: it is not running"
        );
        insta::assert_snapshot!(
            told("startProcessGroup", Some("nix"), fault::BAD_NAME, "nix"),
            @"cannot start nix: there is no such program or group"
        );
        insta::assert_snapshot!(
            told("update", None, fault::CANT_REREAD, "a.conf:3: what?"),
            @"cannot update its programs: a definition is wrong: a.conf:3: what?"
        );
        insta::assert_snapshot!(
            told("startAllProcesses", None, fault::SHUTDOWN_STATE, ""),
            @"cannot start everything: the supervisor is shutting down"
        );
        insta::assert_snapshot!(
            told("odd", None, 77, "so it is"),
            @"cannot answer `supervisor.odd`: so it is"
        );
    }
}
