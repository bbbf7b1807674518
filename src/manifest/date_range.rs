// SPDX-License-Identifier: MPL-2.0

//! Spans of time that a playlist says something about: advertisements, chapters, splice points.

use std::time::Duration;

use url::Url;

/// EXT-X-DATERANGE: RFC 8216bis 4.4.5.1. Several tags of one ID are put together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DateRange {
    pub id: String,
    pub class: Option<String>,
    /// START-DATE, since 1970-01-01 UTC; None where it is missing or no date.
    pub start: Option<Duration>,
    /// END-DATE likewise.
    pub end: Option<Duration>,
    pub duration: Option<Duration>,
    pub planned_duration: Option<Duration>,
    pub cue: Cue,
    /// It lasts until the next range of its class starts.
    pub end_on_next: bool,
    /// SCTE35-CMD, a `splice_info_section`.
    pub scte35_cmd: Option<Vec<u8>>,
    /// SCTE35-OUT, likewise.
    pub scte35_out: Option<Vec<u8>>,
    /// SCTE35-IN, likewise.
    pub scte35_in: Option<Vec<u8>>,
    /// The attributes that begin with `X-`, as written but for quotes, in the order of the playlist.
    pub client_attributes: Vec<(String, String)>,
    /// What is to be played in its place: RFC 8216bis, appendix D.
    pub interstitial: Option<Interstitial>,
}

impl DateRange {
    /// The value of an attribute that begins with `X-`.
    pub fn client_attribute(&self, name: &str) -> Option<&str> {
        self.client_attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Where it ends, if that is known and does not depend on the range after it.
    pub fn known_end(&self) -> Option<Duration> {
        self.end.or_else(|| self.start?.checked_add(self.duration?))
    }
}

/// CUE: when what the range announces is to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cue {
    /// Before the presentation, wherever playback begins.
    pub pre: bool,
    /// After its end.
    pub post: bool,
    /// Not a second time.
    pub once: bool,
}

/// Other content that is to be played at the start of its date range.
#[derive(Clone, Debug, PartialEq)]
pub struct Interstitial {
    pub asset: Asset,
    /// X-RESUME-OFFSET in seconds from the interstitial's start; may be negative. None: live
    /// playback goes on at the same distance from the end, VOD where the interstitial has ended.
    pub resume_offset: Option<f64>,
    /// X-PLAYOUT-LIMIT: at most so much of it is played.
    pub playout_limit: Option<Duration>,
    /// X-RESTRICT has SKIP: it may not be left before its end.
    pub no_skip: bool,
    /// X-RESTRICT has JUMP: a seek may not go past it.
    pub no_jump: bool,
    /// X-SNAP has OUT: it starts at the nearest segment boundary.
    pub snap_out: bool,
    /// X-SNAP has IN: the presentation goes on at the nearest segment boundary.
    pub snap_in: bool,
    /// X-CONTENT-MAY-VARY is not NO: viewers may see different content.
    pub content_may_vary: bool,
    /// X-TIMELINE-OCCUPIES is RANGE: it takes its duration on the timeline, not a point.
    pub occupies_range: bool,
    /// X-TIMELINE-STYLE is PRIMARY: it is shown as part of the presentation.
    pub primary: bool,
}

/// Where the other content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asset {
    /// X-ASSET-URI: a multivariant playlist.
    Playlist(Url),
    /// X-ASSET-LIST: a JSON list of such.
    List(Url),
}
