// SPDX-License-Identifier: MPL-2.0

//! Multivariant playlists: RFC 8216bis 4.4.6. A variant or rendition whose address makes no URL is
//! left out, since the others still play.

use std::sync::Arc;

use url::Url;

use super::addresses::Addresses;
use super::attributes::Attributes;
use super::lexer::Tag;
use super::{keys, media, values};
use crate::manifest::{
    ContentSteering, Presentation, Rendition, RenditionKind, Resolution, SessionContent, SessionData, Variant,
};

pub(super) struct Reader<'a> {
    addresses: Addresses<'a>,
    presentation: Presentation,
    /// The last EXT-X-STREAM-INF, whose URI has not come yet; one URI without is a stray line.
    stream: Option<Variant>,
}

impl<'a> Reader<'a> {
    pub fn new(base: &'a Url) -> Self {
        Self { addresses: Addresses::new(base), presentation: Presentation::new(base.clone()), stream: None }
    }

    pub fn tag(&mut self, tag: Tag, line: usize) {
        let attributes = || Attributes::parse(tag.value);
        let presentation = &mut self.presentation;
        match tag.name {
            "EXT-X-STREAM-INF" => self.stream = Some(variant(self.addresses.base.clone(), &attributes())),
            "EXT-X-I-FRAME-STREAM-INF" => {
                let attributes = attributes();
                let url = attributes.url("URI", &self.addresses);
                presentation.i_frame_variants.extend(url.map(|url| variant(url, &attributes)));
            }
            "EXT-X-MEDIA" => presentation.renditions.extend(rendition(&self.addresses, &attributes())),
            "EXT-X-SESSION-DATA" => {
                presentation.session_data.extend(session_data(&self.addresses, &attributes()))
            }
            "EXT-X-SESSION-KEY" => {
                // What is only told early may be wrong: the media playlists say it again.
                let key = keys::key(&self.addresses, &attributes(), line).ok().flatten();
                presentation.session_keys.extend(key.map(Arc::new));
            }
            "EXT-X-CONTENT-STEERING" => {
                let attributes = attributes();
                let server_url = attributes.url("SERVER-URI", &self.addresses);
                presentation.steering = server_url.map(|server_url| ContentSteering {
                    server_url,
                    pathway_id: attributes.owned("PATHWAY-ID"),
                    before_start: false,
                });
            }
            "EXT-X-INDEPENDENT-SEGMENTS" => presentation.independent_segments = true,
            "EXT-X-START" => presentation.start_offset = media::start_offset(&attributes()),
            _ => {}
        }
    }

    pub fn uri(&mut self, uri: &str) {
        if let (Some(stream), Some(url)) = (self.stream.take(), self.addresses.optional(uri)) {
            self.presentation.variants.push(Variant { url, ..stream });
        }
    }

    pub fn finish(self) -> Presentation {
        self.presentation
    }
}

fn variant(url: Url, attributes: &Attributes) -> Variant {
    let unless_none = |name| attributes.owned(name).filter(|value| value != "NONE");
    let closed_captions = attributes.get("CLOSED-CAPTIONS");
    Variant {
        url,
        bandwidth: attributes.unsigned("BANDWIDTH").unwrap_or(0),
        average_bandwidth: attributes.unsigned("AVERAGE-BANDWIDTH"),
        swarm_bandwidth: None,
        score: attributes.get("SCORE").and_then(values::decimal).filter(|score| *score >= 0.0),
        codecs: attributes.owned("CODECS"),
        supplemental_codecs: attributes.owned("SUPPLEMENTAL-CODECS"),
        resolution: attributes.get("RESOLUTION").and_then(resolution),
        frame_rate: attributes.owned("FRAME-RATE"),
        video_range: attributes.owned("VIDEO-RANGE"),
        hdcp_level: unless_none("HDCP-LEVEL"),
        allowed_cpc: attributes.owned("ALLOWED-CPC"),
        required_layout: attributes.owned("REQ-VIDEO-LAYOUT"),
        name: attributes.owned("NAME"),
        stable_id: attributes.owned("STABLE-VARIANT-ID"),
        pathway_id: attributes.owned("PATHWAY-ID"),
        audio: attributes.owned("AUDIO"),
        video: attributes.owned("VIDEO"),
        subtitles: attributes.owned("SUBTITLES"),
        closed_captions: unless_none("CLOSED-CAPTIONS"),
        no_closed_captions: closed_captions == Some("NONE"),
    }
}

fn resolution(text: &str) -> Option<Resolution> {
    let (width, height) = text.split_once(['x', 'X'])?;
    let pixels = |text| values::unsigned(text)?.try_into().ok();
    Some(Resolution { width: pixels(width)?, height: pixels(height)? })
}

fn rendition(addresses: &Addresses, attributes: &Attributes) -> Option<Rendition> {
    let kind = match attributes.get("TYPE")? {
        "AUDIO" => RenditionKind::Audio,
        "VIDEO" => RenditionKind::Video,
        "SUBTITLES" => RenditionKind::Subtitles,
        "CLOSED-CAPTIONS" => RenditionKind::ClosedCaptions,
        _ => return None,
    };
    let url = match attributes.get("URI") {
        Some(uri) => Some(addresses.optional(uri)?),
        None => None,
    };
    let default = attributes.yes("DEFAULT");
    Some(Rendition {
        kind,
        group_id: attributes.owned("GROUP-ID")?,
        name: attributes.owned("NAME").unwrap_or_default(),
        swarm_name: None,
        codecs: None,
        language: attributes.owned("LANGUAGE"),
        assoc_language: attributes.owned("ASSOC-LANGUAGE"),
        characteristics: attributes.owned("CHARACTERISTICS"),
        channels: attributes.owned("CHANNELS"),
        bit_depth: attributes.unsigned("BIT-DEPTH"),
        sample_rate: attributes.unsigned("SAMPLE-RATE"),
        instream_id: attributes.owned("INSTREAM-ID"),
        stable_id: attributes.owned("STABLE-RENDITION-ID"),
        url,
        default,
        // A default rendition is one that may be chosen without asking: RFC 8216bis 4.4.6.1.
        autoselect: default || attributes.yes("AUTOSELECT"),
        forced: attributes.yes("FORCED"),
    })
}

fn session_data(addresses: &Addresses, attributes: &Attributes) -> Option<SessionData> {
    let content = match (attributes.owned("VALUE"), attributes.url("URI", addresses)) {
        (Some(value), _) => SessionContent::Value(value),
        (None, Some(url)) if attributes.get("FORMAT") == Some("RAW") => SessionContent::Raw(url),
        (None, Some(url)) => SessionContent::Json(url),
        (None, None) => return None,
    };
    Some(SessionData { id: attributes.owned("DATA-ID")?, content, language: attributes.owned("LANGUAGE") })
}
