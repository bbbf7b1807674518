// SPDX-License-Identifier: MPL-2.0

//! How players fill in a stream's properties from an HLS multivariant playlist.
//!
//! For [`Scheme::V2`](super::Scheme::V2) this is what p2p-media-loader takes from hls.js 1.5 and later
//! (older ones preferred AVERAGE-BANDWIDTH and meet only in playlists without it).

use std::collections::HashMap;

use super::{Scheme, StreamProperties};
use crate::swarm::SegmentId;

/// The attributes of `EXT-X-STREAM-INF` that count, as they are written; empty or None when absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct VariantAttributes<'a> {
    pub bandwidth: Option<u64>,
    pub average_bandwidth: Option<u64>,
    pub codecs: &'a str,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    pub frame_rate: &'a str,
    pub video_range: &'a str,
}

/// The attributes of `EXT-X-MEDIA` with `TYPE=AUDIO` that count, as they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct AudioAttributes<'a> {
    /// CODECS of the first variant that plays the rendition's group; of the first variant at all where
    /// none does.
    pub variant_codecs: &'a str,
    pub language: &'a str,
    pub channels: &'a str,
    pub name: &'a str,
}

/// The properties of a variant's main stream.
///
/// A bare media playlist has none: [`StreamProperties::default`].
pub fn variant_properties(scheme: Scheme, variant: &VariantAttributes<'_>) -> StreamProperties {
    let bitrate = variant.bandwidth.filter(|n| *n > 0).or(variant.average_bandwidth).unwrap_or(0);
    // p2p-media-loader 2.3 takes a level without a bitrate for a bare media playlist.
    if scheme == Scheme::V2 && bitrate == 0 {
        return StreamProperties::default();
    }
    let codecs = match scheme {
        Scheme::V2 => known_sample_entries(variant.codecs, VIDEO_SAMPLE_ENTRIES),
        Scheme::V3 => starting_with(variant.codecs, VIDEO_PREFIXES),
    };
    StreamProperties {
        bitrate,
        codecs,
        width: variant.resolution.map(|(width, _)| width),
        height: variant.resolution.map(|(_, height)| height),
        frame_rate: variant.frame_rate.to_owned(),
        video_range: variant.video_range.to_owned(),
        ..StreamProperties::default()
    }
}

/// The properties of an audio rendition's secondary stream.
pub fn audio_properties(scheme: Scheme, audio: &AudioAttributes<'_>) -> StreamProperties {
    let (codecs, name) = match scheme {
        Scheme::V2 => {
            let name = if audio.name.is_empty() { audio.language } else { audio.name };
            (known_sample_entries(audio.variant_codecs, AUDIO_SAMPLE_ENTRIES), name)
        }
        Scheme::V3 => (starting_with(audio.variant_codecs, AUDIO_PREFIXES), audio.name),
    };
    StreamProperties {
        codecs,
        language: audio.language.to_owned(),
        channels: audio.channels.to_owned(),
        name: name.to_owned(),
        ..StreamProperties::default()
    }
}

/// What part `index` of the segment with this media sequence number is called in the swarm.
///
/// A name of this project's own: p2p-media-loader knows whole segments only, by numbers that are not negative, and
/// takes no notice of others. Names of parts are below zero and above -2^30, so that they stay below zero for
/// software that keeps the low 32 bits; they come a second time after 16 million segments.
pub fn part_id(sequence: i64, index: u32) -> SegmentId {
    let within = i64::from(index % PARTS);
    SegmentId(-1 - (sequence.rem_euclid(SEQUENCES) * i64::from(PARTS) + within))
}

/// The media sequence number, as far as the name tells it, and the index of a part that has this name; None: it is
/// none of a part.
pub fn part_of_id(id: SegmentId) -> Option<(i64, u32)> {
    let value = id.0.checked_add(1)?.checked_neg()?;
    let parts = i64::from(PARTS);
    ((0..SEQUENCES * parts).contains(&value)).then_some((value / parts, (value % parts) as u32))
}

/// Parts of a segment that have names.
pub const PARTS: u32 = 64;

/// Segments after which names of their parts come again.
pub const SEQUENCES: i64 = 1 << 24;

/// Drops the bitrate of every stream that is unique without it, as [`Scheme::V3`] does; `streams` are
/// all streams of one type in a presentation.
pub fn keep_needed_bitrates(streams: &mut [StreamProperties]) {
    let without = |stream: &StreamProperties| StreamProperties { bitrate: 0, ..stream.clone() };
    let mut seen: HashMap<StreamProperties, u32> = HashMap::new();
    for stream in streams.iter() {
        *seen.entry(without(stream)).or_default() += 1;
    }
    for stream in streams {
        if seen.get(&without(stream)) == Some(&1) {
            stream.bitrate = 0;
        }
    }
}

/// The sample entries that hls.js takes for video.
const VIDEO_SAMPLE_ENTRIES: &[&str] = &[
    "avc1", "avc2", "avc3", "avc4", "avcp", "av01", "dav1", "drac", "dva1", "dvav", "dvh1", "dvhe", "encv",
    "hev1", "hvc1", "mjp2", "mp4v", "mvc1", "mvc2", "mvc3", "mvc4", "resv", "rv60", "s263", "svc1", "svc2",
    "vc-1", "vp08", "vp09",
];

