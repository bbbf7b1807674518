// SPDX-License-Identifier: MPL-2.0

//! Which segments are wanted, and a pass of the switcher over them.

use std::time::{Duration, Instant};

use super::holding::{Holding, HttpWork, PeerTransfer, State};
use super::{Action, FetchId, PeerKey, SegmentSpec, Viewer};
use crate::swarm::SegmentId;
use crate::switcher::{Choice, PeerWork, Policy, Seat, Situation, decide, seat};

/// Segments that may come from peers at the same time.
const MAX_TRANSFERS: usize = 6;

/// HTTP requests for segments at the same time. More would slow the one that is needed first.
const MAX_FETCHES: usize = 2;

/// A player may want so much before it shows anything; it does not wait for a swarm that is still forming.
const PREROLL: Duration = Duration::from_secs(8);

/// What a player that stands still waits for may take so long to come from peers.
const PREROLL_PATIENCE: Duration = Duration::from_secs(3);

/// A peer that is silent for so long has failed: less than the 2 s after which p2p-media-loader's own
/// peers give up, so that whoever waits for us still has time to hear from us.
const SILENCE: Duration = Duration::from_millis(1500);

/// Requests in a row that came to nothing, after which a peer is dropped. An honest peer says Absent now and
/// then, when it has just dropped a segment.
const MAX_FAILURES: u32 = 5;

impl Viewer {
    /// The segments to have: from the cursor as far ahead as buffer and memory allow.
    pub(super) fn wanted(&self) -> Vec<SegmentSpec> {
        let ahead = self.ahead();
        let Some(first) = ahead.first() else { return Vec::new() };
        let base = self.clock.map_or(first.start, |clock| clock.position.max(first.start));
        let mut memory = self.config.max_memory - self.config.max_memory / 8;
        let mut wanted = Vec::new();
        for spec in ahead.iter().take_while(|s| s.start < base + self.config.buffer) {
            let size = self.size_guess(spec);
            // The segment that plays now is wanted however large it is.
            if size > memory && !wanted.is_empty() {
                break;
            }
            memory = memory.saturating_sub(size);
            wanted.push(*spec);
        }
        wanted
    }

    /// One pass over all that is wanted.
    pub(super) fn plan(&mut self, now: Instant) {
        self.give_up_on_silent_peers(now);
        self.report_what_cannot_be_had();
        let policy = self.policy();
        for spec in self.wanted() {
            let holding = self.holdings.entry(spec.id).or_insert_with(|| Holding::new(spec.size));
            if holding.state != State::Partial {
                continue;
            }
            let slack = self.slack(now, &spec);
            let situation = self.situation(now, &spec, slack);
            let choice = if self.config.download_from_peers {
                decide(&policy, &self.http, &situation)
            } else if situation.http_running {
                continue;
            } else {
                Choice::Http
            };
            match choice {
                Choice::WaitUntilSlack(at) => {
                    // While paused only the cursor's slack runs down; the others lose nothing by waiting.
                    let runs = self.clock.is_none_or(|clock| clock.playing) || self.cursor == Some(spec.id);
                    if at < slack && runs {
                        self.wake_at(now + (slack - at));
                    }
                }
                Choice::Peer => self.ask_peer(now, spec.id),
                Choice::Http => self.ask_http(now, &spec, situation.peer_work.is_some()),
                Choice::Race => {
                    self.ask_peer(now, spec.id);
                    self.ask_http(now, &spec, false);
                }
            }
        }
    }

    fn policy(&self) -> Policy {
        let Policy { margin, reserve } = self.config.policy;
        // On live nearly all slack there is belongs to the peers; a reserve would leave them none. And
        // before the first peer is there, a second's patience saves filling the whole reserve over HTTP.
        let none = self.live || self.is_waiting_for_swarm();
        let reserve = if none { Duration::ZERO } else { reserve.min(self.config.buffer / 2) };
        Policy { margin, reserve }
    }

    fn is_waiting_for_swarm(&self) -> bool {
        // A peer of which nobody knows yet what it holds is not there yet.
        self.swarm_forming && !self.peers.values().any(|p| p.state.has_announced())
    }

    /// Time until playback needs a segment.
    fn slack(&self, now: Instant, spec: &SegmentSpec) -> Duration {
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
        if slack < PREROLL && self.is_waiting_for_swarm() {
            return Duration::ZERO;
        }
        let waited = self.cursor_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        slack.min(PREROLL_PATIENCE).saturating_sub(waited)
    }

    pub(super) fn size_guess(&self, spec: &SegmentSpec) -> u64 {
        let known = self.holdings.get(&spec.id).and_then(|h| h.total).or(spec.size);
        known.unwrap_or_else(|| {
            let (bytes, time) = self.seen;
            // Before any segment was seen: 4 Mbit/s.
            let rate = if time.is_zero() { 500_000.0 } else { bytes as f64 / time.as_secs_f64() };
            (rate * spec.duration.as_secs_f64()) as u64
        })
    }

