// SPDX-License-Identifier: MPL-2.0

//! What an MPD says, typed, with everything inherited put in its place: ISO/IEC 23009-1 5.3.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::descriptors::{Descriptor, Label};
use super::events::EventStream;
use super::protection::ContentProtection;
use super::segments::Addressing;
use super::timing::UtcTiming;
use super::values::Nanos;

/// A manifest as it was at one load.
#[derive(Clone, Debug, PartialEq)]
pub struct Mpd {
    /// Where it came from; relative addresses have been resolved against it.
    pub url: Url,
    pub id: Option<String>,
    /// The profiles as written.
    pub profiles: String,
    /// MPD@type is `dynamic`: segments become available by the clock, or the MPD may change.
    pub dynamic: bool,
    /// Since 1970-01-01 UTC, like all dates; that where it is missing.
    pub availability_start: Duration,
    /// When the last segment stops to be available.
    pub availability_end: Option<Duration>,
    pub publish_time: Option<Duration>,
    /// The text of MPD@publishTime, which patches name.
    pub publish_time_text: Option<String>,
    /// MPD@mediaPresentationDuration.
    pub duration: Option<Duration>,
    /// How long the MPD holds at least; None: it will not change, or an event in the media says so.
    pub minimum_update_period: Option<Duration>,
    pub min_buffer_time: Option<Duration>,
    /// How long segments stay available; None: for ever.
    pub time_shift_buffer_depth: Option<Duration>,
    /// How far behind the live edge playback should be.
    pub suggested_presentation_delay: Option<Duration>,
    pub max_segment_duration: Option<Duration>,
    /// Where the MPD is to be loaded from next time; the first is as good as the others.
    pub locations: Vec<Location>,
    pub patch_locations: Vec<PatchLocation>,
    /// Ways to the publisher's clock, the best first.
    pub utc_timings: Vec<UtcTiming>,
    pub service_descriptions: Vec<ServiceDescription>,
    pub steering: Option<Steering>,
    pub essential_properties: Vec<Descriptor>,
    pub supplemental_properties: Vec<Descriptor>,
    /// In the order of the presentation.
    pub periods: Vec<Period>,
}

/// Location: ISO/IEC 23009-1 5.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub url: Url,
    pub service_location: Option<String>,
}

/// PatchLocation: 5.15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchLocation {
    pub url: Url,
    pub service_location: Option<String>,
    /// For how long after MPD@publishTime the patch can be had; None: for ever.
    pub ttl: Option<Duration>,
}

/// A span of the presentation with its own choice of tracks: 5.3.2.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// Its place in the MPD, which stands for it in messages where it has no id.
    pub index: usize,
    pub id: Option<String>,
    /// Nanoseconds from the start of the presentation. None: it is announced, but not placed yet
    /// (an early available period).
    pub start: Option<Nanos>,
    /// Likewise; None: it goes on until further notice.
    pub end: Option<Nanos>,
    /// Period@duration, which is all that is known of one that is not placed.
    pub duration: Option<Nanos>,
    /// Its content stands elsewhere, see [`Document::links`](super::Document::links).
    pub remote: bool,
    pub asset_identifier: Option<Descriptor>,
    pub event_streams: Vec<EventStream>,
    pub essential_properties: Vec<Descriptor>,
    pub supplemental_properties: Vec<Descriptor>,
    pub adaptation_sets: Vec<AdaptationSet>,
    /// Subset@contains: combinations of sets that are meant to be played together.
    pub subsets: Vec<Vec<u64>>,
    pub preselections: Vec<Preselection>,
}

impl Period {
    /// How long it is, as far as that is known.
    pub fn length(&self) -> Option<Nanos> {
        match (self.start, self.end) {
            (Some(start), Some(end)) => Some(end.saturating_sub(start)),
            (Some(_), None) => None,
            (None, _) => self.duration,
        }
    }

