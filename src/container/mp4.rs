// SPDX-License-Identifier: MPL-2.0

//! Timestamps at the start of a fragmented MP4 segment: ISO/IEC 14496-12.
//!
//! A demuxer that is fed timed bytes does not apply edit lists: its frames have the times that
//! stand in the segment. So the element has to know where a segment begins on that clock, which is
//! the decode time of its first fragment plus the edit list's offset ([`Scanner::media_start`]).
//!
//! Boxes are walked here, and mp4-atom reads only those that are needed: one that it does not
//! know, or takes to be wrong, must not keep a segment from playing.

pub mod interleave;
pub mod key_frame;
pub mod only;

use std::time::Duration;

use mp4_atom::{Atom, Elst, Mdhd, Tfdt, Tfhd, Tkhd};

use super::SCAN_LIMIT;
use super::boxes::{self, Header, Name};

/// Most bytes of one box that are kept until it is whole.
const MAX_BOX: u64 = SCAN_LIMIT as u64;
/// Most tracks of an initialisation segment that are looked at.
const MAX_TRACKS: usize = 64;

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    Video,
    Audio,
    /// Handler type as written.
    Other([u8; 4]),
}

/// What an initialisation segment says of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub id: u32,
    pub kind: TrackKind,
    /// Ticks a second; not zero.
    pub timescale: u32,
    /// Where the edit list lets the presentation begin, in ticks; zero without one.
    pub media_time: u64,
    /// Sample entry, such as `avc1`; `encv` and `enca` where it is encrypted.
    pub codec: Option<[u8; 4]>,
}

/// What an initialisation segment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Init {
    pub tracks: Vec<Track>,
}

/// Why an initialisation segment is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    #[error("the initialisation segment has no moov box")]
    NoMoov,
    #[error("the initialisation segment has no usable track")]
    NoTrack,
}

impl Init {
    /// Reads a whole initialisation segment. Tracks that lack something essential are left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, InitError> {
        Self::from_moov(boxes::find(bytes, b"moov").ok_or(InitError::NoMoov)?)
    }

    fn from_moov(moov: &[u8]) -> Result<Self, InitError> {
        let traks = boxes::iter(moov).filter(|(name, _)| name == b"trak").take(MAX_TRACKS);
        let tracks: Vec<_> = traks.filter_map(|(_, trak)| track(trak)).collect();
        if tracks.is_empty() { Err(InitError::NoTrack) } else { Ok(Self { tracks }) }
    }

    /// The track whose time places the segment.
    ///
    /// Video, if there is any: playback has to begin with its first frame, a key frame, while of
    /// audio that begins a little earlier nobody misses the bit that is cut off. All tracks share
    /// one timeline, so it places the others too.
    pub fn timing_track(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == TrackKind::Video).or(self.tracks.first())
    }
}

fn track(trak: &[u8]) -> Option<Track> {
    let mdia = boxes::find(trak, b"mdia")?;
    // Not with mp4-atom, which insists on a name in UTF-8. After version, flags and a reserved
    // word.
    let kind = match *boxes::find(mdia, b"hdlr")?.get(8..)?.first_chunk::<4>()? {
        handler if handler == *b"vide" => TrackKind::Video,
        handler if handler == *b"soun" => TrackKind::Audio,
        handler => TrackKind::Other(handler),
    };
    let timescale = read::<Mdhd>(mdia, b"mdhd")?.timescale;
    let edits = boxes::find(trak, b"edts").and_then(|edts| read::<Elst>(edts, b"elst"));
    // Entries without a media time only delay the track.
    let media_time = edits.and_then(|list| list.entries.iter().find_map(|entry| entry.media_time));
    let sample_entry = || {
        let stsd = boxes::find(boxes::find(boxes::find(mdia, b"minf")?, b"stbl")?, b"stsd")?;
        // After version, flags and the count of entries.
        boxes::iter(stsd.get(8..)?).next().map(|(name, _)| name)
    };
    (timescale > 0).then_some(Track {
        id: read::<Tkhd>(trak, b"tkhd")?.track_id,
        kind,
        timescale,
        media_time: media_time.unwrap_or(0),
        codec: sample_entry(),
    })
}

/// A track's ticks as time; None where that is absurd.
fn time(ticks: u128, track: &Track) -> Option<Duration> {
    let nanos = ticks * 1_000_000_000 / u128::from(track.timescale);
    nanos.try_into().ok().map(Duration::from_nanos)
}

/// Reads the first box called `name` in `bytes`.
fn read<A: Atom>(bytes: &[u8], name: &Name) -> Option<A> {
    A::decode_body(&mut boxes::find(bytes, name)?).ok()
}

