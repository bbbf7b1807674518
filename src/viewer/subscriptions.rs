// SPDX-License-Identifier: MPL-2.0

//! Standing requests: whoever brought us a fresh segment of a live stream is asked for the next one before it is
//! there, and sends it as soon as it gets it.
//!
//! Announcement, request and first bytes are three trips between two viewers; with a subscription a hop is one.
//! A swarm needs that to get a segment round in a second or two. So a segment that comes late, when others are there
//! already, is followed by a subscription, too: else a swarm that has been late once would have none left, and stay
//! late for lack of them.
//! Those who fetch for the swarm stay the same for a while (`switcher/election`), so the way that a segment took is
//! a good way for the next. Nobody waits for a subscription alone: who hears that others have the segment asks them
//! after a moment's patience, so viewers that have subscribed to each other do not keep each other waiting.

use std::time::{Duration, Instant};

use super::holding::{Holding, PeerTransfer, State};
use super::peers::RemotePeer;
use super::{Action, PeerKey, SegmentSpec, Viewer};
use crate::swarm::{Command, SegmentId};
use crate::switcher::Situation;

/// Whoever we have subscribed to is given so much longer than the first who offered the segment.
const PATIENCE: Duration = Duration::from_millis(300);

impl Viewer {
    /// A peer has begun to bring us a segment: it is asked for the next that is not there yet.
    pub(super) fn subscribe_after(&mut self, segment: SegmentId, key: PeerKey) {
        if !self.live || self.sees_all() || !self.config.download_from_peers {
            return;
        }
        if !self.line().has_room() {
            // What is sent unasked comes beside what is needed before it.
            return;
        }
        let newest = self.segments.last().map_or(segment, |newest| newest.id);
        let next = SegmentId(segment.max(newest).0.saturating_add(1));
        let is_late = segment < newest;
        if is_late && self.peers.values().any(|p| p.state.subscribes_to(next)) {
            // Whoever brought us a newer one is the better way.
            return;
        }
        self.unsubscribe(next);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.state.client.is_ours() && peer.state.has_announced() {
            let command = peer.state.subscribe(next);
            self.actions.push_back(Action::Command { peer: key, command });
        }
    }

    /// The segment comes from somebody else.
    pub(super) fn unsubscribe(&mut self, segment: SegmentId) {
        for (key, peer) in self.peers.iter_mut() {
            if let Some(command) = peer.state.unsubscribe(segment) {
                self.actions.push_back(Action::Command { peer: *key, command });
            }
        }
    }

    /// A peer offers a segment that we have subscribed to elsewhere: that is waited for a moment longer.
    pub(super) fn be_patient(&mut self, now: Instant, spec: &SegmentSpec, situation: &mut Situation) {
        let Some(holding) = self.holdings.get_mut(&spec.id) else { return };
        let until = *holding.offered.get_or_insert(now) + PATIENCE;
        if until > now && self.peers.values().any(|p| p.state.subscribes_to(spec.id)) {
            situation.peers_from = situation.peers_from.min(situation.slack.saturating_sub(until - now));
        }
    }

    /// A peer has subscribed to a segment.
    pub(super) fn take_subscriber(&mut self, now: Instant, key: PeerKey) {
        let Some(theirs) = self.peers.get(&key).and_then(|p| p.state.subscriber) else { return };
        // Who is full is full when the segment comes, too, unless others leave.
        let waiting = self.peers.iter().filter(|(other, p)| **other != key && p.state.subscriber.is_some());
        if waiting.count() >= self.upload_slots(now) || !self.can_give(now) {
            return self.refuse_subscriber(key);
        }
        if self.servable(theirs.segment).is_some() {
            self.push_to(now, key);
        }
    }

    /// The first bytes of a segment are here: those who have subscribed to it get it.
    pub(super) fn push_to_subscribers(&mut self, now: Instant, segment: SegmentId) {
        let wants = |p: &RemotePeer| p.state.subscriber.is_some_and(|theirs| theirs.segment <= segment);
        let waiting: Vec<PeerKey> =
            self.peers.iter().filter(|(_, p)| wants(p)).map(|(key, _)| *key).collect();
        for key in waiting {
            self.push_to(now, key);
        }
    }

    /// Serves a subscription, unless the peer is still being given something: then afterwards.
    pub(super) fn push_to(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get(&key).filter(|p| p.state.upload.is_none()) else { return };
        let Some(theirs) = peer.state.subscriber else { return };
        let Some((_, total)) = self.servable(theirs.segment) else {
            if self.segments.last().is_some_and(|newest| newest.id > theirs.segment) {
                self.refuse_subscriber(key);
            }
            return;
        };
        if !self.has_slot(now, key) {
            return self.refuse_subscriber(key);
        }
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if total.is_none() && !peer.state.client.is_ours() {
            return;
        }
        if let Some(command) = peer.state.push(total) {
            peer.served = now;
            self.actions.push_back(Action::Command { peer: key, command });
            self.serving = true;
        }
    }

    /// Playback will come to it, and it is no newer than the next one.
    fn is_near(&self, segment: SegmentId) -> bool {
        let newest = self.segments.last().map(|newest| newest.id);
        newest.is_some_and(|newest| segment.0 <= newest.0.saturating_add(1))
            && self.cursor.is_some_and(|cursor| segment >= cursor)
    }

    fn refuse_subscriber(&mut self, key: PeerKey) {
        if let Some(theirs) = self.peers.get_mut(&key).and_then(|p| p.state.subscriber.take()) {
            let command = Command::Absent { segment: theirs.segment, request_id: theirs.request_id };
            self.actions.push_back(Action::Command { peer: key, command });
        }
    }

    /// A peer begins to send what we have subscribed to.
    pub(super) fn take_push(&mut self, now: Instant, key: PeerKey, segment: SegmentId, size: Option<u64>) {
        let wants = |h: &Holding| {
            h.state == State::Partial && h.have == 0 && h.transfer.is_none() && h.http.is_none()
        };
        let is_wanted = self.holdings.get(&segment).is_none_or(wants) && self.is_near(segment);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if !is_wanted {
            if let Some(command) = peer.state.cancel() {
                self.actions.push_back(Action::Command { peer: key, command });
            }
            return;
        }
        peer.last_progress = now;
        let listed = self.spec(segment).copied();
        let Some(spec) = listed.or_else(|| self.segments.last().map(SegmentSpec::next)) else { return };
        let slack = self.slack(now, &spec);
        let holding = self.holdings.entry(segment).or_insert_with(|| Holding::new(spec.size, slack));
        holding.transfer =
            Some(Box::new(PeerTransfer { pushed: true, ..PeerTransfer::new(now, key, 0, true) }));
        self.trace_push(now, segment, key);
        self.take_header(now, key, segment, 0, size);
    }
}