    /// For messages: its id, or its place.
    pub fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("#{}", self.index))
    }
}

/// A bundle of sets that make one experience, such as a main and a dialogue track: 5.3.11.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preselection {
    pub id: Option<String>,
    /// AdaptationSet@id of its parts, the main one first.
    pub components: Vec<u64>,
    pub language: Option<String>,
    pub codecs: Option<String>,
    pub roles: Vec<Descriptor>,
    pub labels: Vec<Label>,
}

/// Representations of one thing: 5.3.3.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptationSet {
    pub id: Option<u64>,
    pub group: Option<u64>,
    pub kind: Kind,
    /// @contentType as written.
    pub content_type: Option<String>,
    pub language: Option<String>,
    pub labels: Vec<Label>,
    pub roles: Vec<Descriptor>,
    pub accessibility: Vec<Descriptor>,
    pub ratings: Vec<Descriptor>,
    pub viewpoints: Vec<Descriptor>,
    pub essential_properties: Vec<Descriptor>,
    pub supplemental_properties: Vec<Descriptor>,
    /// The higher, the more the publisher would have it chosen.
    pub selection_priority: Option<u64>,
    pub purpose: Purpose,
    /// AdaptationSet@id of sets among which players may switch as within this one (5.3.3.5).
    pub switchable_with: Vec<u64>,
    pub segment_alignment: bool,
    /// As written in the set; a representation has those of its own too.
    pub protections: Vec<ContentProtection>,
    /// Events within the segments.
    pub inband_events: Vec<EventStream>,
    pub producer_reference_times: Vec<ProducerReferenceTime>,
    pub representations: Vec<Representation>,
}

impl AdaptationSet {
    /// Whether a role of `urn:mpeg:dash:role:2011` is `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles
            .iter()
            .any(|r| r.scheme.eq_ignore_ascii_case(ROLE_SCHEME) && r.value.as_deref() == Some(role))
    }
}

/// Scheme of roles: 5.8.5.5.
pub(super) const ROLE_SCHEME: &str = "urn:mpeg:dash:role:2011";

/// What kind of media a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Video,
    Audio,
    /// Subtitles and captions: WebVTT or TTML, as files or in MP4.
    Text,
    Image,
    /// Anything else, such as application data.
    Other,
}

/// What a set is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Ordinary playback.
    Play,
    /// Few frames, for playback at other speeds: `http://dashif.org/guidelines/trickmode`, with
    /// AdaptationSet@id of the sets that it stands for.
    TrickMode(Vec<u64>),
    /// Pictures for the seek bar, in rows and columns of one image.
    Thumbnails { columns: u32, rows: u32 },
    /// An EssentialProperty that is not known: the standard wants the set to be left alone.
    Unknown(Descriptor),
}

/// One quality of a set: 5.3.5.
#[derive(Clone, Debug, PartialEq)]
pub struct Representation {
    pub id: Arc<str>,
    /// Bits a second; 0 where it is missing.
    pub bandwidth: u64,
    pub mime_type: Option<Arc<str>>,
    /// As written.
    pub codecs: Option<Arc<str>>,
    pub supplemental_codecs: Option<Arc<str>>,
    pub container_profiles: Option<Arc<str>>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// As written.
    pub frame_rate: Option<Arc<str>>,
    pub sar: Option<Arc<str>>,
    pub scan_type: Option<Arc<str>>,
    /// Hz.
    pub audio_sampling_rate: Option<u64>,
    pub audio_channels: Arc<[Descriptor]>,
    /// The lower, the better it looks.
    pub quality_ranking: Option<u64>,
    /// Ids of representations of the same period that this one cannot be decoded without.
    pub dependencies: Vec<String>,
    pub essential_properties: Vec<Descriptor>,
    pub supplemental_properties: Vec<Descriptor>,
    /// Those of its own; its set's come on top, see [`Self::all_protections`].
    pub protections: Vec<ContentProtection>,
    pub inband_events: Vec<EventStream>,
    /// Where playback can begin within segments.
    pub resyncs: Vec<Resync>,
    /// SegmentSequenceProperties: of segments in parts, every how manieth part begins with a key frame, from the first
    /// on; at least 1. None: it does not say, and all are taken to.
    pub cadence: Option<u64>,
    pub producer_reference_times: Vec<ProducerReferenceTime>,
    pub sub_representations: Vec<SubRepresentation>,
    /// Where its segments are, in the order of the MPD; at least one.
    pub bases: Arc<[Base]>,
    pub addressing: Addressing,
    /// What is to be added to the addresses of its media: Annex I.
    pub query: Option<Arc<str>>,
}

