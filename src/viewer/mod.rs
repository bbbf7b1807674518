// SPDX-License-Identifier: MPL-2.0

//! Floor 3: one whole viewer of one stream, as a pure machine.
//!
//! It knows the stream's segments, where playback is, what the peers say they hold and what is on
//! its way; from these it decides what to fetch from where, what to give to whom and what to drop.
//! It deals in byte ranges and never sees a payload. Whoever drives it tells it what happened with
//! `handle_*`, carries out what [`Viewer::poll_action`] gives, and calls again no later than
//! [`Viewer::poll_timeout`].
//!
//! | file | holds |
//! | --- | --- |
//! | `planning` | which segments are wanted, and a pass of the switcher over them |
//! | `needs` | when playback needs them |
//! | `line` | what the access link carries, and what may come through it at the same time |
//! | `lateness` | how often the swarm is late, and who then fetches early |
//! | `seat` | our place among those who fetch for the swarm |
//! | `fetches` | HTTP requests: their start, bytes, end and failures |
//! | `peers` | channels and commands of peers, and the bytes they send |
//! | `serving` | uploads and announcements |
//! | `progress` | segments that are still being made, and those whose size is not known |
//! | `starting` | playback that stands still, and a swarm that is still forming |
//! | `subscriptions` | standing requests for the next segment |
//! | `edge` | when the next live segment is to be expected |
//! | `news` | word of fresh segments that somebody brings |
//! | `memory` | what is kept and what is dropped |
//! | [`trace`] | why a segment came from where it came, in the debug log |

mod accounting;
mod config;
mod edge;
mod fetches;
mod holding;
mod lateness;
mod line;
mod memory;
mod needs;
mod news;
mod peers;
mod planning;
mod progress;
mod seat;
mod serving;
mod starting;
mod subscriptions;
#[cfg(test)]
mod tests;
pub mod trace;
mod uplink;
mod upload;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use litemap::LiteMap;

use crate::rate::Rate;
use crate::swarm::{Command, PeerId, SegmentId};
use crate::switcher::DeliveryEstimate;

pub use accounting::Counters;
pub use config::{Pace, SegmentSpec, ViewerConfig};
use edge::LiveEdge;
pub use fetches::{Confirmation, FetchFailure};
pub use holding::Placement;
use holding::{Holding, State};
use lateness::Lateness;
use needs::Clock;
use news::News;
pub use peers::PeerReport;
use peers::RemotePeer;
use uplink::Uplink;
use upload::Budget;

/// Names a peer's channel; the driver's choice, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

/// Names an HTTP request; the viewer's choice, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// What the viewer wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Fetch the segment over HTTP from this offset to its end.
    Fetch { fetch: FetchId, segment: SegmentId, offset: u64 },
    /// Stop an HTTP request; nothing needs to be reported of it any more.
    CancelFetch { fetch: FetchId },
    /// Send a command to a peer.
    Command { peer: PeerKey, command: Command },
    /// Send a command to every peer.
    Broadcast { command: Command },
    /// Send these bytes of a segment to a peer, after the commands before.
    Upload { peer: PeerKey, segment: SegmentId, range: Range<u64> },
    /// Look whether the framing of this whole segment is sound and report with
    /// [`Viewer::handle_checked`].
    Check { segment: SegmentId },
    /// Forget a segment.
    Evict { segment: SegmentId },
    /// The segment cannot be had, from nobody.
    Unavailable { segment: SegmentId, failure: FetchFailure },
    /// A peer knows of segments that our playlist does not have yet.
    ReloadPlaylist,
    /// Close a peer's channel. The viewer has forgotten it already.
    Drop { peer: PeerKey, reason: &'static str },
}

/// What a hop is taken for before one was seen: a few network latencies.
const UNMEASURED_HOP: Duration = Duration::from_millis(300);

