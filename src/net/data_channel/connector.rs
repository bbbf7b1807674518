// SPDX-License-Identifier: MPL-2.0

//! Offers, answers, and the life of one connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use webrtc::data_channel::DataChannel;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnectionState, RTCSessionDescription,
    SettingEngine, SettingEngineBuilder,
};

use super::config::{RtcConfig, Servers, local_addresses};
use super::link::{CloseReason, Link};
use super::runtime::{LinkRuntime, receive_window};
use super::sdp::{RemoteSdp, SdpError, outgoing};
use super::{MAX_MESSAGE_SIZE, RtcError};

/// Candidates found later than this are left out: a STUN server that does not answer must not
/// hold up the viewers that can be reached without it.
const GATHER_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the transport gets to say goodbye to the peer and to its TURN server.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// ICE, as measured on real paths. A peer that is silent for two seconds, four keepalives, is
/// gone. The check tick of 50 ms (200 by default) opens a link 0.2 s sooner; the number of checks
/// keeps a pair alive for five seconds. `FAILED` counts only while connecting, since a
/// disconnected peer is given up at once; it must not cut [`OPEN_TIMEOUT`] short.
///
/// [`OPEN_TIMEOUT`]: super::pipe::OPEN_TIMEOUT
const DISCONNECTED: Duration = Duration::from_secs(2);
const FAILED: Duration = Duration::from_secs(13);
const KEEPALIVE: Duration = Duration::from_millis(500);
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
const CHECKS: u16 = 100;

/// A relayed path is taken only when no direct one has been found for this long.
const RELAY_WAIT: Duration = Duration::from_secs(1);

/// Makes connections to other viewers.
#[derive(Debug, Clone)]
pub struct Connector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    servers: Vec<RTCIceServer>,
    unsupported: Vec<String>,
    addresses: Vec<IpAddr>,
    relay_only: bool,
    /// Only this machine's own viewers can be reached.
    loopback: bool,
    receive_window: Option<u32>,
    handle: Handle,
}

impl Connector {
    /// Checks the configuration. Connections run on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RtcError::Server`] for a server address that makes no sense, [`RtcError::NoRuntime`]
    /// outside a tokio runtime.
    pub fn new(config: RtcConfig) -> Result<Self, RtcError> {
        let servers = Servers::parse(&config)?;
        let handle = Handle::try_current().map_err(|_| RtcError::NoRuntime)?;
        let loopback = !config.addresses.is_empty() && config.addresses.iter().all(IpAddr::is_loopback);
        Ok(Self {
            shared: Arc::new(Shared {
                servers: servers.usable,
                unsupported: servers.unsupported,
                addresses: config.addresses,
                relay_only: config.relay_only,
                loopback,
                receive_window: receive_window(),
                handle,
            }),
        })
    }

    /// Configured servers that are well-formed but cannot be used, such as TURN over TLS; without
    /// their credentials. Connections do without them.
    pub fn unsupported_servers(&self) -> &[String] {
        &self.shared.unsupported
    }

    /// Makes an offer, with all the candidates found within three seconds.
    ///
    /// Cancelling the future, or dropping the offer, closes its sockets.
    ///
    /// # Errors
    ///
    /// [`RtcError::Setup`] when no connection can be made on this machine at all,
    /// [`RtcError::Unreachable`] when only relays may be used and none can be.
    pub async fn offer(&self) -> Result<Offer, RtcError> {
        // Who will answer is not known yet, so names and browsers must both be expected.
        let (connection, signals) = self.connect(!self.shared.loopback, true).await?;
        let label: String = rand::random::<[u8; 20]>().iter().map(|byte| format!("{byte:02x}")).collect();
        let channel = connection.peer.create_data_channel(&label, None).await.map_err(RtcError::setup)?;
        let offer = connection.peer.create_offer(None).await.map_err(RtcError::setup)?;
        let sdp = connection.describe(offer, &signals).await?;
        Ok(Offer { connection, signals, channel, sdp, loopback: self.shared.loopback })
    }

