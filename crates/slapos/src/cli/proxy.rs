//! Arguments of the commands of `slapos proxy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use slapos_node::NodeError;

use super::identity;

#[derive(Debug, Subcommand)]
pub(crate) enum Proxy {
    /// Run the Master in the foreground
    Start(Start),
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

/// What stands in place of options of `[slapproxy]`.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The address to listen on, in place of that of slapos.cfg
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// The port, in place of that of slapos.cfg
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The Master's database, in place of that of slapos.cfg: a file, or the address of a PostgreSQL
    /// database
    #[arg(short = 'u', long, value_name = "FILE|URL")]
    database_uri: Option<String>,
    /// Refused: Software Releases are known by the names by which they were asked for
    #[arg(long, value_name = "DIR", hide = true)]
    local_software_release_root: Option<PathBuf>,
}

impl Start {
    /// The options that arguments give.
    ///
    /// # Errors
    /// When one cannot be honoured.
    pub(crate) fn settings(&self) -> Result<Vec<(&'static str, String)>, NodeError> {
        if self.local_software_release_root.is_some() {
            let message = "--local-software-release-root cannot be honoured: Software Releases are \
                           known by the names by which they were asked for";
            return Err(NodeError::user(message).hint("leave it out"));
        }
        let host = self.host.iter().map(|host| ("host", host.clone()));
        let port = self.port.iter().map(|port| ("port", port.to_string()));
        let database = self.database_uri.as_deref().map(database).transpose()?;
        Ok(host.chain(port).chain(database.map(|text| ("database_uri", text))).collect())
    }
}

/// A database as it is named in arguments: a file may be named from where one is. What is said here
/// is seen by all users of the machine.
pub(crate) fn database(text: &str) -> Result<String, NodeError> {
    let Some((_, address)) = text.split_once("://") else {
        let path = std::path::absolute(text)
            .ok()
            .and_then(|path| path.into_os_string().into_string().ok());
        return path.ok_or_else(|| NodeError::user(format!("{text} names no database")));
    };
    let user = address.split('/').next().and_then(|host| host.rsplit_once('@'));
    if user.is_some_and(|(user, _)| user.contains(':')) || address.contains("password=") {
        let message = "--database-uri must not have a password: all users of this machine see it";
        return Err(NodeError::user(message)
            .hint("name a file that has it by `database_password_file` of [slapproxy]"));
    }
    Ok(text.to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Refused unless it is that of slapos.cfg: the Master itself is asked
    #[arg(short = 'u', long, value_name = "FILE|URL", hide = true)]
    pub(crate) database_uri: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_from_where_one_is_and_without_a_password() {
        let here = std::env::current_dir().unwrap().join("proxy.db");
        assert_eq!(database("proxy.db").unwrap(), here.to_string_lossy());
        assert_eq!(database("/m/proxy.db").unwrap(), "/m/proxy.db");
        for fine in ["postgresql://u@h:5432/db", "postgres:///db?host=/run"] {
            assert_eq!(database(fine).unwrap(), fine);
        }
        for secret in ["postgresql://u:p@h/db", "postgresql://h/db?password=p"] {
            let error = database(secret).unwrap_err().to_string();
            assert!(error.contains("must not have a password"), "{error}");
        }
    }
}
