// SPDX-License-Identifier: MPL-2.0

//! What one viewer does about one segment, told on stderr as it happens.

use std::ops::Range;

use super::event::{Message, What};
use super::node::Node;
use super::time::{Micros, to_seconds};
use crate::swarm::SegmentId;
use crate::viewer::Action;

#[derive(Debug)]
pub struct Trace {
    /// Viewer and segment.
    of: Option<(u32, u32)>,
}

impl Trace {
    /// Traces nothing unless the viewer is one of `people`.
    pub fn new(of: Option<(u32, u32)>, people: Range<u32>) -> Self {
        Self { of: of.filter(|(viewer, _)| people.contains(viewer)) }
    }

    fn segment(&self, node: &Node) -> Option<u32> {
        self.of.filter(|(viewer, _)| *viewer == node.id).map(|(_, segment)| segment)
    }

    #[inline]
    pub fn event(&self, now: Micros, node: &Node, what: &What) {
        if self.of.is_some() {
            self.tell_event(now, node, what);
        }
    }

    #[inline]
    pub fn action(&self, now: Micros, node: &Node, action: &Action) {
        if self.of.is_some() {
            self.tell_action(now, node, action);
        }
    }

    fn tell_event(&self, now: Micros, node: &Node, what: &What) {
        let Some(traced) = self.segment(node) else { return };
        let id = SegmentId(i64::from(traced));
        let concerned = match what {
            What::Message(message) => match message {
                Message::Announcement { said, .. } => {
                    said.loaded.contains(&id) || said.http_loading.contains(&id)
                }
                Message::Request { segment, .. }
                | Message::Data { segment, .. }
                | Message::Completed { segment, .. }
                | Message::Absent { segment, .. }
                | Message::Cancel { segment, .. } => *segment == traced,
            },
            What::HttpFirstByte { fetch }
            | What::HttpBytes { fetch, .. }
            | What::HttpDelivered { fetch, .. }
            | What::HttpFailure { fetch } => {
                node.fetches.iter().any(|f| f.id == *fetch && f.segment == traced)
            }
            What::Playlist { newest } => *newest >= traced && node.newest < traced,
            What::Payload { .. } => node.viewer.readable(id).0 == 0,
            _ => false,
        };
        if concerned {
            eprintln!("{:12.6} viewer {} <- {what:?}", to_seconds(now), node.id);
        }
    }

    fn tell_action(&self, now: Micros, node: &Node, action: &Action) {
        let Some(traced) = self.segment(node) else { return };
        let id = SegmentId(i64::from(traced));
        let concerned = match action {
            Action::Fetch { segment, .. }
            | Action::Upload { segment, .. }
            | Action::Check { segment }
            | Action::Evict { segment }
            | Action::Unavailable { segment, .. } => *segment == id,
            // Cheaper than taking each command apart, and only for the one viewer.
            Action::Command { command, .. } | Action::Broadcast { command } => {
                format!("{command:?}").contains(&format!("SegmentId({traced})"))
            }
            Action::CancelFetch { fetch } => {
                node.fetches.iter().any(|f| u64::from(f.id) == fetch.0 && f.segment == traced)
            }
            Action::ReloadPlaylist | Action::Drop { .. } => false,
        };
        if concerned {
            eprintln!("{:12.6} viewer {} -> {action:?}", to_seconds(now), node.id);
        }
    }
}
