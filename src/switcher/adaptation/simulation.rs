// SPDX-License-Identifier: MPL-2.0

//! One viewer without peers on a line that changes its width, in virtual time: how the rule fares, beside
//! one that takes what the last segments show of the line and does not look at the buffer, as hlsdemux2's does
//! (the mean of the last three, or the last if it was slower, times the target ratio).

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use super::{Adaptation, Standing};
use crate::rate::Rate;
use crate::switcher::throughput::{Line, Throughput};

/// Bits a second.
const LEVELS: [u64; 4] = [300_000, 800_000, 1_800_000, 4_000_000];
const RATIO: f64 = 0.8;

/// A line that does not carry the leanest variant stalls under any rule.
const LEANEST_LINE: f64 = 350_000.0;

/// Seconds.
const FILM: f64 = 300.0;
const STEP: f64 = 0.02;
const LOOK: f64 = 0.25;
const LATENCY: f64 = 0.05;

/// Downstream has taken so much, which cannot be replaced any more.
const TAKEN: f64 = 2.5;

/// Numbers by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Chance(u64);

impl Chance {
    fn between(&mut self, from: f64, to: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + (to - from) * ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Which way levels are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Ours,
    LastSegments,
}

/// How a line changes its width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Steady,
    Steps,
    Sinus,
    Walk,
}

/// Bits a second, by the half second.
fn line(shape: Shape, seed: u64) -> Vec<f64> {
    let mut chance = Chance(seed);
    let mut rates = Vec::new();
    let mean = 10f64.powf(chance.between(5.8, 6.8));
    let (period, phase) = (chance.between(15.0, 60.0), chance.between(0.0, TAU));
    let (mut rate, mut left): (f64, u32) = (mean, 0);
    for n in 0..(FILM * 4.0) as u32 {
        if left == 0 {
            left = chance.between(12.0, 60.0) as u32;
            rate = match shape {
                Shape::Steps => 10f64.powf(chance.between(5.6, 7.0)),
                _ => mean,
            };
        }
        left -= 1;
        let now = match shape {
            Shape::Steady | Shape::Steps => rate,
            Shape::Sinus => {
                mean.max(LEANEST_LINE / 0.2 / 0.85)
                    * (1.0 + 0.8 * (f64::from(n) * 0.5 / period * TAU + phase).sin())
            }
            Shape::Walk => {
                let last: f64 = rates.last().copied().unwrap_or(mean);
                (last * chance.between(-0.25, 0.25).exp()).clamp(400_000.0, 10_000_000.0)
            }
        };
        rates.push(if shape == Shape::Walk { now } else { now * chance.between(0.85, 1.15) });
    }
    rates
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// Bits a second of what was shown.
    bitrate: f64,
    stalls: u32,
    stalled: f64,
    changes: u32,
    /// Of the bytes that came, the share that was not shown.
    wasted: f64,
}

/// A download under way.
struct Download {
    slot: usize,
    level: usize,
    bits: f64,
    done: f64,
    begins: f64,
    first: Option<f64>,
}

struct World {
    rates: Vec<f64>,
    sizes: Vec<Vec<f64>>,
    segment: f64,
    buffer: f64,
    /// The level of what is held, by segment.
    held: Vec<Option<usize>>,
    /// From the first on, taken by downstream.
    taken: usize,
    position: f64,
    playing: bool,
    time: f64,
    start: Instant,
    download: Option<Download>,
    /// The level to fetch, and the segment to fetch next.
    level: usize,
    slot: usize,
    /// Playlist under way: when it comes, what for.
    step: Option<(f64, super::Step)>,
    received: f64,
    outcome: Outcome,
}

impl World {
    fn new(shape: Shape, seed: u64, segment: f64, buffer: f64) -> Self {
        let mut chance = Chance(seed ^ 0x5eed);
        let count = (FILM / segment) as usize;
        let variation: Vec<f64> = (0..count).map(|_| chance.between(0.7, 1.0)).collect();
        let sizes = LEVELS.map(|l| variation.iter().map(|v| v * l as f64 * segment).collect());
        Self {
            rates: line(shape, seed),
            sizes: sizes.into(),
            segment,
            buffer,
            held: vec![None; count],
            taken: 0,
            position: 0.0,
            playing: false,
            time: 0.0,
            start: Instant::now(),
            download: None,
            level: 0,
            slot: 0,
            step: None,
            received: 0.0,
            outcome: Outcome::default(),
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.time)
    }

