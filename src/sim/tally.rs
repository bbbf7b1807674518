// SPDX-License-Identifier: MPL-2.0

//! What is counted while a world runs; shards count for themselves, and in the end all is added up.

use std::collections::BTreeMap;

use super::node::Node;
use super::playback::State;
use super::population::{Manner, Population};
use super::time::{Micros, to_seconds};

/// Time that an entry of [`Tally::timeline`] covers.
pub const STEP: Micros = 10_000_000;

/// Bytes unless the name says otherwise. Playback and the bytes received are those of viewers that mean well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub events: u64,
    pub joined: u64,
    pub left: u64,
    pub playlist_loads: u64,
    pub commands: u64,
    pub opened_links: u64,
    pub failed_links: u64,
    pub unavailable: u64,
    pub skipped: u64,

    /// Left the CDN, to whomever.
    pub http_sent: u64,
    pub http_delivered: u64,
    /// Came when the request had been given up.
    pub http_lost: u64,
    pub http_in_flight: u64,
    /// Left peers, to whomever.
    pub peer_sent: u64,
    pub peer_delivered: u64,
    /// Came when the viewer or its channel was gone.
    pub lost: u64,
    pub in_flight: u64,
    /// Of what left peers, what went from one ISP to another.
    pub border: u64,
    /// The same, within a household.
    pub household: u64,

    /// By the viewers' own counters, as bytes or numbers.
    pub counted: Counted,

    pub played: Micros,
    pub stalled: Micros,
    pub stalls: u64,
    /// Viewers that mean well.
    pub watchers: u64,
    pub with_stall: u64,
    /// Of these, who never saw a picture.
    pub never_started: u64,
    /// One for each viewer that means well.
    pub watched: Vec<Watched>,
    pub timeline: Vec<Moment>,
    /// Requests from the first byte on, other requests, and bytes that the CDN sent.
    pub segments: BTreeMap<u32, Requests>,
    /// By reason: honest viewers that were dropped for misbehaviour, and others.
    pub dropped: BTreeMap<&'static str, [u64; 2]>,
    /// HTTP requests that one viewer had under way at a time.
    pub most_fetches: usize,
    /// That one viewer held at a time.
    pub most_memory: u64,
    /// Things that one viewer wanted done at a time.
    pub most_actions: usize,
    /// Looked for in tests: requests for bytes that the peer had not announced, times that viewers were found
    /// waiting for each other, and requests that one viewer had with its peers at a time.
    pub unfounded_requests: u64,
    pub circles: u64,
    pub most_transfers: usize,
}

/// What one viewer saw. Times are in milliseconds, to have a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    pub viewer: u32,
    pub joined: u32,
    /// From joining to the first picture.
    pub startup: Option<u32>,
    pub stalled: u32,
}

/// Sums of [`crate::viewer::Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub http: u64,
    pub peers: u64,
    pub uploaded: u64,
    pub wasted: u64,
    pub rejected: u64,
    pub elected: u64,
    pub backups: u64,
    pub last_calls: u64,
    pub hedges: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub whole: u64,
    pub ranged: u64,
    pub bytes: u64,
}

/// What happened within one [`STEP`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub http: u64,
    pub peers: u64,
    pub border: u64,
    /// Viewers seen playing, and standing still, one look each tick.
    pub playing: u64,
    pub stalled: u64,
    /// Of these looks, the sum of peers.
    pub links: u64,
}

fn means_well(node: &Node) -> bool {
    matches!(node.manner, Manner::Honest | Manner::Leech)
}

impl Tally {
    fn moment(&mut self, now: Micros) -> &mut Moment {
        let index = (now / STEP) as usize;
        if self.timeline.len() <= index {
            self.timeline.resize(index + 1, Moment::default());
        }
        &mut self.timeline[index]
    }

    pub fn request(&mut self, node: &Node, segment: u32, whole: bool) {
        self.most_fetches = self.most_fetches.max(node.fetches.len());
        let requests = self.segments.entry(segment).or_default();
        if whole { requests.whole += 1 } else { requests.ranged += 1 }
    }

    pub fn origin_bytes(&mut self, segment: u32, len: u64) {
        self.http_sent += len;
        self.segments.entry(segment).or_default().bytes += len;
    }

    pub fn http_delivered(&mut self, now: Micros, node: &Node, len: u64) {
        self.http_delivered += len;
        if means_well(node) {
            self.moment(now).http += len;
        }
    }

    pub fn sent(&mut self, now: Micros, world: &Population, from: u32, to: u32, len: u64) {
        self.peer_sent += len;
        if world.isp(from) != world.isp(to) {
            self.border += len;
            self.moment(now).border += len;
        } else if world.person(from).household == world.person(to).household {
            self.household += len;
        }
    }

    /// `new` of the bytes were of use.
    pub fn peer_delivered(&mut self, now: Micros, node: &Node, len: u64, new: u64) {
        self.peer_delivered += len;
        if means_well(node) {
            self.moment(now).peers += new;
        }
    }

