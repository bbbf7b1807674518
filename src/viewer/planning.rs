// SPDX-License-Identifier: MPL-2.0

//! Which segments are wanted, and a pass of the switcher over them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::holding::{Holding, HttpFetch, PeerTransfer, State};
use super::{Action, FetchFailure, FetchId, PeerKey, SegmentSpec, Viewer};
use crate::swarm::{SegmentId, WHOLE, election_score};
use crate::switcher::{
    Choice, HttpWork, PeerWork, Policy, RateMeter, Reason, Seat, Situation, decide, fetchers, seat, spread,
};

/// Segments that may come from peers at the same time.
const MAX_TRANSFERS: usize = 6;

/// HTTP requests for segments at the same time. More would slow the one that is needed first.
const MAX_FETCHES: usize = 2;

/// A player may want so much before it shows anything; it does not wait for a swarm that is still forming.
const PREROLL: Duration = Duration::from_secs(8);

/// A swarm has formed for a viewer that has heard from so many peers.
const ENOUGH_PEERS: u64 = 3;

/// What a player that stands still waits for may take so long to come from peers.
const PREROLL_PATIENCE: Duration = Duration::from_secs(3);

/// A peer that holds all of a segment and is silent for so long has failed.
const SILENCE: Duration = Duration::from_millis(800);

/// One that passes the segment on may be looking for another source itself, and is given time to. Still less
/// than the 2 s after which p2p-media-loader's own peers give up, so that whoever waits for us hears from us.
const SILENCE_OF_RELAY: Duration = Duration::from_millis(1100);

/// A swarm in which everybody is busy at first finds its order within this time.
const ACQUAINTANCE: Duration = Duration::from_secs(45);

/// An origin that is silent for so long is not waited for where a peer has the bytes.
const HTTP_SILENCE: Duration = Duration::from_millis(1000);

/// How long it takes from one viewer's first byte to the next one's, in times from a request to its first byte.
const NEWS: f64 = 2.5;

/// Bytes a second of a stream before any of its segments was seen: 4 Mbit/s.
const UNSEEN_RATE: f64 = 500_000.0;

/// Requests in a row that were left unanswered, after which a peer is dropped.
const MAX_FAILURES: u32 = 5;

/// Requests in a row that were answered with Absent, after which a peer is not counted upon. It may have a
/// place for us again all the same.
const MAX_EXCUSES: u32 = 8;

/// The same after which a peer that has never given or taken anything
/// is dropped. Others may be busy: whoever takes is there for somebody.
const MAX_REFUSALS: u32 = 10;

impl Viewer {
    /// The segments to have, as a range of `segments`: from the cursor as far ahead as buffer and memory allow.
    pub(super) fn wanted(&self) -> Range<usize> {
        let from = self.segments.len() - self.ahead().len();
        let Some(first) = self.segments.get(from) else { return from..from };
        let base = self.clock.map_or(first.start, |clock| clock.position.max(first.start));
        let mut memory = self.config.max_memory - self.config.max_memory / 8;
        let fits = |spec: &&SegmentSpec| {
            let size = self.size_guess(spec);
            // The segment that plays now is wanted however large it is.
            let fits = size <= memory || spec.id == first.id;
            memory = memory.saturating_sub(size);
            fits && spec.start < base + self.config.buffer
        };
        from..from + self.segments[from..].iter().take_while(fits).count()
    }

    /// One pass over all that is wanted.
    pub(super) fn plan(&mut self, now: Instant) {
        self.give_up_on_silent_peers(now);
        self.report_what_cannot_be_had(now);
        let policy = self.policy();
        for index in self.wanted() {
            let spec = self.segments[index];
            let slack = self.slack(now, &spec);
            let holding = self.holdings.entry(spec.id).or_insert_with(|| Holding::new(spec.size, slack));
            if holding.state != State::Partial {
                continue;
            }
            let situation = self.situation(now, &spec, slack, &policy);
            let choice = if self.config.download_from_peers {
                decide(&policy, &self.http, &situation, || self.seat(now, &spec, &policy, &situation))
            } else if situation.http != HttpWork::None {
                continue;
            } else {
                Choice::Http(Reason::LastCall)
            };
            self.trace_choice(now, &spec, &policy, &situation, choice);
            match choice {
                Choice::Wait => {
                    if let Some(work) = self.holdings.get(&spec.id).and_then(|h| h.http) {
                        let at = work.last_progress + HTTP_SILENCE;
                        if at > now {
                            self.wake_at(at);
                        }
                    }
                }
                Choice::WaitUntilSlack(at) => {
                    // While paused only the cursor's slack runs down; the others lose nothing by waiting.
                    let runs = self.clock.is_none_or(|clock| clock.playing) || self.cursor == Some(spec.id);
                    if at < slack && runs {
                        self.wake_at(now + (slack - at));
                    }
                }
                Choice::Peer => self.ask_peer(now, spec.id),
                Choice::AnotherPeer => {
                    self.cancel_transfer(spec.id);
                    self.ask_peer(now, spec.id);
                }
                Choice::Http(reason) => self.ask_http(now, &spec, reason),
                Choice::Race => {
                    self.ask_peer(now, spec.id);
                    self.ask_http(now, &spec, Reason::LastCall);
                }
            }
        }
    }

