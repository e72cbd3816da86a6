//! Reading, following and emptying the logs of processes.

use super::{Client, Result};
use crate::client::error::senseless;
use crate::fault;

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// What was added since the offset; what is not text is replaced.
    pub text: String,
    /// The offset for the next call, in bytes.
    pub offset: u64,
    /// Something before it was skipped because it was too long.
    pub skipped: bool,
}

/// What was added to a log that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// What was added; what is not text is replaced.
    pub text: String,
    /// Where to go on: an argument of the next call.
    pub position: String,
    /// Something before it is no more: it was dropped with the oldest backups.
    pub lost: bool,
    /// There is more of it already.
    pub more: bool,
}

impl Client {
    /// What was added to the log of a process after `offset`, at most the last `length` bytes.
    ///
    /// # Errors
    /// Those of any call; `BAD_NAME`, `NO_FILE`.
    pub fn tail(&self, namespec: &str, offset: u64, length: u32) -> Result<Tail> {
        let method = "supervisor.tailProcessStdoutLog";
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let params = vec![namespec.into(), offset.into(), i64::from(length).into()];
        match self.call(method, params)?.as_array() {
            Some([text, offset, skipped]) => Ok(Tail {
                text: text.as_str().unwrap_or_default().to_owned(),
                offset: u64::try_from(offset.as_int().unwrap_or(0)).unwrap_or(0),
                skipped: skipped.as_bool().unwrap_or(false),
            }),
            _ => Err(senseless(method, "it does not have three parts")),
        }
    }

    /// Empties the log of a process and removes its backups.
    ///
    /// # Errors
    /// Those of any call; `BAD_NAME`, `FAILED`.
    pub fn clear_logs(&self, namespec: &str) -> Result<()> {
        self.call("supervisor.clearProcessLogs", vec![namespec.into()]).map(drop)
    }

    /// What was added to the log of a process after `position`, at most `length` bytes, through all
    /// rotations; with an empty `position`, the last `length` bytes.
    ///
    /// # Errors
    /// Those of any call; `BAD_NAME`, `NO_FILE`.
    pub fn follow(&self, namespec: &str, position: &str, length: u32) -> Result<Followed> {
        let method = "slapos.follow";
        let params = vec![namespec.into(), position.into(), i64::from(length).into()];
        let answer = match self.call(method, params) {
            Err(error) if error.fault_code() == Some(fault::UNKNOWN_METHOD) => {
                return self.follow_foreign(namespec, position, length);
            }
            other => other?,
        };
        match answer.as_array() {
            Some([text, position, lost, more]) => Ok(Followed {
                text: text.as_str().unwrap_or_default().to_owned(),
                position: position.as_str().unwrap_or_default().to_owned(),
                lost: lost.as_bool().unwrap_or(false),
                more: more.as_bool().unwrap_or(false),
            }),
            _ => Err(senseless(method, "it does not have four parts")),
        }
    }

    /// At a supervisor without that method, as Python's: a position is an offset, and rotations may lose lines.
    fn follow_foreign(&self, namespec: &str, position: &str, length: u32) -> Result<Followed> {
        let tail = self.tail(namespec, position.parse().unwrap_or(0), length)?;
        let position = tail.offset.to_string();
        Ok(Followed { text: tail.text, position, lost: tail.skipped, more: false })
    }
}