    /// Answers another viewer's offer. The link opens once the viewer has the returned answer.
    ///
    /// # Errors
    ///
    /// [`RtcError::Sdp`] when the offer is refused, the others as for [`offer`](Self::offer).
    pub async fn answer(&self, offer: &str) -> Result<(Link, String), RtcError> {
        let remote = RemoteSdp::read(offer, self.shared.loopback)?;
        let (connection, signals) = self.connect(remote.mdns && !self.shared.loopback, !remote.ours).await?;
        let description = RTCSessionDescription::offer(remote.text).map_err(malformed)?;
        connection.peer.set_remote_description(description).await.map_err(malformed)?;
        let answer = connection.peer.create_answer(None).await.map_err(malformed)?;
        let sdp = connection.describe(answer, &signals).await?;
        Ok((Link::start(connection, signals, None), sdp))
    }

    /// Makes a connection that does nothing yet.
    async fn connect(&self, mdns: bool, paced: bool) -> Result<(Connection, Signals), RtcError> {
        match self.build(mdns, paced).await {
            // Another program may own the multicast DNS port. Only names of viewers on the local
            // network are lost then, and those viewers mostly find us by ours.
            Err(_) if mdns => self.build(false, paced).await,
            result => result,
        }
    }

    async fn build(&self, mdns: bool, paced: bool) -> Result<(Connection, Signals), RtcError> {
        let shared = &self.shared;
        // Until a path is chosen, it may be a relayed one.
        let relays = shared.servers.iter().any(|server| !server.username.is_empty());
        let runtime = Arc::new(LinkRuntime::new(paced, relays));
        // Until the connection owns it, dropping this future must stop the transport's task.
        let stop = runtime.stop.clone().drop_guard();
        let (observer, signals) = observe();
        let policy =
            if shared.relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
        let peer = PeerConnectionBuilder::new()
            .with_configuration(
                RTCConfigurationBuilder::new()
                    .with_ice_servers(shared.servers.clone())
                    .with_ice_transport_policy(policy)
                    .build(),
            )
            .with_setting_engine(shared.settings(mdns))
            .with_runtime(runtime.clone())
            .with_handler(Arc::new(observer))
            .with_udp_addrs(local_addresses(&shared.addresses))
            .build()
            .await
            .map_err(RtcError::setup)?;
        let connection =
            Connection { peer: Arc::new(peer), runtime, stop: Some(stop), handle: shared.handle.clone() };
        Ok((connection, signals))
    }
}

impl Shared {
    fn settings(&self, mdns: bool) -> SettingEngine {
        let mode = if mdns { MulticastDnsMode::QueryOnly } else { MulticastDnsMode::Disabled };
        let settings = SettingEngineBuilder::new()
            .with_ice_timeouts(Some(DISCONNECTED), Some(FAILED), Some(KEEPALIVE))
            .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS))
            // A browser hides its addresses, so its packets come from one it never named. Waiting
            // a second for a better pair, as is the default, would be in vain; and nothing better
            // comes when only relays are allowed.
            .with_host_acceptance_min_wait(Some(Duration::ZERO))
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_relay_acceptance_min_wait(Some(if self.relay_only { Duration::ZERO } else { RELAY_WAIT }))
            .with_multicast_dns_mode(mode)
            .with_include_loopback_candidate(self.loopback)
            .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE_SIZE as u32));
        match self.receive_window {
            Some(window) => settings.with_sctp_max_receive_buffer_size(window).build(),
            None => settings.build(),
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> RtcError {
    SdpError::Malformed(error.to_string()).into()
}

/// An offer that waits for its answer. Dropping it closes its connection.
pub struct Offer {
    connection: Connection,
    signals: Signals,
    channel: Arc<dyn DataChannel>,
    sdp: String,
    loopback: bool,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("sdp", &self.sdp).finish_non_exhaustive()
    }
}

