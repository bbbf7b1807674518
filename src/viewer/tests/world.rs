// SPDX-License-Identifier: MPL-2.0

//! A small world in virtual time: an origin, viewers that play, and links between them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::*;
use crate::swarm::Announcement;
use crate::swarm::wire::{Decoded, Decoder, MAX_MESSAGE, encode};

const STEP: Duration = Duration::from_millis(5);
const CHUNK: u64 = 32 * 1024;
/// Bytes that a link holds before it is full.
const WINDOW: u64 = 256 * 1024;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The stream that everybody watches.
#[derive(Clone)]
pub struct Stream {
    pub segment: Duration,
    pub bytes: u64,
    /// Segments in all (VOD) or in the playlist's window (live).
    pub count: usize,
    pub live: bool,
    /// Live: how far behind the end playback begins, in segments.
    pub hold_back: u32,
    /// Live: segments come in so many chunks as they are made, and are listed once the first is there. 0: they are
    /// listed when they are whole.
    pub chunks: u32,
}

impl Stream {
    /// When a live segment is whole.
    fn whole_at(&self, segment: i64) -> Duration {
        self.segment * (segment - self.count as i64 + 1).max(0) as u32
    }

    fn chunk(&self) -> Duration {
        self.segment / self.chunks.max(1)
    }

    /// When so many bytes of a live segment have been made.
    fn made_at(&self, segment: i64, bytes: u64) -> Duration {
        if self.chunks == 0 {
            return Duration::ZERO;
        }
        let chunk = bytes.div_ceil(self.bytes.div_ceil(u64::from(self.chunks))) as u32;
        (self.whole_at(segment) + self.chunk() * chunk).saturating_sub(self.segment)
    }
}

/// Where things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vice {
    /// Announces all there is and never answers.
    Silent,
    /// Announces all there is and has none of it.
    Boasts,
    /// Sends half of what it is asked for, then nothing.
    Stalls,
    /// Sends wrong bytes, which the check finds.
    Pollutes,
    /// Says in the middle that these were all.
    EndsEarly,
}

pub const VICES: [Vice; 5] = [Vice::Silent, Vice::Boasts, Vice::Stalls, Vice::Pollutes, Vice::EndsEarly];

enum Happening {
    HttpStart { node: usize, fetch: FetchId, offset: u64 },
    HttpBytes { node: usize, fetch: FetchId, len: u64 },
    HttpEnd { node: usize, fetch: FetchId },
    HttpFailure { node: usize, fetch: FetchId },
    Command { to: usize, from: usize, command: Command },
    Payload { to: usize, from: usize, segment: SegmentId, range: Range<u64> },
    Delivered { from: usize, to: usize, len: u64 },
}

pub struct Node {
    pub viewer: Viewer,
    /// When it sees a new live segment after that exists.
    reload_lag: Duration,
    pub joins: Duration,
    vice: Option<Vice>,
    cancelled: BTreeSet<FetchId>,
    sent: BTreeMap<PeerKey, u64>,
    cursor: Option<SegmentId>,
    first: Option<SegmentId>,
    position: Duration,
    playing: bool,
    pub gone: bool,
    pub stalled: Duration,
    pub startup: Option<Duration>,
    pub unavailable: usize,
    pub dropped: Vec<&'static str>,
    polluted: BTreeSet<SegmentId>,
    joined: bool,
    /// Bytes in the driver's store.
    stored: BTreeMap<SegmentId, u64>,
    /// What was last begun to be sent to each peer.
    answering: BTreeMap<PeerKey, (SegmentId, u64)>,
}

pub struct World {
    start: Instant,
    pub now: Duration,
    stream: Stream,
    /// Bytes a second that the origin gives to one request.
    pub origin_rate: u64,
    pub origin_latency: Duration,
    /// The origin answers with errors during this time.
    pub origin_down: Range<Duration>,
    pub link_rate: u64,
    pub link_latency: Duration,
    /// Time from joining to the first connection.
    pub introduction: Duration,
    pub nodes: Vec<Node>,
    queue: BTreeMap<(Duration, u64), Happening>,
    serial: u64,
    link_free: BTreeMap<(usize, usize), Duration>,
    /// Requests made of the origin.
    pub requests: usize,
}

