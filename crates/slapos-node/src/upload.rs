//! Gives a Software Release that was built here to others, through a network cache: the store gets
//! the archive, the directory a signed entry that names it.
//!
//! The builder packs it into a file without a name that the node opened; the node measures, uploads
//! and signs. Neither the key nor how one is let in is known where Software Releases are built.
//!
//! Signatures are RSA with SHA-1, because that is what nodes of the original look for; the machine's
//! `openssl` makes them, as it does for the original.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use slapos_slap::{SoftwareUrl, TlsIdentity};
use slapos_sources::{Digest, Machine, Signers};
use slapos_sys::process::{Command, Piped};
use slapos_sys::{fs, user};
use ureq::Agent;

use crate::binary::{Face, Upload, joined};
use crate::node::Node;
use crate::told::without_passwords;
use crate::worker::{Done, Job, PackJob, Purpose, Quiet, Worker};

const CONNECT: Duration = Duration::from_secs(60);
/// Without a byte on its way.
const STALL: Duration = Duration::from_secs(600);
/// The store may take its time over what it got.
const DIGESTION: Duration = Duration::from_secs(3600);
/// What is read of an answer, or of a certificate, bytes.
const SHORT: u64 = 1 << 16;

/// What came of an upload.
pub(crate) enum Came {
    /// It is done, or it cannot be done.
    ToAnEnd,
    /// The cache did not take it: it may later.
    Away,
}

/// Whether what is built of `url` is to be uploaded.
pub(crate) fn is_wanted(node: &Node<'_>, url: &SoftwareUrl) -> bool {
    let binary = &node.config.binary;
    binary.upload.is_some() && !binary.stays_here(url)
}

/// Uploads what was built of `url` in `directory`, if that is wanted. It serves others: a failure is told, and harms
/// nothing here.
pub(crate) fn upload(node: &Node<'_>, url: &SoftwareUrl, directory: &Path, name: &str) -> Came {
    let Some(upload) = &node.config.binary.upload else { return Came::ToAnEnd };
    if node.config.binary.stays_here(url) {
        let text = "not uploaded: upload-to-binary-cache-url-blacklist names it";
        node.reporter.note(name, text);
        return Came::ToAnEnd;
    }
    let to = without_passwords(&upload.directory.url);
    let failed = |why: &str| {
        node.reporter.warn(name, &format!("not uploaded to {to}: {why}"));
    };
    let (archive, digest) = match upload.packed(node, directory, name) {
        Ok(packed) => packed,
        Err(why) => {
            failed(&why);
            return Came::ToAnEnd;
        }
    };
    match upload.bring(node, url, &archive, &digest) {
        Ok(()) => {
            node.reporter.note(name, &format!("uploaded to {to}"));
            Came::ToAnEnd
        }
        Err(why) => {
            failed(&why);
            Came::Away
        }
    }
}

impl Upload {
    /// The archive and its SHA-512.
    fn packed(
        &self,
        node: &Node<'_>,
        directory: &Path,
        name: &str,
    ) -> Result<(File, String), String> {
        // Before hours of packing and uploading.
        self.signed("{}")?;
        let mut archive = pack(node, directory, name)?;
        let words = |error: std::io::Error| format!("the archive cannot be read: {error}");
        archive.rewind().map_err(words)?;
        let digest = Digest::sha512_of(&mut archive).map_err(words)?.hex();
        archive.rewind().map_err(words)?;
        Ok((archive, digest))
    }

    fn bring(
        &self,
        node: &Node<'_>,
        url: &SoftwareUrl,
        archive: &File,
        digest: &str,
    ) -> Result<(), String> {
        self.store_archive(digest, archive)?;
        let mut entry = Machine::this().entry();
        entry["sha512"] = json!(digest);
        entry["software_url"] = json!(url);
        entry["software_root"] = json!(node.config.software_root);
        let text = entry.to_string();
        let pair = json!([text, self.signed(&text)?]).to_string();
        let request = self.directory.agent()?.put(joined(&self.directory.url, &url.md5_hex()));
        let answer = request.header("Content-Type", "application/json").send(pair.as_str());
        created("the entry", answer).map(drop)
    }

    /// Brings the archive to the store, unless it is there.
    fn store_archive(&self, digest: &str, archive: &File) -> Result<(), String> {
        let agent = self.store.agent()?;
        let there = agent.get(joined(&self.store.url, digest)).call();
        if there.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        let request = agent.post(self.store.url.trim_end_matches('/'));
        let answer = request.header("Content-Type", "application/octet-stream").send(archive);
        let said = created("the archive", answer)?;
        match said.trim() == digest {
            true => Ok(()),
            false => Err("the store got other bytes than were sent".to_owned()),
        }
    }

