// SPDX-License-Identifier: MPL-2.0

//! The live edge in parts: what has another place or none any more, and what is asked for before it is there.

use std::time::{Duration, Instant};

use url::Url;

use super::Stream;
use crate::manifest::Timeline;
use crate::swarm::SegmentId;
use crate::viewer::{FetchFailure, FetchId};

/// A server that lists what it had announced is given so long to answer who had asked for that.
const PATIENCE: Duration = Duration::from_millis(700);

/// A request for what the server has announced and not listed yet.
pub struct Early {
    url: Url,
    /// Since when it is listed.
    listed: Option<Instant>,
}

impl Early {
    pub fn new(url: &Url) -> Self {
        Self { url: url.clone(), listed: None }
    }
}

impl Stream {
    /// Has whole segments played that are not listed in parts any more, but for what is here in parts already and
    /// what has gone out in part.
    pub(super) fn fold_parts(&self, timeline: &mut Timeline) {
        timeline.fold(|numbers| {
            let mut held = numbers.clone().map(|number| self.viewer.readable(SegmentId(number)));
            let first = numbers.start;
            let is_within = self.viewer.cursor().is_some_and(|SegmentId(cursor)| match cursor == first {
                true => self.viewer.readable(SegmentId(first)).0 > 0,
                false => numbers.contains(&cursor),
            });
            !is_within && !held.all(|(_, whole)| whole)
        });
    }

    /// Tells the viewer which numbers are of something else than before, and which is announced only.
    pub(super) fn replace_pieces(&mut self, before: &Timeline) {
        if !self.timeline.is_in_parts() {
            return;
        }
        let is_new = |number: i64| {
            let (one, other) = (before.get(number), self.timeline.get(number));
            let name = |placed: &crate::manifest::PlacedSegment| (placed.segment.sequence, placed.index());
            one.zip(other).is_some_and(|(one, other)| name(one) != name(other))
        };
        let numbers = self.timeline.segments().iter().map(|placed| placed.number);
        let replaced: Vec<SegmentId> = numbers.filter(|number| is_new(*number)).map(SegmentId).collect();
        self.viewer.handle_replaced(&replaced);
        let hinted = self.timeline.segments().back().filter(|newest| newest.is_hinted());
        self.viewer.handle_announced(hinted.map(|hinted| SegmentId(hinted.number)));
    }

    /// Leaves requests for what had been announced where something else has come of it, or no answer comes though it is
    /// there.
    pub fn look_after_hints(&mut self) {
        let now = Instant::now();
        let early = |(id, fetch): (&FetchId, &mut super::Fetch)| {
            let early = fetch.early.as_mut().filter(|_| !fetch.answered)?;
            let placed = self.viewer.segment_of(*id).and_then(|segment| self.timeline.get(segment.0));
            let is_over = match placed {
                Some(placed) if placed.segment.url == early.url => {
                    !placed.is_hinted() && now - *early.listed.get_or_insert(now) >= PATIENCE
                }
                _ => true,
            };
            is_over.then_some(*id)
        };
        let over: Vec<FetchId> = self.fetches.iter_mut().filter_map(early).collect();
        for id in over {
            self.leave_hint(id);
        }
    }

    fn leave_hint(&mut self, id: FetchId) {
        log::info!(target: "p2phls-engine", "what was announced has not come");
        self.hints_failed = true;
        if let Some(fetch) = self.fetches.remove(&id) {
            fetch.task.abort();
        }
        self.viewer.handle_http_failure(Instant::now(), id, FetchFailure::Failed);
        self.tell_segments();
    }
}
