//! `slapos.cfg`: what this node is, as the original names it.
//!
//! Section and option names are the original's. Ours beside them: `master_token_file`,
//! `download_cache`, `agent_poll_interval`, `rollback`, `rollback_deadline` and `generations_kept` in
//! `[slapos]`, and the sections `[service_limits]` (see [`crate::limits`]). Every option read here
//! has an effect; others are told of, in sections that are ours: the same file may serve other programs.

mod access;
mod collect;
#[cfg(test)]
mod documented;
mod format;
mod grid;
mod hooks;
mod known;
mod protocols;
mod reader;
mod requests;
mod rollback;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use slapos_config::{Config, ConfigError};
use slapos_slap::ComputerId;
use slapos_sys::Secret;

use crate::binary::BinaryConfig;
use crate::limits::ServiceLimits;
use crate::token_file::TokenFile;

pub use access::{ProxyAccess, ProxyTls};
pub use collect::CollectConfig;
pub use format::{FormatConfig, FormatNetwork};
pub(crate) use grid::identity;
pub use grid::{GridConfig, IdentityFiles};
pub use hooks::{FirewallConfig, HooksConfig, Manager};
pub(crate) use known::unread;
pub use protocols::{ProtocolsConfig, ShacacheOptions};
pub(crate) use reader::Reader;
pub use requests::{OtherMasterOptions, RequestsOptions, Schema, SchemaHttp};
pub use rollback::{Policy, Rollback};

/// Where the configuration is looked for when nothing else names it.
pub const DEFAULT_FILE: &str = "/etc/opt/slapos/slapos.cfg";

const MEBI: u64 = 1 << 20;

/// One node's configuration.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[slapos] computer_id`.
    pub computer_id: ComputerId,
    /// `[slapos] master_url`.
    pub master_url: String,
    /// `[slapos] master_token_file`: a file that holds the token this node shows to its Master;
    /// that of the embedded Master is `master.token` beside its database unless set.
    pub master_token_file: Option<TokenFile>,
    /// `[slapos] software_root`: holds one directory per Software Release.
    pub software_root: PathBuf,
    /// `[slapos] instance_root`: holds the Computer Partitions.
    pub instance_root: PathBuf,
    /// `[slapos] shared_part_list`: where parts shared by Software Releases live.
    pub shared_part_list: Vec<PathBuf>,
    /// `[slapos] download_cache`: archives by hash; `<software_root>/.cache` unless set.
    pub download_cache: PathBuf,
    /// `[slapos] maximum_periodicity`: after how long an unchanged instance is processed again.
    pub maximum_periodicity: Duration,
    /// `[slapos] partition_timeout`: how long the processing of one partition may take; an hour
    /// unless set, so that one that hangs cannot hold up the others for ever.
    pub partition_timeout: Duration,
    /// `[slapos] promise_timeout`: how long one promise may take.
    pub promise_timeout: Duration,
    /// `[slapos] agent_poll_interval`: how often the agent has `node instance` look for what is due,
    /// and asks a Master that does not tell of changes.
    pub agent_poll_interval: Duration,
    /// `[slapos] rollback`, `rollback_deadline`, `generations_kept`: former configurations.
    pub rollback: Rollback,
    /// `[slapos] software_min_free_space`, bytes.
    pub software_min_free_space: u64,
    /// `[slapos] instance_min_free_space`, bytes.
    pub instance_min_free_space: u64,
    /// `[slapos] pidfile_software`: the lock against concurrent `node software` runs.
    pub pidfile_software: PathBuf,
    /// `[slapos] pidfile_instance`: the lock against concurrent `node instance` runs.
    pub pidfile_instance: PathBuf,
    /// `[slapos] pidfile_report`: the lock against concurrent `node report` runs.
    pub pidfile_report: PathBuf,
    /// `[networkcache]`: Software Releases that others have built.
    pub binary: BinaryConfig,
    /// What only `node software`, `instance`, `report` and `promise` read.
    pub grid: GridConfig,
    /// `[service_limits]`.
    pub service_limits: ServiceLimits,
    /// `[slapformat]`.
    pub format: FormatConfig,
    /// `collect_cache` and `[collect]`.
    pub collect: CollectConfig,
    /// `manager_list`, `[manager:...]` and `[firewall]`.
    pub hooks: HooksConfig,
    /// `[slapproxy]`, when the file has that section.
    pub proxy: Option<ProxyConfig>,
    /// Options of the file that nobody reads, each with its place and what may be meant.
    pub unread: Vec<String>,
    /// What the file asks for and is not done, each with the reason; whoever reads the file says it.
    pub without_effect: Vec<String>,
}

