// SPDX-License-Identifier: MPL-2.0

//! Word of fresh segments that somebody brings into the swarm.
//!
//! In a large swarm those who fetch a segment are seldom among one's own peers, and bytes take a while to come
//! that far. Word of them is passed on at once, so that others need not fetch what is on its way.

use std::time::Instant;

use super::{PeerKey, Viewer};
use crate::swarm::SegmentId;

/// So many segments beyond our playlist are believed to be there when a peer speaks of them.
pub const NEXT: i64 = 3;

/// Segments that are on their way, as far as heard.
#[derive(Debug, Default)]
pub struct News {
    coming: Vec<SegmentId>,
}

impl News {
    pub fn has(&self, segment: SegmentId) -> bool {
        self.coming.contains(&segment)
    }
}

impl Viewer {
    /// Takes word of fresh segments from a peer's announcement, and passes on what is new.
    pub(super) fn hear_news(&mut self, now: Instant, key: PeerKey) {
        let Some(newest) = self.segments.last().map(|s| s.id).filter(|_| self.live) else { return };
        // Who sees all of the swarm has nobody to tell: they have heard it where we have.
        let Some(peer) = self.peers.get(&key).filter(|_| !self.sees_all()) else { return };
        self.news.coming.retain(|id| *id >= newest);
        let fresh = (newest.0..=newest.0.saturating_add(NEXT)).map(SegmentId);
        let heard = fresh.filter(|id| peer.state.mentions(*id) && !self.news.has(*id) && !self.brings(*id));
        let heard: Vec<SegmentId> = heard.collect();
        if !heard.is_empty() {
            self.news.coming.extend(heard);
            self.announce_by(now);
        }
    }

    /// What to pass on.
    pub(super) fn news_to_tell(&self) -> Vec<SegmentId> {
        let mut told: Vec<SegmentId> =
            self.news.coming.iter().copied().filter(|id| !self.brings(*id)).collect();
        // Whoever hears it looks things up in it.
        told.sort_unstable();
        told
    }

    /// We have it or are fetching it, and say so anyway.
    fn brings(&self, segment: SegmentId) -> bool {
        self.holdings.get(&segment).is_some_and(|h| h.have > 0 || h.http.is_some())
    }
}
