//! Arguments of the commands that arrange a node: `configure`, `node register`, `node cron`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Configure {
    /// A node with an embedded Master: write its configuration, format, start the Master
    Local(ConfigureLocal),
    /// A user of a Master elsewhere
    Client {
        #[command(flatten)]
        master: MasterArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigureLocal {
    /// Network interface that gets the partitions' addresses [default: none is changed]
    #[arg(long, value_name = "NAME")]
    pub(crate) interface_name: Option<String>,
    /// Number of partitions
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) partition_number: u32,
    /// Network of the partitions' IPv4 addresses [default: loopback addresses]
    #[arg(long, value_name = "NETWORK")]
    pub(crate) ipv4_local_network: Option<String>,
    /// Address of the embedded Master; one that others can reach is served by https, and this node at
    /// the next port by plain HTTP on 127.0.0.1
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) daemon_listen_ip: String,
    /// Port of the embedded Master
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) daemon_listen_port: u16,
    /// Where partitions are
    #[arg(long, value_name = "DIR", default_value = "/srv/slapgrid")]
    pub(crate) slapos_instance_root: PathBuf,
    /// Where Software Releases are
    #[arg(long, value_name = "DIR", default_value = "/opt/slapgrid")]
    pub(crate) slapos_software_root: PathBuf,
    /// Where the Master's database is
    #[arg(long, value_name = "DIR", default_value = "/opt/slapos")]
    pub(crate) slapos_buildout_directory: PathBuf,
    /// Where the configuration is
    #[arg(long, value_name = "DIR", default_value = "/etc/opt/slapos")]
    pub(crate) slapos_configuration_directory: PathBuf,
    /// Refused: what it would write is for the operator to choose
    #[arg(long, hide = true)]
    pub(crate) enable_shacache_proxy: bool,
}

/// Which Master, and who asks.
#[derive(Debug, Args)]
pub(crate) struct MasterArgs {
    /// The Master; without --master-url-web it is one of this program, which wants its token
    #[arg(long, value_name = "URL")]
    pub(crate) master_url: Option<String>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// The web face of the Master, which gives out certificates
    #[arg(long, value_name = "URL")]
    pub(crate) master_url_web: Option<String>,
    /// The token (others of this machine can see it here: prefer --token-file)
    #[arg(long, conflicts_with = "token_file")]
    pub(crate) token: Option<String>,
    /// A file with the token [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// How a Master by https is recognised, whose certificate is of its own authority.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("trust"))]
pub(crate) struct TrustArgs {
    /// Fetch the Master's authority, which must have this SHA-256 (`slapos proxy ca show --fingerprint`)
    #[arg(long, value_name = "SHA256", group = "trust")]
    pub(crate) ca_fingerprint: Option<String>,
    /// The Master's authority, in a file [default: those that the machine knows]
    #[arg(long, value_name = "FILE", group = "trust")]
    pub(crate) master_ca_file: Option<PathBuf>,
    /// Believe whoever answers now to be the Master, and nobody else afterwards
    #[arg(long, group = "trust")]
    pub(crate) trust_on_first_use: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Title of the node; its identifier at a Master of this program
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) master: MasterArgs,
    /// Log in by name and password, which are asked for, instead of a token
    #[arg(long, conflicts_with_all = ["token", "token_file"])]
    pub(crate) login_auth: bool,
    /// Log in by this name and a password instead of a token
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token", "token_file"])]
    pub(crate) login: Option<String>,
    /// The password (others of this machine can see it here) [default: it is asked for]
    #[arg(long, requires = "login")]
    pub(crate) password: Option<String>,
    /// Network interface that gets the partitions' addresses [default: none is changed]
    #[arg(long, value_name = "NAME")]
    pub(crate) interface_name: Option<String>,
    /// The one that gets their IPv6 addresses, if that is another
    #[arg(long, value_name = "NAME")]
    pub(crate) ipv6_interface: Option<String>,
    /// Number of partitions
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) partition_number: u32,
    /// Network of the partitions' IPv4 addresses [default: loopback addresses]
    #[arg(long, value_name = "NETWORK")]
    pub(crate) ipv4_local_network: Option<String>,
    /// Where Software Releases are [default: below --root, else /opt/slapgrid]
    #[arg(long, value_name = "DIR")]
    pub(crate) software_root: Option<PathBuf>,
    /// Where partitions are [default: below --root, else /srv/slapgrid]
    #[arg(long, value_name = "DIR")]
    pub(crate) instance_root: Option<PathBuf>,
    /// Make a tap interface for each partition
    #[arg(short = 't', long)]
    pub(crate) create_tap: bool,
    /// Replace a configuration that is there, and keep the former one beside it
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask nobody, write nothing: show the configuration
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("action").required(true).args(["install", "remove", "show"]))]
pub(crate) struct Cron {
    /// Have software and instance run every minute, report and format every hour
    #[arg(long)]
    pub(crate) install: bool,
    /// Take away what was installed
    #[arg(long)]
    pub(crate) remove: bool,
    /// Show what is installed
    #[arg(long)]
    pub(crate) show: bool,
    /// Have the agent run, which does all of that when it is to be done
    #[arg(long, conflicts_with_all = ["remove", "show"])]
    pub(crate) agent: bool,
    /// Units of systemd [default: where systemd runs]
    #[arg(long, conflicts_with = "cron_file")]
    pub(crate) systemd: bool,
    /// A file for cron, in this place [default: /etc/cron.d/slapos]
    #[arg(long, value_name = "FILE")]
    pub(crate) cron_file: Option<PathBuf>,
    /// Where units of systemd go; elsewhere they are not switched on
    #[arg(long, value_name = "DIR", default_value = slapos_node::cron::UNIT_DIRECTORY)]
    pub(crate) systemd_directory: PathBuf,
    /// Replace files that are not of this command
    #[arg(long)]
    pub(crate) force: bool,
    /// Show what would be done, and why
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}
