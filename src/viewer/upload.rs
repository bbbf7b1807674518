// SPDX-License-Identifier: MPL-2.0

//! What this viewer gives to others: how fast, and to whom how much at a time.

use std::time::{Duration, Instant};

/// The most that one [`Action::Upload`](super::Action::Upload) covers, so that peers take turns: four
/// messages of the size that data channels carry best.
pub const TURN: u64 = 4 * 16_240;

/// A token bucket in bytes.
#[derive(Debug)]
pub struct Budget {
    rate: Option<u64>,
    tokens: f64,
    at: Option<Instant>,
}

impl Budget {
    /// The bucket holds this much of its rate: short, so that the bound holds over any second.
    const BURST: Duration = Duration::from_millis(250);

    /// `rate` in bytes a second; None is unlimited.
    pub fn new(rate: Option<u64>) -> Self {
        Self { rate, tokens: 0.0, at: None }
    }

    fn burst(rate: u64) -> f64 {
        (rate as f64 * Self::BURST.as_secs_f64()).max(TURN as f64)
    }

    /// Bytes that may be sent now.
    pub fn available(&mut self, now: Instant) -> u64 {
        let Some(rate) = self.rate else { return u64::MAX };
        let since = self.at.map_or(Self::BURST, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.tokens = (self.tokens + since.as_secs_f64() * rate as f64).min(Self::burst(rate));
        self.tokens as u64
    }

    pub fn spend(&mut self, bytes: u64) {
        if self.rate.is_some() {
            self.tokens -= bytes as f64;
        }
    }

    /// How long until a turn's worth is there.
    pub fn refill_time(&self) -> Option<Duration> {
        let rate = self.rate? as f64;
        let missing = (TURN as f64).min(Self::burst(self.rate?)) - self.tokens;
        Some(Duration::from_secs_f64((missing / rate.max(1.0)).clamp(0.001, 60.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_ten_seconds() {
        let start = Instant::now();
        let mut budget = Budget::new(Some(1_000_000));
        let mut sent = 0;
        for ms in 0..10_000 {
            let may = budget.available(start + Duration::from_millis(ms));
            budget.spend(may);
            sent += may;
        }
        assert!((9_900_000..=10_300_000).contains(&sent), "{sent}");
    }

    #[test]
    fn no_rate_is_no_bound() {
        let mut budget = Budget::new(None);
        budget.spend(1 << 40);
        assert_eq!(budget.available(Instant::now()), u64::MAX);
        assert_eq!(budget.refill_time(), None);
    }
}
