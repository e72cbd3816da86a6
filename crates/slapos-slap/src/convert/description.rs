//! The description of a formatted computer, which `slapos node format` sends.

use std::collections::HashSet;

use super::{ConvertError, Fields, parse_ip, partition_id};
use crate::description::{
    Address, ComputerDescription, InterfaceDescription, Ipv6Range, MachineDescription,
    PartitionDescription, TapDescription, UserDescription,
};
use crate::marshal::Value;
use crate::words::ComputerId;

/// The dictionary of a formatted computer, with all that the original's has.
pub fn description_to_value(description: &ComputerDescription) -> Value {
    let machine = &description.machine;
    let partitions = description.partitions.iter().map(described_partition_to_value);
    let interface = machine.interface.as_ref();
    Value::dict([
        ("reference", Value::str(description.reference.as_str())),
        ("address", or_none(&description.address)),
        ("netmask", or_none(&description.netmask)),
        ("partition_list", Value::List(partitions.collect())),
        ("interface", interface.map_or(Value::None, interface_to_value)),
        ("ipv6_interface", Value::optional(machine.ipv6_interface.as_deref())),
        ("partition_has_ipv6_range", Value::Bool(machine.partition_has_ipv6_range)),
        ("software_user", Value::str(&machine.software_user)),
        ("tap_gateway_interface", Value::str(&machine.tap_gateway_interface)),
        ("tap_ipv6", Value::Bool(machine.tap_ipv6)),
        ("software_root", Value::str(&machine.software_root)),
        ("instance_root", Value::str(&machine.instance_root)),
        ("instance_storage_home", Value::optional(machine.instance_storage_home.as_deref())),
        ("public_ipv4_address", Value::optional(machine.public_ipv4_address.as_deref())),
        ("os_type", Value::optional(machine.os_type.as_deref())),
        ("python_version", Value::optional(machine.python_version.as_deref())),
        ("slapos_version", Value::optional(machine.slapos_version.as_deref())),
    ])
}

fn or_none(text: &str) -> Value {
    Value::optional((!text.is_empty()).then_some(text))
}

fn interface_to_value(interface: &InterfaceDescription) -> Value {
    Value::dict([
        ("name", Value::str(&interface.name)),
        ("ipv4_local_network", Value::str(&interface.ipv4_local_network)),
        ("ipv6_interface", Value::str(&interface.ipv6_interface)),
        ("ipv6_prefixshift", Value::Int(i64::from(interface.ipv6_prefixshift))),
    ])
}

/// The dictionary of one partition, which is also what the partition itself is told.
pub fn described_partition_to_value(partition: &PartitionDescription) -> Value {
    let texts = |texts: &[String]| Value::List(texts.iter().map(Value::str).collect());
    let addresses = partition.addresses.iter().map(|address| {
        Value::dict([
            ("addr", Value::str(address.addr.to_string())),
            ("netmask", Value::str(&address.netmask)),
        ])
    });
    let user = Value::dict([
        ("name", Value::str(&partition.user.name)),
        ("shell", Value::str(&partition.user.shell)),
        ("path", Value::str(&partition.user.path)),
        ("additional_group_list", texts(&partition.user.groups)),
    ]);
    let mut entries = vec![
        ("reference", Value::str(partition.reference.as_str())),
        ("path", Value::str(&partition.path)),
        ("user", user),
        ("address_list", Value::List(addresses.collect())),
        ("ipv6_range", partition.ipv6_range.as_ref().map_or_else(empty, range_to_value)),
        ("tap", tap_to_value(&partition.tap)),
        ("tun", partition.tun.as_ref().map_or(Value::None, tap_to_value)),
        ("external_storage_list", texts(&partition.external_storage)),
    ];
    if let Some(capabilities) = &partition.capabilities {
        entries.push(("capability_list", texts(capabilities)));
    }
    Value::dict(entries)
}

fn empty() -> Value {
    Value::dict::<String>([])
}

