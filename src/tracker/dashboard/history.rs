// SPDX-License-Identifier: MPL-2.0

//! How it was: an hour, a day and a week, in rings of points. Takes the time as an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

/// What is remembered of a moment. Bytes are counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// Seconds since 1970.
    pub time: u64,
    pub viewers: usize,
    pub connections: usize,
    pub peers: u64,
    pub http: u64,
    pub uploaded: u64,
    pub answers: u64,
}

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    Hour,
    Day,
    Week,
}

impl Range {
    const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            _ => None,
        }
    }

    /// Time between points.
    pub fn step(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => 10,
            Self::Day => 300,
            Self::Week => 1800,
        })
    }

    fn points(self) -> usize {
        match self {
            Self::Hour => 360,
            Self::Day => 288,
            Self::Week => 336,
        }
    }
}

/// The rings.
#[derive(Debug)]
pub struct History {
    rings: [VecDeque<Point>; 3],
    due: [Instant; 3],
}

impl History {
    pub fn new(now: Instant) -> Self {
        Self { rings: Default::default(), due: [now; 3] }
    }

    /// To be called about once a second.
    pub fn note(&mut self, now: Instant, point: impl FnOnce() -> Point) {
        if self.due.iter().all(|due| now < *due) {
            return;
        }
        let point = point();
        for range in Range::ALL {
            let (ring, due) = (&mut self.rings[range as usize], &mut self.due[range as usize]);
            if now >= *due {
                *due = now + range.step();
                if ring.len() == range.points() {
                    ring.pop_front();
                }
                ring.push_back(point);
            }
        }
    }

    /// Oldest first.
    pub fn points(&self, range: Range) -> Vec<Point> {
        self.rings[range as usize].iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_turn_at_their_own_pace_and_end_somewhere() {
        let start = Instant::now();
        let mut history = History::new(start);
        for second in 0..5000u64 {
            history.note(start + Duration::from_secs(second), || Point { time: second, ..Point::default() });
        }
        let times = |range| history.points(range).iter().map(|point| point.time).collect::<Vec<_>>();
        let hour = times(Range::Hour);
        assert_eq!((hour.len(), hour[0], hour[359]), (360, 1400, 4990));
        assert_eq!(times(Range::Day)[..3], [0, 300, 600]);
        assert_eq!(times(Range::Week), [0, 1800, 3600]);
    }
}