impl Representation {
    /// Its own protections, then those of `set`, which it is in.
    pub fn all_protections<'a>(
        &'a self,
        set: &'a AdaptationSet,
    ) -> impl Iterator<Item = &'a ContentProtection> {
        self.protections.iter().chain(&set.protections)
    }
}

/// BaseURL with those above it put in: 5.6.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    pub url: Url,
    /// Which CDN it is; what content steering calls a pathway.
    pub service_location: Option<String>,
    /// The lower, the better (DVB-DASH 10.8.2.1); 1 where it is missing.
    pub priority: u64,
    /// Share of the players that should choose it among those of its priority; 1 where missing.
    pub weight: u64,
    /// Segments can be asked for so much before they are whole.
    pub availability_offset: Offset,
    /// See [`Timing::complete`](super::segments::Timing).
    pub availability_complete: Option<bool>,
    pub time_shift_buffer_depth: Option<Duration>,
}

/// How much earlier than at its end a segment is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offset {
    #[default]
    None,
    By(Nanos),
    /// `INF`: the content is there already.
    Always,
}

impl Offset {
    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::None, other) | (other, Self::None) => other,
            (Self::By(a), Self::By(b)) => Self::By(a.saturating_add(b)),
        }
    }
}

/// SubRepresentation: 5.3.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubRepresentation {
    pub level: Option<u64>,
    pub bandwidth: Option<u64>,
    pub codecs: Option<String>,
    pub content_components: Vec<String>,
}

/// Resync: 5.3.13.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resync {
    /// Type of stream access point.
    pub kind: u64,
    /// The longest between two points, in seconds of the representation's timescale.
    pub max_interval: Option<Nanos>,
    /// The longest between two points, in units of the bandwidth.
    pub max_size: Option<f64>,
    pub marker: bool,
}

/// ProducerReferenceTime: 5.12.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerReferenceTime {
    pub id: Option<String>,
    /// `encoder`, `captured` or `application`.
    pub kind: String,
    /// As written: a date, or seconds since 1900 with NTP.
    pub wall_clock: String,
    /// In ticks of the representation.
    pub presentation_time: i64,
    /// The segments have `prft` boxes.
    pub inband: bool,
}

/// ServiceDescription, Annex K.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceDescription {
    pub id: Option<String>,
    /// Clients for which it is meant; empty: all.
    pub scopes: Vec<Descriptor>,
    pub latency: Option<Latency>,
    pub playback_rate: Option<PlaybackRate>,
    pub steering: Option<Steering>,
}

/// How far behind the producer playback should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// ProducerReferenceTime@id that it is measured against.
    pub reference: Option<String>,
    pub target: Option<Duration>,
    pub min: Option<Duration>,
    pub max: Option<Duration>,
}

/// The speeds between which a player may catch up and fall back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaybackRate {
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// ContentSteering: ETSI TS 103 998. The steering manifest is read by
/// [`SteeringManifest`](crate::manifest::SteeringManifest).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steering {
    pub server_url: Url,
    /// The service locations to begin with, the best first.
    pub default_locations: Vec<String>,
    /// To be asked before the first segment.
    pub query_before_start: bool,
}
