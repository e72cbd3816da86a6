//! `node register`: makes this machine a computer of a Master, and writes its configuration.
//!
//! A Master of ours by https gives a certificate for the token, so that the node needs no secret of
//! others and can renew it by itself; by plain HTTP, which is for one machine, the token is kept.
//! A former configuration is moved aside (`.old`, `.old.1`, ...), once the Master has said yes and
//! the new one is on disk.

use std::path::{Path, PathBuf};

use slapos_slap::SlapError;
use slapos_slap::client::person::{Credential, KeyPair, request_computer};
use slapos_sys::{Secret, fs, user};

use super::exchange::{Exchange, Exchanged};
use super::ours::Host;
use super::template::{Identity, NodeFile, node_file};
use super::trust::{Trust, is_secret};
use super::{
    Kind, MasterUrls, PATIENCE, check_line, directory_of, refuse_trust, understood, write_new,
    write_secret,
};
use crate::certificate;
use crate::error::{IoContext, NodeError};
use crate::renewal::one_file;
use crate::reporter::Reporter;
use crate::standalone::{Layout, UserNames};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The title of the computer; at a Master of ours, its identifier.
    pub title: String,
    /// Which Master.
    pub urls: MasterUrls,
    /// Who asks.
    pub credential: Credential,
    /// The configuration to write.
    pub config: PathBuf,
    /// `[slapos] software_root`.
    pub software_root: PathBuf,
    /// `[slapos] instance_root`.
    pub instance_root: PathBuf,
    /// `[slapformat] partition_amount`.
    pub partition_amount: u32,
    /// `[slapformat] interface_name`.
    pub interface_name: Option<String>,
    /// `[slapformat] ipv6_interface`.
    pub ipv6_interface: Option<String>,
    /// `[slapformat] ipv4_local_network`.
    pub ipv4_local_network: Option<String>,
    /// `[slapformat] create_tap`.
    pub create_tap: bool,
    /// Whether a configuration that is there is replaced; the former one is kept beside it.
    pub force: bool,
    /// Ask nobody and write nothing: say what would be written.
    pub dry_run: bool,
}

/// Registers the computer and writes its configuration; returns its identifier.
///
/// # Errors
/// When there is a configuration that is not to be replaced, the Master does not answer or refuses,
/// or a file cannot be written; a former configuration is in its place then.
pub fn register(wanted: &Registration, reporter: &dyn Reporter) -> Result<String, NodeError> {
    check_line("the name of a node", &wanted.title)?;
    let files = Files::beside(&wanted.config);
    if wanted.dry_run {
        let text = wanted.would_be(&files)?;
        let note = format!("would be written, with the identifier that the Master gives:\n{text}");
        reporter.note(&wanted.config.display().to_string(), &note);
        return Ok(wanted.title.clone());
    }
    // Before the Master makes anything that would have to be revoked.
    if !wanted.force && wanted.config.symlink_metadata().is_ok() {
        let there = wanted.config.display();
        return Err(NodeError::user(format!("there is {there} already; nothing was registered"))
            .hint("add --force to replace it: the former files are kept beside the new ones"));
    }
    match (wanted.urls.kind(), &wanted.credential) {
        (Kind::Ours { master }, Credential::Token(token)) => {
            let host = Host::meet(&master, &wanted.urls, token, reporter)?;
            let pair = host.certificate(&wanted.title, reporter)?;
            let proof = pair.as_ref().map_or(Proof::Token(token), Proof::One);
            let given = Given { proof, authority: host.authority.as_deref() };
            wanted.write(&files, &wanted.title, &given, reporter)?;
            Ok(wanted.title.clone())
        }
        (Kind::Ours { .. }, Credential::Login { .. }) => {
            Err(NodeError::user("a Master of this program knows no logins: give its token")
                .hint("for one with a web face, name that with --master-url-web"))
        }
        (Kind::Original { web, .. }, credential) => {
            refuse_trust(&wanted.urls.trust)?;
            let pair = request_computer(&web, &wanted.title, credential, PATIENCE)
                .map_err(|error| refused(error, &wanted.title))?;
            let computer = computer_of(&pair.certificate)?;
            let given = Given { proof: Proof::Pair(&pair), authority: None };
            wanted.write(&files, &computer, &given, reporter)?;
            Ok(computer)
        }
    }
}

