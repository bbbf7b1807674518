// SPDX-License-Identifier: MPL-2.0

//! What a track's container holds, as the demuxer behind it will find it.
//!
//! Where there is more than one pad, players want to know all streams beforehand, by the ids that come out of the
//! demuxers: those append to the id of the stream that they are fed.

use gst::StreamType;

use crate::container::Kind;
use crate::container::mp4::{self, TrackKind};
use crate::container::packed::{self, Codec};
use crate::container::ts::{self, StreamKind};
use crate::container::webm;

/// An elementary stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// What is appended to the id of the track's own stream.
    pub suffix: String,
    pub stream_type: StreamType,
    /// None where they are not known.
    pub caps: Option<gst::Caps>,
}

/// What is in a segment of `kind` that begins with `start`. None: more bytes are needed.
pub fn read(kind: Kind, init: Option<&[u8]>, start: &[u8]) -> Option<Vec<Content>> {
    match kind {
        Kind::FragmentedMp4 => {
            let init = mp4::Init::parse(init.unwrap_or(start)).ok()?;
            Some(init.tracks.iter().map(of_mp4).collect())
        }
        Kind::WebM => {
            let init = webm::Init::parse(init.unwrap_or(start))?;
            Some(init.tracks.iter().map(of_webm).collect())
        }
        Kind::MpegTs => {
            let mut scanner = ts::Scanner::new();
            scanner.push(init.unwrap_or_default());
            scanner.push(start);
            Some(scanner.streams()?.iter().map(of_ts).collect())
        }
        Kind::PackedAudio => {
            let head = packed::head(start)?;
            let caps = audio_caps(Codec::of(start.get(head.length..head.length + 6)?)?);
            Some(vec![Content { suffix: String::new(), stream_type: StreamType::AUDIO, caps: Some(caps) }])
        }
        Kind::WebVtt | Kind::Ttml => Some(vec![Content {
            suffix: String::new(),
            stream_type: StreamType::TEXT,
            caps: caps_of_kind(kind),
        }]),
        Kind::Unknown => Some(Vec::new()),
    }
}

/// The caps by which demuxers are found; None where the container alone does not tell.
pub fn caps_of_kind(kind: Kind) -> Option<gst::Caps> {
    match kind {
        Kind::MpegTs => {
            let caps = gst::Caps::builder("video/mpegts");
            Some(caps.field("systemstream", true).field("packetsize", 188).build())
        }
        Kind::FragmentedMp4 => {
            Some(gst::Caps::builder("video/quicktime").field("variant", "iso-fragmented").build())
        }
        Kind::WebM => Some(gst::Caps::new_empty_simple("video/webm")),
        Kind::WebVtt => Some(gst::Caps::new_empty_simple("application/x-subtitle-vtt")),
        Kind::Ttml => Some(gst::Caps::new_empty_simple("application/ttml+xml")),
        // Its frames tell.
        Kind::PackedAudio | Kind::Unknown => None,
    }
}

/// What `qtdemux` appends for a track of this number.
pub fn suffix_of_mp4(track: u32) -> String {
    format!("/{track:03}")
}

impl Content {
    /// What it is in fragmented MP4.
    pub fn in_mp4(&self) -> TrackKind {
        match self.stream_type {
            StreamType::VIDEO => TrackKind::Video,
            StreamType::AUDIO => TrackKind::Audio,
            _ => TrackKind::Other([0; 4]),
        }
    }
}

fn of_mp4(track: &mp4::Track) -> Content {
    let stream_type = match track.kind {
        TrackKind::Video => StreamType::VIDEO,
        TrackKind::Audio => StreamType::AUDIO,
        TrackKind::Other(handler) if matches!(&handler, b"text" | b"subt" | b"sbtl") => StreamType::TEXT,
        TrackKind::Other(_) => StreamType::UNKNOWN,
    };
    let codec = track.codec.as_ref().and_then(|codec| str::from_utf8(codec).ok());
    Content { suffix: suffix_of_mp4(track.id), stream_type, caps: codec.and_then(caps_of_codec) }
}

fn of_webm(track: &webm::Track) -> Content {
    let stream_type = match track.kind {
        webm::TrackKind::Video => StreamType::VIDEO,
        webm::TrackKind::Audio => StreamType::AUDIO,
        webm::TrackKind::Subtitles => StreamType::TEXT,
        webm::TrackKind::Other => StreamType::UNKNOWN,
    };
    let codec = match track.codec.as_str() {
        "V_VP8" => "vp08",
        "V_VP9" => "vp09",
        "V_AV1" => "av01",
        "A_OPUS" => "opus",
        "A_VORBIS" => "vorbis",
        _ => "",
    };
    Content { suffix: format!("/{:03}", track.number), stream_type, caps: caps_of_codec(codec) }
}