    fn place(&self, slot: usize) -> f64 {
        slot as f64 * self.segment
    }

    /// End of what is held without a gap.
    fn until(&self) -> f64 {
        let from = (self.position / self.segment) as usize;
        let whole = self.held[from.min(self.held.len())..].iter().take_while(|held| held.is_some()).count();
        self.place(from + whole)
    }

    fn done(&self) -> bool {
        self.position >= self.place(self.held.len()) - STEP
    }

    /// Lets playback go on, and downstream take what comes next.
    fn play(&mut self) {
        let ahead = self.until() - self.position;
        if !self.playing {
            if self.time > 0.0 && self.taken > 0 {
                self.outcome.stalled += STEP;
            }
            // As much is waited for after a pause as the element waits for.
            let enough = if self.taken == 0 { 0.1 } else { self.segment.min(2.0) };
            self.playing = ahead >= enough || self.until() >= self.place(self.held.len());
        } else if ahead < STEP {
            self.playing = false;
            self.outcome.stalls += 1;
        } else {
            self.position += STEP;
        }
        while self.taken < self.held.len()
            && self.held[self.taken].is_some()
            && self.place(self.taken) < self.position + TAKEN
        {
            self.taken += 1;
        }
    }

    /// Begins the next download, if something is wanted.
    fn fetch(&mut self) {
        if self.download.is_some() {
            return;
        }
        self.slot = self.slot.max(self.taken);
        if self.slot < self.held.len() && self.place(self.slot) < self.position + self.buffer {
            let bits = self.sizes[self.level][self.slot];
            let begins = self.time + LATENCY;
            let (slot, level) = (self.slot, self.level);
            self.download = Some(Download { slot, level, bits, done: 0.0, begins, first: None });
        }
    }

    /// Lets the line bring something. Gives the download that has ended.
    fn receive(&mut self) -> Option<Download> {
        let rate = self.rates[((self.time * 2.0) as usize).min(self.rates.len() - 1)];
        let time = self.time;
        let download = self.download.as_mut()?;
        if time < download.begins {
            return None;
        }
        download.first.get_or_insert(time);
        let bits = (rate * STEP).min(download.bits - download.done);
        download.done += bits;
        self.received += bits;
        if download.done < download.bits - 1e-3 {
            return None;
        }
        let whole = self.download.take()?;
        if whole.slot >= self.taken {
            self.held[whole.slot] = Some(whole.level);
        }
        self.slot = self.slot.max(whole.slot + 1);
        Some(whole)
    }

    /// The playlist of the level to go to has come.
    fn go(&mut self, step: super::Step) {
        let keep = self.position + step.keep.as_secs_f64();
        let mut slot = self.taken;
        while slot < self.held.len() && self.held[slot].is_some() && self.place(slot) < keep {
            slot += 1;
        }
        match &self.download {
            Some(running) if running.slot == slot && !step.abandon && running.done > 0.0 => slot += 1,
            _ => self.download = None,
        }
        if let Some(running) = &self.download
            && running.slot >= slot
        {
            self.download = None;
        }
        (self.level, self.slot) = (step.level, slot);
    }

    fn outcome(mut self) -> Outcome {
        let shown: Vec<usize> = self.held.iter().map(|held| held.expect("all was played")).collect();
        let bits: f64 = shown.iter().enumerate().map(|(slot, level)| self.sizes[*level][slot]).sum();
        let named: u64 = shown.iter().map(|level| LEVELS[*level]).sum();
        self.outcome.bitrate = named as f64 / shown.len() as f64;
        self.outcome.changes = shown.windows(2).filter(|pair| pair[0] != pair[1]).count() as u32;
        self.outcome.wasted = 1.0 - bits / self.received;
        self.outcome
    }
}

