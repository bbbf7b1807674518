// SPDX-License-Identifier: MPL-2.0

//! What to do with messages from other nodes of the cluster, and what to tell them. Pure: how messages
//! travel is the bus's business.
//!
//! Each node matches its own viewers first. Whoever is left in need of links makes its node ask what
//! the others have in the same groups; those viewers then stand in the swarm as guests, and an offer
//! to one of them goes to its node. That node has the last word, because it knows how many links its
//! viewer has by now; an offer that it does not want is dropped, and fades like any that nobody
//! answers. Messages may be lost or come twice: an offer is given and an answer relayed once at most. That
//! an answer has come is said to its sender, who sends it again otherwise.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Instant;

use super::{Home, Swarms};
use crate::swarm::ids::{InfoHash, PeerId};
use crate::swarm::tracker_messages::{Answer, Offer, TrackerMessage};
use crate::tracker::choice::Search;
use crate::tracker::cluster::message::{AnswerKey, Guest, NodeId, NodeMessage, Sample};
use crate::tracker::place::{Group, Level};
use crate::tracker::swarm::{Nodes, Slot, Swarm};
use crate::tracker::swarms::ConnectionId;

/// Most messages that wait to be taken, groups that wait to be looked up, and viewers that wait for
/// the outcome.
const MAX_WAITING: usize = 8192;
/// Most guests over all swarms.
const MAX_GUESTS: usize = 1 << 17;
/// Groups with as many viewers who need links can do without other nodes.
const ENOUGH: usize = 32;

/// What a node knows about the others and wants from them.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    on: bool,
    pub nodes: Nodes,
    outgoing: VecDeque<(NodeId, NodeMessage)>,
    /// Groups to be looked up, oldest wish first.
    wishes: VecDeque<(InfoHash, Group)>,
    wished: HashSet<(InfoHash, Group)>,
    /// Viewers with offers left who wait for guests.
    waiting: BTreeSet<(InfoHash, PeerId)>,
    /// Swarms whose samples have yet to be told in this round, and where the first of them goes on.
    untold: Vec<InfoHash>,
    cursor: usize,
}

impl Cluster {
    pub fn is_on(&self) -> bool {
        self.on
    }

    pub fn send(&mut self, node: NodeId, message: NodeMessage) {
        if self.outgoing.len() < MAX_WAITING {
            self.outgoing.push_back((node, message));
        }
    }

    /// Notes what a viewer would like to know from other nodes.
    pub fn note_interest(&mut self, info_hash: InfoHash, id: PeerId, swarm: &Swarm, slot: Slot, waits: bool) {
        let Some(peer) = swarm.peer(slot) else { return };
        let groups = peer.place.groups();
        for level in Level::ALL {
            // How large the swarm is, everybody wants to know.
            let wanted = level == Level::Anywhere || waits && swarm.around(slot, level).0.len() < ENOUGH;
            let Some(group) = groups[level as usize].filter(|_| wanted) else { continue };
            let household = matches!(group, Group::Household(_));
            if !household && self.wishes.len() < MAX_WAITING && self.wished.insert((info_hash, group)) {
                self.wishes.push_back((info_hash, group));
            }
        }
        if waits && self.waiting.len() < MAX_WAITING {
            self.waiting.insert((info_hash, id));
        }
    }
}

/// The message that brings a viewer's offer to a guest.
pub(super) fn offer(
    swarm: &Swarm,
    from: Slot,
    info_hash: InfoHash,
    node: NodeId,
    to: PeerId,
    offer: Offer,
) -> Option<(NodeId, NodeMessage)> {
    let Offer { offer_id, sdp } = offer;
    Some((node, NodeMessage::Offer { info_hash, to, from: swarm.as_guest(from)?, offer_id, sdp }))
}

/// What a viewer of this node is to be told because of another node, and on which connection.
type Delivery = (ConnectionId, TrackerMessage);

impl Swarms {
    /// From now on there are other nodes.
    pub fn join_cluster(&mut self) {
        self.cluster.on = true;
    }

    /// Another node gave a sign of life.
    pub fn node_alive(&mut self, now: Instant, node: NodeId) {
        let now = self.tick(now);
        self.cluster.nodes.heard(node, now);
    }

