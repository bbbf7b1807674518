// SPDX-License-Identifier: MPL-2.0

//! Where the playlist of a stream, and with it its segments, come from: one of several servers, and another one when a segment
//! cannot be had there or when that is preferred.

use tokio::sync::watch;
use url::Url;

use super::Stream;
use crate::engine::SessionError;
use crate::swarm::SegmentId;
use crate::viewer::FetchFailure;

impl Stream {
    /// From now on the playlist is to be had at these places, the best first.
    pub fn prefer(&self, urls: Vec<Url>) {
        self.order.send_if_modified(|order| {
            let differs = *order != urls;
            *order = urls;
            differs
        });
    }

    /// What the places are; they may change.
    pub fn places(&self) -> watch::Receiver<Vec<Url>> {
        self.order.subscribe()
    }

    pub(super) fn other_servers(&self) -> usize {
        self.order.borrow().len().saturating_sub(1)
    }

    /// The playlist comes from another server now. Nothing begins anew, unless something is missing; `number` is that of
    /// the segment that is needed first.
    pub fn handle_moved(&mut self, number: Option<i64>) {
        self.moves = self.moves.wrapping_add(1);
        if std::mem::take(&mut self.seeks_server)
            && let Some(number) = number
        {
            self.try_again(number);
        }
    }

    /// A segment cannot be had where it was looked for. Another server may have it.
    pub(super) fn lose(&mut self, segment: SegmentId, failure: FetchFailure) {
        let known = self.last_errors.remove(&segment);
        let text = || SessionError::Connection(format!("segment {segment}: {failure:?}"));
        let (moves, error) = known.unwrap_or_else(|| (self.moves, text()));
        if moves != self.moves
            && let Some(cursor) = self.viewer.cursor()
        {
            // It was asked of a server that is not in use any more.
            return self.try_again(cursor.0);
        }
        if !self.look_elsewhere(&error) {
            self.lost.insert(segment, error);
        }
    }

    /// Another server is being tried.
    pub fn seeks_server(&self) -> bool {
        self.seeks_server
    }

    /// Has another server tried, because of `error`. False: all have been.
    pub fn look_elsewhere(&mut self, error: &SessionError) -> bool {
        if self.seeks_server {
            return true; // Once it is found, all that is missing is looked for there.
        }
        if self.untried == 0 {
            return false;
        }
        log::warn!(target: "p2phls-engine", "another server is tried: {error}");
        (self.untried, self.seeks_server) = (self.untried - 1, true);
        self.bell.elsewhere.send_replace(Some(self.playlist_url.clone()));
        true
    }
}
