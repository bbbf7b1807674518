// SPDX-License-Identifier: MPL-2.0

//! How much HTTP alone delivers: the bytes of all its requests together over the time in which there
//! was at least one. What peers deliver does not count.

use std::time::{Duration, Instant};

/// Half-lives of the averages, in time under load. The lower of them counts: the quick one sees
/// trouble early, the slow one does not believe in luck. A lean variant asks for little, so it takes
/// many times as long on the clock.
const HALF_LIVES: [f64; 2] = [0.5, 4.0];

/// A sample is at least so long, where the load lasts.
const SAMPLE: Duration = Duration::from_millis(250);

/// Before so many bytes have come nothing is said.
const ENOUGH_TO_TELL: u64 = 64 << 10;

/// An average in which what is old counts less.
#[derive(Clone, Copy, Debug)]
struct Average {
    half_life: f64,
    sum: f64,
    /// How much of a whole average there has been, 0 to 1.
    weight: f64,
}

impl Average {
    fn add(&mut self, rate: f64, seconds: f64) {
        let kept = 0.5f64.powf(seconds / self.half_life);
        self.sum = self.sum * kept + rate * (1.0 - kept);
        self.weight = self.weight * kept + 1.0 - kept;
    }

    fn value(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}

/// Measures the throughput of HTTP.
#[derive(Clone, Debug)]
pub struct Throughput {
    averages: [Average; 2],
    /// Start of the sample that is being taken; None: nothing is asked for.
    since: Option<Instant>,
    /// Bytes of this sample.
    bytes: u64,
    all: u64,
}

impl Default for Throughput {
    fn default() -> Self {
        let averages = HALF_LIVES.map(|half_life| Average { half_life, sum: 0.0, weight: 0.0 });
        Self { averages, since: None, bytes: 0, all: 0 }
    }
}

impl Throughput {
    /// Whether there are requests under way from now on.
    pub fn set_busy(&mut self, now: Instant, busy: bool) {
        match (self.since, busy) {
            (None, true) => self.since = Some(now),
            (Some(since), false) => {
                self.sample(now.saturating_duration_since(since));
                self.since = None;
            }
            _ => {}
        }
    }

    /// So many bytes have come.
    pub fn record(&mut self, now: Instant, bytes: u64) {
        self.bytes += bytes;
        self.all += bytes;
        self.set_busy(now, true);
        self.look(now);
    }

    /// Bits a second; None before there is enough to tell.
    pub fn rate(&mut self, now: Instant) -> Option<u64> {
        // Silence counts too.
        self.look(now);
        let measured = self.averages[0].weight > 0.0 && self.all >= ENOUGH_TO_TELL;
        measured.then(|| {
            (self.averages.map(|average| average.value()).into_iter().fold(f64::MAX, f64::min) * 8.0) as u64
        })
    }

    fn look(&mut self, now: Instant) {
        if let Some(since) = self.since
            && now.saturating_duration_since(since) >= SAMPLE
        {
            self.sample(now.saturating_duration_since(since));
            self.since = Some(now);
        }
    }

    fn sample(&mut self, elapsed: Duration) {
        // What comes out of a local cache takes no time that could be measured.
        let seconds = elapsed.as_secs_f64().max(1e-4);
        let rate = std::mem::take(&mut self.bytes) as f64 / seconds;
        for average in &mut self.averages {
            average.add(rate, seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Requests of 2 s with pauses of 3 s between them, `bytes` every 10 ms.
    fn run(throughput: &mut Throughput, start: Instant, requests: u32, bytes: u64) -> Instant {
        let mut now = start;
        for _ in 0..requests {
            throughput.set_busy(now, true);
            for _ in 0..200 {
                now += 10 * MS;
                throughput.record(now, bytes);
            }
            throughput.set_busy(now, false);
            now += 3_000 * MS;
        }
        now
    }

    #[test]
    fn pauses_do_not_count() {
        let mut throughput = Throughput::default();
        let start = Instant::now();
        assert_eq!(throughput.rate(start), None);
        let end = run(&mut throughput, start, 3, 1_250);
        let rate = throughput.rate(end).expect("measured");
        assert!(rate.abs_diff(1_000_000) < 20_000, "{rate}");
        assert_eq!(throughput.rate(end + 60_000 * MS), Some(rate));
    }

    #[test]
    fn trouble_is_seen_early_and_luck_is_not_believed() {
        let (mut throughput, start) = (Throughput::default(), Instant::now());
        let end = run(&mut throughput, start, 10, 12_500);
        let mut lucky = throughput.clone();
        // A quarter of it, for 2 s.
        let later = run(&mut throughput, end, 1, 3_125);
        let rate = throughput.rate(later).expect("measured");
        assert!(rate < 7_000_000, "{rate}");
        // Four times as much for half a second.
        let mut later = end;
        for _ in 0..50 {
            later += 10 * MS;
            lucky.record(later, 50_000);
        }
        let rate = lucky.rate(later).expect("measured");
        assert!(rate < 13_000_000, "{rate}");
        // Nothing at all, though it is asked for.
        lucky.set_busy(later, true);
        for n in 1..20 {
            lucky.rate(later + n * 500 * MS);
        }
        assert!(lucky.rate(later + 10_000 * MS).expect("measured") < 1_000_000);
    }
}
