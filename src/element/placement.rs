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

use bytes::Bytes;

use super::clock::{Segment, clock_time};
use super::timing::{Kind, Scanner};
use crate::engine::SegmentStart;

/// Added to all MPEG-TS times, so that none is negative.
const TS_OFFSET: i64 = 10_000_000_000;

/// A change of mapping smaller than this is the playlist's rounding, not a discontinuity: to
/// follow it would tear neighbouring frames apart.
const TOLERANCE: u64 = 100_000_000;

/// A segment whose time is not settled within this many bytes has none that we can read.
const MAX_HELD: usize = 2 << 20;

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
        Self { kind, timeline, offset: None, held: None }
    }

    /// Forgets everything for a new timeline, as after a flush.
    pub fn restart(&mut self, timeline: Segment) {
        *self = Self::new(self.kind, timeline);
    }

    /// A segment of the playlist begins.
    pub fn start(&mut self, start: SegmentStart, out: &mut Vec<Output>) {
        // What is still held belongs to the segment before.
        self.end(out);
        if start.discontinuity || start.init.is_some() || self.offset.is_none() {
            let mut scanner = Scanner::new(self.kind);
            if let Some(init) = &start.init {
                scanner.push(init);
            }
            let position = signed(clock_time(start.position));
            self.held = Some(Held { position, init: start.init, bytes: Vec::new(), scanner });
        }
    }

    /// The segment goes on.
    pub fn data(&mut self, bytes: Bytes, out: &mut Vec<Output>) {
        let Some(held) = &mut self.held else {
            return out.push(Output::Buffer(buffer([bytes])));
        };
        let time = held.scanner.push(&bytes);
        held.bytes.push(bytes);
        if time.is_some() || held.bytes.iter().map(Bytes::len).sum::<usize>() > MAX_HELD {
            self.release(time, out);
        }
    }

    /// The segment is whole: what is not known by now never will be.
    pub fn end(&mut self, out: &mut Vec<Output>) {
        if let Some(held) = &mut self.held {
            let time = held.scanner.finish();
            self.release(time, out);
        }
    }

    fn release(&mut self, time: Option<i64>, out: &mut Vec<Output>) {
        let Some(held) = self.held.take() else { return };
        if held.bytes.is_empty() {
            return;
        }
        let (offset, pts) = match self.kind {
            Kind::MpegTs => (TS_OFFSET, Some(held.position + TS_OFFSET - time.unwrap_or(0))),
            Kind::FragmentedMp4 => {
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
