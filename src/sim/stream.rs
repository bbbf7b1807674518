// SPDX-License-Identifier: MPL-2.0

//! What there is to watch, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::chance::{Purpose, chance};
use super::scenario::{self, Kind};
use super::time::{Micros, bytes_per_second, from_seconds};
use crate::swarm::SegmentId;
use crate::viewer::SegmentSpec;

/// Number of the newest segment when the world begins: live streams have been on for a while.
const BEGAN: u32 = 10_000;

/// The stream, the same for everybody.
#[derive(Debug)]
pub struct Stream {
    pub live: bool,
    /// A segment's duration.
    pub segment: Micros,
    pub hold_back: u32,
    /// The server holds back its answer to a request for the playlist until the next segment is there (RFC
    /// 8216bis, 6.2.5.2), so that everybody knows of it as soon as a response can be with them.
    pub blocks: bool,
    window: u32,
    /// VOD: number of segments.
    count: u32,
    bytes: f64,
    variation: f64,
    seed: u64,
}

impl Stream {
    pub fn new(stream: &scenario::Stream, seed: u64) -> Self {
        Self {
            live: stream.kind == Kind::Live,
            segment: from_seconds(stream.segment),
            hold_back: stream.hold_back,
            blocks: stream.kind == Kind::Live && stream.segment <= stream.parts_up_to,
            window: stream.window,
            count: (stream.length / stream.segment).round() as u32,
            bytes: bytes_per_second(stream.bitrate) * stream.segment,
            variation: stream.variation,
            seed,
        }
    }

    /// Number of the newest segment that can be had.
    pub fn newest(&self, now: Micros) -> u32 {
        if self.live { BEGAN + (now / self.segment) as u32 } else { self.count - 1 }
    }

    /// When a live segment can be had.
    pub fn available(&self, segment: u32) -> Micros {
        u64::from(segment.saturating_sub(BEGAN)) * self.segment
    }

    /// Number of the oldest segment in the playlist whose newest this is.
    pub fn oldest(&self, newest: u32) -> u32 {
        if self.live { newest + 1 - self.window } else { 0 }
    }

    /// Where playback begins.
    pub fn beginning(&self, newest: u32) -> u32 {
        if self.live { newest + 1 - self.hold_back } else { 0 }
    }

    /// Where a segment begins on the presentation's timeline.
    pub fn start(&self, segment: u32) -> Micros {
        u64::from(segment) * self.segment
    }

    /// Bytes of a segment.
    pub fn size(&self, segment: u32) -> u64 {
        let draw = chance(self.seed, Purpose::SegmentSize, u64::from(segment), 0);
        (self.bytes * (1.0 + self.variation * (2.0 * draw - 1.0))).max(1.0) as u64
    }

    fn specs(&self, newest: u32) -> Arc<[SegmentSpec]> {
        let spec = |segment| SegmentSpec {
            id: SegmentId(i64::from(segment)),
            start: Duration::from_micros(self.start(segment)),
            duration: Duration::from_micros(self.segment),
            size: None,
            names: None,
            pace: None,
        };
        (self.oldest(newest)..=newest).map(spec).collect()
    }
}

/// Playlists as they are at present, shared by all who have loaded the same.
#[derive(Debug, Default)]
pub struct Playlists {
    by_newest: BTreeMap<u32, Arc<[SegmentSpec]>>,
}

impl Playlists {
    /// Older ones are with their readers, if anybody still has them.
    const KEPT: usize = 4;

    pub fn get(&mut self, stream: &Stream, newest: u32) -> Arc<[SegmentSpec]> {
        let list = self.by_newest.entry(newest).or_insert_with(|| stream.specs(newest)).clone();
        if self.by_newest.len() > Self::KEPT {
            self.by_newest.pop_first();
        }
        list
    }
}
