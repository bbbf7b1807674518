// SPDX-License-Identifier: MPL-2.0

//! Segments that are still being made, and those whose size is not known before they have ended.
//!
//! Near the live edge a segment can be asked for before it is whole; the answer then goes on as the segment does,
//! chunk by chunk, and does not say how long it will be. How fast such bytes come says nothing of who sends them, a
//! pause of a chunk's length is no silence, and an end before the segment can have ended is none.
//!
//! Among our own kind it is passed on as it comes. Peers are believed its end no more than its bytes: not before its
//! time, not where others have more of it, and then the whole is looked at as any other.

use std::time::{Duration, Instant};

use super::holding::HttpFetch;
use super::planning::HTTP_SILENCE;
use super::{Action, FetchFailure, FetchId, Pace, PeerKey, SegmentSpec, Viewer};
use crate::swarm::{SegmentId, WHOLE};

/// A server that had no more of a segment yet is asked again no sooner.
const AGAIN: Duration = Duration::from_millis(100);

/// When the origin will have fallen silent if nothing more comes of a request. One that has sent nothing yet may
/// wait until it has the whole.
pub(super) fn silent_at(work: &HttpFetch) -> Instant {
    let Some(pace) = work.pace else { return work.last_progress + HTTP_SILENCE };
    let since = if work.received == 0 { work.last_progress.max(pace.whole_at) } else { work.last_progress };
    since + pace.chunk + HTTP_SILENCE
}

impl Viewer {
    /// How a segment comes, if that is told; also of the one after the newest that is listed.
    pub(super) fn pace(&self, segment: SegmentId) -> Option<Pace> {
        match self.spec(segment) {
            Some(spec) => spec.pace,
            None => self.segments.last().map(SegmentSpec::next).filter(|next| next.id == segment)?.pace,
        }
    }

    /// A segment cannot have ended yet.
    pub(super) fn is_unfinished(&self, now: Instant, segment: SegmentId) -> bool {
        self.pace(segment).is_some_and(|pace| pace.is_unfinished(now))
    }

    /// Whether a size that an origin gives, so long after it was asked, may be that of what there is by now. A server
    /// that has kept us waiting for it had waited for the whole.
    pub(super) fn may_grow(&self, now: Instant, segment: SegmentId, waited: Duration) -> bool {
        let Some(pace) = self.pace(segment) else { return false };
        if waited < pace.chunk / 2 { pace.may_grow(now) } else { pace.is_unfinished(now) }
    }

    /// Nothing may come of a segment for so long because nothing more of it has been made. What was made last may
    /// still be on its way when it is whole.
    pub(super) fn pause_between_chunks(&self, now: Instant, segment: SegmentId) -> Duration {
        let pace = self.pace(segment).filter(|pace| pace.whole_at + pace.chunk > now);
        pace.map_or(Duration::ZERO, |pace| pace.chunk)
    }

    /// Whether the wait for a response says how long the line takes. An origin may wait for what is being made.
    pub(super) fn tells_latency(&self, now: Instant, segment: SegmentId, latency: Duration) -> bool {
        let pace = self.pace(segment).filter(|pace| pace.left(now) + latency > Duration::ZERO);
        pace.is_none_or(|pace| latency < pace.chunk / 2)
    }

    /// The response has come to an end before the segment can have: more is asked for when there is more.
    pub(super) fn pause_fetch(&mut self, now: Instant, segment: SegmentId) {
        self.trace_http_end(segment, "has no more of it yet");
        let Some(pace) = self.pace(segment) else { return };
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        holding.http = None;
        holding.failures = 0;
        // When it cannot grow any more it is settled.
        let settled = (pace.whole_at + pace.chunk / 2).max(now + AGAIN);
        holding.not_before = Some(settled.min(now + (pace.chunk / 2).max(AGAIN)));
        self.dirty = true;
    }

