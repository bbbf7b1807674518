// SPDX-License-Identifier: MPL-2.0

//! Floor 0: how fast playback goes.
//!
//! Positions and durations of segments are *media time*. Deadlines, and what is in hand, count by the clock: at twice
//! the rate media lasts half as long.

use std::time::Duration;

/// Seconds of media that are shown in a second; positive and bounded.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// Which way playback goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Forward,
    Backward,
}

/// Beyond these nothing is to be seen; within them no time overflows.
const SLOWEST: f64 = 1.0 / 32.0;
const FASTEST: f64 = 32.0;

impl Rate {
    pub const NORMAL: Self = Self(1.0);

    /// None: nobody can watch at that rate.
    pub fn new(rate: f64) -> Option<Self> {
        (SLOWEST..=FASTEST).contains(&rate).then_some(Self(rate))
    }

    pub fn get(self) -> f64 {
        self.0
    }

    /// How long so much media lasts.
    pub fn time_of(self, media: Duration) -> Duration {
        self.scaled(media, 1.0 / self.0)
    }

    /// How much media is shown in so long.
    pub fn media_in(self, time: Duration) -> Duration {
        self.scaled(time, self.0)
    }

    /// This one, or the normal rate if that is faster: what is enough for both.
    pub fn or_normal(self) -> Self {
        Self(self.0.max(1.0))
    }

    fn scaled(self, time: Duration, factor: f64) -> Duration {
        match self {
            // To the nanosecond.
            Self::NORMAL => time,
            _ => Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX),
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::NORMAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_lasts_as_long_as_it_is_shown() {
        let s = Duration::from_secs;
        let rate = |rate| Rate::new(rate).expect("a good rate");
        assert_eq!((rate(2.0).time_of(s(6)), rate(2.0).media_in(s(6))), (s(3), s(12)));
        assert_eq!((rate(0.5).time_of(s(6)), rate(0.5).media_in(s(6))), (s(12), s(3)));
        assert_eq!((rate(0.5).or_normal(), rate(4.0).or_normal()), (Rate::NORMAL, rate(4.0)));
        let odd = Duration::from_nanos(1_234_567_890_123_456_789);
        assert_eq!(Rate::NORMAL.time_of(odd), odd);
        assert_eq!(rate(2.0).media_in(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn nobody_watches_at_these_rates() {
        for rate in [0.0, -0.0, -1.0, 0.03, 32.5, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
            assert_eq!(Rate::new(rate), None, "{rate}");
        }
    }
}
