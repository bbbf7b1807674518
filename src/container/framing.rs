// SPDX-License-Identifier: MPL-2.0

//! Is a segment that came from peers at least built like one? Cheap enough for every segment: it
//! looks at one byte in 188 of MPEG-TS and at the headers of boxes and elements in MP4 and WebM, and copies nothing.
//!
//! This catches accidents (truncation, bytes joined at the wrong place, an error page), not
//! malice: it cannot tell one valid segment from another.

use super::Kind;
use super::boxes::Header;
use super::ts::{PACKET, SYNC};
use crate::ebml::{self, id};

/// Where a segment is broken. Offsets are in bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("the segment is empty")]
    Empty,
    #[error("no MPEG-TS packet begins at byte {offset}")]
    NoSyncByte { offset: u64 },
    #[error("{length} bytes are no whole number of MPEG-TS packets")]
    PartialPacket { length: u64 },
    #[error("no MP4 box begins at byte {offset}")]
    NoBox { offset: u64 },
    #[error("the last MP4 box ends at byte {expected}, the segment at {length}")]
    PartialBox { expected: u64, length: u64 },
    #[error("the MP4 segment has no {name} box")]
    MissingBox { name: &'static str },
    #[error("no WebM element begins at byte {offset}")]
    NoElement { offset: u64 },
    #[error("the last WebM element ends at byte {expected}, the segment at {length}")]
    PartialElement { expected: u64, length: u64 },
    #[error("the WebM segment has no Cluster")]
    NoCluster,
}

/// Checks a whole segment of `kind`, given in order and in pieces of any size. Kinds without a
/// framing of their own only must not be empty.
pub fn check<'a>(kind: Kind, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(), FramingError> {
    let chunks = chunks.into_iter();
    match kind {
        Kind::MpegTs => check_ts(chunks),
        Kind::FragmentedMp4 => Walk::check(Boxes::default(), chunks),
        Kind::WebM => Walk::check(Clusters::default(), chunks),
        Kind::PackedAudio | Kind::WebVtt | Kind::Ttml | Kind::Unknown => {
            let length: usize = chunks.map(<[u8]>::len).sum();
            if length > 0 { Ok(()) } else { Err(FramingError::Empty) }
        }
    }
}

fn check_ts<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Result<(), FramingError> {
    let mut length = 0u64;
    // From the start of the chunk to the next packet.
    let mut next = 0;
    for chunk in chunks {
        while let Some(byte) = chunk.get(next) {
            if *byte != SYNC {
                return Err(FramingError::NoSyncByte { offset: length + next as u64 });
            }
            next += PACKET;
        }
        next -= chunk.len();
        length += chunk.len() as u64;
    }
    match (length, next) {
        (0, _) => Err(FramingError::Empty),
        (_, 0) => Ok(()),
        (length, _) => Err(FramingError::PartialPacket { length }),
    }
}

/// Goes from element to element: boxes of MP4 at the top level, or elements of WebM.
struct Walk<F> {
    format: F,
    /// Bytes seen.
    length: u64,
    /// Where the next element begins; None: the present one goes on to the end.
    next: Option<u64>,
    header: [u8; LONGEST_HEADER],
    header_length: usize,
}

/// Most bytes of a header.
const LONGEST_HEADER: usize = if Header::MAX > ebml::Header::MAX { Header::MAX } else { ebml::Header::MAX };

/// What tells the elements of a container.
trait Elements {
    /// Looks at the header that begins at `offset`. None: more of its bytes are needed; else how many bytes to pass
    /// over, where not all that is left.
    fn enter(&mut self, header: &[u8], offset: u64) -> Result<Option<Option<u64>>, FramingError>;

    /// There is none at `offset`.
    fn none(offset: u64) -> FramingError;

    /// The last one ends at `expected`, the segment at `length`.
    fn partial(expected: u64, length: u64) -> FramingError;

    /// Whether all is there that belongs into a segment of this length.
    fn finish(self, length: u64) -> Result<(), FramingError>;
}

impl<F: Elements> Walk<F> {
    fn check<'a>(format: F, chunks: impl Iterator<Item = &'a [u8]>) -> Result<(), FramingError> {
        let header = [0; LONGEST_HEADER];
        let mut walk = Self { format, length: 0, next: Some(0), header, header_length: 0 };
        for chunk in chunks {
            walk.push(chunk)?;
        }
        walk.finish()
    }

    fn push(&mut self, mut chunk: &[u8]) -> Result<(), FramingError> {
        while let (Some(next), false) = (self.next, chunk.is_empty()) {
            // Header bytes are collected beyond `next`, content is passed over.
            let content = next.saturating_sub(self.length);
            let skip = usize::try_from(content).unwrap_or(usize::MAX).min(chunk.len());
            chunk = &chunk[skip..];
            self.length += skip as u64;
            let Some((byte, rest)) = chunk.split_first() else { return Ok(()) };
            self.header[self.header_length] = *byte;
            self.header_length += 1;
            self.length += 1;
            chunk = rest;
            let header = &self.header[..self.header_length];
            let offset = self.length - self.header_length as u64;
            if let Some(content) = self.format.enter(header, offset)? {
                let end = |content| self.length.checked_add(content).ok_or(F::none(offset));
                self.next = content.map(end).transpose()?;
                self.header_length = 0;
            }
        }
        self.length += chunk.len() as u64;
        Ok(())
    }

    fn finish(self) -> Result<(), FramingError> {
        let length = self.length;
        if length == 0 {
            return Err(FramingError::Empty);
        }
        if self.header_length > 0 {
            return Err(F::partial(length - self.header_length as u64, length));
        }
        match self.next {
            Some(expected) if expected != length => Err(F::partial(expected, length)),
            _ => self.format.finish(length),
        }
    }
}

