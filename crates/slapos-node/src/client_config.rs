//! The configuration of who asks a Master for something: a user's own file, or a node's.

use std::path::{Path, PathBuf};

use slapos_config::{Config, ConfigError};
use slapos_slap::{ComputerId, DEFAULT_TIMEOUT, SlapClient};

use crate::error::NodeError;
use crate::node::read_token;

/// What a user's commands need to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `[slapos] master_url`.
    pub master_url: String,
    /// `[slapos] master_token_file`; that of the embedded Master unless set.
    pub master_token_file: Option<PathBuf>,
    /// `[slapos] computer_id`, in the configuration of a node: where instances go that are asked for.
    pub computer_id: Option<ComputerId>,
}

impl ClientConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// Names the file and line of what is missing or wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::from_config(&Config::read(path)?)
    }

    fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let get = |section, option| config.get(section, option).filter(|value| !value.is_empty());
        let master_url = get("slapos", "master_url").ok_or_else(|| {
            config.error("slapos", "master_url", "[slapos] needs the option `master_url`")
        })?;
        let token = get("slapos", "master_token_file").map(PathBuf::from);
        if token.as_ref().is_some_and(|path| !path.is_absolute()) {
            let message = "`master_token_file` must be an absolute path";
            return Err(config.error("slapos", "master_token_file", message));
        }
        let database = get("slapproxy", "database_uri").map(Path::new);
        let beside = database.map(|database| database.with_file_name("master.token"));
        Ok(Self {
            master_url: master_url.to_owned(),
            master_token_file: token.or(beside),
            computer_id: get("slapos", "computer_id").map(ComputerId::new),
        })
    }

    /// A client of the Master.
    ///
    /// # Errors
    /// When the token's file cannot be read, or the URL is none.
    pub fn master(&self) -> Result<SlapClient, NodeError> {
        let token = self.master_token_file.as_deref().map(read_token).transpose()?;
        Ok(SlapClient::new(&self.master_url, token, DEFAULT_TIMEOUT)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClientConfig, ConfigError> {
        ClientConfig::from_config(&Config::parse(text, "client.cfg").unwrap())
    }

    #[test]
    fn a_users_file_needs_no_more_than_the_master() {
        let config = read("[slapos]\nmaster_url = http://m\n").unwrap();
        assert_eq!((config.master_token_file, config.computer_id), (None, None));
        let error = read("[slapos]\n").unwrap_err().to_string();
        insta::assert_snapshot!(error, @"client.cfg:1: [slapos] needs the option `master_url`");
    }

    #[test]
    fn a_nodes_file_says_where_it_is() {
        let text = "[slapos]\nmaster_url = http://m\ncomputer_id = c\n[slapproxy]\ndatabase_uri = /m/proxy.db\n";
        let config = read(text).unwrap();
        assert_eq!(config.master_token_file.as_deref(), Some(Path::new("/m/master.token")));
        assert_eq!(config.computer_id, Some("c".into()));
    }
}
