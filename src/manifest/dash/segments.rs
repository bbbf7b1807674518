// SPDX-License-Identifier: MPL-2.0

//! Where the segments of a representation are, in time and by address: ISO/IEC 23009-1 5.3.9.
//!
//! Segments are never listed here: a live stream without an end has any number of them. An
//! [`Index`] says how many there are and computes the one that is asked for.

use std::sync::Arc;

use super::mpd::Offset;
use super::template::Template;
use super::values::{Nanos, SECOND, nanos_to_ticks, ticks_to_nanos};
use crate::manifest::ByteRange;

/// How the segments of a representation are found.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressing {
    pub timing: Timing,
    pub source: Source,
    /// None: there is no initialisation segment, or it is in the media segments.
    pub init: Option<InitSource>,
}

/// What gives the addresses of segments.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// SegmentTemplate@media.
    Template(Template),
    /// SegmentList.
    List(Arc<[SegmentUrl]>),
    /// SegmentBase: an index within the file says where its segments are, see
    /// [`SegmentIndex`](super::sidx::SegmentIndex).
    Indexed {
        /// Where the index is, relative to the base; None: in the media file.
        index_url: Option<Arc<str>>,
        index_range: ByteRange,
    },
    /// The file at the base is the only segment.
    Whole,
}

/// SegmentURL; None is the base itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentUrl {
    pub media: Option<String>,
    pub media_range: Option<ByteRange>,
}

/// Where the initialisation segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitSource {
    Template(Template),
    /// Initialization: an address relative to the base (None: the base itself), and a range.
    Address {
        url: Option<Arc<str>>,
        range: Option<ByteRange>,
    },
}

/// The times of segments as the MPD gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Ticks in a second; at least 1.
    pub timescale: u64,
    /// The media's time at the start of the period, in ticks. The standard has no negative ones, but
    /// packagers do.
    pub presentation_time_offset: i64,
    /// In ticks; how long each segment takes.
    pub duration: Option<u64>,
    pub timeline: Option<Arc<[Entry]>>,
    /// Number of the first segment.
    pub start_number: i64,
    /// Number of the last segment.
    pub end_number: Option<i64>,
    /// How much earlier than at its end a segment is there. Those of the bases come on top.
    pub availability_offset: Offset,
    /// @availabilityTimeComplete: false where a segment can be asked for before it is whole; the
    /// answer then goes on as the segment does.
    pub complete: bool,
    /// Into how many parts each segment is cut, with `$SubNumber$` in its address; at least 1.
    pub parts: u64,
}

/// S of a SegmentTimeline: 5.3.9.6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Ticks; None: where the one before ends.
    pub time: Option<i64>,
    pub number: Option<i64>,
    /// Ticks; at least 1.
    pub duration: u64,
    /// How often it comes again; negative: up to the next, or to the end of the period.
    pub repeat: i64,
    /// As [`Timing::parts`].
    pub parts: Option<u64>,
}

/// A segment in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentTime {
    /// Counted from the first that the MPD lists.
    pub index: u64,
    /// `$Number$`.
    pub number: i64,
    /// `$Time$`, in ticks.
    pub time: i64,
    /// `$SubNumber$`, from 1.
    pub sub_number: u64,
    /// Nanoseconds from the start of the period; may be negative.
    pub start: Nanos,
    pub duration: Nanos,
    /// [`Self::start`] in seconds, as browsers come by it: their arithmetic decides a segment's id.
    pub start_seconds: f64,
}

impl SegmentTime {
    pub fn end(&self) -> Nanos {
        self.start.saturating_add(self.duration)
    }
}

/// More segments than can be counted: the representation goes on until further notice.
const OPEN: u64 = 1 << 60;

/// A row of segments of one duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Index of its first segment.
    first: u64,
    number: i64,
    /// Ticks.
    time: i64,
    duration: u64,
    /// Of segments; each in `parts`.
    count: u64,
    parts: u64,
}

impl Run {
    fn pieces(&self) -> u64 {
        self.count.saturating_mul(self.parts).min(OPEN)
    }

    fn end_index(&self) -> u64 {
        self.first.saturating_add(self.pieces())
    }

    /// Time of its piece `piece`, in ticks.
    fn time_of(&self, piece: u64) -> i128 {
        let passed = i128::from(piece) * i128::from(self.duration) / i128::from(self.parts);
        i128::from(self.time) + passed
    }