    /// The other nodes that live. Those that do not are forgotten, and their viewers not counted.
    pub fn nodes(&mut self, now: Instant) -> Vec<NodeId> {
        let now = self.tick(now);
        for dead in self.cluster.nodes.expire(now) {
            for swarm in self.swarms.values_mut() {
                swarm.abroad.remove(&dead);
            }
        }
        self.cluster.nodes.all()
    }

    /// What is to be told to other nodes, oldest first.
    pub fn take_outgoing(&mut self) -> VecDeque<(NodeId, NodeMessage)> {
        std::mem::take(&mut self.cluster.outgoing)
    }

    /// Groups about which other nodes are to be asked, at most so many.
    pub(in crate::tracker) fn take_wishes(&mut self, most: usize) -> Vec<(InfoHash, Group)> {
        let count = self.cluster.wishes.len().min(most);
        let wishes: Vec<_> = self.cluster.wishes.drain(..count).collect();
        for wish in &wishes {
            self.cluster.wished.remove(wish);
        }
        wishes
    }

    /// What other nodes may know, at most so many groups a call; goes round all swarms.
    pub(in crate::tracker) fn take_samples(&mut self, most: usize) -> Vec<(InfoHash, Group, Sample)> {
        let mut taken = Vec::new();
        if self.cluster.untold.is_empty() {
            self.cluster.untold = self.swarms.keys().copied().collect();
        }
        let mut left = most;
        while left > 0
            && let Some(info_hash) = self.cluster.untold.last().copied()
        {
            let (samples, next) = match self.swarms.get(&info_hash) {
                Some(swarm) => swarm.samples(self.cluster.cursor, left),
                None => (Vec::new(), None),
            };
            left = left.saturating_sub(samples.len().max(1));
            taken.extend(samples.into_iter().map(|(group, sample)| (info_hash, group, sample)));
            self.cluster.cursor = next.unwrap_or(0);
            if next.is_none() {
                self.cluster.untold.pop();
            }
        }
        taken
    }

    /// Another node's answer to a wish; None if it has nothing there.
    pub(in crate::tracker) fn take_in(
        &mut self,
        now: Instant,
        node: NodeId,
        info_hash: InfoHash,
        group: Group,
        sample: Option<Sample>,
    ) {
        let now = self.tick(now);
        let Some(swarm) = self.swarms.get_mut(&info_hash) else { return };
        if !self.cluster.nodes.is_fresh(node, now) {
            return;
        }
        if group == Group::Everybody {
            match &sample {
                Some(sample) => swarm.abroad.insert(node, (sample.complete, sample.incomplete)),
                None => swarm.abroad.remove(&node),
            };
        }
        let before = swarm.guests();
        for guest in sample.iter().flat_map(|sample| &sample.viewers) {
            if self.counters.guests + swarm.guests() - before < MAX_GUESTS
                && swarm.is_likely(guest, node, now, &self.cluster.nodes)
            {
                swarm.welcome(guest, node, now);
            }
        }
        self.counters.guests = self.counters.guests + swarm.guests() - before;
    }

    /// Gives the offers that viewers have left to guests who have come in. Who still has some waits on.
    pub fn meet_guests(&mut self, now: Instant) {
        let now = self.tick(now);
        for (info_hash, id) in std::mem::take(&mut self.cluster.waiting) {
            let Some(swarm) = self.swarms.get_mut(&info_hash) else { continue };
            let Some(slot) = swarm.find(&id) else { continue };
            let before = swarm.banked_bytes();
            while swarm.peer(slot).is_some_and(|peer| peer.has_banked(now)) {
                let mut search = Search::new(swarm, slot, now, &mut self.rng);
                let Some(guest) = search.next_guest() else { break };
                let Some((to, Home::There(node))) = swarm.peer(guest).map(|guest| (guest.id, guest.home))
                else {
                    break;
                };
                let Some(banked) = swarm.take_banked(slot, now) else { break };
                let offer_id = banked.offer_id;
                let Some((node, message)) = offer(swarm, slot, info_hash, node, to, banked) else { break };
                swarm.introduce(slot, guest, offer_id, now);
                self.counters.offers += 1;
                self.counters.banked_offers += 1;
                self.cluster.send(node, message);
            }
            self.counters.banked_bytes = self.counters.banked_bytes + swarm.banked_bytes() - before;
            // Others may come to other nodes for as long as there are offers left for them.
            if swarm.peer(slot).is_some_and(|peer| peer.has_banked(now)) {
                self.cluster.note_interest(info_hash, id, swarm, slot, true);
            }
        }
    }

