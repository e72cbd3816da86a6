//! Ports of the machine that lead to a partition: `.slapos-port-redirect` lists them, and the
//! supervisor runs one socat for each (manager `portredir`), in the group `<partition>-socat`.
//!
//! socat runs as the partition's user; for a port below 1024 it starts as root and serves each
//! connection as the partition's user. Without the file, or while the instance is stopped, there is
//! none.

use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use slapos_slap::{ComputerPartition, InstanceState, PartitionId};
use slapos_supervisor::{AutoRestart, ProgramSpec};

use super::Hook;
use super::planted::{self, Planted};
use super::scene::{Member, Occasion, Scene};
use crate::command;
use crate::error::NodeError;
use crate::services;
use crate::worker::Service;

const FILE: &str = ".slapos-port-redirect";
/// Ports below need root to be listened on.
const FIRST_FREE: u16 = 1024;

/// See the module.
pub(super) struct Portredir;

impl Hook for Portredir {
    fn name(&self) -> &'static str {
        "portredir"
    }

    fn instance_tear_down(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
    ) -> Result<(), NodeError> {
        let runs = member.occasion != Occasion::Going
            && member.partition.requested_state == InstanceState::Started;
        let entries = match runs {
            true => planted::list(scene, member, FILE)?,
            false => Planted::Absent,
        };
        let entries = match entries {
            Planted::Bad => return Ok(()),
            Planted::Absent => Vec::new(),
            Planted::Said(entries) => entries,
        };
        let redirects = redirects(&entries, member.partition, |why| {
            scene.warn(member, &format!("{FILE}: {why}"));
        });
        let group = group_of(&member.partition.id);
        if redirects.is_empty() {
            // What a killed run took away without stopping it was stopped when this run began.
            return match services::is_defined(scene.node, &group) {
                true => services::stop(scene.node, &group),
                false => Ok(()),
            };
        }
        let programs = programs(scene, member, &redirects)?;
        if services::define_group(scene.node, &group, &member.partition.id, programs)? {
            scene.note(member, &format!("{} ports lead to it", redirects.len()));
        }
        // Also when the definition is as it was: a killed run may have got no further than that.
        services::update(&services::supervisor(scene.node)?, group.as_str()).map(drop)
    }

    fn removed(&self, scene: &Scene<'_, '_>, partition: &PartitionId) -> Result<(), NodeError> {
        // Also where nothing is defined any more: a killed run may have got no further than that.
        services::stop(scene.node, &group_of(partition))
    }
}

fn group_of(partition: &PartitionId) -> PartitionId {
    PartitionId::new(format!("{partition}-socat"))
}

/// One entry as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default, rename = "type")]
    protocol: Option<String>,
    src_port: Port,
    src_address: Option<IpAddr>,
    dest_port: Port,
    dest_address: Option<IpAddr>,
}

/// A port, as number or text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Port(u16);

impl TryFrom<serde_json::Value> for Port {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let number = match &value {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
        };
        let port = number.filter(|port| *port != 0).map(Self);
        port.ok_or_else(|| format!("{value} is no port"))
    }
}

/// One redirection.
#[derive(Debug, PartialEq, Eq)]
struct Redirect {
    udp: bool,
    source: (Option<IpAddr>, u16),
    destination: (IpAddr, u16),
}

/// The redirections of `entries`; `warn` is called with what is wrong about others. No two listen
/// on the same port.
fn redirects(
    entries: &[serde_json::Value],
    partition: &ComputerPartition,
    mut warn: impl FnMut(&str),
) -> Vec<Redirect> {
    let mut found: Vec<Redirect> = Vec::new();
    for entry in entries {
        match redirect(entry, partition) {
            Ok(new) if found.iter().any(|known| known.name() == new.name()) => {
                warn(&format!("{entry}: {} is there already", new.name()));
            }
            Ok(new) => found.push(new),
            Err(why) => warn(&format!("{entry}: {why}")),
        }
    }
    found
}

fn redirect(entry: &serde_json::Value, partition: &ComputerPartition) -> Result<Redirect, String> {
    let entry = Entry::deserialize(entry).map_err(|error| error.to_string())?;
    let udp = match entry.protocol.as_deref().unwrap_or("tcp").to_lowercase().as_str() {
        "tcp" => false,
        "udp" => true,
        other => return Err(format!("`{other}` is neither tcp nor udp")),
    };
    let mut own = partition.addresses().map(|(_, address)| address).filter(IpAddr::is_ipv6);
    let destination = entry.dest_address.or_else(|| own.next());
    let destination = destination.ok_or("it has no destAddress, and the partition no IPv6 one")?;
    Ok(Redirect {
        udp,
        source: (entry.src_address, entry.src_port.0),
        destination: (destination, entry.dest_port.0),
    })
}

impl Redirect {
    /// The original's name for its process.
    fn name(&self) -> String {
        let protocol = if self.udp { "udp" } else { "tcp" };
        format!("socat-{protocol}-{}", self.source.1)
    }

    fn needs_root(&self) -> bool {
        self.source.1 < FIRST_FREE
    }

