// SPDX-License-Identifier: MPL-2.0

//! How much HTTP alone delivers: the bytes of all its requests together, over the time in which at
//! least one of them brought something or should have. What peers deliver does not count.
//!
//! The wait for a response is no time of the line's: it is told apart, as latency, or short
//! transfers would make a fast line look slow. And a lean variant fetches for a small part of the
//! time, so a sample speaks for the pause before it too; or else what was measured of a line in
//! trouble would be believed for a minute after it has recovered.

use std::time::{Duration, Instant};

/// Half-lives of the averages in seconds. The lower of them can be relied upon: the quick one sees trouble early,
/// the slow one does not believe in luck. Hope is halfway to the quick one.
const HALF_LIVES: [f64; 2] = [0.5, 2.5];

/// A sample is at least so long, where bytes keep coming.
const SAMPLE: Duration = Duration::from_millis(250);

/// A sample that follows a pause speaks for so much of it at most.
const PAUSE: Duration = Duration::from_millis(1_500);

/// A sample of fewer bytes speaks for itself alone.
const MEANINGFUL: u64 = 32 << 10;

/// Bytes that were read from a buffer in less time have taken longer to come.
const INSTANT: Duration = Duration::from_millis(5);

/// A response that takes longer to begin is trouble of the line's.
const PATIENCE: Duration = Duration::from_secs(1);

/// Weight of the newest wait in the mean latency.
const NEWEST: f64 = 0.3;

/// Before so many bytes have come nothing is said.
const ENOUGH_TO_TELL: u64 = 64 << 10;

/// What HTTP is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing is asked for.
    Idle,
    /// No request has been answered yet.
    Waiting,
    /// At least one response has begun.
    Receiving,
}

impl Line {
    /// What HTTP does for two together.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Receiving, _) | (_, Self::Receiving) => Self::Receiving,
            (Self::Waiting, _) | (_, Self::Waiting) => Self::Waiting,
            (Self::Idle, Self::Idle) => Self::Idle,
        }
    }
}

/// What HTTP alone delivers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HttpRate {
    /// Bits a second that can be relied upon.
    pub rate: u64,
    /// Bits a second that may be hoped for, where there is something in hand to pay for a mistake.
    pub hope: u64,
    /// From a request to its response.
    pub latency: Duration,
}

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
    line: Line,
    /// Since when the line has been so.
    since: Option<Instant>,
    /// From when on time counts that is in no sample yet.
    counted: Option<Instant>,
    /// End of the last sample.
    ended: Option<Instant>,
    /// Bytes that are in no sample yet.
    bytes: u64,
    all: u64,
    /// Mean wait for a response in seconds.
    latency: Option<f64>,
}

impl Default for Throughput {
    fn default() -> Self {
        Self {
            averages: HALF_LIVES.map(|half_life| Average { half_life, sum: 0.0, weight: 0.0 }),
            line: Line::Idle,
            since: None,
            counted: None,
            ended: None,
            bytes: 0,
            all: 0,
            latency: None,
        }
    }
}

impl Throughput {
    /// What is asked of HTTP from now on.
    pub fn set_line(&mut self, now: Instant, line: Line) {
        if line == self.line {
            return;
        }
        if self.line != Line::Idle {
            self.sample(now);
        }
        if (self.line, line) == (Line::Waiting, Line::Receiving)
            && let Some(since) = self.since
        {
            let wait = now.saturating_duration_since(since).as_secs_f64();
            self.latency = Some(self.latency.map_or(wait, |mean| mean + NEWEST * (wait - mean)));
        }
        (self.line, self.since) = (line, Some(now));
        self.counted = match line {
            Line::Idle => None,
            Line::Waiting => Some(now + PATIENCE),
            Line::Receiving => Some(now),
        };
    }

    /// So many bytes have come.
    pub fn record(&mut self, now: Instant, bytes: u64) {
        self.set_line(now, Line::Receiving);
        self.bytes += bytes;
        self.all += bytes;
        self.look(now);
    }

    /// None before there is enough to tell.
    pub fn rate(&mut self, now: Instant) -> Option<HttpRate> {
        // Silence counts too.
        self.look(now);
        let measured = self.averages[0].weight > 0.0 && self.all >= ENOUGH_TO_TELL;
        let [quick, slow] = self.averages.map(|average| average.value() * 8.0);
        let lower = quick.min(slow);
        let latency = Duration::from_secs_f64(self.latency.unwrap_or(0.0));
        measured.then_some(HttpRate { rate: lower as u64, hope: (lower.midpoint(quick)) as u64, latency })
    }

