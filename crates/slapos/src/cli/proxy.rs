//! Arguments of the commands of `slapos proxy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::identity;

#[derive(Debug, Subcommand)]
pub(crate) enum Proxy {
    /// Run the Master in the foreground
    Start,
    /// Write all that the Master remembers to a file, while it runs or not
    Backup {
        /// The file, which is replaced when the new one is whole; `-`: standard output
        file: PathBuf,
    },
    /// Put a backup in the place of all that the Master remembers, in whatever kind of database
    /// `database_uri` names; no Master may use it meanwhile
    Restore {
        /// The file; `-`: standard input
        file: PathBuf,
        /// Replace what is in the database, which must be empty otherwise
        #[arg(long)]
        force: bool,
        /// Read all of the backup, and show what would be done
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Change the schema of the Master's database; `proxy start` brings it to the present one by itself
    Migrate {
        /// The number of a schema, to go back for an older version while no Master uses the database;
        /// what only later ones can hold is lost [default: the present one]
        #[arg(long, value_name = "N")]
        to: Option<i64>,
        /// Show what would be done, and why
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Show what the Master knows
    Show(Show),
    /// Print the address of the dashboard that signs in; it carries the token: whoever has it may do all
    /// that the token may
    Dashboard {
        /// Open it in the browser of this desktop instead
        #[arg(long)]
        open: bool,
    },
    /// People who may use the Master
    #[command(subcommand)]
    User(identity::User),
    /// What people own computers and instances in
    #[command(subcommand)]
    Project(identity::Project),
    /// What people and nodes prove themselves by
    #[command(subcommand)]
    Token(identity::Token),
    /// Computers: list them, make them known, say what they are used for, revoke, forget
    #[command(subcommand)]
    Computer(identity::Computer),
    /// The Master's own certificate authority
    #[command(subcommand)]
    Ca(identity::Authority),
    /// Instances that the instance which asked for them does not ask for any more
    Orphans {
        /// Have them destroyed, with their data
        #[arg(long)]
        destroy: bool,
        /// Only those of the trees of that name
        #[arg(long, value_name = "NAME")]
        tree: Option<String>,
    },
    /// What people changed, and who was refused, the newest first
    Audit {
        /// How many entries
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The computers
    #[arg(long)]
    pub(crate) computers: bool,
    /// The Software Releases
    #[arg(long)]
    pub(crate) software: bool,
    /// The partitions in use
    #[arg(long)]
    pub(crate) partitions: bool,
    /// The shared (slave) instances
    #[arg(long, visible_alias = "shared")]
    pub(crate) slaves: bool,
    /// The instances' parameters
    #[arg(long)]
    pub(crate) params: bool,
    /// The partitions' addresses
    #[arg(long)]
    pub(crate) network: bool,
}

impl Show {
    /// Whether nothing was chosen, which means everything.
    pub(crate) fn all(&self) -> bool {
        let instances = self.partitions || self.slaves || self.params;
        !(self.computers || self.software || instances || self.network)
    }
}
