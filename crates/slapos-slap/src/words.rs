//! The small words of SLAP: names and states. A name never changes its meaning by being passed
//! where another kind of name is expected, because each kind is its own type.

use std::fmt;
use std::str::FromStr;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

/// The software type of an instance whose request names none.
pub const DEFAULT_SOFTWARE_TYPE: &str = "default";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is: the Master decides what it accepts.
            pub fn new(text: impl Into<String>) -> $name {
                $name(text.into())
            }

            /// The name as written on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> $name {
                $name(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> $name {
                $name(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The reference of a computer at its Master, such as `COMP-1`.
    ComputerId
}
name! {
    /// The reference of a Computer Partition within its computer, such as `slappart0`.
    PartitionId
}
name! {
    /// The name that a requester gave to an instance; unique within its instance tree.
    InstanceTitle
}
name! {
    /// The URL, or absolute path, of a Software Release's profile.
    SoftwareUrl
}

impl SoftwareUrl {
    /// The name of the Software Release's directory under the software root: 32 hex digits.
    pub fn md5_hex(&self) -> String {
        Md5::digest(self.0.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A state name that SLAP does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not a state: expected {expected}")]
pub struct UnknownWord {
    /// What was found.
    pub word: String,
    /// The accepted words, for people.
    pub expected: &'static str,
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $($(#[$vdoc:meta])* $variant:ident = $text:literal),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// The word used on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<$name, UnknownWord> {
                match word {
                    $($text => Ok($name::$variant),)+
                    _ => Err(UnknownWord { word: word.to_owned(), expected: $expected }),
                }
            }
        }
    };
}

states! {
    /// What is wanted of an instance. The order goes from most to least alive.
    InstanceState, "started, stopped or destroyed",
    /// Deployed, and its services run.
    Started = "started",
    /// Deployed, and its services do not run.
    Stopped = "stopped",
    /// To be removed; also the state of a free partition.
    Destroyed = "destroyed"
}

states! {
    /// What is wanted of a Software Release on a computer.
    SoftwareState, "available or destroyed",
    /// To be built and kept.
    Available = "available",
    /// To be removed.
    Destroyed = "destroyed"
}

states! {
    /// Whether a computer takes new instances. Those that it has stay in any case.
    AllocationScope, "open, closed or drain",
    /// It takes them.
    Open = "open",
    /// It takes none.
    Closed = "closed",
    /// It takes none, and is to become empty: what remains is told.
    Drain = "drain"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_of_a_url_names_its_directory() {
        assert_eq!(SoftwareUrl::new("").md5_hex(), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn states_read_back() {
        assert_eq!("stopped".parse(), Ok(InstanceState::Stopped));
        assert_eq!(
            "Stopped".parse::<InstanceState>().unwrap_err().to_string(),
            "\"Stopped\" is not a state: expected started, stopped or destroyed"
        );
        assert!(InstanceState::Started < InstanceState::Destroyed);
    }
}
