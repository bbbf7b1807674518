// SPDX-License-Identifier: MPL-2.0

//! What a playlist says about the stream, as element messages: chapters, advertisements and splice
//! points (EXT-X-DATERANGE, SCTE-35), and the publisher's own data (EXT-X-SESSION-DATA).
//!
//! | structure | fields |
//! | --- | --- |
//! | `p2phls-date-range` | `id`, `class` (string); `start`, `end` (string, ISO 8601); `position` (guint64, ns on the timeline); `duration`, `planned-duration` (guint64, ns); `end-on-next`, `cue-pre`, `cue-post`, `cue-once` (gboolean); `scte35-cmd`, `scte35-out`, `scte35-in` (GstBuffer with a `splice_info_section`); `attributes` (GstStructure with a string for each `X-` attribute) |
//! | `p2phls-session-data` | `data-id` (string); `value` (string) or `uri` (string) with `format` (`json`, `raw`); `language` (string) |
//! | `p2phls-event` | `scheme`, `value` (string); `id` (guint64); `position` (guint64, ns on the timeline) and `running-time` (guint64, ns), where it begins; `duration` (guint64, ns); `data` (GstBuffer); `scte35` (GstBuffer with a `splice_info_section`), where the event is one |
//!
//! A field is absent where the playlist says nothing. A date range is told of again when it changes. An event, which stands in
//! an MPD (EventStream) or came with the media (`emsg`), is told once; its running time is that of the seek in force then.

use std::time::Duration;

use super::clock::clock_time;
use crate::manifest::{DateRange, SessionContent, SessionData, TimedEvent};

pub fn date_range(range: &DateRange, position: Option<Duration>) -> gst::Structure {
    let nanoseconds = |time: Duration| clock_time(time).nseconds();
    let splice = |section: &Option<Vec<u8>>| section.clone().map(gst::Buffer::from_slice);
    let mut attributes = gst::Structure::new_empty("attributes");
    for (name, value) in &range.client_attributes {
        // The names of a playlist are any text, those of a structure are not.
        if name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:+/".contains(c)) {
            attributes.set(name.as_str(), value);
        }
    }
    let mut structure = gst::Structure::builder("p2phls-date-range")
        .field("id", &range.id)
        .field("end-on-next", range.end_on_next)
        .field("cue-pre", range.cue.pre)
        .field("cue-post", range.cue.post)
        .field("cue-once", range.cue.once)
        .field("attributes", attributes)
        .build();
    structure.set_if_some("class", range.class.as_deref());
    structure.set_if_some("start", range.start.and_then(iso_8601));
    structure.set_if_some("end", range.end.and_then(iso_8601));
    structure.set_if_some("position", position.map(nanoseconds));
    structure.set_if_some("duration", range.duration.map(nanoseconds));
    structure.set_if_some("planned-duration", range.planned_duration.map(nanoseconds));
    structure.set_if_some("scte35-cmd", splice(&range.scte35_cmd));
    structure.set_if_some("scte35-out", splice(&range.scte35_out));
    structure.set_if_some("scte35-in", splice(&range.scte35_in));
    structure
}

pub fn session_data(data: &SessionData) -> gst::Structure {
    let mut structure = gst::Structure::builder("p2phls-session-data").field("data-id", &data.id).build();
    let mut place = |url: &url::Url, format: &str| {
        structure.set("uri", url.as_str());
        structure.set("format", format);
    };
    match &data.content {
        SessionContent::Json(url) => place(url, "json"),
        SessionContent::Raw(url) => place(url, "raw"),
        SessionContent::Value(value) => structure.set("value", value),
    }
    structure.set_if_some("language", data.language.as_deref());
    structure
}

pub fn timed_event(
    event: &TimedEvent,
    position: Option<Duration>,
    running_time: Option<gst::ClockTime>,
) -> gst::Structure {
    let buffer = |bytes: &[u8]| gst::Buffer::from_slice(bytes.to_vec());
    // What C strings cannot hold.
    let text = |text: &str| text.replace('\0', "");
    let mut structure = gst::Structure::builder("p2phls-event")
        .field("scheme", text(&event.scheme))
        .field("value", text(&event.value))
        .field("data", buffer(&event.data))
        .build();
    structure.set_if_some("id", event.id);
    structure.set_if_some("position", position.map(|time| clock_time(time).nseconds()));
    structure.set_if_some("running-time", running_time.map(gst::ClockTime::nseconds));
    structure.set_if_some("duration", event.duration.map(|time| clock_time(time).nseconds()));
    structure.set_if_some("scte35", splice_section(event).as_deref().map(buffer));
    structure
}