/// The sample entries that hls.js takes for audio.
const AUDIO_SAMPLE_ENTRIES: &[&str] = &[
    "a3ds", "ac-3", "ac-4", "alac", "alaw", "dra1", "dts+", "dts-", "dtsc", "dtse", "dtsh", "ec-3", "enca",
    "fLaC", "flac", "FLAC", "g719", "g726", "m4ae", "mha1", "mha2", "mhm1", "mhm2", "mlpa", "mp4a", "raw ",
    "Opus", "opus", "samr", "sawb", "sawp", "sevc", "sqcp", "ssmv", "twos", "ulaw",
];

/// hls.js: entries apart by spaces and commas, known by their first four characters, less what follows
/// a slash.
fn known_sample_entries(codecs: &str, known: &[&str]) -> String {
    let entries = codecs.split([' ', ',']).filter(|codec| codec.get(..4).is_some_and(|c| known.contains(&c)));
    let entries = entries.map(|codec| codec.split_once('/').map_or(codec, |(codec, _)| codec));
    entries.collect::<Vec<_>>().join(",")
}

/// What p2p-media-loader 5 takes for video.
const VIDEO_PREFIXES: &[&str] = &[
    "av1", "av01", "avc1", "avc2", "avc3", "avc4", "avc01", "avc02", "avc03", "avc04", "vp8", "vp9", "vp08",
    "vp09", "hvc1", "hev1", "theora", "mp4v",
];

/// What p2p-media-loader 5 takes for audio.
const AUDIO_PREFIXES: &[&str] =
    &["mp4a", "flac", "vorbis", "opus", "ac-3", "ac-4", "ec-3", "alac", "mp3", "speex", "aac"];

fn starting_with(codecs: &str, prefixes: &[&str]) -> String {
    let kept = codecs.split(',').map(str::trim).filter(|codec| {
        let codec = codec.to_ascii_lowercase();
        prefixes.iter().any(|prefix| codec.starts_with(prefix))
    });
    kept.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_counts_its_video_codecs_only() {
        let variant = VariantAttributes {
            bandwidth: Some(2_200_000),
            average_bandwidth: Some(2_079_000),
            codecs: "mp4a.40.2,avc1.4d401f",
            resolution: Some((960, 540)),
            frame_rate: "30.000",
            ..VariantAttributes::default()
        };
        let properties = variant_properties(Scheme::V2, &variant);
        assert_eq!(properties.to_text(Scheme::V2), "2200000-avc1.4d401f-960-540----30-");
    }

    #[test]
    fn a_variant_without_a_bitrate_is_bare() {
        let variant = VariantAttributes { codecs: "avc1.4d401f", ..VariantAttributes::default() };
        assert_eq!(variant_properties(Scheme::V2, &variant), StreamProperties::default());
        assert_eq!(StreamProperties::default().to_text(Scheme::V2), "0--------");
        assert_eq!(variant_properties(Scheme::V3, &variant).to_text(Scheme::V3), "0-avc1.4d401f-------");
    }

    #[test]
    fn sample_entries_are_split_as_hls_js_does() {
        let codecs = "avc1.4d401f, hvc1.2.4/x  mp4a.40.2,wvtt,été,ac-3";
        assert_eq!(known_sample_entries(codecs, VIDEO_SAMPLE_ENTRIES), "avc1.4d401f,hvc1.2.4");
        assert_eq!(known_sample_entries(codecs, AUDIO_SAMPLE_ENTRIES), "mp4a.40.2,ac-3");
    }

    #[test]
    fn an_audio_rendition_without_a_name_has_its_language() {
        let audio = AudioAttributes { language: "de", ..AudioAttributes::default() };
        assert_eq!(audio_properties(Scheme::V2, &audio).to_text(Scheme::V2), "0----de--de--");
        assert_eq!(audio_properties(Scheme::V3, &audio).to_text(Scheme::V3), "0----de----");
    }

    #[test]
    fn names_of_parts_are_below_zero_in_32_bits_and_tell_which_part() {
        assert_eq!(
            (part_id(0, 0), part_id(0, 1), part_id(1, 0)),
            (SegmentId(-1), SegmentId(-2), SegmentId(-65))
        );
        for (sequence, index) in [(0, 0), (5, 3), (SEQUENCES - 1, 63)] {
            let id = part_id(sequence, index);
            assert!(id.0 < 0 && i32::try_from(id.0).is_ok());
            assert_eq!(part_of_id(id), Some((sequence, index)));
        }
        // Epoch seconds and milliseconds as media sequence numbers.
        for sequence in [1_795_914_000, 1_795_914_000_000, i64::MAX] {
            assert_ne!(part_id(sequence, 0), part_id(sequence - 1, 0));
            assert_eq!(part_of_id(part_id(sequence, 7)), Some((sequence % SEQUENCES, 7)));
        }
        for id in [0, 1, i64::MAX, i64::MIN, -SEQUENCES * 64 - 1] {
            assert_eq!(part_of_id(SegmentId(id)), None, "{id}");
        }
    }

    #[test]
    fn bitrates_stay_where_streams_would_collide() {
        let stream = |bitrate, height| StreamProperties { bitrate, height, ..StreamProperties::default() };
        let mut streams = [stream(1, Some(360)), stream(2, Some(720)), stream(3, Some(720))];
        keep_needed_bitrates(&mut streams);
        assert_eq!(streams.map(|stream| stream.bitrate), [0, 2, 3]);
    }
}