    pub(super) fn policy(&self) -> Policy {
        let Policy { margin, reserve, .. } = self.config.policy;
        // On live nearly all slack there is belongs to the peers; a reserve would leave them none. And
        // before the first peers are there, a second's patience saves filling the whole reserve over HTTP.
        let none = self.live || self.is_waiting_for_swarm();
        let reserve = if none { Duration::ZERO } else { reserve.min(self.config.buffer / 2) };
        // Word of a segment comes before it can be asked for, so a hop of the news takes longer than one of the
        // bytes.
        let spread = spread(self.swarm_size.unwrap_or(0), self.hop.mul_f64(NEWS));
        Policy { margin, reserve, spread }
    }

    fn is_waiting_for_swarm(&self) -> bool {
        // A film is there as a whole: whoever has it may be among those who are met last, and there is time.
        // Of a live stream, what the tracker counts is what there is to wait for.
        let others = match self.swarm_size {
            Some(2..) if !self.live => ENOUGH_PEERS,
            Some(size) => size.saturating_sub(1).clamp(1, ENOUGH_PEERS),
            None => 1,
        };
        self.swarm_forming && (self.heard_peers() as u64) < others
    }

    /// Peers that hold something, as far as they have said. One of which nobody knows it is not there yet.
    fn heard_peers(&self) -> usize {
        self.peers.values().filter(|peer| peer.state.frontier().is_some()).count()
    }

    /// Time until playback needs a segment.
    pub(super) fn slack(&self, now: Instant, spec: &SegmentSpec) -> Duration {
        let position = match self.clock {
            Some(clock) if clock.playing => clock.position + now.saturating_duration_since(clock.at),
            Some(clock) => clock.position,
            None => self.origin,
        };
        let slack = spec.start.saturating_sub(position);
        let stands = self.clock.is_none_or(|clock| !clock.playing);
        if !stands || self.cursor != Some(spec.id) {
            return slack;
        }
        // While playback stands still its position says little of when the next bytes are needed: a decoder
        // may be waiting for them before anything can be shown. So the first seconds are urgent, and what
        // follows becomes so.
        if slack < PREROLL && self.swarm_forming && self.heard_peers() == 0 {
            return Duration::ZERO;
        }
        let waited = self.cursor_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        slack.min(PREROLL_PATIENCE).saturating_sub(waited)
    }

    pub(super) fn size_guess(&self, spec: &SegmentSpec) -> u64 {
        let known = self.holdings.get(&spec.id).and_then(|h| h.total).or(spec.size);
        known.unwrap_or_else(|| (self.stream_rate() * spec.duration.as_secs_f64()) as u64)
    }

    /// Bytes a second of the stream.
    pub(super) fn stream_rate(&self) -> f64 {
        let (bytes, time) = self.seen;
        if time.is_zero() { UNSEEN_RATE } else { bytes as f64 / time.as_secs_f64() }
    }

    pub(super) fn situation(
        &self,
        now: Instant,
        spec: &SegmentSpec,
        slack: Duration,
        policy: &Policy,
    ) -> Situation {
        let holding = self.holdings.get(&spec.id);
        let missing = self.size_guess(spec).saturating_sub(holding.map_or(0, |h| h.have));
        let transfer = holding.and_then(|h| h.transfer);
        let transfers = self.holdings.values().filter(|h| h.transfer.is_some()).count();
        Situation {
            slack,
            first_slack: holding.map_or(slack, |h| h.first_slack),
            duration: spec.duration,
            missing,
            http: match holding.and_then(|h| h.http) {
                None => HttpWork::None,
                Some(work) if work.last_progress + HTTP_SILENCE <= now => HttpWork::Silent,
                Some(_) => HttpWork::Running,
            },
            peer_work: transfer.map(|t| PeerWork { remaining: remaining(now, &t, missing) }),
            peer_free: transfers < MAX_TRANSFERS && self.best_peer(now, spec.id).is_some(),
            peers_from: self.peers_from(now, spec, holding.map_or(slack, |h| h.first_slack), policy),
            is_coming: self.news.has(spec.id),
            peer_expected: self
                .peers
                .values()
                .any(|p| p.state.refusals < MAX_EXCUSES && p.state.knows(spec.id)),
        }
    }