/// Those of MP4.
#[derive(Default)]
struct Boxes {
    moof: bool,
    mdat: bool,
}

impl Elements for Boxes {
    fn enter(&mut self, header: &[u8], offset: u64) -> Result<Option<Option<u64>>, FramingError> {
        let Some(header) = Header::read(header) else { return Ok(None) };
        // Any kind that could have been registered: a box that is new to us is still a box.
        if !header.name.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return Err(Self::none(offset));
        }
        self.moof |= header.name == *b"moof";
        self.mdat |= header.name == *b"mdat";
        header.content().map(Some).map_err(|_| Self::none(offset))
    }

    fn none(offset: u64) -> FramingError {
        FramingError::NoBox { offset }
    }

    fn partial(expected: u64, length: u64) -> FramingError {
        FramingError::PartialBox { expected, length }
    }

    fn finish(self, _length: u64) -> Result<(), FramingError> {
        match self {
            Self { moof: false, .. } => Err(FramingError::MissingBox { name: "moof" }),
            Self { mdat: false, .. } => Err(FramingError::MissingBox { name: "mdat" }),
            _ => Ok(()),
        }
    }
}

/// Those of WebM: clusters are entered, so that each block is seen.
#[derive(Default)]
struct Clusters {
    any: bool,
    /// Where the last one ends that says so.
    end: u64,
}

impl Elements for Clusters {
    fn enter(&mut self, header: &[u8], offset: u64) -> Result<Option<Option<u64>>, FramingError> {
        let header = ebml::Header::read(header).map_err(|_| Self::none(offset))?;
        let Some(header) = header else { return Ok(None) };
        match header.id {
            id::SEGMENT => Ok(Some(Some(0))),
            id::CLUSTER => {
                self.any = true;
                let content = offset.saturating_add(header.length as u64);
                self.end = content.saturating_add(header.size.unwrap_or(0));
                Ok(Some(Some(0)))
            }
            id if ELEMENTS.contains(&id) && header.size.is_some() => Ok(Some(header.size)),
            _ => Err(Self::none(offset)),
        }
    }

    fn none(offset: u64) -> FramingError {
        FramingError::NoElement { offset }
    }

    fn partial(expected: u64, length: u64) -> FramingError {
        FramingError::PartialElement { expected, length }
    }

    fn finish(self, length: u64) -> Result<(), FramingError> {
        match self {
            Self { any: false, .. } => Err(FramingError::NoCluster),
            Self { end, .. } if end > length => Err(Self::partial(end, length)),
            _ => Ok(()),
        }
    }
}

