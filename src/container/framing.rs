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
            let mut chunks = chunks;
            if chunks.any(|chunk| !chunk.is_empty()) { Ok(()) } else { Err(FramingError::Empty) }
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
