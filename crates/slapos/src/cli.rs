//! The arguments. Names are the original's where it has the command.

mod client;
mod computer_set;
mod format;
mod grid;
pub(crate) mod identity;
mod profile;
mod proxy;
mod setup;
mod words;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use slapos_node::NodeError;
use slapos_node::generation::Side;

pub(crate) use client::{CacheLookup, Computer, Console, Request, Serialisation};
pub(crate) use computer_set::ComputerSet;
pub(crate) use format::Format;
pub(crate) use grid::{Grid, Instance, Report, Software};
pub(crate) use profile::{GraphFormat, Profile, Source};
pub(crate) use proxy::{Proxy, Show, database};
pub(crate) use setup::{Configure, ConfigureLocal, Cron, MasterArgs, Register};
pub(crate) use words::words;

use crate::output;

/// SlapOS Node and Master: builds Software Releases from source, deploys instances of them into
/// unprivileged partitions, supervises and checks them.
#[derive(Debug, Parser)]
#[command(name = "slapos", version, arg_required_else_help = true, max_term_width = 100)]
// As the original: `--parameter` is enough for `--parameters` where nothing else begins so.
#[command(infer_long_args = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct Global {
    /// Configuration file [default: /etc/opt/slapos/slapos.cfg, else that of `slapos up`]
    #[arg(long, global = true, value_name = "FILE", env = "SLAPOS_CONFIGURATION")]
    pub(crate) cfg: Option<PathBuf>,
    /// A node that `slapos up` keeps below one directory: use DIR/etc/slapos.cfg
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "system")]
    pub(crate) root: Option<PathBuf>,
    /// The standard places: /etc/opt/slapos, /opt/slapgrid, /srv/slapgrid
    #[arg(long, global = true)]
    pub(crate) system: bool,
    /// Say more (twice: debug)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Say only what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say as much as can be said, as -vv
    #[arg(long, global = true, conflicts_with = "quiet")]
    debug: bool,
    /// Also write to FILE what is said on standard error
    #[arg(long, global = true, value_name = "FILE", aliases = ["logfile", "log_file"])]
    pub(crate) log_file: Option<PathBuf>,
    /// The same, for a log that whoever starts this process has open
    #[arg(long, global = true, value_name = "NUMBER", hide = true, conflicts_with = "log_file")]
    log_descriptor: Option<i32>,
    /// As is usual: colours on a terminal (an option of the original)
    #[arg(long, global = true, hide = true)]
    log_color: bool,
    /// Begin lines with the time on a terminal too
    #[arg(long, global = true)]
    pub(crate) log_time: bool,
    /// Print results as JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Global {
    /// Opens what is said in beside standard error.
    ///
    /// # Errors
    /// When it cannot be.
    pub(crate) fn open_log(&self) -> Result<(), NodeError> {
        match (&self.log_file, self.log_descriptor) {
            (Some(file), _) => output::open_log_file(file),
            (None, Some(fd)) => output::take_log(fd),
            (None, None) => Ok(()),
        }
    }

    /// How much is to be said; from 2 on, everything.
    pub(crate) fn verbosity(&self) -> u8 {
        self.verbose.max(2 * u8::from(self.debug))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// From nothing to a running service: Master, format, software, request, instance
    Up(Up),
    /// Stop all services, the embedded Master and the supervisor; data and requests stay
    Down {
        /// Show what would be done, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Remove an instance and its data
    Destroy {
        /// The instance's name
        name: String,
        /// Show what would be done, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// The Master of this machine: run it, look at it, save it, say who may use it
    #[command(subcommand)]
    Proxy(Proxy),
    /// This machine as a node: build, deploy, supervise; what cron runs [default: status]
    Node {
        /// As the original: `slapos node` alone is `slapos node status`.
        #[command(subcommand)]
        command: Option<Node>,
    },
    /// Write a first configuration, for a node with its own Master or for a user
    #[command(subcommand)]
    Configure(Configure),
    /// Have a Software Release built on a computer
    Supply(Supply),
    /// Have a Software Release removed from a computer
    Remove(Supply),
    /// Ask for an instance of a Software Release, or change one
    Request(Request),
    /// The instances: list them, show one, start its services anew
    #[command(subcommand)]
    Service(Service),
    /// The computers: list them, show one, get a token for another
    #[command(subcommand)]
    Computer(Computer),
    /// A Python in which request, supply and more are known
    Console(Console),
    /// What a network cache has of a Software Release, a download or a Python distribution
    #[command(subcommand, name = "cachelookup")]
    CacheLookup(CacheLookup),
    /// Print what makes a shell complete the words of this program
    Complete {
        /// bash, zsh, fish, elvish or powershell
        #[arg(long, default_value = "bash")]
        shell: clap_complete::Shell,
    },
    /// Tell why an instance, part or service was last processed, made or restarted
    Explain {
        /// An instance, its partition, a part, a service (NAME or GROUP:NAME), or the directory's
        /// name of a Software Release
        name: String,
    },
    /// Look into a profile: dump, annotate, why, query, graph, lint
    #[command(subcommand)]
    Profile(Profile),
    /// Install the parts of a profile in its directory, without a node; `buildout --help` says
    /// more
    #[command(disable_help_flag = true)]
    Buildout {
        /// Options, assignments, and a command with its arguments, as `buildout` takes them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Path or URL of the Software Release; without it, what was asked for before comes back
    pub(crate) software: Option<String>,
    /// Name of the instance [default: the profile's directory]
    #[arg(long, requires = "software", value_parser = instance_name)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) wish: Wish,
    /// Number of partitions, when the configuration is first written
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) partitions: u32,
    /// Port of the embedded Master, when the configuration is first written [default: the first
    /// free one from 5000 on]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Processes that may build at once [default: the number of processors]
    #[arg(short, long)]
    pub(crate) jobs: Option<usize>,
    /// Show what would be done, and why
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// What is wanted of an instance.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wish {
    /// Parameters of the instance; they replace the former ones [default: keep them]
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = key_value)]
    pub(crate) parameters: Option<Vec<(String, String)>>,
    /// Which of the Software Release's types
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) software_type: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Make users, directories and addresses of the partitions, and tell the Master
    Format(Format),
    /// Build and remove Software Releases
    Software(Box<Software>),
    /// Deploy, change, start and stop instances
    Instance(Box<Instance>),
    /// Report usage, and remove instances that are to be destroyed
    Report(Box<Report>),
    /// Note what instances use of this machine: processors, memory, disks
    Collect {
        /// Show what would be done, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Remove shared parts and eggs that no Software Release and no instance needs
    Prune {
        /// Show what would be removed, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Another directory whose builds use shared parts, such as one that `slapos node` does not
        /// know; may be given several times
        #[arg(long, value_name = "DIR")]
        additional_software_directory: Vec<PathBuf>,
    },
    /// Check all promises now
    Promise {
        /// Only these partitions
        #[arg(long, visible_alias = "only-cp", value_delimiter = ',')]
        only: Vec<String>,
        /// Show what would be done, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
        #[command(flatten)]
        grid: Box<Grid>,
    },
    /// Instead of cron: run these commands when they are to run, the moment the Master says so
    Agent {
        /// End quietly when an agent runs already
        #[arg(long)]
        unless_running: bool,
    },
    /// Have cron, or systemd, run the commands of the node or its agent
    Cron(Cron),
    /// When the machine was started: format, start services, have all instances processed again
    Boot {
        /// What the Master is told
        #[arg(short, long, default_value = "Reboot")]
        message: String,
        /// Show what would be done, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Have every instance of this computer processed again
    Bang {
        /// Why
        #[arg(short, long, default_value = "")]
        message: String,
        /// Show what would be done, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Make this machine a computer of a Master, and write its configuration
    Register(Box<Register>),
    /// Former configurations of a partition, and what came of them
    Generations {
        /// The partition
        partition: String,
    },
    /// How one generation of a partition differs from another
    Diff {
        /// The partition
        partition: String,
        /// A generation's number [default: the one before the present one]
        #[arg(requires = "to")]
        from: Option<Side>,
        /// Another one's, or `now` for what is in place [default: the present one]
        to: Option<Side>,
    },
    /// Bring back a former configuration of a partition, until another change is requested
    Rollback {
        /// The partition
        partition: String,
        /// The generation's number [default: the last one that kept its promises]
        number: Option<u32>,
        /// Show what would be done, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Run the supervisor
    Supervisord {
        /// Stay in the foreground
        #[arg(short, long)]
        nodaemon: bool,
        /// In place of the option of slapos.cfg
        #[arg(long, value_name = "DIR")]
        instance_root: Option<String>,
        /// Have the one that runs execute its program anew, after an upgrade; services go on
        #[arg(long, conflicts_with = "nodaemon")]
        reexec: bool,
    },
    /// Tell the Master of services that end (started by the supervisor)
    #[command(hide = true)]
    Watchdog,
    /// Speak to the supervisor: status, start, stop, tail and more, which `help` lists
    Supervisorctl {
        /// The action and its arguments; without any, actions are read from standard input
        #[arg(allow_negative_numbers = true)]
        words: Vec<String>,
        /// With `tail`: go on with what is added, until interrupted
        #[arg(short)]
        follow: bool,
    },
    /// The state of the services
    Status {
        /// GROUP:NAME, GROUP:* or NAME; all if none
        names: Vec<String>,
    },
    /// Start services
    Start {
        /// GROUP:NAME, GROUP:* or all
        #[arg(required = true, value_name = "GROUP:NAME")]
        names: Vec<String>,
    },
    /// Stop services
    Stop {
        /// GROUP:NAME, GROUP:* or all
        #[arg(required = true, value_name = "GROUP:NAME")]
        names: Vec<String>,
    },
    /// Stop and start services
    Restart {
        /// GROUP:NAME, GROUP:* or all
        #[arg(required = true, value_name = "GROUP:NAME")]
        names: Vec<String>,
    },
    /// The end of a service's log
    Tail {
        /// GROUP:NAME, which `stdout` may follow; -N before it is --bytes N
        #[arg(required = true, num_args = 1..=3, allow_negative_numbers = true, value_name = "GROUP:NAME")]
        words: Vec<String>,
        /// How many bytes
        #[arg(short = 'c', long, default_value_t = 4096)]
        bytes: u32,
        /// Go on with what is added, until interrupted
        #[arg(short, long)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Also what is up to date
    #[arg(long, visible_alias = "force", alias = "develop", overrides_with = "all")]
    pub(crate) all: bool,
    /// Show what would be done, and why
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Supply {
    /// Path or URL of the Software Release
    pub(crate) software: String,
    /// The computer [default: this one]
    pub(crate) computer: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Service {
    /// The instances and their Software Releases
    List,
    /// One instance: what was asked for and what it published
    Info {
        /// The instance's name
        name: String,
    },
    /// Have the services of an instance start anew (for a Master of this program)
    Restart {
        /// The instance's name
        name: String,
        /// Also those of all other instances of its tree that are wanted started
        #[arg(long)]
        tree: bool,
    },
}

/// As long as the original's Master takes them.
fn instance_name(text: &str) -> Result<String, String> {
    const LONGEST: usize = 200;
    match text {
        "" => Err("an instance needs a name".to_owned()),
        _ if text.chars().count() > LONGEST => {
            Err(format!("it is longer than {LONGEST} characters"))
        }
        _ if text.contains(char::is_control) => Err("it has control characters".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    fn parsed(words: &str) -> String {
        let cli = Cli::try_parse_from(words.split(' '));
        format!("{:?}", cli.unwrap_or_else(|error| panic!("{words}: {error}")))
    }

    #[test]
    fn the_originals_spellings_mean_what_ours_do() {
        for (theirs, ours) in [
            ("node instance --only-cp a,b --cfg x", "--cfg x node instance --only a,b"),
            ("node software --only-sr abc --force", "node software --only abc --all"),
            ("node -v software --only-s abc --dry", "-v node software --only abc --dry-run"),
            (
                "node format --now --alter_user False -x a --dry_run",
                "node format --now --alter-user False --computer-xml a --dry-run",
            ),
            (
                "request a b --parameters x=1 y=2 --st stopped --cf x -v",
                "-v --cfg x request a b --parameters x=1 --parameters y=2 --state stopped",
            ),
            (
                "node instance --key_file=/k --maximum-periodicity -1 --pidfile /p",
                "node instance --key_file /k --maximum-periodicity=-1 --pidfile=/p",
            ),
            ("--log-t node status --deb", "--debug --log-time node status"),
        ] {
            let [theirs, ours] = [theirs, ours].map(|words| parsed(&format!("slapos {words}")));
            assert_eq!(theirs, ours);
        }
    }

    #[test]
    fn the_originals_options_are_taken() {
        for (words, kept) in [
            ("node software --key_file /k --cert_file /c --now", r#"cert_file: Some("/c")"#),
            ("node instance --maximum-periodicity -1", r#"maximum_periodicity: Some("-1")"#),
            ("node report --maximal_delay 3 --pidfile /p", r#"pidfile: Some("/p")"#),
            ("node promise --only a --promise-timeout 5", r#"promise_timeout: Some("5")"#),
            ("node supervisorctl status all", r#"["status", "all"]"#),
        ] {
            let parsed = parsed(&format!("slapos {words}"));
            assert!(parsed.contains(kept), "{kept} is not in {parsed}");
        }
    }
}
