//! The arguments of `node software`, `instance`, `report` and `promise`: what is done in this run,
//! and what stands in place of options of `slapos.cfg`, under the original's names.

use clap::Args;

/// `node software`.
#[derive(Debug, Args)]
pub(crate) struct Software {
    #[command(flatten)]
    pub(crate) run: super::Run,
    /// Only these Software Releases (URL, MD5 of it, or path)
    #[arg(long, visible_alias = "only-sr", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Processes that may build at once [default: the number of processors]
    #[arg(short, long)]
    pub(crate) jobs: Option<usize>,
    /// After a part failed, still build those that do not need it
    #[arg(short, long)]
    pub(crate) keep_going: bool,
    /// Remove what the Master does not list here and no instance uses
    #[arg(long, alias = "garbage_collect")]
    pub(crate) garbage_collect: bool,
    #[command(flatten)]
    pub(crate) grid: Grid,
}

/// `node instance`.
#[derive(Debug, Args)]
pub(crate) struct Instance {
    #[command(flatten)]
    pub(crate) run: super::Run,
    /// Only these partitions
    #[arg(long, visible_alias = "only-cp", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Partitions that are processed at once [default: the number of processors]
    #[arg(short, long)]
    pub(crate) jobs: Option<usize>,
    /// Deploy instances and keep them stopped, whatever the Master wants
    #[arg(long, alias = "force_stop")]
    pub(crate) force_stop: bool,
    /// Where the agent says that the Master wants something new
    #[arg(long, value_name = "DESCRIPTOR", hide = true)]
    pub(crate) hints: Option<i32>,
    #[command(flatten)]
    pub(crate) grid: Grid,
}

/// `node report`.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Show what would be done, and why
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) grid: Grid,
}

/// What stands in place of options of `[slapos]`.
#[derive(Debug, Args)]
#[command(next_help_heading = "In place of options of slapos.cfg")]
pub(crate) struct Grid {
    /// Begin at once, whatever maximal_delay says; `report` does not wait for `instance` to end either
    #[arg(long)]
    pub(crate) now: bool,
    /// Begin after a random time of up to this many seconds
    #[arg(long = "maximal_delay", alias = "maximal-delay", value_name = "SECONDS")]
    maximal_delay: Option<String>,
    /// Where partitions are
    #[arg(long, alias = "instance_root", value_name = "DIR")]
    instance_root: Option<String>,
    /// Where Software Releases are
    #[arg(long, alias = "software_root", value_name = "DIR")]
    software_root: Option<String>,
    /// The Master
    #[arg(long, alias = "master_url", value_name = "URL")]
    master_url: Option<String>,
    /// The name of this computer at the Master
    #[arg(long, alias = "computer_id", value_name = "NAME")]
    computer_id: Option<String>,
    /// The key of the node's certificate
    #[arg(long = "key_file", alias = "key-file", value_name = "FILE")]
    key_file: Option<String>,
    /// The certificate that the node shows to a Master by https
    #[arg(long = "cert_file", alias = "cert-file", value_name = "FILE")]
    cert_file: Option<String>,
    /// The authorities that sign the Master's certificate
    #[arg(long = "master_ca_file", alias = "master-ca-file", value_name = "FILE")]
    master_ca_file: Option<String>,
    /// Where certificates of partitions are kept
    #[arg(
        long = "certificate_repository_path",
        alias = "certificate-repository-path",
        value_name = "DIR"
    )]
    certificate_repository_path: Option<String>,
    /// The lock against a second run
    #[arg(long, value_name = "FILE")]
    pidfile: Option<String>,
    /// After how many seconds an unchanged instance is processed again; negative: never
    #[arg(
        long,
        alias = "maximum_periodicity",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    maximum_periodicity: Option<String>,
    /// How long a promise may take
    #[arg(long, alias = "promise_timeout", value_name = "SECONDS")]
    promise_timeout: Option<String>,
    /// How long a partition may take
    #[arg(long, alias = "partition_timeout", value_name = "SECONDS")]
    partition_timeout: Option<String>,
    /// Log everything
    #[arg(long, alias = "buildout_debug")]
    buildout_debug: bool,
    /// Refused unless it is the supervisor's own, INSTANCE_ROOT/sv.sock
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) supervisord_socket: Option<String>,
    /// Refused: the supervisor's files are below the instance root
    #[arg(long, value_name = "FILE", hide = true)]
    supervisord_configuration_path: Option<String>,
    /// Refused: there is no bootstrap with Buildout
    #[arg(long, value_name = "FILE", hide = true)]
    buildout: Option<String>,
    /// The key that signs binary Software Releases which are uploaded
    #[arg(
        long = "signature_private_key_file",
        alias = "signature-private-key-file",
        value_name = "FILE"
    )]
    signature_private_key_file: Option<String>,
}

impl Grid {
    /// The options that arguments give; `pidfile` is the option that names this command's lock.
    pub(crate) fn settings(&self, pidfile: &'static str) -> Vec<(&'static str, String)> {
        let given = [
            ("maximal_delay", &self.maximal_delay),
            ("instance_root", &self.instance_root),
            ("software_root", &self.software_root),
            ("master_url", &self.master_url),
            ("computer_id", &self.computer_id),
            ("key_file", &self.key_file),
            ("cert_file", &self.cert_file),
            ("master_ca_file", &self.master_ca_file),
            ("certificate_repository_path", &self.certificate_repository_path),
            (pidfile, &self.pidfile),
            ("maximum_periodicity", &self.maximum_periodicity),
            ("promise_timeout", &self.promise_timeout),
            ("signature_private_key_file", &self.signature_private_key_file),
            ("partition_timeout", &self.partition_timeout),
        ];
        let given = given.into_iter();
        let mut settings: Vec<_> =
            given.filter_map(|(option, value)| Some((option, value.clone()?))).collect();
        if self.buildout_debug {
            settings.push(("buildout_debug", "true".to_owned()));
        }
        settings
    }

    /// An argument of the original that cannot be honoured, and why.
    pub(crate) fn refused(&self) -> Option<(&'static str, &'static str)> {
        let refused = [
            (
                &self.supervisord_configuration_path,
                "--supervisord-configuration-path",
                "the supervisor's files are below the instance root",
            ),
            (&self.buildout, "--buildout", "there is no Buildout to bootstrap with"),
        ];
        let mut given = refused.into_iter().filter(|(value, ..)| value.is_some());
        given.next().map(|(_, option, why)| (option, why))
    }
}
