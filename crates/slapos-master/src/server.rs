//! A Master as a process: its configuration, its port, its life.

use std::future::{Future, IntoFuture as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use slapos_slap::ComputerId;
use slapos_sys::Secret;
use slapos_sys::clock::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::connections::{Door, Guest, Limits, Tls};
use crate::error::MasterError;
use crate::http::{self, App, DoorConfig};
use crate::protocols::Protocols;
use crate::requests::RequestsConfig;
use crate::settings::{Access, TlsAccess, is_private};
use crate::store::{Database, KeptAuthority, Store};
use crate::tls::{self, Source};

/// How long requests that are being answered may take after the Master was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Shorter tokens of the operator may be found by trying.
const SHORT: usize = 24;

/// What a Master needs to know.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    /// The address to listen on: a name or an address without brackets, such as `127.0.0.1`.
    pub host: String,
    /// The port to listen on; 0 takes a free one, see [`Master::local_addr`].
    pub port: u16,
    /// The database.
    pub database: Database,
    /// The operator's token.
    pub token: Secret,
    /// The computer that requests go to when they name none; empty if there is none.
    pub computer_id: ComputerId,
    /// How it may be reached, and how much it bears.
    pub access: Access,
    /// How requests are judged, and which other Masters there are.
    pub requests: RequestsConfig,
    /// What it serves beside SLAP.
    pub protocols: Protocols,
}

/// A Master that has its database and its port, and answers once it is told to [`serve`].
///
/// [`serve`]: Master::serve
pub struct Master {
    listener: TcpListener,
    address: SocketAddr,
    secret: Option<SecretPort>,
    pub(crate) limits: Limits,
    pub(crate) app: Arc<App>,
}

/// Keeps the operator's token; what is said when that cannot be done.
pub type Keep = Box<dyn FnOnce() -> Result<(), String> + Send>;

impl Master {
    /// Takes the port and opens the database. Callers who connect now are answered later.
    ///
    /// # Errors
    /// When the port or the database cannot be had; see [`MasterError`].
    pub async fn bind(config: MasterConfig) -> Result<Master, MasterError> {
        Master::bind_with(config, None).await
    }

    /// The same with a token that is new: it is kept once nothing else can fail, so that a Master that
    /// cannot start leaves none behind, and before anything is sealed with it.
    ///
    /// # Errors
    /// As [`bind`](Master::bind); [`MasterError::Token`].
    pub async fn bind_new(config: MasterConfig, keep: Keep) -> Result<Master, MasterError> {
        Master::bind_with(config, Some(keep)).await
    }

