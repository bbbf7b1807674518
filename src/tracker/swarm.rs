// SPDX-License-Identifier: MPL-2.0

//! The viewers of one stream: who they are, where they are, and who has met whom.
//!
//! Viewers sit in numbered slots, and each belongs to a ladder of groups from near to far. Every
//! operation costs the same however large the swarm is; only the look for viewers who have expired
//! is spread over time instead.
//!
//! Who has met whom is remembered at both ends or at neither, so nobody who has left is ever
//! referred to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::cluster::message::NodeId;
use super::place::{LEVELS, Level, Place};
use super::swarms::{ConnectionId, Home};
use crate::swarm::ids::PeerId;
use crate::swarm::tracker_messages::Traffic;
use groups::Groups;
pub use guests::Nodes;
use introductions::Introduction;
pub use link_limits::LinkLimits;
pub use peer::{Acquaintance, Peer};
use peer::{Pair, PairState};
use slots::Peers;
pub use slots::Slot;
pub use tick::Tick;

mod bank;
mod groups;
mod guests;
mod introductions;
mod link_limits;
mod peer;
mod slots;
pub mod survey;
mod tick;
pub mod traffic;

/// Age at which an offer can no longer be answered. Browsers drop theirs after 50 s; the rest is
/// for the way here and back.
pub const OFFER_LIFETIME: Duration = Duration::from_secs(60);
/// Acquaintances remembered for each viewer; the oldest are forgotten first.
pub const MAX_PAIRS: usize = 64;
/// A whole round of looking for expired viewers takes as many calls as this.
pub const SWEEPS: usize = 16;

/// The viewers of one stream.
#[derive(Debug)]
pub struct Swarm {
    limits: LinkLimits,
    peers: Peers,
    by_id: HashMap<PeerId, Slot>,
    /// How many of them are guests: viewers whom other nodes of the cluster serve.
    guests: usize,
    groups: Groups,
    /// Offers that may not have been answered yet, oldest first.
    introductions: VecDeque<Introduction>,
    seeders: u32,
    /// Bytes that its viewers have told of.
    pub traffic: Traffic,
    /// Seeders and others whom other nodes serve, by node.
    pub abroad: BTreeMap<NodeId, (u32, u32)>,
    /// Where the look for expired viewers goes on.
    cursor: usize,
    banked_bytes: usize,
}

impl Swarm {
    pub fn new(limits: LinkLimits) -> Self {
        Self {
            limits,
            peers: Peers::default(),
            by_id: HashMap::new(),
            guests: 0,
            groups: Groups::default(),
            introductions: VecDeque::new(),
            seeders: 0,
            traffic: Traffic::default(),
            abroad: BTreeMap::new(),
            cursor: 0,
            banked_bytes: 0,
        }
    }

    pub fn limits(&self) -> &LinkLimits {
        &self.limits
    }

    /// Viewers whom this node serves.
    pub fn len(&self) -> usize {
        self.by_id.len() - self.guests
    }

    pub fn guests(&self) -> usize {
        self.guests
    }

    /// Seeders and others on all nodes of the cluster.
    pub fn counts(&self) -> (u32, u32) {
        let here = (self.seeders, self.len() as u32 - self.seeders);
        self.abroad.values().fold(here, |(seeders, others), (more_seeders, more_others)| {
            (seeders.saturating_add(*more_seeders), others.saturating_add(*more_others))
        })
    }

    /// Viewers on all nodes of the cluster.
    pub fn viewers(&self) -> usize {
        let (seeders, others) = self.counts();
        seeders as usize + others as usize
    }

    /// Session descriptions that wait for someone, in bytes.
    pub fn banked_bytes(&self) -> usize {
        self.banked_bytes
    }

    #[cfg(test)]
    pub fn has_no_groups(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn find(&self, id: &PeerId) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    pub fn peer(&self, slot: Slot) -> Option<&Peer> {
        self.peers.get(slot)
    }

    /// Whom a viewer can find at one of its levels: those who need links, and those who do not.
    pub fn around(&self, slot: Slot, level: Level) -> (&[Slot], &[Slot]) {
        let group = self.peer(slot).map(|peer| peer.groups[level as usize]);
        group.map_or((&[], &[]), |group| self.groups.members(group))
    }

    /// How near two viewers are.
    pub fn level(&self, a: Slot, b: Slot) -> Level {
        self.shared(a, b).unwrap_or(Level::Anywhere)
    }

    /// The same, or None for those who may not meet.
    pub fn shared(&self, a: Slot, b: Slot) -> Option<Level> {
        let (a, b) = (self.peer(a)?, self.peer(b)?);
        let shared = |level: &Level| {
            let level = *level as usize;
            a.groups[level] != groups::NONE && a.groups[level] == b.groups[level]
        };
        Level::ALL.into_iter().find(shared)
    }

    /// Takes a viewer in, or brings what is known about it up to date; when it expires is to be said
    /// then. Returns its slot and who served it before.
    pub fn join(
        &mut self,
        id: PeerId,
        home: impl Into<Home>,
        place: &Place,
        seeder: bool,
        now: Tick,
    ) -> (Slot, Option<Home>) {
        let home = home.into();
        let Some(slot) = self.find(&id) else {
            let slot = self.peers.add(Peer::new(id, home, *place, seeder, now));
            self.by_id.insert(id, slot);
            self.count(slot, true);
            self.enter_groups(slot);
            return (slot, None);
        };
        if self.peer(slot).is_some_and(|peer| peer.place != *place || !peer.listed) {
            self.leave_groups(slot);
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.place = *place;
                peer.listed = true;
            }
            self.enter_groups(slot);
        }
        self.count(slot, false);
        let Some(peer) = self.peers.get_mut(slot) else { return (slot, None) };
        let before = std::mem::replace(&mut peer.home, home);
        peer.seeder = seeder;
        self.count(slot, true);
        (slot, Some(before))
    }

