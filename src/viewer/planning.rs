// SPDX-License-Identifier: MPL-2.0

//! Which segments are wanted, and a pass of the switcher over them.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::holding::{Holding, HttpFetch, PeerTransfer, State};
use super::line::Admission;
use super::peers::RemotePeer;
use super::progress::silent_at;
use super::{Action, FetchFailure, FetchId, Pace, PeerKey, SegmentSpec, Viewer};
use crate::swarm::{SegmentId, WHOLE, election_score};
use crate::switcher::{Choice, HttpWork, PeerWork, Policy, Reason, Situation, decide, last_call, spread};

/// Segments that may come from peers at the same time.
const MAX_TRANSFERS: usize = 6;

/// HTTP requests for segments at the same time. More would slow the one that is needed first.
const MAX_FETCHES: usize = 2;

/// A peer that holds all of a segment and is silent for so long has failed.
const SILENCE: Duration = Duration::from_millis(800);

/// One that passes the segment on may be looking for another source itself, and is given time to. Still less
/// than the 2 s after which p2p-media-loader's own peers give up, so that whoever waits for us hears from us.
const SILENCE_OF_RELAY: Duration = Duration::from_millis(1100);

/// A swarm in which everybody is busy at first finds its order within this time.
const ACQUAINTANCE: Duration = Duration::from_secs(45);

/// When what may not be begun yet is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// An origin that is silent for so long is not waited for where a peer has the bytes.
pub(super) const HTTP_SILENCE: Duration = Duration::from_millis(1000);

