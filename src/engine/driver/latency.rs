// SPDX-License-Identifier: MPL-2.0

//! How far playback is behind the live edge, and holding it where it should be with low latency.
//!
//! Playback falls behind when it begins late or runs dry. It is brought back by position: what it has missed is
//! left out, once, and only where it was near the edge before. Who has paused or sought is where he wants to be.

use std::time::{Duration, Instant};

use super::Driver;
use crate::engine::Event;
use crate::manifest::Timeline;

/// So much further behind than it is aimed at is no reason to leave something out. Where segments come as they are made
/// this is what the publisher wants at most.
const TOLERANCE: Duration = Duration::from_millis(500);

/// What has been left out lately was enough; a line that cannot carry the stream is not helped by more of it.
const REST: Duration = Duration::from_secs(10);

/// Keeps an eye on it.
#[derive(Debug, Default)]
pub struct Latency {
    /// How far the playlist listed when it last told more, and when that was.
    edge: Option<(Duration, Instant)>,
    /// Playback is about where it should be.
    is_near: bool,
    /// It was, and is not for a reason that nobody has wished for.
    is_lost: bool,
    /// When something was left out last.
    left_out: Option<Instant>,
}

impl Latency {
    /// Playback begins.
    pub fn begin(&mut self) {
        (self.is_near, self.is_lost) = (false, true);
    }

    /// The application has gone somewhere else.
    pub fn leave(&mut self) {
        (self.is_near, self.is_lost) = (false, false);
    }

    /// Playback has run dry.
    pub fn run_dry(&mut self) {
        self.is_lost |= self.is_near;
    }

    /// The playlist has been loaded.
    pub fn note(&mut self, now: Instant, timeline: &Timeline) {
        let edge = timeline.live_edge();
        if self.edge.is_none_or(|(known, _)| known != edge) {
            self.edge = Some((edge, now));
        }
    }

    /// Since when the playlist has told no more, if it has told at all.
    pub fn since(&self) -> Option<Instant> {
        self.edge.map(|(_, at)| at)
    }

    /// How far `position` is behind what is made just now. That is not listed before `piece` is full.
    pub fn behind(&self, now: Instant, position: Duration, piece: Duration) -> Option<Duration> {
        let (edge, at) = self.edge?;
        let since = now.saturating_duration_since(at).min(piece);
        Some(edge.saturating_add(since).saturating_sub(position))
    }

    /// Whether something is to be left out for playback that goes on so far behind.
    fn is_to_catch_up(&mut self, now: Instant, behind: Duration, target: Duration) -> bool {
        self.is_near = behind <= target + TOLERANCE;
        if self.is_near {
            self.is_lost = false;
        }
        self.is_lost && self.left_out.is_none_or(|at| at + REST <= now)
    }
}

impl Driver {
    /// Playback is at `position` and goes on.
    pub(super) fn hold_latency(&mut self, now: Instant, position: Duration) {
        let Some(stream) = &self.tracks.main.stream else { return };
        let timeline = &stream.timeline;
        let target = timeline.low_latency_start().and_then(|_| timeline.latency_target());
        let behind = self.latency.behind(now, position, timeline.piece_duration());
        let Some((target, behind)) = target.zip(behind) else { return };
        let start = position.saturating_add(behind.saturating_sub(target));
        // What is gone to has to be here, or playback would run dry there. A segment that comes as it is made is whole when
        // it is old: half of what there can be is in hand then.
        let in_hand = timeline.piece_duration().min(target / 2);
        let is_held = self.buffered() >= start.saturating_add(in_hand);
        if self.latency.is_to_catch_up(now, behind, target) && is_held && start > position {
            log::info!(target: "p2phls-engine", "{behind:?} behind the live edge: going on at {start:?}");
            self.latency.left_out = Some(now);
            self.latency.leave();
            self.emit(Event::FellBehind(start));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_missed_is_left_out_once_and_only_where_it_was_not_wished_for() {
        let now = Instant::now();
        let target = Duration::from_millis(1_500);
        let mut latency = Latency::default();
        latency.begin();
        assert!(latency.is_to_catch_up(now, 4 * S, target), "it began late");
        latency.left_out = Some(now);
        assert!(!latency.is_to_catch_up(now + S, 4 * S, target), "not again and again");
        let later = now + REST;
        assert!(!latency.is_to_catch_up(later, 2 * S, target));
        assert!(!latency.is_to_catch_up(later, 4 * S, target), "it was paused");
        latency.run_dry();
        assert!(!latency.is_to_catch_up(later, 4 * S, target), "and had not come back");
        assert!(!latency.is_to_catch_up(later, 2 * S, target));
        latency.run_dry();
        assert!(latency.is_to_catch_up(later, 4 * S, target));
        latency.leave();
        assert!(!latency.is_to_catch_up(later, 4 * S, target), "it was sought");
    }

    #[test]
    fn what_is_in_the_making_counts() {
        let now = Instant::now();
        let latency = Latency { edge: Some((10 * S, now)), ..Latency::default() };
        assert_eq!(latency.behind(now, 8 * S, S), Some(2 * S));
        assert_eq!(latency.behind(now + S / 2, 8 * S, S), Some(5 * S / 2));
        assert_eq!(latency.behind(now + 9 * S, 8 * S, S), Some(3 * S), "the publisher may have stopped");
        assert_eq!(Latency::default().behind(now, S, S), None);
    }
}
