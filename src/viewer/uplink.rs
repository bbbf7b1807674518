// SPDX-License-Identifier: MPL-2.0

//! What this viewer's uplink can carry, learnt from what it has carried.
//!
//! Nobody tells us the speed of our own uplink. While something waits because channels are full, what leaves
//! is what the uplink can carry; while nothing waits, it can carry more than it does.
//!
//! A child should have more than the stream's rate, and is better told at once to ask somebody else. But a weak uplink
//! left idle is of no use to anybody: the first two children are taken for less. What comes slowly comes in time all the
//! same where playback is some segments behind, and where it is not, HTTP brings the rest of it.

use std::time::{Duration, Instant};

/// What is measured at a time, at most and at least.
const SPAN: Duration = Duration::from_millis(500);
const SHORTEST_SPAN: Duration = Duration::from_millis(100);

/// Children served before anything was measured.
const UNTRIED: usize = 4;

/// So much faster than the stream a child should be served: with no more than the stream's rate, whoever waits
/// for it in turn gets it a segment's length later at best, and a segment larger than the others is late.
const HEADROOM: f64 = 1.3;

/// What an only child is taken for all the same, and each of two, in rates of the stream. With as little for a third and a
/// fourth, swarms of a few hundred close to the live edge lose half a point, and those of weak uplinks gain nothing.
const LEAST: [f64; 2] = [0.5, 0.9];

/// After so long without a measurement one child more than known to be possible is tried.
const RETRY: Duration = Duration::from_secs(30);

/// The highest of so many measurements counts: a child may have been slow itself, but nothing leaves faster than
/// the uplink.
const MEASUREMENTS: usize = 8;

/// Bytes a second that leave, as far as known.
#[derive(Debug, Default)]
pub struct Uplink {
    /// What left when children wanted more than they got: the latest measurements, in turn.
    full: [f32; MEASUREMENTS],
    next: usize,
    /// When that was last measured.
    measured: Option<Instant>,
    /// The most children that got all they wanted at a time.
    satisfied: usize,
    span: Option<Span>,
}

/// A measurement. It begins when the first bytes have left: what leaves before that is on its way.
#[derive(Debug)]
struct Span {
    since: Instant,
    /// When `waiting` was last brought up to date.
    looked: Instant,
    /// Somebody had to wait for room then.
    is_full: bool,
    waiting: Duration,
    left: u64,
    /// When something last left.
    last: Instant,
    children: usize,
}

impl Span {
    fn pass(&mut self, now: Instant, bytes: u64) {
        if self.is_full {
            self.waiting += now.saturating_duration_since(self.looked);
        }
        self.looked = now;
        if bytes > 0 {
            self.left += bytes;
            self.last = now;
        }
    }

    fn is_over(&self) -> bool {
        self.last.saturating_duration_since(self.since) >= SPAN
    }
}

/// How many can be served at `rate` bytes a second of a stream of so many.
pub fn children(rate: f64, stream: f64) -> usize {
    let rates = rate / stream.max(1.0);
    let slow = (1u32..).zip(LEAST).filter(|(children, least)| rates >= f64::from(*children) * least);
    slow.count().max((rates / HEADROOM) as usize)
}

impl Uplink {
    /// `bytes` have left since the last time; `is_full` when one of so many children waits for room now. The
    /// stream has `stream` bytes a second.
    pub fn record(&mut self, now: Instant, bytes: u64, is_full: bool, children: usize, stream: f64) {
        let Some(span) = &mut self.span else {
            if bytes > 0 && children > 0 {
                let (since, looked, last) = (now, now, now);
                self.span =
                    Some(Span { since, looked, is_full, waiting: Duration::ZERO, left: 0, last, children });
            }
            return;
        };
        span.pass(now, bytes);
        span.is_full = is_full;
        span.children = span.children.min(children.max(1));
        if children == 0 || span.is_over() {
            self.conclude(stream);
        }
    }

    /// The same where nothing else has changed since the last time.
    pub fn record_left(&mut self, now: Instant, bytes: u64, stream: f64) {
        let Some(span) = &mut self.span else { return };
        span.pass(now, bytes);
        if span.is_over() {
            self.conclude(stream);
        }
    }

    pub fn is_measuring(&self) -> bool {
        self.span.is_some()
    }

    fn conclude(&mut self, stream: f64) {
        let Some(span) = self.span.take() else { return };
        // Up to the last bytes that left: what follows is no part of the measurement.
        let elapsed = span.last.saturating_duration_since(span.since);
        if elapsed < SHORTEST_SPAN {
            return;
        }
        let rate = span.left as f64 / elapsed.as_secs_f64();
        let wanted_more = span.waiting > elapsed.mul_f64(0.6);
        if !wanted_more || rate >= HEADROOM * stream * span.children as f64 {
            self.satisfied = self.satisfied.max(span.children);
        }
        if wanted_more || self.measured.is_some() && rate > self.capacity() {
            self.full[self.next] = rate as f32;
            self.next = (self.next + 1) % MEASUREMENTS;
            self.measured = Some(span.last);
        }
    }

