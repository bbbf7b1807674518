// SPDX-License-Identifier: MPL-2.0

//! Takes tracks out of fragmented MP4, so that picture and sound of the same bytes can go to different places.
//!
//! Boxes of the tracks that are not wanted become `free` boxes of the same size, so all offsets stay right, and the bytes
//! of their samples are passed over by demuxers. Fragments whose samples are counted from those of the track before them
//! (neither `default-base-is-moof` nor an offset of their own, which ISO/IEC 14496-12 has for old files only) lose track of
//! them.

use std::ops::Range;

use super::{MAX_TRACKS, TrackKind, track};
use crate::container::boxes::{Header, Name};

/// What stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// All but sound.
    Picture,
    /// The first sound, as the track [`Only::SOUND`]: so one file can follow another.
    Sound,
}

impl Only {
    /// Number of the track of sound.
    pub const SOUND: u32 = 1;

    /// Which of these tracks stay.
    pub fn keep<'a, T>(
        self,
        tracks: &'a [T],
        kind: impl Fn(&T) -> TrackKind + 'a,
    ) -> impl Iterator<Item = &'a T> {
        let mut sounds = 0;
        tracks.iter().filter(move |track| {
            let is_sound = kind(track) == TrackKind::Audio;
            sounds += usize::from(is_sound);
            match self {
                Self::Picture => !is_sound,
                Self::Sound => is_sound && sounds == 1,
            }
        })
    }
}

/// Takes the tracks out of one box of tables after the other.
#[derive(Debug)]
pub struct Filter {
    only: Only,
    /// The tracks that stay. None: it is not known what there is, and all stays.
    kept: Option<Vec<u32>>,
}

impl Filter {
    pub fn new(only: Only) -> Self {
        Self { only, kept: None }
    }

    /// Changes an initialisation segment, or any bytes with a whole `moov` box in them.
    pub fn init(&mut self, bytes: &mut [u8]) {
        for (name, _, content) in children(bytes, 0..bytes.len()) {
            if &name == b"moov" {
                self.moov(bytes, content);
            }
        }
    }

    /// Changes a whole `moof` box.
    pub fn moof(&self, bytes: &mut [u8]) {
        let Some(kept) = &self.kept else { return };
        for (name, _, content) in children(bytes, 0..bytes.len()) {
            if &name != b"moof" {
                continue;
            }
            for (name, at, content) in children(bytes, content) {
                if &name != b"traf" {
                    continue;
                }
                let head = children(bytes, content).into_iter().find(|(name, ..)| name == b"tfhd");
                let Some((_, _, head)) = head else { continue };
                self.renumber(bytes, at, head.start + 4, kept);
            }
        }
    }

    fn moov(&mut self, bytes: &mut [u8], content: Range<usize>) {
        let boxes = children(bytes, content);
        let traks = boxes.iter().filter(|(name, ..)| name == b"trak").take(MAX_TRACKS);
        let traks: Vec<_> = traks
            .filter_map(|(_, at, content)| {
                let described = track(&bytes[content.clone()])?;
                let head = children(bytes, content.clone()).into_iter().find(|(name, ..)| name == b"tkhd")?;
                Some((described.id, described.kind, *at, head.2))
            })
            .collect();
        let kept: Vec<u32> = self.only.keep(&traks, |trak| trak.1).map(|trak| trak.0).collect();
        if kept.is_empty() {
            // It would be nothing at all: whoever plays it will say what is wrong.
            self.kept = None;
            return;
        }
        for (_, _, at, head) in &traks {
            // After version and flags, and two times of four or eight bytes.
            let long = bytes.get(head.start) == Some(&1);
            self.renumber(bytes, *at, head.start + if long { 20 } else { 12 }, &kept);
        }
        for (_, _, content) in boxes.iter().filter(|(name, ..)| name == b"mvex") {
            for (name, at, content) in children(bytes, content.clone()) {
                if &name == b"trex" {
                    self.renumber(bytes, at, content.start + 4, &kept);
                }
            }
        }
        self.kept = Some(kept);
    }

    /// The box at `at` is of the track whose number stands at `id`.
    fn renumber(&self, bytes: &mut [u8], at: usize, id: usize, kept: &[u32]) {
        let Some(number) = bytes.get_mut(id..id + 4) else { return };
        let read = u32::from_be_bytes([number[0], number[1], number[2], number[3]]);
        if !kept.contains(&read) {
            if let Some(name) = bytes.get_mut(at + 4..at + 8) {
                name.copy_from_slice(b"free");
            }
        } else if self.only == Only::Sound {
            number.copy_from_slice(&Only::SOUND.to_be_bytes());
        }
    }
}

/// The boxes in `range`, as name, where they begin, and where their content is. Stops at an impossible size.
fn children(bytes: &[u8], range: Range<usize>) -> Vec<(Name, usize, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = range.start;
    while let Some(header) = bytes.get(at..range.end).and_then(Header::read) {
        let size = header.size.map_or(Some(range.end - at), |size| usize::try_from(size).ok());
        let Some(end) = size.filter(|size| *size >= header.length).and_then(|size| at.checked_add(size))
        else {
            break;
        };
        if end > range.end {
            break;
        }
        found.push((header.name, at, at + header.length..end));
        at = end;
    }
    found
}
