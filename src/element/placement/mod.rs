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
//! - Packed audio gets the time of its first frame on the buffer after a DISCONT, without the tags that tell it.
//! - Subtitles in WebVTT say their times in words: see [`text`].
//!
//! Either way the first sample of a segment of the main track is shown at the stream time that the
//! playlist gives it, and the other tracks go by its clock (see [`SharedClock`]). Where a discontinuity begins, bytes
//! are held back until their time is read.
//!
//! Bytes stay as they are, except for long fragments of muxed MP4: see [`Interleaver`].

mod text;

use std::sync::Arc;

use bytes::Bytes;

use super::clock::{Segment, clock_time};
use super::sync::SharedClock;
use super::timing::Scanner;
use crate::container::Kind;
use crate::container::mp4::interleave::Interleaver;
use crate::engine::SegmentStart;
use crate::manifest::Protection;

/// Added to all times of MPEG-TS and packed audio, so that none is negative.
const TS_OFFSET: i64 = 10_000_000_000;

/// A change of mapping smaller than this is the playlist's rounding, not a discontinuity: to
/// follow it would tear neighbouring frames apart.
const TOLERANCE: u64 = 100_000_000;

/// What to push, in order.
#[derive(Debug)]
pub enum Output {
    Segment(Segment),
    Buffer(gst::Buffer),
    Tags(gst::TagList),
    Protection(Protection),
    /// Nothing to show from a time on, for so long.
    Gap(gst::ClockTime, gst::ClockTime),
}

/// The state of one track between two items.
#[derive(Debug)]
pub struct Placement {
    kind: Kind,
    shared: Arc<SharedClock>,
    /// This is the main track, which the others go by.
    leads: bool,
    /// The seek's segment, in stream time.
    timeline: Segment,
    /// Media time minus stream time of the last segment event; None when none was pushed.
    offset: Option<i64>,
    held: Option<Held>,
    /// For fragmented MP4.
    interleaver: Option<Interleaver>,
}

/// Bytes waiting for their time, which is read from them. Times are in nanoseconds.
#[derive(Debug)]
struct Held {
    position: i64,
    duration: i64,
    /// Up to where another rendition has been shown.
    shown_until: i64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    sequence: u64,
    /// A time has to be set here: the bytes do not continue those before.
    fresh: bool,
    init: Option<Bytes>,
    bytes: Vec<Bytes>,
    scanner: Scanner,
}

impl Placement {
    pub fn new(kind: Kind, timeline: Segment, shared: Arc<SharedClock>, leads: bool) -> Self {
        let interleaver = (kind == Kind::FragmentedMp4).then(Interleaver::default);
        Self { kind, shared, leads, timeline, offset: None, held: None, interleaver }
    }

    /// Forgets everything for a new timeline, as after a flush.
    pub fn restart(&mut self, timeline: Segment) {
        *self = Self::new(self.kind, timeline, self.shared.clone(), self.leads);
    }

    /// Pushes a segment event with the next segment of the playlist, whatever was pushed before.
    pub fn renew_segment(&mut self) {
        self.offset = None;
    }

    /// Whether the main track should have said where it is before this segment is placed.
    pub fn needs_clock(&self, start: &SegmentStart) -> bool {
        !self.leads && (self.is_fresh(start) || self.kind == Kind::WebVtt)
    }

    fn is_fresh(&self, start: &SegmentStart) -> bool {
        start.discontinuity || start.init.is_some() || self.offset.is_none()
    }

