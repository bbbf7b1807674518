// SPDX-License-Identifier: MPL-2.0

//! What a world is made of, as its TOML file says. Every key has a default; `docs/simulator.md` lists them.
//!
//! Times are in seconds unless the name says otherwise, rates in Mbit/s, shares from 0 to 1.

use std::path::Path;

use serde::Deserialize;

/// A world before it begins.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    pub name: String,
    /// Seats in the audience; churn puts one viewer after another into the same seat.
    pub viewers: u32,
    pub duration: f64,
    /// What is measured "after warm-up" begins here.
    pub warm_up: f64,
    /// Bytes that travel together: larger is faster to simulate and coarser.
    pub chunk: u64,
    pub stream: Stream,
    pub arrivals: Arrivals,
    pub churn: Churn,
    pub network: Network,
    pub cdn: Cdn,
    pub tracker: Tracker,
    pub viewer: ViewerSettings,
    pub misbehaviour: Misbehaviour,
    pub households: Households,
    /// Classes of access links; shares that do not add up to 1 are scaled.
    pub population: Vec<Class>,
    /// Variations that `sweep` runs instead of this world itself.
    pub sweep: Sweep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Live,
    Vod,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stream {
    pub kind: Kind,
    /// Mbit/s.
    pub bitrate: f64,
    /// Segments differ in size by up to this share.
    pub variation: f64,
    /// Duration of a segment, or of a part of low-latency HLS.
    pub segment: f64,
    /// Live: how far behind the live edge playback begins, in segments.
    pub hold_back: u32,
    /// Live: segments in the playlist.
    pub window: u32,
    /// Live: segments that are no longer than this are parts of low-latency HLS, of which everybody hears at
    /// once; see [`super::stream::Stream::blocks`].
    pub parts_up_to: f64,
    /// VOD: playing time.
    pub length: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arrivals {
    /// The first viewer comes at this time.
    pub from: f64,
    /// The audience arrives evenly over this time.
    pub over: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Churn {
    /// Share of the viewers that leave in a minute, without a word; others take their seats.
    pub per_minute: f64,
    /// How long it takes peers and tracker to notice.
    pub noticed_after: [f64; 2],
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Milliseconds between the nearest and between the farthest two viewers.
    pub round_trip: [f64; 2],
    /// Share of the pairs that cannot connect, whoever they are.
    pub unreachable_pairs: f64,
    /// Share of the viewers behind a symmetric NAT; two of them cannot connect.
    pub symmetric_nat: f64,
    /// Time from an answer to an open channel.
    pub setup: [f64; 2],
    /// After this time a connection that does not come about is given up.
    pub setup_timeout: f64,
    pub regions: u16,
    pub isps: u16,
    /// Households in one /24, which is what a tracker takes for near without other data.
    pub neighbours: u32,
    /// Mbit/s between each ISP and the rest of the world; 0 is unlimited.
    pub isp_edge: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cdn {
    /// Milliseconds from a request to its first byte.
    pub latency: [f64; 2],
    /// Mbit/s for one request.
    pub rate: f64,
    pub brown_out: Vec<BrownOut>,
}

/// A time in which the CDN is not well.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrownOut {
    pub from: f64,
    pub to: f64,
    /// Share of the requests that fail.
    #[serde(default)]
    pub errors: f64,
    /// What is left of the rate.
    #[serde(default = "one")]
    pub rate: f64,
}

fn one() -> f64 {
    1.0
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tracker {
    /// Milliseconds from an announce to its response.
    pub latency: f64,
    /// Offers in one announce.
    pub offers: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewerSettings {
    pub max_peers: usize,
    /// How far ahead of playback segments are fetched.
    pub buffer: f64,
    /// MB held for playback and for others.
    pub memory: u64,
    /// Mbit/s given to peers at most; 0 is unlimited.
    pub max_upload: f64,
    /// From the first segment to the first picture: until then the player takes what it can hold, and nobody
    /// knows when it will need more.
    pub preroll: f64,
    /// Playing time that the player downstream takes before it shows it.
    pub player_holds: f64,
    /// How often the viewer is told where playback is, besides when playback starts and stops; 0 is never.
    pub tick: f64,
}

/// Shares of the viewers that are not as they should be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Misbehaviour {
    /// Take and do not give.
    pub leeches: f64,
    /// Send bytes that are wrong.
    pub polluters: f64,
    /// Announce what they have and answer nothing.
    pub silent: f64,
    /// Upload at [`Misbehaviour::slow_rate`], whatever their class.
    pub slow: f64,
    /// Mbit/s.
    pub slow_rate: f64,
}

/// Viewers behind one access link.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Households {
    /// Share of the viewers that live in households of more than one.
    pub share: f64,
    /// Viewers in such a household.
    pub size: u32,
}

/// A class of access links.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    pub share: f64,
    /// Mbit/s; 0 means that the viewer does not upload at all.
    pub up: f64,
    /// Mbit/s.
    pub down: f64,
}

/// Lists of values to run a world with; empty lists leave the world's own value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    pub viewers: Vec<u32>,
    /// Pairs of a segment's duration and the hold-back in segments.
    pub hold_back: Vec<(f64, u32)>,
}

