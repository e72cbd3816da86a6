//! Supervisor's events: what they are called, who wants which, and the lines in which a listener
//! hears of them and answers.
//!
//! Names, headers and payloads are supervisor's, so that listeners written for it understand them.
//! Absent: events about what programs print (`PROCESS_LOG`, `PROCESS_COMMUNICATION`). Programs
//! write their logs themselves, past the daemon.

use serde::{Deserialize, Serialize};

use crate::state::State;

/// How many events wait for a busy listener, unless it says otherwise.
const BUFFER: u32 = 10;

/// Families and members that can be asked for.
const NAMES: &[&str] = &[
    "EVENT",
    "PROCESS_STATE",
    "PROCESS_STATE_STARTING",
    "PROCESS_STATE_RUNNING",
    "PROCESS_STATE_BACKOFF",
    "PROCESS_STATE_STOPPING",
    "PROCESS_STATE_EXITED",
    "PROCESS_STATE_STOPPED",
    "PROCESS_STATE_FATAL",
    "PROCESS_STATE_UNKNOWN",
    "PROCESS_GROUP",
    "PROCESS_GROUP_ADDED",
    "PROCESS_GROUP_REMOVED",
    "REMOTE_COMMUNICATION",
    "SUPERVISOR_STATE_CHANGE",
    "SUPERVISOR_STATE_CHANGE_RUNNING",
    "SUPERVISOR_STATE_CHANGE_STOPPING",
    "TICK",
    "TICK_5",
    "TICK_60",
    "TICK_3600",
];

/// What makes a program an event listener: its standard input and output belong to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The events that it wants, or families of them.
    pub events: Vec<String>,
    /// How many events wait for it at most; the oldest is dropped.
    pub buffer_size: u32,
}

impl Listener {
    /// A listener to these events, as `events` of its section lists them.
    ///
    /// # Errors
    /// Words for a name that is unknown, or that never comes.
    pub fn new(events: &str) -> Result<Self, String> {
        let names = events.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut wanted = Vec::new();
        for name in names {
            if name.starts_with("PROCESS_LOG") || name.starts_with("PROCESS_COMMUNICATION") {
                return Err(format!(
                    "`{name}` never comes: programs write their logs themselves; follow the file"
                ));
            }
            if !NAMES.contains(&name) {
                return Err(format!("`{name}` is no event; known are {}", NAMES.join(", ")));
            }
            wanted.push(name.to_owned());
        }
        match wanted.is_empty() {
            true => Err("name at least one event, such as PROCESS_STATE_EXITED".to_owned()),
            false => Ok(Self { events: wanted, buffer_size: BUFFER }),
        }
    }

    /// Whether it wants the event of that name.
    pub fn wants(&self, name: &str) -> bool {
        let in_family = |family: &str| {
            name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        self.events.iter().any(|wanted| wanted == "EVENT" || in_family(wanted))
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// Counts all events of a daemon.
    pub(crate) serial: u64,
    pub(crate) name: String,
    pub(crate) payload: String,
}

impl Notice {
    /// As it is written to a listener: the header line, then the payload.
    pub(crate) fn render(&self, pool: &str, pool_serial: u64) -> String {
        let Self { serial, name, payload } = self;
        let length = payload.len();
        format!(
            "ver:3.0 server:supervisor serial:{serial} pool:{pool} poolserial:{pool_serial} \
             eventname:{name} len:{length}\n{payload}"
        )
    }
}

/// A change of state of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) process: &'a str,
    pub(crate) group: &'a str,
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) pid: u32,
    /// Failed attempts so far.
    pub(crate) tries: u32,
    /// The exit code is one that the program's definition expects.
    pub(crate) expected: bool,
}

impl Change<'_> {
    /// The event's name and payload.
    pub(crate) fn words(&self) -> (String, String) {
        let Self { process, group, pid, tries, .. } = self;
        let head =
            format!("processname:{process} groupname:{group} from_state:{}", self.from.name());
        let payload = match self.to {
            State::Starting | State::Backoff => format!("{head} tries:{tries}"),
            State::Running | State::Stopping | State::Stopped => format!("{head} pid:{pid}"),
            State::Exited => format!("{head} expected:{} pid:{pid}", u8::from(self.expected)),
            State::Fatal => head,
        };
        (format!("PROCESS_STATE_{}", self.to.name()), payload)
    }
}

/// What a listener says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It waits for an event.
    Ready,
    /// It is done with the event; `false`: it could not, and wants it again.
    Done(bool),
}

/// Understands what a listener writes: `READY\n`, and `RESULT 2\nOK` for each event.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    heard: Vec<u8>,
}

impl Hearing {
    /// No line of the protocol is longer.
    const LONGEST_LINE: usize = 32;
    /// No result is longer.
    const LONGEST_RESULT: usize = 4096;

