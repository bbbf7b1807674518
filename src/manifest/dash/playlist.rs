// SPDX-License-Identifier: MPL-2.0

//! One track of all periods -> a media playlist.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::addresses::Address;
use super::mpd::{AdaptationSet, Base, Mpd, Offset, Period, Representation};
use super::protection::{ContentProtection, sample_keys};
use super::segments::SegmentTime;
use super::sidx::SegmentIndex;
use super::values::{Nanos, SECOND, duration_of, ticks_to_nanos};
use super::{DashError, Kind};
use crate::manifest::{
    InbandEvents, Init, Key, MAX_SEGMENTS, MediaPlaylist, PlaylistType, Progress, Segment,
};

/// Most segments of a live stream that are listed, the newest: five hours of two-second ones. The time
/// shift buffer of many has no end, and the list is made anew with each segment.
const MAX_LIVE_SEGMENTS: usize = 10_000;

/// Most bytes of addresses in a playlist.
const MAX_ADDRESS_BYTES: usize = 64 << 20;

/// A hole between two segments that is no more than rounding or the end of the last audio frame.
const SMALL_HOLE: Nanos = SECOND / 5;

/// How far behind the clock a stream is played whose segments can be asked for before they are whole, where the
/// MPD does not say: as far as its peers need to pass on segments of two seconds.
const LOW_LATENCY: Duration = Duration::from_secs(3);

/// Closer to the clock there would be nothing to show at times, whatever the MPD says.
const LOWEST_LATENCY: Duration = Duration::from_secs(1);

/// Chunks are taken to be so long at least and at most, and so long where nothing tells.
const SHORTEST_CHUNK: Nanos = SECOND / 10;
const LONGEST_CHUNK: Nanos = 4 * SECOND;
const USUAL_CHUNK: Nanos = SECOND;

/// A property that says that a period goes on where the one before ended, time stamps and all:
/// ISO/IEC 23009-1 5.3.2.4.
const CONTINUITY: &str = "urn:mpeg:dash:period-continuity:2015";

/// The numbers that a track's segments and periods have been given. An MPD has none that would hold
/// across periods, and old ones leave it.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    /// Start and end of each segment that was listed last, in order.
    segments: Vec<(Nanos, Nanos)>,
    /// Media sequence number of the first of them.
    first: i64,
    /// Periods that were listed last: id and start, and the discontinuities before them.
    periods: Vec<(Option<String>, Nanos, u64)>,
}

/// Puts a playlist together, period by period.
pub(super) struct Builder<'a> {
    mpd: &'a Mpd,
    now: Duration,
    playlist: MediaPlaylist,
    /// Start of each segment.
    starts: Vec<Nanos>,
    /// Where the last segment ends; before it where a static presentation begins.
    cursor: Option<Nanos>,
    /// Each period that has segments: how many come before it, and whether it continues the last.
    periods: Vec<(usize, &'a Period, bool)>,
    room: usize,
    /// The latest that can be fetched but is still being made.
    delay: Nanos,
}

impl<'a> Builder<'a> {
    pub fn new(mpd: &'a Mpd, url: &Url, now: Duration) -> Self {
        // What is there at once begins with its first period, and every track does.
        let beginning = || mpd.periods.first().and_then(|period| period.start);
        Self {
            mpd,
            now,
            playlist: MediaPlaylist::new(url.clone()),
            starts: Vec::new(),
            cursor: (!mpd.dynamic).then(beginning).flatten(),
            periods: Vec::new(),
            room: MAX_ADDRESS_BYTES,
            delay: 0,
        }
    }