impl Default for Scenario {
    /// The mixed audience that the design was modelled with.
    fn default() -> Self {
        let class = |share, up, down| Class { share, up, down };
        Self {
            name: String::new(),
            viewers: 1000,
            duration: 300.0,
            warm_up: 60.0,
            chunk: 64 << 10,
            stream: Stream::default(),
            arrivals: Arrivals::default(),
            churn: Churn::default(),
            network: Network::default(),
            cdn: Cdn::default(),
            tracker: Tracker::default(),
            viewer: ViewerSettings::default(),
            misbehaviour: Misbehaviour::default(),
            households: Households::default(),
            population: vec![
                class(0.2, 0.0, 20.0),
                class(0.3, 5.0, 50.0),
                class(0.4, 20.0, 100.0),
                class(0.1, 50.0, 250.0),
            ],
            sweep: Sweep::default(),
        }
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            kind: Kind::Live,
            bitrate: 4.0,
            variation: 0.2,
            segment: 4.0,
            hold_back: 3,
            window: 10,
            parts_up_to: 0.0,
            length: 600.0,
        }
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { from: 0.0, over: 20.0 }
    }
}

impl Default for Churn {
    fn default() -> Self {
        Self { per_minute: 0.05, noticed_after: [2.0, 8.0] }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            round_trip: [30.0, 200.0],
            unreachable_pairs: 0.15,
            symmetric_nat: 0.0,
            setup: [0.5, 1.5],
            setup_timeout: 13.0,
            regions: 5,
            isps: 40,
            neighbours: 256,
            isp_edge: 0.0,
        }
    }
}

impl Default for Cdn {
    fn default() -> Self {
        Self { latency: [15.0, 60.0], rate: 50.0, brown_out: Vec::new() }
    }
}

impl Default for Tracker {
    fn default() -> Self {
        Self { latency: 60.0, offers: 5 }
    }
}

impl Default for Misbehaviour {
    fn default() -> Self {
        Self { leeches: 0.0, polluters: 0.0, silent: 0.0, slow: 0.0, slow_rate: 0.3 }
    }
}

impl Default for Households {
    fn default() -> Self {
        Self { share: 0.0, size: 3 }
    }
}

impl Default for ViewerSettings {
    fn default() -> Self {
        Self {
            max_peers: 15,
            buffer: 30.0,
            memory: 256,
            max_upload: 0.0,
            preroll: 0.3,
            player_holds: 5.0,
            tick: 1.0,
        }
    }
}

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("{0}: {1}")]
    Unreadable(String, std::io::Error),
    #[error("{0}: {1}")]
    Syntax(String, toml::de::Error),
    #[error("{0}")]
    Nonsense(&'static str),
}

/// Link slots are numbered by a byte.
const MOST_PEERS: usize = 100;

