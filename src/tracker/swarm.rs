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
use std::time::{Duration, Instant};

use super::cluster::message::NodeId;
use super::place::{LEVELS, Level, Place};
use super::swarms::{ConnectionId, Home};
use crate::swarm::ids::{OfferId, PeerId};
use crate::swarm::tracker_messages::{Offer, Traffic};
use groups::Groups;
pub use guests::Nodes;
pub use peer::{Acquaintance, Peer};
use peer::{Banked, Incoming, Pair, PairState};

mod groups;
mod guests;
mod peer;
pub mod survey;
pub mod traffic;

/// Age at which an offer can no longer be answered. Browsers drop theirs after 50 s; the rest is
/// for the way here and back.
pub const OFFER_LIFETIME: Duration = Duration::from_secs(60);
/// Acquaintances remembered for each viewer; the oldest are forgotten first.
pub const MAX_PAIRS: usize = 64;
/// A whole round of looking for expired viewers takes as many calls as this.
pub const SWEEPS: usize = 16;

/// How many links a viewer should have, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Enough: a viewer with as many looks for no more, and is introduced only to the poor.
    pub target: usize,
    /// The same for a viewer who does not upload, and so takes up a place that others could use.
    pub target_without_upload: usize,
    /// Too many: a viewer with as many, counting offers under way, is introduced to nobody.
    pub most: usize,
    /// A viewer with fewer links than this is poor: those who have enough take it in nevertheless.
    /// Without that, a swarm would fall apart into groups that are content with themselves.
    pub poor: usize,
    /// Of `target`, how many should be to viewers of the same site or provider,
    pub near: usize,
    /// and how many to others of the same country or continent. The rest ignore nearness.
    pub regional: usize,
    /// Links that a viewer takes at once although they are far, where fewer than `near` are near.
    pub far_at_once: usize,
    /// Time for which a viewer with as many waits for near ones before it takes others.
    pub patience: Duration,
    /// Time after which two who are linked may be introduced again, in case their connection has
    /// ended: the tracker seldom hears of that.
    pub meet_again: Duration,
}

impl Default for LinkLimits {
    /// Fifteen links of which two ignore nearness, and two places more for the poor.
    fn default() -> Self {
        Self {
            target: 15,
            target_without_upload: 6,
            most: 17,
            poor: 3,
            near: 13,
            regional: 0,
            far_at_once: 6,
            patience: Duration::from_secs(90),
            meet_again: Duration::from_secs(600),
        }
    }
}

/// A viewer's place in its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

/// Tenths of a second since the tracker's start: millions of these are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u32);

impl Tick {
    pub fn new(start: Instant, now: Instant) -> Self {
        Self::of(now.saturating_duration_since(start))
    }

    fn of(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_millis() / 100).unwrap_or(u32::MAX))
    }

    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::from(self.0.saturating_sub(earlier.0)) * 100)
    }
}

impl std::ops::Add<Duration> for Tick {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::of(duration).0))
    }
}

/// The viewers by slot.
#[derive(Debug, Default)]
struct Peers {
    slots: Vec<Option<Peer>>,
    free: Vec<Slot>,
}

impl Peers {
    fn get(&self, slot: Slot) -> Option<&Peer> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut Peer> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    fn add(&mut self, peer: Peer) -> Slot {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot.0 as usize] = Some(peer);
                slot
            }
            None => {
                self.slots.push(Some(peer));
                Slot(self.slots.len() as u32 - 1)
            }
        }
    }

    fn remove(&mut self, slot: Slot) -> Option<Peer> {
        let peer = self.slots.get_mut(slot.0 as usize)?.take()?;
        self.free.push(slot);
        Some(peer)
    }

    fn position(&self, slot: Slot, level: usize) -> Option<usize> {
        self.get(slot).map(|peer| peer.positions[level] as usize)
    }

    fn set_position(&mut self, slot: Slot, level: usize, position: usize) {
        if let Some(peer) = self.get_mut(slot) {
            peer.positions[level] = position as u32;
        }
    }
}

