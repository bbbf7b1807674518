// SPDX-License-Identifier: MPL-2.0

//! What a playlist tells about the live edge ahead of whole segments.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{ByteRange, Init, Key};

/// EXT-X-SERVER-CONTROL: RFC 8216bis 4.4.3.8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerControl {
    /// The server can hold back its answer until a certain segment or part is there.
    pub can_block_reload: bool,
    /// The server can leave out segments that are further than this from the end.
    pub can_skip_until: Option<Duration>,
    /// It can also leave out date ranges that were there before.
    pub can_skip_date_ranges: bool,
    /// How far from the end live playback should begin at least.
    pub hold_back: Option<Duration>,
    /// The same where playback takes parts.
    pub part_hold_back: Option<Duration>,
}

/// EXT-X-PART: RFC 8216bis 4.4.4.9.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub url: Url,
    /// The part of the resource; None: all of it.
    pub byte_range: Option<ByteRange>,
    pub duration: Duration,
    /// It starts with a key frame.
    pub independent: bool,
    /// There is no media, do not fetch.
    pub gap: bool,
}

/// The segment in progress: its parts are there, it is not.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSegment {
    /// The media sequence number that the segment will have.
    pub sequence: i64,
    pub discontinuity_sequence: u64,
    pub init: Option<Arc<Init>>,
    /// As of a segment.
    pub key: Option<Arc<Key>>,
    /// As of a segment.
    pub keys: Arc<[Arc<Key>]>,
    /// Wall clock at the segment's start, since 1970-01-01 UTC.
    pub program_date_time: Option<Duration>,
    /// At least one.
    pub parts: Vec<Part>,
}

impl OpenSegment {
    /// How much of it there is.
    pub fn duration(&self) -> Duration {
        self.parts.iter().map(|part| part.duration).fold(Duration::ZERO, Duration::saturating_add)
    }
}

/// EXT-X-PRELOAD-HINT: RFC 8216bis 4.4.5.3. Something that will be needed soon; a request for it
/// is answered once it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreloadHint {
    pub kind: HintKind,
    pub url: Url,
    /// First byte.
    pub start: u64,
    /// None: up to the end of the resource.
    pub length: Option<u64>,
}

/// TYPE of a preload hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintKind {
    Part,
    /// An initialisation segment.
    Map,
}

/// EXT-X-RENDITION-REPORT: RFC 8216bis 4.4.5.4. How far another playlist of the presentation is,
/// so that a player can join it at its edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionReport {
    pub url: Url,
    /// Media sequence number of its last segment, or of the one in progress.
    pub last_sequence: Option<i64>,
    /// Index of the last part within that segment.
    pub last_part: Option<u64>,
}

/// How far a playlist lists: what a blocking reload asks to go beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Media sequence number of the segment that comes next, or whose parts come next.
    pub sequence: i64,
    /// How many parts of it there are.
    pub parts: u64,
}

impl Edge {
    /// The edge of a playlist whose next segment is `sequence`, and may be in progress.
    pub(super) fn new(sequence: i64, open: Option<&OpenSegment>) -> Self {
        let parts = open.filter(|open| open.sequence == sequence).map_or(0, |open| open.parts.len() as u64);
        Self { sequence, parts }
    }
}
