//! Typed words to and from [`Value`]s, for both ends of the wire. What one function here makes,
//! its counterpart reads back; both are also tested against documents of the original.

mod computer;
mod description;
mod instance;

use std::net::IpAddr;

use indexmap::IndexMap;

use crate::description::Route;
use crate::marshal::{Class, Object, Value};
use crate::words::PartitionId;

pub use computer::{
    computer_from_value, computer_to_value, partition_from_value, partition_of_document,
    partition_to_value,
};
pub use description::{described_partition_to_value, description_from_value, description_to_value};
pub use instance::{answer_from_value, answer_to_value, request_from_form, request_to_form};

/// A value of the right dialect that does not say what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConvertError(pub String);

impl From<crate::marshal::MarshalError> for ConvertError {
    fn from(error: crate::marshal::MarshalError) -> ConvertError {
        ConvertError(error.to_string())
    }
}

impl From<crate::words::UnknownWord> for ConvertError {
    fn from(error: crate::words::UnknownWord) -> ConvertError {
        ConvertError(error.to_string())
    }
}

/// The longest name of a partition, in bytes.
const MAX_PARTITION_NAME: usize = 64;

/// The partition of that name. Nodes make directories and files of these names, so that whatever
/// comes from the wire is looked at: `..`, for one, names no partition.
///
/// # Errors
/// For anything but 1 to 64 ASCII letters, digits, `_`, `-` and `.`, of which the first is neither
/// `-` nor `.`.
pub fn partition_id(text: &str) -> Result<PartitionId, ConvertError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let starts_well = text.bytes().next().is_some_and(|first| !b"-.".contains(&first));
    if starts_well && text.len() <= MAX_PARTITION_NAME && text.bytes().all(plain) {
        return Ok(PartitionId::new(text));
    }
    Err(ConvertError(format!(
        "{text:?} cannot name a partition: at most 64 letters, digits, `_`, `-` and `.`, and \
         neither `-` nor `.` at the start"
    )))
}

/// A dictionary of texts.
pub fn texts_to_value(texts: &IndexMap<String, String>) -> Value {
    Value::dict(texts.iter().map(|(key, text)| (key.clone(), Value::str(text))))
}

/// A dictionary whose values become text as Python's `str()` makes it; none is empty.
///
/// # Errors
/// When it is neither a dictionary nor none.
pub fn texts_from_value(value: &Value) -> Result<IndexMap<String, String>, ConvertError> {
    match value {
        Value::None => Ok(IndexMap::new()),
        Value::Dict(items) => {
            Ok(items.iter().map(|(key, item)| (key.clone(), item.to_text())).collect())
        }
        _ => Err(ConvertError("a dictionary is expected".to_owned())),
    }
}

/// A list of (interface, address).
pub fn ip_list_to_value(ips: &[(String, IpAddr)]) -> Value {
    Value::List(
        ips.iter()
            .map(|(name, ip)| Value::Tuple(vec![Value::str(name), Value::str(ip.to_string())]))
            .collect(),
    )
}

/// The pairs of a list; longer tuples (with gateway and netmask) are accepted.
///
/// # Errors
/// When it is another value, or an address is none.
pub fn ip_list_from_value(value: &Value) -> Result<Vec<(String, IpAddr)>, ConvertError> {
    let wrong = |what: &str| ConvertError(format!("ip_list: {what}"));
    let items = value.as_list().ok_or_else(|| wrong("a list is expected"))?;
    let mut ips = Vec::with_capacity(items.len());
    for item in items {
        let Some([Value::Str(name), Value::Str(ip), ..]) = item.as_list() else {
            return Err(wrong("an entry is not (interface, address)"));
        };
        ips.push((name.clone(), parse_ip(ip)?));
    }
    Ok(ips)
}

/// Five words each, as the original's Master sends them.
fn routes_to_value(routes: &[Route]) -> Value {
    let row = |route: &Route| {
        let addr = route.addr.to_string();
        let words = [&route.interface, &addr, &route.gateway, &route.netmask, &route.network];
        Value::Tuple(words.into_iter().map(Value::str).collect())
    };
    Value::List(routes.iter().map(row).collect())
}

