// SPDX-License-Identifier: MPL-2.0

//! Which viewers meet: from a stream's properties to the info hash under which the tracker knows its
//! swarm.
//!
//! Viewers share segments only within one quality of one stream, so each has a swarm of its own,
//! and all players must name it alike:
//!
//! ```text
//! property string = bitrate-codecs-width-height-language-channels-name-frame rate-video range
//! index           = base64(SHA-1(property string))
//! swarm string    = v2-<swarm id>-<main|secondary>-<index>
//! info hash       = the first 20 letters of base64(SHA-1(swarm string))
//! ```
//!
//! This is the derivation of p2p-media-loader. Its versions differ in how they write the properties,
//! see [`Scheme`]; how players fill them in is in [`hls`] and [`dash`].

pub mod dash;
pub mod hls;

mod normalise;

pub use dash::{NUMBER_SECONDS, segment_id as number_at};
pub use hls::{AudioAttributes, VariantAttributes, part_id, part_of_id};

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::format::Format;

/// How a version of p2p-media-loader names swarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Versions 2.3 to 4: properties are normalised first.
    #[default]
    V2,
    /// Version 5: properties as the manifest states them, and the bitrate only where it is needed, see
    /// [`hls::keep_needed_bitrates`]. Taken from its specification, not tried against a browser.
    V3,
}

/// Whether a stream is played on its own (video, muxed, audio-only variants) or along with one
/// (audio renditions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamType {
    Main,
    Secondary,
}

/// What tells the streams of one presentation apart. What is unknown stays at its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamProperties {
    /// Bits a second; 0 when unknown.
    pub bitrate: u64,
    /// RFC 6381 names joined with commas.
    pub codecs: String,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// BCP 47 tag.
    pub language: String,
    /// As HLS' CHANNELS has it: a count, perhaps with qualities after a slash.
    pub channels: String,
    pub name: String,
    /// Frames a second as the manifest writes them.
    pub frame_rate: String,
    /// SDR, HLG or PQ.
    pub video_range: String,
}

impl StreamProperties {
    /// The nine properties in one line, absent ones empty.
    pub fn to_text(&self, scheme: Scheme) -> String {
        let size = |pixels: Option<u32>| pixels.map(|n| n.to_string()).unwrap_or_default();
        let frame_rate = normalise::frame_rate(&self.frame_rate);
        let [codecs, language, channels, name, video_range] = match scheme {
            Scheme::V2 => [
                normalise::codecs(&self.codecs),
                normalise::language(&self.language),
                normalise::channels(&self.channels),
                normalise::name(&self.name),
                normalise::video_range(&self.video_range),
            ],
            Scheme::V3 => [&self.codecs, &self.language, &self.channels, &self.name, &self.video_range]
                .map(String::clone),
        };
        [
            self.bitrate.to_string(),
            codecs,
            size(self.width),
            size(self.height),
            language,
            channels,
            name,
            frame_rate,
            video_range,
        ]
        .join("-")
    }
}

/// The properties of a main stream, as players of manifests of this kind come by them.
pub fn main_properties(format: Format, scheme: Scheme, variant: &VariantAttributes<'_>) -> StreamProperties {
    match format {
        Format::Hls => hls::variant_properties(scheme, variant),
        Format::Dash => dash::video_properties(&dash::VideoAttributes {
            bandwidth: variant.bandwidth.unwrap_or(0),
            audio_bandwidth: 0,
            codecs: variant.codecs,
            width: variant.resolution.map(|(width, _)| width),
            height: variant.resolution.map(|(_, height)| height),
            frame_rate: variant.frame_rate,
            video_range: variant.video_range,
        }),
    }
}

/// The properties of an audio rendition's secondary stream, likewise.
pub fn secondary_properties(format: Format, scheme: Scheme, audio: &AudioAttributes<'_>) -> StreamProperties {
    match format {
        Format::Hls => hls::audio_properties(scheme, audio),
        Format::Dash => dash::audio_properties(&dash::AudioAttributes {
            codecs: audio.variant_codecs,
            language: audio.language,
            channels: audio.channels.parse().ok(),
            label: audio.name,
            id: "",
        }),
    }
}

/// The stream's place in the swarm string: 28 characters of base64.
pub fn stream_index(scheme: Scheme, properties: &StreamProperties) -> String {
    base64_sha1(&properties.to_text(scheme))
}

/// The text that names one stream's swarm in all the world.
pub fn swarm_string(
    scheme: Scheme,
    swarm_id: &str,
    stream_type: StreamType,
    properties: &StreamProperties,
) -> String {
    let version = match scheme {
        Scheme::V2 => "v2",
        Scheme::V3 => "v3",
    };
    let stream_type = match stream_type {
        StreamType::Main => "main",
        StreamType::Secondary => "secondary",
    };
    format!("{version}-{swarm_id}-{stream_type}-{}", stream_index(scheme, properties))
}

/// The info hash of a swarm string: 20 ASCII characters, among them perhaps `+` and `/`.
pub fn info_hash(swarm_string: &str) -> [u8; 20] {
    let text = base64_sha1(swarm_string);
    let mut hash = [0; 20];
    // The 28 characters of 20 bytes; the first 20 stand for the first 15 bytes.
    hash.copy_from_slice(&text.as_bytes()[..20]);
    hash
}

/// The swarm id where none is set: the manifest's URL up to the query or fragment, which often carries a token of
/// this viewer alone.
///
/// [`Scheme::V2`] takes the URL after redirects, [`Scheme::V3`] the one that was asked for.
pub fn default_swarm_id(playlist_url: &str) -> &str {
    playlist_url.split_once(['?', '#']).map_or(playlist_url, |(id, _)| id)
}

fn base64_sha1(text: &str) -> String {
    STANDARD.encode(Sha1::digest(text.as_bytes()))
}