fn run(rule: Rule, shape: Shape, seed: u64, segment: f64, buffer: f64) -> Outcome {
    let mut world = World::new(shape, seed, segment, buffer);
    let mut throughput = Throughput::default();
    let mut adaptation = Adaptation::new(LEVELS.to_vec(), 0, RATIO);
    let mut last = Vec::new();
    let mut look = 0.0;
    while !world.done() {
        world.time += STEP;
        assert!(world.time < FILM * 20.0, "it never ends");
        let before = world.received;
        let ended = world.receive();
        let bytes = ((world.received - before) / 8.0) as u64;
        let now = world.now();
        if bytes > 0 {
            throughput.record(now, bytes);
        }
        if let (Rule::LastSegments, Some(whole)) = (rule, ended) {
            let took = world.time - whole.first.unwrap_or(whole.begins) + STEP;
            last.push(whole.bits / took);
            let lately = &last[last.len().saturating_sub(3)..];
            let mean = lately.iter().sum::<f64>() / lately.len() as f64;
            let rate = mean.min(lately[lately.len() - 1]);
            world.level = adaptation.floor(rate as u64);
        }
        if world.step.is_some_and(|(at, _)| at <= world.time)
            && let Some((_, step)) = world.step.take()
        {
            world.go(step);
        }
        world.fetch();
        throughput.set_line(
            now,
            match &world.download {
                None => Line::Idle,
                Some(download) if download.done > 0.0 => Line::Receiving,
                Some(_) => Line::Waiting,
            },
        );
        world.play();
        if rule == Rule::Ours && world.time >= look && world.step.is_none() {
            look = world.time + LOOK;
            let ahead = (world.until() - world.position).max(0.0);
            let room = world.buffer.min(world.place(world.held.len()) - world.position);
            let next = (world.until() / world.segment).round() as usize;
            let begun = world.download.as_ref().filter(|download| download.slot == next);
            let standing = Standing {
                rate: Rate::NORMAL,
                buffered: Duration::from_secs_f64(ahead),
                room: Duration::from_secs_f64(room.max(0.0)),
                segment: Duration::from_secs_f64(segment),
                begun: begun.map_or(0, |download| (download.done / 8.0) as u64),
                requests: 1,
                http: throughput.rate(now),
                peers: 0,
            };
            if let Some(running) = world.download.as_ref().filter(|running| running.slot < world.slot)
                && adaptation.is_late(running.level, &standing)
            {
                world.slot = running.slot;
                world.download = None;
            }
            world.step = adaptation.decide(now, &standing).map(|step| (world.time + 2.0 * LATENCY, step));
        }
    }
    world.outcome()
}

/// The mean over many lines.
fn mean(rule: Rule, shape: Shape, segment: f64, buffer: f64, seeds: u64) -> Outcome {
    let mut sum = Outcome::default();
    for seed in 0..seeds {
        let one = run(rule, shape, seed, segment, buffer);
        sum.bitrate += one.bitrate / seeds as f64;
        sum.stalls += one.stalls;
        sum.stalled += one.stalled;
        sum.changes += one.changes;
        sum.wasted += one.wasted / seeds as f64;
    }
    sum
}

#[test]
fn it_shows_more_and_stalls_no_more_than_by_the_last_segments() {
    const SEEDS: u64 = 40;
    for (segment, buffer) in [(2.0, 10.0), (2.0, 30.0), (6.0, 30.0)] {
        for shape in [Shape::Steady, Shape::Steps, Shape::Sinus, Shape::Walk] {
            let ours = mean(Rule::Ours, shape, segment, buffer, SEEDS);
            let theirs = mean(Rule::LastSegments, shape, segment, buffer, SEEDS);
            println!(
                "{segment} {buffer} {shape:?}: {:.2} times, stalls {} {}, {:.1} {:.1} s, changes {} {}, wasted {:.2}",
                ours.bitrate / theirs.bitrate,
                ours.stalls,
                theirs.stalls,
                ours.stalled,
                theirs.stalled,
                ours.changes,
                theirs.changes,
                ours.wasted
            );
            assert!(ours.bitrate >= theirs.bitrate, "{shape:?}: {ours:?}, {theirs:?}");
            assert!(ours.stalls <= theirs.stalls && ours.stalled <= theirs.stalled, "{shape:?}");
            assert!(ours.changes <= theirs.changes, "{shape:?}: {ours:?}, {theirs:?}");
        }
    }
}
