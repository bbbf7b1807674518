// SPDX-License-Identifier: MPL-2.0

//! What this viewer gives to others: how fast, and to whom how much at a time.

use std::time::{Duration, Instant};

/// The least that a turn is worth.
const SMALLEST_TURN: u64 = 1024;

/// A token bucket in bytes.
#[derive(Debug)]
pub struct Budget {
    rate: Option<u64>,
    /// What a peer is given at a time, at most.
    turn: u64,
    tokens: f64,
    at: Option<Instant>,
}

impl Budget {
    /// The bucket holds this much of its rate: short, so that the bound holds over any second.
    const BURST: Duration = Duration::from_millis(250);

    /// `rate` in bytes a second; None is unlimited.
    pub fn new(rate: Option<u64>, turn: u64) -> Self {
        Self { rate, turn, tokens: 0.0, at: None }
    }

    fn burst(&self, rate: u64) -> f64 {
        (rate as f64 * Self::BURST.as_secs_f64()).max(self.turn as f64)
    }

    /// Bytes that may be sent now.
    pub fn available(&mut self, now: Instant) -> u64 {
        let Some(rate) = self.rate else { return u64::MAX };
        let since = self.at.map_or(Self::BURST, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.tokens = (self.tokens + since.as_secs_f64() * rate as f64).min(self.burst(rate));
        self.tokens as u64
    }

    pub fn spend(&mut self, bytes: u64) {
        if self.rate.is_some() {
            self.tokens -= bytes as f64;
        }
    }

    /// Bytes that each of so many peers is given at a time: at a low rate little, so that none of them waits
    /// long for the next.
    pub fn turn(&self, peers: usize) -> u64 {
        let all = self.rate.map_or(u64::MAX, |rate| (rate as f64 * Self::BURST.as_secs_f64()) as u64);
        (all / peers.max(1) as u64).clamp(SMALLEST_TURN.min(self.turn), self.turn)
    }

    /// How long until `turn` bytes are there.
    pub fn refill_time(&self, turn: u64) -> Option<Duration> {
        let rate = self.rate?.max(1) as f64;
        let missing = turn as f64 - self.tokens;
        Some(Duration::from_secs_f64((missing / rate).clamp(0.001, 60.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_ten_seconds() {
        let start = Instant::now();
        let mut budget = Budget::new(Some(1_000_000), 65_000);
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
        let mut budget = Budget::new(None, 65_000);
        budget.spend(1 << 40);
        assert_eq!(budget.available(Instant::now()), u64::MAX);
        assert_eq!(budget.refill_time(65_000), None);
        assert_eq!(budget.turn(15), 65_000);
    }

    #[test]
    fn a_low_rate_is_given_in_small_turns() {
        assert_eq!(Budget::new(Some(50_000), 65_000).turn(3), 4166);
        assert_eq!(Budget::new(Some(2000), 65_000).turn(1), SMALLEST_TURN);
        assert_eq!(Budget::new(Some(100_000_000), 65_000).turn(15), 65_000);
    }
}