    /// The signature of `text`, which those who believe our certificates believe.
    fn signed(&self, text: &str) -> Result<String, String> {
        let shown = self.key.display();
        let signature = sign(&self.key, text)
            .map_err(|why| format!("signature-private-key-file {shown} cannot sign: {why}"))?;
        let signature = STANDARD.encode(signature);
        let list = json!([[text, signature]]).to_string();
        let entries = Signers::of(&self.certificates).entries(&list).unwrap_or_default();
        match entries.iter().any(|entry| entry.verified) {
            true => Ok(signature),
            false => Err(format!(
                "signature-certificate-list has no certificate of {shown}: nobody would believe \
                 the entry, not even this node"
            )),
        }
    }
}

impl Face {
    fn agent(&self) -> Result<Agent, String> {
        let mut config = Agent::config_builder()
            .tls_config(self.identity()?.config())
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("slapos/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(DIGESTION))
            .timeout_per_read(Some(STALL))
            .timeout_per_write(Some(STALL));
        let here = ["http://127.", "http://localhost", "http://[::1]"];
        if here.iter().any(|start| self.url.starts_with(start)) {
            // A proxy has another loopback than we.
            config = config.proxy(None);
        }
        Ok(config.build().new_agent())
    }

    fn identity(&self) -> Result<TlsIdentity, String> {
        let read = |path: &Path| {
            let text = fs::read_to_string_limited(path, SHORT);
            text.map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        let name = self.name;
        let mut identity = TlsIdentity::default();
        if let Some(authorities) = &self.authorities {
            let words = |error| format!("{name}-ca-file: {error}");
            identity = identity.with_authorities(read(authorities)?.as_bytes()).map_err(words)?;
        }
        if let Some((certificate, key)) = &self.certificate {
            let (certificate, key) = (read(certificate)?, read(key)?);
            let words = |error| format!("{name}-cert-file and {name}-key-file: {error}");
            identity =
                identity.with_certificate(certificate.as_bytes(), key.as_bytes()).map_err(words)?;
        }
        Ok(identity)
    }
}

/// What the server says who has made `what` of what it got.
fn created(
    what: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<String, String> {
    let mut answer = answer.map_err(|error| format!("{what}: {error}"))?;
    let status = answer.status().as_u16();
    let said = answer.body_mut().with_config().limit(SHORT).read_to_string().unwrap_or_default();
    match status {
        201 => Ok(said),
        _ => Err(format!("{what} was answered by {status} {}", said.trim())),
    }
}

/// Has the builder pack the Software Release in `directory`, into a file that nobody else has.
fn pack(node: &Node<'_>, directory: &Path, name: &str) -> Result<File, String> {
    use std::os::fd::AsRawFd as _;
    let config = node.config;
    let words = |error: std::io::Error| {
        format!("cannot make an archive in {}: {error}", config.software_root.display())
    };
    let archive = tempfile::tempfile_in(&config.software_root).map_err(words)?;
    let owner = user::owner_of(&config.software_root).map_err(words)?;
    let job = Job::Pack(PackJob {
        directory: directory.to_owned(),
        shared_part_list: config.shared_part_list.clone(),
        fd: archive.as_raw_fd(),
    });
    let mut worker =
        Worker::start(&owner, name, Purpose::Pack(&archive)).map_err(|error| error.to_string())?;
    match worker.run(&job, None, &mut Quiet).map_err(|error| error.to_string())? {
        Done::Packed { needs: None } => Ok(archive),
        Done::Packed { needs: Some(other) } => Err(format!(
            "it needs {other}, which others do not have: only what was built without \
             `shared_part_list` can be given to others"
        )),
        other => Err(format!("its worker answered {other:?}")),
    }
}

/// The signature of `text` by the private key in the file `key`.
fn sign(key: &Path, text: &str) -> Result<Vec<u8>, String> {
    let mut command = Command::new("openssl");
    // Nobody is asked for a password.
    command.args(["dgst", "-sha1", "-passin", "pass:", "-sign"]).arg(key).new_session();
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let words = |error: std::io::Error| format!("openssl: {error}");
    let all = Piped { input: true, output: true, errors: true };
    let mut child = command.spawn_apart(all).map_err(words)?;
    if let Some(mut input) = child.input.take().map(File::from) {
        // One that does not read will say why.
        let _ = input.write_all(text.as_bytes());
    }
    let read = |end: Option<OwnedFd>| {
        let mut bytes = Vec::new();
        let end = end.map(File::from);
        end.map_or(Ok(0), |end| end.take(SHORT).read_to_end(&mut bytes)).map(|_| bytes)
    };
    let signature = read(child.output.take()).map_err(words)?;
    let complaint = read(child.errors.take()).map_err(words)?;
    match child.wait().map_err(words)?.success() {
        true => Ok(signature),
        false => Err(String::from_utf8_lossy(&complaint).trim().to_owned()),
    }
}
