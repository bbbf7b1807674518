// SPDX-License-Identifier: MPL-2.0

//! The sound that is in the main track's own segments, for the track that plays it: what goes out of the main track is
//! kept until the sound's track has passed it on too, or does not need it any more.
//!
//! So nothing is fetched twice, and the sound follows the main track over variants, gaps and discontinuities.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::output::{Item, SegmentStart};
use super::tracks::ROUNDING;
use crate::manifest::Protection;

/// More is not kept. The two tracks go out together, so this is many times what one can be ahead of the other.
const MAX_BYTES: usize = 64 << 20;

/// What has gone out of the main track, segment by segment.
#[derive(Debug, Default)]
pub struct Tap {
    segments: VecDeque<Segment>,
    /// What is in `segments`.
    bytes: usize,
    /// What the last segment needs beside its own bytes.
    init: Option<Bytes>,
    protections: Vec<Protection>,
    ended: bool,
    /// What goes out of the main track at present has the sound.
    is_open: bool,
}

#[derive(Debug)]
struct Segment {
    start: SegmentStart,
    /// What [`SegmentStart`] does not repeat where it is as in the segment before.
    init: Option<Bytes>,
    protections: Vec<Protection>,
    chunks: VecDeque<Bytes>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Whole,
    /// The rest of it was left out.
    BrokenOff,
}

impl Segment {
    fn end(&self) -> Duration {
        self.start.position.saturating_add(self.start.duration)
    }
}

impl Tap {
    /// The segments that follow have the sound, or do not.
    pub fn open(&mut self, is_open: bool) {
        self.is_open = is_open;
    }

    /// This has gone out of the main track.
    pub fn record(&mut self, item: &Item) {
        match item {
            Item::Start(start) => {
                self.break_off();
                if start.init.is_some() || start.discontinuity {
                    self.init.clone_from(&start.init);
                }
                if start.discontinuity || !start.protections.is_empty() {
                    self.protections.clone_from(&start.protections);
                }
                if !self.is_open {
                    return;
                }
                self.segments.push_back(Segment {
                    start: start.clone(),
                    init: self.init.clone(),
                    protections: self.protections.clone(),
                    chunks: VecDeque::new(),
                    state: State::Open,
                });
            }
            Item::Data(bytes) => {
                if let Some(last) = self.segments.back_mut().filter(|last| last.state == State::Open) {
                    last.chunks.push_back(bytes.clone());
                    self.bytes += bytes.len();
                }
            }
            Item::End => self.close(State::Whole),
            Item::Gap { .. } => {}
            Item::Eos => {
                self.break_off();
                self.ended = true;
            }
        }
    }

    /// Forgets everything: the main track goes somewhere else.
    pub fn clear(&mut self) {
        *self = Self { is_open: self.is_open, ..Self::default() };
    }

    /// Nobody takes what is in here: what ends by `until` is let go of, and what is too much.
    pub fn trim(&mut self, until: Duration) {
        while let Some(front) = self.segments.front()
            && (front.state != State::Open && front.end() <= until || self.is_full())
        {
            self.drop_front();
        }
    }

    /// No more is to be put in before something is taken.
    pub fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    fn break_off(&mut self) {
        self.close(State::BrokenOff);
    }

    fn close(&mut self, state: State) {
        if let Some(last) = self.segments.back_mut().filter(|last| last.state == State::Open) {
            last.state = state;
        }
    }

    fn drop_front(&mut self) {
        if let Some(front) = self.segments.pop_front() {
            self.bytes -= front.chunks.iter().map(Bytes::len).sum::<usize>();
        }
    }
}

/// How far the sound's track has come in a [`Tap`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    /// What was heard before came from elsewhere, and up to here. None: nothing, at the start and after a seek.
    after: Option<Duration>,
    /// A first segment has been passed on.
    joined: bool,
    /// Where the segment ends that is being passed on.
    within: Option<Duration>,
}

impl Relay {
    /// Begins behind what was heard `after`.
    pub fn new(after: Option<Duration>) -> Self {
        Self { after, ..Self::default() }
    }

    /// Where the segment ends of which some has been passed on.
    pub fn within(&self) -> Option<Duration> {
        self.within
    }

    /// Nothing has been passed on yet, and nothing was heard before.
    pub fn is_fresh(&self) -> bool {
        self.after.is_none() && !self.joined
    }

