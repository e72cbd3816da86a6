//! A Master reached by https that asks for a client certificate: a TLS server of this test.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests run programs and fail by panics"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use slapos_slap::{SlapClient, SlapError, TlsIdentity};

const LIMIT: Duration = Duration::from_secs(20);

fn openssl(dir: &Path, words: &str) -> bool {
    let output = Command::new("openssl").args(words.split(' ')).current_dir(dir).output();
    output.is_ok_and(|output| output.status.success())
}

/// An authority, and certificates of it for the Master at 127.0.0.1 and for a node.
fn make_certificates(dir: &Path) -> bool {
    std::fs::write(dir.join("ext"), "subjectAltName = IP:127.0.0.1\n").unwrap();
    let request = |name: &str| {
        openssl(
            dir,
            &format!(
                "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
            ),
        ) && openssl(
            dir,
            &format!(
                "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out {name}.crt"
            ),
        )
    };
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=authority -days 2",
    ) && request("master")
        && request("node")
}

/// Answers one connection as a Master does to `getRunId`; nothing to who has no certificate.
fn master(dir: &Path) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.crt")).unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(dir.join("master.crt")).unwrap()],
            PrivateKeyDer::from_pem_file(dir.join("master.key")).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::Stream::new(&mut session, &mut stream);
            let mut question = [0; 2048];
            if tls.read(&mut question).is_ok_and(|read| read > 0) {
                let _ = tls.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nid",
                );
                let _ = tls.flush();
            }
        }
    });
    port
}

#[test]
fn a_master_that_asks_who_we_are_is_shown_the_certificate() {
    let dir = tempfile::tempdir().unwrap();
    if !make_certificates(dir.path()) {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_master_that_asks_who_we_are_is_shown_the_certificate: needs openssl"
        );
        return;
    }
    let url = format!("https://127.0.0.1:{}", master(dir.path()));
    let file = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let client =
        |identity: &TlsIdentity| SlapClient::with_identity(&url, None, LIMIT, identity).unwrap();
    let trusting = TlsIdentity::default().with_authorities(&file("ca.crt")).unwrap();
    let known = trusting.clone().with_certificate(&file("node.crt"), &file("node.key")).unwrap();
    client(&known).ping().unwrap();
    // Without a certificate of ours the Master says no.
    assert!(matches!(client(&trusting).ping(), Err(SlapError::Unreachable { .. })));
    // And a Master that nobody vouches for is none.
    let anybody = TlsIdentity::default();
    let stranger = anybody.with_certificate(&file("node.crt"), &file("node.key")).unwrap();
    assert!(client(&stranger).ping().is_err());
}