/// One viewer of one stream.
#[derive(Debug)]
pub struct Viewer {
    config: ViewerConfig,
    /// In play order, ids ascending.
    segments: Arc<[SegmentSpec]>,
    live: bool,
    /// Peers are being looked for, and there is none yet.
    swarm_forming: bool,
    /// Viewers in the swarm as the tracker last said.
    swarm_size: Option<u64>,
    /// What the tracker calls us.
    number: Option<u32>,
    /// The segment that goes out next or is going out.
    cursor: Option<SegmentId>,
    /// Since when.
    cursor_since: Option<Instant>,
    /// Where the output began.
    origin: Duration,
    clock: Option<Clock>,
    /// How fast playback goes when it does.
    rate: Rate,
    // There are a dozen or two of each: lists, sorted, take half the memory of trees and less time.
    holdings: LiteMap<SegmentId, Holding>,
    peers: LiteMap<PeerKey, RemotePeer>,
    http: DeliveryEstimate,
    /// HTTP hardly keeps up with playback.
    narrow: bool,
    /// Bytes and playing time of whole segments, for guessing the size of others.
    seen: (u64, Duration),
    budget: Budget,
    uplink: Uplink,
    /// Bytes that have left channels since the uplink was last looked at.
    left: u64,
    /// Somebody is being served, or may be.
    serving: bool,
    /// Somebody who could have been served was not, because too many were.
    turned_away: bool,
    edge: LiveEdge,
    news: News,
    lateness: Lateness,
    /// How long a segment takes from one viewer to the next, from what this one has seen.
    hop: Duration,
    /// Whose turn it is to be served.
    turn: PeerKey,
    next_fetch: u64,
    announce_at: Option<Instant>,
    /// When others were last told.
    announced: Option<Instant>,
    /// Newest segment of ours at which a reload was asked for.
    reload_asked_at: Option<SegmentId>,
    counters: Counters,
    /// Something has changed since the last pass of the switcher.
    dirty: bool,
    /// Bytes have come since the bound of the memory was last looked at.
    grown: bool,
    /// A channel that was full has room since peers were last served.
    has_new_room: bool,
    /// What the publisher has announced and not listed yet: who asks for it waits for it.
    announced_only: Option<SegmentId>,
    /// The newest segment that we fetched for the swarm because too few others did, and in which term.
    stepped_in: Option<(SegmentId, i64)>,
    wake: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Viewer {
    pub fn new(config: ViewerConfig) -> Self {
        Self {
            budget: Budget::new(config.max_upload_rate, config.upload_turn),
            config,
            segments: Arc::new([]),
            live: false,
            swarm_forming: false,
            swarm_size: None,
            number: None,
            cursor: None,
            cursor_since: None,
            origin: Duration::ZERO,
            clock: None,
            rate: Rate::NORMAL,
            holdings: LiteMap::new(),
            peers: LiteMap::new(),
            http: DeliveryEstimate::default(),
            narrow: false,
            seen: (0, Duration::ZERO),
            uplink: Uplink::default(),
            left: 0,
            serving: false,
            turned_away: false,
            edge: LiveEdge::default(),
            news: News::default(),
            lateness: Lateness::default(),
            hop: UNMEASURED_HOP,
            turn: PeerKey(0),
            next_fetch: 0,
            announce_at: None,
            announced: None,
            reload_asked_at: None,
            counters: Counters::default(),
            dirty: false,
            grown: false,
            has_new_room: false,
            announced_only: None,
            stepped_in: None,
            wake: None,
            actions: VecDeque::new(),
        }
    }

    /// The playlist has been (re)loaded. `segments` in play order with ascending ids.
    pub fn handle_segments(&mut self, segments: Arc<[SegmentSpec]>, live: bool) {
        debug_assert!(segments.is_sorted_by_key(|s| s.id));
        for spec in segments.iter() {
            if let (Some(size), Some(holding)) = (spec.size, self.holdings.get_mut(&spec.id)) {
                holding.total.get_or_insert(size);
            }
        }
        self.segments = segments;
        self.live = live;
        self.dirty = true;
    }

    /// These numbers name something else than before.
    pub fn handle_replaced(&mut self, segments: &[SegmentId]) {
        for segment in
            segments.iter().filter(|segment| self.holdings.contains_key(segment)).copied().collect::<Vec<_>>()
        {
            self.evict(segment);
        }
        self.dirty |= !segments.is_empty();
    }

    /// Of the segments this one is not there yet: whoever asks the origin for it is answered when it is. What could not be
    /// had early may be had once it is there.
    pub fn handle_announced(&mut self, segment: Option<SegmentId>) {
        let before = std::mem::replace(&mut self.announced_only, segment);
        if let Some(holding) = before.filter(|_| before != segment).and_then(|id| self.holdings.get_mut(&id))
        {
            holding.renew();
            self.dirty = true;
        }
    }

    /// The output has come to `segment`: it and those after it are wanted.
    pub fn handle_cursor(&mut self, now: Instant, segment: SegmentId) {
        self.cursor = Some(segment);
        self.cursor_since = Some(now);
        self.dirty = true;
    }

    /// The output jumps to `segment`, at the start or for a seek: nothing waits.
    pub fn handle_seek(&mut self, now: Instant, segment: SegmentId) {
        self.handle_cursor(now, segment);
        self.clock = None;
        self.origin = self.ahead().first().map_or(Duration::ZERO, |first| first.start);
        let wanted: Vec<SegmentId> = self.segments[self.wanted()].iter().map(|s| s.id).collect();
        let held: Vec<SegmentId> = self.holdings.keys().copied().collect();
        for id in held.into_iter().filter(|id| !wanted.contains(id)) {
            self.cancel_http(id);
            self.cancel_transfer(id);
            if !self.holdings.get(&id).is_some_and(Holding::is_complete) {
                self.refuse_uploads(id);
            }
        }
        for (_, holding) in self.holdings.iter_mut() {
            holding.renew();
        }
    }

    /// Nothing goes out for now, and nothing is wanted until [`Self::handle_seek`]. What is held stays, for others.
    pub fn handle_rest(&mut self) {
        (self.cursor, self.cursor_since) = (None, None);
        let held: Vec<SegmentId> = self.holdings.keys().copied().collect();
        for id in held {
            self.cancel_http(id);
            self.cancel_transfer(id);
        }
        self.dirty = true;
    }

    /// The origin began anew: the numbers known so far name other segments now.
    pub fn handle_restart(&mut self) {
        let held: Vec<SegmentId> = self.holdings.keys().copied().collect();
        for segment in held {
            self.evict(segment);
        }
        for (_, peer) in self.peers.iter_mut() {
            peer.state.forget_holdings();
        }
    }

    /// The tracker has said how many viewers the swarm has, ourselves among them.
    pub fn handle_swarm_size(&mut self, viewers: u64) {
        self.dirty |= self.swarm_size != Some(viewers);
        self.swarm_size = Some(viewers);
    }

    /// The number that the tracker has given us, and to nobody else in the swarm.
    pub fn handle_number(&mut self, number: Option<u32>) {
        self.dirty |= self.number != number;
        self.number = number;
    }

    /// Peers are being looked for, or that has come to an end. Until the first is there, HTTP fetches what
    /// playback needs and leaves what it needs later.
    pub fn handle_swarm_forming(&mut self, forming: bool) {
        self.dirty |= self.swarm_forming != forming;
        self.swarm_forming = forming;
    }

    /// Whether HTTP hardly keeps up with playback: then it brings one segment after the other.
    pub fn handle_narrow_line(&mut self, narrow: bool) {
        self.dirty |= self.narrow && !narrow;
        self.narrow = narrow;
    }

    /// A moment given by [`Viewer::poll_timeout`] has come.
    pub fn handle_timeout(&mut self) {
        self.dirty = true;
    }

    /// The framing of a segment has been looked at.
    pub fn handle_checked(&mut self, segment: SegmentId, sound: bool) {
        let Some(holding) = self.holdings.get_mut(&segment) else { return };
        if holding.state != State::Checking {
            return;
        }
        if sound {
            self.finish(segment);
        } else {
            self.reject(segment, "sent a segment that is not sound");
        }
    }

    /// The next thing to do, or None when there is nothing before [`Viewer::poll_timeout`].
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if self.actions.is_empty() {
            let may_serve = self.dirty | self.grown | std::mem::take(&mut self.has_new_room);
            if std::mem::take(&mut self.dirty) {
                self.wake = None;
                self.plan(now);
                self.watch_edge(now);
                self.trim();
            } else if std::mem::take(&mut self.grown) {
                self.keep_bound();
            }
            self.announce(now);
            if may_serve || !self.uplink.is_measuring() {
                self.serve(now);
            } else {
                self.note_what_left(now);
            }
        }
        self.actions.pop_front()
    }

