//! A Master by plain HTTP and by https, with people and what is theirs, for tests of who may do what.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use slapos_slap::token::{TokenKind, digest, new_token};
use slapos_slap::{ComputerDescription, InstanceRequest};

use super::super::App;
use super::{Running, description};
use crate::authority::{CLIENT_LIFE, new_serial};
use crate::store::{AuditTold, Holder, Issued};
use crate::{MasterConfig, Rate, TlsAccess};

/// Whose things the requests of the test are about.
pub(super) const OWN: &str = "c-ann";
pub(super) const FOREIGN: &str = "c-bob";

/// A Master with two people, each with a project, a computer, and a tree there.
pub(super) struct World {
    pub(super) running: Running,
    pub(super) app: Arc<App>,
    pub(super) secret: SocketAddr,
    pub(super) runtime: tokio::runtime::Runtime,
    /// The newest entry of the audit log that was looked at.
    noted: Mutex<String>,
}

/// An answer.
pub(super) struct Told {
    pub(super) status: u16,
    /// Its first line, and its headers in lower case.
    pub(super) head: String,
    /// Its body, if that is JSON.
    pub(super) json: Option<String>,
}

/// By what a caller proves who he is.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    Nothing,
    Token(String),
    Certificate(String, String),
}

impl World {
    pub(super) fn new() -> World {
        // The tests present what is not valid hundreds of times.
        World::failing(1e6)
    }

    /// One where each address may fail so often.
    pub(super) fn failing(failures: f64) -> World {
        let fail = Rate { per_second: 1e-6, burst: failures };
        World::arranged(|config| config.access.failures = fail, |_| {})
    }

    /// One that is configured, and arranged, otherwise.
    pub(super) fn arranged(
        configure: impl FnOnce(&mut MasterConfig),
        arrange: impl FnOnce(&mut App) + Send + 'static,
    ) -> World {
        let kept = Arc::new(Mutex::new(None));
        let given = Arc::clone(&kept);
        let running = Running::configured(
            |config| {
                config.access.tls = Some(TlsAccess {
                    host: "127.0.0.1".to_owned(),
                    port: 0,
                    names: vec!["localhost".to_owned()],
                    files: None,
                });
                config.access.failures = Rate { per_second: 1e-6, burst: 1e6 };
                config.access.callers.burst = 1e6;
                configure(config);
            },
            move |master| {
                let app = Arc::get_mut(&mut master.app).unwrap();
                app.listeners.heartbeat = std::time::Duration::from_millis(50);
                arrange(app);
                *given.lock().unwrap() =
                    Some((Arc::clone(&master.app), master.tls_addr().unwrap()));
            },
        );
        let (app, secret) = kept.lock().unwrap().take().unwrap();
        // It goes on by itself: connections to the database are given back by its tasks.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let world = World { running, app, secret, runtime, noted: Mutex::default() };
        // Where instances go that are asked for without a place.
        world.runtime.block_on(world.app.store.format(&computer_of("computer"))).unwrap();
        for (user, project, computer) in [("ann", "alpha", OWN), ("bob", "beta", FOREIGN)] {
            world.runtime.block_on(async {
                let store = &world.app.store;
                store.add_user(user).await.unwrap();
                store.add_project(project).await.unwrap();
                store.add_member(project, user).await.unwrap();
                store.add_computer(&computer.into(), project).await.unwrap();
                store.format(&computer_of(computer)).await.unwrap();
                let mut tree = InstanceRequest::new(format!("tree-{user}"), "s");
                tree.sla = [("computer_guid".to_owned(), computer.to_owned())].into();
                store.request_in(project, &tree).await.unwrap();
                tree = InstanceRequest::new(format!("shared-{user}"), "s");
                tree.shared = true;
                tree.sla = [("computer_guid".to_owned(), computer.to_owned())].into();
                store.request_in(project, &tree).await.unwrap();
            });
        }
        world
    }

    pub(super) fn token(&self, holder: &Holder, expires_at: Option<i64>) -> Proof {
        let kind = match holder {
            Holder::User(_) => TokenKind::User,
            Holder::Computer(_) => TokenKind::Computer,
            Holder::Partition(..) => TokenKind::Partition,
        };
        let token = new_token(kind).unwrap();
        let digest = digest(token.expose());
        let added = self.app.store.add_token(holder, &digest, "", expires_at, None);
        self.runtime.block_on(added).unwrap();
        Proof::Token(token.expose().to_owned())
    }

