// SPDX-License-Identifier: MPL-2.0

//! What a seek event asks for, and whether this element can do it.

use std::time::Duration;

use super::clock::{Segment, clock_time};
use crate::engine::{KeyFrames, Snap};
use crate::rate::{Direction, Rate};

/// A seek that can be done.
#[derive(Clone, Copy, Debug)]
pub struct Seek {
    pub seqnum: gst::Seqnum,
    pub rate: Rate,
    direction: Direction,
    flags: gst::SeekFlags,
    start: Target,
    stop: Target,
}

/// From this rate on a seek that allows to leave out frames (TRICKMODE) leaves out all but key frames. GStreamer's player
/// library allows it at any rate but one, where up to about here all frames are worth their bytes.
const SKIPPING: f64 = 4.0;

/// One end of a seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// As it is.
    Keep,
    /// Nowhere: a stop that there is none.
    Open,
    At(gst::ClockTime),
    /// So much away from the end, negative meaning before it.
    FromEnd(i64),
}

/// Why a seek is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("only time can be sought")]
    Format,
    #[error("only rates from 1/32 to 32 can be played, forward or backward")]
    Rate,
    #[error("playback goes backward only after a seek with a flush, and not in a segment seek")]
    Backward,
    /// The base class of sinks takes the media's time for the stream's after such a change, and these differ here: it would
    /// report another position. Besides, `decodebin3` of GStreamer 1.22 lets no such seek pass.
    #[error("the rate can be changed by a seek with a flush only")]
    Instant,
}

impl TryFrom<&gst::event::Seek> for Seek {
    type Error = Refusal;

    fn try_from(event: &gst::event::Seek) -> Result<Self, Refusal> {
        let (rate, flags, start_type, start, stop_type, stop) = event.get();
        if start.format() != gst::Format::Time {
            return Err(Refusal::Format);
        }
        let direction = if rate < 0.0 { Direction::Backward } else { Direction::Forward };
        let rate = Rate::new(rate.abs()).ok_or(Refusal::Rate)?;
        if direction == Direction::Backward
            && (!flags.contains(gst::SeekFlags::FLUSH) || flags.contains(gst::SeekFlags::SEGMENT))
        {
            return Err(Refusal::Backward);
        }
        if flags.contains(gst::SeekFlags::INSTANT_RATE_CHANGE) {
            return Err(Refusal::Instant);
        }
        let seqnum = event.seqnum();
        let (start, stop) = (Target::new(start_type, start), Target::new(stop_type, stop));
        Ok(Self { seqnum, rate, direction, flags, start, stop })
    }
}

impl Target {
    fn new(kind: gst::SeekType, value: gst::GenericFormattedValue) -> Self {
        match (kind, value) {
            (gst::SeekType::Set, gst::GenericFormattedValue::Time(time)) => time.map_or(Self::Open, Self::At),
            (gst::SeekType::End, value) => Self::FromEnd(value.value()),
            _ => Self::Keep,
        }
    }

    fn resolve(self, end: Option<Duration>) -> Option<gst::ClockTime> {
        match self {
            Self::Keep | Self::Open => None,
            Self::At(time) => Some(time),
            Self::FromEnd(offset) => {
                let end = i64::try_from(end?.as_nanos()).ok()?;
                Some(gst::ClockTime::from_nseconds(u64::try_from(end.saturating_add(offset)).unwrap_or(0)))
            }
        }
    }
}

impl Seek {
    /// The element's own wish to go on at `position`, as fast as before.
    pub fn forward(position: Duration, rate: Rate) -> Self {
        Self {
            seqnum: gst::Seqnum::next(),
            rate,
            direction: Direction::Forward,
            flags: gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE,
            start: Target::At(clock_time(position)),
            stop: Target::Keep,
        }
    }

    /// What is on its way downstream is thrown away. Otherwise it is followed by what the seek is for.
    pub fn flushes(&self) -> bool {
        self.flags.contains(gst::SeekFlags::FLUSH)
    }

    /// What may be done with the position. Key units are segments here, as nothing else is known of them.
    pub fn snap(&self) -> Snap {
        use gst::SeekFlags as F;
        match () {
            () if self.is_backward() => Snap::Exact,
            () if self.flags.contains(F::SNAP_NEAREST) => Snap::Nearest,
            () if self.flags.contains(F::SNAP_AFTER) => Snap::After,
            () if self.flags.intersects(F::SNAP_BEFORE | F::KEY_UNIT | F::TRICKMODE_KEY_UNITS) => {
                Snap::Before
            }
            () => Snap::Exact,
        }
    }

