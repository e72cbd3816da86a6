//! `[slapformat]`, over which `[slapos]` goes, as in the original.
//!
//! Ours beside the original's: `computer_xml` may be left out, and `public_ipv4_address` says what
//! the original asks web sites for.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use slapos_config::{Config, ConfigError};

use super::{DEFAULT_NETWORK, Ipv4Network, Reader, alter_user};

/// `[slapformat]`: what `node format` makes.
#[derive(Clone, Debug)]
pub struct FormatConfig {
    /// `partition_amount`.
    pub partition_amount: u32,
    /// `partition_base_name`: directories are this and a number.
    pub partition_base_name: String,
    /// `user_base_name`: users are this and a number.
    pub user_base_name: String,
    /// `software_user`: owns and builds the Software Releases.
    pub software_user: String,
    /// `alter_user`: whether users may be created (needs root).
    pub alter_user: bool,
    /// `ipv4_local_network`: partitions get one address each out of it.
    pub ipv4_local_network: Ipv4Network,
    /// The options about interfaces.
    pub network: FormatNetwork,
    /// `input_definition_file`: says what the partitions are, instead of what was made before.
    pub input_definition_file: Option<PathBuf>,
    /// `output_definition_file`: where such a file is written.
    pub output_definition_file: Option<PathBuf>,
    /// `computer_xml`: what was made, from which the next run knows it;
    /// `<instance_root>/var/slapformat/computer.xml` unless set.
    pub computer_xml: PathBuf,
    /// `computer_json`: the same as JSON.
    pub computer_json: Option<PathBuf>,
    /// `log_file`: what `node format` says goes there too.
    pub log_file: Option<PathBuf>,
    /// `public_ipv4_address`: what the Master is told about how the world sees this machine.
    pub public_ipv4_address: Option<Ipv4Addr>,
    /// Why `node format` refuses to run with this file, if it does: an option that went away.
    pub refusal: Option<String>,
}

/// What `[slapformat]` says about interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatNetwork {
    /// `alter_network`: whether addresses, interfaces and routes may be made (needs root). Unless
    /// set, they are when an interface is named.
    pub alter_network: Option<bool>,
    /// `interface_name`: gets the IPv4 addresses.
    pub interface_name: Option<String>,
    /// `ipv6_interface`: gets the IPv6 addresses; `interface_name` unless set.
    pub ipv6_interface: Option<String>,
    /// `partition_has_ipv6_range`.
    pub partition_has_ipv6_range: bool,
    /// `ipv6_prefixshift`: a partition's range is that many bits smaller than the computer's.
    pub ipv6_prefixshift: u8,
    /// `create_tap`; `true` unless set.
    pub create_tap: Option<bool>,
    /// `tap_base_name`: tap interfaces are this and a number.
    pub tap_base_name: String,
    /// `tap_ipv6`: whether tap interfaces get a range of IPv6 addresses each.
    pub tap_ipv6: bool,
    /// `tap_gateway_interface`: tap interfaces get IPv4 addresses out of its network.
    pub tap_gateway_interface: Option<String>,
    /// `create_tun`; `false` unless set.
    pub create_tun: Option<bool>,
    /// `tun_ipv6`: whether tun interfaces get a range of IPv6 addresses each.
    pub tun_ipv6: bool,
}

impl FormatNetwork {
    /// Whether addresses, interfaces and routes are made.
    pub fn is_altered(&self) -> bool {
        let named = self.interface_name.is_some() || self.ipv6_interface.is_some();
        self.alter_network.unwrap_or(named)
    }

    /// The interface that has IPv6.
    pub fn interface_with_ipv6(&self) -> Option<&str> {
        self.ipv6_interface.as_deref().or(self.interface_name.as_deref())
    }

    fn from_reader(r: &Reader<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            alter_network: r.optional_boolean("alter_network")?,
            interface_name: r.interface("interface_name")?,
            ipv6_interface: r.interface("ipv6_interface")?,
            partition_has_ipv6_range: r.boolean("partition_has_ipv6_range", true)?,
            ipv6_prefixshift: r.parsed("ipv6_prefixshift", 16)?,
            create_tap: r.optional_boolean("create_tap")?,
            tap_base_name: r.interface("tap_base_name")?.unwrap_or_else(|| "slaptap".to_owned()),
            tap_ipv6: r.boolean("tap_ipv6", true)?,
            tap_gateway_interface: r.interface("tap_gateway_interface")?,
            create_tun: r.optional_boolean("create_tun")?,
            tun_ipv6: r.boolean("tun_ipv6", true)?,
        })
    }
}

