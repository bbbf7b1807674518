// SPDX-License-Identifier: MPL-2.0

//! The tracker, and channels that open and close: what the element's mesh does, without its WebRTC.

use super::{Shard, TrackerCall, TrackerMessage};
use crate::sim::event::{LinkEnd, What};
use crate::sim::node::{LinkState, MIN_ANNOUNCE_INTERVAL, Node, end, key, swarm_patience};
use crate::sim::time::{Micros, from_seconds};
use crate::viewer::PeerKey;

/// From wanting to announce to doing it: the tracker's handshakes, gathering candidates.
const PREPARATION: Micros = 200_000;

const MAX_ANNOUNCE_INTERVAL: Micros = 3600 * 1_000_000;

/// Until a tracker has said otherwise, as in the element.
const DEFAULT_INTERVAL: Micros = 30_000_000;

/// What the answerer knows of the offerer's end of the channel.
const UNKNOWN: LinkEnd = LinkEnd { generation: 0, slot: 0 };

impl Shard {
    /// The playlist is there: the swarm is known by name.
    pub(super) fn look_for_swarm(&mut self, node: &mut Node) {
        if !self.setting.options.p2p {
            return;
        }
        node.viewer.handle_swarm_forming(true);
        self.push(self.now + swarm_patience(), node.id, What::SwarmPatienceOver);
        self.announce_at(node, self.now + PREPARATION);
    }

    pub(super) fn end_patience(&mut self, node: &mut Node) -> bool {
        node.announcing.patience = false;
        node.viewer.handle_swarm_forming(false);
        true
    }

    fn announce_at(&mut self, node: &mut Node, due: Micros) {
        node.announcing.due = due;
        self.push(due, node.id, What::AnnounceDue);
    }

    pub(super) fn announce_if_due(&mut self, node: &mut Node) -> bool {
        if node.announcing.due != self.now {
            return false;
        }
        let max_peers = self.setting.scenario.viewer.max_peers;
        let links = node.links_in_use();
        let wanted = max_peers.saturating_sub(links).min(self.setting.scenario.tracker.offers);
        let (offers, first_offer, links) = (wanted as u32, node.announcing.offers, links as u32);
        node.announcing.offers += offers;
        node.announcing.asked = self.now;
        let what = TrackerCall::Announce { offers, first_offer, links };
        self.to_tracker.push(TrackerMessage { at: self.now, from: node.id, what });
        self.announce_at(node, self.now + DEFAULT_INTERVAL);
        false
    }

    pub(super) fn take_response(
        &mut self,
        node: &mut Node,
        swarm_size: u32,
        number: u32,
        interval: u32,
    ) -> bool {
        node.announcing.swarm_size = Some(swarm_size);
        let interval = (u64::from(interval) * 1000).clamp(MIN_ANNOUNCE_INTERVAL, MAX_ANNOUNCE_INTERVAL);
        self.announce_at(node, node.announcing.asked + interval);
        node.viewer.handle_swarm_size(u64::from(swarm_size));
        node.viewer.handle_number(Some(number));
        if node.announcing.patience {
            node.viewer.handle_swarm_forming(swarm_size > 1);
        }
        self.hurry_if_lonely(node);
        true
    }

    fn hurry_if_lonely(&mut self, node: &mut Node) {
        let soonest = node.may_announce_at().max(self.now);
        if node.is_lonely(self.setting.scenario.viewer.max_peers) && soonest < node.announcing.due {
            self.announce_at(node, soonest);
        }
    }

    pub(super) fn take_offer(&mut self, node: &mut Node, from: u32, offer: u32) -> bool {
        let full = node.links_in_use() >= self.setting.scenario.viewer.max_peers;
        if full || node.is_linked_to(from) || node.banned.contains(&from) {
            return false;
        }
        let latency = self.setting.geography.latency(&self.setting.population, node.id, from);
        let end = node.add_link(from, UNKNOWN, latency);
        let what = TrackerCall::Answer { to: from, offer, end };
        self.to_tracker.push(TrackerMessage { at: self.now, from: node.id, what });
        false
    }

    pub(super) fn take_answer(&mut self, node: &mut Node, from: u32, theirs: LinkEnd) -> bool {
        let full = node.links_in_use() >= self.setting.scenario.viewer.max_peers;
        let setting = self.setting.clone();
        if full || node.is_linked_to(from) || node.banned.contains(&from) {
            let at = self.now + from_seconds(setting.scenario.network.setup_timeout);
            self.send(at, from, What::LinkClosed { link: theirs });
            return false;
        }
        let latency = setting.geography.latency(&setting.population, node.id, from);
        let link = node.add_link(from, theirs, latency);
        let least = setting.geography.least_latency();
        match setting.geography.connect(&setting.population, node.id, from) {
            Ok(time) => {
                let at = self.now + time.max(least);
                self.send(at, from, What::LinkOpen { from: node.id, link: theirs, theirs: link });
                self.push(at, node.id, What::LinkReady { link });
            }
            Err(time) => {
                let at = self.now + time.max(least);
                self.tally.failed_links += 1;
                self.send(at, from, What::LinkClosed { link: theirs });
                self.push(at, node.id, What::LinkClosed { link });
            }
        }
        false
    }

    pub(super) fn open_link(&mut self, node: &mut Node, at: LinkEnd, theirs: Option<LinkEnd>) -> bool {
        let now = self.instant();
        let Some(link) = node.link(at) else { return false };
        link.state = LinkState::Open;
        link.theirs = theirs.unwrap_or(link.theirs);
        let peer = self.setting.peer_id(link.peer);
        node.viewer.handle_peer_open(now, key(at), peer);
        self.tell_room(node, at);
        self.tally.opened_links += 1;
        true
    }

    pub(super) fn close_link(&mut self, node: &mut Node, at: LinkEnd) -> bool {
        let Some(link) = node.link(at) else { return false };
        let was_open = link.state == LinkState::Open;
        link.state = LinkState::Free;
        if was_open {
            node.viewer.handle_peer_closed(key(at));
        }
        self.hurry_if_lonely(node);
        was_open
    }

    /// The viewer has forgotten a peer for its misbehaviour.
    pub(super) fn drop_peer(&mut self, node: &mut Node, peer: PeerKey, reason: &'static str) {
        /// As many as the element remembers.
        const MAX_BANNED: usize = 64;
        let Some(link) = node.link(end(peer)) else { return };
        link.state = LinkState::Free;
        let (at, other, theirs) = (link.arrives.max(self.now + link.latency), link.peer, link.theirs);
        if node.banned.len() >= MAX_BANNED {
            node.banned.remove(0);
        }
        node.banned.push(other);
        self.tally.dropped(&self.setting.population, other, reason);
        self.send(at, other, What::LinkClosed { link: theirs });
        self.hurry_if_lonely(node);
    }
}
