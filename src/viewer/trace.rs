// SPDX-License-Identifier: MPL-2.0

//! The decision trace: what is done about a segment, why, and what it costs, line by line in the debug log.
//!
//! The element shows these lines with `GST_DEBUG=p2phls-switcher:5`, the simulator with `--trace`;
//! `docs/switcher.md` reads one. Each begins with `segment N:`, so that one segment's can be picked out.

use std::time::Instant;

use super::holding::Holding;
use super::{PeerKey, SegmentSpec, Viewer};
use crate::swarm::{PeerId, SegmentId, WHOLE};
use crate::switcher::{Choice, Policy, Reason, Seat, Situation};

/// The lines' target in the `log` crate and category in GStreamer.
pub const TARGET: &str = "p2phls-switcher";

macro_rules! tell {
    ($segment:expr, $($line:tt)+) => {
        log::debug!(target: TARGET, "segment {}: {}", $segment, format_args!($($line)+))
    };
}

/// What has been told of a segment so far, and what it has cost in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace {
    wanted: bool,
    heard: bool,
    waits: Option<Waits>,
    http: u32,
    peers: u32,
    wasted: u32,
}

/// What a segment that nobody is bringing waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// Somebody has it and is busy, or is fetching it.
    Peer,
    /// Nobody is known to have it.
    Turn(Seat),
}

impl Trace {
    /// HTTP has brought so many bytes, of which some had come before.
    pub fn count_http(&mut self, bytes: u64, wasted: u64) {
        self.http = self.http.saturating_add(bytes as u32);
        self.wasted = self.wasted.saturating_add(wasted as u32);
    }

    /// The same of a peer.
    pub fn count_peer(&mut self, bytes: u64, wasted: u64) {
        self.peers = self.peers.saturating_add(bytes as u32);
        self.wasted = self.wasted.saturating_add(wasted as u32);
    }
}

fn is_on() -> bool {
    log::log_enabled!(target: TARGET, log::Level::Debug)
}

impl Viewer {
    /// That it is wanted, and why it waits if it does.
    pub(super) fn trace_choice(
        &mut self,
        now: Instant,
        spec: &SegmentSpec,
        policy: &Policy,
        s: &Situation,
        choice: Choice,
    ) {
        if !is_on() {
            return;
        }
        let waits = match choice {
            Choice::WaitUntilSlack(_) if s.peer_work.is_some() => None,
            Choice::WaitUntilSlack(_) if s.peer_expected => Some(Waits::Peer),
            Choice::WaitUntilSlack(_) => Some(Waits::Turn(self.seat(now, spec, policy, s))),
            _ => None,
        };
        let Some(trace) = self.holdings.get_mut(&spec.id).map(|h| &mut h.trace) else { return };
        if !std::mem::replace(&mut trace.wanted, true) {
            tell!(spec.id, "wanted; playback needs it in {:.2} s", s.slack.as_secs_f64());
        }
        if choice == Choice::AnotherPeer {
            tell!(spec.id, "the peer at work would be late, and another has all of it");
        }
        let Choice::WaitUntilSlack(at) = choice else { return };
        if waits.is_none() || std::mem::replace(&mut trace.waits, waits) == waits {
            return;
        }
        let at = at.as_secs_f64();
        match waits {
            Some(Waits::Turn(seat)) => {
                tell!(
                    spec.id,
                    "nobody has it, and we are {}: HTTP when playback needs it in {at:.2} s",
                    name(seat)
                )
            }
            _ => tell!(spec.id, "waiting for a peer: HTTP when playback needs it in {at:.2} s"),
        }
    }

    /// A peer has announced something: the first word of what is wanted.
    pub(super) fn trace_heard(&mut self, from: PeerKey) {
        if !is_on() {
            return;
        }
        let Some(peer) = self.peers.get(&from).map(|peer| &peer.state) else { return };
        for (segment, holding) in self.holdings.iter_mut() {
            if holding.have > 0 || !peer.knows(*segment) || std::mem::replace(&mut holding.trace.heard, true)
            {
                continue;
            }
            match peer.held(*segment) {
                0 => tell!(segment, "first word of it: peer {} is fetching it over HTTP", peer.id),
                held => tell!(segment, "first word of it: peer {} holds {}", peer.id, amount(held)),
            }
        }
    }

    pub(super) fn trace_ask_peer(&self, now: Instant, segment: SegmentId, key: PeerKey) {
        if !is_on() {
            return;
        }
        let (Some(peer), Some(holding)) = (self.peers.get(&key), self.holdings.get(&segment)) else { return };
        let (held, have, left) =
            (amount(peer.state.held(segment)), holding.have, self.time_left(now, segment));
        tell!(segment, "asking peer {}, which holds {held}, from byte {have}; {left}", peer.state.id);
    }

