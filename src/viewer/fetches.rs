// SPDX-License-Identifier: MPL-2.0

//! HTTP requests: their start, bytes, end and failures.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::holding::{Holding, PeerTransfer, State};
use super::{Action, FetchId, Placement, Viewer};
use crate::swarm::SegmentId;

/// Why an HTTP request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFailure {
    /// 404 or 410.
    NotFound,
    /// 401, 403 or no ranges: asking again will not help.
    Refused,
    /// Anything else: the server's errors, the network's, time-outs, bodies cut short.
    Failed,
}

/// Bytes from the origin that a peer has brought already, and must have brought just so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    pub segment: SegmentId,
    /// Where these bytes are in the segment.
    pub offset: u64,
    /// Which they are of those that have come.
    pub bytes: Range<usize>,
}

/// The first wait before a failed request is made again; each further one is twice as long.
const BACKOFF: Duration = Duration::from_millis(300);

impl Viewer {
    /// The origin answers with the bytes from `offset` on (0 where it knows no ranges) of a segment of
    /// `total` bytes, if it says. False: the request is of no use and is to be dropped.
    pub fn handle_http_start(
        &mut self,
        now: Instant,
        fetch: FetchId,
        offset: u64,
        total: Option<u64>,
    ) -> bool {
        let Some(segment) = self.segment_of(fetch) else { return false };
        let Some(holding) = self.holdings.get_mut(&segment) else { return false };
        let Some(work) = &mut holding.http else { return false };
        work.next = offset;
        work.first_byte = Some(now);
        let is_early = work.early;
        let latency = now.saturating_duration_since(work.started);
        let may_grow = self.may_grow(now, segment, latency);
        if !is_early && self.tells_latency(now, segment, latency) {
            self.http.record_latency(latency);
        }
        let Some(total) = total else { return true };
        let Some(holding) = self.holdings.get_mut(&segment) else { return false };
        if may_grow {
            holding.http.iter_mut().for_each(|work| work.partial = true);
            return true;
        }
        if holding.total_trusted && holding.total != Some(total) && holding.have > 0 {
            // The origin has put something else in its place: begin anew rather than join the two.
            self.evict(segment);
            self.dirty = true;
            return false;
        }
        let known = holding.total.replace(total);
        holding.total_trusted = true;
        if known.is_some_and(|known| known != total) {
            // The origin is right: whoever gave the other size was not, nor were we if we passed it on.
            if holding.have > holding.trusted {
                self.reject(segment, "gave a wrong size");
            }
            self.refuse_uploads(segment);
            let gap = self.holdings.get(&segment).is_some_and(|h| h.have < offset);
            if gap {
                self.cancel_http(segment);
                return false;
            }
        }
        true
    }

    /// `len` bytes are about to be reported for this request: which of them the driver has to compare
    /// with what is held.
    pub fn bytes_to_confirm(&self, fetch: FetchId, len: u64) -> Option<Confirmation> {
        let segment = self.segment_of(fetch)?;
        let holding = self.holdings.get(&segment)?;
        let next = holding.http()?.next;
        let held = holding.to_confirm(&(next..next + len));
        let bytes = (held.start.saturating_sub(next)) as usize..(held.end.saturating_sub(next)) as usize;
        (!bytes.is_empty()).then_some(Confirmation { segment, offset: held.start, bytes })
    }

    /// The bytes held of `segment` differ from those that the origin has sent now: they were a peer's.
    /// To be called before [`Viewer::handle_http_bytes`].
    pub fn handle_mismatch(&mut self, segment: SegmentId) {
        self.reject(segment, "sent bytes that differ from the origin's");
    }

