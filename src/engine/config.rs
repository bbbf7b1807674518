// SPDX-License-Identifier: MPL-2.0

//! What a session is told when it starts. The element's properties end up here, one to one.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::rate::Rate;

/// How far this viewer takes part in its swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum P2pMode {
    /// HTTP only; no tracker is contacted.
    Off,
    /// Downloads from peers without uploading to them.
    Leech,
    /// Downloads and uploads.
    #[default]
    On,
}

/// How the CDN is told of this player with each request: CTA-5004.
pub use crate::net::cmcd::Mode as CmcdMode;

/// How HTTPS and WSS servers are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Refuse certificates that do not verify.
    pub strict: bool,
    /// A PEM file with further certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { strict: true, ca_file: None }
    }
}

/// Where playback is, as the application sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playback {
    /// Position on the presentation's timeline.
    pub position: Duration,
    /// Whether the position is moving.
    pub playing: bool,
    /// How fast it moves when it does.
    pub rate: Rate,
}

/// Tells a session where playback is; asked a few times a second.
pub trait PlaybackClock: Send + Sync {
    /// None while nothing has been shown yet.
    fn playback(&self) -> Option<Playback>;
}

/// Everything that a session needs to know.
#[derive(Clone)]
pub struct Config {
    /// The playlist, with scheme http or https, or file. Of a file nothing is shared with other viewers.
    pub location: Url,
    /// WebTorrent trackers, ws or wss; none means no swarm.
    pub trackers: Vec<Url>,
    /// Swarm id; the playlist's URL without its query when None.
    pub swarm_id: Option<String>,
    /// STUN server as `stun://host:port`.
    pub stun_server: Option<String>,
    /// TURN servers as `turn(s)://user:password@host:port`.
    pub turn_servers: Vec<String>,
    /// Local addresses that ICE may use; empty means all of the machine's but loopback.
    pub ice_addresses: Vec<IpAddr>,
    pub max_peers: usize,
    pub p2p: P2pMode,
    /// Bits a second; 0 means unlimited.
    pub max_upload_rate: u64,
    /// How far ahead of playback segments are fetched.
    pub buffer_duration: Duration,
    /// Upper bound of the bytes held for playback and for other viewers.
    pub max_memory: u64,
    pub user_agent: String,
    /// Sent with each HTTP request; but Authorization does not follow redirects to other hosts, and Cookie goes to the host
    /// of `location` only.
    pub extra_headers: Vec<(String, String)>,
    /// `NAME=VALUE`, with the attributes of Set-Cookie (RFC 6265); without a Domain for the host of `location`.
    pub cookies: Vec<String>,
    /// The proxy of HTTP and of the trackers, with scheme http and its login; by the environment when None.
    pub proxy: Option<Url>,
    /// None: it is not told.
    pub cmcd: Option<CmcdMode>,
    /// Bits a second; 0 means unknown, and then the variant to play is chosen by what is measured.
    pub connection_speed: u64,
    /// Bits a second to begin with; 0 means unknown.
    pub start_bitrate: u64,
    /// Bits a second of the leanest variant that may be played.
    pub min_bitrate: u64,
    /// Bits a second of the richest one; 0 means unlimited.
    pub max_bitrate: u64,
    /// The share of the measured rate that a variant may take, 0 to 1.
    pub bandwidth_target_ratio: f64,
    /// How long an HTTP request may be silent.
    pub timeout: Duration,
    /// Further tries of a failed HTTP request.
    pub retries: u32,
    pub tls: TlsConfig,
    pub clock: Arc<dyn PlaybackClock>,
}

impl Config {
    /// Over HTTP alone: no tracker, and the limits that the element has where none are set.
    pub fn new(location: Url, clock: Arc<dyn PlaybackClock>) -> Self {
        Self {
            location,
            trackers: Vec::new(),
            swarm_id: None,
            stun_server: None,
            turn_servers: Vec::new(),
            ice_addresses: Vec::new(),
            max_peers: 15,
            p2p: P2pMode::Off,
            max_upload_rate: 0,
            buffer_duration: Duration::from_secs(30),
            max_memory: 256 << 20,
            user_agent: String::new(),
            extra_headers: Vec::new(),
            cookies: Vec::new(),
            proxy: None,
            cmcd: None,
            connection_speed: 0,
            start_bitrate: 0,
            min_bitrate: 0,
            max_bitrate: 0,
            bandwidth_target_ratio: 0.8,
            timeout: Duration::from_secs(15),
            retries: 3,
            tls: TlsConfig::default(),
            clock,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("location", &self.location.as_str())
            .field("p2p", &self.p2p)
            .finish_non_exhaustive()
    }
}
