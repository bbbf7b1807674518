// SPDX-License-Identifier: MPL-2.0

//! Commands and bytes between peers. A channel keeps them in order, and takes no more bytes than its window
//! until the other end has them.

use std::ops::Range;

use super::Shard;
use crate::sim::event::{LinkEnd, Message, What};
use crate::sim::geography::LAN;
use crate::sim::node::{LinkState, Node, end, key};
use crate::sim::population::Manner;
use crate::sim::time::{Micros, bytes_per_second, transmission};
use crate::swarm::{Command, SegmentId};
use crate::viewer::PeerKey;

/// Within a household, in Mbit/s.
const LAN_RATE: f64 = 300.0;

impl Shard {
    pub(super) fn broadcast(&mut self, node: &mut Node, command: &Command) {
        for slot in 0..node.links.len() {
            let link = &node.links[slot];
            if link.state == LinkState::Open {
                let end = LinkEnd { generation: link.generation, slot: slot as u8 };
                self.send_command(node, end, command);
            }
        }
    }

    pub(super) fn send_command(&mut self, node: &mut Node, to: LinkEnd, command: &Command) {
        let silent = node.manner == Manner::Silent && !matches!(command, Command::Announcement(_));
        #[cfg(test)]
        self.witness_sent(node, to, command);
        let Some(link) = node.link(to) else { return };
        self.tally.commands += 1;
        if silent {
            return;
        }
        // It takes next to nothing of the uplink, but waits for what the channel was given before.
        let at = link.arrives.max(self.now + link.latency);
        let (peer, link) = (link.peer, link.theirs);
        self.send(at, peer, What::Message(Message::new(link, command)));
    }

    pub(super) fn take_message(&mut self, node: &mut Node, mut message: Message) -> bool {
        let via = message.via();
        let at = via.link();
        let Some(link) = node.link(at) else { return false };
        if link.delivers > self.now && !via.through {
            // Bytes sent before it are still on their way through the access link.
            via.through = true;
            let delivers = link.delivers;
            self.push(delivers, node.id, What::Message(message));
            return false;
        }
        let now = self.instant();
        let command = message.into_command();
        #[cfg(test)]
        link.seen.take(&command);
        node.viewer.handle_command(now, key(at), command);
        true
    }

    pub(super) fn upload(&mut self, node: &mut Node, peer: PeerKey, segment: SegmentId, range: Range<u64>) {
        let len = range.end - range.start;
        let polluted = node.manner == Manner::Polluter || node.polluted.contains(&(segment.0 as u32));
        let silent = node.manner == Manner::Silent;
        let now = self.now;
        let Some(link) = node.link(end(peer)) else { return };
        link.window.send(len);
        if silent {
            return;
        }
        let (to, latency) = (link.peer, link.latency);
        let arrives = match latency {
            LAN => link.arrives.max(now + LAN) + transmission(len, bytes_per_second(LAN_RATE)),
            _ => self.access(node).send(now, len) + latency + self.between_isps(node.id, to, len),
        };
        let Some(link) = node.link(end(peer)) else { return };
        // Nothing overtakes on a channel, even where an ISP's edge has become faster.
        link.arrives = link.arrives.max(arrives);
        let (arrives, theirs) = (link.arrives, link.theirs);
        self.tally.sent(now, &self.setting.population, node.id, to, len);
        self.send(arrives, to, What::Payload { link: theirs, len: len as u32, polluted });
    }

    /// What bytes have to wait on their way from one ISP to another.
    fn between_isps(&mut self, from: u32, to: u32, len: u64) -> Micros {
        let population = &self.setting.population;
        let (from, to) = (usize::from(population.isp(from)), usize::from(population.isp(to)));
        if from == to || self.edge_delays.is_empty() {
            return 0;
        }
        self.edge_bytes[from].outwards += len;
        self.edge_bytes[to].inwards += len;
        self.edge_delays[from].outwards + self.edge_delays[to].inwards
    }

    pub(super) fn take_payload(&mut self, node: &mut Node, at: LinkEnd, len: u32, polluted: bool) -> bool {
        let now = self.now;
        let lan = match node.link(at) {
            Some(link) => link.latency == LAN,
            None => {
                self.tally.lost += u64::from(len);
                return false;
            }
        };
        let through = if lan { now } else { self.access(node).receive(now, u64::from(len)) };
        if let Some(link) = node.link(at) {
            link.delivers = link.delivers.max(through);
        }
        if through > now {
            self.push(through, node.id, What::PayloadDelivered { link: at, len, polluted });
            return false;
        }
        self.payload_delivered(node, at, len, polluted)
    }

    pub(super) fn payload_delivered(
        &mut self,
        node: &mut Node,
        at: LinkEnd,
        len: u32,
        polluted: bool,
    ) -> bool {
        let Some(link) = node.link(at) else {
            self.tally.lost += u64::from(len);
            return false;
        };
        #[cfg(test)]
        link.seen.take_bytes(u64::from(len));
        let (peer, theirs, latency) = (link.peer, link.theirs, link.latency);
        self.send(self.now + latency, peer, What::Acknowledged { link: theirs, len });
        let now = self.instant();
        let placed = node.viewer.handle_payload(now, key(at), u64::from(len));
        let mut new = 0;
        if let Some((segment, placement)) = placed {
            new = placement.append.len() as u64;
            let segment = segment.0 as u32;
            if polluted && new > 0 && !node.polluted.contains(&segment) {
                node.polluted.push(segment);
            }
        }
        self.tally.peer_delivered(self.now, node, u64::from(len), new);
        true
    }

    pub(super) fn acknowledged(&mut self, node: &mut Node, at: LinkEnd, len: u32) -> bool {
        let now = self.now;
        let Some(link) = node.link(at) else { return false };
        let round_trip = 2 * link.latency;
        link.window.acknowledge(now, len, round_trip);
        self.tell_room(node, at);
        true
    }

    pub(super) fn tell_room(&mut self, node: &mut Node, at: LinkEnd) {
        let chunk = self.setting.scenario.chunk;
        let Some(room) = node.link(at).map(|link| link.window.room(chunk)) else { return };
        node.viewer.handle_room(key(at), room);
    }
}