    /// A certificate that was issued then, and for longer.
    pub(super) fn certificate(&self, holder: &Holder, now: i64) -> Proof {
        let (computer, partition) = match holder {
            Holder::User(_) => panic!("people have tokens"),
            Holder::Computer(computer) => (computer, None),
            Holder::Partition(computer, partition) => (computer, Some(partition)),
        };
        let authority = self.app.authority.as_ref().unwrap();
        let serial = new_serial().unwrap();
        let pem = authority.client(computer.as_str(), &serial, now, CLIENT_LIFE).unwrap();
        let key = authority.key_of(&serial).unwrap().expose().to_owned();
        let not_after = now + i64::try_from(CLIENT_LIFE).unwrap() * 1_000_000;
        let issued = Issued { serial, pem: pem.clone(), issued_at: now, not_after };
        self.runtime
            .block_on(self.app.store.add_certificate(computer, partition, &issued))
            .unwrap();
        Proof::Certificate(pem, key)
    }

    pub(super) fn revoked(&self, proof: Proof, holder: &Holder) -> Proof {
        self.runtime.block_on(async {
            match (&proof, holder) {
                (Proof::Token(_), holder) => {
                    self.app.store.revoke_tokens(holder, None).await.unwrap();
                }
                (_, Holder::Computer(computer)) => {
                    self.app.store.revoke_certificates(computer).await.unwrap();
                }
                _ => panic!("not needed"),
            }
        });
        proof
    }

    /// What is heard of who did what, the newest first: who, at which route, about what.
    pub(super) fn audit(&self) -> Vec<[String; 3]> {
        let entries = self.runtime.block_on(async {
            self.app.write_audit().await;
            self.app.store.audit("", 1000).await.unwrap()
        });
        entries.into_iter().map(|entry| [entry.caller, entry.route, entry.about]).collect()
    }

    /// The status of the answer; `None` when there is no connection to ask.
    pub(super) fn status(
        &self,
        proof: &Proof,
        method: &Method,
        path: &str,
        body: &str,
    ) -> Option<u16> {
        self.told(proof, method, path, body).map(|told| told.status)
    }

    /// The answer as far as it comes at once; `None` when there is no connection to ask.
    pub(super) fn told(
        &self,
        proof: &Proof,
        method: &Method,
        path: &str,
        body: &str,
    ) -> Option<Told> {
        let mut heard = self.ask(proof, method, path, body).ok()?;
        let mut head = heard.line()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        while let Some(line) = heard.line().filter(|line| !line.is_empty()) {
            head.push('\n');
            head.push_str(&line.to_lowercase());
        }
        head.push('\n');
        let json = head.contains("\ncontent-type: application/json");
        Some(Told { status, json: json.then(|| heard.rest()), head })
    }

    /// What the audit log was told since this was asked last, in that order.
    pub(super) fn noted(&self) -> Vec<AuditTold> {
        let mut last = self.noted.lock().unwrap();
        let entries = self.runtime.block_on(async {
            self.app.write_audit().await;
            self.app.store.audit("", 1000).await.unwrap()
        });
        let mut new: Vec<_> = entries.into_iter().take_while(|entry| entry.id != *last).collect();
        if let Some(newest) = new.first() {
            last.clone_from(&newest.id);
        }
        new.reverse();
        new
    }

    /// Asks, and gives what is to be heard.
    pub(super) fn ask(
        &self,
        proof: &Proof,
        method: &Method,
        path: &str,
        body: &str,
    ) -> std::io::Result<Heard> {
        let kind = match path.starts_with("/api/") || path.starts_with("/slapos.") {
            true => "application/json",
            false => "application/x-www-form-urlencoded",
        };
        let header = match proof {
            Proof::Token(token) => format!("Authorization: Bearer {token}\r\n"),
            _ => String::new(),
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n{header}\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut heard = match proof {
            Proof::Certificate(pem, key) => {
                let stream = TcpStream::connect(self.secret)?;
                let config = self.tls_client(Some((pem, key)));
                let name = ServerName::try_from("localhost").unwrap();
                let connection = ClientConnection::new(Arc::new(config), name).unwrap();
                Heard(Box::new(StreamOwned::new(connection, stream)))
            }
            _ => Heard(Box::new(TcpStream::connect(self.running.address)?)),
        };
        heard.0.write_all(request.as_bytes())?;
        Ok(heard)
    }

    fn tls_client(&self, own: Option<(&str, &str)>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let authority = self.app.authority.as_ref().unwrap().certificate().as_bytes();
        roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some((pem, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// An answer as it comes.
pub(super) struct Heard(Box<dyn Both>);

impl Heard {
    /// The next line; nothing when there is none any more.
    pub(super) fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(1) => line.extend(byte),
                _ => return None,
            }
        }
        Some(String::from_utf8(line).unwrap().trim_end().to_owned())
    }

    /// All that comes until it ends.
    pub(super) fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        // An end without the good-bye of TLS is one too.
        let _ = self.0.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }
}

pub(super) fn computer_of(computer: &str) -> ComputerDescription {
    ComputerDescription { reference: computer.into(), ..description(8) }
}