    pub fn tick(&mut self, now: Micros, node: &Node) {
        self.most_memory = self.most_memory.max(node.viewer.memory());
        if !means_well(node) {
            return;
        }
        let links = node.viewer.peer_count() as u64;
        let moment = self.moment(now);
        match node.playback.state {
            State::Playing => moment.playing += 1,
            State::Stalled => moment.stalled += 1,
            State::Waiting | State::Ended => return,
        }
        moment.links += links;
    }

    pub fn dropped(&mut self, world: &Population, peer: u32, reason: &'static str) {
        let bad = matches!(world.person(peer).manner, Manner::Polluter | Manner::Silent);
        self.dropped.entry(reason).or_default()[usize::from(bad)] += 1;
    }

    /// A viewer is done.
    pub fn count(&mut self, now: Micros, node: &Node, joined: Micros) {
        if !means_well(node) {
            return;
        }
        /// Who goes before a first picture can be expected has not waited in vain.
        const FAIR_CHANCE: Micros = 10_000_000;
        let counters = node.viewer.counters();
        self.counted.http += counters.http_bytes;
        self.counted.peers += counters.peer_bytes;
        self.counted.uploaded += counters.upload_bytes;
        self.counted.wasted += counters.wasted_bytes;
        self.counted.rejected += counters.rejected_bytes;
        self.counted.elected += counters.elected;
        self.counted.backups += counters.backups;
        self.counted.last_calls += counters.last_calls;
        self.counted.hedges += counters.hedges;
        self.played += node.playback.played;
        self.stalled += node.playback.stalled;
        self.stalls += u64::from(node.playback.stalls);
        self.skipped += u64::from(node.skipped);
        self.watchers += 1;
        self.with_stall += u64::from(node.playback.stalls > 0);
        let startup = node.playback.startup;
        self.never_started += u64::from(startup.is_none() && now - joined >= FAIR_CHANCE);
        self.watched.push(Watched {
            viewer: node.id,
            joined: (joined / 1000) as u32,
            startup: startup.map(|startup| (startup / 1000) as u32),
            stalled: (node.playback.stalled / 1000) as u32,
        });
    }

    /// Adds what another shard has counted.
    pub fn add(&mut self, other: Self) {
        macro_rules! sum {
            ($($field:ident).+) => { self.$($field).+ += other.$($field).+ };
            ($($($field:ident).+),+ $(,)?) => { $( sum!($($field).+) );+ };
        }
        sum!(
            events,
            joined,
            left,
            playlist_loads,
            commands,
            opened_links,
            failed_links,
            unavailable,
            skipped,
            http_sent,
            http_delivered,
            http_lost,
            http_in_flight,
            peer_sent,
            peer_delivered,
            lost,
            in_flight,
            border,
            household,
            played,
            stalled,
            stalls,
            watchers,
            with_stall,
            never_started,
            counted.http,
            counted.peers,
            counted.uploaded,
            counted.wasted,
            counted.rejected,
            counted.elected,
            counted.backups,
            counted.last_calls,
            counted.hedges,
            unfounded_requests,
            circles,
        );
        self.watched.extend(other.watched);
        for (index, moment) in other.timeline.into_iter().enumerate() {
            let into = self.moment(index as Micros * STEP);
            into.http += moment.http;
            into.peers += moment.peers;
            into.border += moment.border;
            into.playing += moment.playing;
            into.stalled += moment.stalled;
            into.links += moment.links;
        }
        for (segment, requests) in other.segments {
            let into = self.segments.entry(segment).or_default();
            into.whole += requests.whole;
            into.ranged += requests.ranged;
            into.bytes += requests.bytes;
        }
        for (reason, [honest, bad]) in other.dropped {
            let into = self.dropped.entry(reason).or_default();
            *into = [into[0] + honest, into[1] + bad];
        }
        self.most_fetches = self.most_fetches.max(other.most_fetches);
        self.most_memory = self.most_memory.max(other.most_memory);
        self.most_actions = self.most_actions.max(other.most_actions);
        self.most_transfers = self.most_transfers.max(other.most_transfers);
    }

    /// Share of the bytes that came from peers, from `since` on.
    pub fn peer_efficiency(&self, since: Micros) -> f64 {
        let first = since.div_ceil(STEP) as usize;
        let after = self.timeline.iter().skip(first);
        let (http, peers) = after.fold((0, 0), |(http, peers), m| (http + m.http, peers + m.peers));
        share(peers, http + peers)
    }

    /// Of the time that playback should have gone on, how much it stood still.
    pub fn rebuffering(&self) -> f64 {
        share(self.stalled, self.played + self.stalled)
    }

    /// Seconds to the first picture that so large a share of the viewers did not exceed.
    pub fn startup(&self, share: f64) -> f64 {
        let mut startups: Vec<u32> = self.watched.iter().filter_map(|w| w.startup).collect();
        if startups.is_empty() {
            return f64::NAN;
        }
        let rank = (share * (startups.len() - 1) as f64).round() as usize;
        let (_, startup, _) = startups.select_nth_unstable(rank);
        to_seconds(u64::from(*startup) * 1000)
    }
}

pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
