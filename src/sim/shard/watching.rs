// SPDX-License-Identifier: MPL-2.0

//! Joining, playlists, playback, leaving.

use std::time::Duration;

use super::{Shard, TrackerCall, TrackerMessage};
use crate::sim::chance::{Purpose, between, chance};
use crate::sim::event::{Event, What};
use crate::sim::node::{LinkState, Node};
use crate::sim::playback::State;
use crate::sim::time::{Micros, from_millis, from_seconds};
use crate::swarm::SegmentId;

/// Before the first playlist there are a TCP and a TLS handshake and the multivariant playlist.
const FIRST_LOAD: Micros = 4;

/// Shortest time between reloads, as in the element.
const MIN_RELOAD: Micros = 500_000;

impl Shard {
    pub(super) fn join(&mut self, id: u32) -> Box<Node> {
        let node = Box::new(Node::new(&self.setting, id, self.now));
        let newest_at = FIRST_LOAD * self.cdn_latency(id);
        let newest = self.setting.stream.newest(self.now + newest_at - self.cdn_latency(id) / 2);
        self.push(self.now + newest_at, id, What::Playlist { newest });
        let leaves = self.setting.population.person(id).leaves;
        if leaves < Micros::MAX {
            self.push(leaves, id, What::Leave);
        }
        let tick = from_seconds(self.setting.scenario.viewer.tick);
        if tick > 0 {
            self.push(self.now + tick, id, What::Tick);
        }
        self.tally.joined += 1;
        node
    }

    /// From a request to its first byte.
    pub(super) fn cdn_latency(&self, viewer: u32) -> Micros {
        let seed = self.setting.options.seed;
        let draw = chance(seed, Purpose::RoundTrip, u64::from(viewer), u64::from(viewer));
        from_millis(between(self.setting.scenario.cdn.latency, draw)).max(1)
    }

    pub(super) fn take_playlist(&mut self, node: &mut Node, newest: u32) -> bool {
        let now = self.instant();
        let setting = self.setting.clone();
        let stream = &setting.stream;
        node.reload.under_way = false;
        let first = node.cursor.is_none();
        let changed = first || newest > node.newest;
        if changed {
            node.newest = newest;
            node.viewer.handle_segments(self.playlists.get(stream, newest), stream.live);
        }
        if first {
            let cursor = stream.beginning(newest);
            node.cursor = Some(cursor);
            node.whole = cursor;
            node.playback.jump(self.now, stream.start(cursor));
            node.viewer.handle_seek(now, SegmentId(i64::from(cursor)));
            self.look_for_swarm(node);
        } else if let Some(cursor) = node.cursor.filter(|cursor| *cursor < stream.oldest(newest)) {
            // Live has gone on without us.
            let to = stream.beginning(newest);
            node.skipped += to - cursor;
            self.go_to(node, to);
        }
        if stream.blocks {
            self.load_playlist(node);
        } else if stream.live {
            let wait = if changed { stream.segment } else { stream.segment / 2 };
            let due = node.reload.asked + wait.max(MIN_RELOAD);
            let due = if node.reload.nudged { self.soonest_reload(node) } else { due };
            self.reload_at(node, due.max(self.now));
        }
        changed
    }

    /// Leaves out what lies before `segment`.
    fn go_to(&mut self, node: &mut Node, segment: u32) {
        node.cursor = Some(segment);
        node.whole = node.whole.max(segment);
        let now = self.instant();
        node.playback.jump(self.now, self.setting.stream.start(segment));
        node.viewer.handle_cursor(now, SegmentId(i64::from(segment)));
        self.tell_playback(node);
    }

    /// A segment cannot be had: live goes on without it, VOD waits for ever.
    pub(super) fn leave_out(&mut self, node: &mut Node, segment: SegmentId) {
        self.tally.unavailable += 1;
        if let Some(cursor) = node.cursor.filter(|cursor| i64::from(*cursor) == segment.0)
            && self.setting.stream.live
        {
            node.skipped += 1;
            self.go_to(node, cursor + 1);
        }
    }

    fn reload_at(&mut self, node: &mut Node, due: Micros) {
        node.reload.due = due;
        self.push(due, node.id, What::ReloadDue);
    }

    fn soonest_reload(&self, node: &Node) -> Micros {
        (node.reload.asked + MIN_RELOAD).max(self.now)
    }

    /// A peer knows of segments that the playlist does not have yet.
    pub(super) fn nudge(&mut self, node: &mut Node) {
        if !self.setting.stream.live {
            return;
        }
        node.reload.nudged = true;
        if !node.reload.under_way {
            let due = self.soonest_reload(node);
            if due < node.reload.due {
                self.reload_at(node, due);
            }
        }
    }

    pub(super) fn reload_if_due(&mut self, node: &mut Node) -> bool {
        if node.reload.due != self.now || node.reload.under_way {
            return false;
        }
        self.load_playlist(node);
        false
    }

    fn load_playlist(&mut self, node: &mut Node) {
        let latency = self.cdn_latency(node.id);
        node.reload.under_way = true;
        node.reload.nudged = false;
        node.reload.asked = self.now;
        let stream = &self.setting.stream;
        let asked = self.now + latency / 2;
        let answered = if stream.blocks { asked.max(stream.available(node.newest + 1)) } else { asked };
        let newest = stream.newest(answered);
        self.tally.playlist_loads += 1;
        self.push(answered + latency - latency / 2, node.id, What::Playlist { newest });
    }

