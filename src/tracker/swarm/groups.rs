// SPDX-License-Identifier: MPL-2.0

//! Lists of viewers who are equally near to each other.
//!
//! In each list those who need links stand before those who have enough, so that a random viewer
//! of either kind is found at once however large the group is. Joining, leaving and changing sides
//! are swaps.

use std::collections::HashMap;

use super::{Peers, Slot};
use crate::tracker::place::{Group, LEVELS};

/// Where a group is in the list of groups; `NONE` for a level that a viewer does not have.
pub(super) type GroupIndex = u32;
pub(super) const NONE: GroupIndex = GroupIndex::MAX;

#[derive(Debug, Default)]
pub(super) struct Groups {
    list: Vec<Members>,
    free: Vec<GroupIndex>,
    by_key: HashMap<Group, GroupIndex>,
}

#[derive(Debug)]
struct Members {
    key: Group,
    slots: Vec<Slot>,
    /// How many of `slots`, from the front, need links.
    in_need: u32,
    /// Viewers who look for others here, whether or not they can be found here.
    users: u32,
}

impl Groups {
    /// Those who need links and those who do not.
    pub fn members(&self, index: GroupIndex) -> (&[Slot], &[Slot]) {
        self.list.get(index as usize).map_or((&[], &[]), |group| group.slots.split_at(group.in_need as usize))
    }

    /// Finds the groups, or makes them.
    pub fn open(&mut self, keys: [Option<Group>; LEVELS]) -> [GroupIndex; LEVELS] {
        keys.map(|key| {
            let Some(key) = key else { return NONE };
            let index = *self.by_key.entry(key).or_insert_with(|| {
                let group = Members { key, slots: Vec::new(), in_need: 0, users: 0 };
                match self.free.pop() {
                    Some(index) => {
                        self.list[index as usize] = group;
                        index
                    }
                    None => {
                        self.list.push(group);
                        self.list.len() as GroupIndex - 1
                    }
                }
            });
            self.list[index as usize].users += 1;
            index
        })
    }

    /// The reverse of `open`.
    pub fn close(&mut self, indices: [GroupIndex; LEVELS]) {
        for index in indices {
            let Some(group) = self.list.get_mut(index as usize) else { continue };
            group.users -= 1;
            if group.users == 0 {
                group.slots = Vec::new();
                self.by_key.remove(&group.key);
                self.free.push(index);
            }
        }
    }

    /// Lets a viewer be found at one of its levels.
    pub fn insert(&mut self, peers: &mut Peers, level: usize, slot: Slot, in_need: bool) {
        let Some(group) = group_of(&mut self.list, peers, level, slot) else { return };
        group.slots.push(slot);
        let last = group.slots.len() - 1;
        peers.set_position(slot, level, last);
        if in_need {
            group.swap(peers, level, last, group.in_need as usize);
            group.in_need += 1;
        }
    }

    pub fn remove(&mut self, peers: &mut Peers, level: usize, slot: Slot) {
        let Some(group) = group_of(&mut self.list, peers, level, slot) else { return };
        let Some(mut position) = peers.position(slot, level) else { return };
        if position < group.in_need as usize {
            group.in_need -= 1;
            group.swap(peers, level, position, group.in_need as usize);
            position = group.in_need as usize;
        }
        group.swap(peers, level, position, group.slots.len() - 1);
        group.slots.pop();
        if group.slots.capacity() > 16 && group.slots.len() * 4 < group.slots.capacity() {
            group.slots.shrink_to(group.slots.len() * 2);
        }
    }

    /// Moves a viewer to those who need links, or to the others.
    pub fn set_need(&mut self, peers: &mut Peers, level: usize, slot: Slot, in_need: bool) {
        let Some(group) = group_of(&mut self.list, peers, level, slot) else { return };
        let Some(position) = peers.position(slot, level) else { return };
        match (position < group.in_need as usize, in_need) {
            (true, false) => {
                group.in_need -= 1;
                group.swap(peers, level, position, group.in_need as usize);
            }
            (false, true) => {
                group.swap(peers, level, position, group.in_need as usize);
                group.in_need += 1;
            }
            _ => {}
        }
    }

    /// How many places the list has, used or not.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// The groups from a place in the list on: those who need links and those who do not.
    pub fn from(&self, place: usize) -> impl Iterator<Item = (Group, &[Slot], &[Slot])> {
        self.list.get(place..).unwrap_or_default().iter().map(|group| {
            let (in_need, content) = group.slots.split_at(group.in_need as usize);
            (group.key, in_need, content)
        })
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

fn group_of<'a>(list: &'a mut [Members], peers: &Peers, level: usize, slot: Slot) -> Option<&'a mut Members> {
    list.get_mut(peers.get(slot)?.groups[level] as usize)
}

impl Members {
    fn swap(&mut self, peers: &mut Peers, level: usize, a: usize, b: usize) {
        if a != b {
            self.slots.swap(a, b);
            peers.set_position(self.slots[a], level, a);
            peers.set_position(self.slots[b], level, b);
        }
    }
}
