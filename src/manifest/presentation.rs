// SPDX-License-Identifier: MPL-2.0

//! What a multivariant playlist offers: variants, and the renditions that go with them.
//!
//! Attributes that name a swarm (see the swarm room's identities) are kept as written, because
//! every viewer must hash the same text.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use url::Url;

use super::{Key, StartOffset, Variables};
use crate::format::Format;

/// The choice that a multivariant playlist gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Presentation {
    /// Where the playlist came from; relative addresses have been resolved against it.
    pub url: Url,
    /// Of the manifest; names of swarms depend on it.
    pub format: Format,
    /// In the order of the playlist; those of key frames alone are not among them.
    pub variants: Vec<Variant>,
    /// EXT-X-I-FRAME-STREAM-INF: the key frames alone, for playback at other speeds.
    pub i_frame_variants: Vec<Variant>,
    /// In the order of the playlist.
    pub renditions: Vec<Rendition>,
    /// EXT-X-INDEPENDENT-SEGMENTS: each segment of each media playlist can be decoded by itself.
    pub independent_segments: bool,
    /// Where playback should begin, if the publisher says so.
    pub start_offset: Option<StartOffset>,
    /// EXT-X-SESSION-DATA, in the order of the playlist.
    pub session_data: Vec<SessionData>,
    /// EXT-X-SESSION-KEY: keys of the media playlists, told early so that they can be loaded early.
    pub session_keys: Vec<Arc<Key>>,
    /// EXT-X-CONTENT-STEERING.
    pub steering: Option<ContentSteering>,
    /// What EXT-X-DEFINE defines; media playlists may import it.
    pub variables: Variables,
}

impl Presentation {
    /// A presentation that offers nothing.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            format: Format::default(),
            variants: Vec::new(),
            i_frame_variants: Vec::new(),
            renditions: Vec::new(),
            independent_segments: false,
            start_offset: None,
            session_data: Vec::new(),
            session_keys: Vec::new(),
            steering: None,
            variables: Variables::new(),
        }
    }

    /// Takes what a newer manifest offers. Variants keep their places: those that are known are described anew, others
    /// come behind them. Gives the places of those that are not offered any more.
    pub fn take_up(&mut self, newer: Self) -> BTreeSet<usize> {
        let known = self.variants.iter().enumerate();
        let known: HashMap<Url, usize> = known.map(|(place, variant)| (variant.url.clone(), place)).collect();
        let mut gone: BTreeSet<usize> = (0..self.variants.len()).collect();
        for variant in newer.variants {
            match known.get(&variant.url) {
                Some(place) => {
                    gone.remove(place);
                    self.variants[*place] = variant;
                }
                None => self.variants.push(variant),
            }
        }
        let groups: HashSet<(RenditionKind, &str)> =
            newer.renditions.iter().map(|new| (new.kind, new.group_id.as_str())).collect();
        // Those of variants that are gone may still be played.
        self.renditions.retain(|known| !groups.contains(&(known.kind, known.group_id.as_str())));
        self.renditions.extend(newer.renditions);
        self.i_frame_variants = newer.i_frame_variants;
        gone
    }

    /// The renditions of `kind` in the group that `variant` names, in the order of the playlist.
    pub fn renditions_of<'a>(
        &'a self,
        variant: &Variant,
        kind: RenditionKind,
    ) -> impl Iterator<Item = &'a Rendition> {
        let group = variant.group(kind).map(str::to_owned);
        self.renditions.iter().filter(move |r| r.kind == kind && Some(&r.group_id) == group.as_ref())
    }

    /// The first variant that names the rendition's group: its CODECS tell those of the rendition,
    /// which has none of its own.
    pub fn variant_of(&self, rendition: &Rendition) -> Option<&Variant> {
        self.variants.iter().find(|v| v.group(rendition.kind) == Some(rendition.group_id.as_str()))
    }
}

