// SPDX-License-Identifier: MPL-2.0

//! Places on the timeline: where playback begins, and what the wall clock says there.

use std::time::Duration;

use super::{PlacedSegment, Timeline};
use crate::manifest::Segment;

/// How many target durations from the end live playback begins: RFC 8216bis 6.3.3.
const HOLD_BACK_TARGETS: u32 = 3;

/// Playback of segments that come as they are made is aimed so much closer to the live edge than the publisher wants,
/// or a sixth of that: what he wants is the most, and what is lost on the way to the screen only adds to it.
const LEAD: Duration = Duration::from_millis(500);

impl Timeline {
    /// Where playback begins: RFC 8216bis 6.3.3 and 4.4.2.2.
    ///
    /// Live: at the start of a segment, no closer to the end than HOLD-BACK or three target
    /// durations; with low latency, see [`Self::low_latency_start`]. Otherwise: at EXT-X-START
    /// or at the beginning.
    pub fn start_position(&self) -> Duration {
        if let Some(start) = self.low_latency_start() {
            return start;
        }
        let (start, end) = self.window();
        let asked = self.latest.start_offset.map(|offset| {
            // In range: a window is some 500 years at most.
            let distance = Duration::try_from_secs_f64(offset.seconds.abs()).unwrap_or(Duration::MAX);
            let position = match offset.seconds < 0.0 {
                true => end.saturating_sub(distance),
                false => start.saturating_add(distance),
            };
            position.clamp(start, end)
        });
        if !self.is_live() {
            // At the very end there would be nothing to play.
            return asked.filter(|position| *position < end).unwrap_or(start);
        }
        let hold_back = self.hold_back();
        let latest = end.saturating_sub(hold_back);
        let position = asked.map_or(latest, |asked| asked.min(latest));
        let after = self.segments().partition_point(|placed| placed.start <= position);
        after.checked_sub(1).map_or(start, |index| self.segments()[index].start)
    }

    /// How far from the end of the last segment playback stays: HOLD-BACK, or three target
    /// durations.
    pub fn hold_back(&self) -> Duration {
        let default = || self.latest.target_duration.saturating_mul(HOLD_BACK_TARGETS);
        self.latest.server_control.hold_back.unwrap_or_else(default)
    }

    /// How far from [`Self::live_edge`] playback stays that takes parts: PART-HOLD-BACK, which the
    /// RFC wants to be two part durations at least and advises to be three (4.4.3.8). None: the
    /// playlist has no parts.
    pub fn part_hold_back(&self) -> Option<Duration> {
        let part = self.latest.part_target?;
        let asked = self.latest.server_control.part_hold_back;
        Some(asked.map_or(part.saturating_mul(3), |asked| asked.max(part.saturating_mul(2))))
    }

    /// How far from [`Self::live_edge`] playback stays where it is played with low latency: PART-HOLD-BACK where
    /// parts are played, a little less than the publisher's delay where segments come as they are made. None: it is
    /// neither, or not live.
    pub fn latency_target(&self) -> Option<Duration> {
        match () {
            () if !self.is_live() => None,
            () if self.is_in_parts() => self.part_hold_back(),
            () if self.latest.in_progress => {
                let wanted = self.hold_back().saturating_sub(self.left());
                Some(wanted - LEAD.min(wanted / 6))
            }
            () => None,
        }
    }

    /// What can be sought. Live ends where playback that begins there does not run dry at once: with the segment that
    /// is as far from the end as [`Self::start_position`] stays.
    pub fn seekable(&self) -> (Duration, Duration) {
        let (start, end) = self.window();
        let last = match self.closest_start() {
            _ if !self.is_live() => end,
            Some(closest) => closest,
            None => {
                let segment = self.at(end.saturating_sub(self.hold_back())).or(self.segments().front());
                segment.map_or(end, PlacedSegment::end)
            }
        };
        (start, last.max(start))
    }

    /// Where live playback begins with low latency, within a segment if need be; where a segment begins if
    /// EXT-X-START says so. What is fetched begins with [`Self::entry_at`], an independent part or a segment. None:
    /// there is no [`Self::latency_target`].
    pub fn low_latency_start(&self) -> Option<Duration> {
        self.closest_start().filter(|_| self.latest.start_offset.is_none())
    }

    /// How close to the live edge playback with low latency begins.
    fn closest_start(&self) -> Option<Duration> {
        let target = self.latency_target()?;
        Some(self.live_edge().saturating_sub(target).max(self.window().0))
    }

    /// Time until the segment in the making was whole, when the playlist was made.
    pub(super) fn left(&self) -> Duration {
        let progress = self.segments.back().and_then(|newest| newest.segment.progress);
        progress.map_or(Duration::ZERO, |progress| progress.left)
    }

    /// Position of a moment of wall clock, since 1970-01-01 UTC: the place of a date range, say.
    /// None: no segment that is listed has a clock, or the moment is before the timeline's zero.
    pub fn position_of(&self, clock: Duration) -> Option<Duration> {
        // The last segment that starts before it, as clocks may jump at discontinuities.
        let clocked = || self.segments.iter().filter_map(|p| Some((p, p.segment.program_date_time?)));
        let (placed, start) =
            clocked().rev().find(|(_, start)| *start <= clock).or_else(|| clocked().next())?;
        (placed.start.saturating_add(clock)).checked_sub(start)
    }

    /// Position of a time on the manifest's own timeline, in nanoseconds: the place of an event of an MPD, say.
    /// None: the manifest has none, or the time is before this timeline's zero.
    pub fn position_of_time(&self, time: i64) -> Option<Duration> {
        let position = i128::from(time) - i128::from(self.zero?);
        Some(Duration::from_nanos(u64::try_from(position).ok()?))
    }

    /// The time on the manifest's own timeline at `position`, in nanoseconds.
    pub fn time_at(&self, position: Duration) -> Option<i64> {
        i64::try_from(i128::from(self.zero?) + position.as_nanos() as i128).ok()
    }

    /// The time of a segment's media at the timeline's zero, in nanoseconds; may be negative. None: the manifest does
    /// not say, or what it says is absurd.
    pub fn media_zero(&self, segment: &Segment) -> Option<i64> {
        let zero = self.zero?.checked_add(segment.media_offset?)?;
        // There is room to add a position.
        (zero.unsigned_abs() < i64::MAX as u64 / 2).then_some(zero)
    }

    /// Wall clock at `position`, since 1970-01-01 UTC; None where the segment there has none.
    pub fn clock_at(&self, position: Duration) -> Option<Duration> {
        let placed = self.at(position)?;
        placed.segment.program_date_time?.checked_add(position - placed.start)
    }
}