    /// socat's two arguments.
    fn arguments(&self, user: &str) -> [String; 2] {
        let protocol = if self.udp { "UDP" } else { "TCP" };
        let version = |address: IpAddr| if address.is_ipv6() { 6 } else { 4 };
        let text = |address: IpAddr| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let (source, port) = self.source;
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut from = format!("{protocol}{}-LISTEN:{port}", version(source.unwrap_or(any)));
        if let Some(source) = source {
            from += &format!(",bind={}", text(source));
        }
        from += ",fork";
        if self.needs_root() {
            from += &format!(",su={user}");
        }
        let (address, port) = self.destination;
        [from, format!("{protocol}{}:{}:{port}", version(address), text(address))]
    }
}

fn programs(
    scene: &Scene<'_, '_>,
    member: &Member<'_>,
    redirects: &[Redirect],
) -> Result<Vec<ProgramSpec>, NodeError> {
    let socat = command::find("socat").ok_or_else(|| {
        NodeError::user("socat is not installed, and manager portredir needs it")
            .hint("install it (Debian: package socat)")
    })?;
    let (directory, owner) = (member.directory(scene), member.owner(scene)?);
    let logs = scene.node.config.instance_root.join("var/log");
    let program = |redirect: &Redirect| {
        let service = Service { name: redirect.name(), path: socat.clone(), watched: false };
        let group = group_of(&member.partition.id);
        let mut program = services::program(&group, &directory, &owner, &service);
        program.command.extend(redirect.arguments(&owner.name));
        program.autorestart = AutoRestart::Always;
        program.startsecs = 1;
        if redirect.needs_root() {
            start_as_root(&mut program, &logs);
        }
        program
    };
    Ok(redirects.iter().map(program).collect())
}

/// As the supervisor's own user; where the partition cannot put anything in its way.
fn start_as_root(program: &mut ProgramSpec, logs: &std::path::Path) {
    program.user = None;
    program.group = None;
    program.directory = None;
    program.environment.retain(|name, _| name == "PATH" || name == "LANG");
    program.stdout_logfile = Some(logs.join(format!("{}.log", program.program)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> ComputerPartition {
        let mut partition = ComputerPartition::free("c".into(), "slappart0".into());
        partition.ip_list = vec![
            ("lo".to_owned(), "10.0.0.1".parse().unwrap()),
            ("lo".to_owned(), "2001:db8::1".parse().unwrap()),
        ];
        partition
    }

    fn read(entries: &serde_json::Value) -> (Vec<String>, Vec<String>) {
        let mut warned = Vec::new();
        let entries = entries.as_array().unwrap();
        let found = redirects(entries, &partition(), |why| warned.push(why.to_owned()));
        let line = |redirect: &Redirect| {
            format!("{}: {}", redirect.name(), redirect.arguments("slapuser0").join(" "))
        };
        (found.iter().map(line).collect(), warned)
    }

    #[test]
    fn socat_is_told_as_by_the_original_and_root_gives_itself_up() {
        let (found, warned) = read(&serde_json::json!([
            {"type": "tcp", "srcPort": 8080, "destPort": "80"},
            {"type": "UDP", "srcPort": 53, "srcAddress": "192.0.2.1", "destPort": 1053, "destAddress": "10.0.0.1"},
            {"srcPort": 1024, "srcAddress": "::", "destPort": 1},
        ]));
        assert_eq!(warned, [""; 0]);
        insta::assert_snapshot!(found.join("\n"), @r"
        socat-tcp-8080: TCP4-LISTEN:8080,fork TCP6:[2001:db8::1]:80
        socat-udp-53: UDP4-LISTEN:53,bind=192.0.2.1,fork,su=slapuser0 UDP4:10.0.0.1:1053
        socat-tcp-1024: TCP6-LISTEN:1024,bind=[::],fork TCP6:[2001:db8::1]:1
        ");
    }

    #[test]
    fn what_is_no_redirection_is_told_and_left_out() {
        let (found, warned) = read(&serde_json::json!([
            {"srcPort": 0, "destPort": 80},
            {"srcPort": 65536, "destPort": 80},
            {"srcPort": "8080,su=root", "destPort": 80},
            {"srcPort": 1, "destPort": 80, "type": "sctp"},
            {"srcPort": 1, "destPort": 80, "srcAddress": "0.0.0.0,su=root"},
            {"srcPort": 2000, "destPort": 80},
            {"srcPort": 2000, "destPort": 81},
            {"srcPort": 1},
            5,
        ]));
        assert_eq!(found.len(), 1);
        insta::assert_snapshot!(warned.join("\n"), @r#"
        {"srcPort":0,"destPort":80}: 0 is no port
        {"srcPort":65536,"destPort":80}: 65536 is no port
        {"srcPort":"8080,su=root","destPort":80}: "8080,su=root" is no port
        {"srcPort":1,"destPort":80,"type":"sctp"}: `sctp` is neither tcp nor udp
        {"srcPort":1,"destPort":80,"srcAddress":"0.0.0.0,su=root"}: invalid IP address syntax
        {"srcPort":2000,"destPort":81}: socat-tcp-2000 is there already
        {"srcPort":1}: missing field `destPort`
        5: invalid type: integer `5`, expected struct Entry
        "#);
    }
}