    /// `len` bytes have come. None: they are not wanted any more.
    pub fn handle_http_bytes(
        &mut self,
        now: Instant,
        fetch: FetchId,
        len: u64,
    ) -> Option<(SegmentId, Placement)> {
        self.counters.http_bytes += len;
        let segment = self.segment_of(fetch)?;
        let holding = self.holdings.get(&segment)?;
        let overrun = |total: u64| (holding.http().map_or(0, |w| w.next) + len).saturating_sub(total);
        let beyond = holding.total.map_or(0, overrun);
        if beyond > 0 && !holding.total_trusted {
            // The origin has more than peers said there was.
            self.reject(segment, "gave a wrong size");
        }
        let is_paced = self.pace(segment).is_some_and(|pace| pace.whole_at > now);
        let holding = self.holdings.get_mut(&segment)?;
        // A server that ignores the end of a range sends more than was asked for.
        let len = if holding.total_trusted { len.saturating_sub(beyond) } else { len };
        let work = holding.http.as_mut()?;
        let offset = work.next;
        work.next += len;
        work.received += len;
        work.last_progress = now;
        if is_paced {
            // How fast the line is shows in what comes once all of it could.
            work.first_byte = Some(now);
            work.paced = work.received;
        }
        // Two sources can leave no gap, but a peer's bytes can be rejected behind a request's back.
        if offset > holding.have {
            self.cancel_http(segment);
            return None;
        }
        let before = (holding.have, holding.trusted);
        let was_starving = holding.starving;
        let placement = holding.place_http(offset, len);
        self.grown = true;
        let useful = before != (holding.have, holding.trusted);
        if let Some(work) = holding.http.as_mut().filter(|_| useful) {
            work.useful = true;
        }
        holding.trace.count_http(len, placement.wasted());
        self.counters.wasted_bytes += placement.wasted();
        if before.0 == 0 || was_starving {
            self.announce_soon(now);
        }
        if before.0 == 0 {
            self.push_to_subscribers(now, segment);
        }
        self.leave_peer_behind(segment);
        self.complete_if_whole(now, segment);
        Some((segment, placement))
    }

    /// A peer whose bytes come later than the origin's brings nothing any more.
    fn leave_peer_behind(&mut self, segment: SegmentId) {
        const LEAD: u64 = 128 * 1024;
        let Some(holding) = self.holdings.get(&segment) else { return };
        let behind =
            |(work, transfer): (super::holding::HttpFetch, PeerTransfer)| transfer.next + LEAD < work.next;
        if holding.http().zip(holding.transfer()).is_some_and(behind) {
            self.cancel_transfer(segment);
        }
    }

    /// The response has ended well.
    pub fn handle_http_end(&mut self, now: Instant, fetch: FetchId) {
        let Some(segment) = self.segment_of(fetch) else { return };
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let Some(work) = holding.http() else { return };
        if holding.total_trusted && holding.total.is_some_and(|total| work.next < total) {
            return self.handle_http_failure(now, fetch, FetchFailure::Failed);
        }
        if work.partial || self.is_unfinished(now, segment) {
            return self.pause_fetch(now, segment);
        }
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        if holding.total.replace(work.next).is_none() {
            // Few could be told before.
            self.announce_soon(now);
        }
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        holding.total_trusted = true;
        let (have, trusted) = (holding.have, holding.trusted);
        self.learn_from(now, segment);
        if trusted > work.next {
            // It is shorter than it was: something else has been put in its place.
            return self.evict(segment);
        }
        if have > work.next {
            self.reject(segment, "gave a wrong size");
        }
        self.complete_if_whole(now, segment);
        self.dirty = true;
    }

    /// The request has failed. What has come stays.
    pub fn handle_http_failure(&mut self, now: Instant, fetch: FetchId, failure: FetchFailure) {
        let Some(segment) = self.segment_of(fetch) else { return };
        self.trace_http_end(segment, "has failed");
        let longest = self.longest_backoff(now, segment);
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let progressed = holding.http.take().is_some_and(|work| work.useful);
        // A server that breaks off now and then but goes on is bad, not dead.
        holding.failures = if progressed { 1 } else { holding.failures + 1 };
        let doubling = 2u32.saturating_pow(holding.failures.saturating_sub(1).min(6));
        holding.not_before = Some(now + (BACKOFF * doubling).min(longest));
        // What is not needed yet is asked for now and then all the same.
        let hopeless = failure == FetchFailure::Refused || holding.failures > self.config.retries;
        holding.given_up = hopeless.then_some(failure);
        self.announce_in_time(now);
        self.dirty = true;
    }