/// One EXT-X-STREAM-INF or EXT-X-I-FRAME-STREAM-INF: RFC 8216bis 4.4.6.2 and 4.4.6.3.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The media playlist.
    pub url: Url,
    /// BANDWIDTH, the peak, in bits a second; 0 where it is missing.
    pub bandwidth: u64,
    /// AVERAGE-BANDWIDTH in bits a second.
    pub average_bandwidth: Option<u64>,
    /// What browsers take for its bitrate when they name its swarm, where that is not `bandwidth`.
    pub swarm_bandwidth: Option<u64>,
    /// SCORE: of variants that can be played, the publisher prefers the highest. None where it is
    /// missing or negative.
    pub score: Option<f64>,
    /// CODECS as written.
    pub codecs: Option<String>,
    /// SUPPLEMENTAL-CODECS as written: `codec/brand` each.
    pub supplemental_codecs: Option<String>,
    pub resolution: Option<Resolution>,
    /// FRAME-RATE as written.
    pub frame_rate: Option<String>,
    /// VIDEO-RANGE as written.
    pub video_range: Option<String>,
    /// HDCP-LEVEL as written; None also where the playlist says NONE.
    pub hdcp_level: Option<String>,
    /// ALLOWED-CPC as written.
    pub allowed_cpc: Option<String>,
    /// REQ-VIDEO-LAYOUT as written.
    pub required_layout: Option<String>,
    /// NAME as written; not in the RFC, but in use.
    pub name: Option<String>,
    /// STABLE-VARIANT-ID: stays when addresses change.
    pub stable_id: Option<String>,
    /// PATHWAY-ID as written; `.` is meant where it is missing.
    pub pathway_id: Option<String>,
    /// Group of audio renditions.
    pub audio: Option<String>,
    /// Group of video renditions.
    pub video: Option<String>,
    /// Group of subtitle renditions.
    pub subtitles: Option<String>,
    /// Group of closed captions; None also where the playlist says NONE.
    pub closed_captions: Option<String>,
    /// CLOSED-CAPTIONS is NONE: there are none in the video, so nobody need look for them.
    pub no_closed_captions: bool,
}

impl Variant {
    /// The group that the variant names for `kind` of renditions.
    pub fn group(&self, kind: RenditionKind) -> Option<&str> {
        match kind {
            RenditionKind::Audio => self.audio.as_deref(),
            RenditionKind::Video => self.video.as_deref(),
            RenditionKind::Subtitles => self.subtitles.as_deref(),
            RenditionKind::ClosedCaptions => self.closed_captions.as_deref(),
        }
    }

    /// PATHWAY-ID with its default.
    pub fn pathway(&self) -> &str {
        self.pathway_id.as_deref().unwrap_or(DEFAULT_PATHWAY)
    }

    /// FRAME-RATE as a number of frames a second.
    pub fn frames_per_second(&self) -> Option<f64> {
        self.frame_rate.as_deref()?.trim().parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
    }
}

/// The pathway of variants that name none: RFC 8216bis 4.4.6.2.
const DEFAULT_PATHWAY: &str = ".";

/// RESOLUTION in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub width: u32,
    pub height: u32,
}

/// TYPE of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenditionKind {
    Audio,
    Video,
    Subtitles,
    ClosedCaptions,
}

/// One EXT-X-MEDIA: RFC 8216bis 4.4.6.1.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendition {
    pub kind: RenditionKind,
    pub group_id: String,
    /// NAME as written; empty where it is missing.
    pub name: String,
    /// What browsers call it when they name its swarm, where that is not `name`.
    pub swarm_name: Option<String>,
    /// Its own codecs; those of HLS stand in the variants that name its group.
    pub codecs: Option<String>,
    /// LANGUAGE as written.
    pub language: Option<String>,
    /// ASSOC-LANGUAGE as written: another language in another role, such as written instead of
    /// spoken.
    pub assoc_language: Option<String>,
    /// CHARACTERISTICS as written, separated by commas.
    pub characteristics: Option<String>,
    /// CHANNELS as written.
    pub channels: Option<String>,
    /// BIT-DEPTH in bits a sample.
    pub bit_depth: Option<u64>,
    /// SAMPLE-RATE in Hz.
    pub sample_rate: Option<u64>,
    /// INSTREAM-ID as written: the service within the video that closed captions are in.
    pub instream_id: Option<String>,
    /// STABLE-RENDITION-ID: stays when addresses change.
    pub stable_id: Option<String>,
    /// The media playlist. None: the rendition is in the variant's own segments.
    pub url: Option<Url>,
    pub default: bool,
    pub autoselect: bool,
    pub forced: bool,
}

impl Rendition {
    /// The number of channels, which CHANNELS begins with.
    pub fn channel_count(&self) -> Option<u32> {
        self.channels.as_deref()?.split('/').next()?.trim().parse().ok()
    }

    /// Whether CHARACTERISTICS has `characteristic`, such as `public.accessibility.describes-video`.
    pub fn has_characteristic(&self, characteristic: &str) -> bool {
        let mut all = self.characteristics.iter().flat_map(|all| all.split(','));
        all.any(|one| one.trim() == characteristic)
    }
}

/// EXT-X-SESSION-DATA: RFC 8216bis 4.4.6.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionData {
    pub id: String,
    pub content: SessionContent,
    /// LANGUAGE as written.
    pub language: Option<String>,
}

/// What session data says, or where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionContent {
    Value(String),
    /// FORMAT is JSON or missing.
    Json(Url),
    /// FORMAT is RAW: any bytes.
    Raw(Url),
}

/// EXT-X-CONTENT-STEERING: RFC 8216bis 4.4.6.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentSteering {
    /// Where the steering manifest is; may be a `data:` URL.
    pub server_url: Url,
    /// The pathway to begin with; None: that of the first variant.
    pub pathway_id: Option<String>,
    /// It is to be asked before playback begins (queryBeforeStart of DASH).
    pub before_start: bool,
}
