// SPDX-License-Identifier: MPL-2.0

//! What lies between two viewers: how long the way is, and whether there is one.

use super::chance::{Purpose, between, chance};
use super::population::Population;
use super::scenario::Network;
use super::time::{Micros, from_millis, from_seconds};

/// One way within a household.
pub const LAN: Micros = 500;

/// The farthest apart that two places are in practice, as a share of the world's width: regions stand on a
/// circle.
const FARTHEST: f64 = 1.0;

#[derive(Debug)]
pub struct Geography {
    seed: u64,
    round_trip: [f64; 2],
    unreachable: f64,
    setup: [f64; 2],
    setup_timeout: f64,
}

impl Geography {
    pub fn new(network: &Network, seed: u64) -> Self {
        Self {
            seed,
            round_trip: network.round_trip,
            unreachable: network.unreachable_pairs,
            setup: network.setup,
            setup_timeout: network.setup_timeout,
        }
    }

    /// No message between two households is faster.
    pub fn least_latency(&self) -> Micros {
        from_millis(self.round_trip[0] / 2.0)
    }

    /// One way between two viewers.
    pub fn latency(&self, world: &Population, a: u32, b: u32) -> Micros {
        let (pa, pb) = (world.person(a), world.person(b));
        if pa.household == pb.household {
            return LAN;
        }
        let side = |n: usize| (f64::from(pa.place[n]) - f64::from(pb.place[n])) / 65536.0;
        let distance = side(0).hypot(side(1)) / FARTHEST;
        // Cables do not run straight.
        let detour = between([0.8, 1.2], self.pair(Purpose::RoundTrip, a, b));
        let way = (distance * detour).clamp(0.0, 1.0);
        from_millis(between(self.round_trip, way) / 2.0)
    }

    /// How long two viewers take to connect, or after what time they give up.
    pub fn connect(&self, world: &Population, a: u32, b: u32) -> Result<Micros, Micros> {
        let (pa, pb) = (world.person(a), world.person(b));
        let together = pa.household == pb.household;
        let nat = pa.symmetric_nat && pb.symmetric_nat;
        if !together && (nat || self.pair(Purpose::Reachable, a, b) < self.unreachable) {
            return Err(from_seconds(self.setup_timeout));
        }
        Ok(from_seconds(between(self.setup, self.pair(Purpose::Setup, a, b))))
    }

    fn pair(&self, purpose: Purpose, a: u32, b: u32) -> f64 {
        chance(self.seed, purpose, u64::from(a.min(b)), u64::from(a.max(b)))
    }
}
