// SPDX-License-Identifier: MPL-2.0

//! Guests: viewers of the swarm whom other nodes of the cluster serve, as far as they matter here.
//!
//! They stand in the groups like everybody else, so the choice of partners knows no difference but
//! that of two equals the one of this node comes first. A guest that is no longer heard of cannot be
//! found any more, but is remembered for as long as one of this node's viewers is linked to it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::peer::{Pair, PairState};
use super::{Acquaintance, LEVELS, Slot, Swarm, Tick};
use crate::tracker::cluster::message::{Guest, NodeId, Sample};
use crate::tracker::place::Group;
use crate::tracker::swarms::Home;

/// Time for which a guest can be found after it was last heard of.
pub const GUEST_LIFETIME: Duration = Duration::from_secs(30);
/// Viewers in the sample of a group.
pub const SAMPLE: usize = 12;

/// Time after its last word when a node is taken for dead.
const NODE_LIFETIME: Duration = Duration::from_secs(10);
/// Signs of life come every second.
const FRESH: Duration = Duration::from_secs(3);
/// Most nodes of a cluster.
const MAX_NODES: usize = 256;

/// The other nodes, and when each was last heard of.
#[derive(Debug, Default)]
pub struct Nodes(BTreeMap<NodeId, Tick>);

impl Nodes {
    /// A node gave a sign of life.
    pub fn heard(&mut self, node: NodeId, now: Tick) {
        if self.0.contains_key(&node) || self.0.len() < MAX_NODES {
            self.0.insert(node, now);
        }
    }

    /// Forgets those who have been silent for too long, and returns them.
    pub fn expire(&mut self, now: Tick) -> Vec<NodeId> {
        let silent = |at: &Tick| now.since(*at) > NODE_LIFETIME;
        let dead = self.0.iter().filter(|(_, at)| silent(at)).map(|(node, _)| *node).collect();
        self.0.retain(|_, at| !silent(at));
        dead
    }

    pub fn knows(&self, node: NodeId) -> bool {
        self.0.contains_key(&node)
    }

    /// Whether a node gave a sign of life just now. What it said before it died is still to be found.
    pub fn is_fresh(&self, node: NodeId, now: Tick) -> bool {
        self.0.get(&node).is_some_and(|at| now.since(*at) <= FRESH)
    }

    pub fn all(&self) -> Vec<NodeId> {
        self.0.keys().copied().collect()
    }
}

impl Swarm {
    /// Whether what a node has said about a viewer some seconds ago may be true: not if another node has
    /// just spoken of it as its own.
    pub fn is_likely(&self, guest: &Guest, node: NodeId, now: Tick, nodes: &Nodes) -> bool {
        let Some(known) = self.find(&guest.id).and_then(|slot| self.peer(slot)) else { return true };
        match known.home {
            Home::Here(_) => false,
            Home::There(other) => {
                let silent = now + GUEST_LIFETIME > known.expires + FRESH;
                other == node || silent || !nodes.is_fresh(other, now)
            }
        }
    }

    /// Takes in what another node says about one of its viewers. None if that viewer is here: then
    /// the other node has not noticed that it has moved.
    pub fn welcome(&mut self, guest: &Guest, node: NodeId, now: Tick) -> Option<Slot> {
        if self.find(&guest.id).and_then(|slot| self.peer(slot)).is_some_and(|peer| !peer.is_guest()) {
            return None;
        }
        let (slot, before) = self.join(guest.id, Home::There(node), &guest.place, guest.seeder, now);
        if before.is_some_and(|before| before != Home::There(node)) {
            self.forget_open(slot);
        }
        self.set_expiry(slot, now + GUEST_LIFETIME);
        self.correct_links(slot, guest.load.into());
        Some(slot)
    }

    /// Forgets offers that went to where a viewer is no longer served.
    fn forget_open(&mut self, slot: Slot) {
        let open = |pair: &&Pair| pair.state == PairState::Open;
        let peer = self.peer(slot);
        let others: Vec<_> =
            peer.iter().flat_map(|peer| peer.pairs.iter().filter(open).map(|pair| pair.other)).collect();
        others.into_iter().for_each(|other| self.part(slot, other));
    }

