// SPDX-License-Identifier: MPL-2.0

//! One presentation being played.

use std::sync::Arc;
use std::time::Duration;

use super::{Config, TrackReader};

/// What went wrong, in words for the user.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    NotAuthorized(String),
    #[error("{0}")]
    Connection(String),
    #[error("{0}")]
    Format(String),
    #[error("{0}")]
    Unsupported(String),
}

/// A track that the element shows as a pad.
pub struct TrackInfo {
    pub reader: Arc<TrackReader>,
}

/// What a session tells the element, in order.
pub enum Event {
    /// The presentation is known: make the pads. Sent once.
    Ready { tracks: Vec<TrackInfo>, duration: Option<Duration> },
    /// The duration is known or has changed (a live presentation has ended, for example).
    DurationChanged(Option<Duration>),
    /// Playback goes on, but the user should know.
    Warning(SessionError),
    /// Playback cannot go on.
    Error(SessionError),
}

/// Counters since the session began, and gauges.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Segment bytes that came over HTTP.
    pub http_bytes: u64,
    /// Segment bytes that came from peers and were used.
    pub peer_bytes: u64,
    /// Segment bytes sent to peers.
    pub upload_bytes: u64,
    /// Bytes fetched twice because a hedge and a peer raced.
    pub wasted_bytes: u64,
    /// Races started because a deadline came near.
    pub hedges: u64,
    pub stalls: u64,
    pub stalled_time: Duration,
    /// Segments that live playback had to leave out.
    pub skipped_segments: u64,
    /// Viewers of this stream as the tracker counts them.
    pub swarm_size: u64,
    /// Media ahead of the playback position, fetched or pushed.
    pub buffer_level: Duration,
    /// From the session's start to the first byte handed downstream.
    pub startup_time: Option<Duration>,
    /// Estimated HTTP throughput, bits/s; 0 while unknown.
    pub http_rate: u64,
    /// URL of the media playlist in use.
    pub variant_uri: String,
    /// Its BANDWIDTH, bits/s; 0 for a bare media playlist.
    pub variant_bandwidth: u64,
    pub peers: Vec<PeerStats>,
}

#[derive(Clone, Debug, Default)]
pub struct PeerStats {
    pub id: String,
    pub downloaded: u64,
    pub uploaded: u64,
    /// Recent download rate, bits/s.
    pub rate: u64,
    pub round_trip: Option<Duration>,
}

/// A running presentation; dropping it ends everything that it started.
pub struct Session {}

impl Session {
    /// Starts fetching at once. `on_event` is called from a runtime thread and must not block for long.
    pub fn start(_config: Config, _on_event: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self {}
    }

    /// Goes to `position` on the presentation's timeline, clamped to what can be played. Readers give
    /// nothing older from the moment this returns. Gives the position actually taken: items start with the
    /// segment that holds it.
    pub fn seek(&self, position: Duration) -> Duration {
        position
    }

    /// The range that can be sought now: for live, the playlist's window.
    pub fn seekable(&self) -> Option<(Duration, Duration)> {
        None
    }

    pub fn duration(&self) -> Option<Duration> {
        None
    }

    pub fn is_live(&self) -> bool {
        false
    }

    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
