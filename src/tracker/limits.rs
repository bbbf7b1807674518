// SPDX-License-Identifier: MPL-2.0

//! Is a connection talking too much? Takes the time as an argument.

use std::time::Instant;

/// Allows bursts up to a size, and a rate in the long run.
#[derive(Debug)]
pub(super) struct Allowance {
    left: f32,
    most: f32,
    /// What comes back a second.
    rate: f32,
    at: Instant,
}

impl Allowance {
    pub fn new(now: Instant, most: f32, rate: f32) -> Self {
        Self { left: most, most, rate, at: now }
    }

    /// Takes one; false when there is none left.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f32();
        self.at = now;
        self.left = (self.left + passed * self.rate).min(self.most);
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start, 3.0, 2.0);
        let taken = |allowance: &mut Allowance, now| (0..10).filter(|_| allowance.take(now)).count();
        assert_eq!(taken(&mut allowance, start), 3);
        assert_eq!(taken(&mut allowance, start + Duration::from_secs(1)), 2);
        assert_eq!(taken(&mut allowance, start + Duration::from_secs(100)), 3);
    }
}
