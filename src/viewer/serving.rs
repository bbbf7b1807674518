// SPDX-License-Identifier: MPL-2.0

//! Uploads and announcements: what this viewer gives to others.
//!
//! A segment is given away from its first bytes on, whoever brings them: copies
//! spread at the speed of the links instead of once per segment. Viewers cannot come to wait for each other,
//! because each asks only who has said that it holds more than itself. What has no size yet goes to our own kind
//! alone, and ends with the word that it has (`progress`).

use std::time::{Duration, Instant};

use super::holding::State;
use super::uplink::children;
use super::{Action, PeerKey, Viewer};
use crate::swarm::{Announcement, Command, Held, Peer, SegmentId};

/// Announcements are so far apart at least; changes in between are announced together.
const ANNOUNCE_GAP: Duration = Duration::from_millis(30);

/// What others gain little by knowing waits so long for an announcement to go with.
const ANNOUNCE_PATIENCE: Duration = Duration::from_secs(1);

/// A child that has had nothing for so long is told to look elsewhere: well before the 2 s after which
/// p2p-media-loader gives a peer up, and after we have had time to look elsewhere ourselves.
const STARVED: Duration = Duration::from_millis(1400);

/// The same when nobody brings us more of what it waits for.
const FORSAKEN: Duration = Duration::from_millis(500);

impl Viewer {
    /// A peer's channel can take so many bytes now.
    pub fn handle_room(&mut self, key: PeerKey, room: u64) {
        if let Some(peer) = self.peers.get_mut(&key) {
            if peer.uploaded > 0 {
                self.left = self.left.saturating_add(room.saturating_sub(peer.room));
            }
            self.has_new_room |= peer.room == 0;
            peer.room = room;
        }
    }

    /// Whether this viewer has anything to give to others.
    pub(super) fn can_give(&self, now: Instant) -> bool {
        self.config.upload_to_peers && self.upload_slots(now) > 0
    }

    pub(super) fn upload_slots(&self, now: Instant) -> usize {
        let stream = self.stream_rate();
        let allowed =
            self.config.max_upload_rate.map_or(usize::MAX, |max| children(max as f64, stream).max(1));
        self.uplink.slots(now, stream).min(allowed)
    }

    /// Whoever has a segment from this viewer has it slowly, and so have all behind.
    pub(super) fn gives_slowly(&self) -> bool {
        self.uplink.is_weak(self.stream_rate())
    }

    /// Whether this peer can be served beside the others.
    pub(super) fn has_slot(&self, now: Instant, key: PeerKey) -> bool {
        self.has_slot_beside(now, key, |peer| peer.upload.is_some())
    }

    /// The same beside those, too, who are to have the next segment. If latecomers had their places, these would have the
    /// next one late, and so on: a swarm that has been late once would stay so.
    fn has_spare_slot(&self, now: Instant, key: PeerKey) -> bool {
        self.has_slot_beside(now, key, |peer| peer.upload.is_some() || peer.subscriber.is_some())
    }

    fn has_slot_beside(&self, now: Instant, key: PeerKey, takes: impl Fn(&Peer) -> bool) -> bool {
        let others = self.peers.iter().filter(|(other, p)| **other != key && takes(&p.state)).count();
        others < self.upload_slots(now)
    }

    /// How much of a segment may be given away now, and its size if that is known.
    pub(super) fn servable(&self, segment: SegmentId) -> Option<(u64, Option<u64>)> {
        let holding = self.holdings.get(&segment).filter(|_| self.config.upload_to_peers)?;
        holding.is_passed_on().then_some((holding.have, holding.total))
    }

    /// Bytes that could go to a peer at once if there were room.
    fn ready_for(&self, key: PeerKey) -> u64 {
        let Some(upload) = self.peers.get(&key).and_then(|p| p.state.upload()) else { return 0 };
        let have = self.holdings.get(&upload.segment).map_or(0, |h| h.have);
        have.min(upload.end.unwrap_or(u64::MAX)).saturating_sub(upload.next)
    }

