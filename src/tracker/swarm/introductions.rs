// SPDX-License-Identifier: MPL-2.0

//! Who has been introduced to whom, and what came of it.

use std::collections::VecDeque;

use super::peer::{Incoming, Pair, PairState};
use super::{MAX_PAIRS, OFFER_LIFETIME, Slot, Swarm, Tick};
use crate::swarm::ids::OfferId;
use crate::tracker::place::Level;

/// An offer that went from one viewer to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Introduction {
    at: Tick,
    from: Slot,
    to: Slot,
}

impl Swarm {
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

    /// Lets two viewers forget each other.
    pub(super) fn part(&mut self, a: Slot, b: Slot) {
        for (slot, other) in [(a, b), (b, a)] {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.forget(other);
                self.review(slot);
            }
        }
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
}
