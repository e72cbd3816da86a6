//! What a Master tells a node the moment it happens: the events of `GET /api/v1/events`, which only
//! our own Master has.
//!
//! The stream is in the form of server-sent events. An event is a [`Change`] as one line of JSON;
//! its `id` says how far the listener has come, and is sent back as `Last-Event-ID` (or as the
//! parameter `since`) to go on there. The event named [`RESYNC`] says that the listener has to look
//! at everything, because what it missed is not kept. Lines that begin with a colon say that the
//! connection lives.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::convert::partition_id;
use crate::words::{PartitionId, SoftwareUrl};

/// The route, below the Master's URL; its parameters are `computer` and `since`.
pub const EVENTS_ROUTE: &str = "api/v1/events";

/// The name of the event that is no change.
pub const RESYNC: &str = "resync";

/// Something that changed and concerns a computer. It says where to look, and nothing of what is
/// there: parameters and what is published are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The partition that it happened to; all of the computer, or none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "checked")]
    pub partition: Option<PartitionId>,
    /// The Software Release that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<SoftwareUrl>,
    /// What is wanted, or what was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ChangeKind {
    /// An instance was asked for, or asked for differently.
    Request,
    /// A Software Release is wanted, or no longer.
    Supply,
    /// Somebody wants the partition, or all of them, processed again.
    Bang,
    /// Another instance published something to this one, which asked for it.
    Connection,
    /// The instance got another title.
    Rename,
    /// The partition has become free.
    Free,
    /// The computer was formatted.
    Format,
    /// A node said how something is.
    Report,
    /// Somebody wants the services of the instance started anew.
    Restart,
    /// What the computer may be used for was changed.
    Settings,
    /// Something that a later Master knows.
    Other,
}

impl ChangeKind {
    const WORDS: [(ChangeKind, &'static str); 10] = [
        (ChangeKind::Request, "request"),
        (ChangeKind::Supply, "supply"),
        (ChangeKind::Bang, "bang"),
        (ChangeKind::Connection, "connection"),
        (ChangeKind::Rename, "rename"),
        (ChangeKind::Free, "free"),
        (ChangeKind::Format, "format"),
        (ChangeKind::Report, "report"),
        (ChangeKind::Restart, "restart"),
        (ChangeKind::Settings, "settings"),
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(kind, _)| *kind == self);
        found.map_or("other", |(_, word)| word)
    }
}

impl std::str::FromStr for ChangeKind {
    type Err = std::convert::Infallible;

    /// An unknown word is [`ChangeKind::Other`].
    fn from_str(text: &str) -> Result<ChangeKind, Self::Err> {
        let found = Self::WORDS.iter().find(|(_, word)| *word == text);
        Ok(found.map_or(ChangeKind::Other, |(kind, _)| *kind))
    }
}

impl From<String> for ChangeKind {
    fn from(text: String) -> ChangeKind {
        text.parse().unwrap_or(ChangeKind::Other)
    }
}

impl From<ChangeKind> for String {
    fn from(kind: ChangeKind) -> String {
        kind.as_str().to_owned()
    }
}

impl Change {
    /// A change of nothing in particular.
    pub fn new(kind: ChangeKind) -> Change {
        Change { kind, partition: None, software: None, state: None }
    }

    /// A change of an instance.
    pub fn of_partition(kind: ChangeKind, partition: &PartitionId) -> Change {
        Change { partition: Some(partition.clone()), ..Change::new(kind) }
    }

    /// A change of a Software Release.
    pub fn of_software(kind: ChangeKind, software: &SoftwareUrl) -> Change {
        Change { software: Some(software.clone()), ..Change::new(kind) }
    }

    /// The same, with what is wanted or was reported.
    #[must_use]
    pub fn state(self, state: impl Into<String>) -> Change {
        Change { state: Some(state.into()), ..self }
    }
}

/// The name of a partition, with the check that all names from the wire have.
fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PartitionId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| partition_id(&text)).transpose().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_short_line() {
        let change =
            Change::of_partition(ChangeKind::Request, &"slappart0".into()).state("started");
        let text = serde_json::to_string(&change).unwrap();
        insta::assert_snapshot!(text, @r#"{"kind":"request","partition":"slappart0","state":"started"}"#);
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        let supply = Change::of_software(ChangeKind::Supply, &SoftwareUrl::new("/s.cfg"));
        insta::assert_snapshot!(serde_json::to_string(&supply).unwrap(), @r#"{"kind":"supply","software":"/s.cfg"}"#);
    }

    #[test]
    fn every_word_is_that_of_its_json() {
        for (kind, word) in ChangeKind::WORDS {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{word}\""));
            assert_eq!(word.parse::<ChangeKind>().unwrap(), kind);
            assert_eq!(kind.as_str(), word);
        }
        assert_eq!("new".parse::<ChangeKind>().unwrap(), ChangeKind::Other);
    }

    #[test]
    fn what_a_later_master_adds_is_understood_as_something() {
        let change: Change = serde_json::from_str(r#"{"kind":"moon","phase":3}"#).unwrap();
        assert_eq!(change, Change::new(ChangeKind::Other));
        let path = r#"{"kind":"request","partition":"../x"}"#;
        let error = serde_json::from_str::<Change>(path).unwrap_err().to_string();
        assert!(error.starts_with("\"../x\" cannot name a partition"), "{error}");
    }
}