    /// A peer asks for something.
    pub(super) fn answer_request(&mut self, now: Instant, key: PeerKey) {
        let Some(upload) = self.peers.get(&key).and_then(|p| p.state.upload()) else { return };
        let (segment, request_id) = (upload.segment, upload.request_id);
        let has_slot = self.has_spare_slot(now, key);
        let servable = self.servable(segment).filter(|_| has_slot);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let is_ours = peer.state.client.is_ours();
        let servable = servable.filter(|(have, total)| match total {
            // Our own kind asks for what it has heard that we hold. That may have been rejected since, and come to
            // us by way of who asks.
            Some(_) if is_ours => upload.next < *have,
            Some(total) => upload.next < *total,
            // Others read no header without a size.
            None => is_ours && upload.next <= *have,
        });
        let command = match (servable, &mut peer.state.upload) {
            (Some((_, total)), Some(upload)) => {
                upload.end = total;
                peer.served = now;
                Command::Data { segment, request_id, size: total.map(|total| total - upload.next) }
            }
            _ => {
                peer.state.upload = None;
                self.turned_away |= !has_slot;
                Command::Absent { segment, request_id }
            }
        };
        self.actions.push_back(Action::Command { peer: key, command });
        self.serving = true;
    }

    /// The bytes of a segment will not come as promised: whoever waits for them is told at once.
    pub(super) fn refuse_uploads(&mut self, segment: SegmentId) {
        for (key, peer) in self.peers.iter_mut() {
            if let Some(upload) = peer.state.upload().filter(|u| u.segment == segment) {
                peer.state.upload = None;
                let command = Command::Absent { segment, request_id: upload.request_id };
                self.actions.push_back(Action::Command { peer: *key, command });
            }
        }
    }

    /// Somebody is served no longer: there may be room for who was turned away.
    pub(super) fn offer_again(&mut self, now: Instant) {
        if std::mem::take(&mut self.turned_away) {
            self.announce_soon(now);
        }
    }

    /// Gives each peer in turn as much as its channel and the upload rate allow.
    pub(super) fn serve(&mut self, now: Instant) {
        if !self.serving {
            return;
        }
        let uploading =
            |(key, peer): (&PeerKey, &super::RemotePeer)| peer.state.upload.as_ref().map(|_| *key);
        let keys: Vec<PeerKey> = self.peers.iter().filter_map(uploading).collect();
        let first = keys.partition_point(|key| *key <= self.turn);
        let turn = self.budget.turn(keys.len());
        let mut waiting_for_budget = false;
        loop {
            let mut moved = false;
            for key in keys[first..].iter().chain(&keys[..first]) {
                let budget = self.budget.available(now);
                match self.serve_turn(now, *key, turn, budget) {
                    Served::Bytes(bytes) => {
                        self.budget.spend(bytes);
                        self.turn = *key;
                        moved = true;
                    }
                    Served::NoBudget => waiting_for_budget = true,
                    Served::Nothing => {}
                }
            }
            if !moved {
                break;
            }
        }
        if waiting_for_budget && let Some(refill) = self.budget.refill_time(turn) {
            self.wake_at(now + refill);
        }
        self.release_starved(now);
        self.measure_uplink(now, waiting_for_budget);
    }

    /// Nothing has changed for those who are served, but that more of what they were sent has left. Most of what
    /// happens is that.
    pub(super) fn note_what_left(&mut self, now: Instant) {
        debug_assert!(self.config.max_upload_rate.is_some() || !self.has_somebody_to_serve());
        match std::mem::take(&mut self.left) {
            0 => {}
            left => self.uplink.record_left(now, left, self.stream_rate()),
        }
    }

    fn has_somebody_to_serve(&self) -> bool {
        self.peers.iter().any(|(key, peer)| peer.room > 0 && self.ready_for(*key) > 0)
    }

    fn measure_uplink(&mut self, now: Instant, waiting_for_budget: bool) {
        let left = std::mem::take(&mut self.left);
        let children = self.peers.values().filter(|p| p.state.upload.is_some()).count();
        let waits = |(key, peer): (&PeerKey, &super::RemotePeer)| peer.room == 0 && self.ready_for(*key) > 0;
        let is_full = waiting_for_budget || self.peers.iter().any(waits);
        self.uplink.record(now, left, is_full, children, self.stream_rate());
        if children == 0 {
            self.serving = false;
        }
    }