fn of_ts(stream: &ts::Elementary) -> Content {
    let stream_type = match stream.kind {
        StreamKind::Video => StreamType::VIDEO,
        StreamKind::Audio => StreamType::AUDIO,
        StreamKind::Other => StreamType::UNKNOWN,
    };
    let caps = match stream.stream_type {
        0x03 | 0x04 => Some(audio_caps(Codec::Mpeg(0))),
        0x0f => Some(audio_caps(Codec::Aac)),
        0x81 => Some(audio_caps(Codec::Ac3)),
        0x87 => Some(audio_caps(Codec::Eac3)),
        0x1b => caps_of_codec("avc1"),
        0x24 => caps_of_codec("hvc1"),
        _ => None,
    };
    Content { suffix: format!(":{}/{:08x}", stream.program, stream.pid), stream_type, caps }
}

/// The caps of packed audio.
pub fn audio_caps(codec: Codec) -> gst::Caps {
    let mpeg = |version: i32| gst::Caps::builder("audio/mpeg").field("mpegversion", version);
    match codec {
        Codec::Aac => mpeg(4).field("stream-format", "adts").build(),
        Codec::Mpeg(layer @ 1..) => mpeg(1).field("layer", i32::from(layer)).build(),
        Codec::Mpeg(_) => mpeg(1).build(),
        Codec::Ac3 => gst::Caps::new_empty_simple("audio/x-ac3"),
        Codec::Eac3 => gst::Caps::new_empty_simple("audio/x-eac3"),
    }
}

/// What a name of RFC 6381, or the sample entry that it begins with, stands for. None where that is not known here.
pub fn caps_of_codec(codec: &str) -> Option<gst::Caps> {
    let codec = codec.trim();
    let name = match codec.get(..4).unwrap_or(codec) {
        "avc1" | "avc3" => "video/x-h264",
        "hvc1" | "hev1" | "dvh1" | "dvhe" => "video/x-h265",
        "av01" => "video/x-av1",
        // As browsers and WebM packagers have them, too.
        "vp08" | "vp8" => "video/x-vp8",
        "vp09" | "vp9" => "video/x-vp9",
        "mp4a" if codec.starts_with("mp4a.40.34") => return Some(audio_caps(Codec::Mpeg(3))),
        "mp4a" => return Some(gst::Caps::builder("audio/mpeg").field("mpegversion", 4).build()),
        "ac-3" => "audio/x-ac3",
        "ec-3" => "audio/x-eac3",
        "ac-4" => "audio/x-ac4",
        "fLaC" | "flac" => "audio/x-flac",
        "Opus" | "opus" => "audio/x-opus",
        "vorb" => "audio/x-vorbis",
        // What it is in plain the demuxer will say.
        "encv" | "enca" => "application/x-cenc",
        "wvtt" => "application/x-subtitle-vtt",
        "stpp" => "application/ttml+xml",
        _ => return None,
    };
    Some(gst::Caps::new_empty_simple(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_have_their_caps() {
        gst::init().expect("GStreamer starts");
        for (codec, name) in [
            ("avc1.64001f", Some("video/x-h264")),
            (" hev1.1.6.L93", Some("video/x-h265")),
            ("mp4a.40.2", Some("audio/mpeg")),
            ("stpp.ttml.im1t", Some("application/ttml+xml")),
            ("vp9", Some("video/x-vp9")),
            ("vp09.00.10.08", Some("video/x-vp9")),
            ("vorbis", Some("audio/x-vorbis")),
            ("ec-", None),
            ("what.1", None),
        ] {
            let caps = caps_of_codec(codec);
            assert_eq!(
                caps.as_ref().and_then(|caps| Some(caps.structure(0)?.name().as_str())),
                name,
                "{codec}"
            );
        }
    }

    #[test]
    fn packed_audio_is_known_by_its_first_frame() {
        gst::init().expect("GStreamer starts");
        let tag = b"ID3\x04\0\0\0\0\0\0";
        let segment = [&tag[..], b"\xff\xf1\x50\x80\0\0"].concat();
        let [content] = &read(Kind::PackedAudio, None, &segment).expect("known")[..] else { panic!("one") };
        assert_eq!((content.suffix.as_str(), content.stream_type), ("", StreamType::AUDIO));
        assert_eq!(read(Kind::PackedAudio, None, &segment[..12]), None);
    }
}