    /// What goes out next is asked for again a few times before playback needs it.
    fn longest_backoff(&self, now: Instant, segment: SegmentId) -> Duration {
        const TRIES: u32 = 3;
        let next = self.spec(segment).filter(|_| self.cursor == Some(segment));
        next.map_or(Duration::MAX, |spec| (self.slack(now, spec) / TRIES).max(BACKOFF * 4))
    }

    /// The segment that a request is for, while it is of interest.
    pub fn segment_of(&self, fetch: FetchId) -> Option<SegmentId> {
        self.holdings.iter().find(|(_, h)| h.http().is_some_and(|w| w.fetch == fetch)).map(|(id, _)| *id)
    }

    /// Takes the request's speed into the estimate.
    fn learn_from(&mut self, now: Instant, segment: SegmentId) {
        let Some(work) = self.holdings.get(&segment).and_then(Holding::http) else { return };
        let first = work.first_byte.unwrap_or(work.started);
        self.http.record_transfer(work.received - work.paced, now.saturating_duration_since(first));
    }

    pub(super) fn cancel_http(&mut self, segment: SegmentId) {
        self.trace_http_end(segment, "is needed no longer");
        if let Some(work) = self.holdings.get_mut(&segment).and_then(|h| h.http.take()) {
            self.actions.push_back(Action::CancelFetch { fetch: work.fetch });
            self.dirty = true;
        }
    }

    /// Another stream goes on after `last`: what is under way beyond it would only take the line from that.
    pub fn handle_end(&mut self, last: SegmentId) {
        let fed = self.holdings.iter().filter(|(id, holding)| **id > last && holding.is_fed());
        let fed: Vec<SegmentId> = fed.map(|(id, _)| *id).collect();
        for segment in fed {
            self.cancel_http(segment);
            self.cancel_transfer(segment);
            self.refuse_uploads(segment);
        }
    }

    /// Ends all work on a segment whose bytes are all there.
    pub(super) fn complete_if_whole(&mut self, now: Instant, segment: SegmentId) {
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let whole = holding.total == Some(holding.have) && holding.state == State::Partial;
        // What was pushed before our playlist has it is not looked at before that tells how.
        if !whole || self.spec(segment).is_none() {
            return;
        }
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let all_trusted = holding.trusted == holding.have;
        let fetched_whole = holding.http().is_some_and(|work| Some(work.next) == holding.total);
        holding.state = State::Checking;
        if fetched_whole {
            // All bytes are here; only the end of the response is outstanding, and it adds nothing.
            self.learn_from(now, segment);
            self.trace_http_end(segment, "has sent all");
            if let Some(holding) = self.holdings.get_mut(&segment) {
                holding.http = None;
            }
        } else {
            self.cancel_http(segment);
        }
        self.blame_if_silent(now, segment);
        self.cancel_transfer(segment);
        self.trace_whole(now, segment);
        if all_trusted {
            self.finish(segment)
        } else {
            self.actions.push_back(Action::Check { segment })
        }
        self.announce_in_time(now);
        self.dirty = true;
    }

    /// The segment is whole and good.
    pub(super) fn finish(&mut self, segment: SegmentId) {
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        holding.state = State::Complete;
        holding.contributors = Vec::new();
        let (bytes, is_late) = (holding.have, holding.is_late);
        if self.live {
            self.lateness.record(&self.config.peer_id, segment, is_late);
        }
        if let Some(spec) = self.spec(segment).copied() {
            // Halving keeps the guess near the present bitrate.
            if self.seen.1 > Duration::from_secs(60) {
                self.seen = (self.seen.0 / 2, self.seen.1 / 2);
            }
            self.seen = (self.seen.0 + bytes, self.seen.1 + spec.duration);
        }
        self.dirty = true;
    }

    /// Throws away what peers brought of a segment, and these peers.
    pub(super) fn reject(&mut self, segment: SegmentId, reason: &'static str) {
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        let bytes = holding.have - holding.trusted;
        self.counters.rejected_bytes += bytes;
        super::trace::rejected(segment, bytes, reason);
        for from in holding.distrust() {
            self.blame(from, reason);
        }
        self.refuse_uploads(segment);
        self.dirty = true;
    }
}