    /// Changes when a viewer counts as gone.
    pub fn set_expiry(&mut self, slot: Slot, expires: Tick) {
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.expires = expires;
        }
    }

    /// Takes over how many links a viewer counts itself.
    pub fn correct_links(&mut self, slot: Slot, links: u32) {
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.correct(links);
            self.review(slot);
        }
    }

    /// Forgets the links of a viewer who has started anew. Offers under way stay: their answers may come
    /// at the same time.
    pub fn forget_links(&mut self, slot: Slot) {
        self.forget(slot, |pair| pair.state != PairState::Open);
    }

    fn forget(&mut self, slot: Slot, which: impl Fn(&Pair) -> bool) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let pairs: Vec<_> = peer.pairs.iter().filter(|pair| which(pair)).map(|pair| pair.other).collect();
        self.banked_bytes -= peer.banked.drain(..).map(|banked| banked.offer.sdp.len()).sum::<usize>();
        for other in pairs {
            self.part(slot, other);
        }
        self.correct_links(slot, 0);
    }

    /// Takes a viewer out.
    pub fn leave(&mut self, slot: Slot) {
        self.forget(slot, |_| true);
        self.leave_groups(slot);
        self.count(slot, false);
        let Some(peer) = self.peers.remove(slot) else { return };
        self.by_id.remove(&peer.id);
        if self.by_id.is_empty() {
            self.introductions = VecDeque::new();
        }
    }

    /// Counts a viewer in or out, as a guest or as one of this node's.
    fn count(&mut self, slot: Slot, more: bool) {
        let Some(peer) = self.peers.get(slot) else { return };
        let (guests, seeders) = (usize::from(peer.is_guest()), u32::from(!peer.is_guest() && peer.seeder));
        if more {
            self.guests += guests;
            self.seeders += seeders;
        } else {
            self.guests -= guests;
            self.seeders -= seeders;
        }
    }

    fn enter_groups(&mut self, slot: Slot) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let in_need = peer.load() < peer.target(&self.limits);
        peer.groups = self.groups.open(peer.place.groups());
        if peer.is_findable() {
            for level in 0..LEVELS {
                self.groups.insert(&mut self.peers, level, slot, in_need);
            }
        }
    }

    fn leave_groups(&mut self, slot: Slot) {
        let Some((findable, groups)) = self.peer(slot).map(|peer| (peer.is_findable(), peer.groups)) else {
            return;
        };
        if findable {
            for level in 0..LEVELS {
                self.groups.remove(&mut self.peers, level, slot);
            }
        }
        self.groups.close(groups);
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.groups = [groups::NONE; LEVELS];
        }
    }

    /// Puts a viewer whose load has changed where it belongs.
    fn review(&mut self, slot: Slot) {
        let Some(peer) = self.peers.get(slot) else { return };
        if peer.is_findable() {
            let in_need = peer.load() < peer.target(&self.limits);
            for level in 0..LEVELS {
                self.groups.set_need(&mut self.peers, level, slot, in_need);
            }
        }
    }

    /// Looks at a part of the viewers: who has expired is returned, and old offers are dropped.
    /// After [`SWEEPS`] calls each viewer has been looked at.
    pub fn sweep(&mut self, now: Tick, nodes: &Nodes) -> Vec<(PeerId, ConnectionId)> {
        self.advance(now);
        let slots = self.peers.slots.len();
        let (mut expired, mut guests) = (Vec::new(), Vec::new());
        for _ in 0..slots.div_ceil(SWEEPS) {
            self.cursor = (self.cursor + 1) % slots;
            let Some(peer) = &mut self.peers.slots[self.cursor] else { continue };
            if let Home::Here(connection) = peer.home
                && peer.expires <= now
            {
                expired.push((peer.id, connection));
            }
            guests.extend((peer.is_guest() && peer.expires <= now).then_some(Slot(self.cursor as u32)));
            if peer.banked.iter().any(|banked| banked.until <= now) {
                let bytes =
                    |peer: &Peer| peer.banked.iter().map(|banked| banked.offer.sdp.len()).sum::<usize>();
                let before = bytes(peer);
                peer.banked.retain(|banked| banked.until > now);
                if peer.banked.is_empty() {
                    peer.banked = Vec::new();
                }
                self.banked_bytes -= before - bytes(peer);
            }
        }
        guests.into_iter().for_each(|guest| self.fade(guest, now, nodes));
        expired
    }
}
