// SPDX-License-Identifier: MPL-2.0

//! Listens, lets connections in, and keeps house: expiry, changed files, the end.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use super::access::{Access, read_swarms};
use super::cluster::bus;
use super::cluster::config::ClusterConfig;
use super::cluster::message::NodeId;
use super::connection;
use super::geo::{self, GeoError, Watched};
use super::handshake::{Pages, welcome};
use super::shared::Shared;
use super::swarms::Settings;
use super::tls::{Tls, TlsError, TlsFiles};
use crate::swarm::tracker_messages::MAX_MESSAGE;

/// From the connection to the end of the HTTP part: no viewer needs longer to ask for a socket.
const HTTP_TIMEOUT: Duration = Duration::from_secs(15);
/// Time between looks for viewers who have expired.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// Time that viewers have to hear that the server stops, after all have been told.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Viewers who may be told within a second that the server stops, however short the drain.
const DISMISSED_A_SECOND: u32 = 100;
/// Connections of operators at a time.
const OPERATORS: usize = 64;

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Further connections are closed at once.
    pub max_connections: usize,
    /// Further ones from the same address, or /64 of IPv6, are refused.
    pub max_connections_per_address: u32,
    /// A longer message ends the connection.
    pub max_message_bytes: usize,
    /// An announce comes with an answer to each of some offers, so a viewer sends a few messages
    /// a minute; a page with many swarms, some more.
    pub messages_per_second: f32,
    pub message_burst: f32,
    /// Silence after which a viewer is pinged, and after as much again taken for dead.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            max_connections_per_address: 2_000,
            max_message_bytes: MAX_MESSAGE,
            messages_per_second: 100.0,
            message_burst: 500.0,
            silence: Duration::from_secs(60),
        }
    }
}

/// Who is let in; see [`Access`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccessConfig {
    pub origins: Option<Vec<String>>,
    /// A file with the swarms that there may be.
    pub swarms: Option<PathBuf>,
    pub token_secret: Option<Vec<u8>>,
}

/// Logs show the configuration, but not the secret.
impl std::fmt::Debug for AccessConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessConfig")
            .field("origins", &self.origins)
            .field("swarms", &self.swarms)
            .field("tokens", &self.token_secret.is_some())
            .finish()
    }
}

/// How the server behaves.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub swarms: Settings,
    pub limits: Limits,
    pub geo: geo::Files,
    /// Link viewers of the same provider only, wherever they are.
    pub same_isp: bool,
    pub access: AccessConfig,
    pub tls: Option<TlsFiles>,
    /// Proxies whose `X-Forwarded-For` is believed. Anybody else could write there what they like.
    pub trusted_proxies: Vec<IpNet>,
    /// Time between looks for changed files; None for never.
    pub reload_every: Option<Duration>,
    /// Time over which viewers are told that the server stops, so that they do not all come back
    /// at once. Few viewers take less.
    pub drain: Duration,
    /// The Redis by which this and other nodes are one tracker; None for a tracker on its own.
    pub cluster: Option<ClusterConfig>,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Geo(#[from] GeoError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{}: {reason}", path.display())]
    Swarms { path: PathBuf, reason: String },
}

/// Where to listen.
pub struct Listeners {
    pub viewers: TcpListener,
    /// If there is one, statistics are shown here and not to everybody.
    pub operators: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(viewers: TcpListener) -> Self {
        Self { viewers, operators: None }
    }
}

/// Serves viewers until `shutdown` resolves, and then tells them so.
///
/// # Errors
///
/// If a listener cannot be used at all, or one of the configured files; a connection that fails
/// concerns nobody else.
pub async fn serve(
    listeners: impl Into<Listeners>,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let Listeners { viewers, operators } = listeners.into();
    viewers.local_addr()?;
    let read = config.clone();
    let read = spawn_blocking(move || Opened::read(&read)).await.map_err(io::Error::other)?;
    let Opened { geo, access, tls } = read?;
    let max_connections = config.limits.max_connections.min(Semaphore::MAX_PERMITS);
    let drain = config.drain;
    let reload_every = config.reload_every;
    let shared = Arc::new(Shared::new(config, geo, access));

    // Ended when this function returns.
    let mut house = JoinSet::new();
    house.spawn(expire(shared.clone()));
    if let Some(cluster) = shared.config.cluster.clone() {
        house.spawn(bus::run(shared.clone(), cluster, NodeId(rand::random())));
    }
    if let Some(every) = reload_every {
        house.spawn(reload(shared.clone(), tls.clone(), every));
    }
    let public = if operators.is_some() { Pages::Health } else { Pages::Local };
    if let Some(listener) = operators {
        let door = Door { shared: shared.clone(), pages: Pages::Operators, tls: None };
        house.spawn(async move {
            let permits = Arc::new(Semaphore::new(OPERATORS));
            loop {
                accept(&listener, &permits, &door).await;
            }
        });
    }

    let door = Door { shared: shared.clone(), pages: public, tls };
    let permits = Arc::new(Semaphore::new(max_connections));
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = accept(&viewers, &permits, &door) => {}
        }
    }

    info!("stopping");
    let dismissed = dismiss(&shared, drain);
    tokio::pin!(dismissed);
    loop {
        tokio::select! {
            () = &mut dismissed => break,
            // Whoever asks is told that this server is on its way out.
            () = accept(&viewers, &permits, &door) => {}
        }
    }
    drop(viewers);
    // All permits are back when all connections have ended.
    let all = u32::try_from(max_connections).unwrap_or(u32::MAX);
    let _ = timeout(SHUTDOWN_TIMEOUT, permits.acquire_many(all)).await;
    Ok(())
}

