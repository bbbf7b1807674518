// SPDX-License-Identifier: MPL-2.0

//! Which variant to play: rate adaptation.
//!
//! The *floor* is the best variant that HTTP alone sustains. Playback is never kept below it: as soon
//! as there is the time to fetch the first segment of something better, that is done, and what is
//! held of the leaner variant gives way to it where there is time to fetch it anew. That is in hand to pay for a
//! mistake, so hope is enough for a step up. Down it goes late,
//! because what is in hand is there to be used: when, with the segment under way, too little would be
//! left to fetch one of a leaner variant. Then it is the best one with which what is in hand lasts for a
//! while. So up takes what is measured and down takes what is needed, and a rate in between changes
//! nothing.
//!
//! Above the floor only peers can carry playback. A neighbour's full cache makes the buffer jump and
//! says nothing of what comes next, so a step up from the floor is a *trial*: it is made when the
//! buffer has been full for long, one step at a time, and after each trial that failed the next waits
//! twice as long.
//!
//! Each variant has a swarm of its own. Who changes leaves those who have what it needs, so between
//! variants that are about equal a viewer with peers stays, and what it steps up to begins later, so that
//! the new swarm has time to form.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::estimate::seconds;
use super::throughput::HttpRate;
use crate::rate::Rate;

/// How full the buffer has to be for a trial, of what it can hold.
const RICH: f64 = 0.8;

/// With so much of what can be ahead, peers may be relied on to bring what HTTP would be late with.
const ENOUGH_WITH_PEERS: f64 = 0.6;

/// The most that is asked for before a step up, of what can be ahead: near the live edge there is little.
const MOST: f64 = 0.8;

/// Room that is left between a variant's bitrate and what HTTP delivers, before it counts as more
/// than HTTP sustains. Less than for stepping up, so that a rate in between makes no difference.
const TIGHT: f64 = 0.95;

/// What has to be in hand beside the time that a segment takes to come.
const MARGIN: Duration = Duration::from_secs(1);

/// What leaves less in hand than this when it has come is late.
const LATE: Duration = Duration::from_millis(1_500);

/// The first segment of a richer variant may take so many times as long as is expected.
const UNSURE: f64 = 1.5;

/// The same, and the margin, for the first step: who has just begun wants to see something good.
const AT_FIRST: (f64, Duration) = (1.2, Duration::from_millis(400));

/// A leaner variant is one with which what is in hand lasts so long, or so many segments if that is longer.
const HORIZON: Duration = Duration::from_secs(8);
const HORIZON_SEGMENTS: u32 = 3;

/// After a step to another variant the next one up waits so long, without peers and with them.
const REST: Duration = Duration::from_millis(1_500);
const REST_WITH_PEERS: Duration = Duration::from_secs(8);

/// A swarm takes so long to form.
const SWARM: Duration = Duration::from_secs(4);

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

/// How playback stands. Times are how long media lasts at the rate of playback.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// At which a variant takes as many times its bitrate.
    pub rate: Rate,
    /// Media ahead of playback, in whole segments.
    pub buffered: Duration,
    /// The most that could be ahead now: near the live edge, or near the end, there is not much.
    pub room: Duration,
    /// Duration of a segment.
    pub segment: Duration,
    /// Bytes that have come of the next segment, the first that is not whole.
    pub begun: u64,
    /// HTTP requests that share the line.
    pub requests: u32,
    /// What HTTP alone delivers; None: not measured yet.
    pub http: Option<HttpRate>,
    /// Connected peers, all of whom watch the present variant.
    pub peers: usize,
}