    /// The origin answers that there is nothing from the byte on that it was asked for (416); `total` is the size
    /// that it gives, if any.
    pub fn handle_http_nothing(&mut self, now: Instant, fetch: FetchId, total: Option<u64>) {
        let Some(segment) = self.segment_of(fetch) else { return };
        if self.may_grow(now, segment, Duration::ZERO) {
            return self.pause_fetch(now, segment);
        }
        let Some(holding) = self.holdings.get(&segment) else { return };
        let Some(work) = holding.http() else { return };
        // Where it ends is known, or it is here.
        let known = holding.total.filter(|_| holding.total_trusted);
        let total = total.or(known).unwrap_or(work.next);
        if total == work.next {
            // All of it was there.
            if self.handle_http_start(now, fetch, total, Some(total)) {
                self.handle_http_end(now, fetch);
            }
            return;
        }
        if total < work.next {
            // Peers have brought more than there is, or there is something else now.
            self.reject(segment, "gave a wrong size");
        }
        self.handle_http_failure(now, fetch, FetchFailure::Failed);
    }

    /// A response that has fallen silent between two chunks is left for another, from where it stopped: near the
    /// live edge there is no time to wait for it.
    pub(super) fn ask_again_where_chunks_stopped(&mut self, now: Instant) {
        let requests = self.holdings.iter().filter_map(|(id, h)| Some((*id, h.http()?)));
        let paced: Vec<_> = requests.filter(|(_, work)| work.pace.is_some()).collect();
        for (segment, work) in paced {
            let at = silent_at(&work);
            if at > now {
                self.wake_at(at);
                continue;
            }
            self.actions.push_back(Action::CancelFetch { fetch: work.fetch });
            self.handle_http_failure(now, work.fetch, FetchFailure::Failed);
            // It has been waited for long enough.
            self.holdings.entry(segment).and_modify(|h| h.not_before = None);
        }
    }

    /// Whether a peer's bytes of a segment, up to `end`, can be part of it.
    pub(super) fn can_take(&mut self, now: Instant, key: PeerKey, segment: SegmentId, end: u64) -> bool {
        let Some(total) = self.holdings.get(&segment).map(|h| h.total) else { return true };
        if total.is_some_and(|total| end > total) {
            self.doubt_size(now, key, segment);
            return false;
        }
        if end > self.largest() && total.is_none() {
            self.counters.banned_peers += 1;
            self.drop_peer(key, "sends a segment without end");
            return false;
        }
        true
    }

    /// A peer says that a segment whose size was not known has `total` bytes: it has sent all.
    pub(super) fn take_end(&mut self, now: Instant, key: PeerKey, segment: SegmentId, total: u64) {
        let more = |p: &super::RemotePeer| p.state.held(segment) != WHOLE && p.state.held(segment) > total;
        let is_odd = total == 0 || self.is_unfinished(now, segment) || self.peers.values().any(more);
        let Some(holding) = self.holdings.get(&segment) else { return };
        if holding.transfer().is_none_or(|t| t.peer != key) {
            return;
        }
        match holding.total {
            Some(known) if known != total => return self.doubt_size(now, key, segment),
            // It may have been told so itself: somebody else will know.
            None if is_odd || holding.have > total => {
                if let Some(peer) = self.peers.get_mut(&key) {
                    peer.state.note_failure(now, segment);
                }
                return self.forget_transfer(key, segment, "said too early that it had sent all");
            }
            _ => {}
        }
        if let Some(holding) = self.holdings.get_mut(&segment) {
            holding.total = Some(total);
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.state.note_success();
        }
        self.learn_from_transfer(now, key, segment);
        self.transfer_done(now, key, segment);
        // Those who do not do without its size have waited for it.
        self.announce_soon(now);
    }

    /// The size of what a peer is being sent has become known: there it ends, if it has not already.
    pub(super) fn end_upload_at_size(&mut self, now: Instant, key: PeerKey) {
        let Some(upload) = self.peers.get_mut(&key).and_then(|p| p.state.upload.as_mut()) else { return };
        if upload.end.is_none() {
            upload.end = self.holdings.get(&upload.segment).and_then(|h| h.total);
            if upload.end == Some(upload.next) {
                self.complete_upload(now, key);
            }
        }
    }
}