impl FormatConfig {
    pub(super) fn from_config(config: &Config, instance_root: &Path) -> Result<Self, ConfigError> {
        let r = Reader::of_format(config);
        let record = || instance_root.join("var/slapformat/computer.xml");
        Ok(Self {
            // StandaloneSlapOS writes -1 until it knows.
            partition_amount: match r.optional("partition_amount") {
                Some("-1") => 0,
                _ => r.parsed("partition_amount", 10)?,
            },
            partition_base_name: r.name("partition_base_name", "slappart")?,
            user_base_name: r.name("user_base_name", "slapuser")?,
            software_user: r.name("software_user", "slapsoft")?,
            alter_user: alter_user(config)?,
            ipv4_local_network: r.parsed("ipv4_local_network", DEFAULT_NETWORK)?,
            network: FormatNetwork::from_reader(&r)?,
            input_definition_file: r.any_path("input_definition_file"),
            output_definition_file: r.any_path("output_definition_file"),
            computer_xml: r.any_path("computer_xml").unwrap_or_else(record),
            computer_json: r.any_path("computer_json"),
            log_file: r.any_path("log_file"),
            public_ipv4_address: match r.optional("public_ipv4_address") {
                None => None,
                Some(_) => Some(r.parsed("public_ipv4_address", Ipv4Addr::UNSPECIFIED)?),
            },
            refusal: refusal(&r),
        })
    }
}

/// Bridges were dropped long ago; who still names one must know that there will be none.
fn refusal(r: &Reader<'_>) -> Option<String> {
    let gone = ["bridge_name", "no_bridge"].into_iter().find(|old| r.optional(old).is_some())?;
    let message = format!(
        "`{gone}` is no option any more: partitions get their addresses on `interface_name`, and \
         no bridge is made"
    );
    Some(r.error(gone, message).to_string())
}

impl Reader<'_> {
    fn optional_boolean(&self, option: &str) -> Result<Option<bool>, ConfigError> {
        self.optional(option).map(|_| self.boolean(option, false)).transpose()
    }

    /// A path, from the working directory if it is relative: the original takes them so, and other
    /// commands are not concerned.
    fn any_path(&self, option: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.optional(option)?);
        Some(std::path::absolute(&path).unwrap_or(path))
    }

    /// A name that the kernel takes for an interface.
    fn interface(&self, option: &str) -> Result<Option<String>, ConfigError> {
        let Some(name) = self.optional(option) else { return Ok(None) };
        let fine = |c: char| c.is_ascii_graphic() && !"/:".contains(c);
        if name.len() <= 15 && name.chars().all(fine) && !name.starts_with(['-', '.']) {
            return Ok(Some(name.to_owned()));
        }
        let message = format!("`{option}` must be the name of a network interface, not `{name}`");
        Err(self.error(option, message))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::NodeConfig;
    use slapos_config::{Config, ConfigError};
    use std::path::Path;

    const MINIMUM: &str = "[slapos]\nsoftware_root = /soft\ninstance_root = /inst\nmaster_url = http://127.0.0.1:5000\ncomputer_id = local\n";

    fn read(text: &str) -> Result<super::FormatConfig, ConfigError> {
        let config = Config::parse(&format!("{MINIMUM}{text}"), "slapos.cfg")?;
        NodeConfig::from_config(&config, Path::new("slapos.cfg")).map(|config| config.format)
    }

    #[test]
    fn the_network_is_left_alone_unless_an_interface_is_named() {
        let format = read("").unwrap();
        assert!(!format.network.is_altered());
        assert_eq!(format.computer_xml, Path::new("/inst/var/slapformat/computer.xml"));
        assert!(read("[slapformat]\ninterface_name = lo\n").unwrap().network.is_altered());
        let left = read("[slapformat]\ninterface_name = lo\nalter_network = False\n").unwrap();
        assert!(!left.network.is_altered());
    }

    #[test]
    fn slapos_goes_over_slapformat() {
        let text = "computer_xml = /a\n[slapformat]\ncomputer_xml = /b\ncreate_tun = TRUE\n";
        let format = read(text).unwrap();
        assert_eq!(format.computer_xml, Path::new("/a"));
        assert_eq!(format.network.create_tun, Some(true));
        assert_eq!(format.network.create_tap, None);
        let error = read("alter_user = yes\n[slapformat]\n").unwrap_err().to_string();
        assert_eq!(error, "slapos.cfg:6: `alter_user` must be true or false, not `yes`");
    }

    #[test]
    fn what_is_wrong_is_named_and_bridges_are_refused() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("[slapformat]\ninterface_name = ../x\n"), @"slapos.cfg:7: `interface_name` must be the name of a network interface, not `../x`");
        let refusal = read("[slapformat]\nbridge_name = br0\n").unwrap().refusal.unwrap();
        insta::assert_snapshot!(refusal, @"slapos.cfg:7: `bridge_name` is no option any more: partitions get their addresses on `interface_name`, and no bridge is made");
    }
}