/// `[slapproxy]`: the embedded Master.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// `host`: the address to listen on.
    pub host: String,
    /// `port`.
    pub port: u16,
    /// `database_uri`: the path of an SQLite file, or the address of a PostgreSQL database, which may
    /// have a password.
    pub database_uri: Secret,
    /// `database_password_file`: where the password for the database is, if not in its address.
    pub database_password_file: Option<PathBuf>,
    /// `directory`: where the Master keeps its token and its log; that of the database, if it is a
    /// file.
    pub directory: PathBuf,
    /// `user`: whom the database's directory is given to when root makes it, and who then runs the
    /// Master. A directory that exists keeps its owner.
    pub user: String,
    /// How the Master may be reached, and how much it bears.
    pub access: ProxyAccess,
    /// What it serves beside SLAP.
    pub protocols: ProtocolsConfig,
    /// What it does with requests.
    pub requests: RequestsOptions,
}

/// An IPv4 network such as `127.16.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Network {
    base: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Network {
    /// The address number `index` (from 0) that a partition can have, `None` when the network is
    /// too small. The network's own address is not given out.
    pub fn host(&self, index: u32) -> Option<Ipv4Addr> {
        let size = self.size();
        let offset = u64::from(index) + 1;
        let usable = if size > 2 { size - 1 } else { size };
        let address = u64::from(u32::from(self.base)) + offset;
        (offset < usable).then(|| u32::try_from(address).ok().map(Ipv4Addr::from)).flatten()
    }

    /// How many addresses it has.
    pub fn size(&self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }

    /// Its own address: the first one.
    pub fn base(&self) -> Ipv4Addr {
        self.base
    }

    /// Whether `address` is one of its addresses.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let offset = u64::from(u32::from(address)).checked_sub(u64::from(u32::from(self.base)));
        offset.is_some_and(|offset| offset < self.size())
    }

    /// True when every address of the network is one of the machine's loopback addresses.
    pub fn is_loopback(&self) -> bool {
        self.base.is_loopback() && self.prefix >= 8
    }
}

impl std::fmt::Display for Ipv4Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Ipv4Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an IPv4 network such as 10.0.0.0/16");
        let (base, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(wrong)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Ok(Self { base: Ipv4Addr::from(u32::from(base) & mask), prefix })
    }
}

impl NodeConfig {
    /// Reads the configuration of a node.
    ///
    /// # Errors
    /// Names the file and line of what is missing or wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::read_with(path, &[])
    }

    /// The same with options of `[slapos]` that arguments gave in place of those of the file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(path: &Path, arguments: &[(&str, String)]) -> Result<Self, ConfigError> {
        let mut config = Config::read(path)?;
        for (option, value) in arguments {
            config.set("slapos", option, value);
        }
        Self::from_config(&config, path)
    }

    /// What [`read`](Self::read) does with a file already parsed; `path` is its name.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_config(config: &Config, path: &Path) -> Result<Self, ConfigError> {
        let r = Reader::of(config, "slapos");
        r.require(&["software_root", "instance_root", "computer_id", "master_url"])?;
        let software_root = r.absolute_path("software_root")?;
        let instance_root = r.absolute_path("instance_root")?;
        let lock = |name: &str| instance_root.join("var/run").join(name);
        let proxy = ProxyConfig::from_config(config)?;
        let directory = proxy.as_ref().map(|proxy| proxy.directory.as_path());
        let mut without_effect = grid::without_effect(config);
        let token = TokenFile::of(r.optional_path("master_token_file")?, directory);
        Ok(Self {
            file: path.to_owned(),
            computer_id: ComputerId::new(r.required("computer_id")?),
            master_url: r.required("master_url")?.to_owned(),
            master_token_file: token,
            shared_part_list: r.path_list("shared_part_list")?,
            download_cache: r
                .optional_path("download_cache")?
                .unwrap_or_else(|| software_root.join(".cache")),
            maximum_periodicity: r.periodicity("maximum_periodicity", 86_400)?,
            partition_timeout: r
                .seconds(r.spelling("partition_timeout", "partition-timeout"), 3600)?,
            promise_timeout: r.seconds("promise_timeout", 20)?,
            agent_poll_interval: r.some_seconds("agent_poll_interval", 60)?,
            rollback: rollback(&r)?,
            software_min_free_space: r.size("software_min_free_space", 1000 * MEBI)?,
            instance_min_free_space: r.size("instance_min_free_space", 1000 * MEBI)?,
            pidfile_software: r.path_or("pidfile_software", lock("slapgrid-sr.pid"))?,
            pidfile_instance: r.path_or("pidfile_instance", lock("slapgrid-cp.pid"))?,
            pidfile_report: r.path_or("pidfile_report", lock("slapgrid-ur.pid"))?,
            service_limits: ServiceLimits::from_config(config)?,
            binary: BinaryConfig::from_config(config, &mut without_effect),
            grid: GridConfig::from_config(config)?,
            format: FormatConfig::from_config(config, &instance_root)?,
            collect: CollectConfig::from_config(config)?,
            hooks: HooksConfig::from_config(config)?,
            proxy,
            unread: unread(config),
            without_effect,
            software_root,
            instance_root,
        })
    }

    /// The directory of partition number `index` (from 0).
    pub fn partition_name(&self, index: u32) -> String {
        format!("{}{index}", self.format.partition_base_name)
    }
}

