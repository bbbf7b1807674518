// SPDX-License-Identifier: MPL-2.0

//! A part of the world's viewers, simulated by one thread at a time.
//!
//! Shards meet at the end of each window of the clock to exchange what their viewers sent each other; no
//! message is faster than a window is long, so within one they need not know of each other.
//!
//! | file | holds |
//! | --- | --- |
//! | `watching` | joining, playlists, playback, leaving |
//! | `fetching` | HTTP |
//! | `meeting` | the tracker, and channels that open and close |
//! | `exchanging` | commands and bytes between peers |

mod exchanging;
mod fetching;
mod meeting;
mod watching;
#[cfg(test)]
pub mod witness;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::access::Access;
use super::edges::Edge;
use super::event::{Event, What};
use super::node::Node;
use super::queue::Queue;
use super::setting::Setting;
use super::stream::Playlists;
use super::tally::Tally;
use super::time::Micros;
use super::trace::Trace;
use crate::viewer::Action;

/// What goes to the tracker.
#[derive(Debug)]
pub struct TrackerMessage {
    pub at: Micros,
    pub from: u32,
    pub what: TrackerCall,
}

#[derive(Debug)]
pub enum TrackerCall {
    /// "Here are so many offers", of which the first has this number, "and I have so many links".
    Announce { offers: u32, first_offer: u32, links: u32 },
    /// An answer to this offer of that viewer.
    Answer { to: u32, offer: u32, end: super::event::LinkEnd },
    /// The connection broke.
    Gone,
}

#[derive(Debug)]
pub struct Shard {
    setting: Arc<Setting>,
    number: u16,
    people: Range<u32>,
    first_household: u32,
    nodes: Vec<Option<Box<Node>>>,
    access: Vec<Access>,
    playlists: Playlists,
    queue: Queue,
    now: Micros,
    /// What goes to other shards, by their number.
    pub outboxes: Vec<Vec<Event>>,
    /// What other shards sent, by their number.
    pub inboxes: Vec<Vec<Event>>,
    pub to_tracker: Vec<TrackerMessage>,
    /// What has come to the edges of ISPs in this window; empty where these have no bounds.
    pub edge_bytes: Vec<Edge<u64>>,
    /// How long what comes there in this window has to wait.
    pub edge_delays: Vec<Edge<Micros>>,
    pub tally: Tally,
    trace: Trace,
}

impl Shard {
    /// `window` is what the world's clock goes on by at a time.
    pub fn new(setting: Arc<Setting>, number: u16, window: Micros) -> Self {
        let population = &setting.population;
        let people = population.shards[usize::from(number)].clone();
        let households = population.shard_households[usize::from(number)].clone();
        let mut queue = Queue::new(window);
        for id in people.clone() {
            queue.push(population.person(id).joins, id, What::Join);
        }
        let homes = &population.households[households.start as usize..households.end as usize];
        let mut nodes = Vec::new();
        nodes.resize_with(people.len(), || None);
        let isps = match setting.scenario.network.isp_edge {
            0.0 => 0,
            _ => usize::from(setting.scenario.network.isps),
        };
        let boxes = || (0..population.shards.len()).map(|_| Vec::new()).collect();
        Self {
            number,
            first_household: households.start,
            nodes,
            access: homes.iter().map(Access::new).collect(),
            playlists: Playlists::default(),
            queue,
            now: 0,
            outboxes: boxes(),
            inboxes: boxes(),
            to_tracker: Vec::new(),
            edge_bytes: vec![Edge::default(); isps],
            edge_delays: vec![Edge::default(); isps],
            tally: Tally::default(),
            trace: Trace::new(setting.options.trace, &people),
            people,
            setting,
        }
    }

    /// When something happens next; exact unless `limit` comes first.
    pub fn next_time(&mut self, limit: Micros) -> Option<Micros> {
        let waiting = self.inboxes.iter().flatten().map(|event| event.at).min();
        let queued = self.queue.next_time(limit);
        waiting.into_iter().chain(queued).min()
    }

    /// Lets everything happen that happens before `until`.
    pub fn run(&mut self, until: Micros) {
        for n in 0..self.inboxes.len() {
            let mut inbox = std::mem::take(&mut self.inboxes[n]);
            for Event { at, viewer, what, .. } in inbox.drain(..) {
                self.queue.push(at, viewer, what);
            }
            self.inboxes[n] = inbox;
        }
        while let Some(event) = self.queue.pop_before(until) {
            self.tally.events += 1;
            self.now = event.at;
            self.happen(event.viewer, event.what);
        }
    }

    /// The world ends: what is still going on is counted.
    pub fn finish(&mut self, end: Micros) {
        self.now = end;
        for slot in 0..self.nodes.len() {
            if let Some(node) = self.nodes[slot].take() {
                self.count(*node);
            }
        }
        self.count_in_flight();
    }

    /// Viewers present and their peers.
    pub fn present(&self) -> (usize, usize) {
        let nodes = self.nodes.iter().flatten();
        nodes.fold((0, 0), |(viewers, peers), node| (viewers + 1, peers + node.viewer.peer_count()))
    }

    fn happen(&mut self, viewer: u32, what: What) {
        let slot = (viewer - self.people.start) as usize;
        if matches!(what, What::Join) {
            let node = self.join(viewer);
            self.nodes[slot] = Some(node);
            return;
        }
        let Some(mut node) = self.nodes[slot].take() else { return self.nobody_there(viewer, what) };
        if matches!(what, What::Leave) {
            return self.leave(*node);
        }
        // Most of what happens cannot change what is seen.
        let shows = !matches!(what, What::Message(_) | What::Payload { .. } | What::Acknowledged { .. });
        self.trace.begin(self.now, viewer);
        if self.handle(&mut node, what) {
            self.settle(&mut node, shows);
        }
        self.trace.end();
        self.nodes[slot] = Some(node);
    }