/// Finds where a segment begins while it arrives. The answer does not depend on how it is cut.
#[derive(Debug)]
pub struct Scanner {
    init: Init,
    /// The box that is being read: all of it if it is of interest, else its header.
    current: Vec<u8>,
    /// Bytes of the present box to pass over.
    skip: u64,
    scanned: usize,
    settled: bool,
    /// First decode time of each track, by id, in ticks.
    decode_times: Vec<(u32, u64)>,
}

impl Scanner {
    /// A scanner for a segment that goes with `init`.
    pub fn new(init: Init) -> Self {
        Self { init, current: Vec::new(), skip: 0, scanned: 0, settled: false, decode_times: Vec::new() }
    }

    /// Takes the next bytes of the segment; does nothing once settled.
    pub fn push(&mut self, mut chunk: &[u8]) {
        while !self.settled && !chunk.is_empty() {
            let taken = if self.skip > 0 {
                let taken = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
                self.skip -= taken as u64;
                taken
            } else {
                let taken = self.missing().min(chunk.len());
                self.current.extend_from_slice(&chunk[..taken]);
                self.take_box();
                taken
            };
            chunk = &chunk[taken..];
            self.scanned += taken;
            self.settled |= self.scanned >= SCAN_LIMIT;
        }
    }

    /// No more bytes will come.
    pub fn finish(&mut self) {
        self.settled = true;
    }

    /// Whether the answer is final: the track that places the segment has been found, the segment
    /// has ended, or [`SCAN_LIMIT`] bytes have not shown it.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// Decode time of a track's first fragment, in its ticks: tfdt.
    pub fn decode_time(&self, track_id: u32) -> Option<u64> {
        self.decode_times.iter().find(|(id, _)| *id == track_id).map(|(_, time)| *time)
    }

    /// Where the segment begins on the clock of its own timestamps: (tfdt + media time of the edit
    /// list) / timescale, of [`Init::timing_track`] or, where that has no fragment here, of the
    /// track that begins first.
    pub fn media_start(&self) -> Option<Duration> {
        self.placing_track().map(|(_, start)| start)
    }

    /// What of [`Self::media_start`] is the edit list's: tracks that are apart in files of their own are on one clock
    /// without it.
    pub fn edit(&self) -> Option<Duration> {
        let (track, _) = self.placing_track()?;
        time(u128::from(track.media_time), track)
    }

    /// The track that places the segment, and where it begins.
    fn placing_track(&self) -> Option<(&Track, Duration)> {
        let start = |track: &Track| {
            time(u128::from(self.decode_time(track.id)?) + u128::from(track.media_time), track)
        };
        let placed = |track| Some((track, start(track)?));
        let timing = self.init.timing_track().and_then(placed);
        timing.or_else(|| self.init.tracks.iter().filter_map(placed).min_by_key(|(_, start)| *start))
    }

    /// How many bytes to collect next: up to the end of a header, or of a box of interest.
    fn missing(&self) -> usize {
        match Header::read(&self.current) {
            Some(Header { size: Some(size), .. }) => {
                usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(self.current.len()).max(1)
            }
            Some(_) => SCAN_LIMIT,
            None if self.current.len() < 8 => 8 - self.current.len(),
            None => Header::MAX - self.current.len(),
        }
    }

    /// Looks at what has been collected of a box.
    fn take_box(&mut self) {
        let Some(header) = Header::read(&self.current) else { return };
        // Garbage, or a box that goes on to the end: nothing of interest can follow.
        let (Some(size), Ok(Some(content))) = (header.size, header.content()) else {
            self.settled = true;
            return;
        };
        let of_interest = matches!(&header.name, b"moof" | b"moov") && size <= MAX_BOX;
        let collected = self.current.len() as u64;
        if of_interest && collected < size {
            return;
        }
        if of_interest {
            let content = &self.current[header.length..];
            match &header.name {
                // Some packagers repeat the initialisation in each segment.
                b"moov" => self.init = Init::from_moov(content).unwrap_or_else(|_| self.init.clone()),
                _ => self.take_moof_content(header.length),
            }
            let timing = self.init.timing_track();
            self.settled |= timing.is_some_and(|track| self.decode_time(track.id).is_some());
        } else {
            self.skip = content;
        }
        self.current.clear();
    }

    fn take_moof_content(&mut self, from: usize) {
        let trafs = boxes::iter(&self.current[from..]).filter(|(name, _)| name == b"traf").take(MAX_TRACKS);
        for (_, traf) in trafs {
            let (Some(head), Some(time)) = (read::<Tfhd>(traf, b"tfhd"), read::<Tfdt>(traf, b"tfdt")) else {
                continue;
            };
            let known = self.decode_times.iter().any(|(id, _)| *id == head.track_id);
            if !known && self.decode_times.len() < MAX_TRACKS {
                self.decode_times.push((head.track_id, time.base_media_decode_time));
            }
        }
    }
}

#[cfg(test)]
mod tests;
