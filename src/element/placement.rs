// SPDX-License-Identifier: MPL-2.0

//! Places a track's container bytes on the pipeline's timeline.
//!
//! Bytes carry their own clock, which starts anywhere and starts again at a discontinuity, and
//! the demuxers downstream differ in what they let a source say about it:
//!
//! - `tsdemux` takes the time of the buffer after a DISCONT as the time of the first clock
//!   reference (PCR) in it. Pictures are due a little after their clock reference, so that time
//!   has to come early by as much, and everything is moved up by [`TS_OFFSET`] to leave room.
//! - `qtdemux` ignores buffer times where a fragment has its own (`tfdt`), but lets the segment
//!   pass. So the segment says which media time is which stream time, anew after a discontinuity.
//!
//! Either way the first sample of a segment of the playlist is shown at the stream time that the
//! playlist gives it. Where a discontinuity begins, bytes are held back until their time is read.
//!
//! Bytes stay as they are, except for long fragments of muxed MP4: see [`Interleaver`].

use bytes::Bytes;

use super::clock::{Segment, clock_time};
use super::timing::Scanner;
use crate::container::Kind;
use crate::container::mp4::interleave::Interleaver;
use crate::engine::SegmentStart;

/// Added to all MPEG-TS times, so that none is negative.
const TS_OFFSET: i64 = 10_000_000_000;

/// A change of mapping smaller than this is the playlist's rounding, not a discontinuity: to
/// follow it would tear neighbouring frames apart.
const TOLERANCE: u64 = 100_000_000;

/// What to push, in order.
#[derive(Debug)]
pub enum Output {
    Segment(Segment),
    Buffer(gst::Buffer),
}

/// The state of one track between two items.
#[derive(Debug)]
pub struct Placement {
    kind: Kind,
    /// The seek's segment, in stream time.
    timeline: Segment,
    /// Media time minus stream time of the last segment event; None when none was pushed.
    offset: Option<i64>,
    held: Option<Held>,
    /// For fragmented MP4.
    interleaver: Option<Interleaver>,
}

/// Bytes from a discontinuity on, waiting for their time.
#[derive(Debug)]
struct Held {
    position: i64,
    init: Option<Bytes>,
    bytes: Vec<Bytes>,
    scanner: Scanner,
}

impl Placement {
    pub fn new(kind: Kind, timeline: Segment) -> Self {
        let interleaver = (kind == Kind::FragmentedMp4).then(Interleaver::default);
        Self { kind, timeline, offset: None, held: None, interleaver }
    }

    /// Forgets everything for a new timeline, as after a flush.
    pub fn restart(&mut self, timeline: Segment) {
        *self = Self::new(self.kind, timeline);
    }

    /// A segment of the playlist begins.
    pub fn start(&mut self, start: SegmentStart, out: &mut Vec<Output>) {
        // What is still held belongs to the segment before.
        self.end(out);
        if let (Some(interleaver), Some(init)) = (&mut self.interleaver, &start.init) {
            interleaver.init(init);
        }
        if start.discontinuity || start.init.is_some() || self.offset.is_none() {
            let scanner = Scanner::new(self.kind, start.init.as_deref());
            let position = signed(clock_time(start.position));
            self.held = Some(Held { position, init: start.init, bytes: Vec::new(), scanner });
        }
    }

    /// The segment goes on.
    pub fn data(&mut self, bytes: Bytes, out: &mut Vec<Output>) {
        let Some(interleaver) = &mut self.interleaver else { return self.place(bytes, out) };
        let mut ready = Vec::new();
        interleaver.push(bytes, &mut ready);
        ready.into_iter().for_each(|bytes| self.place(bytes, out));
    }

    /// The segment is whole.
    pub fn end(&mut self, out: &mut Vec<Output>) {
        let mut rest = Vec::new();
        if let Some(interleaver) = &mut self.interleaver {
            interleaver.finish(&mut rest);
        }
        rest.into_iter().for_each(|bytes| self.place(bytes, out));
        self.settle(out);
    }

    /// What goes downstream.
    fn place(&mut self, bytes: Bytes, out: &mut Vec<Output>) {
        let Some(held) = &mut self.held else {
            return out.push(Output::Buffer(buffer([bytes])));
        };
        let settled = held.scanner.push(&bytes);
        held.bytes.push(bytes);
        if settled {
            self.settle(out);
        }
    }

    /// The time of what is held is settled: what is not known by now never will be.
    fn settle(&mut self, out: &mut Vec<Output>) {
        let Some(held) = self.held.take() else { return };
        let time = held.scanner.time();
        if held.bytes.is_empty() {
            return;
        }
        let (offset, pts) = match self.kind {
            Kind::MpegTs => (TS_OFFSET, Some(held.position + TS_OFFSET - time.unwrap_or(0))),
            _ => {
                let offset = time.map(|time| time - held.position).or(self.offset);
                (offset.unwrap_or(0), None)
            }
        };
        if self.offset.is_none_or(|old| old.abs_diff(offset) > TOLERANCE) {
            out.push(Output::Segment(self.segment(held.position, offset)));
            self.offset = Some(offset);
        }

        let mut chunks = held.bytes.into_iter();
        let mut first = buffer(held.init.into_iter().chain(chunks.next()));
        let buffer_ref = first.make_mut();
        buffer_ref.set_flags(gst::BufferFlags::DISCONT);
        buffer_ref.set_pts(pts.map(unsigned));
        out.push(Output::Buffer(first));
        out.extend(chunks.map(|bytes| Output::Buffer(buffer([bytes]))));
    }