/// How long word of a segment takes from one viewer to the next, in times from a request to its first byte. It is
/// one trip and the gap between announcements, where a request and its answer are two trips.
const NEWS: f64 = 0.8;

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
        let until = base.saturating_add(self.reach());
        let mut memory = self.config.max_memory - self.config.max_memory / 8;
        let fits = |spec: &&SegmentSpec| {
            let size = self.size_guess(spec);
            // The segment that plays now is wanted however large it is.
            let fits = size <= memory || spec.id == first.id;
            memory = memory.saturating_sub(size);
            fits && spec.start < until
        };
        from..from + self.segments[from..].iter().take_while(fits).count()
    }

    /// One pass over all that is wanted.
    pub(super) fn plan(&mut self, now: Instant) {
        self.give_up_on_silent_peers(now);
        self.ask_again_where_chunks_stopped(now);
        self.report_what_cannot_be_had(now);
        self.watch_start(now);
        let policy = self.policy();
        let mut admission = Admission::new(self.line());
        for index in self.wanted() {
            let spec = self.segments[index];
            let slack = self.slack(now, &spec);
            let holding = self.holdings.entry(spec.id).or_insert_with(|| Holding::new(spec.size, slack));
            if holding.state != State::Partial {
                continue;
            }
            self.complete_if_whole(now, spec.id);
            let mut situation = self.situation(now, &spec, slack, &policy);
            if situation.peer_free {
                self.be_patient(now, &spec, &mut situation);
            }
            let last_call = last_call(&policy, &self.http, &situation);
            let is_pressed = slack <= 2 * last_call;
            if !situation.is_at_work() && !admission.admits(&spec, slack, is_pressed) {
                // It would take from the line of what is needed first, whose progress alone is no reason for a pass.
                self.wake_at(now + LOOK_AGAIN);
                continue;
            }
            let choice = if !self.config.download_from_peers {
                match situation.http {
                    HttpWork::None => Choice::Http(Reason::LastCall),
                    _ => continue,
                }
            } else if admission.wants_http(&spec) && self.is_untried(spec.id) {
                Choice::Http(Reason::NarrowLine)
            } else {
                decide(&policy, &self.http, &situation, || self.seat(now, &spec, &policy, &situation))
            };
            let choice = match choice {
                Choice::Race if !admission.allows_race() => Choice::Http(Reason::LastCall),
                choice => choice,
            };
            // What cannot be had holds up nothing.
            if situation.is_at_work() || self.is_untried(spec.id) {
                let is_fetched =
                    situation.http != HttpWork::None || matches!(choice, Choice::Http(_) | Choice::Race);
                admission.passed(is_fetched);
                if !self.live && slack < self.config.policy.reserve {
                    admission.note_near(slack);
                } else if is_pressed {
                    admission.note_pressed(slack);
                }
            }
            self.trace_choice(now, &spec, &policy, &situation, choice);
            match choice {
                Choice::Wait => {
                    if let Some(work) = self.holdings.get(&spec.id).and_then(Holding::http) {
                        let at = silent_at(&work);
                        if at > now {
                            self.wake_at(at);
                        }
                    }
                }
                Choice::WaitUntilSlack(at) => self.wake_at_slack(now, &spec, slack, at),
                Choice::Peer | Choice::AnotherPeer => {
                    if choice == Choice::AnotherPeer {
                        self.cancel_transfer(spec.id);
                    }
                    self.ask_peer(now, spec.id);
                    // It may say nothing at all. Asked shortly before the last call, it is given a little longer.
                    let grace = policy.margin_of(situation.first_slack) / 2;
                    self.wake_at_slack(now, &spec, slack, last_call.saturating_sub(grace));
                }
                Choice::Http(reason) => self.ask_http(now, &spec, reason),
                Choice::Race => {
                    self.ask_peer(now, spec.id);
                    self.ask_http(now, &spec, Reason::LastCall);
                }
            }
        }
    }

    /// Nobody is bringing the segment, and HTTP has not failed to.
    fn is_untried(&self, segment: SegmentId) -> bool {
        self.holdings.get(&segment).is_some_and(|h| !h.is_fed() && h.failures == 0)
    }

    /// Looks again when the slack of a segment is down to `at`.
    fn wake_at_slack(&mut self, now: Instant, spec: &SegmentSpec, slack: Duration, at: Duration) {
        // While paused only the cursor's slack runs down; the others lose nothing by waiting.
        let runs = self.clock.is_none_or(|clock| clock.playing) || self.cursor == Some(spec.id);
        if at < slack && runs {
            self.wake_at(now + (slack - at));
        }
    }

    pub(super) fn policy(&self) -> Policy {
        let Policy { margin, reserve, .. } = self.config.policy;
        // On live nearly all slack there is belongs to the peers; a reserve would leave them none. And
        // before the first peers are there, a second's patience saves filling the whole reserve over HTTP.
        let none = self.live || self.is_waiting_for_swarm();
        let reserve = if none { Duration::ZERO } else { reserve.min(self.config.buffer / 2) };
        let spread = spread(self.swarm_size.unwrap_or(0), self.hop.mul_f64(NEWS));
        Policy { margin, reserve, spread }
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
        let transfer = holding.and_then(Holding::transfer);
        let http = match holding.and_then(Holding::http) {
            None => HttpWork::None,
            Some(work) if silent_at(&work) <= now => HttpWork::Silent,
            Some(_) => HttpWork::Running,
        };
        let peer_work = transfer.map(|t| PeerWork { remaining: remaining(now, &t, missing, spec.pace) });
        // Looking through what all peers have said is most of what a pass costs.
        let is_sought = http != HttpWork::Running && peer_work.is_none_or(|work| work.is_late(slack));
        let transfers = || self.holdings.values().filter(|h| h.transfer.is_some()).count();
        Situation {
            slack,
            first_slack: holding.map_or(slack, |h| h.first_slack),
            duration: spec.duration,
            missing,
            http,
            peer_work,
            peer_free: is_sought && transfers() < MAX_TRANSFERS && self.offers(now, spec.id).next().is_some(),
            peers_from: self.peers_from(now, spec, holding.map_or(slack, |h| h.first_slack), policy),
            is_coming: self.news.has(spec.id),
            peer_expected: is_sought
                && self.peers.values().any(|p| p.state.refusals < MAX_EXCUSES && p.state.knows(spec.id)),
        }
    }

    /// The peers that can be asked for more of a segment: free, and holding more of it than we do.
    fn offers(&self, now: Instant, segment: SegmentId) -> impl Iterator<Item = (PeerKey, &RemotePeer)> {
        let holding = self.holdings.get(&segment);
        let have = holding.map_or(0, |h| h.have);
        // Who is left for another is left for one that holds it all: whoever passes it on is no faster.
        let running = holding.and_then(Holding::transfer);
        let least = if running.is_some() { WHOLE } else { have + 1 };
        let sender = running.map(|t| t.peer);
        self.peers.iter().map(|(key, peer)| (*key, peer)).filter(move |(key, peer)| {
            peer.state.is_free(now) && sender != Some(*key) && peer.state.held(segment) >= least
        })
    }

    /// The peer to ask for more of a segment.
    ///
    /// A fast one is likelier to be taken, but not sure: the fastest would be asked by everybody. By hash, so
    /// that one look gives the same as the next (weighted sampling after Efraimidis and Spirakis, 2006).
    fn best_peer(&self, now: Instant, segment: SegmentId) -> Option<PeerKey> {
        let me = election_score(&self.config.peer_id.0, segment);
        // A peer not tried yet counts as fast: else the first one tried would be asked for ever.
        let untried = self.peers.values().filter_map(|p| p.estimate.rate()).fold(UNSEEN_RATE, f64::max);
        let weight = |peer: &RemotePeer| {
            let score = election_score(&peer.state.id.0, segment) ^ me;
            let chance = (f64::from(score) + 0.5) / 2f64.powi(32);
            chance.ln() / peer.estimate.rate().unwrap_or(untried).max(1.0)
        };
        let offers = self.offers(now, segment).map(|(key, peer)| (key, weight(peer)));
        offers.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(key, _)| key)
    }

    fn ask_peer(&mut self, now: Instant, segment: SegmentId) {
        let Some(key) = self.best_peer(now, segment) else { return };
        self.unsubscribe(segment);
        self.trace_ask_peer(now, segment, key);
        let (Some(peer), Some(holding)) = (self.peers.get_mut(&key), self.holdings.get_mut(&segment)) else {
            return;
        };
        let held = peer.state.held(segment);
        let command = peer.state.request(segment, holding.have);
        peer.last_progress = now;
        holding.transfer = Some(Box::new(PeerTransfer::new(now, key, holding.have, held != WHOLE)));
        self.actions.push_back(Action::Command { peer: key, command });
        self.wake_at(now + self.patience(now, key));
    }

    fn ask_http(&mut self, now: Instant, spec: &SegmentSpec, reason: Reason) {
        let fetches = self.holdings.values().filter(|h| h.http.is_some()).count();
        let limit = if self.narrow || self.first_fetch_is_pressed(now) { 1 } else { MAX_FETCHES };
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
        let offset = holding.have;
        holding.is_late |= matches!(reason, Reason::LastCall | Reason::Hedge);
        self.unsubscribe(spec.id);
        let fetch = FetchId(self.next_fetch);
        self.next_fetch += 1;
        let Some(holding) = self.holdings.get_mut(&spec.id) else { return };
        holding.http = Some(Box::new(HttpFetch {
            fetch,
            next: offset,
            started: now,
            first_byte: None,
            last_progress: now,
            received: 0,
            paced: 0,
            useful: false,
            early: self.announced_only == Some(spec.id),
            partial: false,
            pace: spec.pace,
        }));
        self.note_step_in(spec, reason);
        match reason {
            Reason::Elected => self.counters.elected += 1,
            Reason::Backup => self.counters.backups += 1,
            Reason::LastCall | Reason::NarrowLine => self.counters.last_calls += 1,
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
        let slack = self.spec(segment).map_or(Duration::ZERO, |spec| self.slack(now, spec));
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let Some(failure) = holding.given_up.filter(|_| holding.wants_a_source() && !holding.reported) else {
            return;
        };
        if self.peers.values().any(|p| p.state.knows(segment)) {
            return;
        }
        // The output is ahead of playback: a server that fails now may be well again in time.
        if failure == FetchFailure::Failed && !slack.is_zero() {
            self.wake_at(now + slack);
        } else {
            holding.reported = true;
            self.actions.push_back(Action::Unavailable { segment, failure });
        }
    }

    fn give_up_on_silent_peers(&mut self, now: Instant) {
        let mut silent = Vec::new();
        let mut useless = Vec::new();
        let mut wake: Option<Instant> = None;
        let mut look_at = |at: Instant| wake = Some(wake.map_or(at, |wake| wake.min(at)));
        for (key, peer) in self.peers.iter() {
            let strange = peer.downloaded + peer.uploaded == 0 && peer.opened + ACQUAINTANCE <= now;
            if peer.state.failures >= MAX_FAILURES || strange && peer.state.refusals >= MAX_REFUSALS {
                useless.push(*key);
            } else if peer.state.download.is_some() {
                match peer.last_progress + self.patience(now, *key) {
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

    /// How long a peer may be silent.
    fn patience(&self, now: Instant, key: PeerKey) -> Duration {
        let segment = self.peers.get(&key).and_then(|p| p.state.download()).map(|d| d.segment);
        let transfer = segment.and_then(|segment| self.holdings.get(&segment)).and_then(Holding::transfer);
        let silence = if transfer.is_some_and(|t| t.relayed) { SILENCE_OF_RELAY } else { SILENCE };
        silence + segment.map_or(Duration::ZERO, |segment| self.pause_between_chunks(now, segment))
    }
}

/// Time until a transfer is done at the rate it has shown.
fn remaining(now: Instant, transfer: &PeerTransfer, missing: u64, pace: Option<Pace>) -> Option<Duration> {
    const ENOUGH_TO_TELL: Duration = Duration::from_millis(500);
    let running = now.saturating_duration_since(transfer.first_byte?);
    let silent = now.saturating_duration_since(transfer.last_progress);
    if let Some(pace) = pace.filter(|pace| pace.may_grow(now)) {
        // It cannot be done before it is made, and who has kept up so far brings the rest at once.
        return (silent <= pace.chunk + ENOUGH_TO_TELL).then_some(pace.left(now));
    }
    if running < ENOUGH_TO_TELL || silent > ENOUGH_TO_TELL {
        return None;
    }
    let rate = transfer.meter.rate_since(now, running).max(1.0);
    Some(Duration::from_secs_f64((missing as f64 / rate).min(3600.0)))
}
