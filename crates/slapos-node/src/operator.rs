//! The configuration of whoever operates a Master: a file with `[slapproxy]`, whether or not the machine
//! is a node as well.

use std::path::{Path, PathBuf};

use slapos_config::{Config, ConfigError};
use slapos_slap::{ComputerId, SlapClient};
use slapos_sys::user::{self, Identity};

use crate::client_config::ClientConfig;
use crate::config::{ProxyConfig, alter_user};
use crate::error::{IoContext, NodeError};
use crate::reporter::Reporter;
use crate::standalone::prepare_master;

/// What the commands of `slapos proxy` need to know.
#[derive(Clone, Debug)]
pub struct OperatorConfig {
    /// The file it was read from.
    pub file: PathBuf,
    /// How the Master is reached.
    pub client: ClientConfig,
    /// `[slapproxy]`, when the file has that section: the Master is this machine's.
    pub proxy: Option<ProxyConfig>,
    /// `[slapformat] alter_user`: whether users may be created.
    alter_user: bool,
}

impl OperatorConfig {
    /// Reads the file; options of `[slapproxy]` that arguments gave stand in place of those of the
    /// file. They make no Master of a file that has none, unless one is its database.
    ///
    /// # Errors
    /// Names the file and line of what is missing or wrong.
    pub fn read(path: &Path, arguments: &[(&str, String)]) -> Result<Self, ConfigError> {
        Self::from_config(Config::read(path)?, arguments, path)
    }

    fn from_config(
        mut config: Config,
        arguments: &[(&str, String)],
        path: &Path,
    ) -> Result<Self, ConfigError> {
        let enough = arguments.iter().any(|(option, _)| *option == "database_uri");
        if enough || config.section_line("slapproxy").is_some() {
            for (option, value) in arguments {
                config.set("slapproxy", option, value);
            }
        }
        Ok(Self {
            file: path.to_owned(),
            proxy: ProxyConfig::from_config(&config)?,
            client: ClientConfig::from_config(&config)?,
            alter_user: alter_user(&config)?,
        })
    }

    /// The Master of this machine.
    ///
    /// # Errors
    /// When the file has none.
    pub fn embedded(&self) -> Result<&ProxyConfig, NodeError> {
        self.proxy.as_ref().ok_or_else(|| {
            NodeError::user(format!("{} has no [slapproxy]", self.file.display()))
                .hint("add the section with host, port and database_uri")
        })
    }

    /// The computer that requests go to when they name none; empty if this machine is no node.
    pub fn home(&self) -> ComputerId {
        self.client.computer_id.clone().unwrap_or_else(|| ComputerId::new(""))
    }

    /// A client of the Master.
    ///
    /// # Errors
    /// When the token's file cannot be read, or the URL is none.
    pub fn master(&self) -> Result<SlapClient, NodeError> {
        self.client.master()
    }

    /// Where the operator's token is.
    pub fn token_file(&self) -> Option<&Path> {
        self.client.token_file.as_ref().map(|file| file.path.as_path())
    }

    /// Whether the Master's directory belongs, or will belong, to another user than this process.
    pub fn is_anothers(&self) -> bool {
        let Some(proxy) = self.proxy.as_ref().filter(|_| user::is_root()) else { return false };
        user::owner_of(&proxy.directory).map_or(self.alter_user, |owner| owner.uid != 0)
    }

    /// The user who has the Master's directory, if this process is another; nobody while there is none.
    ///
    /// # Errors
    /// When the file has no Master, or its directory cannot be looked at.
    pub fn owner(&self) -> Result<Option<Identity>, NodeError> {
        let directory = self.embedded()?.directory.as_path();
        if !user::is_root() || !directory.exists() {
            return Ok(None);
        }
        let owner = user::owner_of(directory).context("examine", directory)?;
        Ok((owner.uid != 0).then_some(owner))
    }

    /// Makes what the Master of this machine needs; see [`prepare_master`].
    ///
    /// # Errors
    /// When the file has no Master, or something cannot be made.
    pub fn prepare(&self, reporter: &dyn Reporter) -> Result<Option<Identity>, NodeError> {
        prepare_master(self.embedded()?, self.token_file(), self.alter_user, reporter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<OperatorConfig, ConfigError> {
        read_with(text, &[])
    }

    fn read_with(text: &str, arguments: &[(&str, String)]) -> Result<OperatorConfig, ConfigError> {
        let config = Config::parse(text, "slapos.cfg")?;
        OperatorConfig::from_config(config, arguments, Path::new("slapos.cfg"))
    }

    #[test]
    fn a_master_alone_needs_nothing_of_a_node() {
        let config = read("[slapproxy]\ndatabase_uri = /m/proxy.db\n").unwrap();
        assert_eq!(config.client.master_url, "http://127.0.0.1:5000");
        assert_eq!(config.token_file(), Some(Path::new("/m/master.token")));
        assert!(config.home().as_str().is_empty() && config.alter_user);
        let url = |options: &str| {
            let text = format!("[slapproxy]\ndatabase_uri = /m/proxy.db\n{options}");
            read(&text).unwrap().client.master_url
        };
        assert_eq!(url("host = 0.0.0.0\nport = 1\nallow_plain_http = true"), "http://127.0.0.1:1");
        assert_eq!(url("host = ::\nport = 1"), "http://[::1]:1");
        assert_eq!(url("host = fd00::1\nport = 1"), "http://[fd00::1]:1");
        assert_eq!(url("[slapos]\nmaster_url = https://m"), "https://m");
    }

    #[test]
    fn what_is_missing_is_told() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("[slapproxy]\n"), @"slapos.cfg:1: [slapproxy] needs the option `database_uri`");
        insta::assert_snapshot!(error("[slapos]\n"), @"slapos.cfg:1: [slapos] needs the option `master_url`, where there is no [slapproxy]");
        let other = read("[slapos]\nmaster_url = http://m\n").unwrap();
        assert_eq!(other.embedded().unwrap_err().to_string(), "slapos.cfg has no [slapproxy]");
    }

    #[test]
    fn arguments_make_a_master_only_of_what_is_one() {
        let other = "[slapos]\nmaster_url = http://m\n";
        let (port, database) = (("port", "1".to_owned()), ("database_uri", "/m/a.db".to_owned()));
        let none = read_with(other, std::slice::from_ref(&port)).unwrap();
        assert_eq!(none.embedded().unwrap_err().to_string(), "slapos.cfg has no [slapproxy]");
        let here = "[slapproxy]\ndatabase_uri = /m/b.db\nport = 2\n";
        assert_eq!(
            read_with(here, std::slice::from_ref(&port)).unwrap().embedded().unwrap().port,
            1
        );
        let made = read_with(other, &[port, database]).unwrap();
        let made = made.embedded().unwrap();
        assert_eq!((made.port, made.database_uri.expose()), (1, "/m/a.db"));
    }
}
