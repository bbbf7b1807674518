// SPDX-License-Identifier: MPL-2.0

//! Where playback is, told from the pipeline's clock.
//!
//! A source cannot ask the sinks what they show, but they all show the same running time, and the
//! segment of the last seek says which position on the presentation's timeline that is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;

use crate::engine::{Playback, PlaybackClock};
use crate::rate::Rate;

/// A TIME segment.
pub type Segment = gst::FormattedSegment<gst::ClockTime>;

/// How running time and positions belong together; replaced by each seek.
#[derive(Debug, Default)]
pub struct Timeline(Mutex<Option<Placed>>);

#[derive(Debug)]
struct Placed {
    /// In stream time from start to stop: `start` equals `time`.
    segment: Segment,
    /// The base time that was in force when the segment was set. Running time starts again after
    /// a flush, but only a new base time from the pipeline makes that so.
    stale_base: Option<gst::ClockTime>,
    /// The pipeline has been playing since the session began.
    shown: bool,
}

impl Timeline {
    /// Begins a timeline at `start`, with nothing shown.
    pub fn begin(&self, start: gst::ClockTime, duration: Option<gst::ClockTime>) -> Segment {
        let mut segment = Segment::new();
        segment.set_start(start);
        segment.set_time(start);
        segment.set_position(start);
        segment.set_duration(duration);
        let placed = Placed { segment: segment.clone(), stale_base: None, shown: false };
        *self.0.lock().unwrap() = Some(placed);
        segment
    }

    /// The segment in force, once the presentation is known.
    pub fn segment(&self) -> Option<Segment> {
        self.0.lock().unwrap().as_ref().map(|placed| placed.segment.clone())
    }

    /// Puts a seek's segment in force, after a flush or behind what there was.
    pub fn replace(&self, segment: Segment, element: &gst::Element, flushed: bool) {
        let mut placed = self.0.lock().unwrap();
        let shown = placed.as_ref().is_some_and(|placed| placed.shown);
        let stale_base = element.base_time().filter(|_| flushed);
        *placed = Some(Placed { segment, stale_base, shown });
    }

    /// Where playback is; None before anything was shown.
    pub fn playback(&self, element: &gst::Element) -> Option<Playback> {
        let mut placed = self.0.lock().unwrap();
        let placed = placed.as_mut()?;
        let playing = element.current_state() == gst::State::Playing;
        if !placed.shown && !playing {
            return None;
        }
        placed.shown = true;

        // An application that distributes base times by itself (no start time) does not start
        // running time again, so there is nothing to wait for.
        let flushed = element.start_time().is_some()
            && placed.stale_base.is_some_and(|base| element.base_time() == Some(base));
        let running_time = match (flushed, playing) {
            (true, _) => gst::ClockTime::ZERO,
            (false, true) => element.current_running_time()?,
            (false, false) => element.start_time()?,
        };
        let segment = &placed.segment;
        let end = segment.stop().or(segment.duration());
        let (first, last) = match segment.rate() < 0.0 {
            false => (segment.start(), end),
            true => (end, segment.start()),
        };
        let position = match segment.base().is_some_and(|base| running_time < base) {
            // What was there before is still being shown.
            true => first?,
            false => segment.position_from_running_time(running_time).or(last).or(first)?,
        };
        let position = end.map_or(position, |end| position.min(end));
        Some(Playback { position: position.into(), playing: playing && !flushed, rate: rate_of(segment) })
    }
}

/// The session's view of a [`Timeline`].
pub struct PipelineClock {
    pub element: glib::WeakRef<gst::Element>,
    pub timeline: Arc<Timeline>,
}

impl PlaybackClock for PipelineClock {
    fn playback(&self) -> Option<Playback> {
        self.timeline.playback(&self.element.upgrade()?)
    }
}

/// A segment seek's: the application may have more played after it, without a gap.
pub fn goes_on(segment: &Segment) -> bool {
    segment.flags().contains(gst::SegmentFlags::SEGMENT)
}

/// How fast a segment is played, whichever way; no other is put in force.
pub fn rate_of(segment: &Segment) -> Rate {
    Rate::new(segment.rate().abs()).unwrap_or_default()
}

