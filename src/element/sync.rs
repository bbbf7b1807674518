// SPDX-License-Identifier: MPL-2.0

//! The clock that the media of all tracks share, as the main track has found it.
//!
//! Segments of two playlists do not begin at the very same moment, and durations in playlists are rounded. But
//! timestamps of all renditions are on one clock between two discontinuities (RFC 8216bis 6.2.4). So the main track
//! says which media time it shows at which position, and the others go by that.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::container::ts::WRAP;

/// Discontinuities that are remembered: tracks are seconds apart, not hours.
const MAX_OFFSETS: usize = 8;

/// The main track is waited for so long and no longer, whatever happens to it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who waits looks so often whether it still should: that may change between the look and the wait.
const LOOK: Duration = Duration::from_millis(100);

/// A place by the clock that is further from what the playlist says is not believed.
const BELIEVABLE: i64 = 10_000_000_000;

/// Media time minus position, for each discontinuity sequence number.
#[derive(Debug, Default)]
pub struct SharedClock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    offsets: VecDeque<(u64, i64)>,
    /// Where the main track's segment in work begins, in nanoseconds.
    position: Option<i64>,
    /// The main track says nothing any more.
    done: bool,
}

impl SharedClock {
    /// The main track has come to a segment.
    pub fn come_to(&self, position: i64) {
        self.state.lock().unwrap().position = Some(position);
        self.changed.notify_all();
    }

    /// The main track shows media time `position + offset` at `position`, both in nanoseconds.
    pub fn set(&self, sequence: u64, offset: i64) {
        let mut state = self.state.lock().unwrap();
        state.offsets.retain(|(known, _)| *known != sequence);
        if state.offsets.len() >= MAX_OFFSETS {
            state.offsets.pop_front();
        }
        state.offsets.push_back((sequence, offset));
        drop(state);
        self.changed.notify_all();
    }

    /// The main track has ended.
    pub fn finish(&self) {
        self.state.lock().unwrap().done = true;
        self.changed.notify_all();
    }

    /// Waits until the main track has ended, or until `stop` holds; tells which.
    pub fn wait_for_end(&self, stop: impl Fn() -> bool) -> bool {
        let mut state = self.state.lock().unwrap();
        while !state.done && !stop() {
            state = self.changed.wait_timeout(state, LOOK).unwrap().0;
        }
        state.done
    }

    /// Begins anew after a seek.
    pub fn restart(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// Wakes who waits, to look whether it still should.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits until the main track has said what there is to know for a segment at `position`, or until `stop` holds.
    pub fn wait(&self, sequence: u64, position: i64, stop: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().unwrap();
        while !state.knows(sequence, position) && !stop() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left.min(LOOK)).unwrap().0;
        }
    }

    /// Where media time `media` belongs that the playlist has between `position` and `slack` after it; all in
    /// nanoseconds. None: that is not known, or is far from there.
    pub fn place(&self, sequence: u64, media: i64, position: i64, slack: i64) -> Option<i64> {
        let state = self.state.lock().unwrap();
        let (_, offset) = state.offsets.iter().find(|(known, _)| *known == sequence)?;
        near(media.saturating_sub(*offset), position, slack)
    }
}

impl State {
    fn knows(&self, sequence: u64, position: i64) -> bool {
        self.done
            || self.offsets.iter().any(|(known, _)| *known == sequence)
            // It has no such discontinuity.
            || self.position.is_some_and(|main| main > position)
    }
}

/// `time`, or what it is some wraps of the MPEG-2 clock away, if that is about at `position`.
pub fn near(time: i64, position: i64, slack: i64) -> Option<i64> {
    let believable = |time: &i64| {
        (position.saturating_sub(BELIEVABLE)..=position.saturating_add(slack).saturating_add(BELIEVABLE))
            .contains(time)
    };
    if believable(&time) {
        return Some(time);
    }
    let off = time.saturating_sub(position).checked_rem_euclid(WRAP)?;
    let off = if off > WRAP / 2 { off - WRAP } else { off };
    Some(position + off).filter(believable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn others_go_by_the_main_track() {
        let clock = SharedClock::default();
        assert_eq!(clock.place(0, 7 * S, 4 * S, 0), None, "nothing is known");
        clock.set(0, 10 * S);
        assert_eq!(clock.place(0, 14 * S + 5, 4 * S, 0), Some(4 * S + 5));
        assert_eq!(clock.place(1, 14 * S + 5, 4 * S, 0), None, "another clock");
        assert_eq!(clock.place(0, 70 * S, 4 * S, 0), None, "not believed");
        assert_eq!(clock.place(0, 70 * S, 4 * S, 60 * S), Some(60 * S));
        // The clock has wrapped in between.
        clock.set(2, WRAP - S);
        assert_eq!(clock.place(2, 3 * S, 4 * S, 0), Some(4 * S));
        // The other track has not, or is a wrap ahead in what is said of it.
        clock.set(3, 0);
        assert_eq!(clock.place(3, WRAP - S, 0, 0), Some(-S));
        assert_eq!(clock.place(3, WRAP + S, 0, 0), Some(S));
        assert_eq!(clock.place(3, -4 * S, 0, 0), Some(-4 * S));
        clock.restart();
        assert_eq!(clock.place(0, 14 * S + 5, 4 * S, 0), None);
    }

    #[test]
    fn who_waits_goes_on_when_it_is_known_or_never_will_be() {
        let clock = SharedClock::default();
        clock.set(3, 0);
        clock.wait(3, 0, || false);
        clock.come_to(5 * S);
        clock.wait(4, 4 * S, || false);
        clock.wait(4, 6 * S, || true);
        clock.finish();
        clock.wait(4, 6 * S, || false);
    }
}
