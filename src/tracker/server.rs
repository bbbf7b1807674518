// SPDX-License-Identifier: MPL-2.0

//! HTTP and WebSocket in front of the swarms.
//!
//! Viewers connect to any path; `/stats.json` and `/health` are for operators. TLS is the business
//! of a proxy in front.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use super::connection;
use super::outbox::{Closed, Outbox};
use super::swarms::{Announced, ConnectionId, Counters, Refusal, Settings, Swarms};
use crate::swarm::ids::InfoHash;
use crate::swarm::tracker_messages::{Announce, Answer, MAX_MESSAGE, ScrapeCounts};

/// From the connection to the end of the HTTP part: no viewer needs longer to ask for a socket.
const HTTP_TIMEOUT: Duration = Duration::from_secs(15);
/// Time between looks for viewers who have expired.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);
/// Time that viewers have to be told that the server stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Each connection has buffers of about this size, so most of its memory is these.
const BUFFER: usize = 2 * 1024;

/// How the server behaves.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub swarms: Settings,
    /// Take viewers' addresses from the last entry of `X-Forwarded-For`. Anybody could write
    /// there if no proxy did, so it is off unless there is one.
    pub behind_proxy: bool,
    /// Further connections are closed at once.
    pub max_connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { swarms: Settings::default(), behind_proxy: false, max_connections: 100_000 }
    }
}

/// Serves viewers until `shutdown` resolves, and then tells them so.
///
/// # Errors
///
/// Only if the listener cannot be used at all; a connection that fails concerns nobody else.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.local_addr()?;
    let max_connections = config.max_connections.min(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(max_connections));
    let shared = Arc::new(Shared::new(config));
    let router = TowerToHyperService::new(router(shared.clone()));

    let mut expiry = interval(EXPIRE_EVERY);
    expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            _ = expiry.tick() => shared.lock().swarms.expire(Instant::now()),
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => match permits.clone().try_acquire_owned() {
                    Ok(permit) => {
                        let arrival = Arrival { address: address.ip(), _permit: Arc::new(permit) };
                        tokio::spawn(http(stream, arrival, router.clone()));
                    }
                    Err(_) => debug!(%address, "too many connections"),
                },
                Err(error) => {
                    // Out of file descriptors, most likely: trying again at once would only spin.
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }

    drop(listener);
    info!("stopping");
    shared.stop();
    // All permits are back when all connections have ended.
    let all = u32::try_from(max_connections).unwrap_or(u32::MAX);
    let _ = timeout(SHUTDOWN_TIMEOUT, permits.acquire_many(all)).await;
    Ok(())
}

/// A TCP connection that has been let in; the permit goes where the connection goes.
#[derive(Clone)]
struct Arrival {
    address: IpAddr,
    _permit: Arc<OwnedSemaphorePermit>,
}

/// The HTTP part of a connection: one request, which usually makes it a WebSocket.
async fn http(stream: TcpStream, arrival: Arrival, router: TowerToHyperService<Router>) {
    // Two small messages in a row would otherwise wait for an acknowledgement in between.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot disable Nagle's algorithm");
    }
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(arrival.clone());
        let response = router.call(request);
        async {
            let mut response = response.await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // One request is all: an idle connection would hold up a viewer, or the shutdown.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    match timeout(HTTP_TIMEOUT, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "HTTP failed"),
        Err(_) => debug!("HTTP took too long"),
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/stats.json", get(async |State(shared): State<Arc<Shared>>| Json(shared.stats())))
        .route("/health", get(async || "ok\n"))
        .fallback(websocket)
        .with_state(shared)
}

async fn websocket(
    State(shared): State<Arc<Shared>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let forwarded = if shared.behind_proxy { forwarded_for(&headers) } else { None };
    let address = forwarded.unwrap_or(arrival.address);
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .on_upgrade(async move |socket| {
            connection::run(shared, socket, address).await;
            drop(arrival);
        })
}

/// The address that the nearest proxy saw: what stands before it comes from the viewer.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

/// Where offers go; None for a viewer who has just left.
pub(super) type Receivers = Vec<Option<Arc<Outbox>>>;

/// What all connections share.
pub(super) struct Shared {
    behind_proxy: bool,
    state: Mutex<SharedState>,
}

struct SharedState {
    swarms: Swarms,
    outboxes: HashMap<ConnectionId, Arc<Outbox>>,
    connections: u64,
    errors: u64,
    stopping: bool,
}

/// What `/stats.json` shows; counts are since the start.
#[derive(Serialize)]
struct Stats {
    #[serde(flatten)]
    counters: Counters,
    connections: usize,
    errors: u64,
}

impl Shared {
    fn new(config: Config) -> Self {
        Self {
            behind_proxy: config.behind_proxy,
            state: Mutex::new(SharedState {
                swarms: Swarms::new(config.swarms, rand::random()),
                outboxes: HashMap::new(),
                connections: 0,
                errors: 0,
                stopping: false,
            }),
        }
    }

    /// The lock is held for as long as a decision takes, never while messages are read, written
    /// or sent.
    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn register(&self) -> (ConnectionId, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::default());
        let mut state = self.lock();
        let id = ConnectionId(state.connections);
        state.connections += 1;
        if state.stopping {
            outbox.close(Closed::Shutdown);
        }
        state.outboxes.insert(id, outbox.clone());
        (id, outbox)
    }

    pub fn unregister(&self, id: ConnectionId) {
        let mut state = self.lock();
        state.outboxes.remove(&id);
        state.swarms.close(id);
    }

    /// Also returns the outboxes that the offers go to: the first to the first, and so on.
    pub fn announce(
        &self,
        now: Instant,
        id: ConnectionId,
        address: IpAddr,
        announce: &Announce,
    ) -> Result<(Announced, Receivers), Refusal> {
        let mut state = self.lock();
        let announced = state.swarms.announce(now, id, address, announce)?;
        let outbox = |id| state.outboxes.get(id).cloned();
        let receivers = announced.receivers.iter().map(outbox).collect();
        Ok((announced, receivers))
    }

    /// Returns the outbox of the viewer who made the offer.
    pub fn answer(
        &self,
        now: Instant,
        id: ConnectionId,
        answer: &Answer,
    ) -> Result<Option<Arc<Outbox>>, Refusal> {
        let mut state = self.lock();
        let offerer = state.swarms.answer(now, id, answer)?;
        Ok(state.outboxes.get(&offerer).cloned())
    }

    pub fn scrape(&self, info_hashes: Vec<InfoHash>) -> Vec<(InfoHash, ScrapeCounts)> {
        let state = self.lock();
        info_hashes.into_iter().map(|info_hash| (info_hash, state.swarms.scrape(&info_hash))).collect()
    }

    pub fn count_error(&self) {
        self.lock().errors += 1;
    }

    fn stats(&self) -> Stats {
        let state = self.lock();
        Stats { counters: state.swarms.counters(), connections: state.outboxes.len(), errors: state.errors }
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        for outbox in state.outboxes.values() {
            outbox.close(Closed::Shutdown);
        }
    }
}