    /// The position to go to; `end` is where the presentation ends and `now` what is being shown.
    pub fn target(&self, end: Option<Duration>, now: Duration) -> Duration {
        match (self.direction, self.stop, end) {
            // A stop that there is none is the end.
            (Direction::Backward, Target::Open, Some(end)) => end,
            _ => self.begins().resolve(end).map_or(now, Duration::from),
        }
    }

    /// The end of the segment that playback begins at.
    fn begins(&self) -> Target {
        if self.is_backward() { self.stop } else { self.start }
    }

    pub fn is_backward(&self) -> bool {
        self.direction == Direction::Backward
    }

    /// Playback by key frames alone, if that is what is asked for; `end` is where the presentation ends.
    pub fn key_frames(&self, end: Option<Duration>) -> Option<KeyFrames> {
        use gst::SeekFlags as F;
        let rate = self.rate.get();
        let is_asked_for = self.is_backward()
            || self.flags.contains(F::TRICKMODE_KEY_UNITS) && rate > 1.0
            || self.flags.contains(F::TRICKMODE) && rate >= SKIPPING;
        // A segment seek is repeated, which takes all frames to be without a gap.
        let may_be = self.flushes() && !self.flags.contains(F::SEGMENT);
        let last = if self.is_backward() { self.start } else { self.stop };
        let until = last.resolve(end).map(Duration::from);
        (is_asked_for && may_be).then_some(KeyFrames { direction: self.direction, until })
    }

    /// The position to go to, if it depends on nothing.
    pub fn absolute(&self) -> Option<Duration> {
        match self.begins() {
            Target::At(time) => Some(time.into()),
            Target::Keep | Target::Open | Target::FromEnd(_) => None,
        }
    }

    /// The segment to play when the session has gone to `position`. What is live has an end at this moment, but no
    /// duration: playback goes on past it.
    pub fn segment(
        &self,
        old: &Segment,
        position: Duration,
        end: Option<Duration>,
        duration: Option<Duration>,
    ) -> Segment {
        if self.is_backward() {
            return self.segment_backward(position, end, duration);
        }
        let start = clock_time(position);
        // A stop before the start would be no segment; the position counts for more.
        let stop = match self.stop {
            // Where playback backward has begun is no place to stop at.
            Target::Keep => old.stop().filter(|_| old.rate() > 0.0),
            stop => stop.resolve(end),
        };
        let stop = stop.filter(|stop| *stop > start);
        let mut segment = Segment::new();
        let reached = old.stop().or(old.duration()).or(old.position());
        if !self.flushes() && old.to_running_time(reached).is_some() {
            // Running time goes on where the old segment ends.
            segment = old.clone();
            segment.set_position(reached);
        }
        segment.set_duration(duration.map(clock_time));
        segment.do_seek(self.rate.get(), self.flags, gst::SeekType::Set, start, gst::SeekType::Set, stop);
        segment
    }