/// Entries of another form, which some Masters send too, say nothing of a route.
fn routes_from_value(value: &Value) -> Result<Vec<Route>, ConvertError> {
    let wrong = || ConvertError("full_ip_list: a list is expected".to_owned());
    let mut routes = Vec::new();
    for item in value.as_list().ok_or_else(wrong)? {
        let Some([Value::Str(interface), Value::Str(ip), rest @ ..]) = item.as_list() else {
            continue;
        };
        if let [gateway, netmask, network] = rest {
            routes.push(Route {
                interface: interface.clone(),
                addr: parse_ip(ip)?,
                gateway: gateway.to_text(),
                netmask: netmask.to_text(),
                network: network.to_text(),
            });
        }
    }
    Ok(routes)
}

fn parse_ip(text: &str) -> Result<IpAddr, ConvertError> {
    text.parse().map_err(|_| ConvertError(format!("{text:?} is not an IP address")))
}

/// The object of that class.
fn object(value: &Value, class: Class) -> Result<&Object, ConvertError> {
    match value {
        Value::Object(object) if object.class == class => Ok(object),
        _ => Err(ConvertError(format!("an object of class {} is expected", class.as_str()))),
    }
}

/// Reads the entries of a dictionary, treating an absent entry and none alike.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a IndexMap<String, Value>);

impl<'a> Fields<'a> {
    fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| **value != Value::None)
    }

    /// The text under a key; other scalars are taken as Python's `str()` gives them.
    fn text(self, key: &str) -> Option<String> {
        self.get(key).map(Value::to_text)
    }

    fn require(self, key: &str) -> Result<String, ConvertError> {
        self.text(key).ok_or_else(|| ConvertError(format!("{key:?} is missing")))
    }

    fn list(self, key: &str) -> Result<&'a [Value], ConvertError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(value) => {
                value.as_list().ok_or_else(|| ConvertError(format!("{key:?} must be a list")))
            }
        }
    }

    fn texts(self, key: &str) -> Result<IndexMap<String, String>, ConvertError> {
        self.get(key).map_or_else(|| Ok(IndexMap::new()), texts_from_value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marshal::loads;

    #[test]
    fn only_plain_names_become_partitions() {
        let longest = "a".repeat(64);
        for name in ["slappart0", "a", "_", "0.b-c", longest.as_str()] {
            assert_eq!(partition_id(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(65);
        for name in
            ["", ".", "..", "../x", "/x", "a/b", "-a", ".a", "a b", "a\n", "é", "a\0", &long]
        {
            assert!(partition_id(name).unwrap_err().to_string().contains(&format!("{name:?}")));
        }
        insta::assert_snapshot!(partition_id("../x").unwrap_err(), @r#""../x" cannot name a partition: at most 64 letters, digits, `_`, `-` and `.`, and neither `-` nor `.` at the start"#);
    }

    #[test]
    fn no_way_from_the_wire_makes_a_partition_of_a_path() {
        let refused = |error: ConvertError| {
            let error = error.to_string();
            assert!(error.starts_with("\"../x\" cannot name a partition"), "{error}");
        };
        let object = "<object module='slapos.slap.slap' class='ComputerPartition'><tuple>\
            <string>c</string><string>../x</string></tuple><dictionary/></object>";
        refused(partition_from_value(&loads(object).unwrap()).unwrap_err());
        let described = "<dictionary><string>reference</string><string>c</string>\
            <string>partition_list</string><list><dictionary><string>reference</string>\
            <string>../x</string></dictionary></list></dictionary>";
        refused(description_from_value(&loads(described).unwrap()).unwrap_err());
        let answer = "<object module='slapos.slap.slap' class='SoftwareInstance'><tuple/>\
            <dictionary><string>slap_computer_partition_id</string><string>../x</string>\
            </dictionary></object>";
        refused(answer_from_value(&loads(answer).unwrap()).unwrap_err());
        let form = |name: &str| match name {
            "partition_reference" | "software_release" | "computer_id" => Some("c"),
            "computer_partition_id" => Some("../x"),
            _ => None,
        };
        refused(request_from_form(form).unwrap_err());
    }
}
