// SPDX-License-Identifier: MPL-2.0

//! Events: those that stand in the MPD, and those within segments. ISO/IEC 23009-1 5.10.

use std::sync::Arc;
use std::time::Duration;

use super::mpd::Mpd;
use super::values::{self, Nanos, ticks_to_nanos};
use super::xml::Element;
use crate::manifest::TimedEvent;

/// Most events of a stream; the surplus is left out.
const MAX_EVENTS: usize = 10_000;

/// Most bytes of events' content in one stream.
const MAX_CONTENT: usize = 4 << 20;

/// The scheme with which the MPD itself is updated: 5.10.4.
pub const MPD_EVENTS: &str = "urn:mpeg:dash:event:2012";

/// EventStream or InbandEventStream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventStream {
    pub scheme: String,
    pub value: Option<String>,
    pub timescale: u64,
    /// In ticks; taken off the events' times.
    pub presentation_time_offset: i64,
    /// Empty for events within segments.
    pub events: Vec<Event>,
}

/// An event that stands in the MPD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: Option<u64>,
    /// Nanoseconds from the start of the period.
    pub start: Nanos,
    /// None: it lasts until further notice.
    pub duration: Option<Duration>,
    /// Event@messageData, or the text or XML within the event.
    pub content: String,
    /// The content is base64.
    pub base64: bool,
}

impl EventStream {
    pub(super) fn all(element: &Element, name: &str) -> Vec<Self> {
        element.all(name).map(Self::read).collect()
    }

    fn read(element: &Element) -> Self {
        let text = |name| element.text_of(name).map(str::to_owned);
        let timescale = element.text_of("timescale").and_then(values::unsigned).unwrap_or(1).max(1);
        let offset = element.text_of("presentationTimeOffset").and_then(values::integer).unwrap_or(0);
        let mut room = MAX_CONTENT;
        let event = |event: &Element| {
            let number = |name| event.text_of(name).and_then(values::unsigned);
            let time = event.text_of("presentationTime").and_then(values::integer).unwrap_or(0);
            let content = match event.attribute("messageData") {
                Some(content) => content.to_owned(),
                None if event.elements().next().is_none() => event.text().into_owned(),
                None => event.inner_xml(),
            };
            room = room.checked_sub(content.len())?;
            Some(Event {
                id: number("id"),
                start: ticks_to_nanos(i128::from(time) - i128::from(offset), timescale),
                duration: number("duration")
                    .map(|ticks| values::duration_of(ticks_to_nanos(ticks.into(), timescale))),
                content,
                base64: event.text_of("contentEncoding") == Some("base64"),
            })
        };
        Self {
            scheme: text("schemeIdUri").unwrap_or_default(),
            value: text("value"),
            timescale,
            presentation_time_offset: offset,
            events: element.all("Event").take(MAX_EVENTS).map_while(event).collect(),
        }
    }
}

impl TimedEvent {
    /// The events that stand in an MPD, in its order.
    pub(super) fn all(mpd: &Mpd) -> Arc<[Self]> {
        let placed = mpd.periods.iter().filter_map(|period| Some((period.start?, period)));
        let streams =
            placed.flat_map(|(start, period)| period.event_streams.iter().map(move |stream| (start, stream)));
        let events =
            streams.flat_map(|(start, stream)| stream.events.iter().map(move |event| (start, stream, event)));
        let event = |(start, stream, event): (Nanos, &EventStream, &Event)| Self {
            scheme: stream.scheme.clone(),
            value: stream.value.clone().unwrap_or_default(),
            id: event.id,
            start: event.start.saturating_add(start),
            duration: event.duration,
            data: match event.base64 {
                // What is no base64 is passed on as it is written.
                true => values::base64(&event.content).unwrap_or_else(|| event.content.clone().into_bytes()),
                false => event.content.clone().into_bytes(),
            },
        };
        events.take(MAX_EVENTS).map(event).collect()
    }
}

/// An `emsg` box: 5.10.3.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventMessage {
    pub scheme: String,
    pub value: String,
    pub timescale: u32,
    pub time: EventTime,
    /// In ticks; None: unknown.
    pub duration: Option<u32>,
    pub id: u32,
    pub data: Vec<u8>,
}

/// When the event of an `emsg` box is, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// From the earliest presentation time of its segment (version 0).
    InSegment(u32),
    /// On the timeline of the media (version 1).
    Media(u64),
}