impl Node {
    /// As the driver's store takes bytes: where they belong, which is never behind a gap.
    fn store(&mut self, placed: Option<(SegmentId, Placement)>) {
        let Some((segment, Placement { offset, append })) = placed.filter(|(_, p)| !p.append.is_empty())
        else {
            return;
        };
        let held = self.stored.entry(segment).or_default();
        assert!(offset + append.start as u64 <= *held, "bytes of {segment} are missing before {offset}");
        *held = offset + append.end as u64;
    }
}

impl World {
    pub fn new(stream: Stream) -> Self {
        Self {
            start: Instant::now(),
            now: Duration::ZERO,
            stream,
            origin_rate: 2_500_000,
            origin_latency: ms(30),
            origin_down: Duration::ZERO..Duration::ZERO,
            link_rate: 2_500_000,
            link_latency: ms(20),
            introduction: Duration::ZERO,
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            serial: 0,
            link_free: BTreeMap::new(),
            requests: 0,
        }
    }

    pub fn add(&mut self, joins: Duration, vice: Option<Vice>, tweak: impl Fn(&mut ViewerConfig)) {
        let n = self.nodes.len();
        let mut id = *b"-GP0001-aaaaaaaaaaaa";
        id[19] = b'a' + n as u8;
        let mut config = ViewerConfig::new(PeerId(id));
        tweak(&mut config);
        self.nodes.push(Node {
            viewer: Viewer::new(config),
            reload_lag: self.stream.segment * (n as u32 % 4) / 4,
            joins,
            vice,
            cancelled: BTreeSet::new(),
            sent: BTreeMap::new(),
            cursor: None,
            first: None,
            position: Duration::ZERO,
            playing: false,
            gone: false,
            stalled: Duration::ZERO,
            startup: None,
            unavailable: 0,
            dropped: Vec::new(),
            polluted: BTreeSet::new(),
            joined: false,
            stored: BTreeMap::new(),
            answering: BTreeMap::new(),
        });
    }

