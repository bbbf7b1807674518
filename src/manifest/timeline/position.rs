// SPDX-License-Identifier: MPL-2.0

//! Places on the timeline: where playback begins, and what the wall clock says there.

use std::time::Duration;

use super::Timeline;

/// How many target durations from the end live playback begins: RFC 8216bis 6.3.3.
const HOLD_BACK_TARGETS: u32 = 3;

/// From where playback is to begin to the first picture it takes about so long, in which the live edge moves on.
const HEAD_START: Duration = Duration::from_millis(500);

impl Timeline {
    /// Where playback begins: RFC 8216bis 6.3.3 and 4.4.2.2.
    ///
    /// Live: at the start of a segment, no closer to the end than HOLD-BACK or three target
    /// durations; where parts are played, see [`Self::low_latency_start`]. Otherwise: at EXT-X-START
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

    /// Where live playback begins of segments that come as they are made: at the distance that the publisher
    /// wants, less what beginning takes, in the middle of a segment if need be. None: segments are whole.
    pub fn exact_start(&self) -> Option<Duration> {
        if !self.latest.in_progress || !self.is_live() || self.latest.start_offset.is_some() {
            return None;
        }
        let (start, end) = self.window();
        let left = self.segments.back()?.segment.progress.map_or(Duration::ZERO, |progress| progress.left);
        let hold_back = self.hold_back();
        let head_start = HEAD_START.min(hold_back.saturating_sub(left) / 4);
        Some(end.saturating_sub(hold_back).saturating_add(head_start).clamp(start, end))
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

    /// Where live playback begins that takes parts: PART-HOLD-BACK from the live edge, or where a segment
    /// begins if EXT-X-START says so. What is fetched begins with [`Self::entry_at`], an independent part or a
    /// segment. None: this is not live, or has no parts that are played.
    pub fn low_latency_start(&self) -> Option<Duration> {
        if !self.is_live() || !self.is_in_parts() || self.latest.start_offset.is_some() {
            return None;
        }
        let latest = self.live_edge().saturating_sub(self.part_hold_back()?);
        Some(latest.max(self.window().0))
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
        let (place, listed) = self.first_listed()?;
        let position = i128::from(time) - i128::from(listed) + place.as_nanos() as i128;
        Some(Duration::from_nanos(u64::try_from(position).ok()?))
    }

    /// The time on the manifest's own timeline at `position`, in nanoseconds.
    pub fn time_at(&self, position: Duration) -> Option<i64> {
        let (place, listed) = self.first_listed()?;
        i64::try_from(i128::from(listed) + position.as_nanos() as i128 - place.as_nanos() as i128).ok()
    }

    /// Position and time of the first segment of the last load.
    fn first_listed(&self) -> Option<(Duration, i64)> {
        let first = self.by_sequence(self.latest.media_sequence)?;
        Some((first.start, self.latest.first_time?))
    }

    /// Wall clock at `position`, since 1970-01-01 UTC; None where the segment there has none.
    pub fn clock_at(&self, position: Duration) -> Option<Duration> {
        let placed = self.at(position)?;
        placed.segment.program_date_time?.checked_add(position - placed.start)
    }
}
