//! The dialect of `xml_marshaller` that classic SLAP speaks: a typed XML form of plain Python
//! values and of four SLAP classes.
//!
//! Invariants: what [`dumps`] writes is ASCII without white space between elements, and
//! [`loads`] reads it back to an equal value. [`loads`] works in bounded memory and stack
//! whatever it is given ([`MAX_DEPTH`], [`MAX_NODES`]), resolves no entity but XML's own, and
//! makes no object but of the four classes.

mod cut;
mod python;
mod read;
mod write;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use crate::xml::is_xml;
pub use cut::cut;
pub use read::loads;
pub use write::dumps;

/// How deep values may be nested.
pub const MAX_DEPTH: usize = 64;

/// How many values a document may contain, counting a referenced value again at each reference.
pub const MAX_NODES: usize = 1_000_000;

/// The module that all four classes belong to on the wire.
pub(crate) const MODULE: &str = "slapos.slap.slap";

/// A value that can travel.
///
/// As JSON (serde) it is what one expects: tuples are arrays, an object is its attributes.
/// Reading JSON gives lists and dictionaries, never tuples or objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "serde_json::Value", from = "serde_json::Value")]
pub enum Value {
    /// Nothing.
    None,
    /// Truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A double.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A dictionary with text keys; written in the order of its keys.
    Dict(IndexMap<String, Value>),
    /// An object of one of the four classes.
    Object(Box<Object>),
}

impl From<&serde_json::Value> for Value {
    /// The value that Python reads from that JSON. Whole numbers beyond 64 bits with a sign become the
    /// text of their digits.
    fn from(json: &serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::None,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => match (number.as_i64(), number.is_u64()) {
                (Some(number), _) => Value::Int(number),
                (None, true) => Value::str(number.to_string()),
                (None, false) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::str(text),
            Json::Array(items) => Value::List(items.iter().map(Value::from).collect()),
            Json::Object(entries) => {
                let entries = entries.iter().map(|(key, item)| (key.clone(), Value::from(item)));
                Value::Dict(entries.collect())
            }
        }
    }
}

/// An object: its class, what it was made with, and its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its class.
    pub class: Class,
    /// The arguments of its making.
    pub initargs: Vec<Value>,
    /// Its attributes.
    pub attributes: IndexMap<String, Value>,
}

/// The classes that may travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A computer.
    Computer,
    /// A Computer Partition.
    ComputerPartition,
    /// A Software Release.
    SoftwareRelease,
    /// The answer to a request.
    SoftwareInstance,
}

impl Class {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Computer => "Computer",
            Class::ComputerPartition => "ComputerPartition",
            Class::SoftwareRelease => "SoftwareRelease",
            Class::SoftwareInstance => "SoftwareInstance",
        }
    }

    /// The class of that name.
    fn from_wire(module: &str, name: &str) -> Option<Class> {
        let known = [
            Class::Computer,
            Class::ComputerPartition,
            Class::SoftwareRelease,
            Class::SoftwareInstance,
        ];
        known.into_iter().find(|class| module == MODULE && class.as_str() == name)
    }
}

/// A document that cannot be read, or a value that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarshalError {
    /// Not well-formed XML.
    #[error("not well-formed XML at byte {at}: {reason}")]
    Xml {
        /// Where in the document, in bytes.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// Well-formed, but not this dialect.
    #[error("not a marshalled value at byte {at}: {reason}")]
    Form {
        /// Where in the document, in bytes.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// Too deep or too large.
    #[error("marshalled value refused: {0}")]
    TooBig(String),
    /// An object of a class that is not allowed to travel.
    #[error("objects of class {module}.{class} may not be marshalled")]
    ForbiddenClass {
        /// The module named by the document.
        module: String,
        /// The class named by the document.
        class: String,
    },
    /// Text with a character that XML does not have.
    #[error("the character U+{:04X} cannot be written in XML; remove it from {text:?}", u32::from(*.character))]
    Character {
        /// The character.
        character: char,
        /// The beginning of the text that has it.
        text: String,
    },
}

impl Value {
    /// A text value.
    pub fn str(text: impl Into<String>) -> Value {
        Value::Str(text.into())
    }

    /// A text value, or none.
    pub fn optional(text: Option<impl Into<String>>) -> Value {
        text.map_or(Value::None, Value::str)
    }

    /// A dictionary.
    pub fn dict<K: Into<String>>(items: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Dict(items.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// An object.
    pub fn object(
        class: Class,
        initargs: Vec<Value>,
        attributes: IndexMap<String, Value>,
    ) -> Value {
        Value::Object(Box::new(Object { class, initargs, attributes }))
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is a list or a tuple.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if it is a dictionary.
    pub fn as_dict(&self) -> Option<&IndexMap<String, Value>> {
        match self {
            Value::Dict(items) => Some(items),
            _ => None,
        }
    }

    /// The value as Python's `repr()` writes it, in quotes if it is text.
    pub fn repr(&self) -> String {
        python::repr(self)
    }

    /// The value as the text that Python's `str()` gives, which is how SLAP stores parameters
    /// that are not text.
    pub fn to_text(&self) -> String {
        match self {
            Value::Str(text) => text.clone(),
            other => python::repr(other),
        }
    }
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> serde_json::Value {
        match value {
            Value::None => serde_json::Value::Null,
            Value::Bool(truth) => truth.into(),
            Value::Int(number) => number.into(),
            Value::Float(number) => number.into(),
            Value::Str(text) => text.into(),
            Value::List(items) | Value::Tuple(items) => {
                items.into_iter().map(serde_json::Value::from).collect()
            }
            Value::Dict(items) => to_json_object(items),
            Value::Object(object) => to_json_object(object.attributes),
        }
    }
}

fn to_json_object(items: IndexMap<String, Value>) -> serde_json::Value {
    items.into_iter().map(|(key, value)| (key, serde_json::Value::from(value))).collect()
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::None,
            serde_json::Value::Bool(truth) => Value::Bool(truth),
            serde_json::Value::Number(number) => number
                .as_i64()
                .map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
            serde_json::Value::String(text) => Value::Str(text),
            serde_json::Value::Array(items) => {
                Value::List(items.into_iter().map(Value::from).collect())
            }
            serde_json::Value::Object(items) => {
                Value::Dict(items.into_iter().map(|(key, item)| (key, Value::from(item))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests;