    pub fn run(&mut self, until: Duration) {
        while self.now < until {
            self.now += STEP;
            for n in 0..self.nodes.len() {
                if !self.nodes[n].gone && self.nodes[n].joins <= self.now {
                    self.join(n);
                    self.watch_playlist(n);
                    self.play(n);
                }
            }
            while let Some(entry) = self.queue.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let happening = entry.remove();
                self.happen(happening);
            }
            for n in 0..self.nodes.len() {
                self.act(n);
            }
        }
    }

    /// A viewer disappears without a word; the others notice after a while.
    pub fn kill(&mut self, n: usize) {
        self.nodes[n].gone = true;
        for (other, node) in self.nodes.iter_mut().enumerate() {
            if other != n {
                node.viewer.handle_peer_closed(PeerKey(n as u64));
            }
        }
    }

    /// An audience of so many viewers until `end`: when each joins (ms), which of [`VICES`] it has, and when it is
    /// killed (ms), if ever.
    pub fn run_audience(
        &mut self,
        viewers: usize,
        joins: &[u64],
        vices: &[Option<usize>],
        kills: &[Option<u64>],
        end: Duration,
    ) {
        for (joins, vice) in joins.iter().zip(vices).take(viewers) {
            self.add(ms(*joins), vice.map(|vice| VICES[vice]), |_| {});
        }
        let mut kills: Vec<(u64, usize)> = (0..viewers).filter_map(|n| Some((kills[n]?, n))).collect();
        kills.sort_unstable();
        for (at, n) in kills {
            self.run(ms(at));
            self.kill(n);
        }
        self.run(end);
    }

    pub fn efficiency(&self) -> f64 {
        let sum = |f: fn(&Counters) -> u64| {
            self.nodes.iter().filter(|n| n.vice.is_none()).map(|n| f(&n.viewer.counters())).sum::<u64>()
                as f64
        };
        let (peers, http) = (sum(|c| c.peer_bytes), sum(|c| c.http_bytes));
        peers / (peers + http)
    }

    /// Segments that have gone out of a viewer.
    pub fn played(&self, n: usize) -> i64 {
        let node = &self.nodes[n];
        node.cursor.map_or(0, |c| c.0) - node.first.map_or(0, |f| f.0)
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    /// Ids of the segments that a viewer's playlist names now.
    fn visible(&self, n: usize) -> Range<i64> {
        let Stream { segment, count, live, .. } = self.stream;
        if !live {
            return 0..count as i64;
        }
        // A window is there from the beginning; the newest segment is the one that has just ended.
        if self.stream.chunks > 0 {
            // By the clock, the same for all.
            let ended =
                ((self.now + segment - self.stream.chunk()).as_secs_f64() / segment.as_secs_f64()) as i64;
            return ended..ended + count as i64;
        }
        let lag = self.nodes[n].reload_lag;
        let ended = (self.now.saturating_sub(lag).as_secs_f64() / segment.as_secs_f64()) as i64;
        ended..ended + count as i64
    }

    fn join(&mut self, n: usize) {
        if self.nodes[n].joined || self.now < self.nodes[n].joins + self.introduction {
            return;
        }
        self.nodes[n].joined = true;
        for other in 0..self.nodes.len() {
            if other == n || !self.nodes[other].joined || self.nodes[other].gone {
                continue;
            }
            let now = self.instant();
            for (a, b) in [(n, other), (other, n)] {
                let id = self.nodes[b].viewer.id();
                self.nodes[a].viewer.handle_peer_open(now, PeerKey(b as u64), id);
                self.nodes[a].viewer.handle_room(PeerKey(b as u64), WINDOW);
            }
        }
    }

    fn watch_playlist(&mut self, n: usize) {
        let now = self.instant();
        let ids = self.visible(n);
        let Stream { segment, live, hold_back, .. } = self.stream;
        let specs: Arc<[SegmentSpec]> = ids
            .clone()
            .map(|id| SegmentSpec {
                id: SegmentId(id),
                start: segment * id as u32,
                duration: segment,
                size: None,
                names: None,
                pace: (self.stream.chunks > 0 && self.stream.whole_at(id) > self.now).then(|| Pace {
                    whole_at: self.start + self.stream.whole_at(id),
                    chunk: self.stream.chunk(),
                }),
            })
            .collect();
        let node = &mut self.nodes[n];
        if matches!(node.vice, Some(Vice::Silent | Vice::Boasts)) {
            return self.boast(n, ids);
        }
        if node.viewer.segments.last().map(|s| s.id) != specs.last().map(|s| s.id) {
            node.viewer.handle_segments(specs, live);
        }
        if node.cursor.is_none() {
            let id = SegmentId(if live { ids.end - i64::from(hold_back) } else { ids.start });
            (node.cursor, node.first) = (Some(id), Some(id));
            node.position = segment * id.0 as u32;
            node.viewer.handle_seek(now, id);
        }
    }

    /// Claims to hold everything.
    fn boast(&mut self, n: usize, ids: Range<i64>) {
        if self.now.as_millis() % 500 < STEP.as_millis() {
            let loaded: Vec<SegmentId> = ids.map(SegmentId).collect();
            for to in (0..self.nodes.len()).filter(|to| *to != n) {
                let said = Announcement { loaded: loaded.clone(), ..Announcement::default() };
                let command = Command::Announcement(said.into());
                self.at(self.now + self.link_latency, Happening::Command { to, from: n, command });
            }
        }
    }

    fn play(&mut self, n: usize) {
        let (segment, now) = (self.stream.segment, self.instant());
        let node = &mut self.nodes[n];
        let Some(mut cursor) = node.cursor else { return };
        while node.viewer.readable(cursor).1 {
            assert_eq!(node.stored.get(&cursor), Some(&self.stream.bytes), "{cursor} is whole");
            cursor = SegmentId(cursor.0 + 1);
            node.cursor = Some(cursor);
            node.viewer.handle_cursor(now, cursor);
            if node.startup.is_none() {
                node.startup = Some(self.now - node.joins);
                node.playing = true;
            }
        }
        if !node.playing {
            return;
        }
        let end = segment * cursor.0 as u32;
        if node.position < end {
            node.position += STEP;
        } else if self.stream.live || cursor.0 < self.stream.count as i64 {
            node.stalled += STEP;
        }
        if self.now.as_millis() % 250 < STEP.as_millis() {
            node.viewer.handle_playback(now, node.position, node.position < end);
        }
    }

    fn at(&mut self, time: Duration, happening: Happening) {
        self.serial += 1;
        self.queue.insert((time, self.serial), happening);
    }

    fn act(&mut self, n: usize) {
        let now = self.instant();
        if self.nodes[n].viewer.poll_timeout().is_some_and(|at| at <= now) {
            self.nodes[n].viewer.handle_timeout();
        }
        while let Some(action) = self.nodes[n].viewer.poll_action(now) {
            if !self.nodes[n].gone {
                self.carry_out(n, action);
            }
        }
    }

    fn carry_out(&mut self, n: usize, action: Action) {
        let latency = self.link_latency;
        match action {
            Action::Fetch { fetch, segment, offset } => self.fetch(n, fetch, segment, offset),
            Action::CancelFetch { fetch } => {
                self.nodes[n].cancelled.insert(fetch);
            }
            Action::Command { .. } | Action::Broadcast { .. } if self.nodes[n].vice == Some(Vice::Silent) => {
            }
            Action::Command { peer, command } => {
                if let Command::Data { segment, request_id, .. } = command {
                    self.nodes[n].answering.insert(peer, (segment, request_id));
                }
                // Over the wire and back, as the real ones go.
                let mut decoder = Decoder::new();
                for message in encode(&command, MAX_MESSAGE) {
                    if let Ok(Decoded::Command(command)) = decoder.decode(&message) {
                        let to = peer.0 as usize;
                        let free = self.link_free.get(&(n, to)).copied().unwrap_or_default();
                        let happening = Happening::Command { to, from: n, command };
                        self.at(free.max(self.now) + latency, happening);
                    }
                }
            }
            Action::Broadcast { command } => {
                let peers: Vec<PeerKey> = self.nodes[n].viewer.peers.keys().copied().collect();
                for peer in peers {
                    self.carry_out(n, Action::Command { peer, command: command.clone() });
                }
            }
            Action::Upload { peer, segment, range } => self.upload(n, peer, segment, range),
            Action::Check { segment } => {
                let has_all = self.nodes[n].stored.get(&segment) == Some(&self.stream.bytes);
                let sound = !self.nodes[n].polluted.remove(&segment) && has_all;
                self.nodes[n].viewer.handle_checked(segment, sound);
            }
            Action::Unavailable { .. } => self.nodes[n].unavailable += 1,
            Action::Drop { peer, reason } => {
                self.nodes[n].dropped.push(reason);
                self.nodes[peer.0 as usize].viewer.handle_peer_closed(PeerKey(n as u64));
            }
            Action::Evict { segment } => {
                self.nodes[n].stored.remove(&segment);
            }
            Action::ReloadPlaylist => {}
        }
    }

    fn fetch(&mut self, n: usize, fetch: FetchId, segment: SegmentId, offset: u64) {
        self.requests += 1;
        let mut at = self.now + self.origin_latency;
        if self.origin_down.contains(&self.now) {
            return self.at(at, Happening::HttpFailure { node: n, fetch });
        }
        self.at(at, Happening::HttpStart { node: n, fetch, offset });
        let mut left = self.stream.bytes - offset;
        while left > 0 {
            let len = left.min(CHUNK);
            left -= len;
            at += Duration::from_secs_f64(len as f64 / self.origin_rate as f64);
            at = at.max(self.stream.made_at(segment.0, self.stream.bytes - left));
            self.at(at, Happening::HttpBytes { node: n, fetch, len });
        }
        self.at(at, Happening::HttpEnd { node: n, fetch });
    }

    fn upload(&mut self, from: usize, peer: PeerKey, segment: SegmentId, range: Range<u64>) {
        let to = peer.0 as usize;
        if self.nodes[from].vice == Some(Vice::Stalls) && range.end > self.stream.bytes / 2 {
            return;
        }
        if self.nodes[from].vice == Some(Vice::EndsEarly) && range.end > self.stream.bytes / 2 {
            if let Some((segment, request_id)) = self.nodes[from].answering.remove(&peer) {
                let command = Command::Completed { segment, request_id };
                self.carry_out(from, Action::Command { peer, command });
            }
            return;
        }
        let len = range.end - range.start;
        let free = self.link_free.get(&(from, to)).copied().unwrap_or_default().max(self.now);
        let sent = free + Duration::from_secs_f64(len as f64 / self.link_rate as f64);
        self.link_free.insert((from, to), sent);
        *self.nodes[from].sent.entry(peer).or_default() += len;
        self.at(sent, Happening::Delivered { from, to, len });
        self.at(sent + self.link_latency, Happening::Payload { to, from, segment, range });
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.instant();
        match happening {
            Happening::HttpStart { node, fetch, offset } => {
                if !self.nodes[node].cancelled.contains(&fetch) {
                    let total = (self.stream.chunks == 0).then_some(self.stream.bytes);
                    self.nodes[node].viewer.handle_http_start(now, fetch, offset, total);
                }
            }
            Happening::HttpBytes { node, fetch, len } => {
                let node = &mut self.nodes[node];
                if node.cancelled.contains(&fetch) {
                    return;
                }
                if let Some(confirm) = node.viewer.bytes_to_confirm(fetch, len)
                    && node.polluted.remove(&confirm.segment)
                {
                    node.viewer.handle_mismatch(confirm.segment);
                }
                let placed = node.viewer.handle_http_bytes(now, fetch, len);
                node.store(placed);
            }
            Happening::HttpEnd { node, fetch } => {
                if !self.nodes[node].cancelled.contains(&fetch) {
                    self.nodes[node].viewer.handle_http_end(now, fetch);
                }
            }
            Happening::HttpFailure { node, fetch } => {
                self.nodes[node].viewer.handle_http_failure(now, fetch, FetchFailure::Failed);
            }
            Happening::Command { to, from, command } => {
                if !self.nodes[from].gone && !self.nodes[to].gone {
                    self.nodes[to].viewer.handle_command(now, PeerKey(from as u64), command);
                }
            }
            Happening::Payload { to, from, segment, range } => {
                if self.nodes[from].gone {
                    return;
                }
                let vice = self.nodes[from].vice;
                let pollutes = vice == Some(Vice::Pollutes);
                let node = &mut self.nodes[to];
                let placed = node.viewer.handle_payload(now, PeerKey(from as u64), range.end - range.start);
                if let Some((taken_for, placement)) = &placed
                    && vice.is_none()
                {
                    assert_eq!(
                        (*taken_for, placement.offset),
                        (segment, range.start),
                        "bytes are joined to others"
                    );
                }
                if let Some((segment, placement)) = &placed
                    && pollutes
                    && !placement.append.is_empty()
                {
                    node.polluted.insert(*segment);
                }
                node.store(placed);
            }
            Happening::Delivered { from, to, len } => {
                let key = PeerKey(to as u64);
                let left = self.nodes[from].sent.entry(key).or_default();
                *left -= len;
                let room = WINDOW.saturating_sub(*left);
                self.nodes[from].viewer.handle_room(key, room);
            }
        }
    }
}