fn rollback(r: &Reader<'_>) -> Result<Rollback, ConfigError> {
    let default = Rollback::default();
    let kept = r.parsed("generations_kept", default.kept)?;
    if kept < 2 {
        let message = "`generations_kept` must be at least 2: one in place, one to go back to";
        return Err(r.error("generations_kept", message.to_owned()));
    }
    Ok(Rollback {
        policy: r.parsed("rollback", default.policy)?,
        deadline: r.seconds("rollback_deadline", default.deadline.as_secs())?,
        kept,
    })
}

/// Linux answers on all of 127.0.0.0/8 without being asked, so that each partition can have an
/// address of its own even where nobody may configure an interface.
pub(crate) const DEFAULT_NETWORK: Ipv4Network =
    Ipv4Network { base: Ipv4Addr::new(127, 16, 0, 0), prefix: 16 };

/// Where the Master listens unless `host` and `port` say otherwise.
const HOST: &str = "127.0.0.1";
const PORT: u16 = 5000;

impl ProxyConfig {
    pub(crate) fn from_config(config: &Config) -> Result<Option<Self>, ConfigError> {
        let r = Reader::of(config, "slapproxy");
        if config.section_line(r.section).is_none() {
            return Ok(None);
        }
        let host = r.optional("host").unwrap_or(HOST).to_owned();
        Ok(Some(Self {
            access: ProxyAccess::read(&r, &host)?,
            host,
            port: r.parsed("port", PORT)?,
            directory: master_directory(config)?,
            database_uri: Secret::new(r.required("database_uri")?),
            database_password_file: r.optional_path("database_password_file")?,
            user: r.name("user", "slapproxy")?,
            protocols: ProtocolsConfig::read(&r)?,
            requests: RequestsOptions::from_config(config)?,
        }))
    }
}

/// Where programs of this machine reach the Master of `[slapproxy]`.
pub(crate) fn embedded_url(config: &Config) -> Result<String, ConfigError> {
    let r = Reader::of(config, "slapproxy");
    let port: u16 = r.parsed("port", PORT)?;
    Ok(match r.optional("host").unwrap_or(HOST) {
        "0.0.0.0" => format!("http://{HOST}:{port}"),
        "::" => format!("http://[::1]:{port}"),
        host if host.contains(':') => format!("http://[{host}]:{port}"),
        host => format!("http://{host}:{port}"),
    })
}

/// `[slapformat] alter_user`, which may also stand in `[slapos]`.
pub(crate) fn alter_user(config: &Config) -> Result<bool, ConfigError> {
    Reader::of_format(config).boolean("alter_user", true)
}

