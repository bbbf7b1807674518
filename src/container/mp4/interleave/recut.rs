// SPDX-License-Identifier: MPL-2.0

//! The tables of a fragment: read, and written anew for parts of it.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use mp4_atom::{Atom, Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trex, Trun, TrunEntry};

use crate::container::boxes::{self, Name};
use crate::container::mp4::{Init, MAX_TRACKS, read};

/// Most samples of a fragment. A table without columns could announce any number of them.
const MAX_COUNT: usize = 1 << 18;
/// Of a sample's flags, the bit that says that it is no key frame: ISO/IEC 14496-12, 8.8.3.1.
const NON_SYNC_SAMPLE: u32 = 0x1_0000;
/// Bytes of the header that is written before samples.
const MDAT_HEADER: usize = 8;

/// What the initialisation segment says of the tracks: time scale and defaults for samples.
#[derive(Debug, Default)]
pub(in crate::container::mp4) struct Tracks(Vec<(u32, u32, Trex)>);

impl Tracks {
    /// Without a track that could be used, no fragment will be understood.
    pub fn read(init: &[u8]) -> Self {
        let scales = Init::parse(init).unwrap_or_default().tracks;
        let mvex = boxes::find(init, b"moov").and_then(|moov| boxes::find(moov, b"mvex"));
        let defaults = boxes::iter(mvex.unwrap_or_default()).filter(|(name, _)| name == b"trex");
        let defaults =
            defaults.take(MAX_TRACKS).filter_map(|(_, mut trex)| Trex::decode_body(&mut trex).ok());
        let track = |trex: Trex| {
            let scale = scales.iter().find(|track| track.id == trex.track_id)?.timescale;
            Some((trex.track_id, scale, trex))
        };
        Self(defaults.filter_map(track).collect())
    }
}

/// A fragment of several tracks.
#[derive(Debug)]
pub(in crate::container::mp4) struct Fragment {
    head: Mfhd,
    runs: Vec<Run>,
}

/// The samples of one track.
#[derive(Debug)]
struct Run {
    head: Tfhd,
    timescale: u32,
    samples: Vec<Sample>,
    /// Decode time after the last sample.
    end: u64,
}

#[derive(Debug)]
struct Sample {
    /// Decode time in ticks.
    time: u64,
    /// Each field is set, except for the composition offset.
    entry: TrunEntry,
    /// Where its bytes are, counted from the start of the fragment.
    at: Range<usize>,
}

/// A fragment that is part of another.
#[derive(Debug)]
pub(in crate::container::mp4) struct Cut {
    /// All that comes before the samples.
    pub head: Bytes,
    /// Where the samples are, counted from the start of the old fragment, and where the last ends.
    pub samples: Vec<Range<usize>>,
    pub end: usize,
}

