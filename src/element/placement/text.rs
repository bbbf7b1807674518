// SPDX-License-Identifier: MPL-2.0

//! Subtitles in WebVTT and TTML: each segment says in words when its cues are shown, on the clock that the manifest
//! says, or on one that a header of WebVTT relates to that of the media (RFC 8216bis 3.5). The text stays as it is; the
//! segment event says which time in it is which stream time.

use super::{Held, Output, Placement, TOLERANCE, buffer, signed, unsigned};
use crate::container::webvtt::{TimestampMap, first_cue};
use crate::container::{Kind, ts};
use crate::element::clock::clock_time;

impl Placement {
    /// The whole of a segment has come.
    pub(super) fn settle_text(&mut self, held: &Held, out: &mut Vec<Output>) {
        let mut text: Vec<u8> = held.bytes.concat();
        let cue = match self.kind {
            // Its times are not looked at: they are taken to be right.
            Kind::Ttml => Some(held.position.saturating_add(held.media_zero.unwrap_or(0))),
            _ => first_cue(&text).map(|cue| signed(clock_time(cue))),
        };
        if let Some(cue) = cue {
            let offset = -self.cue_zero(held, TimestampMap::read(&text).unwrap_or_default(), cue);
            self.announce(held.position, held.shown_until, offset, TOLERANCE, out);
            // A cue ends with an empty line, and the next segment does not go on where this one ends.
            text.extend(b"\n\n");
            let mut buffer = buffer([text.into()]);
            let buffer_ref = buffer.make_mut();
            buffer_ref.set_flags(gst::BufferFlags::DISCONT);
            buffer_ref.set_pts(unsigned(held.position + offset));
            out.push(Output::Buffer(buffer));
        }
        // Whoever waits for more cues need not, up to the end of the segment.
        self.gap(unsigned(held.position), unsigned(held.duration), out);
    }

    /// The stream time of a cue at zero, where the first one is at `cue`.
    fn cue_zero(&self, held: &Held, map: TimestampMap, cue: i64) -> i64 {
        // The first cue belongs into the segment, or begins a little before it.
        let is_within = |time: i64| {
            let slack = 10_000_000_000;
            (held.position - slack..held.position + held.duration + slack).contains(&time)
        };
        if let Some(zero) = held.media_zero.filter(|zero| is_within(cue.saturating_sub(*zero))) {
            return -zero;
        }
        // Without a map, times are those of the presentation: so players take them, and so packagers write them.
        if map == TimestampMap::default() && is_within(cue) {
            return 0;
        }
        let media = ts::nanoseconds(map.zero()).saturating_add(cue);
        match self.shared.place(held.sequence, media, held.position, held.duration) {
            Some(placed) => placed - cue,
            None if is_within(cue) => 0,
            // What is left: local time begins with the segment.
            None => held.position - signed(clock_time(map.local)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::element::clock::Segment;
    use crate::element::sync::SharedClock;
    use crate::engine::SegmentStart;

    const S: gst::ClockTime = gst::ClockTime::SECOND;

    /// Start and stream time of the segment event for a segment of subtitles at `position`.
    fn placed(shared: &Arc<SharedClock>, position: u64, text: &str) -> (gst::ClockTime, gst::ClockTime) {
        placed_by(None, shared, position, text)
    }

    /// The same where the manifest says the media's time at zero, in nanoseconds.
    fn placed_by(
        media_zero: Option<i64>,
        shared: &Arc<SharedClock>,
        position: u64,
        text: &str,
    ) -> (gst::ClockTime, gst::ClockTime) {
        gst::init().expect("GStreamer starts");
        let mut timeline = Segment::new();
        timeline.set_start(gst::ClockTime::ZERO);
        timeline.set_time(gst::ClockTime::ZERO);
        let mut placement = Placement::new(Kind::WebVtt, timeline, shared.clone(), false);
        let mut out = Vec::new();
        let start = SegmentStart::at(Duration::from_secs(position), Duration::from_secs(6));
        let start = SegmentStart { discontinuity: true, media_zero, ..start };
        placement.start(start, &mut out);
        // In two pieces, which may be cut anywhere.
        placement.data(text.as_bytes()[..9].to_vec().into(), &mut out);
        placement.data(text.as_bytes()[9..].to_vec().into(), &mut out);
        assert_eq!(out.len(), 0, "it waits for the whole");
        placement.end(&mut out);
        let [Output::Segment(segment), Output::Buffer(buffer), Output::Gap(_, duration)] = &out[..] else {
            panic!("{out:?}")
        };
        assert!(buffer.map_readable().expect("memory").as_slice().starts_with(text.as_bytes()));
        assert_eq!(*duration, 6 * S);
        (segment.start().expect("a start"), segment.time().expect("a time"))
    }

    #[test]
    fn cues_are_placed_by_the_clock_of_the_media() {
        let shared = Arc::new(SharedClock::default());
        let plain = "WEBVTT\n\n00:00:13.000 --> 00:00:14.000\nx\n";
        assert_eq!(placed(&shared, 12, plain), (12 * S, 12 * S), "times of the presentation");
        // Media time 10 s is shown at 0 s.
        shared.set(0, 10_000_000_000);
        assert_eq!(placed(&shared, 12, plain), (12 * S, 12 * S));
        let mapped =
            "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n00:00:13.000 --> 00:00:14.000\nx\n";
        assert_eq!(placed(&shared, 12, mapped), (12 * S, 12 * S));
        // Each segment begins at zero: 22 s of media time are 12 s of the presentation.
        let local =
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:1980000,LOCAL:00:00:00.000\n\n00:01.000 --> 00:02.000\nx\n";
        assert_eq!(placed(&shared, 12, local), (gst::ClockTime::ZERO, 12 * S));
        // One for all of a film: its first cue may be far from its start.
        let late = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:05.000 --> 00:06.000\nx\n";
        assert_eq!(placed(&shared, 0, late), (gst::ClockTime::ZERO, gst::ClockTime::ZERO));
    }

    #[test]
    fn cues_are_placed_as_the_manifest_says() {
        let shared = Arc::new(SharedClock::default());
        let plain = "WEBVTT\n\n00:00:13.000 --> 00:00:14.000\nx\n";
        let second = S.nseconds() as i64;
        assert_eq!(placed_by(Some(10 * second), &shared, 2, plain), (12 * S, 2 * S));
        assert_eq!(placed_by(Some(-10 * second), &shared, 22, plain), (12 * S, 22 * S));
        // It is wrong.
        assert_eq!(placed_by(Some(100 * second), &shared, 12, plain), (12 * S, 12 * S));
    }

    #[test]
    fn a_segment_without_cues_is_a_gap() {
        gst::init().expect("GStreamer starts");
        let mut placement = Placement::new(Kind::WebVtt, Segment::new(), Arc::default(), false);
        let mut out = Vec::new();
        placement.gap(4 * S, 2 * S, &mut out);
        assert!(matches!(&out[..], [Output::Segment(_), Output::Gap(at, _)] if *at == 4 * S), "{out:?}");
    }
}