    /// Does what another node says, as far as it makes sense.
    pub fn hear(&mut self, now: Instant, node: NodeId, message: NodeMessage) -> Option<Delivery> {
        match message {
            NodeMessage::Offer { info_hash, to, from, offer_id, sdp } => {
                self.offer_from(now, node, info_hash, to, &from, Offer { offer_id, sdp })
            }
            NodeMessage::Answer { info_hash, by, to, offer_id, sdp } => {
                // Whatever becomes of it, and however often it has come.
                let heard = AnswerKey { info_hash, by, to, offer_id };
                self.cluster.send(node, NodeMessage::Heard(heard));
                let answer = Answer { info_hash, peer_id: by, to_peer_id: to, offer_id, sdp };
                self.answer_from(now, node, answer)
            }
            // The mailbox's business.
            NodeMessage::Heard(_) => None,
            NodeMessage::Left { info_hash, peer_id } => {
                let swarm = self.swarms.get_mut(&info_hash)?;
                let slot = swarm.find(&peer_id)?;
                if swarm.peer(slot)?.home == Home::There(node) {
                    swarm.leave(slot);
                    self.counters.guests -= 1;
                }
                None
            }
            NodeMessage::Moved { info_hash, peer_id } => {
                let swarm = self.swarms.get(&info_hash)?;
                if let Home::Here(connection) = swarm.peer(swarm.find(&peer_id)?)?.home {
                    self.disown(connection, info_hash, peer_id);
                    self.remove(connection, info_hash, peer_id);
                }
                None
            }
        }
    }

    fn offer_from(
        &mut self,
        now: Instant,
        node: NodeId,
        info_hash: InfoHash,
        to: PeerId,
        from: &Guest,
        offer: Offer,
    ) -> Option<Delivery> {
        let now = self.tick(now);
        let swarm = self.swarms.get_mut(&info_hash)?;
        swarm.advance(now);
        let slot = swarm.find(&to)?;
        let Home::Here(connection) = swarm.peer(slot)?.home else { return None };
        if self.counters.guests >= MAX_GUESTS {
            return None;
        }
        let before = swarm.guests();
        // An offer comes at once: its viewer is where it comes from.
        let guest = swarm.welcome(from, node, now);
        self.counters.guests = self.counters.guests + swarm.guests() - before;
        let guest = guest.filter(|guest| swarm.may_meet(slot, *guest, now))?;
        swarm.introduce(guest, slot, offer.offer_id, now);
        self.counters.offers_from_nodes += 1;
        Some((connection, TrackerMessage::Offer { info_hash, peer_id: from.id, offer }))
    }

    fn answer_from(&mut self, now: Instant, node: NodeId, answer: Answer) -> Option<Delivery> {
        let now = self.tick(now);
        let Answer { info_hash, peer_id: by, to_peer_id, offer_id, sdp } = answer;
        let swarm = self.swarms.get_mut(&info_hash)?;
        swarm.advance(now);
        let guest = swarm
            .find(&by)
            .filter(|slot| swarm.peer(*slot).is_some_and(|peer| peer.home == Home::There(node)))?;
        let offerer = swarm.find(&to_peer_id)?;
        let Home::Here(connection) = swarm.peer(offerer)?.home else { return None };
        swarm.answer(guest, offerer, offer_id)?;
        self.counters.answers_from_nodes += 1;
        let answer = Offer { offer_id, sdp };
        Some((connection, TrackerMessage::Answer { info_hash, peer_id: by, answer }))
    }

    /// Whether a viewer is here, and not a guest.
    pub(super) fn serves(&self, info_hash: &InfoHash, id: &PeerId) -> bool {
        let peer = self.swarms.get(info_hash).and_then(|swarm| swarm.peer(swarm.find(id)?));
        peer.is_some_and(|peer| !peer.is_guest())
    }
}

#[cfg(test)]
mod tests;
