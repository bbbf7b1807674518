// SPDX-License-Identifier: MPL-2.0

//! The timeline of a stream whose parts are played: RFC 8216bis 4.4.4.9.
//!
//! Near the live edge each part is a segment of its own. What is listed without parts, because it was old when
//! the stream was first seen, is one whole segment. What has been placed as parts stays so, with the same
//! numbers, until somebody who has not played it yet has the whole take its place ([`PartLine::fold`]):
//! servers list, and keep, the parts of the newest three target durations only.

use std::collections::VecDeque;
use std::time::Duration;

use super::placed::{Piece, PlacedSegment};
use crate::manifest::{HintKind, MAX_SEGMENTS, MediaPlaylist, OpenSegment, Part, Segment};

/// So many parts of a segment have a name in the swarm; where there may be more, segments are played whole.
pub const MAX_PARTS: usize = 64;

/// Segments and parts in the order in which they are played.
#[derive(Clone, Debug, Default)]
pub(super) struct PartLine {
    /// Neighbours follow each other without a gap, in number, and but for what was missed in time.
    pub entries: VecDeque<PlacedSegment>,
    /// The number of the next one.
    next: i64,
}

/// Whether a playlist is one whose parts are played: its server says how far from the end, and holds answers back
/// until the next part is there.
pub(super) fn are_played(playlist: &MediaPlaylist) -> bool {
    let server = &playlist.server_control;
    !playlist.ended
        && playlist.part_target.is_some_and(|part| {
            !part.is_zero() && part.saturating_mul(MAX_PARTS as u32) >= playlist.target_duration
        })
        && server.can_block_reload
        && server.part_hold_back.is_some()
        // Others have no room for names.
        && playlist.media_sequence >= 0
}