impl EventMessage {
    /// Reads the content of an `emsg` box, behind size and name. None where it makes no sense.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let mut reader = super::bytes::Bytes(content);
        let version = reader.u32()? >> 24;
        let (scheme, value, timescale, time, duration, id);
        match version {
            0 => {
                (scheme, value) = (reader.string()?, reader.string()?);
                timescale = reader.u32()?;
                time = EventTime::InSegment(reader.u32()?);
                (duration, id) = (reader.u32()?, reader.u32()?);
            }
            1 => {
                timescale = reader.u32()?;
                time = EventTime::Media(reader.u64()?);
                (duration, id) = (reader.u32()?, reader.u32()?);
                (scheme, value) = (reader.string()?, reader.string()?);
            }
            _ => return None,
        }
        let duration = (duration != u32::MAX).then_some(duration);
        Some(Self { scheme, value, timescale: timescale.max(1), time, duration, id, data: reader.0.to_vec() })
    }

    /// The event in its place: `segment` is where the segment starts that it came with, in nanoseconds on
    /// the MPD's timeline, `media_offset` the time of the media minus that of the MPD.
    pub fn placed(self, segment: Nanos, media_offset: Nanos) -> TimedEvent {
        let nanos = |ticks: i128| ticks_to_nanos(ticks, self.timescale.into());
        let start = match self.time {
            EventTime::InSegment(ticks) => segment.saturating_add(nanos(ticks.into())),
            EventTime::Media(ticks) => nanos(ticks.into()).saturating_sub(media_offset),
        };
        TimedEvent {
            start,
            duration: self.duration.map(|ticks| values::duration_of(nanos(ticks.into()))),
            scheme: self.scheme,
            value: self.value,
            id: Some(self.id.into()),
            data: self.data,
        }
    }

    /// What the event does to the MPD, if it is one of [`MPD_EVENTS`].
    pub fn mpd_update(&self) -> Option<MpdUpdate> {
        if !self.scheme.eq_ignore_ascii_case(MPD_EVENTS) {
            return None;
        }
        let end = self.data.iter().position(|byte| *byte == 0).unwrap_or(self.data.len());
        let (text, behind) = self.data.split_at(end);
        let published = values::date_time(&String::from_utf8_lossy(text));
        let behind = behind.get(1..).unwrap_or_default();
        let ended = self.duration == Some(0) && text.is_empty();
        Some(match self.value.as_str() {
            "2" => MpdUpdate::Patch { published, body: behind.to_vec() },
            "3" => MpdUpdate::Mpd { published, body: behind.to_vec() },
            "1" if ended => MpdUpdate::Ended,
            "1" => MpdUpdate::Expires { published },
            _ => return None,
        })
    }
}

/// What an event within a segment says about the MPD: 5.10.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MpdUpdate {
    /// Value 1: MPDs that were published before `published` do not hold from the event on.
    Expires { published: Option<Duration> },
    /// Value 1 with nothing in it: the presentation ends at the event.
    Ended,
    /// Value 2: a patch of the MPD comes with it.
    Patch { published: Option<Duration>, body: Vec<u8> },
    /// Value 3: the new MPD comes with it.
    Mpd { published: Option<Duration>, body: Vec<u8> },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emsg(version: u8, value: &str, data: &[u8]) -> Vec<u8> {
        let mut content = vec![version, 0, 0, 0];
        let numbers = |content: &mut Vec<u8>| {
            content.extend(1_000u32.to_be_bytes());
            match version {
                0 => content.extend(500u32.to_be_bytes()),
                _ => content.extend(500u64.to_be_bytes()),
            }
            content.extend(u32::MAX.to_be_bytes());
            content.extend(7u32.to_be_bytes());
        };
        let texts = |content: &mut Vec<u8>| content.extend(format!("{MPD_EVENTS}\0{value}\0").bytes());
        if version == 0 {
            texts(&mut content);
            numbers(&mut content);
        } else {
            numbers(&mut content);
            texts(&mut content);
        }
        content.extend(data);
        content
    }

    #[test]
    fn messages_are_read() {
        let old = EventMessage::parse(&emsg(0, "1", b"2024-04-21T06:11:04Z\0")).expect("a message");
        assert_eq!((old.time, old.duration, old.id), (EventTime::InSegment(500), None, 7));
        let published = values::date_time("2024-04-21T06:11:04Z");
        assert_eq!(old.mpd_update(), Some(MpdUpdate::Expires { published }));
        let new = EventMessage::parse(&emsg(1, "3", b"2024-04-21T06:11:04Z\0<MPD/>")).expect("a message");
        assert_eq!((new.time, new.timescale), (EventTime::Media(500), 1_000));
        assert_eq!(new.mpd_update(), Some(MpdUpdate::Mpd { published, body: b"<MPD/>".to_vec() }));

        let other = EventMessage { scheme: "urn:scte:scte35:2013:bin".into(), ..new };
        assert_eq!(other.mpd_update(), None);
        let whole = emsg(1, "1", b"x");
        (0..40).for_each(|length| assert_eq!(EventMessage::parse(&whole[..length]), None));
        assert_eq!(EventMessage::parse(&emsg(2, "1", b"x")), None);
    }
}
