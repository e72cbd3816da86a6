//! The configuration of who asks a Master for something: a user's own file, or a node's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use slapos_config::{Config, ConfigError};
use slapos_slap::{ComputerId, DEFAULT_TIMEOUT, SlapClient};

use crate::config::{IdentityFiles, Reader, embedded_url, identity, master_directory, unread};
use crate::error::NodeError;
use crate::node::tls_identity;
use crate::token_file::{TokenFile, having_looked, token};

/// What a user's commands need to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `[slapos] master_url`; where the embedded Master of `[slapproxy]` answers unless set.
    pub master_url: String,
    /// `[slapos] master_token_file`; that of the embedded Master unless set.
    pub token_file: Option<TokenFile>,
    /// `key_file` and `cert_file` of `[slapconsole]`, or else the node's (of `[slapos]` or
    /// `[slapformat]`): who the user is to a Master by https.
    pub identity: Option<IdentityFiles>,
    /// `master_ca_file`, as for a node: of `[slapos]` or `[slapformat]`.
    pub master_ca_file: Option<PathBuf>,
    /// `[slapos] master_timeout`: how long the Master may take for one answer.
    pub master_timeout: Duration,
    /// `[slapos] computer_id`, in the configuration of a node: where instances go that are asked for.
    pub computer_id: Option<ComputerId>,
    /// Options of the file that nobody reads, each with its place and what may be meant.
    pub unread: Vec<String>,
}

impl ClientConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// Names the file and line of what is missing or wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::from_config(&Config::read(path)?)
    }

    /// What [`read`](Self::read) does with a file already parsed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let get = |section, option| config.get(section, option).filter(|value| !value.is_empty());
        let embedded = config.section_line("slapproxy").is_some();
        let master_url = match get("slapos", "master_url") {
            Some(url) => url.to_owned(),
            None if embedded => embedded_url(config)?,
            None => {
                let message =
                    "[slapos] needs the option `master_url`, where there is no [slapproxy]";
                return Err(config.error("slapos", "master_url", message));
            }
        };
        let node = Reader::of(config, "slapos");
        let beside = get("slapproxy", "database_uri").map(|_| master_directory(config));
        let beside = beside.transpose()?;
        Ok(Self {
            master_url,
            token_file: TokenFile::of(node.optional_path("master_token_file")?, beside.as_deref()),
            identity: certificate(config)?,
            master_ca_file: Reader::of_format(config).optional_path("master_ca_file")?,
            master_timeout: node.seconds("master_timeout", DEFAULT_TIMEOUT.as_secs())?,
            computer_id: get("slapos", "computer_id").map(ComputerId::new),
            unread: unread(config),
        })
    }

    /// A client of the Master.
    ///
    /// # Errors
    /// When the token's file cannot be read, or the URL is none.
    pub fn master(&self) -> Result<SlapClient, NodeError> {
        let file = self.token_file.as_ref();
        let token = token(file)?;
        let identity = tls_identity(self.identity.as_ref(), self.master_ca_file.as_deref())?;
        let client =
            SlapClient::with_identity(&self.master_url, token, self.master_timeout, &identity);
        Ok(having_looked(client?, file))
    }
}

/// The files of the user's certificate, or else of the node's.
fn certificate(config: &Config) -> Result<Option<IdentityFiles>, ConfigError> {
    let own = identity(&Reader::of(config, "slapconsole"))?;
    own.map_or_else(|| identity(&Reader::of_format(config)), |own| Ok(Some(own)))
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
        assert_eq!((config.token_file, config.computer_id), (None, None));
        let error = read("[slapos]\n").unwrap_err().to_string();
        insta::assert_snapshot!(error, @"client.cfg:1: [slapos] needs the option `master_url`, where there is no [slapproxy]");
    }

    #[test]
    fn the_users_own_certificate_comes_before_the_nodes() {
        let text = "[slapos]\nmaster_url = https://m\nkey_file = /n.key\ncert_file = /n.crt\n";
        assert_eq!(read(text).unwrap().identity.unwrap().key, Path::new("/n.key"));
        let both = format!("{text}[slapconsole]\nkey_file = /u.key\ncert_file = /u.crt\n");
        assert_eq!(read(&both).unwrap().identity.unwrap().certificate, Path::new("/u.crt"));
        let half = format!("{text}[slapconsole]\nkey_file = /u.key\n");
        let error = read(&half).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"client.cfg:6: `key_file` needs `cert_file`");
    }

    #[test]
    fn what_a_node_hears_of_its_master_an_operator_hears_too() {
        let text = "[slapos]\nmaster_url = https://m\nmaster_timeout = 7\n[slapformat]\n\
            key_file = /f.key\ncert_file = /f.crt\nmaster_ca_file = /f.ca\n";
        let config = read(text).unwrap();
        assert_eq!(config.master_timeout, Duration::from_secs(7));
        assert_eq!(config.master_ca_file.unwrap(), Path::new("/f.ca"));
        assert_eq!(config.identity.unwrap().key, Path::new("/f.key"));
    }

    #[test]
    fn a_nodes_file_says_where_it_is() {
        let text = "[slapos]\nmaster_url = http://m\ncomputer_id = c\n[slapproxy]\ndatabase_uri = /m/proxy.db\n";
        let config = read(text).unwrap();
        assert_eq!(config.token_file.unwrap().path, Path::new("/m/master.token"));
        assert_eq!(config.computer_id, Some("c".into()));
    }
}