impl PartLine {
    /// Nothing of what is here goes on. What comes has other numbers, so that who waits for the next one sees that
    /// it is not that.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.next += 1;
    }

    /// End of the last that is there, which a hint is not; None: nothing is.
    pub fn end(&self) -> Option<Duration> {
        self.entries.iter().rev().find(|entry| !entry.is_hinted()).map(PlacedSegment::end)
    }

    /// Takes what is listed now: the segments, and beyond them, from `end` on, the one in progress.
    pub fn follow(&mut self, segments: &VecDeque<PlacedSegment>, end: Duration, latest: &MediaPlaylist) {
        while self.entries.back().is_some_and(PlacedSegment::is_hinted) {
            self.entries.pop_back();
            self.next -= 1;
        }
        if let Some(oldest) = segments.front().map(|oldest| oldest.segment.sequence) {
            while self.entries.front().is_some_and(|entry| entry.segment.sequence < oldest) {
                self.entries.pop_front();
            }
        }
        if segments.iter().any(|whole| self.is_misplaced(whole)) || self.goes_back(segments, end) {
            self.clear();
        }
        let oldest = self.entries.front().map(|entry| entry.segment.sequence);
        for whole in
            segments.iter().filter(|whole| oldest.is_none_or(|oldest| whole.segment.sequence >= oldest))
        {
            self.take_whole(whole);
        }
        let open = latest
            .open
            .as_ref()
            .filter(|open| segments.back().is_none_or(|newest| open.sequence > newest.segment.sequence));
        if let Some(open) = open.filter(|open| are_usable(&open.parts) && open.key.is_none()) {
            self.take_parts(&of_open(open, latest), end, &open.parts);
        }
        self.take_hint(segments, end, open, latest);
        while self.entries.len() > MAX_SEGMENTS {
            self.entries.pop_front();
        }
    }

    /// A segment has been placed elsewhere when all that was known of it was parts: the server has gone back, or has
    /// never listed one whole that was in progress.
    fn is_misplaced(&self, whole: &PlacedSegment) -> bool {
        let known = self.of(whole.segment.sequence);
        let first = self.entries.get(known.start).filter(|_| !known.is_empty());
        first.is_some_and(|first| first.is_beginning() && first.start != whole.start)
    }

    /// What was in progress stands where a segment before it has turned out to be.
    fn goes_back(&self, segments: &VecDeque<PlacedSegment>, end: Duration) -> bool {
        let beyond =
            segments.back().and_then(|newest| self.entries.get(self.of(newest.segment.sequence).end));
        beyond.is_some_and(|beyond| beyond.start < end)
    }

    /// A segment that is listed whole.
    fn take_whole(&mut self, whole: &PlacedSegment) {
        let segment = &whole.segment;
        let known = self.of(segment.sequence);
        if known.end != self.entries.len() && known.is_empty() {
            return;
        }
        let in_parts = are_usable(&segment.parts) && !segment.gap && segment.key.is_none();
        match self.entries.get(known.start).filter(|_| !known.is_empty()).map(|first| first.piece) {
            None if !in_parts => {
                self.push(whole.start, Piece::Whole, bare(segment));
            }
            Some(Piece::Whole) => {
                // Addresses may be signed anew with each load.
                let entry = &mut self.entries[known.start];
                if entry.segment.url != segment.url {
                    entry.segment = bare(segment);
                }
            }
            _ if in_parts => {
                self.take_parts(segment, whole.start, &segment.parts);
                self.keep_within(whole);
                // Durations of parts are rounded, as is that of the whole.
                if let Some(last) =
                    self.entries.back_mut().filter(|last| last.segment.sequence == segment.sequence)
                {
                    last.segment.duration = whole.end().saturating_sub(last.start);
                }
            }
            _ => self.keep_within(whole),
        }
    }

    /// Parts do not go beyond the end of their segment, whatever they say.
    fn keep_within(&mut self, whole: &PlacedSegment) {
        let known = self.of(whole.segment.sequence);
        for entry in self.entries.range_mut(known) {
            entry.start = entry.start.min(whole.end());
            entry.segment.duration = entry.segment.duration.min(whole.end() - entry.start);
        }
    }

    /// The parts of a segment that begins at `start`, as far as they are known by now.
    fn take_parts(&mut self, of: &Segment, start: Duration, parts: &[Part]) {
        let (known, count) = (self.of(of.sequence), self.entries.len());
        let mut start = start;
        for (index, part) in parts.iter().enumerate() {
            match self.entries.get_mut(known.start + index).filter(|_| index < known.len()) {
                Some(entry) => {
                    if entry.segment.url != part.url {
                        entry.segment.url = part.url.clone();
                    }
                    start = entry.end();
                }
                // Parts that come to be known when the next segment has begun are late.
                None if known.end < count => return,
                None => {
                    let piece = Piece::Part { index: index as u32, independent: part.independent };
                    start = self.push(start, piece, of_part(of, parts, index));
                }
            }
        }
    }

    /// The part that is announced before it is there, if it is a file of its own: an open range would go on with the
    /// parts after it.
    fn take_hint(
        &mut self,
        segments: &VecDeque<PlacedSegment>,
        end: Duration,
        open: Option<&OpenSegment>,
        latest: &MediaPlaylist,
    ) {
        let Some(target) = latest.part_target.filter(|_| !latest.ended) else { return };
        let of_kind = |kind| latest.preload_hints.iter().find(move |hint| hint.kind == kind);
        // A new initialisation segment is one that nothing is known of yet.
        let hint = of_kind(HintKind::Part).filter(|_| of_kind(HintKind::Map).is_none());
        let Some(hint) = hint.filter(|hint| hint.start == 0 && hint.length.is_none()) else { return };
        let newest = segments.back().map(|newest| &newest.segment);
        let last = open
            .map(|open| &open.parts)
            .or(newest.map(|newest| &newest.parts))
            .and_then(|parts| parts.last());
        if last.is_none_or(|last| last.byte_range.is_some()) {
            return;
        }
        let (of, index, start) = match (open, newest) {
            (Some(open), _) => (of_open(open, latest), open.parts.len(), self.end().unwrap_or(end)),
            (None, Some(newest)) => {
                let sequence = newest.sequence.saturating_add(1);
                let clock = newest.program_date_time.and_then(|clock| clock.checked_add(newest.duration));
                (Segment { sequence, program_date_time: clock, ..bare(newest) }, 0, end)
            }
            (None, None) => return,
        };
        // What it would go on with has to be here in parts.
        let goes_on = index == 0 || self.of(of.sequence).len() == index;
        let is_new = || !self.entries.iter().rev().take(MAX_PARTS).any(|entry| entry.segment.url == hint.url);
        if of.key.is_none() && goes_on && index < MAX_PARTS && is_new() {
            let segment =
                Segment { url: hint.url.clone(), byte_range: None, duration: target, gap: false, ..of };
            self.push(start, Piece::Hinted { index: index as u32 }, segment);
        }
    }

    /// Puts whole segments in the place of those in parts that are not listed as such any more. `may` says for the
    /// numbers of one whether it has to be so.
    pub fn fold(&mut self, segments: &VecDeque<PlacedSegment>, may: impl Fn(std::ops::Range<i64>) -> bool) {
        let Some(first) = self.entries.front().map(|first| first.number) else { return };
        for whole in segments {
            let known = self.of(whole.segment.sequence);
            let is_in_parts = self.entries.get(known.start).is_some_and(|first| first.index() == Some(0));
            let is_listed = !whole.segment.parts.is_empty() && whole.segment.parts.len() == known.len();
            let numbers = first + known.start as i64..first + known.end as i64;
            if known.is_empty() || !is_in_parts || is_listed || !may(numbers) {
                continue;
            }
            for (at, entry) in self.entries.range_mut(known).enumerate() {
                if at == 0 {
                    (entry.piece, entry.start) = (Piece::Whole, whole.start);
                    entry.segment = bare(&whole.segment);
                } else {
                    (entry.piece, entry.start) = (Piece::Absorbed, whole.end());
                    entry.segment.duration = Duration::ZERO;
                }
            }
        }
    }

    /// Which of the entries belong to a segment.
    fn of(&self, sequence: i64) -> std::ops::Range<usize> {
        let first = self.entries.partition_point(|entry| entry.segment.sequence < sequence);
        let end = self.entries.partition_point(|entry| entry.segment.sequence <= sequence);
        first..end
    }

    /// Gives the end of what has been put at the end.
    fn push(&mut self, start: Duration, piece: Piece, segment: Segment) -> Duration {
        // Of a segment that has never been listed whole nobody knows where it ends.
        let start = self.entries.back().map_or(start, |last| start.max(last.end()));
        let placed = PlacedSegment { number: self.next, start, piece, segment };
        let end = placed.end();
        self.next += 1;
        self.entries.push_back(placed);
        end
    }
}

fn are_usable(parts: &[Part]) -> bool {
    (1..=MAX_PARTS).contains(&parts.len())
}

/// The segment in progress, as far as its parts share it.
fn of_open(open: &OpenSegment, latest: &MediaPlaylist) -> Segment {
    Segment {
        discontinuity_sequence: open.discontinuity_sequence,
        init: open.init.clone(),
        key: open.key.clone(),
        keys: open.keys.clone(),
        program_date_time: open.program_date_time,
        ..Segment::new(latest.url.clone(), Duration::ZERO, open.sequence)
    }
}

/// One part as a segment.
fn of_part(of: &Segment, parts: &[Part], index: usize) -> Segment {
    let part = &parts[index];
    let before =
        parts[..index].iter().map(|part| part.duration).fold(Duration::ZERO, Duration::saturating_add);
    Segment {
        url: part.url.clone(),
        byte_range: part.byte_range,
        duration: part.duration,
        program_date_time: of.program_date_time.and_then(|clock| clock.checked_add(before)),
        gap: part.gap,
        ..bare(of)
    }
}

/// A segment without the list of its parts.
fn bare(segment: &Segment) -> Segment {
    Segment { parts: Vec::new(), ..segment.clone() }
}
