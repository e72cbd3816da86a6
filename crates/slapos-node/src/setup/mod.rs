//! First configurations: `configure local`, `configure client`, `node register`.
//!
//! Invariants: nothing that is there is lost; secrets are in files of mode 0600, and in no
//! command line that we start; the configuration itself is written last, so that one that is there
//! is whole, and it was understood before it was written.

mod client;
mod exchange;
mod local;
mod ours;
mod register;
mod template;
mod trust;

use std::path::{Path, PathBuf};
use std::time::Duration;

use slapos_config::Config;
use slapos_sys::{Secret, fs};

use crate::config::NodeConfig;
use crate::error::{IoContext, NodeError};

pub use client::{ClientOptions, configure_client};
pub use local::{LocalOptions, configure_local};
pub use register::{Registration, register};
pub use slapos_slap::client::person::Credential;
pub use trust::Trust;

/// The Master of the service that the original is made for.
pub const PUBLIC_MASTER: &str = "https://slap.vifib.com";
/// Its web face.
pub const PUBLIC_MASTER_WEB: &str = "https://panel.rapid.space";

/// How long a Master may take to make a certificate.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which Master, as given on the command line.
#[derive(Clone, Debug, Default)]
pub struct MasterUrls {
    /// The Master's URL.
    pub master: Option<String>,
    /// That of its web face, which gives out certificates.
    pub web: Option<String>,
    /// How it is recognised, if it is one of ours.
    pub trust: Trust,
}

/// Which kind of Master that is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// One of ours, which wants a token.
    Ours { master: String },
    /// The original's, which wants a certificate.
    Original { master: String, web: String },
}

impl MasterUrls {
    /// A Master without a web face is one of ours: a token never goes where it was not said to.
    fn kind(&self) -> Kind {
        match (&self.master, &self.web) {
            (Some(master), None) => Kind::Ours { master: master.clone() },
            (master, web) => Kind::Original {
                master: master.clone().unwrap_or_else(|| PUBLIC_MASTER.to_owned()),
                web: web.clone().unwrap_or_else(|| PUBLIC_MASTER_WEB.to_owned()),
            },
        }
    }
}

/// The original's Master is known by what the machine trusts.
fn refuse_trust(trust: &Trust) -> Result<(), NodeError> {
    match trust {
        Trust::Machine => Ok(()),
        _ => Err(NodeError::user("only a Master of this program has an authority of its own")
            .hint("name it by --master-url, without --master-url-web")),
    }
}

/// Writes a secret where nothing is yet.
fn write_secret(path: &Path, secret: &Secret) -> Result<(), NodeError> {
    write_new(path, secret.expose().trim_end(), 0o600)
}

/// Writes a file where nothing is yet.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), NodeError> {
    let text = format!("{}\n", text.trim_end());
    match fs::write_once(path, text.as_bytes(), mode).context("write", path)? {
        true => Ok(()),
        false => Err(is_there(path)),
    }
}

fn refuse_existing(paths: &[&PathBuf]) -> Result<(), NodeError> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(is_there(path)),
        None => Ok(()),
    }
}

fn is_there(path: &Path) -> NodeError {
    NodeError::user(format!("there is already {}", path.display()))
        .hint("move it away first; nothing was overwritten")
}

/// The configuration that `text` makes, before it is written to `path`.
fn understood(text: &str, path: &Path) -> Result<NodeConfig, NodeError> {
    let config = Config::parse(text, &path.display().to_string())?;
    Ok(NodeConfig::from_config(&config, path)?)
}

/// A value that becomes a line of a configuration file.
fn check_line(what: &str, value: &str) -> Result<(), NodeError> {
    match value.is_empty() || value.contains(char::is_control) {
        true => Err(NodeError::user(format!("{value:?} cannot be {what}"))),
        false => Ok(()),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_without_a_web_face_is_ours() {
        let kind = |master: Option<&str>, web: Option<&str>| {
            let own = |text: &str| text.to_owned();
            let (master, web) = (master.map(own), web.map(own));
            MasterUrls { master, web, trust: Trust::Machine }.kind()
        };
        let original = |master: &str, web: &str| Kind::Original {
            master: master.to_owned(),
            web: web.to_owned(),
        };
        assert_eq!(kind(Some("http://m"), None), Kind::Ours { master: "http://m".into() });
        assert_eq!(kind(None, None), original(PUBLIC_MASTER, PUBLIC_MASTER_WEB));
        assert_eq!(kind(Some("http://m"), Some("http://w")), original("http://m", "http://w"));
        assert_eq!(kind(None, Some("http://w")), original(PUBLIC_MASTER, "http://w"));
    }
}
