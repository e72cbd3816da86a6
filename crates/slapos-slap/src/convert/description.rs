//! The description of a formatted computer, which `slapos node format` sends.

use std::collections::HashSet;

use super::{ConvertError, Fields, parse_ip, partition_id};
use crate::marshal::Value;
use crate::types::{Address, ComputerDescription, PartitionDescription};
use crate::words::ComputerId;

/// The dictionary of a formatted computer.
pub fn description_to_value(description: &ComputerDescription) -> Value {
    Value::dict([
        ("reference", Value::str(description.reference.as_str())),
        ("address", Value::str(&description.address)),
        ("netmask", Value::str(&description.netmask)),
        (
            "partition_list",
            Value::List(description.partitions.iter().map(partition_to_value).collect()),
        ),
    ])
}

fn partition_to_value(partition: &PartitionDescription) -> Value {
    let addresses = partition.addresses.iter().map(|address| {
        Value::dict([
            ("addr", Value::str(address.addr.to_string())),
            ("netmask", Value::str(&address.netmask)),
        ])
    });
    let tap = Value::str(partition.tap.as_deref().unwrap_or(""));
    Value::dict([
        ("reference", Value::str(partition.reference.as_str())),
        ("address_list", Value::List(addresses.collect())),
        ("tap", Value::dict([("name", tap)])),
    ])
}

/// The formatted computer of a dictionary; what it has beyond our needs is ignored.
///
/// # Errors
/// When something is missing, an address is not one, or two partitions have one reference.
pub fn description_from_value(value: &Value) -> Result<ComputerDescription, ConvertError> {
    let fields = fields_of(value)?;
    let mut partitions = Vec::new();
    let mut seen = HashSet::new();
    for item in fields.list("partition_list")? {
        let partition = partition_from_value(item)?;
        if !seen.insert(partition.reference.clone()) {
            let name = partition.reference;
            return Err(ConvertError(format!("partition {name} is described twice")));
        }
        partitions.push(partition);
    }
    let reference = fields.require("reference")?;
    if reference.is_empty() {
        return Err(ConvertError("the computer's \"reference\" is empty".to_owned()));
    }
    Ok(ComputerDescription {
        reference: ComputerId::new(reference),
        address: fields.text("address").unwrap_or_default(),
        netmask: fields.text("netmask").unwrap_or_default(),
        partitions,
    })
}

fn partition_from_value(value: &Value) -> Result<PartitionDescription, ConvertError> {
    let fields = fields_of(value)?;
    let reference = partition_id(&fields.require("reference")?)?;
    let mut addresses = Vec::new();
    for item in fields.list("address_list")? {
        let address = fields_of(item)?;
        addresses.push(Address {
            addr: parse_ip(&address.require("addr")?)
                .map_err(|error| ConvertError(format!("partition {reference}: {error}")))?,
            netmask: address.text("netmask").unwrap_or_default(),
        });
    }
    let tap = fields.get("tap").and_then(Value::as_dict);
    let tap = tap.and_then(|tap| Fields(tap).text("name")).filter(|name| !name.is_empty());
    Ok(PartitionDescription { reference, addresses, tap })
}

fn fields_of(value: &Value) -> Result<Fields<'_>, ConvertError> {
    let wrong = || ConvertError("a dictionary is expected".to_owned());
    value.as_dict().map(Fields).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marshal::loads;

    #[test]
    fn a_description_reads_back() {
        let description = ComputerDescription {
            reference: "c".into(),
            address: "10.0.0.1".to_owned(),
            netmask: "255.0.0.0".to_owned(),
            partitions: vec![PartitionDescription {
                reference: "p0".into(),
                addresses: vec![Address {
                    addr: "::1".parse().unwrap(),
                    netmask: "ffff::".to_owned(),
                }],
                tap: Some("tap0".to_owned()),
            }],
        };
        let value = description_to_value(&description);
        assert_eq!(description_from_value(&value), Ok(description));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refusal = |partitions: &str| {
            let document = format!(
                "<dictionary><string>reference</string><string>c</string>\
                 <string>partition_list</string><list>{partitions}</list></dictionary>"
            );
            description_from_value(&loads(&document).unwrap()).unwrap_err().to_string()
        };
        let part = "<dictionary><string>reference</string><string>p</string></dictionary>";
        assert_eq!(refusal(&part.repeat(2)), "partition p is described twice");
        assert_eq!(refusal("<dictionary/>"), "\"reference\" is missing");
        let address = "<dictionary><string>addr</string><string>x</string></dictionary>";
        let bad = part.replace(
            "</dictionary>",
            &format!("<string>address_list</string><list>{address}</list></dictionary>"),
        );
        assert_eq!(refusal(&bad), "partition p: \"x\" is not an IP address");
    }
}
