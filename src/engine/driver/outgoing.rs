// SPDX-License-Identifier: MPL-2.0

//! What goes out next, and what happens when it cannot be had.

use std::sync::Arc;
use std::time::Instant;

use super::Driver;
use crate::engine::pump::Step;
use crate::engine::{Event, SessionError, resource};
use crate::manifest::{Init, Timeline};
use crate::net::http::{HttpClient, Part};

/// Live segments in a row that could not be had before playback is given up.
const MAX_SKIPS_IN_A_ROW: u32 = 5;

/// An initialisation segment is small; more than this is something else.
const MAX_INIT: usize = 4 << 20;

impl Driver {
    /// Hands over what can go out. True if there may be more to do.
    pub(super) fn pump(&mut self, http: &HttpClient) -> Result<bool, SessionError> {
        let Some(timeline) = &self.timeline else { return Ok(false) };
        if let Some(cursor) = self.pump.cursor()
            && let Some(error) = self.lost.remove(&cursor)
            // A peer may have brought it since.
            && !self.viewer.readable(cursor).1
        {
            return self.leave_out(error);
        }
        let viewer = &self.viewer;
        match self.pump.step(timeline, &self.store, |segment| viewer.readable(segment)) {
            Some(Step::Cursor(segment)) => {
                self.skips_in_a_row = 0;
                self.viewer.handle_cursor(Instant::now(), segment);
            }
            Some(Step::NeedInit(init)) => {
                if self.loading_init.as_ref() != Some(&init) {
                    self.loading_init = Some(init.clone());
                    self.load_init(http, init);
                }
                return Ok(false);
            }
            Some(Step::Skipped(count)) => {
                self.skipped += count;
                if let Some(cursor) = self.pump.cursor() {
                    self.viewer.handle_cursor(Instant::now(), cursor);
                }
            }
            Some(Step::FirstByte) => self.startup = Some(self.started.elapsed()),
            Some(Step::Ended) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    /// A segment cannot be had. Live goes on without it, unless that becomes a habit.
    pub(super) fn leave_out(&mut self, error: SessionError) -> Result<bool, SessionError> {
        self.skips_in_a_row += 1;
        let live = self.timeline.as_ref().is_some_and(Timeline::is_live);
        if !live || self.skips_in_a_row > MAX_SKIPS_IN_A_ROW {
            return Err(error);
        }
        self.emit(Event::Warning(error));
        self.skipped += 1;
        self.pump.skip();
        if let Some(cursor) = self.pump.cursor() {
            self.viewer.handle_cursor(Instant::now(), cursor);
        }
        Ok(true)
    }

    pub(super) fn load_init(&self, http: &HttpClient, init: Arc<Init>) {
        let (http, results, retries) = (http.clone(), self.inits.0.clone(), self.config.retries);
        tokio::spawn(async move {
            let range = init.byte_range;
            let part = range.map_or(Part::default(), |r| Part { offset: r.offset, length: Some(r.length) });
            let loaded = resource::load(&http, &init.url, part, MAX_INIT, retries).await;
            let bytes = loaded.map(|(_, bytes)| bytes);
            // The session has ended when nobody listens.
            let _ = results.send((init, bytes)).await;
        });
    }
}
