// SPDX-License-Identifier: MPL-2.0

//! Which container is it?

use std::fmt;

use super::boxes;
use super::ts::{PACKET, SYNC};

/// What a segment is packed in: RFC 8216bis 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    MpegTs,
    FragmentedMp4,
    WebM,
    /// An elementary audio stream (AAC in ADTS, MP3, AC-3, E-AC-3), usually behind an ID3 tag.
    PackedAudio,
    WebVtt,
    /// TTML as text of its own.
    Ttml,
    /// None of these: encrypted, garbage, or an error page.
    Unknown,
}

impl Kind {
    /// With this many bytes, [`Kind::sniff`] always gives an answer.
    pub const SNIFF_BYTES: usize = PACKET + 1;

    /// Tells the container from the first bytes of a segment (or of its initialisation segment).
    /// None: more bytes are needed, at most [`Kind::SNIFF_BYTES`]; a whole segment that short is
    /// [`Kind::Unknown`].
    pub fn sniff(start: &[u8]) -> Option<Self> {
        match start {
            // A lone sync byte can be anything; a second one a packet later hardly can.
            [SYNC, ..] => start.get(PACKET).map(|second| match *second {
                SYNC => Self::MpegTs,
                _ => Self::Unknown,
            }),
            [b'I', b'D', b'3', ..] => Some(Self::PackedAudio),
            // ADTS, MPEG audio; AC-3 and E-AC-3.
            [0xff, second, ..] if second & 0xe0 == 0xe0 => Some(Self::PackedAudio),
            [0x0b, 0x77, ..] => Some(Self::PackedAudio),
            // EBML, with which files and initialisation segments begin, and Cluster, with which segments do.
            [0x1a, 0x45, 0xdf, 0xa3, ..] | [0x1f, 0x43, 0xb6, 0x75, ..] => Some(Self::WebM),
            _ => Self::sniff_text_or_boxes(start),
        }
    }

    fn sniff_text_or_boxes(start: &[u8]) -> Option<Self> {
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        if text.starts_with(b"WEBVTT") {
            return Some(Self::WebVtt);
        }
        if text.starts_with(b"<?xml") || text.starts_with(b"<tt") {
            return Some(Self::Ttml);
        }
        // Nine bytes are enough for a byte order mark and WEBVTT.
        if start.len() < 9 {
            return None;
        }
        let known = start[4..].first_chunk().is_some_and(|name| boxes::is_top_level(*name));
        Some(if known { Self::FragmentedMp4 } else { Self::Unknown })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MpegTs => "MPEG-TS",
            Self::FragmentedMp4 => "fragmented MP4",
            Self::WebM => "WebM",
            Self::PackedAudio => "packed audio",
            Self::WebVtt => "WebVTT",
            Self::Ttml => "TTML",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_the_containers_apart() {
        let mut ts = vec![0; 400];
        (ts[0], ts[188], ts[376]) = (0x47, 0x47, 0x47);
        for (start, expected) in [
            (&ts[..], Some(Kind::MpegTs)),
            (&ts[..188], None),
            (b"", None),
            (b"G", None),
            (b"\0\0\0\x18ftypiso5", Some(Kind::FragmentedMp4)),
            (b"\0\0\0\x18stypmsdh", Some(Kind::FragmentedMp4)),
            (b"\0\0\0\x18moof\0", Some(Kind::FragmentedMp4)),
            (b"\0\0\0\x18moof", None),
            (b"\x1a\x45\xdf\xa3\x9f", Some(Kind::WebM)),
            (b"\x1f\x43\xb6\x75", Some(Kind::WebM)),
            (b"\x1f\x43\xb6", None),
            (b"ID3\x04", Some(Kind::PackedAudio)),
            (b"ID", None),
            (b"\xff\xf1\x50", Some(Kind::PackedAudio)),
            (b"\x0b\x77\x00", Some(Kind::PackedAudio)),
            (b"WEBVTT\n", Some(Kind::WebVtt)),
            (b"\xef\xbb\xbfWEBVTT", Some(Kind::WebVtt)),
            (b"\xef\xbb\xbfWEB", None),
            (b"<?xml version=\"1.0\"?><tt>", Some(Kind::Ttml)),
            (b"<tt xmlns=", Some(Kind::Ttml)),
            (b"<?xm", None),
            (b"<!DOCTYPE html>", Some(Kind::Unknown)),
        ] {
            assert_eq!(Kind::sniff(start), expected, "{start:?}");
        }
        ts[188] = 0;
        assert_eq!(Kind::sniff(&ts), Some(Kind::Unknown));
    }

    proptest! {
        #[test]
        fn always_answers_in_time(bytes: Vec<u8>) {
            let mut start = bytes;
            start.resize(Kind::SNIFF_BYTES, 0x47);
            prop_assert!(Kind::sniff(&start).is_some());
        }

        #[test]
        fn an_answer_stays(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let answers: Vec<_> = (0..=bytes.len()).filter_map(|end| Kind::sniff(&bytes[..end])).collect();
            prop_assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}