impl Fragment {
    /// Reads the content of a `moof`; None if it has but one track or something that is not
    /// understood.
    pub fn read(moof: &[u8], tracks: &Tracks) -> Option<Self> {
        if !has_only(moof, &[b"mfhd", b"traf"]) {
            return None;
        }
        let trafs = || boxes::iter(moof).filter(|(name, _)| name == b"traf");
        if !(2..=MAX_TRACKS).contains(&trafs().count()) {
            return None;
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut left = MAX_COUNT;
        for (_, traf) in trafs() {
            let run = Run::read(traf, tracks, left)?;
            left -= run.samples.len();
            if runs.iter().any(|other| other.head.track_id == run.head.track_id) {
                return None;
            }
            runs.push(run);
        }
        Some(Self { head: read(moof, b"mfhd")?, runs })
    }

    /// The first key frame of a track in the content of a `moof`, as a fragment of its own; or its first sample, if none is
    /// said to be one. None if there is none, or that is not understood.
    pub fn key_frame(moof: &[u8], tracks: &Tracks, track: u32) -> Option<Cut> {
        let trafs = boxes::iter(moof).filter(|(name, _)| name == b"traf").take(MAX_TRACKS);
        let of_track = |traf: &&[u8]| read::<Tfhd>(traf, b"tfhd").is_some_and(|head| head.track_id == track);
        let traf = trafs.map(|(_, traf)| traf).find(of_track)?;
        let fragment = Self { head: read(moof, b"mfhd")?, runs: vec![Run::read(traf, tracks, MAX_COUNT)?] };
        let run = &fragment.runs[0];
        let is_key = |sample: &Sample| sample.entry.flags.is_none_or(|flags| flags & NON_SYNC_SAMPLE == 0);
        let index = run.samples.iter().position(is_key).unwrap_or(0);
        fragment.cut(&[(run, &run.samples[index..=index])])
    }

    pub fn lasts_longer_than(&self, limit: Duration) -> bool {
        self.runs.iter().any(|run| run.nanos(run.end) - run.nanos(run.samples[0].time) > limit.as_nanos())
    }

    /// Cuts the fragment at multiples of `slot`; its samples' bytes have to be in `payload`. None
    /// if they are not, or the parts cannot be written.
    pub fn cuts(&self, slot: Duration, payload: Range<usize>) -> Option<Vec<Cut>> {
        let samples = || self.runs.iter().flat_map(|run| &run.samples);
        let inside = samples().all(|sample| sample.at.start >= payload.start && sample.at.end <= payload.end);
        // Samples that share bytes could make much out of little.
        let length = samples().try_fold(0usize, |sum, sample| sum.checked_add(sample.at.len()))?;
        if !inside || length > payload.len() {
            return None;
        }
        let start = self.runs.iter().map(|run| run.nanos(run.samples[0].time)).min()?;
        let slot_of = |run: &Run, sample: &Sample| (run.nanos(sample.time) - start) / slot.as_nanos();
        let mut cuts = Vec::new();
        // Of each run, the sample to go on with.
        let mut next = vec![0; self.runs.len()];
        loop {
            let waiting =
                self.runs.iter().zip(&next).filter_map(|(run, at)| Some((run, run.samples.get(*at)?)));
            let Some(current) = waiting.map(|(run, sample)| slot_of(run, sample)).min() else {
                return Some(cuts);
            };
            let mut parts = Vec::new();
            for (run, at) in self.runs.iter().zip(&mut next) {
                let rest = &run.samples[*at..];
                // Decode times do not decrease.
                let (part, _) = rest.split_at(rest.partition_point(|sample| slot_of(run, sample) <= current));
                if !part.is_empty() {
                    *at += part.len();
                    parts.push((run, part));
                }
            }
            cuts.push(self.cut(&parts)?);
        }
    }

    /// A fragment of some samples.
    fn cut(&self, parts: &[(&Run, &[Sample])]) -> Option<Cut> {
        // Number and all: the numbers of those that follow are taken, and no reader goes by them.
        let mut moof = Moof { mfhd: self.head.clone(), traf: Vec::new() };
        let mut samples: Vec<Range<usize>> = Vec::new();
        for (run, part) in parts {
            let tfdt = Tfdt { base_media_decode_time: part.first()?.time };
            let entries: Vec<_> = part.iter().map(|sample| sample.entry).collect();
            let trun = Trun { data_offset: Some(0), samples: entries.into() };
            let head = run.head.clone();
            moof.traf.push(Traf { tfhd: head, tfdt: Some(tfdt), trun: vec![trun], ..Traf::default() });
            for at in part.iter().map(|sample| &sample.at) {
                match samples.last_mut() {
                    Some(last) if last.end == at.start => last.end = at.end,
                    _ => samples.push(at.clone()),
                }
            }
        }
        // Once for the size, which the offsets depend on.
        let mut head = Vec::new();
        moof.encode(&mut head).ok()?;
        let mut offset = head.len() + MDAT_HEADER;
        for (traf, (_, part)) in moof.traf.iter_mut().zip(parts) {
            traf.trun[0].data_offset = Some(i32::try_from(offset).ok()?);
            offset += part.iter().map(|sample| sample.at.len()).sum::<usize>();
        }
        let size = u32::try_from(offset - head.len()).ok()?;
        head.clear();
        moof.encode(&mut head).ok()?;
        head.extend_from_slice(&size.to_be_bytes());
        head.extend_from_slice(b"mdat");
        let end = samples.iter().map(|range| range.end).max()?;
        Some(Cut { head: head.into(), samples, end })
    }
}

impl Run {
    /// Reads the content of a `traf` that has a sample, and at most so many.
    fn read(traf: &[u8], tracks: &Tracks, mut left: usize) -> Option<Self> {
        if !has_only(traf, &[b"tfhd", b"tfdt", b"trun"]) {
            return None;
        }
        let head: Tfhd = read(traf, b"tfhd")?;
        // Anything else counts from a place that is not known here or that readers disagree about.
        if !head.default_base_is_moof || head.base_data_offset.is_some() || head.duration_is_empty {
            return None;
        }
        let (_, timescale, defaults) = tracks.0.iter().find(|(id, ..)| *id == head.track_id)?;
        let mut time = read::<Tfdt>(traf, b"tfdt")?.base_media_decode_time;
        let mut samples = Vec::new();
        // Where the next run of samples is if it does not say so.
        let mut follows = None;
        for (_, mut trun) in boxes::iter(traf).filter(|(name, _)| name == b"trun") {
            let trun = Trun::decode_body(&mut trun).ok()?;
            left = left.checked_sub(trun.samples.len())?;
            let mut from = match trun.data_offset {
                Some(offset) => usize::try_from(offset).ok()?,
                None => follows?,
            };
            for entry in &trun.samples {
                let size = entry.size.or(head.default_sample_size).unwrap_or(defaults.default_sample_size);
                let duration = entry.duration.or(head.default_sample_duration);
                let duration = duration.unwrap_or(defaults.default_sample_duration);
                let flags =
                    entry.flags.or(head.default_sample_flags).unwrap_or(defaults.default_sample_flags);
                let to = from.checked_add(usize::try_from(size).ok()?)?;
                let entry = TrunEntry {
                    duration: Some(duration),
                    size: Some(size),
                    flags: Some(flags),
                    cts: entry.cts,
                };
                samples.push(Sample { time, entry, at: from..to });
                time = time.checked_add(duration.into())?;
                from = to;
            }
            follows = Some(from);
        }
        (!samples.is_empty()).then_some(Self { head, timescale: *timescale, samples, end: time })
    }

    fn nanos(&self, ticks: u64) -> u128 {
        u128::from(ticks) * 1_000_000_000 / u128::from(self.timescale)
    }
}

/// Whether `bytes` are boxes of these names and nothing else.
fn has_only(bytes: &[u8], names: &[&Name]) -> bool {
    let known = boxes::iter(bytes).take_while(|(name, _)| names.contains(&name));
    known.map(|(_, content)| content.len() + 8).sum::<usize>() == bytes.len()
}