fn range_to_value(range: &Ipv6Range) -> Value {
    Value::dict([
        ("addr", Value::str(&range.addr)),
        ("netmask", Value::str(&range.netmask)),
        ("network", Value::str(&range.network)),
        ("prefixlen", Value::Int(i64::from(range.prefixlen))),
    ])
}

fn tap_to_value(tap: &TapDescription) -> Value {
    Value::dict([
        ("name", Value::str(&tap.name)),
        ("ipv4_addr", Value::str(&tap.ipv4_addr)),
        ("ipv4_netmask", Value::str(&tap.ipv4_netmask)),
        ("ipv4_gateway", Value::str(&tap.ipv4_gateway)),
        ("ipv4_network", Value::str(&tap.ipv4_network)),
        ("ipv6_addr", Value::str(&tap.ipv6_addr)),
        ("ipv6_netmask", Value::str(&tap.ipv6_netmask)),
        ("ipv6_gateway", Value::str(&tap.ipv6_gateway)),
        ("ipv6_network", Value::str(&tap.ipv6_network)),
    ])
}

/// The formatted computer of a dictionary; what it has beyond our needs is ignored, and of what
/// older ones lack only the references are missed.
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
        machine: machine_from_fields(fields),
    })
}

fn machine_from_fields(fields: Fields<'_>) -> MachineDescription {
    let text = |key: &str| fields.text(key).unwrap_or_default();
    let truth = |key: &str| fields.get(key) == Some(&Value::Bool(true));
    let interface = fields.get("interface").and_then(Value::as_dict);
    MachineDescription {
        interface: interface.map(|interface| interface_from_fields(Fields(interface))),
        ipv6_interface: fields.text("ipv6_interface"),
        partition_has_ipv6_range: truth("partition_has_ipv6_range"),
        software_user: text("software_user"),
        tap_gateway_interface: text("tap_gateway_interface"),
        tap_ipv6: truth("tap_ipv6"),
        software_root: text("software_root"),
        instance_root: text("instance_root"),
        instance_storage_home: fields.text("instance_storage_home"),
        public_ipv4_address: fields.text("public_ipv4_address"),
        os_type: fields.text("os_type"),
        python_version: fields.text("python_version"),
        slapos_version: fields.text("slapos_version"),
    }
}

fn interface_from_fields(fields: Fields<'_>) -> InterfaceDescription {
    let text = |key: &str| fields.text(key).unwrap_or_default();
    InterfaceDescription {
        name: text("name"),
        ipv4_local_network: text("ipv4_local_network"),
        ipv6_interface: text("ipv6_interface"),
        ipv6_prefixshift: text("ipv6_prefixshift").parse().unwrap_or_default(),
    }
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
    let entries = |key: &str| fields.get(key).and_then(Value::as_dict).map(Fields);
    Ok(PartitionDescription {
        path: fields.text("path").unwrap_or_default(),
        user: entries("user").map(user_from_fields).transpose()?.unwrap_or_default(),
        ipv6_range: entries("ipv6_range").and_then(range_from_fields),
        tap: entries("tap").map(tap_from_fields).unwrap_or_default(),
        tun: entries("tun").map(tap_from_fields),
        external_storage: texts(fields, "external_storage_list")?,
        capabilities: match fields.get("capability_list") {
            None => None,
            Some(_) => Some(texts(fields, "capability_list")?),
        },
        reference,
        addresses,
    })
}

fn texts(fields: Fields<'_>, key: &str) -> Result<Vec<String>, ConvertError> {
    Ok(fields.list(key)?.iter().map(Value::to_text).collect())
}

fn user_from_fields(fields: Fields<'_>) -> Result<UserDescription, ConvertError> {
    let text = |key: &str| fields.text(key).unwrap_or_default();
    Ok(UserDescription {
        name: text("name"),
        shell: text("shell"),
        path: text("path"),
        groups: texts(fields, "additional_group_list")?,
    })
}

