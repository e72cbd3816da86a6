//! A server by https that asks its clients for a certificate.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};

/// An authority (`ca`), and certificates of it for a server at 127.0.0.1 (`master`) and for its
/// client (`node`): files `<name>.crt` and `<name>.key` of a directory, valid for two days.
#[derive(Debug)]
pub struct Certificates(PathBuf);

impl Certificates {
    /// Makes them in `directory`; `None` where there is no `openssl` to do it.
    ///
    /// # Panics
    /// When `directory` cannot be written.
    pub fn make(directory: &Path) -> Option<Self> {
        let extension = "subjectAltName = IP:127.0.0.1\n";
        std::fs::write(directory.join("extension"), extension).expect("it is the test's");
        let authority =
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 2";
        let made = openssl(directory, authority)
            && ["master", "node"].iter().all(|name| {
                let request = format!(
                    "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
                );
                let sign = format!(
                    "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extension -out {name}.crt"
                );
                openssl(directory, &request) && openssl(directory, &sign)
            });
        made.then(|| Self(directory.to_owned()))
    }

    /// The file of that name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Serves clients that have a certificate of this authority, at the port that is returned, for
    /// as long as the test runs: `answer` gives the body for a target such as `/x?y=z`.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn serve(&self, answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
        let config = Arc::new(self.config().expect("certificates are whole"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
        let port = listener.local_addr().expect("it is bound").port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Ok(mut session) = ServerConnection::new(Arc::clone(&config)) else { return };
                let mut tls = Stream::new(&mut session, &mut stream);
                let mut question = [0; 8192];
                let Ok(read @ 1..) = tls.read(&mut question) else { continue };
                let question = String::from_utf8_lossy(&question[..read]).into_owned();
                let body = answer(question.split(' ').nth(1).unwrap_or_default());
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = tls.write_all((head + &body).as_bytes()).and_then(|()| tls.flush());
            }
        });
        port
    }

    fn config(&self) -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.crt"))?)?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        Ok(ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier.build()?)
            .with_single_cert(
                vec![CertificateDer::from_pem_file(self.path("master.crt"))?],
                PrivateKeyDer::from_pem_file(self.path("master.key"))?,
            )?)
    }
}

fn openssl(directory: &Path, words: &str) -> bool {
    let output = Command::new("openssl").args(words.split(' ')).current_dir(directory).output();
    output.is_ok_and(|output| output.status.success())
}