/// The `splice_info_section` of an event: the data itself, or base64 in XML (SCTE 214-1 6.8.4).
fn splice_section(event: &TimedEvent) -> Option<Vec<u8>> {
    use base64::Engine as _;
    match event.scheme.to_ascii_lowercase().as_str() {
        "urn:scte:scte35:2013:bin" => Some(event.data.clone()),
        "urn:scte:scte35:2014:xml+bin" | "urn:scte:scte35:2013:xml+bin" => {
            let text = str::from_utf8(&event.data).ok()?;
            let (_, rest) = text.split_once("Binary")?;
            let (_, rest) = rest.split_once('>')?;
            let (base64, _) = rest.split_once('<')?;
            let base64: String = base64.split_ascii_whitespace().collect();
            base64::engine::general_purpose::STANDARD.decode(base64).ok()
        }
        _ => None,
    }
}

/// A moment of wall clock, since 1970-01-01 UTC, to the millisecond.
fn iso_8601(clock: Duration) -> Option<String> {
    let seconds = i64::try_from(clock.as_secs()).ok()?;
    let time = glib::DateTime::from_unix_utc(seconds).ok()?;
    Some(format!("{}.{:03}Z", time.format("%Y-%m-%dT%H:%M:%S").ok()?, clock.subsec_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_range_becomes_a_structure() {
        gst::init().expect("GStreamer starts");
        let range = DateRange {
            id: "ad".to_owned(),
            start: Some(Duration::from_millis(1_700_000_000_250)),
            duration: Some(Duration::from_secs(30)),
            scte35_out: Some(vec![0xfc, 0x30]),
            client_attributes: vec![("X-A".to_owned(), "1".to_owned()), ("X-\"".to_owned(), "2".to_owned())],
            ..DateRange::default()
        };
        let structure = date_range(&range, Some(Duration::from_secs(4)));
        assert_eq!(structure.get::<&str>("start"), Ok("2023-11-14T22:13:20.250Z"));
        assert_eq!(structure.get::<u64>("position"), Ok(4_000_000_000));
        assert_eq!(structure.get::<u64>("duration"), Ok(30_000_000_000));
        let splice = structure.get::<gst::Buffer>("scte35-out").expect("a buffer");
        assert_eq!(splice.map_readable().expect("bytes").as_slice(), [0xfc, 0x30]);
        let attributes = structure.get::<gst::Structure>("attributes").expect("a structure");
        assert_eq!((attributes.n_fields(), attributes.get::<&str>("X-A")), (1, Ok("1")));
        assert!(!structure.has_field("end") && !structure.has_field("class"));
    }

    #[test]
    fn an_event_becomes_a_structure() {
        gst::init().expect("GStreamer starts");
        let event = TimedEvent {
            scheme: "urn:scte:scte35:2014:xml+bin".to_owned(),
            value: "1".to_owned(),
            id: Some(7),
            duration: Some(Duration::from_secs(30)),
            data: b"<s:Signal xmlns:s=\"x\"><s:Binary>\n /DA= </s:Binary></s:Signal>".to_vec(),
            ..TimedEvent::default()
        };
        let at = Duration::from_secs(4);
        let structure = timed_event(&event, Some(at), Some(gst::ClockTime::SECOND));
        assert_eq!((structure.get::<&str>("value"), structure.get::<u64>("id")), (Ok("1"), Ok(7)));
        assert_eq!(structure.get::<u64>("position"), Ok(4_000_000_000));
        assert_eq!(structure.get::<u64>("running-time"), Ok(1_000_000_000));
        assert_eq!(structure.get::<u64>("duration"), Ok(30_000_000_000));
        let bytes = |name: &str| {
            let buffer = structure.get::<gst::Buffer>(name).expect("a buffer");
            buffer.map_readable().expect("bytes").to_vec()
        };
        assert_eq!((bytes("scte35"), bytes("data")), (vec![0xfc, 0x30], event.data));
        let other = timed_event(&TimedEvent::default(), None, None);
        assert!(
            !["id", "position", "running-time", "duration", "scte35"]
                .iter()
                .any(|name| other.has_field(*name))
        );
    }
}
