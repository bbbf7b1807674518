// SPDX-License-Identifier: MPL-2.0

use std::time::{Duration, Instant};

/// Tenths of a second since the tracker's start: millions of these are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u32);

impl Tick {
    pub fn new(start: Instant, now: Instant) -> Self {
        Self::of(now.saturating_duration_since(start))
    }

    fn of(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_millis() / 100).unwrap_or(u32::MAX))
    }

    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::from(self.0.saturating_sub(earlier.0)) * 100)
    }
}

impl std::ops::Add<Duration> for Tick {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::of(duration).0))
    }
}
