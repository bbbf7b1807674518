// SPDX-License-Identifier: MPL-2.0

//! What is kept and what is dropped.

use super::{Action, Viewer};
use crate::swarm::SegmentId;

impl Viewer {
    /// Bytes held.
    pub fn memory(&self) -> u64 {
        self.holdings.values().map(|h| h.have).sum()
    }

    /// Drops what nobody needs, and more if the bound is not kept.
    pub(super) fn trim(&mut self) {
        let Some(cursor) = self.cursor else { return };
        // What is wanted stays, though nothing is there yet: it knows since when.
        let wanted = self.wanted();
        let wanted = self.segments[wanted].last().map_or(cursor, |last| last.id);
        self.holdings.retain(|id, h| (cursor..=wanted).contains(id) || !h.is_idle_and_empty());
        let oldest = self.segments.first().map(|s| s.id);
        // What is behind is kept for others, as long as the playlist still names it.
        let serves = self.config.upload_to_peers;
        let useless = |id: SegmentId| id < cursor && (!serves || oldest.is_none_or(|oldest| id < oldest));
        let gone: Vec<SegmentId> = self.holdings.keys().copied().filter(|id| useless(*id)).collect();
        for id in gone {
            self.evict(id);
        }
        self.keep_bound();
    }

    /// Drops what others need least, until no more is held than may be.
    pub(super) fn keep_bound(&mut self) {
        let Some(cursor) = self.cursor else { return };
        let mut memory = self.memory();
        while memory > self.config.max_memory {
            // Farthest behind first: whoever follows us is nearer than that. Then what is farthest ahead.
            let behind = self.holdings.first().map(|(id, _)| *id).filter(|id| *id < cursor);
            let ahead = || self.holdings.last().map(|(id, _)| *id).filter(|id| *id > cursor);
            let Some(victim) = behind.or_else(ahead) else { break };
            memory -= self.holdings.get(&victim).map_or(0, |h| h.have);
            self.evict(victim);
        }
    }

    pub(super) fn evict(&mut self, segment: SegmentId) {
        self.cancel_http(segment);
        self.cancel_transfer(segment);
        self.refuse_uploads(segment);
        self.holdings.remove(&segment);
        self.actions.push_back(Action::Evict { segment });
        // Announced with the next change; until then a request is answered with Absent.
    }
}
