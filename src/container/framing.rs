// SPDX-License-Identifier: MPL-2.0

//! Is a segment that came from peers at least built like one? Cheap enough for every segment: it
//! looks at one byte in 188 of MPEG-TS and at the box headers of MP4, and copies nothing.
//!
//! This catches accidents (truncation, bytes joined at the wrong place, an error page), not
//! malice: it cannot tell one valid segment from another.

use super::Kind;
use super::boxes::Header;
use super::ts::{PACKET, SYNC};

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
}

/// Checks a whole segment of `kind`, given in order and in pieces of any size. Kinds without a
/// framing of their own only must not be empty.
pub fn check<'a>(kind: Kind, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(), FramingError> {
    let chunks = chunks.into_iter();
    match kind {
        Kind::MpegTs => check_ts(chunks),
        Kind::FragmentedMp4 => check_mp4(chunks),
        Kind::PackedAudio | Kind::WebVtt | Kind::Unknown => {
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

fn check_mp4<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Result<(), FramingError> {
    let mut walk = BoxWalk::default();
    for chunk in chunks {
        walk.push(chunk)?;
    }
    walk.finish()
}

/// Goes from box to box at the top level.
#[derive(Default)]
struct BoxWalk {
    /// Bytes seen.
    length: u64,
    /// Where the next box begins; None: the present one goes on to the end.
    next: Option<u64>,
    started: bool,
    header: [u8; Header::MAX],
    header_length: usize,
    moof: bool,
    mdat: bool,
}

impl BoxWalk {
    fn push(&mut self, mut chunk: &[u8]) -> Result<(), FramingError> {
        if !self.started && !chunk.is_empty() {
            self.started = true;
            self.next = Some(0);
        }
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
            if let Some(header) = Header::read(&self.header[..self.header_length]) {
                self.next = self.enter(header)?;
                self.header_length = 0;
            }
        }
        self.length += chunk.len() as u64;
        Ok(())
    }

    /// Takes note of a box and gives where the next one begins.
    fn enter(&mut self, header: Header) -> Result<Option<u64>, FramingError> {
        let offset = self.length - header.length as u64;
        let no_box = FramingError::NoBox { offset };
        // Any kind that could have been registered: a box that is new to us is still a box.
        if !header.name.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return Err(no_box);
        }
        self.moof |= header.name == *b"moof";
        self.mdat |= header.name == *b"mdat";
        match header.content() {
            Ok(Some(content)) => self.length.checked_add(content).map(Some).ok_or(no_box),
            Ok(None) => Ok(None),
            Err(_) => Err(no_box),
        }
    }

    fn finish(self) -> Result<(), FramingError> {
        let length = self.length;
        if length == 0 {
            return Err(FramingError::Empty);
        }
        if self.header_length > 0 {
            let expected = length - self.header_length as u64;
            return Err(FramingError::PartialBox { expected, length });
        }
        match self.next {
            Some(expected) if expected != length => Err(FramingError::PartialBox { expected, length }),
            _ if !self.moof => Err(FramingError::MissingBox { name: "moof" }),
            _ if !self.mdat => Err(FramingError::MissingBox { name: "mdat" }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn kinds_without_framing_must_not_be_empty() {
        for kind in [Kind::PackedAudio, Kind::WebVtt, Kind::Unknown] {
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
            for (kind, mut bytes) in [(Kind::FragmentedMp4, boxes.collect()), (Kind::MpegTs, ts(sizes.len()))] {
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
            for kind in [Kind::FragmentedMp4, Kind::MpegTs, Kind::Unknown] {
                prop_assert_eq!(check(kind, bytes.chunks(size)), whole(kind, &bytes));
            }
        }
    }
}
