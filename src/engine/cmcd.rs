// SPDX-License-Identifier: MPL-2.0

//! What a session has to say for [CMCD](crate::net::cmcd): which kind of object a track asks for, and what is played.

use sha1::{Digest as _, Sha1};

use super::tracks::{self, TrackKind};
use super::{Config, codecs};
use crate::manifest::{Presentation, Variant};
use crate::net::cmcd::Kind;

/// What the segments of a track hold; of a variant as far as the presentation tells.
pub fn kind_of(track: TrackKind, presentation: Option<&Presentation>, variant: Option<&Variant>) -> Kind {
    let (presentation, variant) = match (track, presentation, variant) {
        (TrackKind::Audio, ..) => return Kind::Audio,
        (TrackKind::Subtitles, ..) => return Kind::Caption,
        (TrackKind::Main, Some(presentation), Some(variant)) => (presentation, variant),
        (TrackKind::Main, ..) => return Kind::Muxed,
    };
    let alternatives = tracks::alternatives(presentation, variant, TrackKind::Audio);
    let is_apart = !alternatives.is_empty() && alternatives.iter().all(|rendition| rendition.url.is_some());
    match codecs::count(variant) {
        (1.., 0) => Kind::Audio,
        (0, 1..) => Kind::Video,
        _ if is_apart => Kind::Video,
        _ => Kind::Muxed,
    }
}

/// The same for all who watch the same: the swarm's name, or where that is long or not given a hash.
pub fn content_id(config: &Config) -> String {
    let mut url = config.location.clone();
    url.set_query(None);
    let name = config.swarm_id.as_deref().unwrap_or(url.as_str());
    if config.swarm_id.is_some() && name.len() <= 64 {
        return name.to_owned();
    }
    Sha1::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::manifest::{self, Manifest};

    #[test]
    fn a_variant_is_sound_or_picture_or_both() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"in\",NAME=\"a\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64001f,mp4a.40.2\"\n0\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"a\"\n1\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"mp4a.40.2\"\n2\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1\n3\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64001f\"\n4\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"in\"\n5\n";
        let url = Url::parse("http://h/m.m3u8").expect("a URL");
        let Ok(Manifest::Multivariant(presentation)) = manifest::parse(&url, text.as_bytes()) else {
            panic!()
        };
        let kind = |variant| kind_of(TrackKind::Main, Some(&presentation), Some(variant));
        let kinds: Vec<Kind> = presentation.variants.iter().map(kind).collect();
        let (both, picture) = (Kind::Muxed, Kind::Video);
        assert_eq!(kinds, [both, picture, Kind::Audio, both, picture, both]);
        assert_eq!(kind_of(TrackKind::Subtitles, None, None), Kind::Caption);
        assert_eq!(kind_of(TrackKind::Main, None, None), both);
    }
}
