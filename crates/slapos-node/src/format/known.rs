//! What is known of the partitions before a run: what the former one recorded, or what a definition
//! file says.
//!
//! Names read here become paths, users and interfaces on this machine, so each is looked at.

use std::path::Path;

use slapos_config::Config;
use slapos_slap::convert::{description_from_value, partition_id};
use slapos_slap::marshal::loads;
use slapos_slap::{
    Address, ComputerDescription, Ipv6Range, PartitionDescription, TapDescription, UserDescription,
};
use slapos_sys::fs;

use super::ipv6::Prefix;
use crate::config::NodeConfig;
use crate::error::{IoContext, NodeError};

/// The longest record that is read, bytes.
const LONGEST: u64 = 256 << 20;

/// Where knowledge comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// There is none.
    #[default]
    Nothing,
    /// The record of a former run.
    Record,
    /// A definition file.
    Definition,
}

/// What is known before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// From where.
    pub origin: Origin,
    /// The computer.
    pub computer: Option<ComputerDescription>,
}

/// Reads the definition file if one is given, else the record if there is one.
///
/// # Errors
/// When it cannot be read or names something that cannot be; when there are to be fewer partitions
/// than there were.
pub(super) fn read(config: &NodeConfig) -> Result<Known, NodeError> {
    let known = match &config.format.input_definition_file {
        Some(path) => {
            Known { origin: Origin::Definition, computer: Some(read_definition(config, path)?) }
        }
        None => read_record(config)?,
    };
    if let Some(computer) = &known.computer {
        computer.partitions.iter().try_for_each(check_names)?;
        let builder = &computer.machine.software_user;
        if known.origin == Origin::Definition && !is_user(builder) {
            return Err(NodeError::user(format!("a user `{builder}` cannot build"))
                .hint("software_user must name an ordinary user: nothing compiles as root"));
        }
    }
    Ok(known)
}

fn read_record(config: &NodeConfig) -> Result<Known, NodeError> {
    let path = &config.format.computer_xml;
    let text = match fs::read_to_string_limited(path, LONGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Known::default()),
        Err(error) => return Err(error).context("read", path),
    };
    let wrong = |error: &dyn std::fmt::Display| {
        NodeError::user(format!("{} is damaged: {error}", path.display())).hint(format!(
            "former versions of it are in {}.zip; without it, partitions may get other addresses",
            path.display()
        ))
    };
    let value = loads(&text).map_err(|error| wrong(&error))?;
    let computer = description_from_value(&value).map_err(|error| wrong(&error))?;
    refuse_to_shrink(config, &computer)?;
    Ok(Known { origin: Origin::Record, computer: Some(computer) })
}

/// A partition that is gone from the configuration may still hold somebody's data.
fn refuse_to_shrink(config: &NodeConfig, computer: &ComputerDescription) -> Result<(), NodeError> {
    let (wanted, found) = (config.format.partition_amount as usize, computer.partitions.len());
    if wanted >= found {
        return Ok(());
    }
    Err(NodeError::user(format!(
        "partition_amount = {wanted} is less than the {found} partitions that this computer has"
    ))
    .hint(format!(
        "set it to {found} again; to give partitions up, destroy their instances and take them out of {}",
        config.format.computer_xml.display()
    )))
}

fn read_definition(config: &NodeConfig, path: &Path) -> Result<ComputerDescription, NodeError> {
    let file = Config::read(path)?;
    let partitions = (0..config.format.partition_amount).map(|index| definition(&file, index));
    let partitions = partitions.collect::<Result<_, NodeError>>()?;
    let mut computer = ComputerDescription::new(config.computer_id.clone(), partitions);
    let user = file.get("computer", "software_user").filter(|user| !user.is_empty());
    computer.machine.software_user = user.unwrap_or(&config.format.software_user).to_owned();
    if let Some(address) = file.get("computer", "address").filter(|text| !text.is_empty()) {
        let (addr, netmask) = address.split_once('/').ok_or_else(|| {
            let message = format!("`address` must be ADDRESS/NETMASK, not `{address}`");
            NodeError::from(file.error("computer", "address", message))
        })?;
        (computer.address, computer.netmask) = (addr.to_owned(), netmask.to_owned());
    }
    Ok(computer)
}

