// SPDX-License-Identifier: MPL-2.0

//! What goes out next, and what happens when it cannot be had.

use std::sync::Arc;
use std::time::Instant;

use super::{Driver, World};
use crate::engine::pump::Step;
use crate::engine::{Event, SessionError, resource};
use crate::manifest::Init;
use crate::net::http::{HttpClient, Part};

/// Live segments in a row that could not be had before playback is given up.
const MAX_SKIPS_IN_A_ROW: u32 = 5;

/// An initialisation segment is small; more than this is something else.
const MAX_INIT: usize = 4 << 20;

/// Keys of so many segments ahead are asked for.
const KEYS_AHEAD: i64 = 3;

impl Driver {
    /// Hands over what can go out. True if there may be more to do.
    pub(super) fn pump(&mut self, world: &World) -> Result<bool, SessionError> {
        if self.switch_when_due(world) {
            return Ok(false);
        }
        let Some(stream) = &mut self.stream else { return Ok(false) };
        if let Some(cursor) = self.pump.cursor()
            && let Some(error) = stream.lost.remove(&cursor)
            // A peer may have brought it since.
            && !stream.viewer.readable(cursor).1
        {
            return self.leave_out(error);
        }
        let viewer = &stream.viewer;
        let readable = |segment| viewer.readable(segment);
        match self.pump.step(&stream.timeline, &stream.store, &self.keys, readable) {
            Some(Step::Cursor(segment)) => {
                self.skips_in_a_row = 0;
                stream.come_to(segment);
                let ahead = segment.0..=segment.0.saturating_add(KEYS_AHEAD);
                for placed in ahead.filter_map(|number| stream.timeline.get(number)) {
                    placed.segment.key.iter().for_each(|key| self.keys.want(key));
                }
            }
            Some(Step::NeedInit(init)) => {
                if self.loading_init.as_ref() != Some(&init) {
                    self.loading_init = Some(init.clone());
                    self.load_init(&world.http, init);
                }
                return Ok(false);
            }
            Some(Step::NeedKey(key)) => {
                self.needed_key = key.uri.clone();
                self.keys.want(&key);
                return Ok(false);
            }
            Some(Step::Failed(error)) => return Err(error),
            Some(Step::Skipped(count)) => {
                self.skipped += count;
                if let Some(cursor) = self.pump.cursor() {
                    stream.come_to(cursor);
                }
            }
            Some(Step::FirstByte) => self.startup = Some(self.started.elapsed()),
            Some(Step::Ended) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    /// A segment cannot be had. Live goes on without it, unless that becomes a habit.
    fn leave_out(&mut self, error: SessionError) -> Result<bool, SessionError> {
        self.skips_in_a_row += 1;
        let live = self.stream.as_ref().is_some_and(|stream| stream.timeline.is_live());
        if !live || self.skips_in_a_row > MAX_SKIPS_IN_A_ROW {
            return Err(error);
        }
        self.emit(Event::Warning(error));
        self.skipped += 1;
        self.pump.skip();
        if let (Some(stream), Some(cursor)) = (&mut self.stream, self.pump.cursor()) {
            stream.viewer.handle_cursor(Instant::now(), cursor);
        }
        Ok(true)
    }

    pub(super) fn load_init(&self, http: &HttpClient, init: Arc<Init>) {
        let (http, results, retries) = (http.clone(), self.senders.inits.clone(), self.config.retries);
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
