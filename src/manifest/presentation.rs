// SPDX-License-Identifier: MPL-2.0

//! What a multivariant playlist offers: variants, and the renditions that go with them.
//!
//! Attributes that name a swarm (see the swarm room's identities) are kept as written, because
//! every viewer must hash the same text.

use url::Url;

use super::{StartOffset, Variables};

/// The choice that a multivariant playlist gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Presentation {
    /// Where the playlist came from; relative addresses have been resolved against it.
    pub url: Url,
    /// In the order of the playlist; I-frame variants are left out.
    pub variants: Vec<Variant>,
    /// In the order of the playlist.
    pub renditions: Vec<Rendition>,
    /// Where playback should begin, if the publisher says so.
    pub start_offset: Option<StartOffset>,
    /// What EXT-X-DEFINE defines; media playlists may import it.
    pub variables: Variables,
}

impl Presentation {
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

/// One EXT-X-STREAM-INF: RFC 8216bis 4.4.6.2.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The media playlist.
    pub url: Url,
    /// BANDWIDTH, the peak, in bits a second; 0 where it is missing.
    pub bandwidth: u64,
    /// AVERAGE-BANDWIDTH in bits a second.
    pub average_bandwidth: Option<u64>,
    /// CODECS as written.
    pub codecs: Option<String>,
    pub resolution: Option<Resolution>,
    /// FRAME-RATE as written.
    pub frame_rate: Option<String>,
    /// VIDEO-RANGE as written.
    pub video_range: Option<String>,
    /// NAME as written; not in the RFC, but in use.
    pub name: Option<String>,
    /// Group of audio renditions.
    pub audio: Option<String>,
    /// Group of video renditions.
    pub video: Option<String>,
    /// Group of subtitle renditions.
    pub subtitles: Option<String>,
    /// Group of closed captions; None also where the playlist says NONE.
    pub closed_captions: Option<String>,
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

    /// FRAME-RATE as a number of frames a second.
    pub fn frames_per_second(&self) -> Option<f64> {
        self.frame_rate.as_deref()?.trim().parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
    }
}

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
    /// LANGUAGE as written.
    pub language: Option<String>,
    /// CHANNELS as written.
    pub channels: Option<String>,
    /// The media playlist. None: the rendition is in the variant's own segments.
    pub url: Option<Url>,
    pub default: bool,
    pub autoselect: bool,
    pub forced: bool,
}
