// SPDX-License-Identifier: MPL-2.0

//! Where the segments of a media playlist are on the presentation's timeline, across reloads.

mod parts;
mod placed;
mod position;

use std::collections::VecDeque;
use std::time::Duration;

pub use parts::MAX_PARTS;
use parts::PartLine;
pub use placed::{Piece, PlacedSegment};

use super::{Edge, MAX_SEGMENTS, MediaPlaylist, OpenSegment, PlaylistType, Segment};

/// Shortest wait between two loads of a playlist, whatever it says: a target duration of zero must
/// not make a player hammer the server.
const MIN_RELOAD_DELAY: Duration = Duration::from_millis(500);

/// What a reload has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No new segment. The playlist may have ended, though, and old segments may be gone.
    Unchanged,
    /// So many segments at the end.
    Appended(usize),
    /// No new segment, but parts, which are played.
    Parts,
    /// Segments were missed: the new ones do not follow those known, and their place on the
    /// timeline is an estimate.
    Jumped {
        /// How many media sequence numbers are missing.
        missed: u64,
    },
    /// The server began anew: the new segments follow the old ones on the timeline, but have
    /// nothing to do with them, and numbers may come a second time for other content.
    Restarted,
}

/// Why a reload could not be used; what was known before still holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// A server in trouble: its next answer may be whole again.
    #[error("the reloaded playlist lists no segments")]
    Empty,
}

/// The segments that can be played now, placed on a timeline that starts at zero with the first
/// segment ever seen and only ever grows.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Neighbours follow each other without a gap, in time and in number.
    segments: VecDeque<PlacedSegment>,
    /// Where the next new segment goes.
    end: Duration,
    numbering: Numbering,
    /// The time at zero on the manifest's own timeline, in nanoseconds, where it has one.
    zero: Option<i64>,
    ended: bool,
    /// The last load without its segments.
    latest: MediaPlaylist,
    /// The same in parts near the live edge, where parts are played. Numbers are of this list then, one by one.
    parts: Option<PartLine>,
}

/// How segments get their numbers. Browsers decide it when they first see the presentation, and
/// all viewers of a swarm must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    /// Seen live: by media sequence, and so it stays when the presentation ends.
    Sequence,
    /// Seen when it had ended: from zero, whatever the media sequence.
    Index,
}

impl Timeline {
    /// Starts the timeline with the first load of a playlist.
    pub fn new(playlist: MediaPlaylist) -> Self {
        let numbering = if playlist.ended { Numbering::Index } else { Numbering::Sequence };
        Self::starting_at(Duration::ZERO, numbering, playlist)
    }

    /// A timeline for another playlist of the same presentation (a variant to switch to, an audio
    /// rendition) with the same origin as this one.
    ///
    /// The manifest's own timeline tells where it belongs, or else wall clock; without these, equal media sequence
    /// numbers are taken to be the same moment, as packagers make them. What has ended begins where this one does.
    pub fn beside(&self, mut playlist: MediaPlaylist) -> Self {
        if let Some((zero, first)) = self.zero.zip(playlist.first_time) {
            let place = first.saturating_sub(zero);
            if place < 0 {
                leave_out(&mut playlist, place.unsigned_abs());
            }
            let place = Duration::from_nanos(place.try_into().unwrap_or(0));
            return Self::starting_at(place, self.numbering, playlist);
        }
        let place = match (self.segments.front(), playlist.segments.first()) {
            (Some(ours), Some(first)) if self.numbering == Numbering::Sequence => {
                self.by_wall_clock(first).unwrap_or_else(|| match self.by_sequence(first.sequence) {
                    Some(same) => same.start,
                    None if first.sequence < ours.segment.sequence => {
                        let earlier = ours.segment.sequence.abs_diff(first.sequence);
                        ours.start.saturating_sub(self.estimate(earlier))
                    }
                    None => self.after_gap(first),
                })
            }
            (Some(ours), _) => ours.start,
            (None, _) => self.end,
        };
        Self { zero: self.zero, ..Self::starting_at(place, self.numbering, playlist) }
    }

    fn starting_at(start: Duration, numbering: Numbering, mut playlist: MediaPlaylist) -> Self {
        let segments = std::mem::take(&mut playlist.segments);
        let mut timeline = Self {
            segments: VecDeque::with_capacity(segments.len()),
            end: start,
            numbering,
            zero: playlist.first_time.map(|first| before(first, start)),
            ended: playlist.ended,
            parts: parts::are_played(&playlist).then(PartLine::default),
            latest: playlist,
        };
        for segment in segments {
            timeline.append(segment);
        }
        timeline.follow_parts();
        timeline
    }