    async fn bind_with(config: MasterConfig, keep: Option<Keep>) -> Result<Master, MasterError> {
        check(&config)?;
        let access = &config.access;
        let (listener, address) = listen(&config.host, config.port, PLAIN).await?;
        if !is_private(address.ip()) && !access.allow_plain_http {
            return Err(MasterError::Plain { address });
        }
        let secret = match &access.tls {
            None => None,
            Some(tls) => Some(listen(&tls.host, tls.port, SECRET).await?),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mark = mark(&config.token, &config.computer_id);
        let database = config.database.marked(&mark)?;
        let store = Store::open(&database, config.computer_id, Arc::clone(&clock)).await?;
        if database.has_other(&mark).await? {
            tracing::warn!(
                "another Master at {database} has another `master.token`, or another `computer_id`: \
                 what one gives out the other refuses. Copy the file, or the option, and start again"
            );
        }
        let (authority, made) = match &access.tls {
            None => (None, None),
            Some(_) => {
                let (authority, made) = authority(&store, &config.token, keep.is_none()).await?;
                (Some(Arc::new(authority)), made)
            }
        };
        let secret = match (secret, &access.tls, &authority) {
            (Some((listener, address)), Some(tls), Some(authority)) => {
                let acceptor = tls::acceptor(Arc::clone(authority), source(tls), clock)?;
                Some(SecretPort { listener, address, acceptor })
            }
            _ => None,
        };
        let files = slapos_sys::process::raise_open_files()?;
        let limits = Limits { connections: access.connections(files), ..Limits::default() };
        let listeners = access.listeners(limits.connections);
        let door = DoorConfig { access, authority, listeners };
        let (requests, protocols) = (config.requests, config.protocols);
        let app = Arc::new(App::new(store, &config.token, door, requests, protocols)?);
        keep_what_is_new(&app.store, keep, made).await?;
        Ok(Master { listener, address, secret, limits, app })
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens for https, with the real port.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.secret.as_ref().map(|port| port.address)
    }

    /// Answers until `shutdown` completes; then what is being answered is finished (within ten
    /// seconds) and the database is closed.
    ///
    /// # Errors
    /// When the machine refuses to go on listening.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), MasterError> {
        tracing::info!("Running on {}", self.url());
        let (told, stopping) = watch::channel(false);
        let app = Arc::clone(&self.app);
        let ending = async move {
            shutdown.await;
            // They would stay for ever, or long.
            app.listeners.dismiss();
            app.desk.dismiss();
            let _ = told.send(true);
            // Until all who wait for it are gone.
            told.closed().await;
        };
        let plain = Door::new(self.listener, None, self.limits);
        let plain = answer(plain, &self.app, stopping.clone());
        let secret = self.secret.map(|port| {
            tracing::info!("Running on https://{}", port.address);
            let (door, refusals) = Tls::new(port.acceptor);
            tokio::spawn(Arc::clone(&self.app).note_refused(refusals));
            let door = Door::new(port.listener, Some(door), self.limits);
            answer(door, &self.app, stopping.clone())
        });
        let both = async {
            match secret {
                None => plain.await,
                Some(secret) => tokio::try_join!(plain, secret).map(drop),
            }
        };
        let mut over = stopping;
        let grace_is_over = async move {
            let _ = over.wait_for(|told| *told).await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::spawn(ending);
        let (bidding, forgetting) = (Arc::clone(&self.app), Arc::clone(&self.app));
        let beside =
            async { tokio::join!(bidding.say_farewells(), forgetting.forget_what_ended()) };
        let beside = tokio::spawn(beside);
        let result = tokio::select! {
            result = both => result.map_err(MasterError::from),
            // At once: who is being answered would be told of the former content, or write to the new one.
            error = self.app.store.replaced() => {
                beside.abort();
                return Err(error.into());
            }
            () = grace_is_over => {
                tracing::warn!("stopped while requests were still being answered");
                Ok(())
            }
        };
        beside.abort();
        self.app.close_audit().await;
        self.app.store.close().await;
        result
    }
}

/// What can be said before anything is touched.
fn check(config: &MasterConfig) -> Result<(), MasterError> {
    if config.token.expose().is_empty() {
        return Err(MasterError::NoToken);
    }
    if config.token.expose().len() < SHORT {
        tracing::warn!(
            "the operator's token is short, and whoever reaches the Master can try words without \
             asking it: take one of {SHORT} random characters or more"
        );
    }
    let cache = config.protocols.shacache.as_ref();
    if let (Database::Server(_), Some(cache)) = (&config.database, cache)
        && !cache.shared
    {
        let content = cache.content.display().to_string();
        return Err(MasterError::ShacacheNotShared { content });
    }
    Ok(())
}

/// Keeps a token, and then the authority that is sealed with it, if they are new.
async fn keep_what_is_new(
    store: &Store,
    keep: Option<Keep>,
    made: Option<KeptAuthority>,
) -> Result<(), MasterError> {
    if let Some(keep) = keep {
        keep().map_err(MasterError::Token)?;
    }
    if let Some(made) = made
        && store.keep_authority(&made).await?.certificate != made.certificate
    {
        let why = "another Master of this database was started in the same moment: start again";
        return Err(MasterError::Token(why.to_owned()));
    }
    Ok(())
}

/// What Masters of one database compare: of the operator's token and the computer that both must have. It
/// is seen by everybody at the server, and so short that no token can be found by it.
fn mark(token: &Secret, computer: &ComputerId) -> String {
    let token = hmac::Key::new(hmac::HMAC_SHA256, token.expose().as_bytes());
    let tag = hmac::sign(&token, format!("slapos-master-session:{computer}").as_bytes());
    tag.as_ref().iter().take(2).map(|byte| format!("{byte:02x}")).collect()
}

/// A port with TLS.
struct SecretPort {
    listener: TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
}

/// What an address and its port are called in the configuration.
type Options = (&'static str, &'static str);
const PLAIN: Options = ("host", "port");
const SECRET: Options = ("tls_host", "tls_port");

/// Takes a port.
async fn listen(
    host: &str,
    port: u16,
    options: Options,
) -> Result<(TcpListener, SocketAddr), MasterError> {
    let named =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let failed = |error: std::io::Error| MasterError::bind(named.clone(), options, &error);
    let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Answers at one port until told to stop.
fn answer(
    door: Door,
    app: &Arc<App>,
    mut stopping: watch::Receiver<bool>,
) -> impl Future<Output = std::io::Result<()>> + use<> {
    let service = http::router(app).into_make_service_with_connect_info::<Guest>();
    axum::serve(door, service)
        .with_graceful_shutdown(async move {
            let _ = stopping.wait_for(|told| *told).await;
        })
        .into_future()
}

/// The authority of the database, made if there is none, and kept at once; or else to be kept.
async fn authority(
    store: &Store,
    token: &Secret,
    at_once: bool,
) -> Result<(Authority, Option<KeptAuthority>), MasterError> {
    if let Some(kept) = store.authority().await? {
        return Ok((Authority::open(&kept, token)?, None));
    }
    let made = Authority::make(token, store.time())?;
    if !at_once {
        return Ok((Authority::open(&made, token)?, Some(made)));
    }
    Ok((Authority::open(&store.keep_authority(&made).await?, token)?, None))
}

fn source(tls: &TlsAccess) -> Source {
    match &tls.files {
        None => Source::Own(tls.names.clone()),
        Some((certificate, key)) => {
            Source::Files { certificate: certificate.clone(), key: key.clone() }
        }
    }
}

/// Binds and serves in one go.
///
/// # Errors
/// As [`Master::bind`] and [`Master::serve`].
pub async fn serve(
    config: MasterConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), MasterError> {
    Master::bind(config).await?.serve(shutdown).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShacacheConfig;

    #[tokio::test]
    async fn a_cache_that_other_masters_may_not_have_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let cache = ShacacheConfig {
            content: "/a/content".into(),
            metadata: directory.path().join("dir"),
            upstream_cache: None,
            upstream_dir: None,
            anonymous_download: false,
            shared: false,
            largest: 1,
        };
        let mut config = MasterConfig {
            host: "127.0.0.1".to_owned(),
            port: 0,
            database: Database::parse("postgresql://u@127.0.0.1:1/db", None).unwrap(),
            token: Secret::new("the token"),
            computer_id: "computer".into(),
            access: Access::default(),
            requests: RequestsConfig::default(),
            protocols: Protocols { shacache: Some(cache), ..Protocols::default() },
        };
        let refused = Master::bind(config.clone()).await.err().unwrap();
        insta::assert_snapshot!(refused, @"the network cache is in directories of this machine, and the database may serve several Masters: set `shacache_shared = true` in [slapproxy] if /a/content is on a file system that all of them have (or there is no other Master), or remove the options `shacache_...` and name one Master as the cache");
        config.database = directory.path().join("file.db").into();
        let cache = config.protocols.shacache.as_mut().unwrap();
        cache.content = directory.path().join("content");
        Master::bind(config).await.unwrap();
    }
}
