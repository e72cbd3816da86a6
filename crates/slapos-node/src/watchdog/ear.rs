//! What the supervisor tells a listener, and how it is answered.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

/// No header and no payload is longer.
const LONGEST: u64 = 64 << 10;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) payload: String,
}

/// The end of a supervised process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) process: String,
    pub(super) group: String,
    /// It is not started again.
    given_up: bool,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, group, given_up } = self;
        let what = if *given_up { "ends again and again and was given up" } else { "ended" };
        write!(f, "service {process} of {group} {what}")
    }
}

/// Writes an answer.
pub(super) fn say(output: &mut impl Write, text: &str) -> io::Result<()> {
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Waits for the next event; `None` when the supervisor hung up.
pub(super) fn next(input: &mut impl BufRead) -> io::Result<Option<Event>> {
    let mut header = String::new();
    if input.by_ref().take(LONGEST).read_line(&mut header)? == 0 {
        return Ok(None);
    }
    let fields = fields(&header);
    let nonsense = || {
        io::Error::new(io::ErrorKind::InvalidData, format!("{header:?} is no header of an event"))
    };
    let name = *fields.get("eventname").ok_or_else(nonsense)?;
    let length: u64 = fields.get("len").and_then(|len| len.parse().ok()).ok_or_else(nonsense)?;
    if length > LONGEST {
        return Err(nonsense());
    }
    let mut payload = Vec::new();
    let name = name.to_owned();
    if input.by_ref().take(length).read_to_end(&mut payload)? as u64 != length {
        return Ok(None);
    }
    Ok(Some(Event { name, payload: String::from_utf8_lossy(&payload).into_owned() }))
}

/// The end that an event tells of, if it does.
pub(super) fn ended(event: &Event) -> Option<Ended> {
    let given_up = match event.name.as_str() {
        // One that ends too soon is waited for and tried again; the first time is worth a bang.
        "PROCESS_STATE_EXITED" | "PROCESS_STATE_BACKOFF" => false,
        "PROCESS_STATE_FATAL" => true,
        _ => return None,
    };
    let fields = fields(&event.payload);
    let field = |name: &str| fields.get(name).map(|value| (*value).to_owned());
    Some(Ended { process: field("processname")?, group: field("groupname")?, given_up })
}

fn fields(text: &str) -> HashMap<&str, &str> {
    text.split_whitespace().filter_map(|word| word.split_once(':')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_one_after_the_other() {
        let text = "ver:3.0 server:supervisor serial:1 pool:watchdog poolserial:0 \
                    eventname:PROCESS_STATE_EXITED len:61\nprocessname:web-on-watch groupname:p \
                    expected:0 pid:7 x:éver:3.0 eventname:TICK_5 len:6\nwhen:1";
        let mut input = text.as_bytes();
        let first = next(&mut input).unwrap().unwrap();
        let ended = ended(&first).unwrap();
        insta::assert_snapshot!(ended.to_string(), @"service web-on-watch of p ended");
        let second = next(&mut input).unwrap().unwrap();
        assert_eq!((second.name.as_str(), second.payload.as_str()), ("TICK_5", "when:1"));
        assert_eq!(super::ended(&second), None);
        assert_eq!(next(&mut input).unwrap(), None);
        assert!(next(&mut &b"hello\n"[..]).is_err());
        assert!(next(&mut &b"eventname:X len:99999999\n"[..]).is_err());
    }
}