    /// The slack from which on peers are asked for a segment. Who has nothing to give lets the others go first:
    /// of a fresh segment there are few places to be had, and each that goes to a viewer who passes it on makes
    /// more.
    fn peers_from(
        &self,
        now: Instant,
        spec: &SegmentSpec,
        first_slack: Duration,
        policy: &Policy,
    ) -> Duration {
        let is_fresh = self.live && self.segments.last().is_some_and(|newest| newest.id == spec.id);
        if !is_fresh || self.sees_all() || self.can_give(now) {
            return Duration::MAX;
        }
        first_slack.saturating_sub(policy.spread.min(first_slack / 4))
    }

    /// Our place among those who may fetch a segment for the swarm.
    pub(super) fn seat(&self, now: Instant, spec: &SegmentSpec, policy: &Policy, s: &Situation) -> Seat {
        if self.is_waiting_for_swarm() {
            // There is no peer yet to fetch it for.
            return Seat::Bystander;
        }
        if self.peers.is_empty() {
            return Seat::Elected;
        }
        if !self.can_give(now) {
            // It would be of use to nobody else.
            return Seat::Bystander;
        }
        let peers = self.peers.values().map(|p| &p.state);
        let electors = peers.filter(|p| p.is_elector(spec.id)).map(|p| &p.id);
        // In a film the swarm is spread over the whole length: only who is near counts.
        let viewers = self.swarm_size.filter(|_| self.live).map(|size| (size, self.peers.len()));
        let need = self.http.pessimistic(s.missing).unwrap_or(s.duration) + policy.margin_of(s.first_slack);
        let time = s.first_slack.saturating_sub(need);
        let fetchers = fetchers(self.swarm_size.unwrap_or(0), time, self.hop);
        seat(&self.config.peer_id, spec.name(), electors, viewers, fetchers)
    }

