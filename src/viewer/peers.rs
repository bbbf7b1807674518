// SPDX-License-Identifier: MPL-2.0

//! Channels and commands of peers, and the bytes they send.

use std::time::{Duration, Instant};

use super::holding::{Contributor, Holding};
use super::news::NEXT;
use super::{Action, PeerKey, Placement, Viewer};
use crate::swarm::{Command, Notice, Peer, PeerId, SegmentId};
use crate::switcher::{DeliveryEstimate, RateMeter};

/// A peer, with what this viewer has learnt of it.
#[derive(Debug)]
pub struct RemotePeer {
    pub state: Peer,
    pub estimate: DeliveryEstimate,
    /// When the running download last brought something.
    pub last_progress: Instant,
    /// When its channel opened.
    pub opened: Instant,
    /// When the running upload last moved, or could have but for the upload rate.
    pub served: Instant,
    /// Bad segments that it has passed on, less the good ones since.
    pub strikes: u32,
    /// Bytes that its channel can take at present.
    pub room: u64,
    pub downloaded: u64,
    pub uploaded: u64,
    meter: RateMeter,
}

/// What the statistics tell of a peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerReport {
    pub key: PeerKey,
    pub id: PeerId,
    /// Segment bytes from it.
    pub downloaded: u64,
    /// Segment bytes to it.
    pub uploaded: u64,
    /// Bytes a second from it over the last seconds.
    pub rate: f64,
}

impl Viewer {
    /// A channel to a peer is open; [`Viewer::handle_room`] tells what it can take.
    pub fn handle_peer_open(&mut self, now: Instant, key: PeerKey, id: PeerId) {
        let peer = RemotePeer {
            state: Peer::new(id),
            estimate: DeliveryEstimate::default(),
            last_progress: now,
            opened: now,
            served: now,
            strikes: 0,
            room: 0,
            downloaded: 0,
            uploaded: 0,
            meter: RateMeter::new(Duration::from_secs(5)),
        };
        self.peers.insert(key, peer);
        if let Some(command) = self.announcement(now) {
            self.actions.push_back(Action::Command { peer: key, command });
        }
        self.dirty = true;
    }

    /// A channel has closed.
    pub fn handle_peer_closed(&mut self, key: PeerKey) {
        self.end_transfers_of(key, "has gone");
        if self.peers.remove(&key).is_some() {
            self.dirty = true;
        }
    }