    /// Takes a reload of the same playlist. What is no longer listed is forgotten.
    ///
    /// A copy older than the last one, as a CDN's caches give, changes nothing.
    pub fn update(&mut self, playlist: MediaPlaylist) -> Result<Change, TimelineError> {
        let before = self.edge();
        let change = self.take(playlist)?;
        if let (Change::Jumped { .. } | Change::Restarted, Some(parts)) = (change, &mut self.parts) {
            parts.clear();
        }
        self.follow_parts();
        let is_new = change == Change::Unchanged && self.parts.is_some() && self.edge() != before;
        Ok(if is_new { Change::Parts } else { change })
    }

    fn take(&mut self, playlist: MediaPlaylist) -> Result<Change, TimelineError> {
        let Some(first) = playlist.segments.first() else {
            // A live playlist may be empty before its first segment.
            return if self.segments.is_empty() {
                Ok(self.extend(playlist, i64::MIN))
            } else {
                Err(TimelineError::Empty)
            };
        };
        let (Some(oldest), Some(newest)) = (self.segments.front(), self.segments.back()) else {
            return Ok(self.extend(playlist, i64::MIN));
        };
        let (oldest, newest) = (oldest.segment.sequence, newest.segment.sequence);
        let (first_sequence, last_sequence) =
            (first.sequence, first.sequence + playlist.segments.len() as i64 - 1);

        if first_sequence > newest + 1 {
            let place = self.by_wall_clock(first).unwrap_or_else(|| self.after_gap(first));
            self.end = self.end.max(place);
            self.segments.clear();
            self.extend(playlist, i64::MIN);
            return Ok(Change::Jumped { missed: first_sequence.abs_diff(newest + 1) });
        }
        if self.contradicts(&playlist) || (last_sequence < oldest && !self.is_old_copy(&playlist)) {
            self.ended = false;
            self.zero = None;
            self.segments.clear();
            self.extend(playlist, i64::MIN);
            return Ok(Change::Restarted);
        }
        let older = last_sequence == newest && !playlist.ended && playlist.edge() < self.edge();
        if last_sequence < newest || older {
            return Ok(Change::Unchanged);
        }
        // A delta update leaves out what is known.
        let still_listed = if playlist.skipped > 0 { playlist.media_sequence } else { first_sequence };
        while self.segments.front().is_some_and(|placed| placed.segment.sequence < still_listed) {
            self.segments.pop_front();
        }
        Ok(self.extend(playlist, newest))
    }

    /// The segments that can be played now, in order; parts where these are played.
    pub fn segments(&self) -> &VecDeque<PlacedSegment> {
        self.parts.as_ref().map_or(&self.segments, |parts| &parts.entries)
    }

    /// The segment with `number`.
    pub fn get(&self, number: i64) -> Option<&PlacedSegment> {
        let index = number.checked_sub(self.segments().front()?.number)?;
        self.segments().get(usize::try_from(index).ok()?)
    }

    /// The segment that holds `position`.
    pub fn at(&self, position: Duration) -> Option<&PlacedSegment> {
        let after = self.segments().partition_point(|placed| placed.start <= position);
        self.segments().get(after.checked_sub(1)?).filter(|placed| position < placed.end())
    }

    /// The segment to begin with for what is shown at `position`: of parts the nearest one that has a key frame at its
    /// start.
    pub fn entry_at(&self, position: Duration) -> Option<&PlacedSegment> {
        let mut entry = self.at(position)?;
        while !entry.is_independent()
            && let Some(before) = entry.number.checked_sub(1).and_then(|number| self.get(number))
        {
            entry = before;
        }
        Some(entry)
    }

    /// Start of the first segment and end of the last; both the same while there is none.
    pub fn window(&self) -> (Duration, Duration) {
        let end = self.parts.as_ref().and_then(PartLine::end).unwrap_or(self.end);
        (self.segments().front().map_or(self.end, |placed| placed.start), end)
    }

    /// Parts are played.
    pub fn is_in_parts(&self) -> bool {
        self.parts.is_some()
    }

