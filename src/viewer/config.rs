// SPDX-License-Identifier: MPL-2.0

//! What a viewer is told when it starts.

use std::time::{Duration, Instant};

use crate::swarm::{PeerId, SegmentId};
use crate::switcher::Policy;

/// Constants of one viewer.
#[derive(Clone, Debug)]
pub struct ViewerConfig {
    /// Our name in the swarm.
    pub peer_id: PeerId,
    /// Take segments from peers.
    pub download_from_peers: bool,
    /// Give segments to peers.
    pub upload_to_peers: bool,
    /// Bytes a second given to peers; None is unlimited.
    pub max_upload_rate: Option<u64>,
    /// The most that one [`Action::Upload`](super::Action::Upload) covers in bytes, so that peers take turns.
    pub upload_turn: u64,
    /// How far ahead of playback segments are fetched.
    pub buffer: Duration,
    /// Bound of the bytes held, for playback and for others.
    pub max_memory: u64,
    /// Further tries of a failed HTTP request.
    pub retries: u32,
    pub policy: Policy,
}

impl ViewerConfig {
    /// A viewer that takes part fully, with the defaults of the element.
    pub fn new(peer_id: PeerId) -> Self {
        Self {
            peer_id,
            download_from_peers: true,
            upload_to_peers: true,
            max_upload_rate: None,
            // Four messages of the size that data channels carry best.
            upload_turn: 4 * 16_240,
            buffer: Duration::from_secs(30),
            max_memory: 256 << 20,
            retries: 3,
            policy: Policy {
                margin: Duration::from_secs(1),
                reserve: Duration::from_secs(10),
                spread: Duration::ZERO,
            },
        }
    }
}

/// One segment of the stream, as the viewer needs to know it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentSpec {
    pub id: SegmentId,
    /// Position of its start on the presentation's timeline.
    pub start: Duration,
    pub duration: Duration,
    /// Its size where the playlist tells it (byte ranges).
    pub size: Option<u64>,
    /// What the swarm calls it and the segment after it, where that is not by its id: elections go by it.
    pub names: Option<(SegmentId, SegmentId)>,
    /// It is still being made; None: it is whole.
    pub pace: Option<Pace>,
}

/// How a segment comes that is still being made: as it is made, chunk by chunk, however fast the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// When it is whole.
    pub whole_at: Instant,
    /// Playing time of what comes at a time: for so long nothing may come.
    pub chunk: Duration,
}

impl Pace {
    /// Time until the segment is whole.
    pub fn left(&self, now: Instant) -> Duration {
        self.whole_at.saturating_duration_since(now)
    }

    /// It cannot have ended yet, even if clocks are a little apart.
    pub fn is_unfinished(&self, now: Instant) -> bool {
        self.left(now) > self.chunk / 8
    }

    /// There may be more of it later, even if whoever makes it is a little late.
    pub fn may_grow(&self, now: Instant) -> bool {
        now < self.whole_at + self.chunk / 2
    }
}

impl SegmentSpec {
    pub fn end(&self) -> Duration {
        self.start + self.duration
    }

    /// What everybody in the swarm calls it.
    pub fn name(&self) -> SegmentId {
        self.names.map_or(self.id, |(name, _)| name)
    }

    /// The segment after it, which is taken to be as long.
    pub fn next(&self) -> Self {
        let names = self.names.map(|(_, next)| (next, next));
        let pace = self.pace.map(|pace| Pace { whole_at: pace.whole_at + self.duration, ..pace });
        Self { id: SegmentId(self.id.0.saturating_add(1)), start: self.end(), names, pace, ..*self }
    }
}
