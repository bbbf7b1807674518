// SPDX-License-Identifier: MPL-2.0

//! What a media playlist lists: segments and what is needed to fetch and order them.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{
    DateRange, Edge, InbandEvents, Key, OpenSegment, Part, PreloadHint, Protection, RenditionReport,
    ServerControl, TimedEvent,
};

/// A media playlist as it was at one load: RFC 8216bis 4.4.3.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaPlaylist {
    /// Where the playlist came from; relative addresses have been resolved against it.
    pub url: Url,
    /// EXT-X-VERSION; 1 where it is missing. Nothing is refused because of it: what a version
    /// added is read wherever it stands.
    pub version: u32,
    /// EXT-X-TARGETDURATION; the longest segment's duration where that is missing.
    pub target_duration: Duration,
    /// EXT-X-MEDIA-SEQUENCE. The RFC has no negative numbers, but packagers and browsers do.
    pub media_sequence: i64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: u64,
    pub playlist_type: Option<PlaylistType>,
    /// EXT-X-ENDLIST is there: nothing will be added.
    pub ended: bool,
    /// EXT-X-INDEPENDENT-SEGMENTS: each segment can be decoded by itself.
    pub independent_segments: bool,
    /// EXT-X-I-FRAMES-ONLY: each segment is one key frame, and lasts until the next.
    pub i_frames_only: bool,
    /// EXT-X-START: where playback should begin.
    pub start_offset: Option<StartOffset>,
    pub server_control: ServerControl,
    /// PART-TARGET of EXT-X-PART-INF: the longest a part takes.
    pub part_target: Option<Duration>,
    /// DASH: segments can be asked for before they are whole, and then come as they are made.
    pub in_progress: bool,
    /// EXT-X-SKIP, where the playlist before this one was not at hand to fill it in: so many
    /// segments from `media_sequence` on are not in `segments`.
    pub skipped: u64,
    /// In the order of the playlist.
    pub segments: Vec<Segment>,
    /// The parts after the last segment.
    pub open: Option<OpenSegment>,
    pub preload_hints: Vec<PreloadHint>,
    pub rendition_reports: Vec<RenditionReport>,
    /// In the order in which they first appear.
    pub date_ranges: Vec<DateRange>,
    /// DASH: events that stand in the manifest, shared by all playlists that are made of it.
    pub events: Arc<[TimedEvent]>,
    /// DASH: where the first segment starts on the manifest's own timeline, in nanoseconds.
    pub first_time: Option<i64>,
}

impl MediaPlaylist {
    /// A playlist that lists nothing.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            version: 1,
            target_duration: Duration::ZERO,
            media_sequence: 0,
            discontinuity_sequence: 0,
            playlist_type: None,
            ended: false,
            independent_segments: false,
            i_frames_only: false,
            start_offset: None,
            server_control: ServerControl::default(),
            part_target: None,
            in_progress: false,
            skipped: 0,
            segments: Vec::new(),
            open: None,
            preload_hints: Vec::new(),
            rendition_reports: Vec::new(),
            date_ranges: Vec::new(),
            events: Arc::new([]),
            first_time: None,
        }
    }

    /// How far the playlist lists.
    pub fn edge(&self) -> Edge {
        let next = |last: &Segment| last.sequence + 1;
        Edge::new(self.segments.last().map_or(self.media_sequence, next), self.open.as_ref())
    }

    /// The segment with this media sequence number.
    pub fn segment(&self, sequence: i64) -> Option<&Segment> {
        let index = sequence.checked_sub(self.segments.first()?.sequence)?;
        self.segments.get(usize::try_from(index).ok()?)
    }
}

/// EXT-X-PLAYLIST-TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaylistType {
    /// Segments are only ever added.
    Event,
    /// The playlist does not change.
    Vod,
}

/// EXT-X-START: RFC 8216bis 4.4.2.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StartOffset {
    /// Seconds from the start of the playlist, or, where negative, from its end; finite.
    pub seconds: f64,
    /// Samples before the offset are not to be shown.
    pub precise: bool,
}