    /// Playback can begin with any of the newest parts, and so with the next one.
    pub fn begins_with_any_part(&self) -> bool {
        const NEWEST: usize = 16;
        let newest = self.segments().iter().rev().filter(|placed| !placed.is_hinted()).take(NEWEST);
        let mut parts = newest.filter(|placed| placed.index().is_some()).peekable();
        parts.peek().is_some() && parts.all(PlacedSegment::is_independent)
    }

    /// Puts whole segments in the place of those in parts that are not listed as such any more; `may` says for the
    /// numbers of the parts of one whether it shall be so.
    pub fn fold(&mut self, may: impl Fn(std::ops::Range<i64>) -> bool) {
        if let Some(parts) = &mut self.parts {
            parts.fold(&self.segments, may);
        }
    }

    fn follow_parts(&mut self) {
        if let Some(parts) = &mut self.parts {
            parts.follow(&self.segments, self.end, &self.latest);
        }
    }

    /// Whether more segments may come.
    pub fn is_live(&self) -> bool {
        !self.ended && self.latest.playlist_type != Some(PlaylistType::Vod)
    }

    /// How long the presentation is, once that is settled.
    pub fn duration(&self) -> Option<Duration> {
        (!self.is_live()).then_some(self.end)
    }

    /// EXT-X-TARGETDURATION of the last load.
    pub fn target_duration(&self) -> Duration {
        self.latest.target_duration
    }

    /// The most that one of [`Self::segments`] takes near the live edge: a part where parts are played.
    pub fn piece_duration(&self) -> Duration {
        let part = self.latest.part_target.filter(|_| self.is_in_parts());
        part.unwrap_or(self.latest.target_duration)
    }

    /// The last load, without its segments: what the server can do, hints, reports, date ranges.
    pub fn latest(&self) -> &MediaPlaylist {
        &self.latest
    }

    /// The segment in progress, and its start on the timeline.
    pub fn open(&self) -> Option<(Duration, &OpenSegment)> {
        // Once the segment is whole, its parts are history.
        self.latest
            .open
            .as_ref()
            .filter(|open| open.sequence == self.edge().sequence)
            .map(|open| (self.end, open))
    }

    /// How far the playlist lists.
    pub fn edge(&self) -> Edge {
        let next = |last: &PlacedSegment| last.segment.sequence + 1;
        Edge::new(self.segments.back().map_or(self.latest.media_sequence, next), self.latest.open.as_ref())
    }

    /// End of the last part, or of the last segment where there are none beyond it; within the segment that is still
    /// being made, as far as it had got when the playlist was made.
    pub fn live_edge(&self) -> Duration {
        let listed = || self.end.saturating_sub(self.left());
        self.open().map_or_else(listed, |(start, open)| start.saturating_add(open.duration()))
    }

    /// How long to wait before the next load, where `changed` tells whether the last one brought
    /// something new: RFC 8216bis 6.3.4.
    ///
    /// After a change the next segment is due in the time that the last one takes, which is less
    /// than the target duration with some packagers; otherwise in half a target duration.
    pub fn reload_delay(&self, changed: bool) -> Duration {
        let delay = match self.segments.back() {
            Some(last) if changed => last.segment.duration.min(self.latest.target_duration),
            _ => self.latest.target_duration / 2,
        };
        delay.max(MIN_RELOAD_DELAY)
    }

    /// Takes the segments newer than `newest`, and the addresses of those known: a playlist may
    /// sign them anew with each load. Durations stay, or else the timeline would shift.
    fn extend(&mut self, mut playlist: MediaPlaylist, newest: i64) -> Change {
        let segments = std::mem::take(&mut playlist.segments);
        if let Some(first) = playlist.first_time.filter(|_| self.segments.is_empty()) {
            // What was empty so far begins where the manifest says.
            self.end = self.end.max(self.position_of_time(first).unwrap_or_default());
            self.zero.get_or_insert(before(first, self.end));
        }
        self.ended |= playlist.ended;
        self.latest = playlist;
        let mut appended = 0;
        for segment in segments {
            if segment.sequence > newest {
                self.append(segment);
                appended += 1;
            } else if let Some(known) = self.by_sequence_mut(segment.sequence) {
                known.segment = Segment { duration: known.segment.duration, ..segment };
            }
        }
        if appended == 0 { Change::Unchanged } else { Change::Appended(appended) }
    }

