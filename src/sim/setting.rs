// SPDX-License-Identifier: MPL-2.0

//! What does not change while a world runs, shared by all of its shards.

use std::time::{Duration, Instant};

use super::geography::Geography;
use super::population::Population;
use super::scenario::{BrownOut, Scenario};
use super::stream::Stream;
use super::time::{Micros, bytes_per_second, from_seconds, to_seconds};
use crate::swarm::PeerId;
use crate::swarm::client::peer_id_from_random;

use super::chance::{Purpose, bits};

/// How a scenario is run.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    /// Peers are used. Without, the same viewers watch the same stream over HTTP alone.
    pub p2p: bool,
    /// Threads; 0 takes as many as there are processors. The result does not depend on it.
    pub threads: usize,
    /// Tells on stderr how far the world is.
    pub progress: bool,
    /// This viewer's decision trace is told, by way of [`super::trace::install`].
    pub trace: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, p2p: true, threads: 0, progress: false, trace: None }
    }
}

#[derive(Debug)]
pub struct Setting {
    pub scenario: Scenario,
    pub options: Options,
    pub population: Population,
    pub geography: Geography,
    pub stream: Stream,
    /// What a viewer takes for the time at which the world began.
    epoch: Instant,
}

impl Setting {
    pub fn new(scenario: Scenario, options: Options) -> Self {
        let seed = options.seed;
        Self {
            population: Population::new(&scenario, seed),
            geography: Geography::new(&scenario.network, seed),
            stream: Stream::new(&scenario.stream, seed),
            epoch: Instant::now(),
            scenario,
            options,
        }
    }

    pub fn end(&self) -> Micros {
        from_seconds(self.scenario.duration)
    }

    pub fn instant(&self, now: Micros) -> Instant {
        self.epoch + Duration::from_micros(now)
    }

    /// The moment in the world, not before it.
    pub fn moment(&self, instant: Instant) -> Micros {
        super::time::from_duration(instant.saturating_duration_since(self.epoch))
    }

    pub fn peer_id(&self, viewer: u32) -> PeerId {
        let mut random = [0; 12];
        for (n, part) in random.chunks_mut(8).enumerate() {
            let bits = bits(self.options.seed, Purpose::PeerId, u64::from(viewer), n as u64);
            part.copy_from_slice(&bits.to_le_bytes()[..part.len()]);
        }
        PeerId(peer_id_from_random(random))
    }

    /// Bytes a second that the CDN gives to one request now.
    pub fn cdn_rate(&self, now: Micros) -> f64 {
        let cdn = &self.scenario.cdn;
        bytes_per_second(cdn.rate) * self.brown_out(now).map_or(1.0, |b| b.rate)
    }

    /// Share of the requests that fail now.
    pub fn cdn_errors(&self, now: Micros) -> f64 {
        self.brown_out(now).map_or(0.0, |b| b.errors)
    }

    fn brown_out(&self, now: Micros) -> Option<&BrownOut> {
        let now = to_seconds(now);
        self.scenario.cdn.brown_out.iter().find(|b| (b.from..b.to).contains(&now))
    }
}
