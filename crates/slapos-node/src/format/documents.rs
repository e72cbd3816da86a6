//! The files that say how this computer is formatted, in the forms of the original: `computer_xml`,
//! `computer_json`, the definition file, and `.slapos-resource` in each partition. Pure.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize as _;
use slapos_slap::convert::{described_partition_to_value, description_to_value};
use slapos_slap::marshal::dumps;
use slapos_slap::{ComputerDescription, PartitionDescription, Value};

use crate::config::NodeConfig;
use crate::error::NodeError;

/// What a partition has, for what runs in it to read.
pub const RESOURCE_FILE: &str = ".slapos-resource";

/// A file of the node's own.
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Whether former contents are kept beside it.
    pub(super) keep_history: bool,
}

/// The files that are to be written for the node, the record last.
///
/// # Errors
/// When a name cannot be written in XML.
pub(super) fn of_node(
    config: &NodeConfig,
    description: &ComputerDescription,
) -> Result<Vec<Document>, NodeError> {
    let format = &config.format;
    let plain = |path: &PathBuf, text| Document { path: path.clone(), text, keep_history: false };
    let mut documents = Vec::new();
    if let Some(path) = &format.output_definition_file {
        documents.push(plain(path, definition(description)));
    }
    if let Some(path) = &format.computer_json {
        documents.push(plain(path, json(description_to_value(description), "  ")));
    }
    let text = record(description)?;
    documents.push(Document { keep_history: true, ..plain(&format.computer_xml, text) });
    Ok(documents)
}

/// What a partition is told about itself.
pub(super) fn resource(partition: &PartitionDescription) -> String {
    json(described_partition_to_value(partition), "    ")
}

fn record(description: &ComputerDescription) -> Result<String, NodeError> {
    let wrong = |error| NodeError::user(format!("this computer cannot be described: {error}"));
    Ok(indent(&dumps(&description_to_value(description)).map_err(wrong)?))
}

/// As Python's `json.dumps(..., sort_keys=True, indent=...)` writes it.
fn json(value: Value, indent: &str) -> String {
    let mut value = serde_json::Value::from(value);
    value.sort_all_objects();
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // It writes to memory, and all keys are text: there is nothing that could fail.
    let _ = value.serialize(&mut serializer);
    ascii(&String::from_utf8_lossy(&bytes))
}

/// Other characters stand in texts only, where JSON can escape them.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// Puts each element of a document that has no white space between elements on lines of its own,
/// two spaces deeper than the one around it; texts stay as they are.
fn indent(document: &str) -> String {
    let mut out = String::with_capacity(document.len() * 2);
    let mut depth = 0_usize;
    let mut rest = document;
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
        let (text, tag) = (&rest[..start], &rest[start..end]);
        rest = &rest[end..];
        if tag.starts_with("</") {
            depth = depth.saturating_sub(1);
            match text.is_empty() && out.ends_with('\n') {
                true => line(&mut out, depth, tag),
                false => out.extend([text, tag, "\n"]),
            }
        } else if tag.ends_with("/>") {
            line(&mut out, depth, tag);
        } else if let Some(after) = rest.strip_prefix("</") {
            // An element with nothing in it.
            let end = after.find('>').map_or(after.len(), |end| end + 1);
            rest = &after[end..];
            line(&mut out, depth, &tag.replace('>', "/>"));
        } else {
            out.extend(std::iter::repeat_n("  ", depth));
            out.push_str(tag);
            if rest.starts_with('<') {
                out.push('\n');
            }
            depth += 1;
        }
    }
    out
}

fn line(out: &mut String, depth: usize, tag: &str) {
    out.extend(std::iter::repeat_n("  ", depth));
    out.extend([tag, "\n"]);
}