/// A position as GStreamer counts it.
pub fn clock_time(position: Duration) -> gst::ClockTime {
    // Positions of more than 584 years come from broken playlists only.
    gst::ClockTime::from_nseconds(u64::try_from(position.as_nanos()).unwrap_or(u64::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> gst::ClockTime {
        gst::ClockTime::from_seconds(seconds)
    }

    /// A pipeline whose clock shows `clock` and whose running time began at `base`.
    fn playing(base: gst::ClockTime, now: gst::ClockTime) -> (gst::Element, gst::Clock) {
        gst::init().expect("GStreamer starts");
        let clock = gst_check::TestClock::with_start_time(now);
        let element = gst::ElementFactory::make("identity").build().expect("a core element");
        element.set_clock(Some(&clock)).expect("identity takes any clock");
        element.set_base_time(base);
        element.set_state(gst::State::Playing).expect("identity plays");
        (element, clock.upcast())
    }

    #[test]
    fn nothing_is_known_before_something_is_shown() {
        gst::init().expect("GStreamer starts");
        let element = gst::ElementFactory::make("identity").build().expect("a core element");
        let timeline = Timeline::default();
        assert_eq!(timeline.playback(&element), None);
        timeline.begin(seconds(0), None);
        assert_eq!(timeline.playback(&element), None);
    }

    #[test]
    fn running_time_becomes_a_position() {
        let (element, _clock) = playing(seconds(100), seconds(103));
        let timeline = Timeline::default();
        timeline.begin(seconds(60), Some(seconds(90)));
        let expected = Playback { position: Duration::from_secs(63), playing: true, rate: Rate::NORMAL };
        assert_eq!(timeline.playback(&element), Some(expected));

        element.set_base_time(seconds(50));
        let end = timeline.playback(&element).expect("shown").position;
        assert_eq!(end, Duration::from_secs(90), "not past the end");
        element.set_state(gst::State::Null).expect("identity stops");
    }

    #[test]
    fn after_a_seek_the_target_holds_until_the_pipeline_plays_again() {
        let (element, _clock) = playing(seconds(100), seconds(103));
        let timeline = Timeline::default();
        let mut segment = timeline.begin(seconds(0), None);
        assert_eq!(timeline.playback(&element).expect("shown").position, Duration::from_secs(3));
        let flags = gst::SeekFlags::FLUSH;
        segment.do_seek(
            1.0,
            flags,
            gst::SeekType::Set,
            seconds(17),
            gst::SeekType::None,
            gst::ClockTime::NONE,
        );
        timeline.replace(segment, &element, true);
        let waiting = Playback { position: Duration::from_secs(17), playing: false, rate: Rate::NORMAL };
        assert_eq!(timeline.playback(&element), Some(waiting));
        // What the pipeline does when its sinks have their first buffers again.
        element.set_base_time(seconds(102));
        let going = Playback { position: Duration::from_secs(18), playing: true, rate: Rate::NORMAL };
        assert_eq!(timeline.playback(&element), Some(going));
        element.set_state(gst::State::Null).expect("identity stops");
    }

    #[test]
    fn what_follows_without_a_flush_waits_for_its_time() {
        let (element, clock) = playing(seconds(100), seconds(103));
        let clock = clock.downcast::<gst_check::TestClock>().expect("the clock of the test");
        let timeline = Timeline::default();
        let mut segment = timeline.begin(seconds(0), Some(seconds(5)));
        segment.set_position(seconds(5));
        let set = gst::SeekType::Set;
        segment.do_seek(1.0, gst::SeekFlags::empty(), set, seconds(2), set, seconds(4));
        timeline.replace(segment, &element, false);
        let at = |position| {
            Some(Playback { position: Duration::from_secs(position), playing: true, rate: Rate::NORMAL })
        };
        assert_eq!(timeline.playback(&element), at(2));
        clock.set_time(seconds(106));
        assert_eq!(timeline.playback(&element), at(3));
        element.set_state(gst::State::Null).expect("identity stops");
    }

    #[test]
    fn backward_a_position_runs_down() {
        let (element, clock) = playing(seconds(100), seconds(103));
        let clock = clock.downcast::<gst_check::TestClock>().expect("the clock of the test");
        let timeline = Timeline::default();
        let mut segment = timeline.begin(seconds(0), Some(seconds(90)));
        let set = gst::SeekType::Set;
        segment.do_seek(-2.0, gst::SeekFlags::FLUSH, set, seconds(0), set, seconds(10));
        timeline.replace(segment, &element, false);
        let position = || timeline.playback(&element).expect("shown").position;
        assert_eq!(position(), Duration::from_secs(4));
        clock.set_time(seconds(110));
        assert_eq!(position(), Duration::ZERO, "not past the beginning");
        element.set_state(gst::State::Null).expect("identity stops");
    }

    #[test]
    fn the_rate_of_a_segment_counts() {
        let (element, _clock) = playing(seconds(100), seconds(103));
        let timeline = Timeline::default();
        let mut segment = timeline.begin(seconds(0), Some(seconds(90)));
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let stop = gst::ClockTime::NONE;
        segment.do_seek(2.0, gst::SeekFlags::FLUSH, set, seconds(10), none, stop);
        timeline.replace(segment, &element, false);
        let rate = Rate::new(2.0).expect("a good rate");
        let expected = Playback { position: Duration::from_secs(16), playing: true, rate };
        assert_eq!(timeline.playback(&element), Some(expected));
        element.set_state(gst::State::Null).expect("identity stops");
    }
}
