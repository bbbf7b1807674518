// SPDX-License-Identifier: MPL-2.0

//! How far a track has been pushed, and what its streaming thread is doing.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::engine::Item;

/// A push that takes longer waits for room downstream.
const FULL: Duration = Duration::from_millis(200);

/// Written by the streaming thread, read by the element's own.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    doing: Doing,
    /// The segment being pushed: its position, its duration and how much of it has passed.
    segment: Option<(Duration, Duration, u64)>,
    /// Bytes a second of the last whole segment.
    rate: Option<f64>,
    finishing: bool,
    ended: bool,
    stopped: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Doing {
    #[default]
    Neither,
    Waiting,
    Pushing(Instant),
}

/// What the element's own thread sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The end of what was pushed, as far as can be told within a segment; None at the beginning.
    pub pushed: Option<Duration>,
    /// Duration of the segment in work.
    pub segment: Duration,
    pub waiting: bool,
    pub full: bool,
    pub ended: bool,
}

impl Progress {
    /// Runs `wait`, in which the streaming thread waits for bytes.
    pub fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.lock().unwrap().doing = Doing::Waiting;
        let result = wait();
        self.0.lock().unwrap().doing = Doing::Neither;
        result
    }

    /// Runs `push` unless the track has been stopped.
    pub fn pushing<T>(&self, push: impl FnOnce() -> T) -> Option<T> {
        {
            let mut state = self.0.lock().unwrap();
            if state.stopped {
                return None;
            }
            state.doing = Doing::Pushing(Instant::now());
        }
        let result = push();
        self.0.lock().unwrap().doing = Doing::Neither;
        Some(result)
    }

    /// An item went downstream.
    pub fn passed(&self, item: &Item) {
        let mut state = self.0.lock().unwrap();
        match (item, &mut state.segment) {
            (Item::Start(start), _) => state.segment = Some((start.position, start.duration, 0)),
            (Item::Data(bytes), Some((_, _, passed))) => *passed += bytes.len() as u64,
            (Item::End, Some((position, duration, passed))) => {
                let rate = *passed as f64 / duration.as_secs_f64();
                // The whole of it now lies behind.
                (*position, *passed) = (*position + *duration, 0);
                if rate.is_finite() && rate > 0.0 {
                    state.rate = Some(rate);
                }
            }
            (Item::Gap { position, duration }, _) => {
                state.segment = Some((*position + *duration, Duration::ZERO, 0));
            }
            _ => (),
        }
    }

    pub fn ended(&self) {
        self.0.lock().unwrap().ended = true;
    }

    /// From now on the end of items means the end of the stream.
    pub fn finish(&self) {
        self.0.lock().unwrap().finishing = true;
    }

    pub fn finishing(&self) -> bool {
        self.0.lock().unwrap().finishing
    }

    /// Forbids further pushes; tells whether one is under way.
    pub fn stop(&self) -> bool {
        let mut state = self.0.lock().unwrap();
        state.stopped = true;
        matches!(state.doing, Doing::Pushing(_))
    }

    /// Begins anew after a seek. The rate is the track's and stays.
    pub fn restart(&self) {
        let mut state = self.0.lock().unwrap();
        *state = State { rate: state.rate, stopped: state.stopped, ..State::default() };
    }

    pub fn snapshot(&self) -> Snapshot {
        let state = self.0.lock().unwrap();
        Snapshot {
            pushed: state.pushed(),
            segment: state.segment.map_or(Duration::ZERO, |(_, duration, _)| duration),
            waiting: matches!(state.doing, Doing::Waiting),
            full: matches!(state.doing, Doing::Pushing(since) if since.elapsed() >= FULL),
            ended: state.ended,
        }
    }
}

impl State {
    fn pushed(&self) -> Option<Duration> {
        let (position, duration, passed) = self.segment?;
        // Without a rate to compare with, a segment that has begun counts as whole: to stop
        // playback for nothing is worse than to stop it late.
        let part = match self.rate {
            _ if passed == 0 => Duration::ZERO,
            Some(rate) => Duration::from_secs_f64((passed as f64 / rate).min(duration.as_secs_f64())),
            None => duration,
        };
        Some(position + part)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::engine::SegmentStart;

    fn start(seconds: u64) -> Item {
        Item::Start(SegmentStart::at(Duration::from_secs(seconds), Duration::from_secs(6)))
    }

    fn data(bytes: &'static [u8]) -> Item {
        Item::Data(Bytes::from_static(bytes))
    }

    #[test]
    fn the_end_within_a_segment_is_told_from_the_one_before() {
        let progress = Progress::default();
        let mut pushed = Vec::new();
        for item in [start(0), data(&[0; 60]), Item::End, start(6), data(&[0; 30]), data(&[0; 60])] {
            progress.passed(&item);
            pushed.push(progress.snapshot().pushed.expect("a segment has begun").as_secs());
        }
        assert_eq!(pushed, [0, 6, 6, 6, 9, 12]);
    }

    #[test]
    fn a_stopped_track_pushes_no_more() {
        let progress = Progress::default();
        assert_eq!(progress.pushing(|| progress.stop()), Some(true), "stopped inside a push");
        assert_eq!(progress.pushing(|| ()), None);
        assert!(!progress.stop());
    }

    #[test]
    fn a_seek_forgets_the_end() {
        let progress = Progress::default();
        progress.finish();
        progress.ended();
        progress.passed(&start(0));
        progress.restart();
        let expected =
            Snapshot { pushed: None, segment: Duration::ZERO, waiting: false, full: false, ended: false };
        assert_eq!(progress.snapshot(), expected);
        assert!(!progress.finishing());
    }
}