    /// A segment of the playlist begins.
    pub fn start(&mut self, start: SegmentStart, out: &mut Vec<Output>) {
        // What is still held belongs to the segment before.
        self.end(out);
        if let (Some(interleaver), Some(init)) = (&mut self.interleaver, &start.init) {
            interleaver.init(init);
        }
        let fresh = self.is_fresh(&start);
        let position = signed(clock_time(start.position));
        if self.leads {
            self.shared.come_to(position);
        }
        // These two have something at the start of each segment that is not media.
        if fresh || matches!(self.kind, Kind::PackedAudio | Kind::WebVtt) {
            self.held = Some(Held {
                position,
                duration: signed(clock_time(start.duration)),
                shown_until: signed(clock_time(start.shown_until)),
                sequence: start.discontinuity_sequence,
                fresh,
                scanner: Scanner::new(self.kind, start.init.as_deref()),
                init: start.init,
                bytes: Vec::new(),
            });
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

    /// There is nothing to show from `position` on, for so long.
    pub fn gap(&mut self, position: gst::ClockTime, duration: gst::ClockTime, out: &mut Vec<Output>) {
        self.end(out);
        let offset = self.offset.unwrap_or(0);
        self.announce(signed(position), 0, offset, out);
        out.push(Output::Gap(unsigned(signed(position) + offset), duration));
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
        let Some(mut held) = self.held.take() else { return };
        if held.bytes.is_empty() {
            return;
        }
        if self.kind == Kind::WebVtt {
            return self.settle_text(&held, out);
        }
        leave_out(&mut held.bytes, held.scanner.tags());
        if !held.fresh {
            return out.extend(held.bytes.into_iter().map(|bytes| Output::Buffer(buffer([bytes]))));
        }
        let start = held.scanner.start();
        let position = self.agreed_position(&held, start);
        let (offset, pts) = match self.kind {
            Kind::MpegTs => (TS_OFFSET, Some(position + TS_OFFSET - held.scanner.lead().unwrap_or(0))),
            Kind::PackedAudio => (TS_OFFSET, Some(position + TS_OFFSET)),
            _ => {
                let offset = start.map(|start| start - position).or(self.offset);
                (offset.unwrap_or(0), None)
            }
        };
        self.announce(position, held.shown_until, offset, out);

        let mut chunks = held.bytes.into_iter();
        let mut first = buffer(held.init.into_iter().chain(chunks.next()));
        let buffer_ref = first.make_mut();
        buffer_ref.set_flags(gst::BufferFlags::DISCONT);
        buffer_ref.set_pts(pts.map(unsigned));
        out.push(Output::Buffer(first));
        out.extend(chunks.map(|bytes| Output::Buffer(buffer([bytes]))));
    }

    /// Where media that begins at `start` of its own clock belongs. The clock that tracks share is that of what is
    /// shown: what edit lists cut off does not count.
    fn agreed_position(&self, held: &Held, start: Option<i64>) -> i64 {
        match start.map(|start| start - held.scanner.edit()) {
            Some(start) if self.leads => {
                self.shared.set(held.sequence, start - held.position);
                held.position
            }
            Some(start) => self.shared.place(held.sequence, start, held.position, 0).unwrap_or(held.position),
            None => held.position,
        }
    }

    /// Says which media time is which stream time from `position` on, unless that is known.
    fn announce(&mut self, position: i64, shown_until: i64, offset: i64, out: &mut Vec<Output>) {
        let known = self.offset.is_some_and(|old| old.abs_diff(offset) <= TOLERANCE);
        let overlaps = shown_until > position.saturating_add_unsigned(TOLERANCE);
        if !known || overlaps {
            let from = if overlaps { shown_until } else { position };
            out.push(Output::Segment(self.segment(from, offset)));
            self.offset = Some(offset);
        }
    }

    /// The segment that shows media time `position + offset` at stream time `position`.
    fn segment(&self, position: i64, offset: i64) -> Segment {
        // After a seek the first segment of the playlist begins before the target, and there is no media time
        // below zero.
        let at = unsigned(position.max(-offset)).max(self.timeline.start().unwrap_or_default());
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

/// Takes so many bytes away from the front.
fn leave_out(chunks: &mut Vec<Bytes>, mut length: usize) {
    for chunk in chunks.iter_mut() {
        let part = length.min(chunk.len());
        *chunk = chunk.slice(part..);
        length -= part;
    }
    chunks.retain(|chunk| !chunk.is_empty());
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
mod tests;
