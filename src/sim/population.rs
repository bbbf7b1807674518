// SPDX-License-Identifier: MPL-2.0

//! Everybody who will ever watch: who, where, behind which link, from when to when.
//!
//! All of it is drawn before the world begins, so that any viewer can look up any other.

use std::net::Ipv4Addr;
use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::scenario::Scenario;
use super::time::{Micros, bytes_per_second, from_seconds};

/// How a viewer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Honest,
    Leech,
    Polluter,
    Silent,
}

/// One viewer. Numbers are small because there may be millions.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub joins: Micros,
    /// When it leaves without a word; [`Micros::MAX`] for who stays.
    pub leaves: Micros,
    /// Place in the world, in 65536ths of its width and height.
    pub place: [u16; 2],
    /// Index of its access link in [`Population::households`].
    pub household: u32,
    pub manner: Manner,
    pub symmetric_nat: bool,
    /// Part of the world's viewers that are simulated together.
    pub shard: u16,
}

/// An access link and who is behind it.
#[derive(Clone, Copy, Debug)]
pub struct Household {
    /// Bytes a second.
    pub up: f64,
    /// Bytes a second.
    pub down: f64,
    pub isp: u16,
    /// Number within its ISP.
    pub number: u32,
}

#[derive(Debug)]
pub struct Population {
    pub people: Vec<Person>,
    pub households: Vec<Household>,
    /// Households in one /24.
    neighbours: u32,
    /// The people of each shard.
    pub shards: Vec<Range<u32>>,
    /// The households of each shard.
    pub shard_households: Vec<Range<u32>>,
}

/// More shards than this would cost more in messages than they bring on any machine there is.
const MAX_SHARDS: u32 = 64;

/// Fewer viewers than this to a shard are not worth a thread's time.
const SHARD_VIEWERS: u32 = 32;

impl Population {
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let shards = (scenario.viewers / SHARD_VIEWERS).clamp(1, MAX_SHARDS);
        let mut maker = Maker::new(scenario, seed);
        let mut world = Self {
            people: Vec::with_capacity(scenario.viewers as usize),
            households: Vec::new(),
            neighbours: scenario.network.neighbours,
            shards: Vec::new(),
            shard_households: Vec::new(),
        };
        let mut seats_done = 0;
        for shard in 0..shards {
            let first = (world.people.len() as u32, world.households.len() as u32);
            let until = (u64::from(scenario.viewers) * u64::from(shard + 1) / u64::from(shards)) as u32;
            while seats_done < until {
                let seats = maker.household_size().min(until - seats_done);
                let household = world.households.len() as u32;
                let (link, home) = maker.household();
                world.households.push(link);
                for _ in 0..seats {
                    maker.seat(household, home, shard as u16, &mut world.people);
                }
                seats_done += seats;
            }
            world.shards.push(first.0..world.people.len() as u32);
            world.shard_households.push(first.1..world.households.len() as u32);
        }
        world
    }

    pub fn person(&self, id: u32) -> &Person {
        &self.people[id as usize]
    }

    pub fn household(&self, id: u32) -> &Household {
        &self.households[self.person(id).household as usize]
    }

    pub fn isp(&self, id: u32) -> u16 {
        self.household(id).isp
    }

    /// The public address that a tracker sees: one for each household, neighbours in one network.
    pub fn address(&self, id: u32) -> Ipv4Addr {
        let Household { isp, number, .. } = *self.household(id);
        let (network, host) = (number / self.neighbours, number % self.neighbours);
        Ipv4Addr::from((u32::from(isp) + 20) << 24 | (network & 0xffff) << 8 | host)
    }
}

/// Draws people.
struct Maker<'a> {
    scenario: &'a Scenario,
    rng: SmallRng,
    /// Households of each ISP so far.
    numbers: Vec<u32>,
}

impl<'a> Maker<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let numbers = vec![0; usize::from(scenario.network.isps)];
        Self { scenario, rng: SmallRng::seed_from_u64(seed), numbers }
    }

    fn household_size(&mut self) -> u32 {
        let homes = &self.scenario.households;
        let size = homes.size.max(1);
        // So many of the viewers, not of the households.
        let share = homes.share / f64::from(size);
        let shared = share / (share + (1.0 - homes.share)).max(f64::MIN_POSITIVE);
        if self.rng.random_bool(shared.clamp(0.0, 1.0)) { size } else { 1 }
    }

    /// An access link and where it is.
    fn household(&mut self) -> (Household, [u16; 2]) {
        let network = &self.scenario.network;
        let isp = self.rng.random_range(0..network.isps);
        let number = self.numbers[usize::from(isp)];
        self.numbers[usize::from(isp)] += 1;
        // Each ISP has its region; regions stand on a circle.
        let region = f64::from(isp % network.regions) / f64::from(network.regions);
        let (sin, cos) = (region * std::f64::consts::TAU).sin_cos();
        let spread = if network.regions == 1 { 0.5 } else { 0.15 };
        let place = [0.5 + 0.35 * cos, 0.5 + 0.35 * sin].map(|centre| {
            let at: f64 = centre + self.rng.random_range(-spread..spread);
            (at.clamp(0.0, 1.0) * 65535.0) as u16
        });
        let classes = &self.scenario.population;
        let mut draw = self.rng.random_range(0.0..classes.iter().map(|c| c.share).sum::<f64>());
        let mut class = &classes[classes.len() - 1];
        for candidate in classes {
            if draw < candidate.share {
                class = candidate;
                break;
            }
            draw -= candidate.share;
        }
        let mut up = class.up;
        if self.rng.random_bool(self.scenario.misbehaviour.slow) && up > 0.0 {
            up = up.min(self.scenario.misbehaviour.slow_rate);
        }
        let (up, down) = (bytes_per_second(up), bytes_per_second(class.down));
        (Household { up, down, isp, number }, place)
    }

    /// All who sit in one seat, one after the other.
    fn seat(&mut self, household: u32, place: [u16; 2], shard: u16, people: &mut Vec<Person>) {
        let Scenario { arrivals, churn, misbehaviour, network, .. } = self.scenario;
        let end = from_seconds(self.scenario.duration);
        let mut joins = from_seconds(arrivals.from + arrivals.over * self.rng.random_range(0.0..1.0));
        while joins < end {
            let stay = match churn.per_minute {
                0.0 => Micros::MAX,
                // Exponential: nobody knows how long one has been there.
                rate => from_seconds(-(1.0 - self.rng.random_range(0.0..1.0f64)).ln() * 60.0 / rate),
            };
            let leaves = joins.saturating_add(stay.max(1));
            let draw: f64 = self.rng.random_range(0.0..1.0);
            let bad = [
                (Manner::Leech, misbehaviour.leeches),
                (Manner::Polluter, misbehaviour.polluters),
                (Manner::Silent, misbehaviour.silent),
            ];
            let mut below = 0.0;
            let mut manner = Manner::Honest;
            for (kind, share) in bad {
                if (below..below + share).contains(&draw) {
                    manner = kind;
                }
                below += share;
            }
            let symmetric_nat = self.rng.random_bool(network.symmetric_nat);
            let leaves = if leaves < end { leaves } else { Micros::MAX };
            people.push(Person { joins, leaves, place, household, manner, symmetric_nat, shard });
            joins = leaves;
        }
    }
}