/// The same computer as a definition file, from which it can be formatted again.
fn definition(description: &ComputerDescription) -> String {
    let mut text = "[computer]\n".to_owned();
    if !description.address.is_empty() && !description.netmask.is_empty() {
        let _ = writeln!(text, "address = {}/{}", description.address, description.netmask);
    }
    let _ = writeln!(text, "software_user = {}\n", description.machine.software_user);
    for (number, partition) in description.partitions.iter().enumerate() {
        let addresses = partition.addresses.iter();
        let addresses: Vec<_> =
            addresses.map(|address| format!("{}/{}", address.addr, address.netmask)).collect();
        let _ = writeln!(text, "[partition_{number}]\naddress = {}", addresses.join(" "));
        if let Some(range) = &partition.ipv6_range {
            let _ = writeln!(text, "ipv6_range = {}", range.network);
        }
        let _ = writeln!(text, "user = {}", partition.user.name);
        let _ = writeln!(text, "network_interface = {}", partition.tap.name);
        let _ = writeln!(text, "pathname = {}", partition.reference);
        if let Some(capabilities) = &partition.capabilities {
            let _ = writeln!(text, "capability_list =");
            for capability in capabilities {
                let _ = writeln!(text, "  {capability}");
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_slap::Address;
    use slapos_slap::convert::description_from_value;
    use slapos_slap::marshal::loads;

    fn computer() -> ComputerDescription {
        let address =
            Address { addr: "10.0.0.1".parse().unwrap(), netmask: "255.255.255.255".to_owned() };
        let mut partition = PartitionDescription::new("slappart0".into(), vec![address]);
        partition.path = "/srv/é".to_owned();
        partition.user.name = "slapuser0".to_owned();
        partition.capabilities = Some(vec!["a b".to_owned()]);
        ComputerDescription::new("COMP-1".into(), vec![partition])
    }

    #[test]
    fn the_record_is_laid_out_and_reads_back() {
        let text = record(&computer()).unwrap();
        assert_eq!(description_from_value(&loads(&text).unwrap()), Ok(computer()));
        let value = Value::dict([
            ("a", Value::List(vec![])),
            ("b", Value::str("x<y")),
            ("c", Value::str("")),
            ("d", Value::List(vec![Value::None, Value::Int(1)])),
        ]);
        insta::assert_snapshot!(indent(&dumps(&value).unwrap()), @r#"
        <marshal>
          <dictionary id="i2">
            <string>a</string>
            <list id="i3"/>
            <string>b</string>
            <string>x&amp;lt;y</string>
            <string>c</string>
            <string/>
            <string>d</string>
            <list id="i4">
              <none/>
              <int>1</int>
            </list>
          </dictionary>
        </marshal>
        "#);
    }

    #[test]
    fn a_partition_is_told_what_it_has() {
        insta::assert_snapshot!(resource(&computer().partitions[0]), @r#"
        {
            "address_list": [
                {
                    "addr": "10.0.0.1",
                    "netmask": "255.255.255.255"
                }
            ],
            "capability_list": [
                "a b"
            ],
            "external_storage_list": [],
            "ipv6_range": {},
            "path": "/srv/\u00e9",
            "reference": "slappart0",
            "tap": {
                "ipv4_addr": "",
                "ipv4_gateway": "",
                "ipv4_netmask": "",
                "ipv4_network": "",
                "ipv6_addr": "",
                "ipv6_gateway": "",
                "ipv6_netmask": "",
                "ipv6_network": "",
                "name": ""
            },
            "tun": null,
            "user": {
                "additional_group_list": [],
                "name": "slapuser0",
                "path": "",
                "shell": ""
            }
        }
        "#);
    }

    #[test]
    fn the_definition_says_the_same() {
        insta::assert_snapshot!(definition(&computer()).replace(" \n", "\n"), @r"
        [computer]
        software_user =

        [partition_0]
        address = 10.0.0.1/255.255.255.255
        user = slapuser0
        network_interface =
        pathname = slappart0
        capability_list =
          a b
        ");
    }
}
