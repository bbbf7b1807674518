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
            // What begins slowly is slow for all: others had better begin, if there are any.
            Seat::Elected if self.gives_slowly() && !self.sees_all() => Seat::Wave(1),
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