/// What is read from files at the start.
struct Opened {
    geo: Watched,
    access: Access,
    tls: Option<Arc<Tls>>,
}

impl Opened {
    fn read(config: &Config) -> Result<Self, ServeError> {
        Ok(Self {
            geo: Watched::open(config.geo.clone())?,
            access: read_access(&config.access)?,
            tls: config.tls.clone().map(Tls::open).transpose()?.map(Arc::new),
        })
    }
}

fn read_access(config: &AccessConfig) -> Result<Access, ServeError> {
    let read = |path: &Path| {
        let wrong = |reason: String| ServeError::Swarms { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        read_swarms(&text).map_err(|line| wrong(format!("line {line}: not an info hash")))
    };
    let swarms = config.swarms.as_deref().map(read).transpose()?;
    Ok(Access::new(config.origins.clone(), swarms, config.token_secret.as_deref()))
}

async fn expire(shared: Arc<Shared>) {
    let mut ticks = interval(EXPIRE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.expire(Instant::now());
        shared.note(Instant::now());
    }
}

/// Takes over files that have changed. What cannot be read is complained about, and what was there
/// before stays in use.
async fn reload(shared: Arc<Shared>, tls: Option<Arc<Tls>>, every: Duration) {
    let mut swarms_before = None;
    loop {
        sleep(every).await;
        let (shared, tls) = (shared.clone(), tls.clone());
        let reading = spawn_blocking(move || {
            match shared.atlas().refresh() {
                Ok(true) => info!("read the places of networks again"),
                Ok(false) => {}
                Err(error) => warn!(%error, "the places of networks stay as they were"),
            }
            match tls.as_ref().map(|tls| tls.refresh()).transpose() {
                Ok(Some(true)) => info!("read the certificate again"),
                Ok(_) => {}
                Err(error) => warn!(%error, "the certificate stays as it was"),
            }
            let config = &shared.config.access;
            let text = config.swarms.as_ref().and_then(|path| std::fs::read(path).ok());
            if swarms_before != text {
                match read_access(config) {
                    Ok(access) => shared.set_access(access),
                    Err(error) => warn!(%error, "the list of swarms stays as it was"),
                }
            }
            text
        });
        swarms_before = reading.await.unwrap_or_default();
    }
}

/// Tells viewers that the server stops, spread over time.
async fn dismiss(shared: &Shared, drain: Duration) {
    let viewers = shared.stop();
    let count = u32::try_from(viewers.len()).unwrap_or(u32::MAX);
    let drain = drain.min(Duration::from_secs(1) * count / DISMISSED_A_SECOND);
    let start = tokio::time::Instant::now();
    for (at, id) in viewers.into_iter().enumerate() {
        if at > 0 {
            tokio::time::sleep_until(start + drain * at as u32 / count).await;
        }
        shared.dismiss(id);
    }
}

/// What stands behind a listener.
struct Door {
    shared: Arc<Shared>,
    pages: Pages,
    tls: Option<Arc<Tls>>,
}

/// Takes one connection in, if there is room for it.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>, door: &Door) {
    match listener.accept().await {
        Ok((stream, address)) => match permits.clone().try_acquire_owned() {
            Ok(permit) => door.open(stream, address, permit),
            Err(_) => {
                door.shared.count_refused();
                debug!(%address, "too many connections");
            }
        },
        Err(error) => {
            // Out of file descriptors, most likely: trying again at once would only spin.
            warn!(%error, "cannot accept a connection");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Door {
    fn open(&self, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        // Two small messages in a row would otherwise wait for an acknowledgement in between.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot disable Nagle's algorithm");
        }
        let (shared, pages) = (self.shared.clone(), self.pages);
        match self.tls.as_ref().map(|tls| tls.acceptor()) {
            None => {
                tokio::spawn(attend(shared, pages, Box::pin(async move { Ok(stream) }), address, permit));
            }
            Some(acceptor) => {
                // The state of TLS is large, and the futures that it passes through would each keep room for it.
                let accepting = Box::pin(async move { acceptor.accept(stream).await.map(Box::new) });
                tokio::spawn(attend(shared, pages, accepting, address, permit));
            }
        }
    }
}

/// A connection from TLS to its end.
async fn attend<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    shared: Arc<Shared>,
    pages: Pages,
    stream: impl Future<Output = io::Result<S>> + Unpin,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    // In a box of its own, which is gone when the long part of the connection begins.
    let arriving = Box::pin(timeout(HTTP_TIMEOUT, async {
        let stream = stream.await?;
        welcome(&shared, pages, stream, address.ip()).await
    }));
    match arriving.await {
        Ok(Ok(Some(arrival))) => {
            connection::run(shared, arrival.stream, arrival.viewer, arrival.first).await;
            drop(arrival.permit);
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => debug!(%address, %error, "no WebSocket came of it"),
        Err(_) => debug!(%address, "HTTP took too long"),
    }
    drop(permit);
}