    /// Adds what can be fetched of a representation. `index` is that of a single file.
    pub fn add(
        &mut self,
        period: &'a Period,
        set: &AdaptationSet,
        representation: &Representation,
        base: &Base,
        index: Option<&SegmentIndex>,
    ) -> Result<(), DashError> {
        let Some(period_start) = period.start else { return Ok(()) };
        self.trim();
        let before = self.playlist.segments.len();
        let init = representation
            .init(base)?
            .map(|Address { url, byte_range }| Arc::new(Init { url, byte_range, key: None }));
        let protections: Vec<&ContentProtection> = representation.all_protections(set).collect();
        let common = Common {
            keys: sample_keys(&protections),
            encryption: protections.iter().find_map(|p| p.segment_encryption.as_deref()),
            init,
            media_offset: media_offset(period_start, representation),
            events: inband_events(set, representation),
            early: (self.mpd.dynamic && !representation.availability_complete())
                .then(|| representation.availability_offset())
                .filter(|early| *early != Offset::None),
        };
        self.playlist.in_progress |= common.early.is_some();
        match index {
            Some(index) => {
                let offset = &representation.addressing.timing;
                let offset = ticks_to_nanos(offset.presentation_time_offset.into(), offset.timescale);
                let Address { url, .. } = representation
                    .index_address(base)?
                    .unwrap_or_else(|| Address { url: base.url.clone(), byte_range: None });
                for (place, segment) in index.segments().enumerate() {
                    let start = segment.start.saturating_sub(offset);
                    let end = start.saturating_add(segment.duration);
                    let spot = Spot { index: place as u64, start, end, independent: true };
                    let seconds = start as f64 / SECOND as f64;
                    let address = Address { url: url.clone(), byte_range: Some(segment.byte_range) };
                    self.push(period, period_start, &common, spot, seconds, address)?;
                }
            }
            None => {
                let segments = representation.index(period);
                let available = self.mpd.available(period, representation, &segments, self.now);
                let count = available.end.saturating_sub(available.first);
                let (limit, first) = match self.mpd.dynamic {
                    true => (MAX_LIVE_SEGMENTS, available.end.saturating_sub(MAX_LIVE_SEGMENTS as u64)),
                    false => (MAX_SEGMENTS, 0),
                };
                if count > limit as u64 && !self.mpd.dynamic {
                    return Err(DashError::TooManySegments { period: period.name(), count, limit });
                }
                for at in available.first.max(first)..available.end {
                    let Some(segment) = segments.get(at) else { break };
                    let SegmentTime { index, start, start_seconds, sub_number, .. } = segment;
                    let address = representation.segment(base, &segment)?;
                    let independent = representation
                        .cadence
                        .is_none_or(|cadence| sub_number.saturating_sub(1).is_multiple_of(cadence));
                    let spot = Spot { index, start, end: segment.end(), independent };
                    if !self.push(period, period_start, &common, spot, start_seconds, address)? {
                        break;
                    }
                }
            }
        }
        if self.playlist.segments.len() > before {
            let continues = continuity(set, before, &self.periods);
            self.periods.push((before, period, continues));
        }
        if self.mpd.dynamic && matches!(set.kind, Kind::Video | Kind::Audio) {
            let edge = self.cursor.unwrap_or(Nanos::MIN);
            self.delay = edge.saturating_sub(self.mpd.position_at(self.now)).max(0);
        }
        Ok(())
    }

    /// Adds a segment, as far as it is within its period; false: it lies behind it.
    fn push(
        &mut self,
        period: &Period,
        period_start: Nanos,
        common: &Common<'_>,
        spot: Spot,
        seconds: f64,
        Address { url, byte_range }: Address,
    ) -> Result<bool, DashError> {
        let (mut start, mut end) =
            (period_start.saturating_add(spot.start), period_start.saturating_add(spot.end));
        if let Some(limit) = period.end {
            if start >= limit {
                return Ok(false);
            }
            end = end.min(limit);
        }
        if end <= period_start {
            return Ok(true);
        }
        start = start.max(period_start);
        let too_many = |count: usize, limit| DashError::TooManySegments {
            period: period.name(),
            count: count as u64,
            limit,
        };
        if self.playlist.segments.len() + 1 >= MAX_SEGMENTS {
            return Err(too_many(self.playlist.segments.len() + 2, MAX_SEGMENTS));
        }
        self.room = self
            .room
            .checked_sub(url.as_str().len())
            .ok_or_else(|| too_many(self.starts.len(), self.starts.len()))?;
        start = self.bridge(start, &url);
        let key = match common.encryption {
            Some(encryption) => encryption.key(&self.mpd.url, spot.index).map(Arc::new),
            None => common.keys.last().cloned(),
        };
        let clock = |start| self.mpd.availability_start.saturating_add(duration_of(start));
        let segment = Segment {
            url,
            byte_range,
            duration: duration_of(end.saturating_sub(start)),
            sequence: 0,
            discontinuity_sequence: 0,
            init: common.init.clone(),
            keys: match (&key, common.encryption) {
                (Some(key), Some(_)) => Arc::new([key.clone()]),
                _ => common.keys.clone(),
            },
            key,
            program_date_time: self.mpd.dynamic.then(|| clock(start)),
            independent: spot.independent,
            gap: false,
            bitrate: None,
            parts: Vec::new(),
            progress: self.progress(common, start, end),
            time: Some(period_start as f64 / SECOND as f64 + seconds),
            media_offset: Some(common.media_offset),
            inband_events: common.events.clone(),
        };
        self.playlist.segments.push(segment);
        self.starts.push(start);
        self.cursor = Some(end.max(start));
        Ok(true)
    }

