//! `configure local`: the configuration of a node with an embedded Master, in the places and with
//! the options of the original's command.

use std::net::IpAddr;
use std::path::PathBuf;

use slapos_sys::{fs, user};

use super::template::{NodeFile, Proxy, node_file};
use super::{check_line, directory_of, refuse_existing, understood, write_new};
use crate::config::NodeConfig;
use crate::error::{IoContext, NodeError};
use crate::standalone::{Layout, UserNames};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Where the configuration is written: `slapos.cfg` in this directory.
    pub directory: PathBuf,
    /// `[slapos] software_root`.
    pub software_root: PathBuf,
    /// `[slapos] instance_root`.
    pub instance_root: PathBuf,
    /// Holds the Master's database, among other things.
    pub home: PathBuf,
    /// Where the Master listens: `[slapproxy] host` if that is this machine's alone; otherwise
    /// `tls_host`, because what is sent on a network can be read there.
    pub host: String,
    /// `[slapproxy] port` or `tls_port`, in the same way.
    pub port: u16,
    /// `[slapformat] partition_amount`.
    pub partition_amount: u32,
    /// `[slapformat] interface_name`.
    pub interface_name: Option<String>,
    /// `[slapformat] ipv4_local_network`.
    pub ipv4_local_network: Option<String>,
}

/// Writes the configuration; formatting and starting the Master come after it.
///
/// # Errors
/// When there is one already, or it cannot be written.
pub fn configure_local(wanted: &LocalOptions) -> Result<NodeConfig, NodeError> {
    let config = wanted.directory.join("slapos.cfg");
    refuse_existing(&[&config])?;
    check_line("an address", &wanted.host)?;
    if let Some(interface) = &wanted.interface_name {
        check_line("an interface", interface)?;
    }
    let layout = Layout {
        config: config.clone(),
        software_root: wanted.software_root.clone(),
        instance_root: wanted.instance_root.clone(),
        ..Layout::system()
    };
    let names = UserNames::choose(&layout).context("look up users for", &config)?;
    let proxy = doors(wanted, names.master);
    let host =
        if proxy.host.contains(':') { format!("[{}]", proxy.host) } else { proxy.host.clone() };
    let text = node_file(&NodeFile {
        command: "slapos configure local",
        computer_id: "local_computer".to_owned(),
        master_url: format!("http://{host}:{}", proxy.port),
        identity: None,
        authority: None,
        shared: wanted.software_root.join("shared"),
        software_root: wanted.software_root.clone(),
        instance_root: wanted.instance_root.clone(),
        partition_amount: wanted.partition_amount,
        interface_name: wanted.interface_name.clone(),
        ipv6_interface: None,
        ipv4_local_network: wanted.ipv4_local_network.clone(),
        create_tap: false,
        computer_xml: Some(wanted.home.join("slapos.xml")),
        software_user: names.software,
        user_base_name: names.partition_base,
        alter_user: user::is_root(),
        proxy: Some(proxy),
    });
    let understood = understood(&text, &config)?;
    let directory = directory_of(&config);
    // The Master's user has to pass the latter.
    for directory in [directory, &wanted.home] {
        fs::create_dir_all(directory, 0o755).context("create", directory)?;
    }
    write_new(&config, &text, 0o644)?;
    Ok(understood)
}

/// Where the Master listens. Others reach it by https only; this node, and who is on this machine, by
/// plain HTTP, at the next port.
fn doors(wanted: &LocalOptions, user: String) -> Proxy {
    let private = |address: IpAddr| address.to_canonical().is_loopback();
    let ours = wanted.host == "localhost" || wanted.host.parse().is_ok_and(private);
    let database = wanted.home.join("master/proxy.db");
    let (host, port) = (wanted.host.clone(), wanted.port);
    if ours {
        return Proxy { host, port, database, user, tls: None };
    }
    let beside = port.checked_add(1).unwrap_or(port - 1);
    Proxy { host: "127.0.0.1".to_owned(), port: beside, database, user, tls: Some((host, port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_reach_is_secret() {
        let directory = tempfile::tempdir().unwrap();
        let configured = |name: &str, host: &str| {
            let here = directory.path().join(name);
            configure_local(&LocalOptions {
                directory: here.join("etc"),
                software_root: here.join("software"),
                instance_root: here.join("instance"),
                home: here.join("home"),
                host: host.to_owned(),
                port: 8080,
                partition_amount: 1,
                interface_name: None,
                ipv4_local_network: None,
            })
            .unwrap()
        };
        let local = configured("local", "::1");
        let proxy = local.proxy.unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("::1", 8080));
        assert!(proxy.access.tls.is_none() && local.master_url == "http://[::1]:8080");
        let open = configured("open", "0.0.0.0");
        let proxy = open.proxy.unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("127.0.0.1", 8081));
        assert_eq!(open.master_url, "http://127.0.0.1:8081");
        let tls = proxy.access.tls.unwrap();
        assert_eq!((tls.host.as_str(), tls.port), ("0.0.0.0", 8080));
    }
}
