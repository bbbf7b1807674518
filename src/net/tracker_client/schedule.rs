// SPDX-License-Identifier: MPL-2.0

//! When to announce, and when to connect again. Takes the time as an argument.

use std::time::{Duration, Instant};

use super::OFFER_LIFETIME;

/// Until a tracker has said otherwise; what browsers do.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
/// Shortest time between announces, whatever a tracker asks for. Every announce costs five new
/// WebRTC offers which live for 50 s, so at this pace 25 are open at a time.
const MIN_INTERVAL: Duration = Duration::from_secs(10);
/// Longest time between announces: a tracker cannot put us to sleep for good.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// Tells when the next announce is due.
#[derive(Debug)]
pub(super) struct AnnounceSchedule {
    interval: Duration,
    due: Instant,
    /// When an announce was last asked of the owner.
    asked: Option<Instant>,
}

impl AnnounceSchedule {
    /// The first announce is due at once.
    pub fn new(now: Instant) -> Self {
        Self { interval: DEFAULT_INTERVAL, due: now, asked: None }
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether to ask for an announce now; if so, the interval starts anew.
    pub fn take_due(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        self.asked = Some(now);
        self.due = now + self.interval;
        true
    }

    /// The tracker has set the interval. Returns the one that is kept.
    pub fn set_interval(&mut self, now: Instant, interval: Option<Duration>) -> Duration {
        self.interval = interval.unwrap_or(self.interval).clamp(MIN_INTERVAL, MAX_INTERVAL);
        // Counted from the announce, not from the reply: several replies do not postpone it.
        self.due = self.asked.unwrap_or(now) + self.interval;
        self.interval
    }

    /// The owner would like to announce soon.
    pub fn hurry(&mut self, now: Instant) {
        let earliest = self.asked.map_or(now, |asked| asked + MIN_INTERVAL).max(now);
        self.due = self.due.min(earliest);
    }
}

/// Tells how long to wait before connecting again.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

const MIN_RETRY: f64 = 1.0;
const MAX_RETRY: f64 = 60.0;

impl Backoff {
    /// The next wait; `random` is from [0, 1). It is spread over the whole range because all
    /// viewers lose a tracker that restarts at the same moment.
    pub fn next(&mut self, random: f64) -> Duration {
        let longest = (MIN_RETRY * f64::from(2u32.pow(self.failures.min(6) + 1))).min(MAX_RETRY);
        self.failures = self.failures.saturating_add(1);
        Duration::from_secs_f64(MIN_RETRY + random * (longest - MIN_RETRY))
    }

    /// The tracker works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

const _: () = assert!(MIN_INTERVAL.as_secs() < OFFER_LIFETIME.as_secs());

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_tracker_sets_the_pace_within_bounds() {
        let start = Instant::now();
        let mut schedule = AnnounceSchedule::new(start);
        assert!(schedule.take_due(start));
        assert!(!schedule.take_due(start + seconds(29)));
        for (asked, kept) in
            [(Some(120), 120), (Some(0), 10), (Some(5), 10), (Some(u64::MAX), 3600), (None, 3600)]
        {
            assert_eq!(schedule.set_interval(start, asked.map(seconds)), seconds(kept));
            assert_eq!(schedule.due(), start + seconds(kept));
        }
    }

    #[test]
    fn replies_do_not_postpone_the_next_announce() {
        let start = Instant::now();
        let mut schedule = AnnounceSchedule::new(start);
        assert!(schedule.take_due(start));
        schedule.set_interval(start + seconds(1), Some(seconds(20)));
        schedule.set_interval(start + seconds(19), Some(seconds(20)));
        assert!(schedule.take_due(start + seconds(20)));
    }

    #[test]
    fn hurry_is_limited_and_never_delays() {
        let start = Instant::now();
        let mut schedule = AnnounceSchedule::new(start);
        schedule.hurry(start);
        assert!(schedule.take_due(start));
        schedule.hurry(start + seconds(1));
        assert_eq!(schedule.due(), start + seconds(10));
        schedule.hurry(start + seconds(5));
        assert_eq!(schedule.due(), start + seconds(10));
        assert!(schedule.take_due(start + seconds(10)));
        schedule.hurry(start + seconds(25));
        assert_eq!(schedule.due(), start + seconds(25));
    }

    #[test]
    fn waits_grow_up_to_a_minute_and_start_over() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..8).map(|_| backoff.next(1.0).as_secs()).collect();
        assert_eq!(longest, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next(0.0), seconds(1));
        backoff.reset();
        assert_eq!(backoff.next(1.0), seconds(2));
    }
}
