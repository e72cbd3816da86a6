//! `configure local`: the configuration of a node with an embedded Master, in the places and with
//! the options of the original's command.

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
    /// `[slapproxy] host`.
    pub host: String,
    /// `[slapproxy] port`.
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
    let host =
        if wanted.host.contains(':') { format!("[{}]", wanted.host) } else { wanted.host.clone() };
    let text = node_file(&NodeFile {
        command: "slapos configure local",
        computer_id: "local_computer".to_owned(),
        master_url: format!("http://{host}:{}", wanted.port),
        identity: None,
        shared: wanted.software_root.join("shared"),
        software_root: wanted.software_root.clone(),
        instance_root: wanted.instance_root.clone(),
        partition_amount: wanted.partition_amount,
        interface_name: wanted.interface_name.clone(),
        ipv4_local_network: wanted.ipv4_local_network.clone(),
        create_tap: false,
        computer_xml: Some(wanted.home.join("slapos.xml")),
        software_user: names.software,
        user_base_name: names.partition_base,
        alter_user: user::is_root(),
        proxy: Some(Proxy {
            host: wanted.host.clone(),
            port: wanted.port,
            database: wanted.home.join("master/proxy.db"),
            user: names.master,
        }),
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