    pub(super) fn tick(&mut self, node: &mut Node) -> bool {
        let tick = from_seconds(self.setting.scenario.viewer.tick);
        self.push(self.now + tick, node.id, What::Tick);
        self.tally.tick(self.now, node);
        #[cfg(test)]
        self.witness_tick(node);
        match node.playback.state {
            State::Playing | State::Stalled => {
                self.tell_playback(node);
                true
            }
            _ => false,
        }
    }

    fn tell_playback(&self, node: &mut Node) {
        let position = Duration::from_micros(node.playback.position(self.now));
        let playing = node.playback.state == State::Playing;
        node.viewer.handle_playback(self.instant(), position, playing);
    }

    /// Hands over to the player what is whole and what it can hold. True if that was something.
    pub(super) fn move_cursor(&mut self, node: &mut Node) -> bool {
        let Some(before) = node.cursor else { return false };
        while node.viewer.readable(SegmentId(i64::from(node.whole))).1 {
            node.whole += 1;
        }
        // A segment goes out when there is room for its first byte.
        let full = node.playback.position(self.now) + self.player_holds();
        let cursor = (full / self.setting.stream.segment + 1).min(u64::from(node.whole)) as u32;
        if cursor <= before {
            return false;
        }
        node.cursor = Some(cursor);
        let now = self.instant();
        node.viewer.handle_cursor(now, SegmentId(i64::from(cursor)));
        true
    }

    fn player_holds(&self) -> Micros {
        from_seconds(self.setting.scenario.viewer.player_holds)
    }

    /// Shows what there is. True if playback has begun, stopped or gone on.
    pub(super) fn show(&mut self, node: &mut Node) -> bool {
        let Some(cursor) = node.cursor else { return false };
        let stream = &self.setting.stream;
        let (bytes, _) = node.viewer.readable(SegmentId(i64::from(node.whole)));
        let part = match bytes {
            0 => 0,
            bytes => stream.segment * bytes / stream.size(node.whole).max(bytes),
        };
        let edge = stream.start(node.whole) + part;
        let all = !stream.live && node.whole > node.newest;
        let changed = node.playback.update(self.now, edge, stream.segment, all);
        if changed {
            self.tell_playback(node);
            if node.playback.state == State::Stalled {
                crate::viewer::trace::stalled(SegmentId(i64::from(node.whole)));
            }
        }
        let mut due = node.playback.first_picture();
        if node.playback.state == State::Playing {
            let position = node.playback.position(self.now);
            let mut end = edge;
            if cursor < node.whole {
                end = end.min(stream.start(cursor).saturating_sub(self.player_holds()).max(position + 1));
            }
            due = Some(self.now + end.saturating_sub(position));
        }
        // Whatever comes until then is looked at then.
        if let Some(due) = due.filter(|due| *due < node.playback_due) {
            node.playback_due = due;
            self.push(due, node.id, What::PlaybackDue);
        }
        changed
    }

    /// A viewer is gone without a word.
    pub(super) fn leave(&mut self, node: Node) {
        for link in node.links.iter().filter(|link| link.state != LinkState::Free) {
            let notice = self.notice(node.id, link.peer).max(link.latency);
            // Who has been answered does not know our end of the channel, nor we its, before it opens.
            if link.theirs.generation != 0 {
                self.send(self.now + notice, link.peer, What::LinkClosed { link: link.theirs });
            }
        }
        if self.setting.options.p2p {
            let at = self.now + self.notice(node.id, node.id);
            self.to_tracker.push(TrackerMessage { at, from: node.id, what: TrackerCall::Gone });
        }
        self.tally.left += 1;
        self.count(node);
    }

    pub(super) fn notice(&self, gone: u32, by: u32) -> Micros {
        let draw = chance(self.setting.options.seed, Purpose::Notice, u64::from(gone), u64::from(by));
        let notice = from_seconds(between(self.setting.scenario.churn.noticed_after, draw));
        notice.max(self.setting.geography.least_latency())
    }

    /// Takes what a viewer has seen and done into the tally.
    pub(super) fn count(&mut self, mut node: Node) {
        node.playback.close(self.now);
        let joined = self.setting.population.person(node.id).joins;
        self.tally.count(self.now, &node, joined);
    }

    /// Something comes for a viewer who is gone.
    pub(super) fn nobody_there(&mut self, viewer: u32, what: What) {
        match what {
            What::Payload { len, .. } | What::PayloadDelivered { len, .. } => {
                self.tally.lost += u64::from(len)
            }
            What::HttpBytes { len, .. } | What::HttpDelivered { len, .. } => {
                self.tally.http_lost += u64::from(len);
            }
            What::Answer { from, end } => {
                let at = self.now + from_seconds(self.setting.scenario.network.setup_timeout);
                self.send(at, from, What::LinkClosed { link: end });
            }
            What::LinkOpen { from, theirs, .. } => {
                let at = self.now + self.notice(viewer, from);
                self.send(at, from, What::LinkClosed { link: theirs });
            }
            _ => {}
        }
    }

    /// Bytes still under way when the world ends.
    pub(super) fn count_in_flight(&mut self) {
        let inboxes = std::mem::take(&mut self.inboxes);
        let count = |tally: &mut crate::sim::tally::Tally, what: &What| match what {
            What::Payload { len, .. } | What::PayloadDelivered { len, .. } => {
                tally.in_flight += u64::from(*len)
            }
            What::HttpBytes { len, .. } | What::HttpDelivered { len, .. } => {
                tally.http_in_flight += u64::from(*len)
            }
            _ => {}
        };
        for Event { what, .. } in inboxes.iter().flatten() {
            count(&mut self.tally, what);
        }
        while let Some(Event { what, .. }) = self.queue.pop_before(Micros::MAX / 2) {
            count(&mut self.tally, &what);
        }
    }
}