/// `directory` of `[slapproxy]`, or that of the database if it is a file.
pub(crate) fn master_directory(config: &Config) -> Result<PathBuf, ConfigError> {
    let r = Reader::of(config, "slapproxy");
    if let Some(directory) = r.optional_path("directory")? {
        return Ok(directory);
    }
    if r.required("database_uri")?.contains("://") {
        let message = "[slapproxy] needs the option `directory`, where the Master keeps its token \
                       and its log, because `database_uri` is no file";
        return Err(r.error("directory", message.to_owned()));
    }
    let database = r.absolute_path("database_uri")?;
    Ok(database.parent().unwrap_or(Path::new("/")).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NodeConfig, ConfigError> {
        let config = Config::parse(text, "slapos.cfg")?;
        NodeConfig::from_config(&config, Path::new("slapos.cfg"))
    }

    const MINIMUM: &str = "[slapos]\nsoftware_root = /soft\ninstance_root = /inst\nmaster_url = http://127.0.0.1:5000\ncomputer_id = local\n";

    #[test]
    fn the_originals_defaults_fill_the_gaps() {
        let config = read(MINIMUM).unwrap();
        assert_eq!(config.maximum_periodicity.as_secs(), 86_400);
        assert_eq!(config.software_min_free_space, 1000 << 20);
        assert_eq!(config.download_cache, Path::new("/soft/.cache"));
        assert_eq!(config.format.partition_amount, 10);
        assert!(config.proxy.is_none());
    }

    #[test]
    fn the_masters_directory_is_that_of_its_database_or_named() {
        let read = |proxy: &str| {
            let config = read(&format!("{MINIMUM}[slapproxy]\n{proxy}"));
            config.map(|config| {
                (config.proxy.unwrap().directory, config.master_token_file.unwrap().path)
            })
        };
        let (directory, token) = read("database_uri = /m/proxy.db\n").unwrap();
        assert_eq!((directory, token), ("/m".into(), "/m/master.token".into()));
        let server = "database_uri = postgresql://u:s3cret@h/db\n";
        let (directory, token) = read(&format!("{server}directory = /m\n")).unwrap();
        assert_eq!((directory, token), ("/m".into(), "/m/master.token".into()));
        insta::assert_snapshot!(read(server).unwrap_err(), @"slapos.cfg:6: [slapproxy] needs the option `directory`, where the Master keeps its token and its log, because `database_uri` is no file");
        insta::assert_snapshot!(read("database_uri = proxy.db\n").unwrap_err(), @"slapos.cfg:7: `database_uri` must be an absolute path, not `proxy.db`");
    }

    #[test]
    fn lists_and_sizes() {
        let text =
            format!("{MINIMUM}shared_part_list =\n  /a\n  /b\nsoftware_min_free_space = 2G\n");
        let config = read(&text).unwrap();
        assert_eq!(config.shared_part_list, [Path::new("/a"), Path::new("/b")]);
        assert_eq!(config.software_min_free_space, 2 << 30);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("[slapos]\n"), @"slapos.cfg:1: [slapos] needs the options `software_root`, `instance_root`, `computer_id` and `master_url`");
        let most = MINIMUM.replace("computer_id", "computer");
        insta::assert_snapshot!(error(&most), @"slapos.cfg:1: [slapos] needs the option `computer_id`");
        insta::assert_snapshot!(error(&MINIMUM.replace("/soft", "soft")), @"slapos.cfg:2: `software_root` must be an absolute path, not `soft`");
        insta::assert_snapshot!(error(&format!("{MINIMUM}[slapformat]\npartition_amount = ten\n")), @"slapos.cfg:7: `partition_amount` = `ten`: invalid digit found in string");
        insta::assert_snapshot!(error(&format!("{MINIMUM}[slapformat]\npartition_base_name = ../x\n")), @"slapos.cfg:7: `partition_base_name` must be lower-case letters, digits, `_` and `-`, and start with a letter, not `../x`");
    }

    #[test]
    fn a_network_gives_each_partition_an_address_until_it_is_full() {
        let network: Ipv4Network = "127.16.0.9/30".parse().unwrap();
        assert_eq!(network.to_string(), "127.16.0.8/30");
        assert_eq!(network.host(0), Some(Ipv4Addr::new(127, 16, 0, 9)));
        assert_eq!(network.host(1), Some(Ipv4Addr::new(127, 16, 0, 10)));
        assert_eq!(network.host(2), None);
        assert!(network.is_loopback());
        assert!("10.0.0.0/40".parse::<Ipv4Network>().is_err());
    }
}