impl Offer {
    /// The description to send to the other viewer, candidates included.
    pub fn sdp(&self) -> &str {
        &self.sdp
    }

    /// Takes the other viewer's answer. The link opens once a path has been found.
    ///
    /// # Errors
    ///
    /// [`RtcError::Sdp`] when the answer is refused; the offer is then spent.
    pub async fn accept(self, answer: &str) -> Result<Link, RtcError> {
        let remote = RemoteSdp::read(answer, self.loopback)?;
        self.connection.runtime.paced.store(!remote.ours, Ordering::Relaxed);
        let description = RTCSessionDescription::answer(remote.text).map_err(malformed)?;
        self.connection.peer.set_remote_description(description).await.map_err(malformed)?;
        Ok(Link::start(self.connection, self.signals, Some(self.channel)))
    }
}

/// A connection. Dropping it closes it, politely if the runtime still runs.
pub(super) struct Connection {
    pub peer: Arc<dyn PeerConnection>,
    pub runtime: Arc<LinkRuntime>,
    stop: Option<DropGuard>,
    pub handle: Handle,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// Applies our own description and waits for its candidates.
    async fn describe(
        &self,
        description: RTCSessionDescription,
        signals: &Signals,
    ) -> Result<String, RtcError> {
        self.peer.set_local_description(description).await.map_err(RtcError::setup)?;
        let _ = tokio::time::timeout(GATHER_TIMEOUT, signals.gathered.cancelled()).await;
        let description = self.peer.local_description().await;
        let description = description.ok_or_else(|| RtcError::setup("no local description"))?;
        // A description without a candidate would only waste another viewer's time.
        if !description.sdp.contains("a=candidate:") {
            return Err(RtcError::Unreachable);
        }
        Ok(outgoing(&description.sdp))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Closing waits for the transport's task by a sleep that must not be cut short.
        self.runtime.relayed.store(false, Ordering::Relaxed);
        let (peer, stop) = (Arc::clone(&self.peer), self.stop.take());
        // The transport's task outlives its handle unless told to end. `stop` ends it even when
        // closing fails, hangs, or never runs because the runtime is gone.
        self.handle.spawn(async move {
            let _stop = stop;
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, peer.close()).await;
        });
    }
}

/// What the transport tells about one connection.
#[derive(Debug)]
pub(super) struct Signals {
    /// Cancelled when all candidates are known.
    pub gathered: CancellationToken,
    /// Set when the connection is lost, or the peer breaks the rules.
    pub lost: watch::Receiver<Option<CloseReason>>,
    /// The channel that the peer made. There can be one.
    pub channels: mpsc::Receiver<Arc<dyn DataChannel>>,
}

struct Observer {
    gathered: CancellationToken,
    lost: watch::Sender<Option<CloseReason>>,
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
}

fn observe() -> (Observer, Signals) {
    let gathered = CancellationToken::new();
    let (lost, lost_rx) = watch::channel(None);
    let (channels, channels_rx) = mpsc::channel(1);
    let observer = Observer { gathered: gathered.clone(), lost, channels };
    (observer, Signals { gathered, lost: lost_rx, channels: channels_rx })
}

impl Observer {
    fn lose(&self, reason: CloseReason) {
        self.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            lost.get_or_insert(reason);
            first
        });
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Observer {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.cancel();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        // A channel is never told that its peer has died; only the path's silence shows it.
        // `Closed` is not here: it comes with the channel's own end, behind the last messages.
        if matches!(state, RTCPeerConnectionState::Disconnected | RTCPeerConnectionState::Failed) {
            self.lose(CloseReason::Lost);
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        // Messages on a channel that nobody reads would pile up, so there may be no second one.
        if self.channels.try_send(channel).is_err() {
            self.lose(CloseReason::Violation);
        }
    }
}
