// SPDX-License-Identifier: MPL-2.0

//! How browsers with Shaka Player fill in a stream's properties from an MPD, and which numbers its
//! segments have in the swarm.
//!
//! This is what p2p-media-loader 2.3 takes from Shaka Player: the bitrate of a video is that of the
//! first variant that has it, which is paired with the first audio of the manifest. Read in its source,
//! not tried against a browser.

use super::StreamProperties;

/// Segments that start within the same half second have the same number.
pub const NUMBER_SECONDS: f64 = 0.5;

/// The number of the segment that starts `seconds` from the start of the presentation (of a dynamic
/// one: from its availability start time).
///
/// Browsers compute in double precision, so `seconds` has to be come by as they do. What does not fit
/// is cut.
pub fn segment_id(seconds: f64) -> i64 {
    // Rounds towards zero and cuts, as Math.trunc does but for what no segment has.
    (seconds / NUMBER_SECONDS).trunc() as i64
}

/// What counts of a video representation; empty or None when absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct VideoAttributes<'a> {
    /// Bits a second.
    pub bandwidth: u64,
    /// Of the first audio representation of the manifest; 0 where there is no audio.
    pub audio_bandwidth: u64,
    pub codecs: &'a str,
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Frames a second, as a number.
    pub frame_rate: &'a str,
    /// SDR, PQ or HLG.
    pub video_range: &'a str,
}

/// What counts of an audio representation that goes with a video; empty or None when absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct AudioAttributes<'a> {
    pub codecs: &'a str,
    pub language: &'a str,
    pub channels: Option<u32>,
    /// The text of its label.
    pub label: &'a str,
    /// Representation@id, which is its name where there is no label.
    pub id: &'a str,
}

/// The properties of a video's main stream.
pub fn video_properties(video: &VideoAttributes<'_>) -> StreamProperties {
    let bitrate = video.bandwidth.saturating_add(video.audio_bandwidth);
    if bitrate == 0 {
        return StreamProperties::default();
    }
    StreamProperties {
        bitrate,
        codecs: without_audio(video.codecs),
        width: video.width,
        height: video.height,
        frame_rate: video.frame_rate.to_owned(),
        video_range: video.video_range.to_owned(),
        ..StreamProperties::default()
    }
}

/// The properties of an audio's secondary stream.
pub fn audio_properties(audio: &AudioAttributes<'_>) -> StreamProperties {
    let name = if audio.label.is_empty() { audio.id } else { audio.label };
    StreamProperties {
        codecs: audio.codecs.to_owned(),
        language: audio.language.to_owned(),
        channels: audio.channels.map(|count| count.to_string()).unwrap_or_default(),
        name: name.to_owned(),
        ..StreamProperties::default()
    }
}

/// The properties of audio in a presentation without video, which is a main stream.
pub fn audio_only_properties(bandwidth: u64) -> StreamProperties {
    StreamProperties { bitrate: bandwidth, ..StreamProperties::default() }
}

fn without_audio(codecs: &str) -> String {
    const AUDIO: [&str; 7] = ["mp4a", "ac-3", "ec-3", "ec+3", "opus", "vorb", "flac"];
    let is_audio = |codec: &&str| {
        let codec = codec.trim().to_ascii_lowercase();
        AUDIO.iter().any(|prefix| codec.starts_with(prefix))
    };
    codecs.split(',').filter(|codec| !is_audio(codec)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::{Scheme, stream_index};
    use super::*;

    #[test]
    fn segments_are_numbered_by_half_seconds() {
        for (seconds, id) in [
            (0.0, 0),
            (0.49, 0),
            (0.5, 1),
            (6.006, 12),
            (-0.4, 0),
            (-0.6, -1),
            (1_713_679_740.0, 3_427_359_480),
            (f64::NAN, 0),
            (f64::INFINITY, i64::MAX),
        ] {
            assert_eq!(segment_id(seconds), id, "{seconds}");
        }
    }

    #[test]
    fn a_video_has_the_bandwidth_of_its_first_variant() {
        let video = VideoAttributes {
            bandwidth: 2_021_280,
            audio_bandwidth: 128_000,
            codecs: "avc1.64001F,mp4a.40.2",
            width: Some(1280),
            height: Some(720),
            frame_rate: "30",
            video_range: "",
        };
        let properties = video_properties(&video);
        assert_eq!(properties.to_text(Scheme::V2), "2149280-avc1.64001f-1280-720----30-");
        // What p2p-media-loader itself makes of these properties.
        assert_eq!(stream_index(Scheme::V2, &properties), "3FLe7Dya7e9xv0TJuS0m614xjgc=");
        assert_eq!(
            video_properties(&VideoAttributes { height: Some(1), ..Default::default() }),
            Default::default()
        );
    }

    #[test]
    fn audio_is_named_by_label_or_id() {
        let audio = AudioAttributes {
            codecs: "mp4a.40.2",
            language: "en",
            channels: Some(2),
            label: "English",
            id: "a1",
        };
        assert_eq!(stream_index(Scheme::V2, &audio_properties(&audio)), "bdjQ1B4N2yrcTDHyU5j7iDGV9sY=");
        let unnamed = AudioAttributes { label: "", ..audio };
        assert_eq!(audio_properties(&unnamed).to_text(Scheme::V2), "0-mp4a.40.2---en-2-a1--");
        assert_eq!(audio_only_properties(64_000).to_text(Scheme::V2), "64000--------");
    }
}