/// A step to another variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub level: usize,
    /// How much of what is ahead of playback, by the clock, is to be left as it is. What is held beyond that, of the present
    /// variant, may be replaced.
    pub keep: Duration,
    /// The segment under way would be late and is to be left for one of the other variant.
    pub abandon: bool,
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

    /// The best level that HTTP alone sustains at `rate` bits for a second of media, with room to spare.
    pub fn floor(&self, rate: u64) -> usize {
        let budget = rate as f64 * self.target_ratio;
        self.levels.iter().rposition(|bitrate| *bitrate as f64 <= budget).unwrap_or(0)
    }

    /// The present variant is more than HTTP sustains: segments that share the line would only come later, all of them.
    pub fn is_too_much(&self, standing: &Standing) -> bool {
        standing.http.is_some_and(|http| self.takes(self.current, standing) > http.rate as f64 * TIGHT)
    }

    /// The step to make, if any. It is taken to be done, see [`Adaptation::call_off`].
    pub fn decide(&mut self, now: Instant, standing: &Standing) -> Option<Step> {
        self.rich_since = if fill(standing) >= RICH { self.rich_since.or(Some(now)) } else { None };
        let for_so_long = |time: Duration| {
            move |since: Option<Instant>| {
                since.is_some_and(|since| now.saturating_duration_since(since) >= time)
            }
        };
        if self.trial && for_so_long(PROVEN)(self.since) {
            (self.trial, self.trial_wait) = (false, FIRST_TRIAL);
        }

        let http = standing.http?;
        let sustains = |bits: u64| self.floor((bits as f64 / standing.rate.get()) as u64);
        let floor = sustains(http.rate);
        let rest = if standing.peers > 0 { REST_WITH_PEERS } else { REST };
        let rested = self.since.is_none() || for_so_long(rest)(self.since);
        let worth_it = |level: usize| {
            standing.peers == 0 || self.levels[level] as f64 >= self.levels[self.current] as f64 * ABOUT_EQUAL
        };

        let hoped = sustains(http.hope).max(floor);
        if hoped > self.current {
            let need = self.need(hoped, standing, &http);
            if !rested || !worth_it(hoped) || standing.buffered < need {
                return None;
            }
            let keep = if standing.peers > 0 { need.saturating_add(SWARM) } else { need };
            return Some(self.go(now, Step { level: hoped, keep, abandon: false }, false));
        }
        if floor < self.current && self.is_too_much(standing) {
            let step = self.down(floor, standing, &http)?;
            if self.trial {
                self.trial_wait = (self.trial_wait * 2).min(LAST_TRIAL);
            }
            return Some(self.go(now, step, false));
        }
        let above = self.current + 1;
        let trial = rested
            && for_so_long(self.trial_wait)(self.rich_since)
            && standing.peers > 0
            && above < self.levels.len()
            && worth_it(above);
        trial.then(|| self.go(now, Step { level: above, keep: Duration::MAX, abandon: false }, true))
    }

    /// What has to be in hand for a step up: the wait is for the playlist, and then for a segment.
    fn need(&self, level: usize, standing: &Standing, http: &HttpRate) -> Duration {
        let (unsure, margin) = if self.since.is_some() { (UNSURE, MARGIN) } else { AT_FIRST };
        let wait = http.latency.saturating_mul(2).saturating_add(margin);
        let need = wait.saturating_add(self.fetch(level, standing, http).mul_f64(unsure));
        need.min(standing.room.mul_f64(MOST))
    }

    /// The step down, once the present variant is too much.
    fn down(&self, floor: usize, standing: &Standing, http: &HttpRate) -> Option<Step> {
        let all_there = standing.buffered >= standing.room;
        if all_there || standing.peers > 0 && fill(standing) >= ENOUGH_WITH_PEERS {
            return None;
        }
        let rest = self.rest(self.current, standing, http);
        let left = standing.buffered.saturating_sub(rest);
        if self.lasts(0, left, standing, http) {
            return None;
        }
        let best = |in_hand: Duration| {
            let lasts = |level: &usize| self.lasts(*level, in_hand, standing, http);
            (floor..self.current).rev().find(lasts).unwrap_or(floor)
        };
        let instead = best(standing.buffered);
        let abandon = left < LATE && self.fetch(instead, standing, http) < rest;
        let level = if abandon { instead } else { best(left.saturating_add(standing.segment)) };
        Some(Step { level, keep: Duration::MAX, abandon })
    }

    /// A segment of `from` that was to be waited for before playback goes on with the present level has become
    /// late, and one of the present level would come sooner.
    pub fn is_late(&self, from: usize, standing: &Standing) -> bool {
        let Some(http) = standing.http.filter(|_| self.current < from && from < self.levels.len()) else {
            return false;
        };
        let rest = self.rest(from, standing, &http);
        standing.buffered < rest.saturating_add(LATE) && self.fetch(self.current, standing, &http) < rest
    }

    /// With so much in hand, playback can go on with a level for a while.
    fn lasts(&self, level: usize, in_hand: Duration, standing: &Standing, http: &HttpRate) -> bool {
        let horizon = HORIZON.max(standing.segment * HORIZON_SEGMENTS).as_secs_f64();
        let pace = self.takes(level, standing) / (http.rate.max(1) as f64 * self.target_ratio.max(0.1));
        let used_up = seconds(horizon * (pace - 1.0));
        in_hand >= self.fetch(level, standing, http).saturating_add(MARGIN).saturating_add(used_up)
    }

    /// Time in which HTTP brings what is missing of the segment under way, as long as it does no less for others.
    fn rest(&self, level: usize, standing: &Standing, http: &HttpRate) -> Duration {
        let come = seconds(standing.begun as f64 * 8.0 / http.rate.max(1) as f64);
        self.fetch(level, standing, http).saturating_sub(come).saturating_mul(standing.requests.max(1))
    }

    /// Time in which HTTP brings a segment.
    fn fetch(&self, level: usize, standing: &Standing, http: &HttpRate) -> Duration {
        let bits = self.takes(level, standing) * standing.segment.as_secs_f64();
        http.latency.saturating_add(seconds(bits / http.rate.max(1) as f64))
    }

    /// Bits a second that a level takes at the rate of playback.
    fn takes(&self, level: usize, standing: &Standing) -> f64 {
        self.levels[level] as f64 * standing.rate.get()
    }

    fn go(&mut self, now: Instant, step: Step, trial: bool) -> Step {
        (self.current, self.since, self.trial, self.rich_since) = (step.level, Some(now), trial, None);
        step
    }

    /// Playback goes on at `level` for another reason than the line.
    pub fn set(&mut self, now: Instant, level: usize) {
        (self.current, self.since, self.trial, self.rich_since) = (level, Some(now), false, None);
    }

    /// The step to another level was not made: playback is at `level` still. It is not tried again at once.
    pub fn call_off(&mut self, now: Instant, level: usize) {
        self.set(now, level);
        self.trial_wait = (self.trial_wait * 2).min(LAST_TRIAL);
    }
}

/// How full the buffer is, 0 to 1.
fn fill(standing: &Standing) -> f64 {
    let room = standing.room.max(Duration::from_secs(1));
    (standing.buffered.as_secs_f64() / room.as_secs_f64()).min(1.0)
}