    fn serve_turn(&mut self, now: Instant, key: PeerKey, turn: u64, budget: u64) -> Served {
        self.end_upload_at_size(now, key);
        let ready = self.ready_for(key);
        let Some(peer) = self.peers.get_mut(&key) else { return Served::Nothing };
        let Some(upload) = &mut peer.state.upload else { return Served::Nothing };
        let wanted = ready.min(turn).min(peer.room);
        if wanted == 0 {
            return Served::Nothing;
        }
        if budget < wanted {
            return Served::NoBudget;
        }
        let range = upload.next..upload.next + wanted;
        upload.next = range.end;
        let (segment, done) = (upload.segment, upload.end == Some(range.end));
        peer.served = now;
        peer.room -= wanted;
        peer.uploaded += wanted;
        self.counters.upload_bytes += wanted;
        self.actions.push_back(Action::Upload { peer: key, segment, range });
        if done {
            self.complete_upload(now, key);
        }
        Served::Bytes(wanted)
    }

    /// The peer has been sent all that it asked for.
    pub(super) fn complete_upload(&mut self, now: Instant, key: PeerKey) {
        let Some(upload) = self.peers.get_mut(&key).and_then(|p| p.state.upload.take()) else { return };
        let command = Command::Completed { segment: upload.segment, request_id: upload.request_id };
        self.actions.push_back(Action::Command { peer: key, command });
        self.push_to(now, key);
        self.offer_again(now);
    }

    /// Whoever has waited too long for bytes that we do not have ourselves is sent elsewhere.
    fn release_starved(&mut self, now: Instant) {
        let mut starved = Vec::new();
        for (key, peer) in self.peers.iter() {
            let Some(upload) = peer.state.upload() else { continue };
            if peer.room == 0 {
                continue; // It is still receiving what it has been given.
            }
            let holding = self.holdings.get(&upload.segment);
            let comes = holding.is_some_and(|h| h.state != State::Partial || h.is_fed());
            let patience = if comes { STARVED } else { FORSAKEN };
            match peer.served + patience + self.pause_between_chunks(now, upload.segment) {
                at if at <= now => starved.push((*key, upload)),
                at => self.wake = Some(self.wake.map_or(at, |wake| wake.min(at))),
            }
        }
        for (key, upload) in starved {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.state.upload = None;
            }
            let command = Command::Absent { segment: upload.segment, request_id: upload.request_id };
            self.actions.push_back(Action::Command { peer: key, command });
            let holding = self.holdings.get_mut(&upload.segment);
            if let Some(holding) = holding.filter(|h| h.have <= upload.next) {
                holding.starving = true;
                self.announce_soon(now);
            }
        }
    }

    /// What this viewer holds has changed in a way that others wait for.
    pub(super) fn announce_soon(&mut self, now: Instant) {
        self.announce_by(self.announced.map_or(now, |at| now.max(at + ANNOUNCE_GAP)));
    }

    /// What this viewer holds has changed, and nobody waits to hear it.
    pub(super) fn announce_in_time(&mut self, now: Instant) {
        self.announce_by(now + ANNOUNCE_PATIENCE);
    }

    pub(super) fn announce_by(&mut self, at: Instant) {
        if self.config.upload_to_peers && !self.peers.is_empty() {
            self.announce_at = Some(self.announce_at.map_or(at, |known| known.min(at)));
        }
    }

    /// Tells all peers what this viewer holds, when it is time.
    pub(super) fn announce(&mut self, now: Instant) {
        match self.announce_at {
            Some(at) if at <= now => {
                self.announce_at = None;
                self.announced = Some(now);
                if let Some(command) = self.announcement(now) {
                    self.actions.push_back(Action::Broadcast { command });
                }
            }
            Some(at) => self.wake_at(at),
            None => {}
        }
    }

    /// None for a viewer that gives nothing: it has nothing to tell.
    pub(super) fn announcement(&self, now: Instant) -> Option<Command> {
        if !self.config.upload_to_peers {
            return None;
        }
        let mut said = Announcement { coming: self.news_to_tell(), ..Announcement::default() };
        // Who has nothing to give had better not be asked, nor counted upon in the election.
        let giving = self.can_give(now).then(|| self.holdings.iter());
        for (id, holding) in giving.into_iter().flatten() {
            let servable = self.servable(*id);
            let has_size = servable.is_some_and(|(_, total)| total.is_some());
            if has_size {
                said.loaded.push(*id);
            } else if holding.http.is_some() {
                said.http_loading.push(*id);
            }
            if servable.is_some() && holding.state == State::Partial {
                said.held.push(Held { segment: *id, bytes: holding.have });
            }
        }
        Some(Command::Announcement(said.into()))
    }
}

/// What came of a peer's turn.
enum Served {
    Bytes(u64),
    /// The upload rate is used up.
    NoBudget,
    /// It wants nothing, or its channel is full.
    Nothing,
}
