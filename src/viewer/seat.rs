// SPDX-License-Identifier: MPL-2.0

//! This viewer's place among those who fetch for the swarm, and whose turn it is to ask peers.

use std::time::{Duration, Instant};

use super::{SegmentSpec, Viewer};
use crate::switcher::{Policy, Reason, Seat, Situation, Swarm, fetchers, seat, term};

impl Viewer {
    /// The slack from which on peers are asked for a segment. Who has nothing to give lets the others go first:
    /// of a fresh segment there are few places to be had, and each that goes to a viewer who passes it on makes
    /// more.
    pub(super) fn peers_from(
        &self,
        now: Instant,
        spec: &SegmentSpec,
        first_slack: Duration,
        policy: &Policy,
    ) -> Duration {
        let is_fresh = self.live && self.segments.last().is_some_and(|newest| newest.id == spec.id);
        if !is_fresh || self.sees_all() || self.can_give(now) {
            return Duration::MAX;
        }
        first_slack.saturating_sub(policy.spread.min(first_slack / 4))
    }

    /// Our place among those who may fetch a segment for the swarm.
    pub(super) fn seat(&self, now: Instant, spec: &SegmentSpec, policy: &Policy, s: &Situation) -> Seat {
        if self.is_waiting_for_swarm() {
            // There is no peer yet to fetch it for.
            return Seat::Bystander;
        }
        if self.peers.is_empty() {
            return Seat::Elected;
        }
        if !self.can_give(now) {
            // It would be of use to nobody else.
            return Seat::Bystander;
        }
        let peers = self.peers.values().map(|p| &p.state);
        let electors = peers.filter(|p| p.is_elector(spec.id)).map(|p| &p.id);
        // In a film the swarm is spread over the whole length: only who is near counts.
        let swarm = self.swarm_size.filter(|_| self.live).map(|viewers| Swarm {
            viewers,
            peers: self.peers.len(),
            number: self.number,
        });
        let need = self.http.pessimistic(s.missing).unwrap_or(s.duration) + policy.margin_of(s.first_slack);
        let time = s.first_slack.saturating_sub(need);
        let fetchers = fetchers(swarm.as_ref(), time, self.hop, policy.spread);
        let me = &self.config.peer_id;
        match seat(me, spec.name(), electors, swarm.as_ref(), fetchers) {
            // Too few are elected, or we would not have had to step in: we go on as one of them.
            Seat::Wave(1) if self.goes_on(spec) => Seat::Elected,
            // A full mesh elects one, as browsers do.
            seat if self.sees_all() => seat,
            // What begins slowly is slow for all: others had better begin, if there are any.
            Seat::Elected if self.gives_slowly() => Seat::Wave(1),
            // HTTP would bring it in the end all the same.
            _ if self.lateness.volunteers(spec.id) && !self.gives_slowly() => Seat::Elected,
            seat => seat,
        }
    }

    /// HTTP is asked for a segment, for this reason.
    pub(super) fn note_step_in(&mut self, spec: &SegmentSpec, reason: Reason) {
        if reason == Reason::Backup || reason == Reason::Elected && self.goes_on(spec) {
            self.stepped_in = Some((spec.id, self.term(spec)));
        }
    }

    /// We stepped in for the segment before, in the same term.
    fn goes_on(&self, spec: &SegmentSpec) -> bool {
        self.stepped_in
            .is_some_and(|(last, term)| last.0.saturating_add(1) == spec.id.0 && term == self.term(spec))
    }

    fn term(&self, spec: &SegmentSpec) -> i64 {
        term(&self.config.peer_id, spec.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{PeerId, SegmentId};
    use crate::viewer::{PeerKey, ViewerConfig};

    /// The seats of a viewer with one peer in a swarm of so many, for segment after segment.
    fn seats(viewer: &mut Viewer, now: Instant, viewers: u64) -> Vec<Seat> {
        viewer.handle_swarm_size(viewers);
        let seat_of = |id| {
            let (id, duration, slack) = (SegmentId(id), Duration::from_secs(4), Duration::from_secs(12));
            let spec = SegmentSpec { id, start: slack, duration, size: None, names: None, pace: None };
            let policy = viewer.policy();
            viewer.seat(now, &spec, &policy, &viewer.situation(now, &spec, slack, &policy))
        };
        (0..4000).map(seat_of).collect()
    }

    #[test]
    fn who_is_often_late_fetches_early_where_it_does_not_see_the_swarm() {
        let now = Instant::now();
        let me = PeerId(*b"-GP0001-me0000000000");
        let mut viewer = Viewer::new(ViewerConfig::new(me));
        viewer.handle_segments([].into(), true);
        viewer.handle_peer_open(now, PeerKey(1), PeerId(*b"-GP0001-peer00000000"));
        let (large, small) = (seats(&mut viewer, now, 100), seats(&mut viewer, now, 2));
        let first = (0..).find(|segment| {
            viewer.lateness.record(&me, SegmentId(*segment), true);
            viewer.lateness.volunteers(SegmentId(*segment))
        });
        let term = first.expect("it volunteers some time") as usize..;
        let volunteers = seats(&mut viewer, now, 100);
        assert!(large[term.clone()][..60].iter().any(|seat| *seat != Seat::Elected));
        assert!(volunteers[term][..60].iter().all(|seat| *seat == Seat::Elected));
        assert_eq!(volunteers[3900..], large[3900..], "its term is over");
        assert_eq!(seats(&mut viewer, now, 2), small);
    }

    #[test]
    fn who_gives_slowly_is_not_elected_where_others_may_be() {
        let now = Instant::now();
        let mut viewer = Viewer::new(ViewerConfig::new(PeerId(*b"-GP0001-me0000000000")));
        viewer.handle_segments([].into(), true);
        viewer.handle_peer_open(now, PeerKey(1), PeerId(*b"-GP0001-peer00000000"));
        let (large, small) = (seats(&mut viewer, now, 100), seats(&mut viewer, now, 2));
        assert!(large.contains(&Seat::Elected) && small.contains(&Seat::Elected));

        let stream = viewer.stream_rate();
        viewer.uplink.record(now, 1, true, 1, stream);
        let second = now + Duration::from_secs(1);
        viewer.uplink.record(second, (0.6 * stream) as u64, true, 1, stream);
        assert!(viewer.gives_slowly() && viewer.can_give(second));
        let yields = |seat: Seat| if seat == Seat::Elected { Seat::Wave(1) } else { seat };
        assert_eq!(
            seats(&mut viewer, second, 100),
            large.into_iter().map(yields).collect::<Vec<_>>(),
            "it steps in where nobody else does"
        );
        assert_eq!(seats(&mut viewer, second, 2), small, "the others count upon it");
    }
}
