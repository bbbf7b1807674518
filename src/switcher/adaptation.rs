// SPDX-License-Identifier: MPL-2.0

//! Which variant to play: rate adaptation.
//!
//! The *floor* is the best variant that HTTP alone sustains. Playback is never kept below it, and it
//! is what playback goes back to when the buffer runs low. Above it only peers can carry playback. A
//! neighbour's full cache makes the buffer jump and says nothing of what comes next, so a step up
//! from the floor is a *trial*: it is made when the buffer has been full for long, one step at a
//! time, and after each trial that failed the next waits twice as long.
//!
//! Each variant has a swarm of its own. Who changes leaves those who have what it needs, so between
//! variants that are about equal a viewer with peers stays.

use std::time::{Duration, Instant};

/// How full the buffer has to be for a trial, of what it can hold.
const RICH: f64 = 0.8;

/// How full it has to be in any case, or the floor is better.
const LOW: f64 = 0.4;

/// How full it has to be at most, without peers and with them: they may bring what HTTP would be late with.
const LOW_ALONE: f64 = 0.8;
const LOW_WITH_PEERS: f64 = 0.6;

/// Room that is left between a variant's bitrate and what HTTP delivers, before it counts as more
/// than HTTP sustains. Less than for stepping up, so that a rate in between makes no difference.
const TIGHT: f64 = 0.95;

/// After a step to another variant the next one up waits so long.
const REST: Duration = Duration::from_secs(8);

/// The buffer has to be full so long before the first trial.
const FIRST_TRIAL: Duration = Duration::from_secs(20);

/// The longest wait before a trial.
const LAST_TRIAL: Duration = Duration::from_secs(640);

/// A trial that has lasted so long has not failed.
const PROVEN: Duration = Duration::from_secs(120);

/// Variants whose bitrates differ by less than this factor are about equal.
const ABOUT_EQUAL: f64 = 1.3;

/// What the application wants, in bits a second; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub min: u64,
    pub max: u64,
    /// The share of the measured rate that a variant may take, 0 to 1.
    pub target_ratio: f64,
}

impl Limits {
    /// Whether a variant of `bitrate` may be played.
    pub fn allow(&self, bitrate: u64) -> bool {
        bitrate >= self.min && (self.max == 0 || bitrate <= self.max)
    }
}

/// How playback stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Media ahead of playback.
    pub buffered: Duration,
    /// The most that could be ahead now: near the live edge, or near the end, there is not much.
    pub room: Duration,
    /// Duration of a segment.
    pub segment: Duration,
    /// What HTTP alone delivers, in bits a second; None: not measured yet.
    pub http_rate: Option<u64>,
    /// Connected peers, all of whom watch the present variant.
    pub peers: usize,
}

/// Chooses among the variants of one presentation.
#[derive(Clone, Debug)]
pub struct Adaptation {
    /// Bits a second, ascending, each allowed.
    levels: Vec<u64>,
    target_ratio: f64,
    current: usize,
    /// Since when; None: it is the one that playback began with.
    since: Option<Instant>,
    /// The present variant is a trial.
    trial: bool,
    /// How long the buffer has to be full before the next.
    trial_wait: Duration,
    rich_since: Option<Instant>,
}

impl Adaptation {
    /// `levels` are bitrates in bits a second, ascending and within the limits; `current` is the index of the
    /// one that is played.
    pub fn new(levels: Vec<u64>, current: usize, target_ratio: f64) -> Self {
        debug_assert!(levels.is_sorted() && current < levels.len());
        Self {
            levels,
            target_ratio: target_ratio.clamp(0.0, 1.0),
            current,
            since: None,
            trial: false,
            trial_wait: FIRST_TRIAL,
            rich_since: None,
        }
    }

    pub fn current(&self) -> usize {
        self.current
    }

    /// The best level that HTTP alone sustains at `rate` bits a second, with room to spare.
    fn floor(&self, rate: u64) -> usize {
        let budget = rate as f64 * self.target_ratio;
        self.levels.iter().rposition(|bitrate| *bitrate as f64 <= budget).unwrap_or(0)
    }