    /// How far a segment is, where it can be asked for before it is whole.
    fn progress(&self, common: &Common<'_>, start: Nanos, end: Nanos) -> Option<Progress> {
        let early = common.early?;
        let left = end.saturating_sub(self.mpd.position_at(self.now));
        // It is there for as long before its end as its first chunk is there.
        let chunk = match early {
            Offset::By(early) => end.saturating_sub(start).saturating_sub(early),
            Offset::Always | Offset::None => USUAL_CHUNK,
        };
        let chunk = chunk.clamp(SHORTEST_CHUNK, LONGEST_CHUNK);
        (left > 0).then(|| Progress { left: duration_of(left), chunk: duration_of(chunk) })
    }

    /// Fills a hole before `start`, so that the durations add up to the MPD's times. Says where the
    /// segment then begins: a small hole is part of it, since what is before it may be known already.
    fn bridge(&mut self, start: Nanos, url: &Url) -> Nanos {
        let Some(cursor) = self.cursor else { return start };
        let hole = start.saturating_sub(cursor);
        if hole <= SMALL_HOLE {
            return cursor;
        }
        let last = self.playlist.segments.last();
        let clock = last.and_then(|last| last.program_date_time?.checked_add(last.duration));
        let gap = Segment {
            gap: true,
            init: last.and_then(|last| last.init.clone()),
            program_date_time: clock,
            time: Some(cursor as f64 / SECOND as f64),
            ..Segment::new(last.map_or(url, |last| &last.url).clone(), duration_of(hole), 0)
        };
        self.playlist.segments.push(gap);
        self.starts.push(cursor);
        self.cursor = Some(start);
        start
    }

    /// Forgets the oldest segments of a live stream.
    fn trim(&mut self) {
        let surplus = self.playlist.segments.len().saturating_sub(MAX_LIVE_SEGMENTS);
        if !self.mpd.dynamic || surplus == 0 {
            return;
        }
        self.room += self.playlist.segments[..surplus].iter().map(|s| s.url.as_str().len()).sum::<usize>();
        self.playlist.segments.drain(..surplus);
        self.starts.drain(..surplus);
        // A period of which nothing is left.
        let last_gone = self.periods.iter().rposition(|(before, ..)| *before <= surplus);
        self.periods.drain(..last_gone.unwrap_or(0));
        self.periods.iter_mut().for_each(|(before, ..)| *before = before.saturating_sub(surplus));
    }

    pub fn finish(mut self, numbers: &mut Numbers) -> MediaPlaylist {
        let live = self.mpd.is_live(self.now);
        self.trim();
        let end = self.cursor.unwrap_or(0);
        let spans: Vec<_> = self
            .starts
            .iter()
            .zip(self.starts.iter().skip(1).chain([&end]))
            .map(|(start, end)| (*start, *end))
            .collect();
        let discontinuities = numbers.periods_of(&self.periods);
        numbers.take(spans, self.mpd.dynamic);

        let playlist = &mut self.playlist;
        let mut periods = self.periods.iter().zip(&discontinuities).peekable();
        let mut discontinuity = discontinuities.first().copied().unwrap_or(0);
        playlist.discontinuity_sequence = discontinuity;
        for (place, segment) in playlist.segments.iter_mut().enumerate() {
            while let Some(((_, _, _), number)) = periods.next_if(|((before, ..), _)| *before <= place) {
                discontinuity = *number;
            }
            segment.sequence = numbers.first.saturating_add(place as i64);
            segment.discontinuity_sequence = discontinuity;
        }
        playlist.media_sequence = numbers.first;
        playlist.first_time = self.starts.first().copied();
        playlist.ended = !live;
        playlist.playlist_type = (!self.mpd.dynamic).then_some(PlaylistType::Vod);
        let longest =
            playlist.segments.iter().filter(|segment| !segment.gap).map(|segment| segment.duration).max();
        playlist.target_duration = longest.or(self.mpd.max_segment_duration).unwrap_or_default();
        if live {
            // The publisher counts from now, the model from the end of the last segment.
            let ahead = duration_of(self.delay);
            let delay = match (self.mpd.presentation_delay(), playlist.in_progress) {
                (delay, false) => delay,
                (delay, true) => Some(delay.unwrap_or(LOW_LATENCY).max(LOWEST_LATENCY)),
            };
            playlist.server_control.hold_back = delay.map(|delay| delay.saturating_add(ahead));
        }
        self.playlist
    }
}