    /// The segment that shows media time `position + offset` at stream time `position`.
    fn segment(&self, position: i64, offset: i64) -> Segment {
        // After a seek the first segment of the playlist begins before the target.
        let at = unsigned(position).max(self.timeline.start().unwrap_or_default());
        let media = |time: gst::ClockTime| unsigned(signed(time) + offset);
        let mut segment = self.timeline.clone();
        segment.set_start(media(at));
        segment.set_position(media(at));
        segment.set_stop(self.timeline.stop().map(media));
        segment.set_time(at);
        segment.set_base(self.timeline.to_running_time(at).or(self.timeline.base()));
        segment.set_duration(gst::ClockTime::NONE);
        segment
    }
}

fn buffer(chunks: impl IntoIterator<Item = Bytes>) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    let buffer_ref = buffer.make_mut();
    for bytes in chunks {
        buffer_ref.append_memory(gst::Memory::from_slice(bytes));
    }
    buffer
}

fn signed(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(i64::MAX / 2)
}

fn unsigned(time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const S: gst::ClockTime = gst::ClockTime::SECOND;

    fn timeline(start: u64) -> Segment {
        gst::init().expect("GStreamer starts");
        let mut segment = Segment::new();
        segment.set_start(start * S);
        segment.set_time(start * S);
        segment.set_position(start * S);
        segment
    }

    fn start(position: u64, discontinuity: bool) -> SegmentStart {
        let (position, duration) = (Duration::from_secs(position), Duration::from_secs(6));
        SegmentStart { position, duration, discontinuity, init: None }
    }

    /// A segment of the playlist whose bytes carry no time.
    fn timeless(placement: &mut Placement, position: u64, discontinuity: bool) -> Vec<Output> {
        let mut out = Vec::new();
        placement.start(start(position, discontinuity), &mut out);
        placement.data(Bytes::from_static(b"some"), &mut out);
        placement.data(Bytes::from_static(b"bytes"), &mut out);
        placement.end(&mut out);
        out
    }

    fn segments(out: &[Output]) -> Vec<&Segment> {
        fn segment(output: &Output) -> Option<&Segment> {
            match output {
                Output::Segment(segment) => Some(segment),
                Output::Buffer(_) => None,
            }
        }
        out.iter().filter_map(segment).collect()
    }

    /// Time and DISCONT of each buffer.
    fn buffers(out: &[Output]) -> Vec<(Option<gst::ClockTime>, bool)> {
        let buffer = |output: &Output| match output {
            Output::Buffer(buffer) => {
                Some((buffer.pts(), buffer.flags().contains(gst::BufferFlags::DISCONT)))
            }
            Output::Segment(_) => None,
        };
        out.iter().filter_map(buffer).collect()
    }

    #[test]
    fn mpeg_ts_gets_one_segment_and_times_at_discontinuities() {
        let mut placement = Placement::new(Kind::MpegTs, timeline(17));
        let out = timeless(&mut placement, 12, true);
        let [segment] = segments(&out)[..] else { panic!("one segment: {out:?}") };
        assert_eq!((segment.start(), segment.time()), (Some(27 * S), Some(17 * S)));
        assert_eq!(segment.base(), Some(gst::ClockTime::ZERO));
        assert_eq!(buffers(&out), [(Some(22 * S), true), (None, false)]);

        let out = timeless(&mut placement, 18, false);
        assert_eq!(segments(&out).len(), 0);
        assert_eq!(buffers(&out), [(None, false), (None, false)]);

        let out = timeless(&mut placement, 24, true);
        assert_eq!(segments(&out).len(), 0);
        assert_eq!(buffers(&out), [(Some(34 * S), true), (None, false)]);
    }

    #[test]
    fn bytes_wait_for_their_time_at_a_discontinuity_only() {
        let mut placement = Placement::new(Kind::MpegTs, timeline(0));
        let mut out = Vec::new();
        placement.start(start(0, true), &mut out);
        placement.data(Bytes::from_static(b"held"), &mut out);
        assert_eq!(out.len(), 0);
        // A segment that breaks off still goes out.
        placement.start(start(6, false), &mut out);
        assert_eq!(buffers(&out), [(Some(10 * S), true)]);
        placement.data(Bytes::from_static(b"passed"), &mut out);
        assert_eq!(buffers(&out).len(), 2);
    }

    #[test]
    fn fragmented_mp4_begins_with_its_initialisation_segment() {
        let mut placement = Placement::new(Kind::FragmentedMp4, timeline(0));
        let mut out = Vec::new();
        placement.start(SegmentStart { init: Some(Bytes::from_static(b"init")), ..start(0, true) }, &mut out);
        placement.data(Bytes::from_static(b"data"), &mut out);
        placement.end(&mut out);
        assert_eq!(segments(&out).len(), 1);
        let Some(Output::Buffer(buffer)) = out.last() else { panic!("a buffer: {out:?}") };
        assert_eq!(buffer.map_readable().expect("memory").as_slice(), b"initdata");
    }

    #[test]
    fn a_new_mapping_continues_running_time() {
        let mut placement = Placement::new(Kind::FragmentedMp4, timeline(4));
        // As after segments of which the first gave media time 100 s at 0 s.
        placement.offset = Some(100 * S.nseconds() as i64);
        let segment = placement.segment(12 * S.nseconds() as i64, -2 * S.nseconds() as i64);
        assert_eq!(
            (segment.start(), segment.time(), segment.base()),
            (Some(10 * S), Some(12 * S), Some(8 * S))
        );
        // After a restart nothing of the old mapping is left.
        placement.restart(timeline(0));
        assert_eq!(segments(&timeless(&mut placement, 0, true)).len(), 1);
    }
}