    /// How many of its pieces end at or before `ticks`.
    fn ended(&self, ticks: i128) -> u64 {
        let passed = ticks.saturating_sub(self.time.into()).max(0);
        let pieces = passed.saturating_mul(self.parts.into()) / i128::from(self.duration);
        u64::try_from(pieces).unwrap_or(OPEN).min(self.pieces())
    }
}

/// The segments of a representation within its period.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// In the order of time; none is empty.
    runs: Vec<Run>,
    timescale: u64,
    /// Ticks at the start of the period.
    origin: i64,
    /// The segments last as long as the MPD says they do, up to here.
    end: Option<Nanos>,
    /// Times come from a SegmentTimeline.
    listed: bool,
}

impl Index {
    /// `length` is that of the period, as far as it is known.
    pub(super) fn new(addressing: &Addressing, length: Option<Nanos>) -> Self {
        let timing = &addressing.timing;
        let limit = match &addressing.source {
            Source::List(urls) => urls.len() as u64,
            Source::Whole | Source::Indexed { .. } => 1,
            Source::Template(_) => OPEN,
        };
        // How many parts a segment has matters only where they have addresses.
        let cut = matches!(&addressing.source, Source::Template(template) if template.uses_sub_number());
        let mut index = Self {
            runs: Vec::new(),
            timescale: timing.timescale.max(1),
            origin: 0,
            end: length,
            listed: false,
        };
        match (&addressing.source, &timing.timeline, timing.duration) {
            (Source::Template(_) | Source::List(_), Some(timeline), _) => {
                index.listed = true;
                index.origin = timing.presentation_time_offset;
                index.add_timeline(timing, timeline, length, cut);
            }
            (Source::Template(_) | Source::List(_), None, Some(duration @ 1..)) => {
                let count = length.map_or(OPEN, |length| index.count_of(duration, length));
                index.runs.push(Run {
                    first: 0,
                    number: timing.start_number,
                    time: 0,
                    duration,
                    count,
                    parts: if cut { timing.parts.max(1) } else { 1 },
                });
            }
            // One segment, or such as say nothing of their time: they share the period.
            (source, ..) => {
                index.timescale = SECOND as u64;
                let count = if matches!(source, Source::List(_)) { limit } else { 1 };
                let length = u64::try_from(length.unwrap_or(0)).unwrap_or(0);
                index.runs.push(Run {
                    first: 0,
                    number: timing.start_number,
                    time: 0,
                    duration: length.div_ceil(count.max(1)).max(1),
                    count,
                    parts: 1,
                });
            }
        }
        let numbered = match timing.end_number {
            Some(end) if matches!(addressing.source, Source::Template(_)) => {
                let count = i128::from(end) - i128::from(timing.start_number) + 1;
                u64::try_from(count.max(0)).unwrap_or(OPEN)
            }
            _ => OPEN,
        };
        index.keep(limit.min(numbered));
        index
    }

    /// How many segments of `duration` ticks it takes to fill `length`. A last one of less than a
    /// millisecond is but the rounding of the period's duration.
    fn count_of(&self, duration: u64, length: Nanos) -> u64 {
        const SLIVER: Nanos = 1_000_000;
        let ticks = nanos_to_ticks(length.max(0), self.timescale);
        let (whole, rest) = (ticks / i128::from(duration), ticks % i128::from(duration));
        let more = whole == 0 && rest > 0 || ticks_to_nanos(rest, self.timescale) > SLIVER;
        u64::try_from(whole + i128::from(more)).unwrap_or(OPEN).min(OPEN)
    }

