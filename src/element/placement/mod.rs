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
//! - `matroskademux` gives frames the times that stand in the file. It is in the element ([`super::demux`]), which passes
//!   the segment on, as for `qtdemux`.
//! - Packed audio gets the time of its first frame on the buffer after a DISCONT, without the tags that tell it.
//! - Subtitles in WebVTT and TTML say their times in words: see [`text`].
//!
//! Which media time is which stream time, the manifest says, or else it is found: then the first sample of a segment of
//! the main track is shown at the stream time that the playlist gives it, and the other tracks go by its clock (see
//! [`SharedClock`]). Where a discontinuity begins, bytes are held back until their time is read.
//!
//! Bytes stay as they are, except for long fragments of muxed MP4: see [`Interleaver`].

mod text;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::clock::{Segment, clock_time};
use super::protection;
use super::sync::{SharedClock, near};
use super::timing::Scanner;
use crate::container::Kind;
use crate::container::mp4::interleave::Interleaver;
use crate::container::mp4::only::Only;
use crate::engine::SegmentStart;
use crate::manifest::Protection;

/// Added to all times of MPEG-TS and packed audio, so that none is negative.
const TS_OFFSET: i64 = 10_000_000_000;

/// A packet that demuxers throw away: ISO/IEC 13818-1, 2.4.3.3.
const TS_NULL_PACKET: [u8; 188] = {
    let mut packet = [0xff; 188];
    [packet[0], packet[1], packet[3]] = [0x47, 0x1f, 0x10];
    packet
};

/// A change of mapping smaller than this is the playlist's rounding, not a discontinuity: to
/// follow it would tear neighbouring frames apart.
const TOLERANCE: u64 = 100_000_000;

/// The same where the manifest says the mapping, whose times are exact but for the ticks of its clocks.
const FINE_TOLERANCE: u64 = 5_000_000;

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

impl Output {
    /// The event to push; what is a buffer is given back.
    pub fn into_event(self, seqnum: gst::Seqnum) -> Result<gst::Event, gst::Buffer> {
        Ok(match self {
            Self::Segment(segment) => gst::event::Segment::builder(&segment).seqnum(seqnum).build(),
            Self::Protection(protection) => protection::event(&protection, seqnum),
            Self::Tags(tags) => gst::event::Tag::builder(tags).seqnum(seqnum).build(),
            Self::Gap(start, duration) => {
                gst::event::Gap::builder(start).duration(duration).seqnum(seqnum).build()
            }
            Self::Buffer(buffer) => return Err(buffer),
        })
    }
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
    /// The segment in work is a key frame alone, at this position.
    key_frame: Option<i64>,
    /// What of fragmented MP4 goes out; None: everything.
    only: Option<Only>,
}

