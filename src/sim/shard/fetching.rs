// SPDX-License-Identifier: MPL-2.0

//! HTTP: the CDN is never the bottleneck as a whole, but each request has its rate, and what it brings shares
//! the viewer's access link with what peers send.

use super::Shard;
use crate::sim::chance::{Purpose, chance};
use crate::sim::event::What;
use crate::sim::node::{Fetch, Node};
use crate::sim::time::transmission;
use crate::swarm::SegmentId;
use crate::viewer::{FetchFailure, FetchId};

/// Bytes of a response under way at a time: TCP's window on a link that others fill too.
const WINDOW: u64 = 256 << 10;

impl Shard {
    pub(super) fn fetch(&mut self, node: &mut Node, fetch: FetchId, segment: SegmentId, offset: u64) {
        let segment = segment.0 as u32;
        let id = fetch.0 as u32;
        let at = self.now + self.cdn_latency(node.id);
        let draw = chance(self.setting.options.seed, Purpose::Brownout, u64::from(node.id), fetch.0);
        let total = self.setting.stream.size(segment);
        node.fetches.push(Fetch { id, segment, next: offset, sent: offset, stopped: false, total });
        self.tally.request(node, segment, offset == 0);
        if draw < self.setting.cdn_errors(self.now) || offset > total {
            return self.push(at, node.id, What::HttpFailure { fetch: id });
        }
        self.push(at, node.id, What::HttpFirstByte { fetch: id });
    }

    pub(super) fn http_first_byte(&mut self, node: &mut Node, fetch: u32) -> bool {
        let Some(Fetch { next, total, .. }) = find(node, fetch) else { return false };
        let (now, name) = (self.instant(), FetchId(u64::from(fetch)));
        if !node.viewer.handle_http_start(now, name, next, Some(total)) {
            node.fetches.retain(|f| f.id != fetch);
            return true;
        }
        if next >= total {
            node.fetches.retain(|f| f.id != fetch);
            node.viewer.handle_http_end(now, name);
            return true;
        }
        self.next_bytes(node, fetch);
        true
    }

    /// The CDN sends the next piece.
    fn next_bytes(&mut self, node: &mut Node, fetch: u32) {
        let chunk = self.setting.scenario.chunk;
        let Some(work) = node.fetches.iter_mut().find(|f| f.id == fetch) else { return };
        let segment = work.segment;
        let len = (work.total - work.sent).min(chunk);
        if len == 0 {
            return;
        }
        work.sent += len;
        self.tally.origin_bytes(segment, len);
        let mut at = self.now + transmission(len, self.setting.cdn_rate(self.now));
        if !self.edge_delays.is_empty() {
            let isp = usize::from(self.setting.population.isp(node.id));
            self.edge_bytes[isp].inwards += len;
            at += self.edge_delays[isp].inwards;
        }
        self.push(at, node.id, What::HttpBytes { fetch, len: len as u32 });
    }

    pub(super) fn http_bytes(&mut self, node: &mut Node, fetch: u32, len: u32) -> bool {
        let window = WINDOW.max(self.setting.scenario.chunk);
        let Some(work) = node.fetches.iter_mut().find(|f| f.id == fetch) else {
            // The request was cancelled while it was under way.
            self.tally.http_lost += u64::from(len);
            return false;
        };
        work.stopped = work.sent - work.next >= window;
        if !work.stopped {
            self.next_bytes(node, fetch);
        }
        let now = self.now;
        let through = self.access(node).receive(now, u64::from(len));
        if through > now {
            self.push(through, node.id, What::HttpDelivered { fetch, len });
            return false;
        }
        self.http_delivered(node, fetch, len)
    }

    pub(super) fn http_delivered(&mut self, node: &mut Node, fetch: u32, len: u32) -> bool {
        let Some(work) = node.fetches.iter_mut().find(|f| f.id == fetch) else {
            self.tally.http_lost += u64::from(len);
            return false;
        };
        let was_stopped = std::mem::take(&mut work.stopped);
        work.next += u64::from(len);
        let (segment, ended) = (work.segment, work.next >= work.total);
        let (now, name) = (self.instant(), FetchId(u64::from(fetch)));
        if node.viewer.bytes_to_confirm(name, u64::from(len)).is_some() {
            let id = SegmentId(i64::from(segment));
            if self.forget_pollution(node, id) {
                node.viewer.handle_mismatch(id);
            }
        }
        self.tally.http_delivered(self.now, node, u64::from(len));
        node.viewer.handle_http_bytes(now, name, u64::from(len));
        if ended {
            node.fetches.retain(|f| f.id != fetch);
            node.viewer.handle_http_end(now, name);
        } else if was_stopped {
            self.next_bytes(node, fetch);
        }
        true
    }

    pub(super) fn http_failure(&mut self, node: &mut Node, fetch: u32) -> bool {
        if find(node, fetch).is_none() {
            return false;
        }
        node.fetches.retain(|f| f.id != fetch);
        let now = self.instant();
        node.viewer.handle_http_failure(now, FetchId(u64::from(fetch)), FetchFailure::Failed);
        true
    }
}

fn find(node: &Node, fetch: u32) -> Option<Fetch> {
    node.fetches.iter().find(|f| f.id == fetch).copied()
}
