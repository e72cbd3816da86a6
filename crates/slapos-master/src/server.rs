//! A Master as a process: its configuration, its port, its life.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use slapos_slap::ComputerId;
use slapos_sys::Secret;
use slapos_sys::clock::SystemClock;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::connections::{Door, Guest, Limits};
use crate::error::MasterError;
use crate::http::{self, App};
use crate::protocols::Protocols;
use crate::requests::RequestsConfig;
use crate::store::{Database, Store};

/// How long requests that are being answered may take after the Master was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// What a Master needs to know.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    /// The address to listen on: a name or an address without brackets, such as `127.0.0.1`.
    pub host: String,
    /// The port to listen on; 0 takes a free one, see [`Master::local_addr`].
    pub port: u16,
    /// The database.
    pub database: Database,
    /// What every caller must present.
    pub token: Secret,
    /// The computer that requests go to when they name none.
    pub computer_id: ComputerId,
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
    pub(crate) limits: Limits,
    pub(crate) app: Arc<App>,
}

impl Master {
    /// Takes the port and opens the database. Callers who connect now are answered later.
    ///
    /// # Errors
    /// When the port or the database cannot be had; see [`MasterError`].
    pub async fn bind(config: MasterConfig) -> Result<Master, MasterError> {
        if config.token.expose().is_empty() {
            return Err(MasterError::NoToken);
        }
        let named = if config.host.contains(':') {
            format!("[{}]:{}", config.host, config.port)
        } else {
            format!("{}:{}", config.host, config.port)
        };
        let failed = |error: std::io::Error| MasterError::bind(named.clone(), &error);
        let target = (config.host.as_str(), config.port);
        let listener = TcpListener::bind(target).await.map_err(failed)?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            tracing::warn!(
                "{address} is reachable from elsewhere, and HTTP does not hide the token"
            );
        }
        let clock = Arc::new(SystemClock);
        let store = Store::open(&config.database, config.computer_id, clock).await?;
        let app = Arc::new(App::new(store, &config.token, config.requests, config.protocols)?);
        Ok(Master { listener, address, limits: Limits::default(), app })
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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
        let (told, stopping) = oneshot::channel::<()>();
        let door = Door::new(self.listener, self.limits);
        let service = http::router(&self.app).into_make_service_with_connect_info::<Guest>();
        let app = Arc::clone(&self.app);
        let serving = axum::serve(door, service).with_graceful_shutdown(async move {
            shutdown.await;
            // They would stay for ever.
            app.listeners.dismiss();
            let _ = told.send(());
        });
        let grace_is_over = async move {
            let _ = stopping.await;
            tokio::time::sleep(GRACE).await;
        };
        let result = tokio::select! {
            result = serving => result,
            () = grace_is_over => {
                tracing::warn!("stopped while requests were still being answered");
                Ok(())
            }
        };
        self.app.store.close().await;
        Ok(result?)
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