    fn append(&mut self, segment: Segment) {
        let number = match self.numbering {
            Numbering::Sequence => segment.sequence,
            Numbering::Index => self.segments.back().map_or(0, |last| last.number + 1),
        };
        let placed = PlacedSegment { number, start: self.end, piece: Piece::Whole, segment };
        self.end = placed.end();
        self.segments.push_back(placed);
        if self.segments.len() > MAX_SEGMENTS {
            self.segments.pop_front();
        }
    }

    fn by_sequence(&self, sequence: i64) -> Option<&PlacedSegment> {
        let index = sequence.checked_sub(self.segments.front()?.segment.sequence)?;
        self.segments.get(usize::try_from(index).ok()?)
    }

    fn by_sequence_mut(&mut self, sequence: i64) -> Option<&mut PlacedSegment> {
        let index = sequence.checked_sub(self.segments.front()?.segment.sequence)?;
        self.segments.get_mut(usize::try_from(index).ok()?)
    }

    /// Whether the wall clock shows that the same media sequence numbers now mean other content.
    /// Addresses and durations cannot show it: the first may be signed anew, the second are often
    /// all the same.
    fn contradicts(&self, playlist: &MediaPlaylist) -> bool {
        let tolerance = self.latest.target_duration.max(playlist.target_duration);
        let newest = playlist.segments.iter().rev().find_map(|new| {
            let known = self.by_sequence(new.sequence)?.segment.program_date_time?;
            Some(known.abs_diff(new.program_date_time?))
        });
        newest.is_some_and(|difference| difference > tolerance)
    }

    /// Whether a playlist that lies wholly before the window is an old copy from a cache, rather
    /// than a server that began anew. The wall clock tells; without it, how far back it is.
    fn is_old_copy(&self, playlist: &MediaPlaylist) -> bool {
        let (Some(oldest), Some(theirs)) = (self.segments.front(), playlist.segments.last()) else {
            return false;
        };
        match (oldest.segment.program_date_time, theirs.program_date_time) {
            (Some(ours), Some(theirs)) => theirs <= ours,
            _ => oldest.segment.sequence.abs_diff(theirs.sequence) <= self.segments.len() as u64,
        }
    }

    /// The place of a segment by its wall clock; None where that is unknown, or so far from what
    /// is known here that the clock must have been set.
    fn by_wall_clock(&self, segment: &Segment) -> Option<Duration> {
        const BELIEVABLE: Duration = Duration::from_secs(24 * 3_600);
        let known = self.segments.iter().rev().find(|placed| placed.segment.program_date_time.is_some())?;
        let (ours, theirs) = (known.segment.program_date_time?, segment.program_date_time?);
        if ours.abs_diff(theirs) > BELIEVABLE {
            return None;
        }
        (known.start + theirs).checked_sub(ours)
    }

    /// The place of a segment after those known, by media sequence.
    fn after_gap(&self, segment: &Segment) -> Duration {
        let newest = self.segments.back().map_or(segment.sequence, |last| last.segment.sequence);
        let missed = segment.sequence.saturating_sub(newest).saturating_sub(1).max(0);
        self.end.saturating_add(self.estimate(missed.unsigned_abs()))
    }

    /// How long `count` segments take, going by those known.
    fn estimate(&self, count: u64) -> Duration {
        let start = self.segments.front().map_or(self.end, |placed| placed.start);
        let end = self.end;
        let mean = match u32::try_from(self.segments.len()) {
            Ok(known @ 1..) => (end - start) / known,
            _ => self.latest.target_duration,
        };
        mean.saturating_mul(count.try_into().unwrap_or(u32::MAX))
    }
}

/// The time so long before `time`, in nanoseconds.
fn before(time: i64, by: Duration) -> i64 {
    time.saturating_sub(by.as_nanos().try_into().unwrap_or(i64::MAX))
}

/// Leaves out so many nanoseconds at the beginning.
fn leave_out(playlist: &mut MediaPlaylist, nanos: u64) {
    playlist.first_time = playlist.first_time.map(|first| first.saturating_add_unsigned(nanos));
    let mut left = Duration::from_nanos(nanos);
    playlist.segments.retain_mut(|segment| {
        let cut = left.min(segment.duration);
        left -= cut;
        segment.duration -= cut;
        // What is empty and was so before is no matter of the cut.
        cut.is_zero() || !segment.duration.is_zero()
    });
}

#[cfg(test)]
mod tests;