impl Scenario {
    /// Reads a scenario from a file.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| ScenarioError::Unreadable(name.clone(), e))?;
        let mut scenario: Self = toml::from_str(&text).map_err(|e| ScenarioError::Syntax(name, e))?;
        if scenario.name.is_empty() {
            scenario.name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
        }
        scenario.check()?;
        Ok(scenario)
    }

    /// Refuses what cannot be simulated.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let is =
            |holds: bool, otherwise| if holds { Ok(()) } else { Err(ScenarioError::Nonsense(otherwise)) };
        let range = |[from, to]: [f64; 2], least: f64| from >= least && to >= from && to <= 1e5;
        let share = |share: f64| (0.0..=1.0).contains(&share);
        let m = &self.misbehaviour;
        is((1..=20_000_000).contains(&self.viewers), "viewers: 1 to 20,000,000")?;
        is(self.duration > 0.0 && self.duration <= 86_400.0, "duration: up to a day")?;
        is((4 << 10..=4 << 20).contains(&self.chunk), "chunk: 4 KiB to 4 MiB")?;
        is(self.stream.bitrate > 0.0 && self.stream.bitrate < 1e4, "stream.bitrate: above 0 Mbit/s")?;
        is((0.1..=60.0).contains(&self.stream.segment), "stream.segment: 0.1 to 60 s")?;
        is((0.0..0.95).contains(&self.stream.variation), "stream.variation: 0 to 0.95")?;
        is((1..=1000).contains(&self.stream.hold_back), "stream.hold_back: 1 to 1000 segments")?;
        is(self.stream.window > self.stream.hold_back, "stream.window: more than the hold-back")?;
        is(self.stream.window <= 5000, "stream.window: at most 5000 segments")?;
        is((0.0..=60.0).contains(&self.stream.parts_up_to), "stream.parts_up_to: 0 to 60 s")?;
        is((self.stream.segment..=86_400.0).contains(&self.stream.length), "stream.length: up to a day")?;
        is(
            range([self.arrivals.from, self.arrivals.from + self.arrivals.over], 0.0),
            "arrivals: not negative",
        )?;
        is((0.0..10.0).contains(&self.churn.per_minute), "churn.per_minute: 0 to 10")?;
        is(range(self.churn.noticed_after, 0.1), "churn.noticed_after: two times from 0.1 s on")?;
        is(range(self.network.round_trip, 1.0), "network.round_trip: two times from 1 ms on")?;
        is(range(self.network.setup, 0.0), "network.setup: two times")?;
        is((0.1..1e3).contains(&self.network.setup_timeout), "network.setup_timeout: from 0.1 s on")?;
        is(share(self.network.unreachable_pairs), "network.unreachable_pairs: 0 to 1")?;
        is(share(self.network.symmetric_nat), "network.symmetric_nat: 0 to 1")?;
        is(self.network.regions > 0 && self.network.isps > 0, "network: at least one region and one ISP")?;
        is(self.network.isps <= 200, "network.isps: at most 200")?;
        is((1..=256).contains(&self.network.neighbours), "network.neighbours: 1 to 256 households")?;
        is((0.0..1e9).contains(&self.network.isp_edge), "network.isp_edge: 0 or a rate")?;
        is(range(self.cdn.latency, 1.0), "cdn.latency: two times from 1 ms on")?;
        is(self.cdn.rate > 0.0, "cdn.rate: above 0")?;
        let sane = |b: &BrownOut| {
            b.from >= 0.0 && b.to >= b.from && share(b.errors) && share(b.rate) && b.rate > 0.0
        };
        is(self.cdn.brown_out.iter().all(sane), "cdn.brown_out: from before to; shares above 0 and up to 1")?;
        is((1.0..1e5).contains(&self.tracker.latency), "tracker.latency: from 1 ms on")?;
        is(self.tracker.offers <= 20, "tracker.offers: at most 20")?;
        is(self.viewer.max_peers <= MOST_PEERS, "viewer.max_peers: at most 100")?;
        is((1.0..1e5).contains(&self.viewer.buffer), "viewer.buffer: from 1 s on")?;
        is((1..1 << 20).contains(&self.viewer.memory), "viewer.memory: from 1 MB on")?;
        is((0.0..1e6).contains(&self.viewer.max_upload), "viewer.max_upload: 0 or a rate")?;
        is((0.0..60.0).contains(&self.viewer.preroll), "viewer.preroll: 0 to 60 s")?;
        is((0.0..1e4).contains(&self.viewer.player_holds), "viewer.player_holds: not negative")?;
        is((0.0..1e4).contains(&self.viewer.tick), "viewer.tick: not negative")?;
        let shares = [m.leeches, m.polluters, m.silent, m.slow];
        is(shares.into_iter().all(share) && shares.iter().sum::<f64>() <= 1.0, "misbehaviour: shares of 1")?;
        is(m.slow_rate > 0.0, "misbehaviour.slow_rate: above 0")?;
        is(share(self.households.share), "households.share: 0 to 1")?;
        is((1..=1000).contains(&self.households.size), "households.size: 1 to 1000")?;
        is(!self.population.is_empty() && self.population.len() < 200, "population: at least one class")?;
        let class = |c: &Class| c.share >= 0.0 && c.up >= 0.0 && c.down > 0.0;
        is(self.population.iter().all(class), "population: no negative rates, and a downlink")?;
        is(self.population.iter().map(|c| c.share).sum::<f64>() > 0.0, "population: shares above 0")
    }
}

impl Scenario {
    /// The worlds of a sweep: each audience with each hold-back.
    pub fn variations(&self) -> Vec<Self> {
        let or_own = |list: &[u32]| if list.is_empty() { vec![self.viewers] } else { list.to_vec() };
        let mut hold_backs = self.sweep.hold_back.clone();
        if hold_backs.is_empty() {
            hold_backs.push((self.stream.segment, self.stream.hold_back));
        }
        let mut variations = Vec::new();
        for (segment, hold_back) in hold_backs {
            for viewers in or_own(&self.sweep.viewers) {
                let mut world = Self { viewers, ..self.clone() };
                world.stream.segment = segment;
                world.stream.hold_back = hold_back;
                world.stream.window = world.stream.window.max(hold_back + 3);
                variations.push(world);
            }
        }
        variations
    }
}
