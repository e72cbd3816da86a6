//! The node's own certificate is renewed in time, by the node itself.
//!
//! That is done where `key_file` and `cert_file` are one file, as `node register` makes it at a Master
//! of ours: one file is replaced at once, so that nobody ever meets a key beside another's
//! certificate. What stands in two files others have put there, and look after. The former certificate
//! stays good until its end, so that a run which is killed here loses nothing.

use std::path::Path;

use slapos_slap::client::person::KeyPair;
use slapos_slap::{SlapClient, TlsIdentity};
use slapos_sys::fs;
use x509_parser::pem::Pem;

use crate::config::NodeConfig;
use crate::error::{IoContext, NodeError};
use crate::node::Node;

/// A certificate and its key as the text of one file.
pub(crate) fn one_file(pair: &KeyPair) -> String {
    format!("{}\n{}\n", pair.certificate.trim_end(), pair.key.expose().trim_end())
}

/// Renews the certificate if less than a third of its life is left. That it cannot be done is a
/// warning: there are months for it.
pub(crate) fn keep(node: &Node<'_>, master: &SlapClient) {
    let Some(file) = file_of(node.config) else { return };
    let renewed = fs::read(file).context("read", file).and_then(|pem| {
        let life = Life::of(&pem).ok_or_else(|| {
            NodeError::user(format!("there is no certificate in {}", file.display()))
        })?;
        let due = life.is_due(node.clock.now().as_second());
        if due { renew(node.config, master, file).map(|()| true) } else { Ok(false) }
    });
    match renewed {
        Ok(true) => node.reporter.note("node", "its certificate is renewed"),
        Ok(false) => {}
        Err(error) => {
            let text = format!("its certificate was not renewed: {error}");
            node.reporter.warn("node", &text);
        }
    }
}

fn file_of(config: &NodeConfig) -> Option<&Path> {
    let files = config.grid.identity.as_ref()?;
    (files.key == files.certificate).then_some(files.key.as_path())
}

fn renew(config: &NodeConfig, master: &SlapClient, file: &Path) -> Result<(), NodeError> {
    let text = one_file(&master.computer_certificate(&config.computer_id)?);
    // What cannot be used replaces nothing.
    TlsIdentity::default().with_certificate(text.as_bytes(), text.as_bytes())?;
    fs::write_atomic(file, text.as_bytes(), 0o600).context("write", file)
}

/// From when to when a certificate is good, in seconds since 1970.
#[derive(Debug, PartialEq, Eq)]
struct Life {
    start: i64,
    end: i64,
}

impl Life {
    /// That of the first certificate in a text.
    fn of(pem: &[u8]) -> Option<Life> {
        let mut blocks = Pem::iter_from_buffer(pem).flatten();
        let block = blocks.find(|block| block.label == "CERTIFICATE")?;
        let certificate = block.parse_x509().ok()?;
        let validity = certificate.validity();
        Some(Life { start: validity.not_before.timestamp(), end: validity.not_after.timestamp() })
    }

    fn is_due(&self, now: i64) -> bool {
        self.end.saturating_sub(now) < self.end.saturating_sub(self.start) / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use slapos_config::Config;
    use slapos_sys::Secret;
    use slapos_sys::clock::{Clock as _, ManualClock, SignedDuration, SystemClock};
    use slapos_testkit::{Certificates, skipped};

    use crate::error::NodeError;
    use crate::node::master;
    use crate::reporter::Reporter;

    struct Silent;

    impl Reporter for Silent {
        fn note(&self, _: &str, _: &str) {}
        fn warn(&self, _: &str, text: &str) {
            panic!("{text}");
        }
        fn part(&self, _: &str, _: &slapos_engine::Event) {}
        fn failed(&self, _: &str, error: &NodeError) {
            panic!("{error}");
        }
    }

    #[test]
    fn the_last_third_is_time_for_another() {
        let life = Life { start: 1_000, end: 4_000 };
        assert!(!life.is_due(1_000) && !life.is_due(3_000));
        assert!(life.is_due(3_001) && life.is_due(9_000));
        assert_eq!(Life::of(b"-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----"), None);
    }

    #[test]
    fn a_node_renews_its_certificate_before_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let Some(certificates) = Certificates::make(directory.path()) else {
            skipped("a_node_renews_its_certificate_before_its_end", "needs openssl");
            return;
        };
        let read = |name: &str| fs::read_to_string(&certificates.path(name)).unwrap();
        let pair = |name: &str| KeyPair {
            certificate: read(&format!("{name}.crt")),
            key: Secret::new(read(&format!("{name}.key"))),
        };
        let given = pair("master");
        let answer =
            serde_json::json!({"certificate": given.certificate, "key": given.key.expose()});
        let answer = answer.to_string();
        let port = certificates.serve(move |_| answer.clone());
        let file = directory.path().join("node.pem");
        let before = one_file(&pair("node"));
        fs::write_atomic(&file, before.as_bytes(), 0o600).unwrap();
        let (path, ca) = (file.display(), certificates.path("ca.crt"));
        let text = format!(
            "[slapos]\nsoftware_root = /s\ninstance_root = /i\nmaster_url = https://127.0.0.1:{port}\n\
             computer_id = COMP-1\nkey_file = {path}\ncert_file = {path}\nmaster_ca_file = {}\n",
            ca.display()
        );
        let config = Config::parse(&text, "slapos.cfg").unwrap();
        let config = NodeConfig::from_config(&config, Path::new("slapos.cfg")).unwrap();
        let clock = ManualClock::new(SystemClock.now());
        let node = Node { config: &config, reporter: &Silent, clock: &clock };
        let client = master(&config).unwrap();
        keep(&node, &client);
        assert_eq!(fs::read_to_string(&file).unwrap(), before, "it is good for two days");
        clock.advance(SignedDuration::try_from(Duration::from_secs(40 * 3600)).unwrap());
        keep(&node, &client);
        assert_eq!(fs::read_to_string(&file).unwrap(), one_file(&given));
        // It is what the node shows from now on.
        master(&config).unwrap().ping().unwrap();
    }
}
