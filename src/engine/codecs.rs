// SPDX-License-Identifier: MPL-2.0

//! What the names of codecs in a manifest (RFC 6381, section 3) stand for, as far as playback has to know.

use std::collections::BTreeSet;

use crate::manifest::Variant;

/// What of `codecs`, a list with commas, one decoder takes has one name. Those that are not known stand for themselves.
pub fn families(codecs: &str) -> BTreeSet<&str> {
    codecs.split(',').map(family).collect()
}

fn family(codec: &str) -> &str {
    match name(codec) {
        "avc1" | "avc3" => "avc",
        "hvc1" | "hev1" | "dvh1" | "dvhe" => "hevc",
        "av01" => "av1",
        "vp08" | "vp8" => "vp8",
        "vp09" | "vp9" => "vp9",
        "opus" | "Opus" => "opus",
        "flac" | "fLaC" => "flac",
        "vorb" => "vorbis",
        "mp4a" => "aac",
        "ac-3" | "ec-3" => "ac3",
        other => other,
    }
}

/// Without what says how it is used.
fn name(codec: &str) -> &str {
    let codec = codec.trim();
    codec.get(..4).unwrap_or(codec)
}

/// Codecs of sound and of anything else that the presentation names.
pub fn count(variant: &Variant) -> (usize, usize) {
    let codecs = || variant.codecs.iter().flat_map(|codecs| codecs.split(','));
    let sound = codecs().filter(|codec| is_sound(codec)).count();
    (sound, codecs().count() - sound)
}

/// Whether the presentation says that there is no picture.
pub fn is_sound_alone(variant: &Variant) -> bool {
    matches!(count(variant), (1.., 0)) && variant.resolution.is_none()
}

fn is_sound(codec: &str) -> bool {
    let name = name(codec).to_ascii_lowercase();
    ["mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "vorb", "dtsc", "mhm1"].contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::testing::presentation;

    #[test]
    fn what_one_decoder_takes_has_one_name() {
        for (one, other) in [
            ("avc1.64001f, mp4a.40.2", "mp4a.40.5,avc3.4d401f"),
            ("vp9,vorbis", "vorbis,vp09.00.10.08"),
            ("fLaC", "flac"),
            ("what.1", "what.2"),
        ] {
            assert_eq!(families(one), families(other));
        }
        for (one, other) in [("avc1.64001f", "hvc1.1.6.L93"), ("what", "else"), ("vp8", "vp9"), ("é", "avc1")]
        {
            assert_ne!(families(one), families(other));
        }
    }

    #[test]
    fn sound_is_told_from_pictures() {
        let of = |attributes: &str| {
            let presentation = presentation(&format!("#EXT-X-STREAM-INF:BANDWIDTH=1{attributes}\nv\n"));
            let variant = &presentation.variants[0];
            (count(variant), is_sound_alone(variant))
        };
        assert_eq!(of(",CODECS=\"avc1.64001f,mp4a.40.2\""), ((1, 1), false));
        assert_eq!(of(",CODECS=\"vorbis\""), ((1, 0), true));
        assert_eq!(of(",CODECS=\"mp4a.40.2\",RESOLUTION=2x2"), ((1, 0), false));
        assert_eq!(of(""), ((0, 0), false));
    }
}