    fn add_timeline(&mut self, timing: &Timing, entries: &[Entry], length: Option<Nanos>, cut: bool) {
        let end =
            length.map(|length| nanos_to_ticks(length, self.timescale).saturating_add(self.origin.into()));
        let (mut time, mut number, mut first) = (0i128, i128::from(timing.start_number), 0u64);
        // Where the segment before begins: times that go back are not believed.
        let mut before = i128::MIN;
        for (position, entry) in entries.iter().enumerate() {
            if let Some(at) = entry.time.map(i128::from).filter(|at| *at > before) {
                time = at;
            }
            if let Some(at) = entry.number {
                number = at.into();
            }
            let duration = i128::from(entry.duration.max(1));
            let count = match u64::try_from(entry.repeat) {
                Ok(repeat) => repeat.saturating_add(1),
                Err(_) => {
                    let until = match entries.get(position + 1) {
                        Some(next) => next.time.map(i128::from),
                        None => end,
                    };
                    let fill = |until: i128| {
                        let left = until.saturating_sub(time).max(0);
                        u64::try_from((left + duration - 1) / duration).unwrap_or(OPEN)
                    };
                    // What is followed by something without a time cannot be counted: once, then.
                    let last = position + 1 == entries.len();
                    until.map_or(if last { OPEN } else { 1 }, fill)
                }
            }
            .min(OPEN);
            if count == 0 {
                continue;
            }
            let run = Run {
                first,
                number: clamp(number),
                time: clamp(time),
                duration: entry.duration.max(1),
                count,
                parts: if cut { entry.parts.unwrap_or(timing.parts).clamp(1, 1 << 16) } else { 1 },
            };
            first = run.end_index();
            number = number.saturating_add(count.into());
            before = time.saturating_add(duration.saturating_mul(i128::from(count) - 1));
            time = time.saturating_add(duration.saturating_mul(count.into()));
            self.runs.push(run);
            if first >= OPEN {
                break;
            }
        }
    }

    /// Forgets all segments but the first `count`.
    fn keep(&mut self, count: u64) {
        self.runs.retain(|run| run.first < count && run.count > 0);
        if let Some(last) = self.runs.last_mut() {
            // An end number counts whole segments; those are cut into parts by timelines only.
            last.count = last.count.min((count - last.first).div_ceil(last.parts));
        }
    }

    /// How many segments there are; None: they go on until further notice.
    pub fn count(&self) -> Option<u64> {
        let end = self.end_index();
        (end < OPEN).then_some(end)
    }

    fn end_index(&self) -> u64 {
        self.runs.last().map_or(0, Run::end_index)
    }

    /// Whether the MPD lists the segments one by one, or else only how long each is.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// The segment with this index.
    pub fn get(&self, index: u64) -> Option<SegmentTime> {
        let after = self.runs.partition_point(|run| run.first <= index);
        let run = self.runs.get(after.checked_sub(1)?)?;
        let piece = index.checked_sub(run.first).filter(|piece| *piece < run.pieces())?;
        let (time, next) = (run.time_of(piece), run.time_of(piece + 1));
        // Two that overlap: the second counts.
        let next = match self.runs.get(after) {
            Some(later) if piece + 1 == run.pieces() => next.min(later.time.into()),
            _ => next,
        };
        let relative = |ticks: i128| ticks_to_nanos(ticks.saturating_sub(self.origin.into()), self.timescale);
        let start = relative(time);
        let mut duration = relative(next).saturating_sub(start);
        // Unlike a listed one, the last of a row ends with the period.
        if let Some(end) = self.end.filter(|end| !self.listed && *end > start) {
            duration = duration.min(end - start);
        }
        let number = i128::from(run.number) + i128::from(piece / run.parts);
        let start_seconds = if self.listed {
            (time - i128::from(self.origin)) as f64 / self.timescale as f64
        } else {
            piece as f64 * (run.duration as f64 / self.timescale as f64)
        };
        Some(SegmentTime {
            index,
            number: clamp(number),
            time: clamp(time),
            sub_number: piece % run.parts + 1,
            start,
            duration,
            start_seconds,
        })
    }

    /// How many segments, from the first on, have ended at `position`, which is nanoseconds from the
    /// start of the period.
    pub fn ended_at(&self, position: Nanos) -> u64 {
        let ticks = nanos_to_ticks(position, self.timescale).saturating_add(self.origin.into());
        let ended = |run: &Run| run.time_of(1) <= ticks;
        let after = self.runs.partition_point(ended);
        match after.checked_sub(1).and_then(|last| self.runs.get(last)) {
            Some(run) => run.first.saturating_add(run.ended(ticks)),
            None => 0,
        }
    }

    /// How many segments, from the first on, have started before `position`.
    pub fn started_before(&self, position: Nanos) -> u64 {
        let (mut low, mut high) = (0, self.end_index());
        // The segments are in the order of their starts.
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(segment) if segment.start < position => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

fn clamp(number: i128) -> i64 {
    number.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}
