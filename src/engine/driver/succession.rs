// SPDX-License-Identifier: MPL-2.0

//! Which variants can follow each other while downstream stays as it is.

use crate::engine::codecs::families;
use crate::manifest::Variant;

/// Whether one variant can follow another on the same pads: the same kinds of codecs, renditions in
/// the same roles.
pub(super) fn goes_with(one: &Variant, other: &Variant) -> bool {
    let same_codecs = match (&one.codecs, &other.codecs) {
        (Some(one), Some(other)) => families(one) == families(other),
        _ => true,
    };
    same_codecs
        && one.audio.is_some() == other.audio.is_some()
        && one.video.is_some() == other.video.is_some()
        && one.video_range == other.video_range
        && one.resolution.is_some() == other.resolution.is_some()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::manifest::{self, Manifest};

    #[test]
    fn only_what_fits_on_the_same_pads_follows() {
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1x1\na\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"mp4a.40.5, avc1.640028\",RESOLUTION=2x2\nb\n\
            #EXT-X-STREAM-INF:BANDWIDTH=3,CODECS=\"hvc1.1.6.L93,mp4a.40.2\",RESOLUTION=2x2\nc\n\
            #EXT-X-STREAM-INF:BANDWIDTH=4,CODECS=\"mp4a.40.2\"\nd\n\
            #EXT-X-STREAM-INF:BANDWIDTH=5,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1x1,AUDIO=\"a\"\ne\n";
        let base = Url::parse("http://h/").expect("a URL");
        let Ok(Manifest::Multivariant(presentation)) = manifest::parse(&base, text.as_bytes()) else {
            panic!("not multivariant")
        };
        let variants = &presentation.variants;
        let follows: Vec<bool> = variants.iter().map(|other| goes_with(&variants[0], other)).collect();
        assert_eq!(follows, [true, true, false, false, false]);
    }
}