    /// What is to be passed on next. None: it has not gone out of the main track yet. With `finishing`, nothing is begun.
    pub fn next(&mut self, tap: &mut Tap, finishing: bool) -> Option<Item> {
        if let (Some(end), Some(front)) = (self.within, tap.segments.front_mut()) {
            if let Some(bytes) = front.chunks.pop_front() {
                tap.bytes -= bytes.len();
                return Some(Item::Data(bytes));
            }
            match front.state {
                State::Open => return None,
                State::Whole | State::BrokenOff => {
                    let whole = front.state == State::Whole;
                    self.within = None;
                    self.after = Some(end);
                    tap.segments.pop_front();
                    if whole {
                        return Some(Item::End);
                    }
                }
            }
        }
        if finishing {
            return None;
        }
        if let Some(after) = self.after.filter(|_| !self.joined) {
            while let Some(front) = tap.segments.front()
                && front.end() <= after.saturating_add(ROUNDING)
            {
                if front.state == State::Open {
                    return None;
                }
                tap.drop_front();
            }
        }
        let Some(front) = tap.segments.front() else {
            return std::mem::take(&mut tap.ended).then_some(Item::Eos);
        };
        let mut start = front.start.clone();
        if !self.joined {
            start.discontinuity = true;
            start.init.clone_from(&front.init);
            start.protections.clone_from(&front.protections);
            start.shown_until = self.after.unwrap_or(start.shown_until);
        }
        self.joined = true;
        self.within = Some(front.end());
        Some(Item::Start(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn start(number: u32, init: Option<&'static [u8]>) -> Item {
        Item::Start(SegmentStart {
            discontinuity: init.is_some(),
            init: init.map(Bytes::from_static),
            ..SegmentStart::at(number * 2 * S, 2 * S)
        })
    }

    fn data(text: &'static str) -> Item {
        Item::Data(Bytes::from_static(text.as_bytes()))
    }

    /// Two whole segments and the beginning of a third.
    fn tap() -> Tap {
        let mut tap = Tap { is_open: true, ..Tap::default() };
        for item in [start(0, Some(b"init")), data("a"), data("b"), Item::End] {
            tap.record(&item);
        }
        for item in [start(1, None), data("c"), Item::End, start(2, None), data("d")] {
            tap.record(&item);
        }
        tap
    }

    /// What is passed on, and what of it is told where it begins.
    fn told(relay: &mut Relay, tap: &mut Tap, finishing: bool) -> String {
        let text = |item| match item {
            Item::Start(start) => format!(
                "[{}{}{}:",
                start.position.as_secs(),
                if start.discontinuity { "!" } else { "" },
                if start.init.is_some() { "i" } else { "" }
            ),
            Item::Data(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Item::End => "]".to_owned(),
            Item::Gap { .. } => "?".to_owned(),
            Item::Eos => "$".to_owned(),
        };
        std::iter::from_fn(|| relay.next(tap, finishing)).map(text).collect()
    }

    #[test]
    fn what_has_gone_out_of_the_main_track_goes_out_again() {
        let (mut tap, mut relay) = (tap(), Relay::new(None));
        assert!(relay.is_fresh());
        assert_eq!(told(&mut relay, &mut tap, false), "[0!i:ab][2:c][4:d");
        assert_eq!((relay.within(), relay.is_fresh()), (Some(6 * S), false));
        [data("e"), Item::End, Item::Eos].iter().for_each(|item| tap.record(item));
        assert_eq!(told(&mut relay, &mut tap, false), "e]$");
        assert_eq!((tap.bytes, tap.segments.len()), (0, 0));
    }

    #[test]
    fn it_goes_on_where_something_else_was_heard_before() {
        for (after, expected) in [
            (Duration::from_millis(1_950), "[2!i:c][4:d"),
            (3 * S, "[2!i:c][4:d"),
            (4 * S, "[4!i:d"),
            (6 * S, ""),
        ] {
            let (mut tap, mut relay) = (tap(), Relay::new(Some(after)));
            assert_eq!(told(&mut relay, &mut tap, false), expected, "{after:?}");
        }
    }

    #[test]
    fn it_ends_with_a_whole_segment() {
        let (mut tap, mut relay) = (tap(), Relay::new(None));
        for expected in ["[0!i:", "a"] {
            let item = relay.next(&mut tap, false);
            assert!(item.is_some(), "{expected}");
        }
        assert_eq!(told(&mut relay, &mut tap, true), "b]");
        assert_eq!(relay.within(), None);
    }

    #[test]
    fn what_is_left_out_of_the_main_track_is_left_out_here() {
        let (mut tap, mut relay) = (tap(), Relay::new(None));
        tap.record(&start(4, Some(b"other")));
        tap.record(&data("f"));
        assert_eq!(told(&mut relay, &mut tap, false), "[0!i:ab][2:c][4:d[8!i:f");
    }

    #[test]
    fn a_variant_without_the_sound_is_left_out() {
        let (mut tap, mut relay) = (tap(), Relay::new(None));
        [data("e"), Item::End].iter().for_each(|item| tap.record(item));
        tap.open(false);
        [start(3, Some(b"other")), data("f"), Item::End].iter().for_each(|item| tap.record(item));
        tap.open(true);
        [start(4, Some(b"init")), data("g"), Item::End].iter().for_each(|item| tap.record(item));
        assert_eq!(told(&mut relay, &mut tap, false), "[0!i:ab][2:c][4:de][8!i:g]");
    }

    #[test]
    fn what_nobody_takes_is_let_go_of() {
        let mut tap = tap();
        tap.trim(3 * S);
        assert_eq!((tap.bytes, tap.segments.len()), (2, 2));
        tap.trim(60 * S);
        assert_eq!((tap.bytes, tap.segments.len()), (1, 1), "more of it is to come");
        tap.record(&Item::Data(vec![0; MAX_BYTES].into()));
        assert!(tap.is_full());
        tap.trim(Duration::ZERO);
        assert_eq!((tap.bytes, tap.segments.len()), (0, 0));
        // The rest of a segment without its beginning is of no use.
        tap.record(&data("g"));
        assert_eq!(tap.bytes, 0);
    }
}
