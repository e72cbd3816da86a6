//! What of the network is already there: interfaces, addresses and routes, as `ip` tells them.
//!
//! The network is looked at and changed by `ip` of iproute2, as the original does, and not by
//! netlink: the operator can read and repeat each step by hand, what `ip` prints as JSON has been
//! stable for years, and a few processes are no cost beside the one run an hour in which they are
//! started. No shell is between: arguments are passed as they are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use serde::Deserialize;
use slapos_sys::fs;
use slapos_sys::process::Command;

use super::ipv4::Prefix4;
use super::ipv6::{Prefix, is_global_scope};
use crate::error::NodeError;

/// Lets programs listen on addresses of a range that are on no interface.
pub(super) const NONLOCAL_BIND: &str = "/proc/sys/net/ipv6/ip_nonlocal_bind";

/// The network of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkView {
    /// The interfaces by name.
    pub interfaces: BTreeMap<String, Interface>,
    /// The routes of the main and the local table.
    pub routes: Vec<FoundRoute>,
    /// Whether addresses that are on no interface can be listened on.
    pub nonlocal_bind: bool,
}

/// An interface as found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Whether it is up.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<FoundAddress>,
    /// What of a tap or tun interface there is to know.
    pub tuntap: Option<TunTap>,
}

/// An address as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundAddress {
    /// The address.
    pub addr: IpAddr,
    /// The length of its network.
    pub len: u8,
    /// The kernel does not know yet whether another machine has it.
    pub tentative: bool,
    /// Another machine has it.
    pub duplicate: bool,
}

/// A tap or tun interface as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunTap {
    /// `tap` or `tun`.
    pub mode: String,
    /// The user that may open it, by name or number; `None` for everybody.
    pub owner: Option<String>,
}

/// A route as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRoute {
    /// The first address of its destination.
    pub destination: IpAddr,
    /// The length of its destination.
    pub len: u8,
    /// The interface it leads to.
    pub interface: String,
    /// Through which machine.
    pub via: Option<IpAddr>,
    /// Whether its destination is this machine itself.
    pub local: bool,
}

impl NetworkView {
    /// The IPv6 addresses of an interface from which partitions' can be derived.
    pub(super) fn global_prefixes(&self, interface: &str) -> Vec<Prefix> {
        let addresses = self.interfaces.get(interface).map_or(&[][..], |found| &found.addresses);
        let global = addresses.iter().filter_map(|found| match found.addr {
            IpAddr::V6(addr) if is_global_scope(addr) => Some(Prefix { addr, len: found.len }),
            _ => None,
        });
        global.collect()
    }

    /// The first IPv4 address of an interface.
    pub(super) fn first_ipv4(&self, interface: &str) -> Option<Prefix4> {
        self.interfaces.get(interface)?.addresses.iter().find_map(|found| match found.addr {
            IpAddr::V4(addr) => Some(Prefix4 { addr, len: found.len }),
            IpAddr::V6(_) => None,
        })
    }

    /// The address as it is on `interface`, if it is there.
    pub(super) fn on(&self, interface: &str, addr: IpAddr) -> Option<&FoundAddress> {
        self.interfaces.get(interface)?.addresses.iter().find(|found| found.addr == addr)
    }

    /// Another interface than `interface` that has the address.
    pub(super) fn elsewhere(&self, interface: &str, addr: IpAddr) -> Option<&str> {
        let others = self.interfaces.keys().filter(|name| *name != interface);
        others.map(String::as_str).find(|name| self.on(name, addr).is_some())
    }
}

/// Looks at the network.
///
/// # Errors
/// When `ip` cannot be run, or is not understood.
pub(super) fn view() -> Result<NetworkView, NodeError> {
    let mut view = NetworkView { interfaces: interfaces()?, ..NetworkView::default() };
    for family in ["-4", "-6"] {
        view.routes.extend(routes(&ip(&["-json", family, "route", "show", "table", "all"])?)?);
    }
    let bind = fs::read_to_string_lossy(NONLOCAL_BIND.as_ref(), 16).unwrap_or_default();
    view.nonlocal_bind = bind.trim() == "1";
    Ok(view)
}

/// Looks at the interfaces and their addresses alone.
pub(super) fn interfaces() -> Result<BTreeMap<String, Interface>, NodeError> {
    links(&ip(&["-json", "-details", "addr", "show"])?)
}

