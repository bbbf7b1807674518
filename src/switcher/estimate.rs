// SPDX-License-Identifier: MPL-2.0

//! How long a source takes to deliver, and how sure we are of it.

use std::time::{Duration, Instant};

/// Weight of the newest transfer in the moving averages: about the last five count.
const NEWEST: f32 = 0.3;

/// Mean and spread of a quantity, both moving averages. Seven digits are plenty, and a viewer has two of these for
/// each peer.
#[derive(Clone, Copy, Debug)]
struct Moving {
    mean: f32,
    /// Mean absolute deviation: cheaper than a variance and less moved by one outlier.
    deviation: f32,
}

impl Moving {
    fn first(sample: f32) -> Self {
        // Less than TCP's round-trip estimate starts with (half, RFC 6298, section 2.2): what is asked of it is
        // whether a viewer that has just begun may wait for its first peers, and a whole transfer is a mean already.
        Self { mean: sample, deviation: sample / 4.0 }
    }

    fn add(&mut self, sample: f32) {
        self.deviation += NEWEST * ((sample - self.mean).abs() - self.deviation);
        self.mean += NEWEST * (sample - self.mean);
    }
}

/// Predicts the time that a source needs for a number of bytes from its last transfers.
#[derive(Clone, Debug, Default)]
pub struct DeliveryEstimate {
    /// Seconds from the request to the first byte.
    latency: Option<Moving>,
    /// Seconds a byte, after the first.
    pace: Option<Moving>,
}

impl DeliveryEstimate {
    /// Learns from the first byte of a transfer.
    pub fn record_latency(&mut self, latency: Duration) {
        record(&mut self.latency, latency.as_secs_f32());
    }

    /// Learns from `bytes` that took `elapsed` after the first byte. Transfers too small or too
    /// quick to say anything about the rate are passed over.
    pub fn record_transfer(&mut self, bytes: u64, elapsed: Duration) {
        const MEANINGFUL: u64 = 16 * 1024;
        if bytes >= MEANINGFUL {
            // A transfer out of a local buffer may take no measurable time.
            record(&mut self.pace, elapsed.as_secs_f32().max(1e-6) / bytes as f32);
        }
    }

    /// Expected bytes a second, None while nothing was measured.
    pub fn rate(&self) -> Option<f64> {
        self.pace.map(|pace| 1.0 / f64::from(pace.mean))
    }

    /// Time to deliver `bytes` that is seldom exceeded: mean plus four deviations, as a
    /// retransmission timeout is set. None while nothing was measured.
    pub fn pessimistic(&self, bytes: u64) -> Option<Duration> {
        let upper = |m: Moving| f64::from(m.mean + 4.0 * m.deviation);
        let latency = self.latency.map_or(0.0, upper);
        self.pace.map(|pace| seconds(latency + upper(pace) * bytes as f64))
    }

    /// Expected time to deliver `bytes`. None while nothing was measured.
    pub fn expected(&self, bytes: u64) -> Option<Duration> {
        let latency = self.latency.map_or(0.0, |m| f64::from(m.mean));
        self.pace.map(|pace| seconds(latency + f64::from(pace.mean) * bytes as f64))
    }
}

fn record(slot: &mut Option<Moving>, sample: f32) {
    match slot {
        Some(moving) => moving.add(sample),
        None => *slot = Some(Moving::first(sample)),
    }
}

/// A duration from computed seconds, which may be absurd but never panic.
pub(super) fn seconds(s: f64) -> Duration {
    const DAY: f64 = 86_400.0;
    Duration::from_secs_f64(s.clamp(0.0, DAY))
}

/// Bytes a second over the last while, the latest counting most. As small as can be, because a viewer has
/// one for each peer.
#[derive(Clone, Copy, Debug)]
pub struct RateMeter {
    /// What was measured counts for `1/e` after so many seconds.
    memory: f32,
    rate: f32,
    at: Option<Instant>,
}

impl RateMeter {
    pub fn new(memory: Duration) -> Self {
        Self { memory: memory.as_secs_f32(), rate: 0.0, at: None }
    }

    pub fn record(&mut self, now: Instant, bytes: u64) {
        self.rate = self.decayed(now) + bytes as f32 / self.memory;
        self.at = Some(now);
    }

    /// Bytes a second of something that began `running` ago.
    pub fn rate_since(&self, now: Instant, running: Duration) -> f64 {
        let seen = 1.0 - (-running.as_secs_f32() / self.memory).exp();
        f64::from(self.decayed(now) / seen.max(1e-3))
    }

    /// Bytes a second.
    pub fn rate(&self, now: Instant) -> f64 {
        self.decayed(now).into()
    }

    fn decayed(&self, now: Instant) -> f32 {
        let age = self.at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f32());
        self.rate * (-age / self.memory).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_promised_before_a_measurement() {
        let estimate = DeliveryEstimate::default();
        assert_eq!(estimate.expected(1), None);
        assert_eq!(estimate.pessimistic(1), None);
    }

    #[test]
    fn a_steady_source_is_trusted_more_with_each_transfer() {
        let mut estimate = DeliveryEstimate::default();
        let bytes = 1_000_000;
        estimate.record_transfer(bytes, Duration::from_secs(1));
        let first = estimate.pessimistic(bytes).unwrap();
        for _ in 0..20 {
            estimate.record_transfer(bytes, Duration::from_secs(1));
        }
        let later = estimate.pessimistic(bytes).unwrap();
        assert!(later < first, "{later:?} after twenty equal transfers, {first:?} after one");
        assert!((estimate.expected(bytes).unwrap().as_secs_f64() - 1.0).abs() < 1e-6);
        assert!(later >= estimate.expected(bytes).unwrap());
    }

    #[test]
    fn one_slow_transfer_widens_the_spread() {
        let mut estimate = DeliveryEstimate::default();
        for _ in 0..20 {
            estimate.record_transfer(1_000_000, Duration::from_secs(1));
        }
        let before = estimate.pessimistic(1_000_000).unwrap();
        estimate.record_transfer(1_000_000, Duration::from_secs(4));
        assert!(estimate.pessimistic(1_000_000).unwrap() > before * 2);
    }

    #[test]
    fn absurd_samples_do_not_panic() {
        let mut estimate = DeliveryEstimate::default();
        estimate.record_latency(Duration::MAX);
        estimate.record_transfer(u64::MAX, Duration::ZERO);
        estimate.record_transfer(20_000, Duration::MAX);
        assert!(estimate.pessimistic(u64::MAX).is_some());
    }

    #[test]
    fn the_meter_shows_the_rate_and_forgets() {
        let start = Instant::now();
        let mut meter = RateMeter::new(Duration::from_secs(2));
        assert_eq!(meter.rate(start), 0.0);
        for ms in 0..20_000 {
            meter.record(start + Duration::from_millis(ms), 1000);
        }
        let short = start + Duration::from_millis(500);
        let mut begun = RateMeter::new(Duration::from_secs(2));
        for ms in 0..500 {
            begun.record(start + Duration::from_millis(ms), 1000);
        }
        let rate = begun.rate_since(short, short - start);
        assert!((rate / 1_000_000.0 - 1.0).abs() < 0.01, "{rate}");
        let now = start + Duration::from_secs(20);
        assert!((meter.rate(now) / 1_000_000.0 - 1.0).abs() < 0.01, "{}", meter.rate(now));
        assert!(meter.rate(now + Duration::from_secs(20)) < 100.0);
    }
}