fn definition(file: &Config, index: u32) -> Result<PartitionDescription, NodeError> {
    let section = format!("partition_{index}");
    let wrong = |option: &str, message: String| file.error(&section, option, message);
    let required = |option: &str| {
        file.get(&section, option)
            .ok_or_else(|| wrong(option, format!("[{section}] needs the option `{option}`")))
    };
    let reference = partition_id(required("pathname")?)
        .map_err(|error| wrong("pathname", error.to_string()))?;
    let addresses = required("address")?.split_whitespace().map(|text| {
        address(text)
            .ok_or_else(|| wrong("address", format!("`{text}` is not of the form ADDRESS/NETMASK")))
    });
    let mut partition = PartitionDescription::new(reference, addresses.collect::<Result<_, _>>()?);
    partition.user =
        UserDescription { name: required("user")?.to_owned(), ..UserDescription::default() };
    let name = required("network_interface")?.to_owned();
    partition.tap = TapDescription { name, ..TapDescription::default() };
    if let Some(text) = file.get(&section, "ipv6_range").filter(|text| !text.is_empty()) {
        let message = || wrong("ipv6_range", format!("`{text}` is not of the form ADDRESS/LENGTH"));
        partition.ipv6_range = Some(range(text).ok_or_else(message)?);
    }
    let capabilities = file.get(&section, "capability_list").map(str::lines);
    partition.capabilities = capabilities.map(|lines| {
        lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    });
    Ok(partition)
}

fn address(text: &str) -> Option<Address> {
    let (addr, netmask) = text.split_once('/')?;
    Some(Address { addr: addr.parse().ok()?, netmask: netmask.to_owned() })
}

fn range(text: &str) -> Option<Ipv6Range> {
    let (addr, len) = text.split_once('/')?;
    let prefix =
        Prefix { addr: addr.parse().ok()?, len: len.parse().ok().filter(|len| *len <= 128)? };
    Some(Ipv6Range {
        addr: addr.to_owned(),
        netmask: prefix.netmask(),
        network: text.to_owned(),
        prefixlen: prefix.len,
    })
}

/// Whether an ordinary user can have that name.
fn is_user(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let well = !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(fine);
    well && name != "root"
}