    pub(super) fn trace_push(&self, now: Instant, segment: SegmentId, key: PeerKey) {
        if !is_on() {
            return;
        }
        if let Some(peer) = self.peers.get(&key) {
            let left = self.time_left(now, segment);
            tell!(
                segment,
                "peer {} sends it, whom we had asked for it before it was there; {left}",
                peer.state.id
            );
        }
    }

    pub(super) fn trace_ask_http(&self, now: Instant, segment: SegmentId, offset: u64, reason: Reason) {
        if !is_on() {
            return;
        }
        let why = match reason {
            Reason::Elected => "elected to fetch it for the swarm",
            Reason::Backup => "nobody has fetched it, and it is our turn as backup",
            Reason::LastCall => "there is no time for anything else",
            Reason::Hedge => "the peer at work would be late",
            Reason::NarrowLine => "the line carries hardly more than the stream",
        };
        tell!(segment, "asking HTTP from byte {offset}: {why}; {}", self.time_left(now, segment));
    }

    /// The first bytes of what a peer was asked for are here.
    pub(super) fn trace_first_bytes(&self, now: Instant, segment: SegmentId, from: PeerId) {
        if !is_on() {
            return;
        }
        let Some(transfer) = self.holdings.get(&segment).and_then(Holding::transfer) else { return };
        let after = now.saturating_duration_since(transfer.started).as_secs_f64();
        tell!(segment, "first bytes from peer {from} after {after:.3} s");
    }

    /// A transfer from a peer is about to end: `how` goes on after "peer X".
    pub(super) fn trace_peer_end(&self, segment: SegmentId, key: PeerKey, how: &str) {
        if !is_on() {
            return;
        }
        let transfer = self.holdings.get(&segment).and_then(Holding::transfer).filter(|t| t.peer == key);
        let (Some(transfer), Some(peer)) = (transfer, self.peers.get(&key)) else { return };
        let took = transfer.last_progress.saturating_duration_since(transfer.started).as_secs_f64();
        tell!(segment, "peer {} {how}; it brought {} bytes in {took:.3} s", peer.state.id, transfer.received);
    }

    /// A request is about to end: `how` goes on after "HTTP".
    pub(super) fn trace_http_end(&self, segment: SegmentId, how: &str) {
        if !is_on() {
            return;
        }
        let Some(work) = self.holdings.get(&segment).and_then(Holding::http) else { return };
        let took = work.last_progress.saturating_duration_since(work.started).as_secs_f64();
        tell!(segment, "HTTP {how}; it brought {} bytes in {took:.3} s", work.received);
    }

    /// All bytes are there.
    pub(super) fn trace_whole(&self, now: Instant, segment: SegmentId) {
        if !is_on() {
            return;
        }
        let Some(holding) = self.holdings.get(&segment) else { return };
        let Trace { http, peers, wasted, .. } = holding.trace;
        let (have, left) = (holding.have, self.time_left(now, segment));
        tell!(
            segment,
            "whole with {have} bytes; {left}; cost: {http} bytes over HTTP, {peers} from peers, {wasted} wasted"
        );
    }

    fn time_left(&self, now: Instant, segment: SegmentId) -> String {
        if self.segments.last().is_some_and(|newest| newest.id < segment) {
            return "our playlist does not have it yet".into();
        }
        let left = self.spec(segment).map(|spec| self.slack(now, spec).as_secs_f64());
        left.map_or_else(|| "playback is past it".into(), |left| format!("playback needs it in {left:.2} s"))
    }
}

/// Playback stands still; to be told by whoever plays.
pub fn stalled(segment: SegmentId) {
    tell!(segment, "playback stands still for want of it");
}

/// What peers brought is wrong and goes.
pub(super) fn rejected(segment: SegmentId, bytes: u64, reason: &str) {
    if bytes > 0 {
        tell!(segment, "{bytes} bytes thrown away: a peer {reason}");
    }
}

fn amount(held: u64) -> String {
    if held == WHOLE { "all of it".into() } else { format!("{held} bytes of it") }
}

fn name(seat: Seat) -> String {
    match seat {
        Seat::Elected => "elected".into(),
        Seat::Bystander => "not among those who may fetch it".into(),
        Seat::Backup(rank) => format!("backup {rank}"),
        Seat::Wave(wave) => format!("in wave {wave}"),
    }
}