    /// The peer to ask for more of a segment: free, and holding more of it than we do.
    ///
    /// A fast one is likelier to be taken, but not sure: the fastest would be asked by everybody. By hash, so
    /// that one look gives the same as the next (weighted sampling after Efraimidis and Spirakis, 2006).
    fn best_peer(&self, now: Instant, segment: SegmentId) -> Option<PeerKey> {
        let holding = self.holdings.get(&segment);
        let have = holding.map_or(0, |h| h.have);
        // Who is left for another is left for one that holds it all: whoever passes it on is no faster.
        let running = holding.and_then(|h| h.transfer);
        let least = if running.is_some() { WHOLE } else { have + 1 };
        let sender = running.map(|t| t.peer);
        let me = election_score(&self.config.peer_id.0, segment);
        // A peer not tried yet counts as fast: else the first one tried would be asked for ever.
        let untried = self.peers.values().filter_map(|p| p.estimate.rate()).fold(UNSEEN_RATE, f64::max);
        let weight = |peer: &super::RemotePeer| {
            let score = election_score(&peer.state.id.0, segment) ^ me;
            let chance = (f64::from(score) + 0.5) / 2f64.powi(32);
            chance.ln() / peer.estimate.rate().unwrap_or(untried).max(1.0)
        };
        let offers = |key: &PeerKey, peer: &super::RemotePeer| {
            peer.state.held(segment) >= least && peer.state.is_free(now) && sender != Some(*key)
        };
        let offering = self.peers.iter().filter(|(key, peer)| offers(key, peer));
        offering
            .map(|(key, peer)| (key, weight(peer)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(key, _)| *key)
    }

    fn ask_peer(&mut self, now: Instant, segment: SegmentId) {
        let Some(key) = self.best_peer(now, segment) else { return };
        self.trace_ask_peer(now, segment, key);
        let (Some(peer), Some(holding)) = (self.peers.get_mut(&key), self.holdings.get_mut(&segment)) else {
            return;
        };
        let held = peer.state.held(segment);
        let command = peer.state.request(segment, holding.have);
        peer.last_progress = now;
        holding.transfer = Some(PeerTransfer {
            peer: key,
            next: holding.have,
            started: now,
            first_byte: None,
            last_progress: now,
            received: 0,
            meter: RateMeter::new(Duration::from_secs(1)),
            relayed: held != WHOLE,
        });
        self.actions.push_back(Action::Command { peer: key, command });
        self.wake_at(now + patience(&self.peers, &self.holdings, key));
    }

    fn ask_http(&mut self, now: Instant, spec: &SegmentSpec, reason: Reason) {
        let fetches = self.holdings.values().filter(|h| h.http.is_some()).count();
        let limit = if self.first_fetch_is_pressed(now) { 1 } else { MAX_FETCHES };
        // What goes out now does not wait behind what goes out later.
        let overtakes = self.cursor == Some(spec.id) && fetches <= MAX_FETCHES;
        if fetches >= limit && !overtakes {
            return; // Looked at again when one of them ends.
        }
        let Some(holding) = self.holdings.get_mut(&spec.id) else { return };
        if holding.reported {
            return;
        }
        if let Some(at) = holding.not_before.filter(|at| *at > now) {
            self.wake_at(at);
            return;
        }
        let fetch = FetchId(self.next_fetch);
        self.next_fetch += 1;
        let offset = holding.have;
        holding.http = Some(HttpFetch {
            fetch,
            next: offset,
            started: now,
            first_byte: None,
            last_progress: now,
            received: 0,
            useful: false,
        });
        match reason {
            Reason::Elected => self.counters.elected += 1,
            Reason::Backup => self.counters.backups += 1,
            Reason::LastCall => self.counters.last_calls += 1,
            Reason::Hedge => self.counters.hedges += 1,
        }
        self.trace_ask_http(now, spec.id, offset, reason);
        self.actions.push_back(Action::Fetch { fetch, segment: spec.id, offset });
        self.announce_soon(now);
    }

    /// The earliest running fetch may be late: nothing may share its bandwidth.
    fn first_fetch_is_pressed(&self, now: Instant) -> bool {
        let first = self.holdings.iter().find(|(_, h)| h.http.is_some());
        let Some(spec) = first.and_then(|(id, _)| self.spec(*id)) else { return false };
        let missing = self.size_guess(spec).saturating_sub(first.map_or(0, |(_, h)| h.have));
        let need = self.http.pessimistic(missing).unwrap_or(spec.duration);
        self.slack(now, spec) <= need + self.config.policy.margin
    }

    /// The output has come to a segment that HTTP has given up and nobody else holds.
    fn report_what_cannot_be_had(&mut self, now: Instant) {
        let Some(segment) = self.cursor else { return };
        let held_by_peer = self.peers.values().any(|p| p.state.knows(segment));
        let slack = self.spec(segment).map_or(Duration::ZERO, |spec| self.slack(now, spec));
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let at_work = holding.http.is_some() || holding.transfer.is_some();
        if holding.state != State::Partial || at_work || held_by_peer || holding.reported {
            return;
        }
        match holding.given_up {
            // The output is ahead of playback: a server that fails now may be well again in time.
            Some(FetchFailure::Failed) if !slack.is_zero() => self.wake_at(now + slack),
            Some(failure) => {
                holding.reported = true;
                self.actions.push_back(Action::Unavailable { segment, failure });
            }
            None => {}
        }
    }

    fn give_up_on_silent_peers(&mut self, now: Instant) {
        let mut silent = Vec::new();
        let mut useless = Vec::new();
        let mut wake: Option<Instant> = None;
        let mut look_at = |at: Instant| wake = Some(wake.map_or(at, |wake| wake.min(at)));
        for (key, peer) in &self.peers {
            let strange = peer.downloaded + peer.uploaded == 0 && peer.opened + ACQUAINTANCE <= now;
            if peer.state.failures >= MAX_FAILURES || strange && peer.state.refusals >= MAX_REFUSALS {
                useless.push(*key);
            } else if peer.state.download.is_some() {
                match peer.last_progress + patience(&self.peers, &self.holdings, *key) {
                    at if at <= now => silent.push(*key),
                    at => look_at(at),
                }
            } else if let Some(at) = peer.state.resting_until.filter(|until| *until > now) {
                look_at(at);
            }
        }
        if let Some(at) = wake {
            self.wake_at(at);
        }
        for key in silent {
            self.abandon_transfer(now, key);
        }
        for key in useless {
            self.drop_peer(key, "has not given anything it was asked for");
        }
    }
}

/// How long a peer may be silent.
fn patience(
    peers: &BTreeMap<PeerKey, super::RemotePeer>,
    holdings: &BTreeMap<SegmentId, Holding>,
    key: PeerKey,
) -> Duration {
    let segment = peers.get(&key).and_then(|p| p.state.download).map(|d| d.segment);
    let transfer = segment.and_then(|segment| holdings.get(&segment)).and_then(|h| h.transfer);
    if transfer.is_some_and(|t| t.relayed) { SILENCE_OF_RELAY } else { SILENCE }
}

/// Time until a transfer is done at the rate it has shown.
fn remaining(now: Instant, transfer: &PeerTransfer, missing: u64) -> Option<Duration> {
    const ENOUGH_TO_TELL: Duration = Duration::from_millis(500);
    let running = now.saturating_duration_since(transfer.first_byte?);
    let silent = now.saturating_duration_since(transfer.last_progress);
    if running < ENOUGH_TO_TELL || silent > ENOUGH_TO_TELL {
        return None;
    }
    let rate = transfer.meter.rate_since(now, running).max(1.0);
    Some(Duration::from_secs_f64((missing as f64 / rate).min(3600.0)))
}
