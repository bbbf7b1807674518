// SPDX-License-Identifier: MPL-2.0

//! WebM (RFC 9559): what an initialisation segment says, and the time at the start of a segment.

use std::time::Duration;

use super::SCAN_LIMIT;
use crate::ebml::{self, Header, id};

/// Most tracks of an initialisation segment that are looked at.
const MAX_TRACKS: usize = 64;
/// Longest codec id that is kept.
const MAX_CODEC: usize = 64;
/// Bytes of a block that tell its time: the number of its track, and a time on that of the cluster.
const BLOCK_HEAD: usize = 10;

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    Video,
    Audio,
    Subtitles,
    Other,
}

/// What an initialisation segment says of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub number: u64,
    pub kind: TrackKind,
    /// CodecID, such as `V_VP9`.
    pub codec: String,
}

/// What an initialisation segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Nanoseconds of a tick; not zero.
    pub timestamp_scale: u64,
    pub tracks: Vec<Track>,
}

impl Default for Init {
    fn default() -> Self {
        Self { timestamp_scale: ebml::USUAL_TIMESTAMP_SCALE, tracks: Vec::new() }
    }
}

impl Init {
    /// Reads an initialisation segment, or the start of a file. None: there is no track in it.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let segment = ebml::find(bytes, id::SEGMENT)?;
        let mut init = Self::default();
        for (id, content) in ebml::elements(segment).take_while(|(id, _)| *id != id::CLUSTER) {
            init.take(id, content);
        }
        (!init.tracks.is_empty()).then_some(init)
    }

    fn take(&mut self, id: u32, content: &[u8]) {
        match id {
            id::INFO => self.timestamp_scale = ebml::timestamp_scale(content),
            id::TRACKS => {
                let entries = ebml::elements(content).filter(|(id, _)| *id == id::TRACK_ENTRY);
                self.tracks = entries.take(MAX_TRACKS).filter_map(|(_, entry)| track(entry)).collect();
            }
            _ => {}
        }
    }
}

fn track(entry: &[u8]) -> Option<Track> {
    let kind = match ebml::unsigned(ebml::find(entry, id::TRACK_TYPE)?) {
        1 => TrackKind::Video,
        2 => TrackKind::Audio,
        17 => TrackKind::Subtitles,
        _ => TrackKind::Other,
    };
    let codec = ebml::find(entry, id::CODEC_ID).unwrap_or_default();
    let codec = String::from_utf8_lossy(&codec[..codec.len().min(MAX_CODEC)]);
    Some(Track {
        number: ebml::unsigned(ebml::find(entry, id::TRACK_NUMBER)?),
        kind,
        codec: codec.trim_end_matches('\0').to_owned(),
    })
}

/// Finds where a segment begins while it arrives. The answer does not depend on how it is cut.
#[derive(Debug)]
pub struct Scanner {
    init: Init,
    bytes: Vec<u8>,
    /// Where the next element begins.
    at: usize,
    /// Timestamp of the first cluster, in ticks.
    cluster: Option<u64>,
    /// Time of the first block, in ticks.
    first: Option<u64>,
    settled: bool,
}

impl Scanner {
    /// A scanner for a segment that goes with `init`.
    pub fn new(init: Init) -> Self {
        Self { init, bytes: Vec::new(), at: 0, cluster: None, first: None, settled: false }
    }

    /// Takes the next bytes of the segment; does nothing once settled.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.settled {
            return;
        }
        let room = SCAN_LIMIT - self.bytes.len();
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        while !self.settled && self.take_element() {}
        self.settled |= self.bytes.len() == SCAN_LIMIT;
        if self.settled {
            self.bytes = Vec::new();
        }
    }

    /// Whether the answer is final: the first block has been found, or [`SCAN_LIMIT`] bytes have not shown it.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// Where the segment begins on the clock of its own timestamps.
    pub fn media_start(&self) -> Option<Duration> {
        let nanos = u128::from(self.first.or(self.cluster)?) * u128::from(self.init.timestamp_scale);
        nanos.try_into().ok().map(Duration::from_nanos)
    }

    /// Looks at the next element; false: more bytes are needed.
    fn take_element(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Ok(header) = Header::read(rest) else {
            // Garbage: nothing of interest can follow.
            self.settled = true;
            return false;
        };
        let Some(header) = header else { return false };
        let content = &rest[header.length..];
        let size = header.size.map_or(usize::MAX, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let wanted = match header.id {
            // What is of interest is in them.
            id::SEGMENT | id::CLUSTER | id::BLOCK_GROUP => {
                self.at += header.length;
                return true;
            }
            id::INFO | id::TRACKS | id::TIMESTAMP => size,
            id::SIMPLE_BLOCK | id::BLOCK => size.min(BLOCK_HEAD),
            _ => 0,
        };
        let Some(content) = content.get(..wanted) else { return false };
        match header.id {
            id::TIMESTAMP if self.cluster.is_none() => self.cluster = Some(ebml::unsigned(content)),
            id::SIMPLE_BLOCK | id::BLOCK => {
                self.first = self.cluster.and_then(|cluster| block_time(cluster, content));
                self.settled = true;
            }
            id => self.init.take(id, content),
        }
        self.at = self.at.saturating_add(header.length).saturating_add(size);
        true
    }
}

