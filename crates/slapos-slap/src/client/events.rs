//! Listening to what changes on a computer; see [`crate::Change`] for the form.
//!
//! Invariant: a listener that hears nothing for [`PATIENCE`], not even a sign of life, is told that
//! the Master is unreachable, however the connection broke.

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::Duration;

use ureq::BodyReader;

use super::SlapClient;
use crate::change::{Change, EVENTS_ROUTE, RESYNC};
use crate::error::SlapError;
use crate::words::ComputerId;

/// The longest silence: three heartbeats of our Master.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// How much of a message's data is enough, in bytes: no line is read beyond it.
const MAX_DATA: usize = 64 << 10;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// That the connection lives.
    Alive,
    /// To look at everything: something may have been missed.
    Resync,
    /// What changed.
    Change(Change),
}

/// A connection on which a Master tells what changes on a computer.
pub struct EventStream {
    reader: BufReader<BodyReader<'static>>,
    url: String,
    message: Message,
    position: Option<String>,
}

impl SlapClient {
    /// Listens to what changes on a computer, from `since` on, which is the
    /// [`position`](EventStream::position) that an earlier stream had come to.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when it is another kind of Master (or does not know the computer).
    pub fn events(
        &self,
        computer: &ComputerId,
        since: Option<&str>,
    ) -> Result<EventStream, SlapError> {
        let mut query = vec![("computer", computer.as_str())];
        query.extend(since.map(|position| ("since", position)));
        let body = self.transport.listen(EVENTS_ROUTE, &query, PATIENCE)?;
        Ok(EventStream {
            reader: BufReader::new(body),
            url: self.base_url().to_owned(),
            message: Message::default(),
            position: since.map(str::to_owned),
        })
    }
}

impl EventStream {
    /// Waits for what is to be heard next.
    ///
    /// # Errors
    /// [`SlapError::Unreachable`] when the connection ended; listen again then.
    /// [`SlapError::Protocol`] when what was said is not understood.
    pub fn hear(&mut self) -> Result<Heard, SlapError> {
        loop {
            let line = self.line()?;
            let Some(raw) = self.message.add(&line) else { continue };
            let heard = match raw.name.as_str() {
                _ if raw.is_comment => return Ok(Heard::Alive),
                RESYNC => Heard::Resync,
                "change" => Heard::Change(serde_json::from_str(&raw.data).map_err(|error| {
                    let reason = format!("{EVENTS_ROUTE}: {error}");
                    SlapError::Protocol { url: self.url.clone(), reason }
                })?),
                // What a later Master says beside.
                _ => Heard::Alive,
            };
            if let Some(id) = raw.id {
                self.position = Some(id);
            }
            return Ok(heard);
        }
    }

    /// How far it has come: where another stream may go on.
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    fn line(&mut self) -> Result<String, SlapError> {
        let gone = |reason: String| SlapError::Unreachable { url: self.url.clone(), reason };
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| gone(error.to_string()))?;
        match line.last() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            _ => Err(gone("it ended the connection".to_owned())),
        }
    }
}

/// A message as it comes, line by line.
#[derive(Debug, Default)]
struct Message {
    name: String,
    data: String,
    id: Option<String>,
    is_comment: bool,
}

impl Message {
    /// Adds a line without its end; gives the message that it completes.
    fn add(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let whole = std::mem::take(self);
            let empty = whole.name.is_empty() && whole.data.is_empty() && whole.id.is_none();
            return (!empty).then_some(whole);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Some(Message { is_comment: true, ..Message::default() }),
            "event" => value.clone_into(&mut self.name),
            "id" => self.id = Some(value.to_owned()),
            // What is cut off here is not understood later.
            "data" if self.data.len() >= MAX_DATA => {}
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(text: &str) -> Vec<String> {
        let mut message = Message::default();
        let shown = |m: Message| match m.is_comment {
            true => "alive".to_owned(),
            false => format!("{}|{}|{}", m.name, m.data, m.id.unwrap_or_default()),
        };
        text.lines().filter_map(|line| message.add(line)).map(shown).collect()
    }

    #[test]
    fn messages_end_with_an_empty_line() {
        let text = "event: change\nid: a-1\ndata: {}\n\n:\n\n\nevent:resync\ndata\nid: a-2\n\n";
        assert_eq!(messages(text), ["change|{}|a-1", "alive", "resync||a-2"]);
        assert_eq!(messages("data: a\ndata:  b\nretry: 7\n\n"), ["|a\n b|"]);
        assert_eq!(messages("event: change\ndata: cut off"), [""; 0]);
    }

    #[test]
    fn a_message_that_does_not_end_is_bounded() {
        let mut message = Message::default();
        let line = format!("data: {}", "x".repeat(1000));
        (0..1000).for_each(|_| assert!(message.add(&line).is_none()));
        assert!(message.data.len() < MAX_DATA + line.len());
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(lines in proptest::collection::vec(".{0,20}", 0..20)) {
            let mut message = Message::default();
            for line in lines {
                let _ = message.add(&line);
            }
        }
    }
}
