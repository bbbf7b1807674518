// SPDX-License-Identifier: MPL-2.0

//! Multivariant playlists: RFC 8216bis 4.4.6.

use url::Url;

use super::attributes::Attributes;
use super::lexer::Entry;
use super::{Variables, media, values};
use crate::manifest::{Presentation, Rendition, RenditionKind, Resolution, Variant};

/// Reads what is offered. A variant or rendition whose address makes no URL is left out, since the
/// others still play.
pub(super) fn read(base: &Url, entries: &[Entry]) -> Presentation {
    let mut presentation = Presentation {
        url: base.clone(),
        variants: Vec::new(),
        renditions: Vec::new(),
        start_offset: None,
        variables: Variables::new(),
    };
    for entry in entries {
        // The URI belongs to the last EXT-X-STREAM-INF before it; one without is a stray line.
        let mut stream = None;
        for tag in &entry.tags {
            let attributes = || Attributes::parse(tag.value());
            match tag.name() {
                "EXT-X-STREAM-INF" => stream = Some(attributes()),
                "EXT-X-MEDIA" => presentation.renditions.extend(rendition(base, &attributes())),
                "EXT-X-START" => presentation.start_offset = media::start_offset(&attributes()),
                _ => {}
            }
        }
        if let (Some(stream), Some(uri)) = (stream, &entry.uri) {
            presentation.variants.extend(base.join(uri).ok().map(|url| variant(url, &stream)));
        }
    }
    presentation
}

fn variant(url: Url, attributes: &Attributes) -> Variant {
    let number = |name| attributes.get(name).and_then(values::unsigned);
    Variant {
        url,
        bandwidth: number("BANDWIDTH").unwrap_or(0),
        average_bandwidth: number("AVERAGE-BANDWIDTH"),
        codecs: attributes.owned("CODECS"),
        resolution: attributes.get("RESOLUTION").and_then(resolution),
        frame_rate: attributes.owned("FRAME-RATE"),
        video_range: attributes.owned("VIDEO-RANGE"),
        name: attributes.owned("NAME"),
        audio: attributes.owned("AUDIO"),
        video: attributes.owned("VIDEO"),
        subtitles: attributes.owned("SUBTITLES"),
        closed_captions: attributes.owned("CLOSED-CAPTIONS").filter(|group| group != "NONE"),
    }
}

fn resolution(text: &str) -> Option<Resolution> {
    let (width, height) = text.split_once(['x', 'X'])?;
    let pixels = |text| values::unsigned(text)?.try_into().ok();
    Some(Resolution { width: pixels(width)?, height: pixels(height)? })
}

fn rendition(base: &Url, attributes: &Attributes) -> Option<Rendition> {
    let kind = match attributes.get("TYPE")? {
        "AUDIO" => RenditionKind::Audio,
        "VIDEO" => RenditionKind::Video,
        "SUBTITLES" => RenditionKind::Subtitles,
        "CLOSED-CAPTIONS" => RenditionKind::ClosedCaptions,
        _ => return None,
    };
    let url = match attributes.get("URI") {
        Some(uri) => Some(base.join(uri).ok()?),
        None => None,
    };
    let default = attributes.yes("DEFAULT");
    Some(Rendition {
        kind,
        group_id: attributes.owned("GROUP-ID")?,
        name: attributes.owned("NAME").unwrap_or_default(),
        language: attributes.owned("LANGUAGE"),
        channels: attributes.owned("CHANNELS"),
        url,
        default,
        // A default rendition is one that may be chosen without asking: RFC 8216bis 4.4.6.1.
        autoselect: default || attributes.yes("AUTOSELECT"),
        forced: attributes.yes("FORCED"),
    })
}
