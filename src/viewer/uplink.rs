// SPDX-License-Identifier: MPL-2.0

//! What this viewer's uplink can carry, learnt from what it has carried.
//!
//! Nobody tells us the speed of our own uplink. While something waits because channels are full, what leaves
//! is what the uplink can carry; while nothing waits, it can carry more than it does. A child that would get
//! less than the stream's rate is better told at once to ask somebody else.

use std::time::{Duration, Instant};

/// What is measured at a time, at most and at least.
const SPAN: Duration = Duration::from_secs(1);
const SHORTEST_SPAN: Duration = Duration::from_millis(200);

/// So many bytes say enough in a shorter time.
const MANY: u64 = 256 * 1024;

/// Children served before anything was measured.
const UNTRIED: usize = 4;

/// What was measured while the uplink was full holds for so long; then one child more is tried.
const RETRY: Duration = Duration::from_secs(300);

/// Bytes a second that leave, as far as known.
#[derive(Debug, Default)]
pub struct Uplink {
    /// What left when more was waiting, and when that was.
    full: Option<(f64, Instant)>,
    /// The most that has left when nothing was waiting.
    proven: Option<f64>,
    span: Option<Span>,
}

#[derive(Debug)]
struct Span {
    since: Instant,
    /// When `waiting` was last brought up to date.
    looked: Instant,
    /// Somebody had to wait for room then.
    is_full: bool,
    waiting: Duration,
    left: u64,
}

impl Uplink {
    /// `bytes` have left since the last time; `is_full` when a child waits for room now.
    pub fn record(&mut self, now: Instant, bytes: u64, is_full: bool) {
        let fresh = Span { since: now, looked: now, is_full, waiting: Duration::ZERO, left: 0 };
        let span = self.span.get_or_insert(fresh);
        if span.is_full {
            span.waiting += now.saturating_duration_since(span.looked);
        }
        (span.looked, span.is_full) = (now, is_full);
        span.left += bytes;
        if now.saturating_duration_since(span.since) >= SPAN {
            self.conclude(now);
        }
    }

    /// Nobody is served any more: what comes next is no measurement of the uplink.
    pub fn rest(&mut self, now: Instant) {
        self.conclude(now);
    }

    fn conclude(&mut self, now: Instant) {
        let Some(span) = self.span.take() else { return };
        let elapsed = now.saturating_duration_since(span.since);
        if elapsed.is_zero() || elapsed < SHORTEST_SPAN && span.left < MANY {
            return;
        }
        let rate = span.left as f64 / elapsed.as_secs_f64();
        if span.waiting > elapsed.mul_f64(0.6) {
            // More would have left if it could.
            let known = self.full.map_or(rate, |(known, _)| (known + rate) / 2.0);
            self.full = Some((known, now));
        } else {
            self.proven = Some(self.proven.unwrap_or(0.0).max(rate));
        }
    }

    /// How many children can have `need` bytes a second each.
    pub fn slots(&self, now: Instant, need: f64) -> usize {
        let need = need.max(1.0);
        match (self.full, self.proven) {
            (Some((capacity, at)), _) if now.saturating_duration_since(at) < RETRY => {
                (capacity / need) as usize
            }
            (Some((capacity, _)), _) => (capacity / need) as usize + 1,
            (None, Some(proven)) => UNTRIED.max((proven / need) as usize + 1),
            (None, None) => UNTRIED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: f64 = 500_000.0;

    /// Lets `children` take as much as they like of `capacity` for five seconds. Gives the time then.
    fn serve(uplink: &mut Uplink, start: Instant, children: usize, capacity: f64) -> Instant {
        let at = |tenth: u64| start + Duration::from_millis(100 * tenth);
        for tenth in 1..=50 {
            let wanted = children as f64 * NEED;
            uplink.record(at(tenth), (wanted.min(capacity) / 10.0) as u64, wanted > capacity);
        }
        at(50)
    }

    #[test]
    fn an_uplink_that_is_full_is_known() {
        let start = Instant::now();
        let mut uplink = Uplink::default();
        assert_eq!(uplink.slots(start, NEED), UNTRIED);
        let now = serve(&mut uplink, start, 2, 600_000.0);
        assert_eq!(uplink.slots(now, NEED), 1);
        let now = serve(&mut uplink, now, 2, 100_000.0);
        assert_eq!(uplink.slots(now, NEED), 0);
        assert_eq!(uplink.slots(now + RETRY, NEED), 1, "it is tried again");
    }

    #[test]
    fn an_uplink_that_is_not_full_takes_one_child_more_at_a_time() {
        let mut uplink = Uplink::default();
        let now = serve(&mut uplink, Instant::now(), UNTRIED, 1e9);
        assert_eq!(uplink.slots(now, NEED), UNTRIED + 1, "one more than were served");
        let now = serve(&mut uplink, now, UNTRIED + 1, 1e9);
        assert_eq!(uplink.slots(now, NEED), UNTRIED + 2);
    }

    #[test]
    fn what_is_too_short_says_nothing() {
        let start = Instant::now();
        let mut uplink = Uplink::default();
        uplink.record(start, 1000, true);
        uplink.rest(start + Duration::from_millis(50));
        assert_eq!(uplink.slots(start, NEED), UNTRIED);
    }
}
