// SPDX-License-Identifier: MPL-2.0

//! Which key frames are shown where playback goes by these alone.
//!
//! A film may have one every second or every tenth of it. Nobody sees more than a few different pictures a second as
//! such, and each takes a request: so the faster playback goes, the more are passed over.

use std::time::Duration;

use crate::rate::{Direction, Rate};

/// Time between two of them by the clock: six a second.
const PACE: Duration = Duration::from_nanos(1_000_000_000 / 6);

/// Playback by key frames alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sweep {
    pub direction: Direction,
    pub rate: Rate,
    /// Where it begins.
    pub from: Duration,
    /// Where it ends: what begins there or later is not shown forward, what begins before it is not backward. None:
    /// with the last key frame that there is.
    pub until: Option<Duration>,
}

impl Sweep {
    /// How much of the film lies between two frames at least, on the whole.
    pub fn step(&self) -> Duration {
        self.rate.media_in(PACE)
    }

    /// Where the next frame is due after one that is so far from where it all begins: at a multiple of the step, so that
    /// there are as many as there may be, whatever lies between key frames.
    fn due(&self, gone: Duration) -> Duration {
        let step = self.step().as_nanos().max(1);
        let nanos = (gone.as_nanos() / step + 1).saturating_mul(step);
        Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
    }

    /// The next key frame to show, as an index into `starts`, where key frames begin, in order. `last` is where the one
    /// before begins, `reached` where playback is: who is late passes over what could not be shown any more. None: there
    /// is none.
    pub fn next(&self, starts: &[Duration], last: Option<Duration>, reached: Duration) -> Option<usize> {
        match self.direction {
            Direction::Forward => {
                let earliest = last.map_or(self.from, |last| {
                    self.from.saturating_add(self.due(last.saturating_sub(self.from))).max(reached)
                });
                // What was shown last is not shown again.
                let shown = last.map_or(0, |last| starts.partition_point(|start| *start <= last));
                let index = starts.partition_point(|start| *start < earliest).max(shown);
                let start = starts.get(index)?;
                self.until.is_none_or(|until| *start < until).then_some(index)
            }
            Direction::Backward => {
                let index = match last {
                    // What begins at the very end of a segment is not in it.
                    None => starts.partition_point(|start| *start < self.from),
                    Some(last) => {
                        let gone = self.due(self.from.saturating_sub(last));
                        let latest = self.from.checked_sub(gone)?.min(reached);
                        let shown = starts.partition_point(|start| *start < last);
                        starts.partition_point(|start| *start <= latest).min(shown)
                    }
                }
                .checked_sub(1)?;
                self.until.is_none_or(|until| starts[index] >= until).then_some(index)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn seconds(count: u32) -> Vec<Duration> {
        (0..count).map(|n| S * n).collect()
    }

    fn sweep(direction: Direction, rate: f64, from: u32, until: Option<u32>) -> Sweep {
        let rate = Rate::new(rate).expect("a good rate");
        Sweep { direction, rate, from: S * from, until: until.map(|until| S * until) }
    }

    /// What is shown by a player that is never late.
    fn shown(sweep: Sweep, starts: &[Duration]) -> Vec<u64> {
        let reached = match sweep.direction {
            Direction::Forward => Duration::ZERO,
            Direction::Backward => Duration::MAX,
        };
        let mut last = None;
        let mut shown = Vec::new();
        while let Some(index) = sweep.next(starts, last, reached) {
            last = Some(starts[index]);
            shown.push(starts[index].as_secs());
        }
        shown
    }

    #[test]
    fn they_come_in_the_order_in_which_they_are_passed() {
        use Direction::{Backward, Forward};
        let starts = seconds(6);
        assert_eq!(shown(sweep(Forward, 2.0, 0, None), &starts), [0, 1, 2, 3, 4, 5]);
        assert_eq!(shown(sweep(Forward, 2.0, 2, Some(5)), &starts), [2, 3, 4]);
        assert_eq!(shown(sweep(Backward, 2.0, 6, None), &starts), [5, 4, 3, 2, 1, 0]);
        assert_eq!(shown(sweep(Backward, 2.0, 4, Some(2)), &starts), [3, 2]);
        for (direction, from) in [(Forward, 6), (Backward, 0)] {
            assert_eq!(shown(sweep(direction, 2.0, from, None), &starts), [0; 0]);
            assert_eq!(shown(sweep(direction, 2.0, from, None), &[]), [0; 0]);
        }
    }

    #[test]
    fn the_faster_it_goes_the_more_are_passed_over() {
        use Direction::{Backward, Forward};
        let starts = seconds(3_600);
        for rate in [8.0, 16.0, 32.0] {
            for (direction, from) in [(Forward, 0), (Backward, 3_600)] {
                let count = shown(sweep(direction, rate, from, None), &starts).len() as f64;
                let a_second = count / (3_600.0 / rate);
                assert!((5.0..=6.01).contains(&a_second), "{direction:?} at {rate}: {a_second}");
            }
        }
        // Where there are fewer all of them are shown.
        assert_eq!(shown(sweep(Forward, 6.0, 0, None), &starts).len(), 3_600);
        // Two at one moment are one.
        assert_eq!(shown(sweep(Forward, 1.0 / 32.0, 0, None), &[S, S, S * 2]), [1, 2]);
        assert_eq!(shown(sweep(Backward, 1.0 / 32.0, 3, None), &[S, S, S * 2]), [2, 1]);
    }

    #[test]
    fn who_is_late_passes_over_what_could_not_be_shown() {
        use Direction::{Backward, Forward};
        let starts = seconds(100);
        let next = |direction, last: u32, reached: u32| {
            sweep(direction, 2.0, 50, None).next(&starts, Some(S * last), S * reached)
        };
        assert_eq!(next(Forward, 50, 40), Some(51));
        assert_eq!(next(Forward, 50, 60), Some(60));
        assert_eq!(next(Forward, 50, 100), None);
        assert_eq!(next(Backward, 50, 60), Some(49));
        assert_eq!(next(Backward, 50, 40), Some(40));
        assert_eq!(next(Backward, 50, 0), Some(0));
        // The first is shown, however long it has taken.
        assert_eq!(sweep(Forward, 2.0, 50, None).next(&starts, None, S * 90), Some(50));
    }
}
