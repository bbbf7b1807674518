// SPDX-License-Identifier: MPL-2.0

//! The live edge: when the next segment is to be expected, and looking for it in time.
//!
//! Players load a live playlist again at a time of their own, so they see a new segment up to a segment's
//! length late. That matters little to most, who hear of it from others, but everything waits for whoever is to
//! fetch it for the swarm. It knows that it is elected before the segment is there, and looks when it is due.

use std::time::{Duration, Instant};

use super::{Action, SegmentSpec, Viewer};
use crate::swarm::SegmentId;
use crate::switcher::Seat;

/// Between two looks for a segment that is due.
const AGAIN: Duration = Duration::from_millis(500);

/// Looks in vain before the playlist's own pace has to do.
const LOOKS: u32 = 4;

/// Clocks drift: each segment is expected so much later than the earliest so far says.
const DRIFT: Duration = Duration::from_millis(2);

/// When segments of a live stream come to be there.
#[derive(Debug, Default)]
pub struct LiveEdge {
    newest: Option<SegmentId>,
    /// The end of a segment on the timeline, and when it was first seen: the earliest of all.
    earliest: Option<(Duration, Instant)>,
    looks: u32,
    looked: Option<Instant>,
}

impl LiveEdge {
    fn note(&mut self, now: Instant, newest: &SegmentSpec) {
        if self.newest == Some(newest.id) {
            return;
        }
        // What is there when one comes has been there for a while.
        let is_first = self.newest.replace(newest.id).is_none();
        (self.looks, self.looked) = (0, None);
        let due = self.due(newest.end()).map(|due| due + DRIFT);
        self.earliest = match due {
            Some(due) if due < now => Some((newest.end(), due)),
            _ if is_first => None,
            _ => Some((newest.end(), now)),
        };
    }

    /// When the segment that ends there is expected.
    fn due(&self, end: Duration) -> Option<Instant> {
        let (known, at) = self.earliest?;
        (end > known).then(|| at + (end - known))
    }
}

impl Viewer {
    /// Looks for the next segment when it is due, if it falls to us to fetch it.
    pub(super) fn watch_edge(&mut self, now: Instant) {
        let Some(newest) = self.segments.last().copied().filter(|_| self.live) else { return };
        self.edge.note(now, &newest);
        if self.peers.is_empty() || !self.config.download_from_peers || self.edge.looks >= LOOKS {
            return;
        }
        let next = newest.next();
        let Some(due) = self.edge.due(next.end()) else { return };
        let due = self.edge.looked.map_or(due, |at| at + AGAIN);
        if due > now {
            // Who is elected may change until then: asked again at that moment.
            return self.wake_at(due);
        }
        self.edge.looks += 1;
        self.edge.looked = Some(now);
        let policy = self.policy();
        let slack = self.slack(now, &next);
        let situation = self.situation(now, &next, slack, &policy);
        if self.seat(now, &next, &policy, &situation) == Seat::Elected {
            self.actions.push_back(Action::ReloadPlaylist);
            self.wake_at(now + AGAIN);
        } else {
            self.edge.looks = LOOKS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_sight_tells_when_the_next_is_due() {
        let start = Instant::now();
        let secs = Duration::from_secs;
        let spec = |n: u64| SegmentSpec {
            id: SegmentId(n as i64),
            start: secs(4 * n),
            duration: secs(4),
            size: None,
            names: None,
            pace: None,
        };
        let mut edge = LiveEdge::default();
        edge.note(start, &spec(10));
        assert_eq!(edge.due(spec(11).end()), None, "who comes does not know how long it has been there");
        // Seen a second late, then in time, then late again.
        for (n, at) in [(11, 3_000), (12, 6_000), (13, 10_900)] {
            edge.note(start + Duration::from_millis(at), &spec(n));
        }
        assert_eq!(edge.due(spec(14).end()), Some(start + secs(14) + DRIFT));
        assert_eq!(edge.due(spec(13).end()), None, "it is there");
    }
}
