// SPDX-License-Identifier: MPL-2.0

//! The presentation: loaded, reloaded, and where in it playback goes.

use std::time::Instant;

use super::Driver;
use crate::engine::playlists::{Loaded, PlaylistEvent};
use crate::engine::session::Seek;
use crate::engine::{Event, SessionError, TrackInfo};
use crate::manifest::Timeline;
use crate::swarm::SegmentId;
use crate::viewer::SegmentSpec;

impl Driver {
    pub(super) fn handle_playlist(
        &mut self,
        event: PlaylistEvent,
        tls: &rustls::ClientConfig,
    ) -> Result<(), SessionError> {
        match event {
            PlaylistEvent::Loaded(loaded) => {
                let Loaded { url, variant, playlist_url, timeline } = *loaded;
                self.join_swarm(&url, variant.as_ref(), tls)?;
                self.variant = variant;
                self.playlist_url = Some(playlist_url);
                self.take_timeline(timeline)?;
                let duration = self.shared.lock().duration;
                self.seek();
                let tracks = vec![TrackInfo { reader: self.reader.clone() }];
                self.emit(Event::Ready { tracks, duration });
            }
            PlaylistEvent::Updated { timeline, restarted } => {
                if restarted {
                    self.viewer.handle_restart();
                    self.lost.clear();
                }
                let before = self.shared.lock().duration;
                if restarted {
                    self.pump.restart(&timeline);
                    if let Some(cursor) = self.pump.cursor() {
                        self.viewer.handle_cursor(Instant::now(), cursor);
                    }
                }
                self.take_timeline(*timeline)?;
                let duration = self.shared.lock().duration;
                if duration != before {
                    self.emit(Event::DurationChanged(duration));
                }
                if self.pump.cursor().is_none() {
                    self.seek();
                }
            }
            PlaylistEvent::Trouble(error) => {
                log::warn!(target: "p2phls-engine", "the live playlist cannot be reloaded: {error}");
            }
            PlaylistEvent::Failed(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn take_timeline(&mut self, timeline: Timeline) -> Result<(), SessionError> {
        if let Some(encrypted) = timeline.segments().iter().find(|s| s.segment.key.is_some()) {
            let url = &encrypted.segment.url;
            return Err(SessionError::Unsupported(format!("{url}: the segment is encrypted")));
        }
        if !timeline.is_live() && timeline.segments().is_empty() {
            return Err(SessionError::Format(format!(
                "{}: there are no segments in it",
                self.config.location
            )));
        }
        let specs = timeline.segments().iter().filter(|s| !s.segment.gap).map(|s| SegmentSpec {
            id: SegmentId(s.number),
            start: s.start,
            duration: s.segment.duration,
            size: s.segment.byte_range.map(|range| range.length),
        });
        self.viewer.handle_segments(specs.collect(), timeline.is_live());
        let oldest = timeline.segments().front().map(|s| SegmentId(s.number));
        self.lost.retain(|segment, _| oldest.is_some_and(|oldest| *segment >= oldest));
        self.last_errors.retain(|segment, _| oldest.is_some_and(|oldest| *segment >= oldest));
        let mut shared = self.shared.lock();
        shared.window = Some(timeline.window());
        shared.duration = timeline.duration();
        shared.live = timeline.is_live();
        drop(shared);
        self.timeline = Some(timeline);
        Ok(())
    }

    /// Goes to where the last seek points, or to the start.
    pub(super) fn seek(&mut self) {
        let Seek { generation, position } = *self.seeks.borrow_and_update();
        let Some(timeline) = &self.timeline else { return };
        let position = if generation == 0 { timeline.start_position() } else { position };
        let (first, last) = match (timeline.segments().front(), timeline.segments().back()) {
            (Some(first), Some(last)) => (first, last),
            _ => return, // A live stream that has not begun: its first segment will do.
        };
        let (number, start) = match timeline.at(position) {
            Some(segment) => (segment.number, segment.start),
            None if position >= last.end() && !timeline.is_live() => (last.number + 1, last.end()),
            None if position >= last.end() => (last.number, last.start),
            None => (first.number, first.start),
        };
        self.pump.go_to(number, start, generation);
        self.viewer.handle_seek(Instant::now(), SegmentId(number));
        self.lost.clear();
        self.stalls.reset();
    }
}