    /// How many children can be served of a stream of so many bytes a second.
    pub fn slots(&self, now: Instant, stream: f64) -> usize {
        match self.measured {
            Some(at) => {
                let retry = now.saturating_duration_since(at) >= RETRY;
                children(self.capacity(), stream) + usize::from(retry)
            }
            None => UNTRIED.max(self.satisfied + 1),
        }
    }

    /// It is known to carry less than a child of a stream of so many bytes a second should have.
    pub fn is_weak(&self, stream: f64) -> bool {
        self.measured.is_some() && self.capacity() < HEADROOM * stream
    }

    /// Bytes a second that the uplink can carry, as far as measured.
    fn capacity(&self) -> f64 {
        f64::from(self.full.iter().copied().fold(0.0, f32::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes a second that a child should have.
    const NEED: f64 = 500_000.0;
    const STREAM: f64 = NEED / HEADROOM;

    /// Lets `children` take as much as they like of `capacity` for five seconds. Gives the time then.
    fn serve(uplink: &mut Uplink, start: Instant, children: usize, capacity: f64) -> Instant {
        let at = |tenth: u64| start + Duration::from_millis(100 * tenth);
        for tenth in 1..=50 {
            let wanted = children as f64 * NEED;
            let left = (wanted.min(capacity) / 10.0) as u64;
            uplink.record(at(tenth), left, wanted > capacity, children, STREAM);
        }
        uplink.record(at(50), 0, false, 0, STREAM);
        at(50)
    }

    #[test]
    fn an_uplink_that_is_full_is_known() {
        let start = Instant::now();
        let mut uplink = Uplink::default();
        assert_eq!(uplink.slots(start, STREAM), UNTRIED);
        let now = serve(&mut uplink, start, 2, 600_000.0);
        assert_eq!(uplink.slots(now, STREAM), 1);
        let now = serve(&mut uplink, now, 2, 100_000.0);
        assert_eq!(uplink.slots(now, STREAM), 0, "it has become slower");
        assert_eq!(uplink.slots(now + RETRY, STREAM), 1, "it is tried again");
    }

    #[test]
    fn a_weak_uplink_has_a_child_or_two() {
        let slots_of = |rates: f64| {
            let mut uplink = Uplink::default();
            let now = serve(&mut uplink, Instant::now(), UNTRIED, rates * STREAM);
            (uplink.slots(now, STREAM), uplink.is_weak(STREAM))
        };
        assert_eq!(slots_of(0.45), (0, true));
        assert_eq!(slots_of(0.55), (1, true));
        assert_eq!(slots_of(1.25), (1, true));
        assert_eq!(slots_of(1.35), (1, false));
        assert_eq!(slots_of(1.85), (2, false));
        assert_eq!(slots_of(3.85), (2, false), "a third has all it should have, or nothing");
        assert_eq!(slots_of(3.95), (3, false));
    }

    #[test]
    fn an_uplink_that_is_not_full_takes_one_child_more_at_a_time() {
        let mut uplink = Uplink::default();
        let now = serve(&mut uplink, Instant::now(), UNTRIED, 1e9);
        assert_eq!(uplink.slots(now, STREAM), UNTRIED + 1, "one more than were served");
        let now = serve(&mut uplink, now, UNTRIED + 1, 1e9);
        assert_eq!(uplink.slots(now, STREAM), UNTRIED + 2);
    }

    #[test]
    fn one_slow_child_does_not_make_the_uplink_slow() {
        let mut uplink = Uplink::default();
        let now = serve(&mut uplink, Instant::now(), 5, 2_100_000.0);
        assert_eq!(uplink.slots(now, STREAM), 4);
        // It is far away: its channel is full at a fraction of what the uplink can carry.
        let mut at = now;
        for _ in 0..8 {
            at += Duration::from_millis(100);
            uplink.record(at, 20_000, true, 1, STREAM);
        }
        assert_eq!(uplink.slots(at, STREAM), 4);
    }

    #[test]
    fn the_time_before_the_first_bytes_leave_does_not_count() {
        let mut uplink = Uplink::default();
        let start = Instant::now();
        uplink.record(start, 0, true, 2, STREAM);
        let now = serve(&mut uplink, start + Duration::from_secs(3), 2, 600_000.0);
        assert_eq!(uplink.slots(now, STREAM), 1);
    }

    #[test]
    fn what_leaves_while_nothing_else_changes_counts() {
        let mut uplink = Uplink::default();
        let start = Instant::now();
        uplink.record(start, 1000, true, 2, STREAM);
        for tenth in 1..=5 {
            assert!(uplink.is_measuring());
            uplink.record_left(start + Duration::from_millis(100 * tenth), 60_000, STREAM);
        }
        assert!(!uplink.is_measuring());
        assert_eq!(uplink.slots(start + SPAN, STREAM), 1, "600,000 bytes a second");
    }

    #[test]
    fn what_is_too_short_says_nothing() {
        let start = Instant::now();
        let mut uplink = Uplink::default();
        uplink.record(start, 1000, true, 1, STREAM);
        uplink.record(start + Duration::from_millis(50), 1000, false, 0, STREAM);
        assert_eq!(uplink.slots(start, STREAM), UNTRIED);
    }
}
