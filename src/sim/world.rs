// SPDX-License-Identifier: MPL-2.0

//! A world from its first moment to its last.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::edges::{Edge, Edges};
use super::introductions::Introductions;
use super::scenario::Scenario;
use super::setting::{Options, Setting};
use super::shard::Shard;
use super::tally::Tally;
use super::time::{Micros, bytes_per_second, to_seconds};
use super::usage;

/// Longest window of the clock: playback and playlists would not mind more, but the tracker is asked once in
/// each.
const LONGEST_WINDOW: Micros = 100_000;

/// What has come of a world.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub scenario: Scenario,
    pub options: Options,
    pub tally: Tally,
    pub announces: u64,
    pub took: Duration,
    /// Of all threads; None where the system does not tell.
    pub cpu: Option<Duration>,
    /// Most that the process ever had in memory, in bytes.
    pub peak_memory: Option<u64>,
}

/// Why a world could not be run.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error(transparent)]
    Scenario(#[from] super::scenario::ScenarioError),
    #[error("no threads to run on: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Runs a scenario to its end.
pub fn run(scenario: &Scenario, options: &Options) -> Result<Outcome, WorldError> {
    scenario.check()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    let (began, cpu_before) = (Instant::now(), usage::cpu_time());
    let mut world = World::new(scenario.clone(), options.clone());
    pool.install(|| world.run());
    let announces = world.introductions.announces;
    let tally = world.finish();
    let cpu = usage::cpu_time().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    Ok(Outcome {
        scenario: scenario.clone(),
        options: options.clone(),
        tally,
        announces,
        took: began.elapsed(),
        cpu,
        peak_memory: usage::peak_memory(),
    })
}

struct World {
    setting: Arc<Setting>,
    shards: Vec<Shard>,
    introductions: Introductions,
    /// None where ISPs' edges have no bounds.
    edges: Option<Edges>,
    window: Micros,
}

impl World {
    fn new(scenario: Scenario, options: Options) -> Self {
        let setting = Arc::new(Setting::new(scenario, options));
        let window = setting.geography.least_latency().clamp(1, LONGEST_WINDOW);
        let network = setting.scenario.network.clone();
        let numbers = 0..setting.population.shards.len() as u16;
        Self {
            shards: numbers.map(|number| Shard::new(setting.clone(), number, window)).collect(),
            introductions: Introductions::new(setting.clone(), window),
            edges: (network.isp_edge > 0.0)
                .then(|| Edges::new(bytes_per_second(network.isp_edge), network.isps)),
            window,
            setting,
        }
    }

    fn run(&mut self) {
        let end = self.setting.end();
        let mut progress = Progress::new(self.setting.options.progress);
        let mut now = 0;
        while now < end {
            // Windows in which nothing happens are passed over.
            let limit = now + self.window;
            let next = self.shards.iter_mut().filter_map(|shard| shard.next_time(limit)).min();
            let until = match next {
                Some(next) if next >= limit => next / self.window * self.window + self.window,
                _ => limit,
            };
            let until = until.min(end);
            self.shards.par_iter_mut().for_each(|shard| shard.run(until));
            self.exchange(until);
            self.pass_edges(until - now);
            now = until;
            progress.tell(now, end, &self.shards);
        }
        progress.end();
    }

    /// Hands over what the shards have for each other and for the tracker.
    fn exchange(&mut self, now: Micros) {
        for from in 0..self.shards.len() {
            for to in 0..self.shards.len() {
                if from != to {
                    let sent = std::mem::take(&mut self.shards[from].outboxes[to]);
                    let empty = std::mem::replace(&mut self.shards[to].inboxes[from], sent);
                    self.shards[from].outboxes[to] = empty;
                }
            }
        }
        let messages = self.shards.iter_mut().flat_map(|shard| shard.to_tracker.drain(..));
        for event in self.introductions.answer(messages, now) {
            let shard = usize::from(self.setting.population.person(event.viewer).shard);
            // Nobody sends to itself by way of the world, so this box is free for the tracker.
            self.shards[shard].inboxes[shard].push(event);
        }
    }

    /// Bytes go through the edges of ISPs.
    fn pass_edges(&mut self, window: Micros) {
        let Some(edges) = &mut self.edges else { return };
        let mut came = vec![Edge::default(); usize::from(self.setting.scenario.network.isps)];
        for shard in &mut self.shards {
            for (all, bytes) in came.iter_mut().zip(&mut shard.edge_bytes) {
                let Edge { inwards, outwards } = std::mem::take(bytes);
                all.inwards += inwards;
                all.outwards += outwards;
            }
        }
        let delays = edges.pass(window, &came);
        for shard in &mut self.shards {
            shard.edge_delays.clone_from(&delays);
        }
    }

    fn finish(self) -> Tally {
        let mut tally = Tally::default();
        let end = self.setting.end();
        for mut shard in self.shards {
            shard.finish(end);
            tally.add(shard.tally);
        }
        // Shards end with viewers in whatever order; what is told does not depend on it.
        tally.watched.sort_unstable();
        tally
    }
}

/// A line on stderr that tells how far the world is: on a terminal one that is written anew, elsewhere now and
/// then another.
struct Progress {
    shown: bool,
    terminal: bool,
    told: Instant,
    began: Instant,
}

impl Progress {
    fn new(shown: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { shown, terminal, told: Instant::now(), began: Instant::now() }
    }

    fn tell(&mut self, now: Micros, end: Micros, shards: &[Shard]) {
        let pause = Duration::from_secs(if self.terminal { 1 } else { 30 });
        if !self.shown || self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        let (viewers, peers) = shards.iter().map(Shard::present).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let events: u64 = shards.iter().map(|shard| shard.tally.events).sum();
        let elapsed = self.began.elapsed().as_secs_f64();
        // To the line's beginning, and what stood there goes.
        let (before, after) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        eprint!(
            "{before}{:.0} of {:.0} s, {viewers} viewers with {:.1} peers, {:.1} M events, {:.2} M/s{after}",
            to_seconds(now),
            to_seconds(end),
            peers as f64 / (viewers as f64).max(1.0),
            events as f64 / 1e6,
            events as f64 / 1e6 / elapsed,
        );
        // Nothing depends on it.
        let _ = std::io::stderr().flush();
    }

    fn end(&self) {
        if self.shown && self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
