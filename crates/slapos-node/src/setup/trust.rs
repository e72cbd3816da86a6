//! How a Master by https is recognised, before anything is shown to it.

use std::path::PathBuf;

use slapos_slap::Authority;
use slapos_sys::fs;

use super::PATIENCE;
use crate::error::{IoContext, NodeError};
use crate::reporter::Reporter;

/// Whom we take for the Master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Who has a certificate that this machine trusts.
    #[default]
    Machine,
    /// Who has one of the authority in this file.
    File(PathBuf),
    /// Who has one of the authority that the Master itself gives, if it has this fingerprint (SHA-256).
    Fingerprint(String),
    /// Who has one of the authority that is given now, by whoever answers.
    FirstUse,
}

impl Trust {
    /// The authority as PEM, where it is not one of the machine's.
    ///
    /// # Errors
    /// When it cannot be had, has another fingerprint, or is asked of a Master that has no TLS.
    pub(super) fn authority(
        &self,
        master: &str,
        reporter: &dyn Reporter,
    ) -> Result<Option<String>, NodeError> {
        if *self != Trust::Machine && !is_secret(master) {
            return Err(NodeError::user(format!("{master} is not https: it shows no certificate"))
                .hint("leave the Master's authority out, or give the URL of its port with TLS"));
        }
        match self {
            Trust::Machine => Ok(None),
            Trust::File(path) => fs::read_to_string(path).context("read", path).map(Some),
            Trust::Fingerprint(wanted) => {
                let found = Authority::ask(master, PATIENCE)?;
                match found.has(wanted) {
                    true => Ok(Some(found.certificate)),
                    false => Err(other_authority(master, &found)),
                }
            }
            Trust::FirstUse => {
                let found = Authority::ask(master, PATIENCE)?;
                let text = format!(
                    "whoever answers at {master} is taken for the Master from now on; compare \
                     `slapos proxy ca show --fingerprint` there with {}",
                    found.fingerprint
                );
                reporter.warn("master", &text);
                Ok(Some(found.certificate))
            }
        }
    }
}

fn other_authority(master: &str, found: &Authority) -> NodeError {
    NodeError::user(format!(
        "the authority that is given at {master} has another fingerprint: {}",
        found.fingerprint
    ))
    .hint(
        "nothing was shown to it. Compare with `slapos proxy ca show --fingerprint` at the Master: \
         if that differs from it too, somebody is in between",
    )
}

/// Whether what is sent there cannot be read on the way.
pub(super) fn is_secret(master: &str) -> bool {
    master.trim().to_ascii_lowercase().starts_with("https://")
}