/// One media segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub url: Url,
    /// The part of the resource that is the segment; None: all of it.
    pub byte_range: Option<ByteRange>,
    /// EXTINF; zero where it is missing or negative.
    pub duration: Duration,
    /// Media sequence number.
    pub sequence: i64,
    /// Discontinuities before this segment, counted on from EXT-X-DISCONTINUITY-SEQUENCE. Where it
    /// differs from the segment before, timestamps or formats begin anew.
    pub discontinuity_sequence: u64,
    /// The initialisation segment, shared by all segments that it applies to.
    pub init: Option<Arc<Init>>,
    /// How the segment is encrypted, shared likewise; None: it is not. Of several key formats the
    /// one that needs no DRM system, or else the last.
    pub key: Option<Arc<Key>>,
    /// The keys of all formats, one for each DRM system, in the order of the playlist.
    pub keys: Arc<[Arc<Key>]>,
    /// Wall clock at the segment's start, since 1970-01-01 UTC; counted from the nearest
    /// EXT-X-PROGRAM-DATE-TIME between the same discontinuities.
    pub program_date_time: Option<Duration>,
    /// Playback can begin with it, as far as the manifest tells: it starts with a key frame.
    pub independent: bool,
    /// EXT-X-GAP: there is no media, do not fetch.
    pub gap: bool,
    /// EXT-X-BITRATE in kbit/s, without container overhead.
    pub bitrate: Option<u64>,
    /// The parts that make up the segment; servers list them only near the live edge.
    pub parts: Vec<Part>,
    /// It can be asked for before it is whole, and was not when the playlist was made.
    pub progress: Option<Progress>,
    /// DASH: where it starts on the presentation's timeline, in seconds as browsers come by them,
    /// which give it its number in the swarm ([`segment_id`](crate::swarm::identity::dash::segment_id)).
    /// None: that number is its media sequence number or its place.
    pub time: Option<f64>,
    /// The time of its media minus that of the manifest's own timeline, in nanoseconds. None: the manifest does not say,
    /// and the first time stamp after a discontinuity tells.
    pub media_offset: Option<i64>,
    /// The events that come with its media; None: none are looked for.
    pub inband_events: Option<Arc<InbandEvents>>,
}

impl Segment {
    /// A segment in plain of which nothing else is known.
    pub fn new(url: Url, duration: Duration, sequence: i64) -> Self {
        Self {
            url,
            byte_range: None,
            duration,
            sequence,
            discontinuity_sequence: 0,
            init: None,
            key: None,
            keys: Arc::new([]),
            program_date_time: None,
            independent: true,
            gap: false,
            bitrate: None,
            parts: Vec::new(),
            progress: None,
            time: None,
            media_offset: None,
            inband_events: None,
        }
    }

    /// The key that opens the segment as a whole; None: it is in plain, or encrypted by samples.
    pub fn whole_key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref().filter(|key| key.method.is_whole_segment())
    }

    /// What decryptors have to know that open its samples, for each DRM system.
    pub fn protections(&self) -> impl Iterator<Item = Protection> {
        let by_samples = self.key.is_some() && self.whole_key().is_none();
        self.keys.iter().filter(move |_| by_samples).filter_map(|key| key.protection())
    }
}

impl Init {
    /// The key that opens it; what is encrypted by samples has it in plain.
    pub fn whole_key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref().filter(|key| key.method.is_whole_segment())
    }
}

/// A segment in the making: the answer to a request for it goes on as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Time until it is whole, from when the playlist was made.
    pub left: Duration,
    /// Playing time of the chunks that it is made of, as far as can be told.
    pub chunk: Duration,
}

/// A range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    pub offset: u64,
    pub length: u64,
}

impl ByteRange {
    /// Offset of the first byte after the range.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// EXT-X-MAP: RFC 8216bis 4.4.4.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    pub url: Url,
    pub byte_range: Option<ByteRange>,
    /// How the initialisation segment is encrypted; None: it is not.
    pub key: Option<Arc<Key>>,
}
