// SPDX-License-Identifier: MPL-2.0

//! Cuts long fragments of muxed MP4 into short ones, so that sound stands next to its picture.
//!
//! A fragment may have all its pictures before all its sound; ffmpeg's have, and one lasts as long
//! as the segment. A demuxer that reads on as bytes come gives everything in their order, so queues
//! behind it fill up with pictures while the sinks wait for sound that nobody has room to read on to.
//! So a fragment of two or more tracks that is longer than [`LONG`] is replaced by several, each
//! with the samples of all tracks within [`SLOT`]: the same samples, times and flags.
//!
//! Where picture and sound of the same bytes go to different places, tables are changed before (see [`Only`]).
//!
//! Everything else passes as it is: fragments of one track, short ones, other boxes, and whatever
//! is not understood to the last field (such as encryption, whose tables would have to be cut as
//! well). Nothing is refused here; it is for the demuxer to say what is wrong.

mod held;
pub(super) mod recut;

use std::time::Duration;

use bytes::Bytes;

use self::held::Held;
use self::recut::{Cut, Fragment, Tracks};
use super::only::{Filter, Only};
use crate::container::SCAN_LIMIT;
use crate::container::boxes::Header;

/// A fragment that lasts longer than this is cut: a second, beyond which sound may go a little. That
/// fits into any queue.
const LONG: Duration = Duration::from_millis(1_200);
/// How much of each track goes into a fragment.
const SLOT: Duration = Duration::from_millis(500);
/// Most bytes of a box of tables (`moof`, `moov`) that are kept until it is whole.
const MAX_TABLES: u64 = SCAN_LIMIT as u64;
/// Most bytes of samples that are kept until sound has come for the pictures.
const MAX_SAMPLES: u64 = 64 << 20;

/// Takes the bytes of segments and gives them out interleaved.
#[derive(Debug, Default)]
pub struct Interleaver {
    tracks: Tracks,
    filter: Option<Filter>,
    held: Held,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// A box begins.
    #[default]
    Box,
    /// So many bytes pass.
    Pass(u64),
    /// A box of so many bytes is collected, to be looked at when it is whole.
    Tables(Header, usize),
    /// A fragment that ought to be cut is held, and the header of its samples is awaited.
    Samples(Fragment, usize),
    /// Fragment and samples are held, so many bytes in all; the cuts, last one first, go out once
    /// their samples are there.
    Cutting { cuts: Vec<Cut>, size: usize, begun: bool },
}

impl Interleaver {
    /// One that lets some of the tracks through.
    pub fn only(only: Only) -> Self {
        Self { filter: Some(Filter::new(only)), ..Self::default() }
    }

    /// An initialisation segment; the next segments go with it. Gives what it is to be replaced by.
    pub fn init(&mut self, bytes: Bytes) -> Bytes {
        let bytes = match &mut self.filter {
            Some(filter) => {
                let mut changed = bytes.to_vec();
                filter.init(&mut changed);
                changed.into()
            }
            None => bytes,
        };
        self.tracks = Tracks::read(&bytes);
        bytes
    }

    /// Takes the next bytes of a segment, and adds to `out` what is ready.
    pub fn push(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) {
        self.held.push(bytes);
        while self.step(out).is_some() {}
    }

    /// The segment has ended: what is held goes out as it is.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        match std::mem::take(&mut self.state) {
            // It has broken off. Some of it is out already and would come twice.
            State::Cutting { begun: true, .. } => self.held.clear(),
            _ => {
                self.held.pass(u64::MAX, out);
            }
        }
    }

    /// One step ahead; None: more bytes are needed.
    fn step(&mut self, out: &mut Vec<Bytes>) -> Option<()> {
        self.state = match &mut self.state {
            State::Box => {
                let header = self.held.header(0)?;
                match (header.size, header.content()) {
                    (Some(size), Ok(_)) => match &header.name {
                        b"moof" | b"moov" if size <= MAX_TABLES => {
                            State::Tables(header, usize::try_from(size).ok()?)
                        }
                        _ => State::Pass(size),
                    },
                    // Garbage, or a box that goes on to the end.
                    _ => State::Pass(u64::MAX),
                }
            }
            State::Pass(left) => {
                *left -= self.held.pass(*left, out);
                if *left > 0 {
                    return None;
                }
                State::Box
            }
            State::Tables(header, size) => {
                let mut bytes = self.held.copy(0..*size)?;
                if let Some(filter) = &mut self.filter {
                    match &header.name {
                        b"moov" => filter.init(&mut bytes),
                        _ => filter.moof(&mut bytes),
                    }
                    self.held.replace(bytes.clone().into());
                }
                let fragment = match &header.name {
                    // Some packagers repeat the initialisation in each segment.
                    b"moov" => {
                        self.tracks = Tracks::read(&bytes);
                        None
                    }
                    _ => Fragment::read(&bytes[header.length..], &self.tracks),
                };
                match fragment.filter(|fragment| fragment.lasts_longer_than(LONG)) {
                    Some(fragment) => State::Samples(fragment, *size),
                    None => State::Pass(*size as u64),
                }
            }
            State::Samples(fragment, from) => {
                let header = self.held.header(*from)?;
                match cut(fragment, *from, header) {
                    Some((cuts, size)) => State::Cutting { cuts, size, begun: false },
                    None => State::Pass(*from as u64),
                }
            }
            State::Cutting { cuts, size, begun } => match cuts.pop_if(|cut| cut.end <= self.held.len()) {
                Some(cut) => {
                    *begun = true;
                    out.push(cut.head);
                    cut.samples.into_iter().for_each(|range| self.held.slices(range, out));
                    return Some(());
                }
                None if cuts.is_empty() && self.held.len() >= *size => {
                    self.held.skip(*size);
                    State::Box
                }
                None => return None,
            },
        };
        Some(())
    }
}

/// The cuts of a fragment, last one first, whose samples are in the box at `from`; and where that
/// ends.
fn cut(fragment: &Fragment, from: usize, header: Header) -> Option<(Vec<Cut>, usize)> {
    let size = header.size.filter(|size| &header.name == b"mdat" && *size <= MAX_SAMPLES)?;
    header.content().ok()?;
    let end = from.checked_add(usize::try_from(size).ok()?)?;
    let mut cuts = fragment.cuts(SLOT, from + header.length..end)?;
    cuts.reverse();
    Some((cuts, end))
}

#[cfg(test)]
mod tests;
