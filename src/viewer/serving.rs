// SPDX-License-Identifier: MPL-2.0

//! Uploads and announcements: what this viewer gives to others.

use std::time::{Duration, Instant};

use super::upload::TURN;
use super::{Action, PeerKey, Viewer};
use crate::swarm::{Command, SegmentId};

/// Changes closer together than this are announced together.
const ANNOUNCE_DELAY: Duration = Duration::from_millis(50);

impl Viewer {
    /// A peer's channel can take so many bytes now.
    pub fn handle_room(&mut self, key: PeerKey, room: u64) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.room = room;
        }
    }

    /// How much of a segment may be given away now, and its size.
    fn servable(&self, segment: SegmentId) -> Option<(u64, u64)> {
        let holding = self.holdings.get(&segment).filter(|_| self.config.upload_to_peers)?;
        let total = holding.total?;
        (holding.is_complete() || holding.is_origin_fed()).then_some((holding.have, total))
    }

    /// A peer asks for something.
    pub(super) fn answer_request(&mut self, key: PeerKey) {
        let Some(upload) = self.peers.get(&key).and_then(|p| p.state.upload) else { return };
        let (segment, request_id) = (upload.segment, upload.request_id);
        let servable = self.servable(segment).filter(|(_, total)| upload.next < *total);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let command = match (servable, &mut peer.state.upload) {
            (Some((_, total)), Some(upload)) => {
                upload.end = Some(total);
                Command::Data { segment, request_id, size: total - upload.next }
            }
            _ => {
                peer.state.upload = None;
                Command::Absent { segment, request_id }
            }
        };
        self.actions.push_back(Action::Command { peer: key, command });
    }

    /// The bytes of a segment will not come as promised: whoever waits for them is told at once.
    pub(super) fn refuse_uploads(&mut self, segment: SegmentId) {
        for (key, peer) in &mut self.peers {
            if let Some(upload) = peer.state.upload.filter(|u| u.segment == segment) {
                peer.state.upload = None;
                let command = Command::Absent { segment, request_id: upload.request_id };
                self.actions.push_back(Action::Command { peer: *key, command });
            }
        }
    }

    /// Gives each peer in turn as much as its channel and the upload rate allow.
    pub(super) fn serve(&mut self, now: Instant) {
        if self.peers.values().all(|p| p.state.upload.is_none()) {
            return;
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        let first = keys.partition_point(|key| *key <= self.turn);
        let mut waiting_for_budget = false;
        loop {
            let mut moved = false;
            for key in keys[first..].iter().chain(&keys[..first]) {
                let budget = self.budget.available(now);
                match self.serve_turn(*key, budget) {
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
        if waiting_for_budget && let Some(refill) = self.budget.refill_time() {
            self.wake_at(now + refill);
        }
    }

    fn serve_turn(&mut self, key: PeerKey, budget: u64) -> Served {
        let Some(upload) = self.peers.get(&key).and_then(|p| p.state.upload) else { return Served::Nothing };
        let Some(end) = upload.end else { return Served::Nothing };
        let Some((have, _)) = self.servable(upload.segment) else { return Served::Nothing };
        let Some(peer) = self.peers.get_mut(&key) else { return Served::Nothing };
        let ready = have.min(end).saturating_sub(upload.next);
        let wanted = ready.min(TURN).min(peer.room);
        if wanted == 0 {
            return Served::Nothing;
        }
        if budget < wanted {
            return Served::NoBudget;
        }
        let next = upload.next + wanted;
        let range = upload.next..next;
        self.actions.push_back(Action::Upload { peer: key, segment: upload.segment, range });
        peer.room -= wanted;
        peer.uploaded += wanted;
        self.counters.upload_bytes += wanted;
        if next == end {
            peer.state.upload = None;
            let command = Command::Completed { segment: upload.segment, request_id: upload.request_id };
            self.actions.push_back(Action::Command { peer: key, command });
        } else if let Some(upload) = &mut peer.state.upload {
            upload.next = next;
        }
        Served::Bytes(wanted)
    }

    /// What this viewer holds has changed.
    pub(super) fn announce_soon(&mut self, now: Instant) {
        if self.config.upload_to_peers && !self.peers.is_empty() && self.announce_at.is_none() {
            self.announce_at = Some(now + ANNOUNCE_DELAY);
        }
    }

    /// Tells all peers what this viewer holds, when it is time.
    pub(super) fn announce(&mut self, now: Instant) {
        match self.announce_at {
            Some(at) if at <= now => {
                self.announce_at = None;
                let Some(command) = self.announcement() else { return };
                for peer in self.peers.keys() {
                    self.actions.push_back(Action::Command { peer: *peer, command: command.clone() });
                }
            }
            Some(at) => self.wake_at(at),
            None => {}
        }
    }

    /// None for a viewer that gives nothing: it has nothing to tell.
    pub(super) fn announcement(&self) -> Option<Command> {
        if !self.config.upload_to_peers {
            return None;
        }
        let (mut loaded, mut http_loading) = (Vec::new(), Vec::new());
        for (id, holding) in &self.holdings {
            if holding.is_complete() || (holding.is_origin_fed() && holding.have > 0) {
                loaded.push(*id);
            } else if holding.http.is_some() {
                http_loading.push(*id);
            }
        }
        Some(Command::Announcement { loaded, http_loading, held: Vec::new() })
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