/// Runs `ip` and gives what it prints.
///
/// # Errors
/// When it cannot be run or fails; the message ends with what it said.
pub(super) fn ip(arguments: &[&str]) -> Result<String, NodeError> {
    let mut command = Command::new("ip");
    command.args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    let output = command.output().map_err(|error| {
        NodeError::user(format!("cannot run `{}`: {error}", command.display()))
            .hint("install iproute2, or set `alter_network = false` in [slapformat]")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().next().unwrap_or("no reason given");
    Err(NodeError::user(format!("`{}` failed: {said}", command.display())))
}

#[derive(Deserialize)]
struct Link {
    ifname: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    addr_info: Vec<LinkAddress>,
    linkinfo: Option<LinkInfo>,
}

#[derive(Deserialize)]
struct LinkAddress {
    local: Option<IpAddr>,
    #[serde(default)]
    prefixlen: u8,
    #[serde(default)]
    tentative: bool,
    #[serde(default)]
    dadfailed: bool,
}

#[derive(Deserialize)]
struct LinkInfo {
    info_kind: Option<String>,
    #[serde(default)]
    info_data: serde_json::Value,
}

fn links(json: &str) -> Result<BTreeMap<String, Interface>, NodeError> {
    let links: Vec<Link> = parse(json)?;
    let named = links.into_iter().filter_map(|link| Some((link.ifname.clone()?, interface(link))));
    Ok(named.collect())
}

fn interface(link: Link) -> Interface {
    let addresses = link.addr_info.into_iter().filter_map(|address| {
        Some(FoundAddress {
            addr: address.local?,
            len: address.prefixlen,
            tentative: address.tentative,
            duplicate: address.dadfailed,
        })
    });
    Interface {
        up: link.flags.iter().any(|flag| flag == "UP"),
        addresses: addresses.collect(),
        tuntap: link.linkinfo.as_ref().and_then(tuntap),
    }
}

fn tuntap(info: &LinkInfo) -> Option<TunTap> {
    if info.info_kind.as_deref() != Some("tun") {
        return None;
    }
    let mode = info.info_data["type"].as_str()?.to_owned();
    let owner = match &info.info_data["user"] {
        serde_json::Value::String(name) => Some(name.clone()),
        serde_json::Value::Number(uid) => Some(uid.to_string()),
        _ => None,
    };
    Some(TunTap { mode, owner })
}

#[derive(Deserialize)]
struct RouteLine {
    dst: Option<String>,
    dev: Option<String>,
    gateway: Option<IpAddr>,
    #[serde(rename = "type")]
    kind: Option<String>,
    table: Option<String>,
}

fn routes(json: &str) -> Result<Vec<FoundRoute>, NodeError> {
    let lines: Vec<RouteLine> = parse(json)?;
    Ok(lines.into_iter().filter_map(route).collect())
}

/// What has no address as its destination (`default`), or is in a table of somebody's own, is none
/// of ours.
fn route(line: RouteLine) -> Option<FoundRoute> {
    if !matches!(line.table.as_deref(), None | Some("main" | "local")) {
        return None;
    }
    let text = line.dst?;
    let (addr, len) = match text.split_once('/') {
        Some((addr, len)) => (addr, len.parse().ok()),
        None => (text.as_str(), None),
    };
    let destination: IpAddr = addr.parse().ok()?;
    let whole = if destination.is_ipv4() { 32 } else { 128 };
    Some(FoundRoute {
        destination,
        len: len.unwrap_or(whole),
        interface: line.dev?,
        via: line.gateway,
        local: line.kind.as_deref() == Some("local"),
    })
}

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, NodeError> {
    let json = if json.trim().is_empty() { "[]" } else { json };
    serde_json::from_str(json).map_err(|error| {
        NodeError::user(format!("what `ip -json` prints is not understood: {error}"))
            .hint("iproute2 4.18 or newer is needed")
    })
}

/// Whether `::1` answers on this machine.
pub(super) fn has_ipv6_loopback() -> bool {
    std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ip_prints_is_understood() {
        let text = r#"[{},{"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"addr_info":[
            {"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"},
            {"family":"inet6","local":"2001:db8::1","prefixlen":64,"scope":"global"},
            {"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]},
            {"ifname":"tap0","flags":["NO-CARRIER"],"linkinfo":{"info_kind":"tun","info_data":
            {"type":"tap","pi":false,"user":"slapuser0"}},"addr_info":[
            {"family":"inet6","local":"2001:db8::2","prefixlen":80,"tentative":true,"dadfailed":true}]}]"#;
        let view = NetworkView { interfaces: links(text).unwrap(), ..Default::default() };
        assert_eq!(view.global_prefixes("lo").len(), 1);
        assert_eq!(view.first_ipv4("lo").unwrap().len, 8);
        let tap = &view.interfaces["tap0"];
        assert!(!tap.up && tap.addresses[0].tentative && tap.addresses[0].duplicate);
        let tuntap = TunTap { mode: "tap".to_owned(), owner: Some("slapuser0".to_owned()) };
        assert_eq!(tap.tuntap, Some(tuntap));
        assert_eq!(view.elsewhere("lo", "2001:db8::2".parse().unwrap()), Some("tap0"));
        assert_eq!(view.elsewhere("tap0", "2001:db8::2".parse().unwrap()), None);
    }

    #[test]
    fn routes_are_understood() {
        let text = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},
            {"dst":"10.1.2.3","dev":"slaptap0","scope":"link"},
            {"dst":"2001:db8::/80","gateway":"2001:db8::1","dev":"slaptap0"},
            {"type":"local","dst":"2001:db8:1::/80","dev":"lo","table":"local"},
            {"dst":"10.1.2.4","dev":"slaptap0","table":"100"},
            {"type":"blackhole","dst":"10.0.0.0/8"}]"#;
        let routes = routes(text).unwrap();
        assert_eq!(routes.len(), 3);
        assert_eq!((routes[0].len, routes[1].len), (32, 80));
        assert!(routes[1].via.is_some() && !routes[1].local && routes[2].local);
        assert!(parse::<Vec<RouteLine>>("not json").is_err());
        assert_eq!(links("").unwrap(), BTreeMap::new());
    }
}