    fn situation(&self, now: Instant, spec: &SegmentSpec, slack: Duration) -> Situation {
        let holding = self.holdings.get(&spec.id);
        let have = holding.map_or(0, |h| h.have);
        let missing = self.size_guess(spec).saturating_sub(have);
        let transfer = holding.and_then(|h| h.transfer);
        let transfers = self.holdings.values().filter(|h| h.transfer.is_some()).count();
        let expects = |p: &super::RemotePeer| p.state.holds(spec.id) || p.state.is_fetching(spec.id);
        Situation {
            slack,
            duration: spec.duration,
            missing,
            http_running: holding.is_some_and(|h| h.http.is_some()),
            peer_work: transfer.map(|t| PeerWork { remaining: remaining(now, &t, missing) }),
            peer_free: transfers < MAX_TRANSFERS && self.best_peer(now, spec.id).is_some(),
            peer_expected: self.peers.values().any(expects),
            seat: match self.is_waiting_for_swarm() {
                // Whoever comes first may have it.
                true => Seat { rank: 1 },
                false => seat(&self.config.peer_id, spec.id, self.electors(spec.id)),
            },
        }
    }

    fn electors(&self, segment: SegmentId) -> impl Iterator<Item = &crate::swarm::PeerId> {
        self.peers.values().map(|p| &p.state).filter(move |p| p.is_elector(segment)).map(|p| &p.id)
    }

    /// The peer to ask for a segment: free, holding it, and the fastest as far as known.
    fn best_peer(&self, now: Instant, segment: SegmentId) -> Option<PeerKey> {
        let free = self.peers.iter().filter(|(_, p)| p.state.holds(segment) && p.state.is_free(now));
        // A peer not tried yet counts as fast: else the first one tried would be asked for ever.
        let rate = |p: &super::RemotePeer| p.estimate.rate().unwrap_or(f64::INFINITY);
        // Among equals a hash decides, so that viewers do not all ask the same one.
        let tie = |p: &super::RemotePeer| crate::swarm::election_score(&p.state.id.0, segment);
        free.max_by(|(_, a), (_, b)| rate(a).total_cmp(&rate(b)).then(tie(a).cmp(&tie(b))))
            .map(|(key, _)| *key)
    }

    fn ask_peer(&mut self, now: Instant, segment: SegmentId) {
        let Some(key) = self.best_peer(now, segment) else { return };
        let (Some(peer), Some(holding)) = (self.peers.get_mut(&key), self.holdings.get_mut(&segment)) else {
            return;
        };
        let command = peer.state.request(segment, holding.have);
        peer.last_progress = now;
        holding.transfer = Some(PeerTransfer {
            peer: key,
            next: holding.have,
            started: now,
            first_byte: None,
            last_progress: now,
            received: 0,
        });
        self.actions.push_back(Action::Command { peer: key, command });
        self.wake_at(now + SILENCE);
    }

    fn ask_http(&mut self, now: Instant, spec: &SegmentSpec, hedge: bool) {
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
        holding.http = Some(HttpWork {
            fetch,
            next: offset,
            started: now,
            first_byte: None,
            received: 0,
            useful: false,
        });
        if hedge {
            self.counters.hedges += 1;
        }
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
    fn report_what_cannot_be_had(&mut self) {
        let Some(segment) = self.cursor else { return };
        let held_by_peer = self.peers.values().any(|p| p.state.holds(segment));
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let at_work = holding.http.is_some() || holding.transfer.is_some();
        if holding.state != State::Partial || at_work || held_by_peer || holding.reported {
            return;
        }
        if let Some(failure) = holding.given_up {
            holding.reported = true;
            self.actions.push_back(Action::Unavailable { segment, failure });
        }
    }

    fn give_up_on_silent_peers(&mut self, now: Instant) {
        let silent: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, p)| p.state.download.is_some() && p.last_progress + SILENCE <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in silent {
            self.abandon_transfer(now, key);
        }
        let useless = self.peers.iter().filter(|(_, p)| p.state.failures >= MAX_FAILURES);
        let useless: Vec<PeerKey> = useless.map(|(key, _)| *key).collect();
        for key in useless {
            self.drop_peer(key, "has not given anything it was asked for");
        }
        let working = self.peers.values().filter(|p| p.state.download.is_some());
        if let Some(at) = working.map(|p| p.last_progress + SILENCE).min() {
            self.wake_at(at);
        }
        let resting = self.peers.values().filter_map(|p| p.state.resting_until);
        if let Some(at) = resting.filter(|until| *until > now).min() {
            self.wake_at(at);
        }
    }
}

/// Time until a transfer is done at the rate it has shown.
fn remaining(now: Instant, transfer: &PeerTransfer, missing: u64) -> Option<Duration> {
    let first = transfer.first_byte?;
    let elapsed = now.saturating_duration_since(first).as_secs_f64();
    let silent = now.saturating_duration_since(transfer.last_progress).as_secs_f64();
    if transfer.received == 0 || elapsed < 0.02 || silent > 0.5 {
        return None;
    }
    let rate = transfer.received as f64 / elapsed;
    Some(Duration::from_secs_f64((missing as f64 / rate).min(3600.0)))
}