    /// Tells a viewer what has happened. False if that changes nothing for it.
    fn handle(&mut self, node: &mut Node, what: What) -> bool {
        match what {
            What::Join | What::Leave => false,
            What::Timer => self.wake(node),
            What::PlaybackDue => {
                let due = node.playback_due == self.now;
                node.playback_due = if due { Micros::MAX } else { node.playback_due };
                due
            }
            What::Tick => self.tick(node),
            What::ReloadDue => self.reload_if_due(node),
            What::Playlist { newest } => self.take_playlist(node, newest),
            What::SwarmPatienceOver => self.end_patience(node),
            What::AnnounceDue => self.announce_if_due(node),
            What::Announced { swarm_size, number, interval } => {
                self.take_response(node, swarm_size, number, interval)
            }
            What::Offer { from, offer } => self.take_offer(node, from, offer),
            What::Answer { from, end } => self.take_answer(node, from, end),
            What::LinkOpen { link, theirs, .. } => self.open_link(node, link, Some(theirs)),
            What::LinkReady { link } => self.open_link(node, link, None),
            What::LinkClosed { link } => self.close_link(node, link),
            What::HttpFirstByte { fetch } => self.http_first_byte(node, fetch),
            What::HttpBytes { fetch, len } => self.http_bytes(node, fetch, len),
            What::HttpDelivered { fetch, len } => self.http_delivered(node, fetch, len),
            What::HttpFailure { fetch } => self.http_failure(node, fetch),
            What::Message(message) => self.take_message(node, message),
            What::Payload { link, len, polluted } => self.take_payload(node, link, len, polluted),
            What::PayloadDelivered { link, len, polluted } => {
                self.payload_delivered(node, link, len, polluted)
            }
            What::Acknowledged { link, len } => self.acknowledged(node, link, len),
        }
    }

    /// Carries out all that a viewer wants, shows what can be shown if there may be more of it, and sees to it
    /// that it is woken.
    fn settle(&mut self, node: &mut Node, mut shows: bool) {
        let now = self.instant();
        let mut actions = 0;
        loop {
            while let Some(action) = node.viewer.poll_action(now) {
                // A peer's bytes are seen once they have been checked.
                shows |= matches!(action, Action::Check { .. } | Action::Unavailable { .. });
                self.carry_out(node, action);
                actions += 1;
            }
            if !shows {
                break;
            }
            let moved = self.move_cursor(node);
            let changed = self.show(node);
            if !moved && !changed {
                break;
            }
        }
        self.tally.most_actions = self.tally.most_actions.max(actions);
        if let Some(wake) = node.viewer.poll_timeout() {
            let wake = self.setting.moment(wake).max(self.now + 1);
            if wake < node.timer {
                node.timer = wake;
                self.queue.push(wake, node.id, What::Timer);
            }
        }
    }

    fn wake(&mut self, node: &mut Node) -> bool {
        if node.timer != self.now {
            return false; // An earlier moment has taken its place.
        }
        node.timer = Micros::MAX;
        let now = self.instant();
        match node.viewer.poll_timeout() {
            Some(at) if at <= now => node.viewer.handle_timeout(),
            _ => {}
        }
        true
    }

    fn carry_out(&mut self, node: &mut Node, action: Action) {
        match action {
            Action::Fetch { fetch, segment, offset } => self.fetch(node, fetch, segment, offset),
            Action::CancelFetch { fetch } => node.fetches.retain(|f| u64::from(f.id) != fetch.0),
            Action::Command { peer, command } => self.send_command(node, super::node::end(peer), &command),
            Action::Broadcast { command } => self.broadcast(node, &command),
            Action::Upload { peer, segment, range } => self.upload(node, peer, segment, range),
            Action::Check { segment } => {
                let sound = !self.forget_pollution(node, segment);
                node.viewer.handle_checked(segment, sound);
            }
            Action::Evict { segment } => {
                self.forget_pollution(node, segment);
            }
            Action::Unavailable { segment, .. } => self.leave_out(node, segment),
            Action::ReloadPlaylist => self.nudge(node),
            Action::Drop { peer, reason } => self.drop_peer(node, peer, reason),
        }
    }

    fn forget_pollution(&mut self, node: &mut Node, segment: crate::swarm::SegmentId) -> bool {
        let before = node.polluted.len();
        node.polluted.retain(|polluted| i64::from(*polluted) != segment.0);
        node.polluted.len() < before
    }

    fn instant(&self) -> Instant {
        self.setting.instant(self.now)
    }

    fn access(&mut self, node: &Node) -> &mut Access {
        let household = self.setting.population.person(node.id).household;
        &mut self.access[(household - self.first_household) as usize]
    }

    fn push(&mut self, at: Micros, viewer: u32, what: What) {
        self.queue.push(at, viewer, what);
    }

    /// Lets something happen to a viewer of any shard.
    fn send(&mut self, at: Micros, viewer: u32, what: What) {
        let shard = self.setting.population.person(viewer).shard;
        if shard == self.number {
            self.queue.push(at, viewer, what);
        } else {
            debug_assert!(at >= self.now + self.setting.geography.least_latency());
            self.outboxes[usize::from(shard)].push(Event { at, order: 0, viewer, what });
        }
    }
}