    /// When to call [`Viewer::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }

    /// Bytes of a segment that may be shown now, and whether these are all.
    pub fn readable(&self, segment: SegmentId) -> (u64, bool) {
        self.holdings.get(&segment).map_or((0, false), |h| (h.readable(), h.is_complete()))
    }

    /// Whether all that is held of the segment came from the origin or was confirmed by it.
    pub fn is_from_origin(&self, segment: SegmentId) -> bool {
        self.holdings.get(&segment).is_some_and(|holding| holding.trusted >= holding.have)
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Measured HTTP throughput in bytes a second.
    pub fn http_rate(&self) -> Option<f64> {
        self.http.rate()
    }

    /// The segment that goes out.
    pub fn cursor(&self) -> Option<SegmentId> {
        self.cursor
    }

    /// Whole segments held from the cursor on without a gap: how far playback is safe.
    pub fn buffered_until(&self) -> Option<Duration> {
        let mut until = None;
        for spec in self.ahead() {
            if !self.holdings.get(&spec.id).is_some_and(Holding::is_complete) {
                break;
            }
            until = Some(spec.end());
        }
        until
    }

    /// Our name in the swarm.
    pub fn id(&self) -> PeerId {
        self.config.peer_id
    }

    /// Number of peers with an open channel.
    pub fn peer_count(&self) -> usize {
        self.peers.len()
    }

    pub fn has_peer(&self, id: &PeerId) -> bool {
        self.peers.values().any(|peer| peer.state.id == *id)
    }

    /// Everybody in the swarm, as far as known, is a peer of ours.
    fn sees_all(&self) -> bool {
        self.swarm_size.is_none_or(|size| size <= self.peers.len() as u64 + 1)
    }

    fn spec(&self, segment: SegmentId) -> Option<&SegmentSpec> {
        let index = self.segments.binary_search_by_key(&segment, |s| s.id).ok()?;
        self.segments.get(index)
    }

    /// The segments from the cursor on.
    fn ahead(&self) -> &[SegmentSpec] {
        let Some(cursor) = self.cursor else { return &[] };
        let first = self.segments.partition_point(|s| s.id < cursor);
        &self.segments[first..]
    }

    /// Be called again no later than `at`.
    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}
