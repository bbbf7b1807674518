// SPDX-License-Identifier: MPL-2.0

//! What becomes of HTTP requests for segments.

use std::time::Instant;

use bytes::Bytes;

use super::Stream;
use crate::engine::fetcher::FetchEvent;
use crate::manifest::PlacedSegment;
use crate::net::cmcd::Object;
use crate::swarm::SegmentId;
use crate::viewer::{FetchFailure, Placement};

impl Stream {
    pub fn handle_fetch(&mut self, event: FetchEvent) {
        let now = Instant::now();
        match event {
            FetchEvent::Started { fetch, offset, total } => {
                let is_wanted = self.viewer.handle_http_start(now, fetch, offset, total);
                match self.fetches.get_mut(&fetch) {
                    Some(fetch) if is_wanted => fetch.answered = true,
                    Some(fetch) => fetch.task.abort(),
                    None => {}
                }
                if !is_wanted {
                    self.fetches.remove(&fetch);
                }
            }
            FetchEvent::Bytes { fetch, bytes } => {
                let len = bytes.len() as u64;
                if let Some(confirm) = self.viewer.bytes_to_confirm(fetch, len) {
                    let held = self.store.get(confirm.segment);
                    let sent = &bytes[confirm.bytes.clone()];
                    if !held.is_some_and(|held| held.matches(confirm.offset, sent)) {
                        self.viewer.handle_mismatch(confirm.segment);
                    }
                }
                if let Some((segment, placement)) = self.viewer.handle_http_bytes(now, fetch, len) {
                    let encrypted =
                        || self.timeline.get(segment.0).is_some_and(|s| s.segment.whole_key().is_some());
                    if placement.offset == 0 && !encrypted() {
                        self.soundness.learn(&bytes);
                    }
                    self.put(segment, placement, &bytes);
                }
            }
            FetchEvent::Ended { fetch } => {
                self.fetches.remove(&fetch);
                self.viewer.handle_http_end(now, fetch);
            }
            FetchEvent::Nothing { fetch, total } => {
                self.fetches.remove(&fetch);
                self.viewer.handle_http_nothing(now, fetch, total);
            }
            FetchEvent::Failed { fetch, failure, error } => {
                let asked = self.fetches.remove(&fetch);
                log::info!(target: "p2phls-net", "{error}");
                if asked.as_ref().is_some_and(|asked| asked.early.is_some()) {
                    // Nothing is known to be wrong with what is listed.
                    self.hints_failed = true;
                    self.viewer.handle_http_failure(now, fetch, FetchFailure::Failed);
                    return self.tell_segments();
                }
                if let Some(segment) = self.viewer.segment_of(fetch) {
                    let moves = asked.map_or(self.moves, |asked| asked.moves);
                    self.last_errors.insert(segment, (moves, error.into()));
                    let newest =
                        self.timeline.segments().back().is_some_and(|newest| newest.number == segment.0);
                    if newest && failure == FetchFailure::NotFound {
                        self.bell.early.notify_one();
                    }
                }
                self.viewer.handle_http_failure(now, fetch, failure);
            }
        }
    }

    /// What a request for this segment is told to be for.
    pub(super) fn object(&self, placed: &PlacedSegment) -> Object {
        let out_until = || Some(self.timeline.get(self.viewer.cursor()?.0)?.start);
        Object {
            kind: self.kind,
            bitrate: self.variant.as_ref().map(|variant| variant.bandwidth),
            duration: Some(placed.segment.duration),
            start: Some(placed.start),
            buffered_until: self.viewer.buffered_until().or_else(out_until),
        }
    }

    pub(super) fn put(&mut self, segment: SegmentId, placement: Placement, bytes: &Bytes) {
        self.store.entry(segment).place(placement, bytes);
    }
}
