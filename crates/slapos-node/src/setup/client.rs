//! `configure client`: the configuration of a user who asks a Master for instances.

use std::path::PathBuf;

use slapos_slap::client::person::request_certificate;
use slapos_sys::{Secret, fs};

use super::ours::Host;
use super::template::{Identity, client_file};
use super::{
    Kind, MasterUrls, PATIENCE, check_line, directory_of, refuse_existing, refuse_trust, write_new,
    write_secret,
};
use crate::error::{IoContext, NodeError};
use crate::reporter::Reporter;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Which Master.
    pub urls: MasterUrls,
    /// The user's token.
    pub token: Secret,
    /// The configuration to write; certificate, key and token go beside it.
    pub config: PathBuf,
}

/// Writes the configuration of a user, all of it for him alone.
///
/// # Errors
/// When a file is there already, or the Master does not answer or does not accept the token.
pub fn configure_client(wanted: &ClientOptions, reporter: &dyn Reporter) -> Result<(), NodeError> {
    let directory = directory_of(&wanted.config);
    let beside = |name: &str| directory.join(name);
    let (certificate, key, token) =
        (beside("client.crt"), beside("client.key"), beside("client.token"));
    let authority = beside("client-master-ca.pem");
    refuse_existing(&[&wanted.config, &certificate, &key, &token, &authority])?;
    let make = || fs::create_dir_all(directory, 0o700).context("create", directory);
    let mut known = None;
    let (master, identity) = match wanted.urls.kind() {
        Kind::Ours { master } => {
            check_line("the URL of a Master", &master)?;
            let host = Host::meet(&master, &wanted.urls, &wanted.token, reporter)?;
            make()?;
            if let Some(pem) = &host.authority {
                write_new(&authority, pem, 0o600)?;
                known = Some(authority.as_path());
            }
            write_secret(&token, &wanted.token)?;
            (master, Identity::Token(token))
        }
        Kind::Original { master, web } => {
            check_line("the URL of a Master", &master)?;
            refuse_trust(&wanted.urls.trust)?;
            let pair = request_certificate(&web, &wanted.token, PATIENCE)?;
            make()?;
            write_new(&certificate, &pair.certificate, 0o600)?;
            write_secret(&key, &pair.key)?;
            (master, Identity::Certificate { key, certificate, repository: PathBuf::new() })
        }
    };
    write_new(&wanted.config, &client_file(&master, &identity, known), 0o600)
}
