// SPDX-License-Identifier: MPL-2.0

//! Sound that is in the variant's own segments, as one of several (EXT-X-MEDIA without a URI: RFC 8216bis 4.4.6.2.1).
//!
//! What goes out of the main track goes out of the track for sound once more, and the element takes out of each what is
//! its. From a rendition to that sound and back it goes where a segment ends of what is heard: what comes twice is
//! not heard again.

use super::track::Track;
use super::{Driver, PerTrack};
use crate::engine::stream::Stream;
use crate::engine::tap::{Relay, Tap};
use crate::engine::{Event, Item, SessionError, TrackKind, tracks};
use crate::manifest::{Presentation, RenditionKind};

/// Where a track stands between a stream of its own and the sound in the main track's segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muxed {
    /// A stream of its own is played, or nothing.
    Off,
    /// The segment in work of the stream goes out, then the sound in the main track's segments follows.
    Next,
    On(Relay),
    /// The segment in work of the main track goes out, then the stream follows with the segment of this number.
    Last(Relay, i64),
}

impl Muxed {
    /// It is heard.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }
}

impl Track {
    /// Plays the sound in the main track's segments from now on.
    fn join_main(&mut self) {
        self.muxed = match self.muxed {
            Muxed::Last(relay, _) => {
                let stream = self.stream.take();
                self.let_go(stream);
                Muxed::On(relay)
            }
            Muxed::Off if self.stream.is_some() => {
                self.call_off();
                if let (Some(stream), Some(cursor)) = (&mut self.stream, self.pump.cursor()) {
                    // Nothing is fetched of what will not be played.
                    stream.end_at(Some(cursor.0 - i64::from(!self.pump.has_begun())));
                }
                Muxed::Next
            }
            Muxed::Off => Muxed::On(Relay::default()),
            going @ (Muxed::Next | Muxed::On(_)) => going,
        };
    }

    /// Plays `stream` from the segment of this number on, once the segment in work of the main track has gone out.
    pub(super) fn part_from_main(&mut self, mut stream: Stream, relay: Relay, number: i64) {
        stream.go_to(number);
        let before = self.stream.replace(stream);
        self.let_go(before);
        self.muxed = Muxed::Last(relay, number);
    }

    /// The stream is wanted after all that was to give way.
    pub(super) fn stay_apart(&mut self) {
        if self.muxed == Muxed::Next {
            self.muxed = Muxed::Off;
            self.call_off();
        }
    }

    /// For a seek: what is wanted begins at once.
    pub(super) fn restart_muxed(&mut self) {
        self.muxed = match self.muxed {
            Muxed::Off | Muxed::Last(..) => Muxed::Off,
            Muxed::Next | Muxed::On(_) => {
                let stream = self.stream.take();
                self.let_go(stream);
                Muxed::On(Relay::default())
            }
        };
    }

    /// Hands over what can be of what has gone out of the main track. True if something was.
    pub(super) fn relay(&mut self, tap: &mut Tap) -> bool {
        if self.muxed == Muxed::Next && !self.pump.has_begun() {
            let stream = self.stream.take();
            self.let_go(stream);
            self.pump.leave();
            self.muxed = Muxed::On(Relay::new(Some(self.pump.pushed)));
        }
        let (mut relay, following) = match self.muxed {
            Muxed::Off | Muxed::Next => {
                tap.trim(self.pump.pushed);
                return false;
            }
            Muxed::On(relay) => (relay, None),
            Muxed::Last(relay, number) => (relay, Some(number)),
        };
        let mut done = false;
        while self.pump.has_room() && !self.pump.has_ended() {
            let end = relay.within();
            let Some(item) = relay.next(tap, following.is_some()) else { break };
            if let (Item::End, Some(end)) = (&item, end) {
                self.pump.pushed = end;
            }
            self.pump.pass_on(item);
            done = true;
        }
        self.muxed = match following {
            None => Muxed::On(relay),
            Some(number) if relay.within().is_some() => Muxed::Last(relay, number),
            Some(number) => {
                self.pump.switch_to(number);
                Muxed::Off
            }
        };
        done || self.muxed == Muxed::Off
    }
}

impl Driver {
    /// Keeps what goes out of the main track for the one for sound, where its sound is one of several, in this variant or
    /// in another one.
    pub(super) fn tap_main(&mut self, presentation: &Presentation) {
        let renditions = presentation.renditions.iter();
        let mut sounds = renditions.filter(|rendition| rendition.kind == RenditionKind::Audio);
        if sounds.any(|rendition| rendition.url.is_none()) {
            self.tracks.main.pump.tap = Some(Tap::default());
            self.follow_variant();
        }
    }

    /// Another variant may not have the sound in its segments.
    pub(super) fn follow_variant(&mut self) {
        let main = &mut self.tracks.main;
        let variant = main.stream.as_ref().and_then(|stream| stream.variant.as_ref());
        if let (Some(tap), Some(presentation), Some(variant)) =
            (&mut main.pump.tap, &self.presentation, variant)
        {
            let sounds = tracks::alternatives(presentation, variant, TrackKind::Audio);
            tap.open(sounds.iter().any(|rendition| rendition.url.is_none()));
        }
    }

    /// Has the sound in the main track's segments played, if it can follow what is heard.
    pub(super) fn play_muxed(&mut self) {
        let has_init = |stream: &Stream| {
            let first = stream.timeline.segments().front();
            first.map(|placed| placed.segment.init.is_some())
        };
        let main = self.tracks.main.stream.as_ref().and_then(has_init);
        let track = &mut self.tracks.audio;
        let heard = track.stream.as_ref().filter(|_| track.muxed == Muxed::Off).and_then(has_init);
        if main.zip(heard).is_some_and(|(main, heard)| main != heard) {
            if !std::mem::replace(&mut track.choice.muxed_refused, true) {
                let error = "the sound in the variant's own segments is packed in another way than what is played, and \
                             cannot follow it";
                self.emit(Event::Warning(SessionError::Unsupported(error.to_owned())));
            }
            return;
        }
        track.choice.leave();
        track.join_main();
    }

    /// Hands over what has gone out of the main track to the one for sound. True if there may be more to do.
    pub(super) fn relay(&mut self) -> bool {
        let PerTrack { main, audio, .. } = &mut self.tracks;
        main.pump.tap.as_mut().is_some_and(|tap| audio.relay(tap))
    }
}
