// SPDX-License-Identifier: MPL-2.0

//! What a media playlist lists: segments and what is needed to fetch and order them.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// A media playlist as it was at one load: RFC 8216bis 4.4.3.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaPlaylist {
    /// Where the playlist came from; relative addresses have been resolved against it.
    pub url: Url,
    /// EXT-X-TARGETDURATION; the longest segment's duration where that is missing.
    pub target_duration: Duration,
    /// EXT-X-MEDIA-SEQUENCE. The RFC has no negative numbers, but packagers and browsers do.
    pub media_sequence: i64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: u64,
    pub playlist_type: Option<PlaylistType>,
    /// EXT-X-ENDLIST is there: nothing will be added.
    pub ended: bool,
    /// EXT-X-START: where playback should begin.
    pub start_offset: Option<StartOffset>,
    /// HOLD-BACK of EXT-X-SERVER-CONTROL: how far from the end live playback should begin.
    pub hold_back: Option<Duration>,
    /// In the order of the playlist.
    pub segments: Vec<Segment>,
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
    /// How the segment is encrypted, shared likewise; None: it is not.
    pub key: Option<Arc<Key>>,
    /// Wall clock at the segment's start, since 1970-01-01 UTC; counted on from the last
    /// EXT-X-PROGRAM-DATE-TIME up to the next discontinuity.
    pub program_date_time: Option<Duration>,
    /// EXT-X-GAP: there is no media, do not fetch.
    pub gap: bool,
    /// EXT-X-BITRATE in kbit/s, without container overhead.
    pub bitrate: Option<u64>,
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

/// EXT-X-KEY: RFC 8216bis 4.4.4.4. Where several key formats apply to a segment, this is the one
/// of format `identity`, since the others need a DRM system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub method: KeyMethod,
    /// Where the key is; None where URI is missing. Not always something to fetch (`skd:`, `data:`).
    pub uri: Option<Url>,
    /// None: the segment's media sequence number as a big-endian 128-bit integer.
    pub iv: Option<[u8; 16]>,
    /// KEYFORMAT; `identity` where it is missing.
    pub keyformat: String,
}

/// METHOD of a key; NONE is the absence of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMethod {
    /// Whole segments, AES-128 CBC with PKCS#7 padding.
    Aes128,
    SampleAes,
    SampleAesCtr,
    /// As written.
    Other(String),
}
