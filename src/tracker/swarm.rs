// SPDX-License-Identifier: MPL-2.0

//! The viewers of one stream: who they are, where they are, and who has met whom.
//!
//! Viewers sit in numbered slots, and each belongs to three groups, from near to far: its address,
//! its network and everybody. A group is a plain list, so a random member is found at once however
//! large the swarm is, and joining and leaving cost the same for any size.
//!
//! Who has met whom is remembered at both ends or at neither, so nobody who has left is ever
//! referred to.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::swarms::ConnectionId;
use crate::swarm::ids::{OfferId, PeerId};

/// Age at which an offer can no longer be answered. Browsers drop theirs after 50 s; the rest is
/// for the way here and back.
pub const OFFER_LIFETIME: Duration = Duration::from_secs(60);
/// Two viewers who should be connected may be introduced again after this time, in case the
/// connection failed: the tracker never hears of that.
pub const MEET_AGAIN: Duration = Duration::from_secs(120);
/// Acquaintances remembered for each viewer; the oldest are forgotten first.
pub const MAX_PAIRS: usize = 64;

/// A viewer's place in its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

/// Viewers who are equally near to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// The same public address: usually the same household or office.
    Address(IpAddr),
    /// The same /24 or /48: usually the same access network of the same provider.
    Network(IpAddr),
    Everybody,
}

impl Group {
    /// The groups of an address, nearest first.
    pub fn of(address: IpAddr) -> [Self; 3] {
        [Self::Address(address), Self::Network(network(address)), Self::Everybody]
    }
}

/// An address with its host part cleared.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// One viewer.
#[derive(Debug)]
pub struct Peer {
    pub id: PeerId,
    pub connection: ConnectionId,
    pub seeder: bool,
    /// When it counts as gone unless it announces itself again.
    pub expires: Instant,
    address: IpAddr,
    /// Where it stands in each of its groups.
    positions: [u32; 3],
    pairs: Vec<Pair>,
    /// Offers that it has been given and may still answer.
    incoming: Vec<Incoming>,
    links: u32,
}

/// Two viewers who have been introduced.
#[derive(Clone, Copy, Debug)]
struct Pair {
    other: Slot,
    at: Instant,
    /// Whether an answer came back, so that they are probably connected.
    linked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Incoming {
    offer_id: OfferId,
    from: Slot,
    at: Instant,
}

/// What is known about two viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acquaintance {
    Strangers,
    /// Introduced so long ago that it may be tried again.
    Faded,
    Recent,
}

impl Peer {
    /// Viewers that it is probably connected to.
    pub fn links(&self) -> usize {
        self.links as usize
    }

    /// Its links and those in the making.
    pub fn load(&self) -> usize {
        self.links() + self.incoming.len()
    }

    /// What this viewer and another are to each other.
    pub fn acquaintance(&self, other: Slot, now: Instant) -> Acquaintance {
        match self.pairs.iter().find(|pair| pair.other == other) {
            None => Acquaintance::Strangers,
            Some(pair) => {
                let faded = if pair.linked { MEET_AGAIN } else { OFFER_LIFETIME };
                let age = now.saturating_duration_since(pair.at);
                if age >= faded { Acquaintance::Faded } else { Acquaintance::Recent }
            }
        }
    }

    fn forget(&mut self, other: Slot) {
        if let Some(at) = self.pairs.iter().position(|pair| pair.other == other) {
            self.links -= u32::from(self.pairs.swap_remove(at).linked);
        }
        self.incoming.retain(|offer| offer.from != other);
    }

    fn remember(&mut self, other: Slot, now: Instant) {
        match self.pairs.iter_mut().find(|pair| pair.other == other) {
            Some(pair) => pair.at = now,
            None => self.pairs.push(Pair { other, at: now, linked: false }),
        }
    }

    fn link(&mut self, other: Slot) {
        if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.other == other) {
            self.links += u32::from(!pair.linked);
            pair.linked = true;
        }
    }

    fn drop_old_offers(&mut self, now: Instant) {
        self.incoming.retain(|offer| now.saturating_duration_since(offer.at) <= OFFER_LIFETIME);
        if self.incoming.is_empty() {
            // Most viewers are idle most of the time.
            self.incoming = Vec::new();
        }
    }
}

/// The viewers of one stream.
#[derive(Debug, Default)]
pub struct Swarm {
    slots: Vec<Option<Peer>>,
    free: Vec<Slot>,
    by_id: HashMap<PeerId, Slot>,
    groups: HashMap<Group, Vec<Slot>>,
    seeders: u32,
}

impl Swarm {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn seeders(&self) -> u32 {
        self.seeders
    }

    pub fn find(&self, id: &PeerId) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    pub fn peer(&self, slot: Slot) -> Option<&Peer> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    fn peer_mut(&mut self, slot: Slot) -> Option<&mut Peer> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    /// Everybody in a group.
    pub fn group(&self, group: Group) -> &[Slot] {
        self.groups.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The groups of a viewer, nearest first.
    pub fn groups_of(&self, slot: Slot) -> Option<[Group; 3]> {
        self.peer(slot).map(|peer| Group::of(peer.address))
    }

    /// Everybody in the order of their slots.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter().flatten()
    }

