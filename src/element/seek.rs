// SPDX-License-Identifier: MPL-2.0

//! What a seek event asks for, and whether this element can do it.

use std::time::Duration;

use super::clock::{Segment, clock_time};

/// A seek that can be done.
#[derive(Clone, Copy, Debug)]
pub struct Seek {
    pub seqnum: gst::Seqnum,
    flags: gst::SeekFlags,
    start: Target,
    stop: Target,
}

/// One end of a seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// As it is.
    Keep,
    At(gst::ClockTime),
    /// So much away from the end, negative meaning before it.
    FromEnd(i64),
}

/// Why a seek is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("only time can be sought")]
    Format,
    #[error("only rate 1.0 can be played")]
    Rate,
    #[error("only flushing seeks can be done")]
    NoFlush,
    #[error("segment seeks cannot be done")]
    Segment,
}

impl TryFrom<&gst::event::Seek> for Seek {
    type Error = Refusal;

    fn try_from(event: &gst::event::Seek) -> Result<Self, Refusal> {
        let (rate, flags, start_type, start, stop_type, stop) = event.get();
        if start.format() != gst::Format::Time {
            return Err(Refusal::Format);
        }
        if rate != 1.0 {
            return Err(Refusal::Rate);
        }
        if flags.contains(gst::SeekFlags::SEGMENT) {
            return Err(Refusal::Segment);
        }
        if !flags.contains(gst::SeekFlags::FLUSH) {
            return Err(Refusal::NoFlush);
        }
        let seqnum = event.seqnum();
        Ok(Self { seqnum, flags, start: Target::new(start_type, start), stop: Target::new(stop_type, stop) })
    }
}

impl Target {
    fn new(kind: gst::SeekType, value: gst::GenericFormattedValue) -> Self {
        match (kind, value) {
            (gst::SeekType::Set, gst::GenericFormattedValue::Time(Some(time))) => Self::At(time),
            (gst::SeekType::End, value) => Self::FromEnd(value.value()),
            _ => Self::Keep,
        }
    }

    fn resolve(self, end: Option<Duration>) -> Option<gst::ClockTime> {
        match self {
            Self::Keep => None,
            Self::At(time) => Some(time),
            Self::FromEnd(offset) => {
                let end = i64::try_from(end?.as_nanos()).ok()?;
                Some(gst::ClockTime::from_nseconds(u64::try_from(end.saturating_add(offset)).unwrap_or(0)))
            }
        }
    }
}

impl Seek {
    /// The element's own wish to go on at `position`.
    pub fn forward(position: Duration) -> Self {
        Self {
            seqnum: gst::Seqnum::next(),
            flags: gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE,
            start: Target::At(clock_time(position)),
            stop: Target::Keep,
        }
    }

    /// The position to go to; `end` is where the presentation ends and `now` what is being shown.
    pub fn target(&self, end: Option<Duration>, now: Duration) -> Duration {
        self.start.resolve(end).map_or(now, Duration::from)
    }

    /// The position to go to, if it depends on nothing.
    pub fn absolute(&self) -> Option<Duration> {
        match self.start {
            Target::At(time) => Some(time.into()),
            Target::Keep | Target::FromEnd(_) => None,
        }
    }

    /// The segment to play when the session has gone to `start`.
    pub fn segment(&self, old: &Segment, start: Duration, end: Option<Duration>) -> Segment {
        let start = clock_time(start);
        // A stop before the start would be no segment; the position counts for more.
        let stop = match self.stop {
            Target::Keep => old.stop(),
            stop => stop.resolve(end),
        };
        let stop = stop.filter(|stop| *stop > start);
        let mut segment = Segment::new();
        segment.set_duration(end.map(clock_time));
        segment.do_seek(1.0, self.flags, gst::SeekType::Set, start, gst::SeekType::Set, stop);
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
        for (event, refusal) in [
            (event(1.0, F::empty()), Refusal::NoFlush),
            (event(2.0, F::FLUSH), Refusal::Rate),
            (event(-1.0, F::FLUSH), Refusal::Rate),
            (event(1.0, F::FLUSH | F::SEGMENT), Refusal::Segment),
        ] {
            assert_eq!(parse(event).map(|seek| seek.seqnum).expect_err("refused"), refusal);
        }
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
        let segment = seek.segment(&Segment::new(), Duration::from_secs(17), end);
        assert_eq!(
            (segment.start(), segment.time(), segment.base(), segment.stop()),
            (Some(17 * S), Some(17 * S), Some(gst::ClockTime::ZERO), None)
        );
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
        assert_eq!(seek.segment(&Segment::new(), Duration::from_secs(20), end).stop(), Some(28 * S));
    }
}
