// SPDX-License-Identifier: MPL-2.0

//! The viewers by number.

use super::Peer;

/// A viewer's place in its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub(super) u32);

impl Slot {
    /// A number that nobody else in the swarm has. Numbers of those who left go to those who come, so the numbers
    /// in use are about those from 0 to the size of the swarm.
    pub fn number(self) -> u32 {
        self.0
    }
}

#[derive(Debug, Default)]
pub(super) struct Peers {
    pub slots: Vec<Option<Peer>>,
    free: Vec<Slot>,
}

impl Peers {
    pub fn get(&self, slot: Slot) -> Option<&Peer> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Peer> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    pub fn add(&mut self, peer: Peer) -> Slot {
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

    pub fn remove(&mut self, slot: Slot) -> Option<Peer> {
        let peer = self.slots.get_mut(slot.0 as usize)?.take()?;
        self.free.push(slot);
        Some(peer)
    }

    pub fn position(&self, slot: Slot, level: usize) -> Option<usize> {
        self.get(slot).map(|peer| peer.positions[level] as usize)
    }

    pub fn set_position(&mut self, slot: Slot, level: usize, position: usize) {
        if let Some(peer) = self.get_mut(slot) {
            peer.positions[level] = position as u32;
        }
    }
}