/// What all segments of a representation have in common.
struct Common<'a> {
    keys: Arc<[Arc<Key>]>,
    encryption: Option<&'a super::SegmentEncryption>,
    init: Option<Arc<Init>>,
    media_offset: Nanos,
    events: Option<Arc<InbandEvents>>,
    /// How much earlier than at their end they are there, where they then come as they are made.
    early: Option<Offset>,
}

/// The events that a representation's segments are said to carry; None: none.
fn inband_events(set: &AdaptationSet, representation: &Representation) -> Option<Arc<InbandEvents>> {
    let streams = representation.inband_events.iter().chain(&set.inband_events);
    let schemes: Vec<_> = streams.map(|stream| (stream.scheme.clone(), stream.value.clone())).collect();
    (!schemes.is_empty()).then(|| Arc::new(InbandEvents { schemes }))
}

/// The time of a representation's media minus that of the MPD: ISO/IEC 23009-1 5.3.9.2, @presentationTimeOffset.
fn media_offset(period_start: Nanos, representation: &Representation) -> Nanos {
    let timing = &representation.addressing.timing;
    let offset = ticks_to_nanos(timing.presentation_time_offset.into(), timing.timescale);
    offset.saturating_sub(period_start)
}

/// Where a segment is within its period.
struct Spot {
    index: u64,
    start: Nanos,
    end: Nanos,
    /// Playback can begin there.
    independent: bool,
}

/// Whether a period goes on where the last one in the playlist ended.
fn continuity(set: &AdaptationSet, before: usize, periods: &[(usize, &Period, bool)]) -> bool {
    let Some((_, last, _)) = periods.last().filter(|_| before > 0) else { return false };
    let continues = |id: &str| last.id.as_deref() == Some(id);
    set.supplemental_properties
        .iter()
        .any(|property| property.is(CONTINUITY) && property.value.as_deref().is_some_and(continues))
}

impl Numbers {
    /// The number of discontinuities before each period.
    fn periods_of(&mut self, periods: &[(usize, &Period, bool)]) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(periods.len());
        let mut known = Vec::with_capacity(periods.len());
        for (_, period, continues) in periods {
            let start = period.start.unwrap_or(0);
            let same = |(id, at, _): &&(Option<String>, Nanos, u64)| match (id, &period.id) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => *at == start,
            };
            let number = match (self.periods.iter().find(same), numbers.last()) {
                (Some((_, _, number)), last) if last.is_none_or(|last| number >= last) => *number,
                (_, Some(last)) => last + u64::from(!continues),
                // None of those before is left.
                (_, None) => self.periods.last().map_or(0, |(_, _, number)| number + 1),
            };
            numbers.push(number);
            known.push((period.id.clone(), start, number));
        }
        if !known.is_empty() {
            self.periods = known;
        }
        numbers
    }

    /// Gives segments the numbers that they have, or that follow. Those of a live stream that begins
    /// here count from its beginning, so that two tracks of it have about the same.
    fn take(&mut self, spans: Vec<(Nanos, Nanos)>, dynamic: bool) {
        let Some((start, end)) = spans.first().copied() else { return };
        self.first = match (self.segments.first(), self.segments.last()) {
            (Some((oldest, _)), Some((_, edge))) => {
                // The middle of a segment is in the same one as before, even where times were rounded
                // in another way.
                let middle = start + (end - start) / 2;
                let after = self.segments.partition_point(|(start, _)| *start <= middle) as i64;
                if middle >= *oldest && middle < *edge {
                    self.first.saturating_add(after - 1)
                } else {
                    let length = (end - start).max(1);
                    let count = self.segments.len() as i64;
                    let missed = if start >= *edge { (start - edge) / length } else { 0 };
                    let earlier =
                        if start < *oldest { (oldest - start).div_euclid(length).max(1) } else { 0 };
                    match earlier {
                        0 => self.first.saturating_add(count).saturating_add(missed),
                        earlier => self.first.saturating_sub(earlier),
                    }
                }
            }
            _ if dynamic => start.div_euclid((end - start).max(1)),
            _ => 0,
        };
        self.segments = spans;
    }
}