/// Bytes waiting for their time, which is read from them. Times are in nanoseconds.
#[derive(Debug)]
struct Held {
    position: i64,
    duration: i64,
    /// Up to where another rendition has been shown.
    shown_until: i64,
    /// The media's time at position zero, where the manifest says it.
    media_zero: Option<i64>,
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
        Self {
            kind,
            shared,
            leads,
            timeline,
            offset: None,
            held: None,
            interleaver,
            key_frame: None,
            only: None,
        }
    }

    /// Lets some of the tracks of fragmented MP4 out; before anything else.
    pub fn only(mut self, only: Option<Only>) -> Self {
        self.only = only;
        if let (Some(interleaver), Some(only)) = (&mut self.interleaver, only) {
            *interleaver = Interleaver::only(only);
        }
        self
    }

    /// What comes next is in another container.
    pub fn change(&mut self, kind: Kind) {
        *self = Self::new(kind, self.timeline.clone(), self.shared.clone(), self.leads).only(self.only);
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether some of what this segment shows was shown before, by another rendition.
    pub fn overlaps(start: &SegmentStart) -> bool {
        start.shown_until > start.position.saturating_add(Duration::from_nanos(TOLERANCE))
    }

    /// Forgets everything for a new timeline, as after a flush.
    pub fn restart(&mut self, timeline: Segment) {
        *self = Self::new(self.kind, timeline, self.shared.clone(), self.leads).only(self.only);
    }

    /// Whether another timeline can follow without a flush: `tsdemux` keeps to the segment that it began with.
    pub fn can_be_followed(&self) -> bool {
        self.kind != Kind::MpegTs
    }

    /// What makes the demuxer let go of the last picture, where the end of the stream does not. `tsdemux` keeps it until
    /// something else begins.
    pub fn drain(&self) -> Option<gst::Buffer> {
        self.offset.filter(|_| self.kind == Kind::MpegTs)?;
        let mut drain = buffer([Bytes::from_static(&TS_NULL_PACKET)]);
        drain.make_mut().set_flags(gst::BufferFlags::DISCONT);
        Some(drain)
    }

    /// Where what is played begins.
    pub fn begin(&self) -> Option<gst::ClockTime> {
        self.timeline.start()
    }

    /// Where the segment ends that was pushed last, in its own time; None where it is open.
    pub fn stop(&self) -> Option<gst::ClockTime> {
        let stop = self.timeline.stop().or(self.timeline.duration());
        stop.map(|stop| unsigned(signed(stop) + self.offset.unwrap_or(0)))
    }

    /// Pushes a segment event with the next segment of the playlist, whatever was pushed before.
    pub fn renew_segment(&mut self) {
        self.offset = None;
    }

    /// Whether the main track should have said where it is before this segment is placed.
    pub fn needs_clock(&self, start: &SegmentStart) -> bool {
        !self.leads && (self.is_fresh(start) || is_text(self.kind))
    }

    fn is_fresh(&self, start: &SegmentStart) -> bool {
        start.discontinuity || start.init.is_some() || self.offset.is_none()
    }

    /// A segment of the playlist begins.
    pub fn start(&mut self, mut start: SegmentStart, out: &mut Vec<Output>) {
        // What is still held belongs to the segment before.
        self.end(out);
        if let Some(interleaver) = &mut self.interleaver {
            start.init = start.init.map(|init| interleaver.init(init));
        }
        let fresh = self.is_fresh(&start);
        let position = signed(clock_time(start.position));
        self.key_frame = start.key_frame.then_some(position);
        if self.leads {
            self.shared.come_to(position);
        }
        // These two have something at the start of each segment that is not media.
        if fresh || self.kind == Kind::PackedAudio || is_text(self.kind) {
            self.held = Some(Held {
                position,
                duration: signed(clock_time(start.duration)),
                shown_until: signed(clock_time(start.shown_until)),
                media_zero: start.media_zero,
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
        if let Some(position) = self.key_frame.take() {
            // Demuxers, parsers and decoders let go of the frame when they know that nothing follows it.
            out.extend(self.drain().map(Output::Buffer));
            out.push(Output::Gap(unsigned(position + self.offset.unwrap_or(0)), gst::ClockTime::ZERO));
        }
    }

    /// There is nothing to show from `position` on, for so long.
    pub fn gap(&mut self, position: gst::ClockTime, duration: gst::ClockTime, out: &mut Vec<Output>) {
        self.end(out);
        let offset = self.offset.unwrap_or(0);
        self.announce(signed(position), 0, offset, TOLERANCE, out);
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
        if is_text(self.kind) {
            return self.settle_text(&held, out);
        }
        leave_out(&mut held.bytes, held.scanner.tags());
        if !held.fresh {
            return out.extend(held.bytes.into_iter().map(|bytes| Output::Buffer(buffer([bytes]))));
        }
        let start = held.scanner.start();
        let (position, is_said) = self.agreed_position(&held, start);
        let (offset, pts) = match self.kind {
            Kind::MpegTs => (TS_OFFSET, Some(position + TS_OFFSET - held.scanner.lead().unwrap_or(0))),
            Kind::PackedAudio => (TS_OFFSET, Some(position + TS_OFFSET)),
            _ => {
                let offset = start.map(|start| start - position).or(self.offset);
                (offset.unwrap_or(0), None)
            }
        };
        // What the manifest does not want to be shown is cut off.
        let (from, tolerance) = match is_said {
            true => (position.max(held.position), FINE_TOLERANCE),
            false => (position, TOLERANCE),
        };
        self.announce(from, held.shown_until, offset, tolerance, out);

        let mut chunks = held.bytes.into_iter();
        let mut first = buffer(held.init.into_iter().chain(chunks.next()));
        let buffer_ref = first.make_mut();
        buffer_ref.set_flags(gst::BufferFlags::DISCONT);
        buffer_ref.set_pts(pts.map(unsigned));
        out.push(Output::Buffer(first));
        out.extend(chunks.map(|bytes| Output::Buffer(buffer([bytes]))));
    }

    /// Where media that begins at `start` of its own clock belongs, and whether the manifest says so. The clock that
    /// tracks share is that of what is shown: what edit lists cut off does not count.
    fn agreed_position(&self, held: &Held, start: Option<i64>) -> (i64, bool) {
        let Some(start) = start.map(|start| start - held.scanner.edit()) else {
            return (held.position, false);
        };
        // A manifest that is far off is wrong: the media is believed.
        let said =
            held.media_zero.and_then(|zero| near(start.saturating_sub(zero), held.position, held.duration));
        let position = match said {
            Some(position) => position,
            None if self.leads => held.position,
            None => self.shared.place(held.sequence, start, held.position, 0).unwrap_or(held.position),
        };
        if self.leads {
            self.shared.set(held.sequence, start - position);
        }
        (position, said.is_some())
    }

    /// Says which media time is which stream time from `position` on, unless that is known.
    fn announce(
        &mut self,
        position: i64,
        shown_until: i64,
        offset: i64,
        tolerance: u64,
        out: &mut Vec<Output>,
    ) {
        let known = self.offset.is_some_and(|old| old.abs_diff(offset) <= tolerance);
        let overlaps = shown_until > position.saturating_add_unsigned(TOLERANCE);
        if !known || overlaps {
            let from = if overlaps { shown_until } else { position };
            out.push(Output::Segment(self.segment(from, offset)));
            self.offset = Some(offset);
        }
    }

    /// The segment that shows media time `position + offset` at stream time `position`.
    fn segment(&self, position: i64, offset: i64) -> Segment {
        if self.timeline.rate() < 0.0 {
            return self.segment_backward(offset);
        }
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

    /// The same where playback goes backward, from the stop on: all of it, as frames count from there.
    fn segment_backward(&self, offset: i64) -> Segment {
        // There is no media time below zero.
        let media = |time: gst::ClockTime| unsigned(signed(time) + offset);
        let start = self.timeline.start().unwrap_or_default().max(unsigned(-offset));
        let mut segment = self.timeline.clone();
        segment.set_start(media(start));
        segment.set_time(start);
        segment.set_stop(self.timeline.stop().map(media));
        segment.set_position(self.timeline.stop().map(media));
        segment.set_duration(gst::ClockTime::NONE);
        segment
    }
}

/// Subtitles whose segments are texts.
fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::WebVtt | Kind::Ttml)
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