/// The names of users and interfaces; that of the partition is known to be fine.
fn check_names(partition: &PartitionDescription) -> Result<(), NodeError> {
    let user = partition.user.name.as_str();
    let reference = &partition.reference;
    if !user.is_empty() && !is_user(user) {
        return Err(NodeError::user(format!("{reference} cannot belong to a user `{user}`"))
            .hint("a partition belongs to an ordinary user: nothing of it runs as root"));
    }
    let interfaces = [Some(&partition.tap), partition.tun.as_ref()];
    for name in interfaces.into_iter().flatten().map(|interface| &interface.name) {
        let fine = |c: char| c.is_ascii_graphic() && !"/:".contains(c);
        if name.len() > 15 || name.starts_with(['-', '.']) || !name.chars().all(fine) {
            return Err(NodeError::user(format!(
                "{reference}: `{name}` cannot be the name of a network interface"
            ))
            .hint("the kernel takes at most 15 characters, none of them `/` or `:`"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
mod tests {
    use super::*;

    fn read_with(amount: u32, option: &str, name: &str, text: &str) -> Result<Known, NodeError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        let config = format!(
            "[slapos]\nsoftware_root = /r/soft\ninstance_root = /r/inst\nmaster_url = http://127.0.0.1:1\ncomputer_id = c\n[slapformat]\npartition_amount = {amount}\n{option} = {}\n",
            file.display()
        );
        let config = Config::parse(&config, "s").unwrap();
        let read = read(&NodeConfig::from_config(&config, Path::new("s")).unwrap());
        read.map_err(|error| {
            NodeError::user(error.to_string().replace(&file.display().to_string(), name))
        })
    }

    const DEFINITION: &str = "[computer]\naddress = 2001:db8::1/ffff::\n[partition_0]\naddress = 10.0.0.1/255.255.255.255 ::1/ffff::\npathname = part0\nuser = alice\nnetwork_interface = tap0\nipv6_range = 2001:db8:1::/48\ncapability_list =\n  a\n  b c\n";

    #[test]
    fn a_definition_says_all_of_a_partition() {
        let known = read_with(1, "input_definition_file", "def", DEFINITION).unwrap();
        assert_eq!(known.origin, Origin::Definition);
        let computer = known.computer.unwrap();
        assert_eq!(
            (computer.address.as_str(), computer.netmask.as_str()),
            ("2001:db8::1", "ffff::")
        );
        assert_eq!(computer.machine.software_user, "slapsoft");
        let partition = &computer.partitions[0];
        assert_eq!(partition.addresses.len(), 2);
        assert_eq!(partition.ipv6_range.as_ref().unwrap().netmask, "ffff:ffff:ffff::");
        assert_eq!(partition.capabilities.as_deref().unwrap(), ["a", "b c"]);
    }

    #[test]
    fn what_a_definition_lacks_or_must_not_say_is_named() {
        let refusal = |from: &str, to: &str| {
            let text = DEFINITION.replace(from, to);
            read_with(1, "input_definition_file", "def", &text).unwrap_err().to_string()
        };
        insta::assert_snapshot!(refusal("user = alice\n", ""), @"def:3: [partition_0] needs the option `user`");
        insta::assert_snapshot!(refusal("partition_0", "partition_1"), @"def:1: [partition_0] needs the option `pathname`");
        insta::assert_snapshot!(refusal("= part0", "= ../x"), @r#"def:5: "../x" cannot name a partition: at most 64 letters, digits, `_`, `-` and `.`, and neither `-` nor `.` at the start"#);
        insta::assert_snapshot!(refusal("alice", "root"), @"part0 cannot belong to a user `root`");
        insta::assert_snapshot!(refusal("alice", "-x"), @"part0 cannot belong to a user `-x`");
        insta::assert_snapshot!(refusal("[computer]", "[computer]\nsoftware_user = root"), @"a user `root` cannot build");
        insta::assert_snapshot!(refusal("tap0", "a/b"), @"part0: `a/b` cannot be the name of a network interface");
        insta::assert_snapshot!(refusal("::1/ffff::", "::1"), @"def:4: `::1` is not of the form ADDRESS/NETMASK");
        insta::assert_snapshot!(refusal("::/48", "::/x"), @"def:8: `2001:db8:1::/x` is not of the form ADDRESS/LENGTH");
    }

    #[test]
    fn partitions_are_not_given_up_by_lowering_a_number() {
        let part = "<dictionary><string>reference</string><string>NAME</string></dictionary>";
        let parts: String = ["p0", "p1"].map(|name| part.replace("NAME", name)).concat();
        let record = format!(
            "<marshal><dictionary>\n<string>reference</string><string>c</string>\n<string>partition_list</string><list>{parts}</list></dictionary></marshal>\n"
        );
        assert!(read_with(2, "computer_xml", "x", &record).is_ok());
        let fewer = read_with(1, "computer_xml", "x", &record).unwrap_err();
        insta::assert_snapshot!(fewer, @"partition_amount = 1 is less than the 2 partitions that this computer has");
        let damaged = read_with(2, "computer_xml", "x", "<marshal>").unwrap_err();
        assert!(damaged.to_string().starts_with("x is damaged: "), "{damaged}");
    }
}