/// An offer that went from one viewer to another.
#[derive(Clone, Copy, Debug)]
struct Introduction {
    at: Tick,
    from: Slot,
    to: Slot,
}

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

    /// Lets two viewers forget each other.
    fn part(&mut self, a: Slot, b: Slot) {
        for (slot, other) in [(a, b), (b, a)] {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.forget(other);
                self.review(slot);
            }
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

    /// Notes that an offer went from one viewer to another.
    pub fn introduce(&mut self, from: Slot, to: Slot, offer_id: OfferId, now: Tick) {
        self.make_room(from, to);
        self.make_room(to, from);
        let level = self.level(from, to);
        for (slot, other) in [(from, to), (to, from)] {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.remember(Pair { other, at: now, level, state: PairState::Open });
            }
        }
        if let Some(peer) = self.peers.get_mut(to) {
            // One open offer for a pair: a second one means that the first has faded.
            peer.incoming.retain(|offer| offer.from != from);
            peer.incoming.push(Incoming { offer_id, from, at: now });
        }
        self.introductions.push_back(Introduction { at: now, from, to });
        self.review(from);
        self.review(to);
    }

    /// Makes a viewer forget whom it met first, if it knows too many to meet someone new.
    fn make_room(&mut self, slot: Slot, new: Slot) {
        let Some(peer) = self.peers.get(slot) else { return };
        if peer.pairs.len() < MAX_PAIRS || peer.pairs.iter().any(|pair| pair.other == new) {
            return;
        }
        // Links are worth more than memories of offers that led to none.
        let oldest = peer.pairs.iter().min_by_key(|pair| (pair.state != PairState::Faded, pair.at));
        if let Some(oldest) = oldest.map(|pair| pair.other) {
            self.part(slot, oldest);
        }
    }

    /// Notes that a viewer answered an offer, if it had been given that offer and did not answer
    /// it before. Returns how near the two are if so.
    pub fn answer(&mut self, by: Slot, to: Slot, offer_id: OfferId) -> Option<Level> {
        let peer = self.peers.get_mut(by)?;
        let open = |offer: &Incoming| offer.from == to && offer.offer_id == offer_id;
        let at = peer.incoming.iter().position(open)?;
        peer.incoming.swap_remove(at);
        if peer.incoming.is_empty() {
            peer.incoming = Vec::new();
        }
        for (slot, other) in [(by, to), (to, by)] {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.set_state(other, PairState::Linked);
                self.review(slot);
            }
        }
        Some(self.level(by, to))
    }

    /// Keeps an offer for someone who comes later; the oldest make room for it.
    pub fn bank(&mut self, slot: Slot, offer: Offer, most: usize, until: Tick) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if most == 0 {
            return;
        }
        if peer.banked.len() >= most {
            self.banked_bytes -= peer.banked.remove(0).offer.sdp.len();
        }
        self.banked_bytes += offer.sdp.len();
        peer.banked.push(Banked { offer, until });
    }

    /// Takes the freshest offer that a viewer has left.
    pub fn take_banked(&mut self, slot: Slot, now: Tick) -> Option<Offer> {
        let banked = &mut self.peers.get_mut(slot)?.banked;
        let taken = banked.pop_if(|banked| banked.until > now)?;
        if banked.is_empty() {
            *banked = Vec::new();
        }
        self.banked_bytes -= taken.offer.sdp.len();
        Some(taken.offer)
    }

    /// Lets offers fade that can no longer be answered.
    pub fn advance(&mut self, now: Tick) {
        while let Some(&Introduction { at, from, to }) = self.introductions.front() {
            if now.since(at) <= OFFER_LIFETIME {
                break;
            }
            self.introductions.pop_front();
            for (slot, other) in [(from, to), (to, from)] {
                let Some(peer) = self.peers.get_mut(slot) else { continue };
                peer.drop_incoming(other, at);
                // Slots are used again: only the pair that this is about fades.
                if peer.pair(other).is_some_and(|pair| pair.at == at && pair.state == PairState::Open) {
                    peer.set_state(other, PairState::Faded);
                    self.review(slot);
                }
            }
        }
        if self.introductions.is_empty() {
            self.introductions = VecDeque::new();
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