    fn segment_backward(
        &self,
        position: Duration,
        end: Option<Duration>,
        duration: Option<Duration>,
    ) -> Segment {
        let stop = clock_time(position);
        let start = self.start.resolve(end).unwrap_or_default().min(stop);
        let mut segment = Segment::new();
        segment.set_duration(duration.map(clock_time));
        let set = gst::SeekType::Set;
        segment.do_seek(-self.rate.get(), self.flags, set, start, set, stop);
        segment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: gst::ClockTime = gst::ClockTime::SECOND;

    fn parse(event: gst::Event) -> Result<Seek, Refusal> {
        match event.view() {
            gst::EventView::Seek(seek) => Seek::try_from(seek),
            _ => unreachable!("a seek"),
        }
    }

    fn event(rate: f64, flags: gst::SeekFlags) -> gst::Event {
        gst::init().expect("GStreamer starts");
        gst::event::Seek::new(
            rate,
            flags,
            gst::SeekType::Set,
            17 * S,
            gst::SeekType::None,
            gst::ClockTime::NONE,
        )
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        use gst::SeekFlags as F;
        for rate in [64.0, 0.01, -64.0, -0.01] {
            let refused = parse(event(rate, F::FLUSH)).map(|seek| seek.seqnum).expect_err("refused");
            assert_eq!(refused, Refusal::Rate, "{rate}");
        }
        for flags in [F::empty(), F::FLUSH | F::SEGMENT] {
            let refused = parse(event(-1.0, flags)).map(|seek| seek.seqnum).expect_err("refused");
            assert_eq!(refused, Refusal::Backward, "{flags:?}");
        }
        let (none, nowhere) = (gst::SeekType::None, gst::ClockTime::NONE);
        let at_once = gst::event::Seek::new(2.0, F::INSTANT_RATE_CHANGE, none, nowhere, none, nowhere);
        assert_eq!(parse(at_once).map(|seek| seek.seqnum).expect_err("refused"), Refusal::Instant);
        let start = gst::format::Bytes::from_u64(0);
        let stop = gst::format::Bytes::from_u64(0);
        let bytes =
            gst::event::Seek::new(1.0, F::FLUSH, gst::SeekType::Set, start, gst::SeekType::None, stop);
        assert_eq!(parse(bytes).map(|seek| seek.seqnum).expect_err("refused"), Refusal::Format);
    }

    #[test]
    fn a_seek_becomes_a_segment_in_stream_time() {
        let seek = parse(event(1.0, gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT)).expect("a good seek");
        let end = Some(Duration::from_secs(30));
        assert_eq!(seek.target(end, Duration::ZERO), Duration::from_secs(17));
        let segment = seek.segment(&Segment::new(), Duration::from_secs(17), end, None);
        assert_eq!(
            (segment.start(), segment.time(), segment.base(), segment.stop()),
            (Some(17 * S), Some(17 * S), Some(gst::ClockTime::ZERO), None)
        );
        assert_eq!(segment.duration(), None, "the end that a live stream has now is not its duration");
    }

    #[test]
    fn a_rate_is_that_of_the_segment() {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::TRICKMODE_KEY_UNITS;
        let seek = parse(event(2.0, flags)).expect("a good seek");
        let segment = seek.segment(&Segment::new(), Duration::from_secs(17), None, None);
        assert_eq!((segment.rate(), segment.applied_rate()), (2.0, 1.0));
        assert!(segment.flags().contains(gst::SegmentFlags::TRICKMODE_KEY_UNITS), "decoders go by it");
        assert_eq!(segment.to_running_time(21 * S), Some(2 * S));
        // What follows without a flush goes on where that has ended.
        let mut old = segment;
        old.set_stop(27 * S);
        let next = parse(event(0.5, gst::SeekFlags::empty())).expect("a good seek");
        let next = next.segment(&old, Duration::from_secs(17), None, None);
        assert_eq!((next.base(), next.to_running_time(18 * S)), (Some(5 * S), Some(7 * S)));
        // Who catches up by himself goes on as fast as before.
        let on = Seek::forward(Duration::from_secs(20), seek.rate);
        let on = on.segment(&old, Duration::from_secs(20), None, None);
        assert_eq!((on.rate(), on.start()), (2.0, Some(20 * S)));
    }

    #[test]
    fn backward_playback_begins_at_the_stop() {
        gst::init().expect("GStreamer starts");
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let seek = |start, stop_type, stop| {
            let flags = gst::SeekFlags::FLUSH;
            parse(gst::event::Seek::new(-2.0, flags, set, start, stop_type, stop)).expect("a good seek")
        };
        let s = Duration::from_secs;
        let (end, now) = (Some(s(30)), s(7));
        for (stop_type, stop, target) in [(set, Some(17 * S), s(17)), (set, None, s(30)), (none, None, s(7))]
        {
            let seek = seek(3 * S, stop_type, stop);
            assert_eq!(seek.target(end, now), target);
            let segment = seek.segment(&Segment::new(), target, end, end);
            assert_eq!((segment.rate(), segment.start(), segment.time()), (-2.0, Some(3 * S), Some(3 * S)));
            assert_eq!(
                (segment.stop(), segment.base()),
                (Some(clock_time(target)), Some(gst::ClockTime::ZERO))
            );
            assert_eq!(segment.to_running_time(5 * S), Some((clock_time(target) - 5 * S) / 2));
            // Who then goes on forward does not stop there.
            let on = Seek::forward(s(3), Rate::NORMAL).segment(&segment, s(3), end, end);
            assert_eq!((on.start(), on.stop()), (Some(3 * S), None));
        }
    }

    #[test]
    fn flags_and_rate_say_whether_key_frames_are_enough() {
        use gst::SeekFlags as F;
        let key_frames = |rate, flags| {
            let seek = parse(event(rate, F::FLUSH | flags)).expect("a good seek");
            seek.key_frames(None).map(|frames| frames.direction)
        };
        for (rate, flags, direction) in [
            (2.0, F::TRICKMODE_KEY_UNITS, Some(Direction::Forward)),
            (1.0, F::TRICKMODE_KEY_UNITS, None),
            (2.0, F::TRICKMODE, None),
            (4.0, F::TRICKMODE, Some(Direction::Forward)),
            (8.0, F::empty(), None),
            (8.0, F::TRICKMODE | F::SEGMENT, None),
            (-1.0, F::empty(), Some(Direction::Backward)),
        ] {
            assert_eq!(key_frames(rate, flags), direction, "{rate} {flags:?}");
        }
    }

    #[test]
    fn targets_may_count_from_the_end() {
        gst::init().expect("GStreamer starts");
        let before_end =
            |seconds: i64| gst::GenericFormattedValue::new(gst::Format::Time, -seconds * 1_000_000_000);
        let event = gst::event::Seek::new(
            1.0,
            gst::SeekFlags::FLUSH,
            gst::SeekType::End,
            before_end(10),
            gst::SeekType::End,
            before_end(2),
        );
        let seek = parse(event).expect("a good seek");
        let end = Some(Duration::from_secs(30));
        assert_eq!(seek.target(end, Duration::ZERO), Duration::from_secs(20));
        assert_eq!(seek.target(None, Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(seek.segment(&Segment::new(), Duration::from_secs(20), end, None).stop(), Some(28 * S));
    }

    #[test]
    fn flags_say_where_a_seek_may_go_instead() {
        use gst::SeekFlags as F;
        for (flags, snap) in [
            (F::empty(), Snap::Exact),
            (F::ACCURATE, Snap::Exact),
            (F::KEY_UNIT, Snap::Before),
            (F::KEY_UNIT | F::SNAP_BEFORE, Snap::Before),
            (F::KEY_UNIT | F::SNAP_AFTER, Snap::After),
            (F::KEY_UNIT | F::SNAP_NEAREST, Snap::Nearest),
        ] {
            assert_eq!(parse(event(1.0, F::FLUSH | flags)).expect("a good seek").snap(), snap, "{flags:?}");
        }
    }

    #[test]
    fn without_a_flush_running_time_goes_on() {
        let segment_seek = |flags, start, stop| {
            gst::init().expect("GStreamer starts");
            let (set, start, stop) = (gst::SeekType::Set, start * S, stop * S);
            parse(gst::event::Seek::new(1.0, flags | gst::SeekFlags::SEGMENT, set, start, set, stop))
                .expect("a good seek")
        };
        let (end, s) = (Some(Duration::from_secs(30)), Duration::from_secs);
        let first = segment_seek(gst::SeekFlags::FLUSH, 5, 8).segment(&Segment::new(), s(5), end, end);
        assert!(first.flags().contains(gst::SegmentFlags::SEGMENT));
        let second = segment_seek(gst::SeekFlags::empty(), 2, 4).segment(&first, s(2), end, end);
        assert_eq!((second.base(), second.start(), second.stop()), (Some(3 * S), Some(2 * S), Some(4 * S)));
        let third = segment_seek(gst::SeekFlags::empty(), 0, 40).segment(&second, s(0), end, end);
        assert_eq!((third.base(), third.time()), (Some(5 * S), Some(gst::ClockTime::ZERO)));
    }

    #[test]
    fn a_stop_stays_until_another_or_none_is_asked_for() {
        gst::init().expect("GStreamer starts");
        let seek = |kind, stop: Option<gst::ClockTime>| {
            let event = gst::event::Seek::new(1.0, gst::SeekFlags::FLUSH, gst::SeekType::Set, S, kind, stop);
            parse(event).expect("a good seek")
        };
        let at = |seek: Seek, old: &Segment| seek.segment(old, Duration::from_secs(1), None, None);
        let first = at(seek(gst::SeekType::Set, Some(9 * S)), &Segment::new());
        assert_eq!(first.stop(), Some(9 * S));
        assert_eq!(at(seek(gst::SeekType::None, None), &first).stop(), Some(9 * S));
        assert_eq!(at(seek(gst::SeekType::Set, None), &first).stop(), None);
    }
}