    /// Takes what was read and gives what it says.
    ///
    /// # Errors
    /// When it is not the protocol; nothing sensible comes after that.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Said>, String> {
        self.heard.extend_from_slice(bytes);
        let mut said = Vec::new();
        while let Some((word, length)) = self.next()? {
            self.heard.drain(..length);
            said.push(word);
        }
        Ok(said)
    }

    /// The first word, if it is there as a whole, and how many bytes it takes.
    fn next(&self) -> Result<Option<(Said, usize)>, String> {
        let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') else {
            let too_long = self.heard.len() > Self::LONGEST_LINE;
            return if too_long { Err(self.garbage()) } else { Ok(None) };
        };
        let line = String::from_utf8_lossy(self.heard.get(..end).unwrap_or_default());
        if line == "READY" {
            return Ok(Some((Said::Ready, end + 1)));
        }
        let length = line.strip_prefix("RESULT ").and_then(|number| number.trim().parse().ok());
        let length = length.filter(|length| *length <= Self::LONGEST_RESULT);
        let length: usize = length.ok_or_else(|| self.garbage())?;
        let result = self.heard.get(end + 1..end + 1 + length);
        Ok(result.map(|result| (Said::Done(result == b"OK"), end + 1 + length)))
    }

    fn garbage(&self) -> String {
        let shown = self.heard.get(..Self::LONGEST_LINE).unwrap_or(&self.heard);
        format!("{:?} is neither READY nor RESULT", String::from_utf8_lossy(shown))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn families_are_asked_for_by_their_name() {
        let listener = Listener::new("PROCESS_STATE, TICK_60").unwrap();
        assert!(listener.wants("PROCESS_STATE_EXITED") && listener.wants("TICK_60"));
        assert!(!listener.wants("TICK_5") && !listener.wants("PROCESS_STATELESS"));
        assert!(Listener::new("EVENT").unwrap().wants("REMOTE_COMMUNICATION"));
        insta::assert_snapshot!(
            Listener::new("PROCESS_LOG_STDOUT").unwrap_err(),
            @"`PROCESS_LOG_STDOUT` never comes: programs write their logs themselves; follow the file"
        );
        assert!(
            Listener::new("PROCESS_DANCE").unwrap_err().contains("is no event; known are EVENT")
        );
        assert!(Listener::new(" , ").is_err());
    }

    #[test]
    fn an_event_reads_like_supervisors() {
        let change = Change {
            process: "web-on-watch",
            group: "slappart0",
            from: State::Running,
            to: State::Exited,
            pid: 7,
            tries: 0,
            expected: false,
        };
        let (name, payload) = change.words();
        let notice = Notice { serial: 21, name, payload };
        insta::assert_snapshot!(notice.render("watchdog", 10), @r"
        ver:3.0 server:supervisor serial:21 pool:watchdog poolserial:10 eventname:PROCESS_STATE_EXITED len:80
        processname:web-on-watch groupname:slappart0 from_state:RUNNING expected:0 pid:7
        ");
        let to = |to| Change { to, tries: 2, ..change }.words().1;
        insta::assert_snapshot!(to(State::Backoff), @"processname:web-on-watch groupname:slappart0 from_state:RUNNING tries:2");
        insta::assert_snapshot!(to(State::Fatal), @"processname:web-on-watch groupname:slappart0 from_state:RUNNING");
    }

    #[test]
    fn what_is_not_the_protocol_is_told_apart() {
        let mut hearing = Hearing::default();
        assert_eq!(hearing.hear(b"REA").unwrap(), []);
        assert_eq!(hearing.hear(b"DY\nRESULT 2\nO").unwrap(), [Said::Ready]);
        assert_eq!(
            hearing.hear(b"KRESULT 4\nFAIL").unwrap(),
            [Said::Done(true), Said::Done(false)]
        );
        insta::assert_snapshot!(
            hearing.hear(b"Traceback\n").unwrap_err(),
            @r#""Traceback\n" is neither READY nor RESULT"#
        );
        assert!(Hearing::default().hear(&[b'x'; 40]).is_err());
        assert!(Hearing::default().hear(b"RESULT 9999999\n").is_err());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_it_is_cut(cuts in proptest::collection::vec(1usize..9, 0..20)) {
            let text = b"READY\nRESULT 2\nOKREADY\nRESULT 4\nFAILREADY\n";
            let mut hearing = Hearing::default();
            let (mut said, mut rest) = (Vec::new(), &text[..]);
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                said.extend(hearing.hear(now).unwrap());
                rest = later;
            }
            said.extend(hearing.hear(rest).unwrap());
            let whole = [Said::Ready, Said::Done(true), Said::Ready, Said::Done(false), Said::Ready];
            prop_assert_eq!(said, whole);
        }
    }
}