/// What the Master gave.
struct Given<'a> {
    proof: Proof<'a>,
    /// Its authority as PEM, unless the machine knows it.
    authority: Option<&'a str>,
}

/// By what the node is to prove who it is.
enum Proof<'a> {
    Token(&'a Secret),
    /// In two files.
    Pair(&'a KeyPair),
    /// In one file, which the node renews.
    One(&'a KeyPair),
}

/// The files that are written.
struct Files {
    directory: PathBuf,
    ssl: PathBuf,
    key: PathBuf,
    certificate: PathBuf,
    /// Both in one.
    one: PathBuf,
    authority: PathBuf,
    repository: PathBuf,
    token: PathBuf,
}

impl Files {
    fn beside(config: &Path) -> Files {
        let directory = directory_of(config).to_owned();
        let ssl = directory.join("ssl");
        Files::new(directory, ssl)
    }

    fn new(directory: PathBuf, ssl: PathBuf) -> Files {
        Files {
            key: ssl.join("key"),
            certificate: ssl.join("certificate"),
            one: ssl.join("node.pem"),
            authority: ssl.join("master-ca.pem"),
            repository: ssl.join("partition_pki"),
            token: directory.join("master.token"),
            ssl,
            directory,
        }
    }
}

impl Files {
    /// Makes the directory of certificates.
    fn fill(&self, given: &Given<'_>) -> Result<(), NodeError> {
        certificate::make_directory(&self.ssl)?;
        certificate::make_directory(&self.repository)?;
        if let Some(authority) = given.authority {
            write_new(&self.authority, authority, 0o644)?;
        }
        match given.proof {
            Proof::Token(_) => Ok(()),
            Proof::One(pair) => write_new(&self.one, &one_file(pair), 0o600),
            Proof::Pair(pair) => {
                write_secret(&self.key, &pair.key)?;
                write_new(&self.certificate, &pair.certificate, 0o600)
            }
        }
    }
}

impl Registration {
    /// The configuration, if the Master gives what is expected of it.
    fn would_be(&self, files: &Files) -> Result<String, NodeError> {
        let token = Secret::new("");
        let pair = KeyPair { certificate: String::new(), key: Secret::new("") };
        let proof = match self.urls.kind() {
            Kind::Ours { master } if is_secret(&master) => Proof::One(&pair),
            Kind::Ours { .. } => Proof::Token(&token),
            Kind::Original { .. } => Proof::Pair(&pair),
        };
        let authority = (self.urls.trust != Trust::Machine).then_some("");
        self.text(files, &self.title, &Given { proof, authority })
    }

    fn text(&self, files: &Files, computer: &str, given: &Given<'_>) -> Result<String, NodeError> {
        let (Kind::Ours { master: master_url } | Kind::Original { master: master_url, .. }) =
            self.urls.kind();
        let repository = files.repository.clone();
        let certificate = |key: &Path, certificate: &Path| {
            let (key, certificate) = (key.to_owned(), certificate.to_owned());
            Identity::Certificate { key, certificate, repository }
        };
        let identity = match given.proof {
            Proof::Token(_) => Identity::Token(files.token.clone()),
            Proof::Pair(_) => certificate(&files.key, &files.certificate),
            Proof::One(_) => certificate(&files.one, &files.one),
        };
        let layout = Layout {
            config: self.config.clone(),
            software_root: self.software_root.clone(),
            instance_root: self.instance_root.clone(),
            ..Layout::system()
        };
        let names = UserNames::choose(&layout).context("look up users for", &self.config)?;
        for (what, value) in
            [("the URL of a Master", &master_url), ("a computer", &computer.into())]
        {
            check_line(what, value)?;
        }
        for interface in self.interface_name.iter().chain(&self.ipv6_interface) {
            check_line("an interface", interface)?;
        }
        let text = node_file(&NodeFile {
            command: "slapos node register",
            computer_id: computer.to_owned(),
            master_url,
            identity: Some(identity),
            authority: given.authority.map(|_| files.authority.clone()),
            shared: self.software_root.join("shared"),
            software_root: self.software_root.clone(),
            instance_root: self.instance_root.clone(),
            partition_amount: self.partition_amount,
            interface_name: self.interface_name.clone(),
            ipv6_interface: self.ipv6_interface.clone(),
            ipv4_local_network: self.ipv4_local_network.clone(),
            create_tap: self.create_tap,
            computer_xml: None,
            software_user: names.software,
            user_base_name: names.partition_base,
            alter_user: user::is_root(),
            proxy: None,
        });
        understood(&text, &self.config).map(|_| text)
    }

    /// All is made first. The configuration changes hands last: with it the node is registered.
    fn write(
        &self,
        files: &Files,
        computer: &str,
        given: &Given<'_>,
        reporter: &dyn Reporter,
    ) -> Result<(), NodeError> {
        let text = self.text(files, computer, given)?;
        fs::create_dir_all(&files.directory, 0o755).context("create", &files.directory)?;
        let mut exchange = Exchange::default();
        let made = self.make(files, &text, given, &mut exchange);
        let exchanged = made.and_then(|()| exchange.carry_out()).map_err(|error| {
            error.hint("a former configuration is in its place; what the Master gave is kept beside it, under names with `.new`")
        });
        for Exchanged { place, aside } in exchanged? {
            if let Some(aside) = aside {
                let (place, aside) = (place.display(), aside.display());
                let text = format!("{place} was there and is replaced; the former one is {aside}");
                reporter.warn("register", &text);
            }
        }
        reporter.note("register", &format!("the configuration is {}", self.config.display()));
        Ok(())
    }

    fn make(
        &self,
        files: &Files,
        text: &str,
        given: &Given<'_>,
        exchange: &mut Exchange,
    ) -> Result<(), NodeError> {
        if let Proof::Token(token) = given.proof {
            write_secret(&exchange.stage(&files.token), token)?;
        }
        if given.authority.is_some() || !matches!(given.proof, Proof::Token(_)) {
            let staged = Files::new(files.directory.clone(), exchange.stage(&files.ssl));
            staged.fill(given)?;
        }
        write_new(&exchange.stage(&self.config), text, 0o644)
    }
}

/// The computer that a certificate is for, as its subject says: `CN=COMP-123/email...`.
fn computer_of(certificate: &str) -> Result<String, NodeError> {
    let found = certificate.find("COMP-").and_then(|at| certificate.get(at..));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name = found.map(|text| text.split(|c| !plain(c)).next().unwrap_or_default());
    name.filter(|name| name.len() > "COMP-".len()).map(str::to_owned).ok_or_else(|| {
        NodeError::user("the Master's certificate does not say which computer it is for")
            .hint("it is registered: see the web face of the Master, and revoke the certificate")
    })
}

/// The Master's refusal, in words that say what to do.
fn refused(error: SlapError, title: &str) -> NodeError {
    let text = error.to_string();
    match &error {
        _ if text.contains("Certificate still active.") => {
            NodeError::user(format!("there is already a node {title:?} at this Master"))
                .hint("choose another name, or revoke the certificate of the former one")
        }
        SlapError::Unauthorised { .. } => {
            NodeError::user(format!("the Master does not accept who asks: {text}"))
                .hint("ask its web face for a new token (they serve once), or check the login")
        }
        _ if text.contains("NotImplementedError") => {
            NodeError::user("this Master takes no logins").hint("use a token: --token-file")
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_its_computer() {
        let of = |text: &str| computer_of(text).map_err(|error| error.to_string());
        let old = "Subject: C=FR, CN=COMP-1234/emailAddress=a@b\n-----BEGIN CERTIFICATE-----";
        assert_eq!(of(old).unwrap(), "COMP-1234");
        assert_eq!(of("Subject: CN = COMP-7, emailAddress = a").unwrap(), "COMP-7");
        for none in ["", "COMP-", "CN=COMP", "CN=comp-7"] {
            assert!(of(none).unwrap_err().contains("which computer"), "{none}");
        }
    }
}