    /// The level to go to, if it is another. It is taken to be done, see [`Adaptation::call_off`].
    pub fn decide(&mut self, now: Instant, standing: &Standing) -> Option<usize> {
        let fill = fill(standing);
        self.rich_since = if fill >= RICH { self.rich_since.or(Some(now)) } else { None };
        let proven = self.since.is_some_and(|since| now.saturating_duration_since(since) >= PROVEN);
        if self.trial && proven {
            (self.trial, self.trial_wait) = (false, FIRST_TRIAL);
        }

        let rate = standing.http_rate?;
        let floor = self.floor(rate);
        let bitrate = |level: usize| self.levels[level] as f64;
        let rested = self.since.is_none_or(|since| now.saturating_duration_since(since) >= REST);
        let worth_it =
            |level: usize| standing.peers == 0 || bitrate(level) >= bitrate(self.current) * ABOUT_EQUAL;

        if floor > self.current {
            return (rested && fill >= LOW && worth_it(floor)).then(|| self.go(now, floor, false));
        }
        let sustained = bitrate(self.current) <= rate as f64 * TIGHT;
        if floor < self.current && !sustained && standing.buffered < self.low(standing, rate) {
            if self.trial {
                self.trial_wait = (self.trial_wait * 2).min(LAST_TRIAL);
            }
            return Some(self.go(now, floor, false));
        }
        let above = self.current + 1;
        let long =
            self.rich_since.is_some_and(|since| now.saturating_duration_since(since) >= self.trial_wait);
        let trial = rested && long && standing.peers > 0 && above < self.levels.len() && worth_it(above);
        trial.then(|| self.go(now, above, true))
    }

    /// With less ahead than this the floor is better: HTTP would have to bring the segment that is under way and
    /// another one of the present variant in that time.
    fn low(&self, standing: &Standing, rate: u64) -> Duration {
        let share = |of: f64| standing.room.mul_f64(of);
        let slowness = self.levels[self.current] as f64 / rate.max(1) as f64;
        let need = standing.segment.mul_f64(slowness.min(1000.0)).saturating_add(standing.segment);
        let most = if standing.peers > 0 { LOW_WITH_PEERS } else { LOW_ALONE };
        share(LOW).max(need.min(share(most)))
    }

    fn go(&mut self, now: Instant, level: usize, trial: bool) -> usize {
        (self.current, self.since, self.trial, self.rich_since) = (level, Some(now), trial, None);
        level
    }

    /// The step to another level was not made: playback is at `level` still. It is not tried again at once.
    pub fn call_off(&mut self, now: Instant, level: usize) {
        self.go(now, level, false);
        self.trial_wait = (self.trial_wait * 2).min(LAST_TRIAL);
    }
}