/// What else stands in a Segment or in a Cluster of RFC 9559, or before them.
const ELEMENTS: [u32; 18] = [
    id::EBML,
    id::SEEK_HEAD,
    id::VOID,
    id::CRC_32,
    id::INFO,
    id::TRACKS,
    id::CHAPTERS,
    id::TAGS,
    id::ATTACHMENTS,
    id::CUES,
    id::TIMESTAMP,
    id::POSITION,
    id::PREV_SIZE,
    id::SILENT_TRACKS,
    id::SIMPLE_BLOCK,
    id::BLOCK_GROUP,
    id::BLOCK,
    id::ENCRYPTED_BLOCK,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::webm::tests::{block, cluster, init};
    use super::*;

    fn atom(name: &[u8; 4], content: usize) -> Vec<u8> {
        let size = content as u32 + 8;
        [&size.to_be_bytes()[..], name, &vec![0; content]].concat()
    }

    fn ts(packets: usize) -> Vec<u8> {
        let mut packet = [0; PACKET];
        packet[0] = SYNC;
        packet.repeat(packets)
    }

    fn whole(kind: Kind, bytes: &[u8]) -> Result<(), FramingError> {
        check(kind, [bytes])
    }

    #[test]
    fn transport_streams() {
        assert_eq!(whole(Kind::MpegTs, &ts(3)), Ok(()));
        assert_eq!(whole(Kind::MpegTs, b""), Err(FramingError::Empty));
        assert_eq!(whole(Kind::MpegTs, &ts(3)[..500]), Err(FramingError::PartialPacket { length: 500 }));
        assert_eq!(whole(Kind::MpegTs, &ts(3)[1..]), Err(FramingError::NoSyncByte { offset: 0 }));
        let mut shifted = ts(3);
        shifted.remove(200);
        assert_eq!(whole(Kind::MpegTs, &shifted), Err(FramingError::NoSyncByte { offset: 376 }));
    }

    #[test]
    fn fragments() {
        let check = |parts: &[&[u8]]| whole(Kind::FragmentedMp4, &parts.concat());
        let (moof, mdat) = (&atom(b"moof", 100)[..], &atom(b"mdat", 1_000)[..]);
        let long = b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x12xx";
        assert_eq!(check(&[&atom(b"styp", 16), moof, mdat]), Ok(()));
        assert_eq!(check(&[moof, long, &atom(b"new!", 0)]), Ok(()));
        assert_eq!(check(&[moof, b"\0\0\0\0mdatxyz"]), Ok(()));
        assert_eq!(check(&[]), Err(FramingError::Empty));
        assert_eq!(check(&[mdat]), Err(FramingError::MissingBox { name: "moof" }));
        assert_eq!(check(&[moof]), Err(FramingError::MissingBox { name: "mdat" }));
        let partial = |length| Err(FramingError::PartialBox { expected: 1_116, length });
        assert_eq!(check(&[moof, &mdat[..500]]), partial(608));
        assert_eq!(check(&[moof, mdat, b"\0\0\0"]), partial(1_119));
        let no_box = Err(FramingError::NoBox { offset: 108 });
        assert_eq!(check(&[moof, b"\0\0\0\x04mdat"]), no_box);
        assert_eq!(check(&[moof, b"\0\0\0\x09\0\0\0\0x"]), no_box);
        let huge = b"\0\0\0\x01moof\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(check(&[moof, huge]), no_box);
        assert_eq!(check(&[huge]), Err(FramingError::PartialBox { expected: u64::MAX, length: 16 }));
    }

    #[test]
    fn clusters() {
        let check = |parts: &[&[u8]]| whole(Kind::WebM, &parts.concat());
        let (init, cluster) = (&init(1_000)[..], &cluster(7, &[block(0, 100), block(40, 20)])[..]);
        let open = &[&b"\x1f\x43\xb6\x75\xff"[..], &block(0, 3)].concat()[..];
        for parts in
            [&[cluster][..], &[cluster, cluster], &[init, cluster], &[open, cluster], &[cluster, open]]
        {
            assert_eq!(check(parts), Ok(()));
        }
        assert_eq!(check(&[]), Err(FramingError::Empty));
        assert_eq!(check(&[init]), Err(FramingError::NoCluster));
        let partial = |expected, length| Err(FramingError::PartialElement { expected, length });
        let (end, second) = (cluster.len(), cluster.len() - block(40, 20).len());
        assert_eq!(check(&[&cluster[..end - 3]]), partial(end as u64, end as u64 - 3));
        assert_eq!(
            check(&[&cluster[..second]]),
            partial(end as u64, second as u64),
            "cut between two blocks"
        );
        assert_eq!(check(&[cluster, b"\x1f\x43"]), partial(end as u64, end as u64 + 2));
        let no_element = |offset| Err(FramingError::NoElement { offset });
        assert_eq!(check(&[&cluster[..second - 4], &cluster[second - 2..]]), no_element(second as u64));
        assert_eq!(check(&[b"\x1f\x43\xb6\x75\x81\0"]), no_element(5));
        assert_eq!(check(&[b"<html>"]), no_element(0));
        let endless = b"\x1f\x43\xb6\x75\xff\xa3\xff";
        assert_eq!(check(&[endless]), no_element(5));
        let huge = b"\x1f\x43\xb6\x75\xff\xa3\x01\xff\xff\xff\xff\xff\xff\xfe";
        assert!(matches!(check(&[huge]), Err(FramingError::PartialElement { .. })));
    }

    #[test]
    fn kinds_without_framing_must_not_be_empty() {
        for kind in [Kind::PackedAudio, Kind::WebVtt, Kind::Ttml, Kind::Unknown] {
            assert_eq!(whole(kind, b"x"), Ok(()));
            assert_eq!(check(kind, [&b""[..], b""]), Err(FramingError::Empty));
        }
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_the_chunks(
            sizes in prop::collection::vec(0usize..300, 1..8),
            damage in prop::option::of((any::<usize>(), any::<u8>())),
            cut in 0usize..30,
            size in 1usize..500,
        ) {
            let boxes = sizes.iter().enumerate().flat_map(|(index, size)| atom([b"moof", b"mdat"][index % 2], *size));
            let blocks: Vec<_> = sizes.iter().map(|size| block(0, *size)).collect();
            let media = [
                (Kind::FragmentedMp4, boxes.collect()),
                (Kind::MpegTs, ts(sizes.len())),
                (Kind::WebM, cluster(0, &blocks)),
            ];
            for (kind, mut bytes) in media {
                let length = bytes.len();
                if let Some((at, byte)) = damage {
                    bytes[at % length] = byte;
                }
                bytes.truncate(length.saturating_sub(cut));
                prop_assert_eq!(check(kind, bytes.chunks(size)), whole(kind, &bytes));
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, size in 1usize..50) {
            for kind in [Kind::FragmentedMp4, Kind::MpegTs, Kind::WebM, Kind::Unknown] {
                prop_assert_eq!(check(kind, bytes.chunks(size)), whole(kind, &bytes));
            }
        }
    }
}