/// None for an empty dictionary, which is how the absence of a range is written.
fn range_from_fields(fields: Fields<'_>) -> Option<Ipv6Range> {
    Some(Ipv6Range {
        addr: fields.text("addr")?,
        netmask: fields.text("netmask").unwrap_or_default(),
        network: fields.text("network").unwrap_or_default(),
        prefixlen: fields.text("prefixlen")?.parse().ok()?,
    })
}

fn tap_from_fields(fields: Fields<'_>) -> TapDescription {
    let text = |key: &str| fields.text(key).unwrap_or_default();
    TapDescription {
        name: text("name"),
        ipv4_addr: text("ipv4_addr"),
        ipv4_netmask: text("ipv4_netmask"),
        ipv4_gateway: text("ipv4_gateway"),
        ipv4_network: text("ipv4_network"),
        ipv6_addr: text("ipv6_addr"),
        ipv6_netmask: text("ipv6_netmask"),
        ipv6_gateway: text("ipv6_gateway"),
        ipv6_network: text("ipv6_network"),
    }
}

fn fields_of(value: &Value) -> Result<Fields<'_>, ConvertError> {
    let wrong = || ConvertError("a dictionary is expected".to_owned());
    value.as_dict().map(Fields).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marshal::{dumps, loads};

    fn full() -> ComputerDescription {
        let address = |addr: &str, netmask: &str| Address {
            addr: addr.parse().unwrap(),
            netmask: netmask.to_owned(),
        };
        let mut partition =
            PartitionDescription::new("p0".into(), vec![address("2001:db8::2", "ffff:ffff::")]);
        partition.path = "/srv/p0".to_owned();
        partition.user = UserDescription {
            name: "u0".to_owned(),
            shell: "/bin/sh".to_owned(),
            path: "/srv/p0".to_owned(),
            groups: vec!["slapsoft".to_owned()],
        };
        partition.ipv6_range = Some(Ipv6Range {
            addr: "2001:db8:4001::".to_owned(),
            netmask: "ffff:ffff:ffff::".to_owned(),
            network: "2001:db8:4001::/48".to_owned(),
            prefixlen: 48,
        });
        partition.tap.name = "tap0".to_owned();
        partition.tap.ipv4_addr = "10.1.0.2".to_owned();
        partition.tun = Some(TapDescription { name: "tun0".to_owned(), ..Default::default() });
        partition.external_storage = vec!["/data1/p0".to_owned()];
        partition.capabilities = Some(vec!["x".to_owned()]);
        let mut computer = ComputerDescription::new("c".into(), vec![partition]);
        computer.address = "2001:db8::1".to_owned();
        computer.netmask = "ffff:ffff::".to_owned();
        computer.machine = MachineDescription {
            interface: Some(InterfaceDescription { ipv6_prefixshift: 16, ..Default::default() }),
            partition_has_ipv6_range: true,
            software_user: "slapsoft".to_owned(),
            os_type: Some("[]".to_owned()),
            ..Default::default()
        };
        computer
    }

    #[test]
    fn a_description_reads_back() {
        for description in [full(), ComputerDescription::new("c".into(), Vec::new())] {
            let document = dumps(&description_to_value(&description)).unwrap();
            assert_eq!(description_from_value(&loads(&document).unwrap()), Ok(description));
        }
    }

    #[test]
    fn a_tap_with_a_gateway_is_a_route() {
        let mut partition = full().partitions.remove(0);
        assert_eq!(partition.route(), None);
        assert_eq!(partition.interface_name(), "tap0");
        partition.tap.ipv4_gateway = "10.1.0.1".to_owned();
        partition.tap.ipv4_netmask = "255.255.0.0".to_owned();
        assert_eq!(partition.route().unwrap().interface, "route_tap0");
        partition.tap.name.clear();
        assert_eq!(partition.interface_name(), "p0");
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