    /// A command has come from a peer.
    pub fn handle_command(&mut self, now: Instant, key: PeerKey, command: Command) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let notice = match peer.state.handle(command) {
            Ok(notice) => notice,
            Err(_) => {
                self.counters.banned_peers += 1;
                return self.drop_peer(key, "broke the protocol");
            }
        };
        match notice {
            Notice::Announced => {
                self.hear_news(now, key);
                self.ask_for_newer_playlist(key);
                self.trace_heard(key);
                // Most announcements tell nothing that anybody waits for.
                self.dirty |= self.holdings.values().any(Holding::wants_a_source);
                return;
            }
            Notice::Requested => self.answer_request(now, key),
            Notice::Subscribed => self.take_subscriber(now, key),
            Notice::Pushed { segment, size } => self.take_push(now, key, segment, size),
            Notice::Header { segment, offset, size } => {
                // Only what brings the segment nearer is progress: a peer that talks much is still silent.
                peer.last_progress = now;
                self.take_header(now, key, segment, offset, size);
            }
            Notice::Completed { segment } => {
                peer.state.note_success();
                self.transfer_done(now, key, segment);
            }
            Notice::Ended { segment, total } => self.take_end(now, key, segment, total),
            Notice::Absent { segment } => {
                peer.state.note_refusal(now, segment);
                self.forget_transfer(key, segment, "cannot give it now");
            }
            Notice::Cancelled => {
                self.push_to(now, key);
                self.offer_again(now);
            }
            Notice::Nothing => return,
        }
        self.dirty = true;
    }

    /// `len` payload bytes have come from a peer. None: they are not wanted.
    pub fn handle_payload(&mut self, now: Instant, key: PeerKey, len: u64) -> Option<(SegmentId, Placement)> {
        let peer = self.peers.get_mut(&key)?;
        let placed = match peer.state.payload(len) {
            Ok(placed) => placed?,
            Err(_) => {
                self.counters.banned_peers += 1;
                self.drop_peer(key, "sent too many bytes");
                return None;
            }
        };
        peer.last_progress = now;
        peer.downloaded += len;
        peer.meter.record(now, len);
        let id = peer.state.id;
        let (segment, offset) = placed;
        if !self.can_take(now, key, segment, offset.saturating_add(len)) {
            return None;
        }
        let is_paced = self.pace(segment).is_some_and(|pace| pace.whole_at > now);
        let holding = self.holdings.get_mut(&segment)?;
        let peer = self.peers.get_mut(&key)?;
        let transfer = holding.transfer.as_mut().filter(|t| t.peer == key)?;
        let is_first = transfer.first_byte.is_none();
        if is_first {
            transfer.first_byte = Some(now);
            if !transfer.pushed {
                let latency = now.saturating_duration_since(transfer.started);
                peer.estimate.record_latency(latency);
                self.hop = (self.hop * 7 + latency) / 8;
            }
        }
        transfer.last_progress = now;
        transfer.received += len;
        if is_paced {
            transfer.first_byte = Some(now);
            transfer.paced = transfer.received;
        }
        transfer.meter.record(now, len);
        transfer.next = offset + len;
        if offset > holding.have {
            // What it continued was rejected meanwhile.
            self.cancel_transfer(segment);
            return None;
        }
        let is_fresh = holding.have == 0;
        let news = is_fresh || holding.starving;
        let from = Contributor { peer: key, relayed: transfer.relayed };
        let placement = holding.place_peer(from, offset, len);
        self.grown = true;
        holding.trace.count_peer(len, placement.wasted());
        self.counters.wasted_bytes += placement.wasted();
        self.counters.peer_bytes += len - placement.wasted();
        if holding.total == Some(holding.have) {
            self.learn_from_transfer(now, key, segment);
        }
        if is_fresh {
            self.push_to_subscribers(now, segment);
        }
        if is_first {
            self.subscribe_after(segment, key);
            self.trace_first_bytes(now, segment, id);
        }
        if news {
            self.announce_soon(now);
        }
        self.complete_if_whole(now, segment);
        Some((segment, placement))
    }

    /// Reports on all peers.
    pub fn peer_reports(&self, now: Instant) -> Vec<PeerReport> {
        let report = |(key, peer): (&PeerKey, &RemotePeer)| PeerReport {
            key: *key,
            id: peer.state.id,
            downloaded: peer.downloaded,
            uploaded: peer.uploaded,
            rate: peer.meter.rate(now),
        };
        self.peers.iter().map(report).collect()
    }

    pub(super) fn take_header(
        &mut self,
        now: Instant,
        key: PeerKey,
        segment: SegmentId,
        offset: u64,
        size: Option<u64>,
    ) {
        // Without a size nothing is known before it has ended.
        let Some(size) = size else { return };
        let largest = self.largest();
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let total = offset.saturating_add(size);
        match holding.total {
            Some(known) if known == total => {}
            Some(_) => self.doubt_size(now, key, segment),
            None if total > largest || size == 0 => {
                self.counters.banned_peers += 1;
                self.drop_peer(key, "gave an absurd size");
            }
            None => holding.total = Some(total),
        }
    }

    /// The most bytes that a peer is believed a segment to have.
    pub(super) fn largest(&self) -> u64 {
        self.config.max_memory / 4
    }

    /// A peer's size of a segment is not the one that is known.
    pub(super) fn doubt_size(&mut self, now: Instant, key: PeerKey, segment: SegmentId) {
        let Some(holding) = self.holdings.get(&segment) else { return };
        if holding.total_trusted {
            let relayed = holding.transfer().is_some_and(|t| t.peer == key && t.relayed);
            self.forget_transfer(key, segment, "gave a wrong size");
            return self.blame(Contributor { peer: key, relayed }, "gave a wrong size");
        }
        // Two peers disagree. Who is right shows when the origin is asked; do not mix their bytes.
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.state.note_failure(now, segment);
        }
        self.forget_transfer(key, segment, "gave another size than others");
    }

    pub(super) fn learn_from_transfer(&mut self, now: Instant, key: PeerKey, segment: SegmentId) {
        let Some(transfer) = self.holdings.get(&segment).and_then(Holding::transfer) else { return };
        let Some(peer) = self.peers.get_mut(&key).filter(|_| transfer.peer == key) else { return };
        let first = transfer.first_byte.unwrap_or(transfer.started);
        peer.estimate
            .record_transfer(transfer.received - transfer.paced, now.saturating_duration_since(first));
    }

    /// The peer says that it has sent all it was asked for.
    pub(super) fn transfer_done(&mut self, now: Instant, key: PeerKey, segment: SegmentId) {
        self.trace_peer_end(segment, key, "has sent all");
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        if holding.transfer().is_some_and(|t| t.peer == key) {
            holding.transfer = None;
            self.complete_if_whole(now, segment);
        }
    }

    /// The transfer comes to nothing, by nobody's fault that matters.
    pub(super) fn forget_transfer(&mut self, key: PeerKey, segment: SegmentId, why: &str) {
        self.trace_peer_end(segment, key, why);
        let running =
            self.peers.get(&key).and_then(|p| p.state.download()).is_some_and(|d| d.segment == segment);
        if running && let Some(command) = self.peers.get_mut(&key).and_then(|p| p.state.cancel()) {
            self.actions.push_back(Action::Command { peer: key, command });
        }
        if let Some(holding) = self.holdings.get_mut(&segment)
            && holding.transfer().is_some_and(|t| t.peer == key)
        {
            holding.transfer = None;
        }
    }

    /// The peer has been silent for too long.
    pub(super) fn abandon_transfer(&mut self, now: Instant, key: PeerKey) {
        let Some(segment) = self.peers.get(&key).and_then(|p| p.state.download()).map(|d| d.segment) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.state.note_failure(now, segment);
        }
        self.forget_transfer(key, segment, "was silent too long");
    }

    /// Somebody else was faster, but a peer that had time and brought nothing has failed all the same.
    pub(super) fn blame_if_silent(&mut self, now: Instant, segment: SegmentId) {
        const TIME_ENOUGH: Duration = Duration::from_millis(750);
        let Some(transfer) = self.holdings.get(&segment).and_then(Holding::transfer) else { return };
        if transfer.received == 0
            && now.saturating_duration_since(transfer.started) > TIME_ENOUGH
            && let Some(peer) = self.peers.get_mut(&transfer.peer)
        {
            peer.state.note_failure(now, segment);
        }
    }

    /// Somebody else has brought what this transfer was to bring.
    pub(super) fn cancel_transfer(&mut self, segment: SegmentId) {
        let Some(transfer) = self.holdings.get(&segment).and_then(Holding::transfer) else { return };
        let all_sent = self.holdings.get(&segment).is_some_and(|h| h.total == Some(transfer.next));
        let how = if all_sent { "has sent all" } else { "is needed no longer" };
        self.trace_peer_end(segment, transfer.peer, how);
        self.holdings.entry(segment).and_modify(|h| h.transfer = None);
        let Some(peer) = self.peers.get_mut(&transfer.peer) else { return };
        // All of it has come but the word that it has: no need to take that back.
        let all_received = peer.state.download().is_some_and(|d| d.size == Some(d.received));
        if !all_received && let Some(command) = peer.state.cancel() {
            self.actions.push_back(Action::Command { peer: transfer.peer, command });
        }
    }

    /// A peer has brought what is wrong. Who only passed it on could not know, and is believed to mean well a
    /// few times.
    pub(super) fn blame(&mut self, from: Contributor, reason: &'static str) {
        const STRIKES: u32 = 3;
        let Some(peer) = self.peers.get_mut(&from.peer) else { return };
        peer.strikes += 1;
        if !from.relayed || peer.strikes >= STRIKES {
            self.counters.banned_peers += 1;
            self.drop_peer(from.peer, reason);
        }
    }

    pub(super) fn drop_peer(&mut self, key: PeerKey, reason: &'static str) {
        self.end_transfers_of(key, reason);
        if self.peers.remove(&key).is_some() {
            self.actions.push_back(Action::Drop { peer: key, reason });
            self.dirty = true;
        }
    }

    fn end_transfers_of(&mut self, key: PeerKey, why: &str) {
        let is_theirs = |h: &Holding| h.transfer().is_some_and(|t| t.peer == key);
        let theirs = self.holdings.iter().filter(|(_, h)| is_theirs(h)).map(|(id, _)| *id);
        for segment in theirs.collect::<Vec<_>>() {
            self.trace_peer_end(segment, key, why);
            self.holdings.entry(segment).and_modify(|h| h.transfer = None);
        }
    }

    /// On live, peers learn of a segment at different moments; the first to see it tells the others.
    fn ask_for_newer_playlist(&mut self, key: PeerKey) {
        let Some(newest) = self.segments.last().map(|s| s.id).filter(|_| self.live) else { return };
        let Some(theirs) = self.peers.get(&key).and_then(|p| p.state.frontier()) else { return };
        let is_next = (newest.0 + 1..=newest.0 + NEXT).contains(&theirs.0);
        // Once for each segment of ours, so that nobody can make us hammer the origin.
        if is_next && self.reload_asked_at != Some(newest) {
            self.reload_asked_at = Some(newest);
            self.actions.push_back(Action::ReloadPlaylist);
        }
    }
}