    /// Forgets a guest that has not been heard of, except for those who are linked to it.
    pub(super) fn fade(&mut self, slot: Slot, now: Tick, nodes: &Nodes) {
        let Some(peer) = self.peer(slot) else { return };
        // A node that lives would have said that its viewer has left.
        let lost = matches!(peer.home, Home::There(node) if !nodes.knows(node))
            && now.since(peer.expires) > self.limits.meet_again;
        if peer.pairs.is_empty() || lost {
            self.leave(slot);
        } else if peer.listed {
            let groups = peer.groups;
            // It stays in its groups' books, or nearness to it could not be told any more.
            if peer.place.uploads {
                for level in 0..LEVELS {
                    self.groups.remove(&mut self.peers, level, slot);
                }
            }
            if let Some(peer) = self.peers.get_mut(slot) {
                (peer.listed, peer.groups) = (false, groups);
            }
        }
    }

    /// Whether a viewer of this node may be given another's offer now.
    pub fn may_meet(&self, to: Slot, from: Slot, now: Tick) -> bool {
        let Some(peer) = self.peer(to) else { return false };
        peer.load() < self.limits.most
            && peer.place.uploads
            && (peer.acquaintance(from, now, &self.limits) != Acquaintance::Recent
                || self.gives_way(to, from))
            && self.shared(to, from).is_some()
    }

    /// Whether two nodes made offers between the same two at the same time, and it is this one's that is
    /// given up: the other node drops the one that does not come from the lower id.
    fn gives_way(&self, to: Slot, from: Slot) -> bool {
        let (Some(peer), Some(guest)) = (self.peer(to), self.peer(from)) else { return false };
        let under_way = |pair: &Pair| pair.other == from && pair.state == PairState::Open;
        guest.id < peer.id
            && peer.pairs.iter().any(under_way)
            && peer.incoming.iter().all(|offer| offer.from != from)
    }

    /// Nodes that serve viewers whom this one has met.
    pub fn nodes_of(&self, slot: Slot) -> Vec<NodeId> {
        let Some(peer) = self.peer(slot).filter(|_| self.guests > 0) else { return Vec::new() };
        let homes = peer.pairs.iter().filter_map(|pair| self.peer(pair.other)).map(|other| other.home);
        let mut nodes: Vec<_> = homes
            .filter_map(|home| match home {
                Home::There(node) => Some(node),
                Home::Here(_) => None,
            })
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// What other nodes may know of a viewer.
    pub fn as_guest(&self, slot: Slot) -> Option<Guest> {
        let peer = self.peer(slot)?;
        let load = u16::try_from(peer.load()).unwrap_or(u16::MAX);
        Some(Guest { id: peer.id, place: peer.place, seeder: peer.seeder, load })
    }

    /// The groups from `cursor` on, at most `budget`, with a sample of this node's viewers in each. Returns
    /// where to go on; None at the end.
    pub fn samples(&self, cursor: usize, budget: usize) -> (Vec<(Group, Sample)>, Option<usize>) {
        let groups = self.groups.from(cursor).take(budget);
        let (complete, incomplete) = (self.seeders, self.len() as u32 - self.seeders);
        let samples = groups
            // A household's viewers are mostly alone, and found as neighbours if they are not.
            .filter(|(group, _, _)| !matches!(group, Group::Household(_)))
            .map(|(group, in_need, content)| {
                let mut viewers = Vec::new();
                for slot in in_need.iter().chain(content).take(4 * SAMPLE) {
                    let free =
                        self.peer(*slot).filter(|peer| !peer.is_guest() && peer.load() < self.limits.most);
                    if free.is_some() && viewers.len() < SAMPLE {
                        viewers.extend(self.as_guest(*slot));
                    }
                }
                (group, Sample { complete, incomplete, viewers })
            })
            // The size of the swarm stands with the group of everybody.
            .filter(|(group, sample)| *group == Group::Everybody || !sample.viewers.is_empty())
            .collect();
        let next = cursor + budget;
        (samples, (next < self.groups.count()).then_some(next))
    }
}
