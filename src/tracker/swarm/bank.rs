// SPDX-License-Identifier: MPL-2.0

//! Offers that found nobody and wait for someone who comes later.

use super::peer::Banked;
use super::{Slot, Swarm, Tick};
use crate::swarm::tracker_messages::Offer;

impl Swarm {
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
}
