// SPDX-License-Identifier: MPL-2.0

//! Looks over the viewers' shoulders in tests: what they ask of whom, and whether that can end well.

use std::sync::Arc;

use super::Shard;
use crate::sim::event::LinkEnd;
use crate::sim::node::{Link, LinkState, Node};
use crate::swarm::{Announcement, Command, SegmentId, WHOLE};

/// What passed over one channel.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The other end's latest announcement.
    said: Option<Arc<Announcement>>,
    /// What this end has asked for and has not got yet.
    asked: Option<SegmentId>,
    /// Bytes of it that have been promised and have not come.
    promised: u64,
    /// What the other end has asked for and has not been refused.
    serves: Option<SegmentId>,
}

impl Seen {
    /// Something has come from the other end.
    pub fn take(&mut self, command: &Command) {
        match command {
            Command::Announcement(said) => self.said = Some(said.clone()),
            Command::Completed { segment, .. } | Command::Absent { segment, .. } => {
                self.asked = self.asked.filter(|asked| asked != segment);
            }
            Command::Data { segment, size, .. } if self.asked == Some(*segment) => {
                self.promised = size.unwrap_or(u64::MAX);
            }
            Command::Request { segment, .. } => self.serves = Some(*segment),
            Command::Cancel { .. } => self.serves = None,
            _ => {}
        }
    }

    /// Bytes have come from the other end.
    pub fn take_bytes(&mut self, len: u64) {
        self.promised = self.promised.saturating_sub(len);
        // Only the word that these were all is missing.
        self.asked = self.asked.filter(|_| self.promised > 0);
    }

    /// How many bytes of a segment the other end has said it holds.
    fn held(&self, segment: SegmentId) -> u64 {
        let Some(said) = self.said.as_ref().filter(|said| said.loaded.contains(&segment)) else { return 0 };
        said.held.iter().find(|held| held.segment == segment).map_or(WHOLE, |held| held.bytes)
    }
}

impl Shard {
    pub(super) fn witness_sent(&mut self, node: &mut Node, to: LinkEnd, command: &Command) {
        let Some(link) = node.link(to) else { return };
        match *command {
            Command::Request { segment, offset, .. } => {
                self.tally.unfounded_requests += u64::from(link.seen.held(segment) <= offset);
                link.seen.asked = Some(segment);
                self.tally.most_transfers = self.tally.most_transfers.max(asking(node).count());
            }
            Command::Cancel { .. } => link.seen.asked = None,
            Command::Completed { .. } | Command::Absent { .. } => link.seen.serves = None,
            _ => {}
        }
    }

    pub(super) fn witness_tick(&mut self, node: &Node) {
        let asked: Vec<SegmentId> = asking(node).filter_map(|link| link.seen.asked).collect();
        self.tally.circles +=
            asked.iter().filter(|segment| self.waits_for_itself(node, **segment)).count() as u64;
    }

    /// Whether who waits for whom for a segment leads from `node` back to it.
    fn waits_for_itself(&self, node: &Node, segment: SegmentId) -> bool {
        let mut at = node;
        for _ in 0..self.nodes.len() {
            // Whom the CDN is sending it to waits for nobody.
            if at.fetches.iter().any(|fetch| i64::from(fetch.segment) == segment.0) {
                return false;
            }
            let Some(link) = asking(at).find(|link| link.seen.asked == Some(segment)) else { return false };
            let next = match link.peer {
                peer if peer == node.id => node,
                // Others are not in the small worlds that are looked at, which have one shard.
                peer if !self.people.contains(&peer) => return false,
                peer => match &self.nodes[(peer - self.people.start) as usize] {
                    Some(next) => next,
                    None => return false,
                },
            };
            // Who has been refused does not know it yet, but need not wait much longer.
            let other_end = next.links.get(usize::from(link.theirs.slot));
            if other_end.is_none_or(|other| other.peer != at.id || other.seen.serves != Some(segment)) {
                return false;
            }
            if next.id == node.id {
                return true;
            }
            at = next;
        }
        false
    }
}

/// The channels over which a viewer has asked for something.
fn asking(node: &Node) -> impl Iterator<Item = &Link> {
    node.links.iter().filter(|link| link.state == LinkState::Open && link.seen.asked.is_some())
}