/// Time of a block, in ticks: RFC 9559 10.1.
fn block_time(cluster: u64, block: &[u8]) -> Option<u64> {
    let (_, length) = ebml::track_number(block)?;
    let time = block.get(length..)?.first_chunk()?;
    Some(cluster.saturating_add_signed(i16::from_be_bytes(*time).into()))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ebml::testing::element;

    /// A block of the first track.
    pub fn block(time: i16, payload: usize) -> Vec<u8> {
        element(id::SIMPLE_BLOCK, &[&[0x81][..], &time.to_be_bytes(), &[0x80], &vec![0; payload]].concat())
    }

    pub fn cluster(timestamp: u16, blocks: &[Vec<u8>]) -> Vec<u8> {
        let timestamp = element(id::TIMESTAMP, &timestamp.to_be_bytes());
        element(id::CLUSTER, &[&timestamp[..], &blocks.concat()].concat())
    }

    pub fn init(scale: u32) -> Vec<u8> {
        let info = element(id::INFO, &element(id::TIMESTAMP_SCALE, &scale.to_be_bytes()));
        let entry = |number: u8, kind: u8, codec: &[u8]| {
            let fields = [
                element(id::TRACK_NUMBER, &[number]),
                element(id::TRACK_TYPE, &[kind]),
                element(id::CODEC_ID, codec),
            ];
            element(id::TRACK_ENTRY, &fields.concat())
        };
        let entries = [entry(1, 1, b"V_VP9"), entry(2, 2, b"A_OPUS\0"), element(id::TRACK_ENTRY, b"")];
        let tracks = element(id::TRACKS, &entries.concat());
        // Of unknown size, as whoever does not know the end writes it.
        let segment = [&b"\x18\x53\x80\x67\xff"[..], &element(id::VOID, b"xyz"), &info, &tracks].concat();
        [element(id::EBML, b""), segment].concat()
    }

    #[test]
    fn an_initialisation_segment_tells_its_tracks() {
        let track = |number, kind, codec: &str| Track { number, kind, codec: codec.to_owned() };
        let expected = Init {
            timestamp_scale: 500_000,
            tracks: vec![track(1, TrackKind::Video, "V_VP9"), track(2, TrackKind::Audio, "A_OPUS")],
        };
        assert_eq!(Init::parse(&init(500_000)), Some(expected.clone()));
        let file = [init(500_000), cluster(0, &[block(0, 5)])].concat();
        assert_eq!(Init::parse(&file), Some(expected));
        assert_eq!(Init::parse(&cluster(0, &[block(0, 5)])), None);
        assert_eq!(Init::parse(b"<html>"), None);
    }

    fn scan(init: Init, bytes: &[u8], size: usize) -> Scanner {
        let mut scanner = Scanner::new(init);
        bytes.chunks(size).for_each(|chunk| scanner.push(chunk));
        scanner
    }

    #[test]
    fn a_segment_begins_with_its_first_block() {
        let init_of = |scale| Init::parse(&init(scale)).expect("tracks");
        let grouped = element(id::BLOCK_GROUP, &element(id::BLOCK, b"\x81\0\x02\0xyz"));
        let open = [&b"\x1f\x43\xb6\x75\xff"[..], &element(id::TIMESTAMP, &[7]), &block(1, 3)].concat();
        for (segment, scale, millis) in [
            (cluster(2_000, &[block(7, 30), block(-5, 3)]), 1_000_000, 2_007),
            (cluster(2_000, &[block(-7, 30)]), 1_000_000, 1_993),
            (cluster(2_000, &[grouped]), 500_000, 1_001),
            (open, 1_000_000, 8),
            // A file of its own says it itself.
            ([init(2_000_000), cluster(5, &[block(0, 30)])].concat(), 1_000_000, 10),
        ] {
            for size in [1, 3, segment.len()] {
                let scanner = scan(init_of(scale), &segment, size);
                assert_eq!(scanner.media_start(), Some(Duration::from_millis(millis)), "{size}");
                assert!(scanner.settled());
            }
        }
        assert_eq!(scan(Init::default(), b"\0\0\0\x18ftyp", 5).media_start(), None);
    }

    proptest! {
        #[test]
        fn the_answer_does_not_depend_on_the_chunks(
            time: u16,
            offset: i16,
            payload in 0usize..40,
            damage in prop::option::of((any::<usize>(), any::<u8>())),
            size in 1usize..60,
        ) {
            let mut bytes = [init(1_000_000), cluster(time, &[block(offset, payload)])].concat();
            if let Some((at, byte)) = damage {
                let length = bytes.len();
                bytes[at % length] = byte;
            }
            let whole = scan(Init::default(), &bytes, bytes.len());
            let pieces = scan(Init::default(), &bytes, size);
            prop_assert_eq!(pieces.media_start(), whole.media_start());
            prop_assert_eq!(pieces.settled(), whole.settled());
            let _ = Init::parse(&bytes);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, size in 1usize..50) {
            let _ = scan(Init::default(), &bytes, size).media_start();
            let _ = Init::parse(&bytes);
        }
    }
}
