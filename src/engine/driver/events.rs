// SPDX-License-Identifier: MPL-2.0

//! What the publisher tells of moments of the presentation: date ranges and events of the playlist, and
//! events that come with the media. Each is told once. What an event says about the MPD itself is acted upon.

use std::sync::Arc;
use std::time::Duration;

use super::Driver;
use crate::engine::{Event, TrackKind};
use crate::manifest::{DateRange, EventMessage, MPD_EVENTS, TimedEvent};
use crate::swarm::SegmentId;

impl Driver {
    /// Tells of what the main track's playlist says and has not been told of as it is now.
    pub(super) fn tell_metadata(&mut self) {
        self.tell_date_ranges();
        let Some(stream) = &self.tracks.main.stream else { return };
        let listed = &stream.timeline.latest().events;
        if !Arc::ptr_eq(listed, &self.listed_events) {
            self.listed_events = listed.clone();
            self.tell_events(TrackKind::Main, self.listed_events.to_vec());
        }
    }

    fn tell_date_ranges(&mut self) {
        let Some(stream) = &self.tracks.main.stream else { return };
        let listed = &stream.timeline.latest().date_ranges;
        let fresh = listed.iter().filter(|range| !self.date_ranges.contains(range));
        let placed =
            |range: &DateRange| (range.clone(), range.start.and_then(|at| stream.timeline.position_of(at)));
        let fresh: Vec<_> = fresh.map(placed).collect();
        if !fresh.is_empty() {
            self.date_ranges = listed.clone();
            self.emit(Event::DateRanges(fresh));
        }
    }

    /// Tells of events that are new, by the timeline of a track.
    fn tell_events(&mut self, kind: TrackKind, events: Vec<TimedEvent>) {
        let Some(stream) = &self.tracks.get(kind).stream else { return };
        let mut fresh: Vec<(TimedEvent, Option<Duration>)> = Vec::new();
        for event in events {
            if self.told.is_new(&event) {
                let position = stream.timeline.position_of_time(event.start);
                fresh.push((event, position));
            }
        }
        if !fresh.is_empty() {
            self.emit(Event::TimedEvents(fresh));
        }
    }

    /// Takes the messages in what has gone out of a track.
    pub(super) fn take_messages(&mut self, kind: TrackKind) {
        for (number, message) in self.tracks.get_mut(kind).pump.take_messages() {
            if let Some(event) = self.place_message(kind, number, message) {
                self.tell_events(kind, vec![event]);
            }
        }
    }

    /// The event of a message that came with this segment; None: it has no place, or is for players only.
    fn place_message(&mut self, kind: TrackKind, number: i64, message: EventMessage) -> Option<TimedEvent> {
        let stream = self.tracks.get(kind).stream.as_ref()?;
        let placed = stream.timeline.get(number)?;
        let offset = placed.segment.media_offset?;
        let update = message.mpd_update();
        let event = message.placed(stream.timeline.time_at(placed.start)?, offset);
        if !event.scheme.eq_ignore_ascii_case(MPD_EVENTS) {
            return Some(event);
        }
        let (update, source) = (update?, self.source.as_ref()?);
        // Peers could say anything: from them it is a reason to ask the publisher, no more.
        let vouched = stream.viewer.is_from_origin(SegmentId(number));
        // The end is believed when it comes from the origin, though a peer may have said it before.
        let known = TimedEvent { id: event.id.map(|id| id << 1 | u64::from(vouched)), ..event.clone() };
        if self.told.is_new(&known) && source.handle_update(&update, event.start, vouched) {
            log::info!(target: "p2phls-engine", "an event at {} ms says of the MPD: {update:?}", event.start / 1_000_000);
            let main = self.tracks.main.stream.as_ref();
            main.iter().for_each(|stream| stream.bell.newer.notify_one());
        }
        None
    }
}