    /// Takes a viewer in, or brings what is known about it up to date. Returns its slot and the
    /// connection that it was on before.
    pub fn join(
        &mut self,
        id: PeerId,
        connection: ConnectionId,
        address: IpAddr,
        seeder: bool,
        expires: Instant,
    ) -> (Slot, Option<ConnectionId>) {
        let Some(slot) = self.find(&id) else {
            return (self.add(id, connection, address, seeder, expires), None);
        };
        if self.peer(slot).is_some_and(|peer| peer.address != address) {
            self.leave_groups(slot);
            self.enter_groups(slot, address);
        }
        let Some(peer) = self.peer_mut(slot) else { return (slot, None) };
        let before = std::mem::replace(&mut peer.connection, connection);
        let was_seeder = std::mem::replace(&mut peer.seeder, seeder);
        peer.expires = expires;
        self.seeders = self.seeders + u32::from(seeder) - u32::from(was_seeder);
        (slot, Some(before))
    }

    fn add(
        &mut self,
        id: PeerId,
        connection: ConnectionId,
        address: IpAddr,
        seeder: bool,
        expires: Instant,
    ) -> Slot {
        let peer = Peer {
            id,
            connection,
            seeder,
            expires,
            address,
            positions: [0; 3],
            pairs: Vec::new(),
            incoming: Vec::new(),
            links: 0,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot.0 as usize] = Some(peer);
                slot
            }
            None => {
                self.slots.push(Some(peer));
                Slot(self.slots.len() as u32 - 1)
            }
        };
        self.by_id.insert(id, slot);
        self.seeders += u32::from(seeder);
        self.enter_groups(slot, address);
        slot
    }

    /// Takes a viewer out.
    pub fn leave(&mut self, slot: Slot) {
        self.leave_groups(slot);
        let Some(peer) = self.slots.get_mut(slot.0 as usize).and_then(Option::take) else { return };
        for pair in &peer.pairs {
            if let Some(other) = self.peer_mut(pair.other) {
                other.forget(slot);
            }
        }
        self.by_id.remove(&peer.id);
        self.seeders -= u32::from(peer.seeder);
        self.free.push(slot);
    }

    fn enter_groups(&mut self, slot: Slot, address: IpAddr) {
        let positions = Group::of(address).map(|group| {
            let members = self.groups.entry(group).or_default();
            members.push(slot);
            members.len() as u32 - 1
        });
        if let Some(peer) = self.peer_mut(slot) {
            peer.address = address;
            peer.positions = positions;
        }
    }

    fn leave_groups(&mut self, slot: Slot) {
        let Some((address, positions)) = self.peer(slot).map(|peer| (peer.address, peer.positions)) else {
            return;
        };
        for (level, group) in Group::of(address).into_iter().enumerate() {
            let position = positions[level];
            let Some(members) = self.groups.get_mut(&group) else { continue };
            members.swap_remove(position as usize);
            let moved = members.get(position as usize).copied();
            if members.is_empty() {
                self.groups.remove(&group);
            }
            if let Some(moved) = moved.and_then(|moved| self.peer_mut(moved)) {
                moved.positions[level] = position;
            }
        }
    }

    /// Notes that an offer went from one viewer to another.
    pub fn introduce(&mut self, from: Slot, to: Slot, offer_id: OfferId, now: Instant) {
        self.make_room(from, to);
        self.make_room(to, from);
        if let Some(peer) = self.peer_mut(from) {
            peer.remember(to, now);
        }
        if let Some(peer) = self.peer_mut(to) {
            peer.remember(from, now);
            peer.drop_old_offers(now);
            // One open offer for a pair: a second one means that the first has faded.
            peer.incoming.retain(|offer| offer.from != from);
            peer.incoming.push(Incoming { offer_id, from, at: now });
        }
    }

    /// Makes a viewer forget whom it met first, if it knows too many to meet someone new.
    fn make_room(&mut self, slot: Slot, new: Slot) {
        let Some(peer) = self.peer_mut(slot) else { return };
        if peer.pairs.len() < MAX_PAIRS || peer.pairs.iter().any(|pair| pair.other == new) {
            return;
        }
        let Some(oldest) = peer.pairs.iter().min_by_key(|pair| pair.at).map(|pair| pair.other) else {
            return;
        };
        peer.forget(oldest);
        if let Some(other) = self.peer_mut(oldest) {
            other.forget(slot);
        }
    }

    /// Notes that a viewer answered an offer, if it had been given that offer and did not answer
    /// it before. Returns whether it had.
    pub fn answer(&mut self, by: Slot, to: Slot, offer_id: OfferId, now: Instant) -> bool {
        let Some(peer) = self.peer_mut(by) else { return false };
        peer.drop_old_offers(now);
        let open = |offer: &Incoming| offer.from == to && offer.offer_id == offer_id;
        let Some(at) = peer.incoming.iter().position(open) else { return false };
        peer.incoming.swap_remove(at);
        peer.link(to);
        if let Some(peer) = self.peer_mut(to) {
            peer.link(by);
        }
        true
    }

    /// Drops offers that can no longer be answered.
    pub fn drop_old_offers(&mut self, now: Instant) {
        for peer in self.slots.iter_mut().flatten() {
            peer.drop_old_offers(now);
        }
    }
}