/// How full the buffer is, 0 to 1.
fn fill(standing: &Standing) -> f64 {
    let room = standing.room.max(Duration::from_secs(1));
    (standing.buffered.as_secs_f64() / room.as_secs_f64()).min(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);
    const LEVELS: [u64; 4] = [500_000, 1_000_000, 3_000_000, 6_000_000];

    fn standing(buffered: u64, http_rate: u64, peers: usize) -> Standing {
        Standing {
            buffered: S * buffered as u32,
            room: 30 * S,
            segment: 4 * S,
            http_rate: Some(http_rate),
            peers,
        }
    }

    fn adaptation(current: usize) -> Adaptation {
        Adaptation::new(LEVELS.to_vec(), current, 0.8)
    }

    /// Levels gone to, second by second, with the seconds.
    fn run(adaptation: &mut Adaptation, seconds: u32, at: impl Fn(u32) -> Standing) -> Vec<(u32, usize)> {
        let start = Instant::now();
        let decide = |n| Some((n, adaptation.decide(start + S * n, &at(n))?));
        (0..seconds).filter_map(decide).collect()
    }

    #[test]
    fn nothing_is_decided_before_something_is_measured() {
        let unknown = Standing { http_rate: None, ..standing(30, 0, 3) };
        assert_eq!(run(&mut adaptation(1), 600, |_| unknown), []);
    }

    #[test]
    fn http_alone_goes_where_it_can_and_comes_down_in_time() {
        // Up at once, and not before there is something in hand.
        assert_eq!(run(&mut adaptation(0), 60, |n| standing(u64::from(n), 4_000_000, 0)), [(12, 2)]);
        // Down when the buffer runs low, and straight to what is sustained.
        let falling = |n: u32| standing(30u32.saturating_sub(n).into(), 900_000, 0);
        assert_eq!(run(&mut adaptation(2), 40, falling), [(13, 0)]);
        // A rate between what is sustained and what would be chosen changes nothing.
        for level in [1, 2] {
            let rate = (LEVELS[level] as f64 / 0.9) as u64;
            assert_eq!(run(&mut adaptation(level), 600, |n| standing((n % 30).into(), rate, 0)), []);
        }
    }

    #[test]
    fn near_the_live_edge_a_small_buffer_is_a_full_one() {
        let live = |buffered: u64| Standing { room: 6 * S, segment: 2 * S, ..standing(buffered, 900_000, 0) };
        assert_eq!(run(&mut adaptation(2), 60, |_| live(5)), []);
        assert_eq!(run(&mut adaptation(2), 3, |_| live(3)), [(0, 0)]);
    }

    #[test]
    fn a_burst_from_a_neighbour_raises_nothing() {
        // The buffer is full for 15 s in a minute.
        let burst = |n: u32| standing(if n % 60 < 15 { 30 } else { 14 }, 1_300_000, 5);
        assert_eq!(run(&mut adaptation(1), 3_600, burst), []);
    }

    #[test]
    fn peers_that_carry_for_long_are_tried_and_less_often_after_each_failure() {
        let mut tried = adaptation(1);
        // Whoever is above the floor loses what peers gave.
        let start = Instant::now();
        let mut switches = Vec::new();
        for n in 0..3_600 {
            let buffered = if tried.current() > 1 { 5 } else { 30 };
            switches.extend(
                tried.decide(start + S * n, &standing(buffered, 1_300_000, 5)).map(|level| (n, level)),
            );
        }
        let ups: Vec<u32> = switches.iter().filter(|(_, level)| *level == 2).map(|(n, _)| *n).collect();
        assert!(ups.windows(3).take(4).all(|w| w[2] - w[1] > (w[1] - w[0]) * 3 / 2), "{ups:?}");
        assert!(ups.len() < 12, "{ups:?}");
    }

    #[test]
    fn about_equal_is_not_worth_leaving_a_swarm() {
        let levels = vec![1_000_000, 1_200_000];
        let mut alone = Adaptation::new(levels.clone(), 0, 0.8);
        assert_eq!(run(&mut alone, 60, |_| standing(30, 9_000_000, 0)), [(0, 1)]);
        let mut among_peers = Adaptation::new(levels, 0, 0.8);
        assert_eq!(run(&mut among_peers, 3_600, |_| standing(30, 9_000_000, 4)), []);
    }

    #[test]
    fn what_did_not_work_is_not_tried_again_at_once() {
        let (mut adaptation, start) = (adaptation(0), Instant::now());
        assert_eq!(adaptation.decide(start, &standing(30, 4_000_000, 0)), Some(2));
        adaptation.call_off(start, 0);
        assert_eq!(adaptation.decide(start + 7 * S, &standing(30, 4_000_000, 0)), None);
        assert_eq!(adaptation.decide(start + 8 * S, &standing(30, 4_000_000, 0)), Some(2));
    }

    proptest! {
        /// Whatever peers do to the buffer, at a steady HTTP rate there are few switches, and none goes
        /// below what HTTP alone sustains.
        #[test]
        fn bursts_do_not_make_it_swing(
            rate in 100_000u64..10_000_000, first in 0usize..4,
            buffers in prop::collection::vec(0u64..31, 60), every in 1u32..60, peers in 0usize..20,
        ) {
            let mut adaptation = adaptation(first);
            let floor = adaptation.floor(rate);
            let at = |n: u32| standing(buffers[(n / every) as usize % buffers.len()], rate, peers);
            let switches = run(&mut adaptation, 3_600, at);
            prop_assert!(switches.iter().all(|(_, level)| *level >= floor), "{:?} at {}", switches, floor);
            // At most one up to the floor or down to it, then trials and their ends: two an interval that doubles.
            prop_assert!(switches.len() <= 80, "{:?}", switches);
            for pair in switches.windows(2) {
                let up = pair[1].1 > pair[0].1;
                prop_assert!(!up || pair[1].0 - pair[0].0 >= REST.as_secs() as u32, "{:?}", switches);
            }
        }
    }
}