    fn look(&mut self, now: Instant) {
        if self.counted.is_some_and(|counted| now.saturating_duration_since(counted) >= SAMPLE) {
            self.sample(now);
        }
    }

    /// Takes what has come since the last sample.
    fn sample(&mut self, now: Instant) {
        let Some(counted) = self.counted.filter(|counted| *counted < now || self.bytes > 0) else { return };
        let bytes = std::mem::take(&mut self.bytes);
        let elapsed = now.saturating_duration_since(counted).max(INSTANT).as_secs_f64();
        let pause = self.ended.map_or(Duration::ZERO, |ended| counted.saturating_duration_since(ended));
        let pause = if bytes >= MEANINGFUL { pause.min(PAUSE).as_secs_f64() } else { 0.0 };
        for average in &mut self.averages {
            average.add(bytes as f64 / elapsed, elapsed + pause);
        }
        (self.counted, self.ended) = (Some(now), Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Requests of `length` that begin every 5 s and are answered after 200 ms; `bytes` come every 10 ms.
    fn run(
        throughput: &mut Throughput,
        start: Instant,
        requests: u32,
        length: Duration,
        bytes: u64,
    ) -> Instant {
        let mut now = start;
        for n in 1..=requests {
            throughput.set_line(now, Line::Waiting);
            now += 200 * MS;
            throughput.set_line(now, Line::Receiving);
            let end = now + length;
            while now < end {
                now += 10 * MS;
                throughput.record(now, bytes);
            }
            throughput.set_line(now, Line::Idle);
            now = start + 5_000 * MS * n;
        }
        now
    }

    fn rate(throughput: &mut Throughput, now: Instant) -> u64 {
        throughput.rate(now).expect("measured").rate
    }

    #[test]
    fn neither_pauses_nor_waits_count() {
        let mut throughput = Throughput::default();
        let start = Instant::now();
        assert_eq!(throughput.rate(start), None);
        let end = run(&mut throughput, start, 3, 2_000 * MS, 1_250);
        let measured = throughput.rate(end).expect("measured");
        assert!(measured.rate.abs_diff(1_000_000) < 20_000, "{measured:?}");
        assert!(measured.latency.abs_diff(200 * MS) < MS, "{measured:?}");
        assert_eq!(throughput.rate(end + 60_000 * MS), Some(measured));
        // Nor do they where transfers are short.
        let mut throughput = Throughput::default();
        let end = run(&mut throughput, start, 20, 50 * MS, 10_000);
        let measured = rate(&mut throughput, end);
        assert!(measured.abs_diff(8_000_000) < 400_000, "{measured}");
    }

    #[test]
    fn trouble_is_seen_early_and_luck_is_not_believed() {
        let (mut throughput, start) = (Throughput::default(), Instant::now());
        let end = run(&mut throughput, start, 10, 2_000 * MS, 12_500);
        let mut lucky = throughput.clone();
        // A quarter of it.
        let later = run(&mut throughput, end, 1, 1_000 * MS, 3_125);
        assert!(rate(&mut throughput, later) < 5_000_000);
        // Four times as much for half a second: it counts for less than half.
        let later = run(&mut lucky, end, 1, 500 * MS, 50_000);
        assert!(rate(&mut lucky, later) < 25_000_000);
        assert!(lucky.rate(later).is_some_and(|http| (25_000_000..35_000_000).contains(&http.hope)));
        // Nothing at all, though it is asked for.
        lucky.set_line(later, Line::Waiting);
        rate(&mut lucky, later + 900 * MS);
        assert!(rate(&mut lucky, later + 900 * MS) > 9_000_000, "it may be on its way");
        for n in 2..20 {
            lucky.rate(later + n * 500 * MS);
        }
        assert!(rate(&mut lucky, later + 10_000 * MS) < 1_000_000);
    }

    /// A lean variant takes a small part of the time.
    #[test]
    fn a_line_that_has_recovered_is_believed_after_a_few_segments() {
        let (mut throughput, start) = (Throughput::default(), Instant::now());
        let end = run(&mut throughput, start, 3, 4_000 * MS, 750);
        let end = run(&mut throughput, end, 4, 100 * MS, 10_000);
        assert!(rate(&mut throughput, end) > 5_500_000, "{}", rate(&mut throughput, end));
    }

    /// What dribbles in says nothing of pauses.
    #[test]
    fn a_few_bytes_change_little() {
        let (mut throughput, start) = (Throughput::default(), Instant::now());
        let end = run(&mut throughput, start, 3, 4_000 * MS, 750);
        let end = run(&mut throughput, end, 4, 10 * MS, 20_000);
        assert!(rate(&mut throughput, end) < 1_000_000, "{}", rate(&mut throughput, end));
    }
}
