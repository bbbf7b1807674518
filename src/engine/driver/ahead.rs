// SPDX-License-Identifier: MPL-2.0

//! How far ahead of playback things go: what is fetched, and what downstream is given of it. The faster playback is, the
//! more media that takes.

use std::time::Duration;

use super::Driver;
use crate::rate::Rate;

/// With more than this in hand downstream playback can do without the next segment until it is whole.
const RELAXED: Duration = Duration::from_secs(1);

/// While it plays, downstream is not given more than this ahead of playback: what it has cannot be replaced.
const AHEAD: Duration = Duration::from_secs(3);

/// The same at the start, and for how long: a player may want more before it plays.
const AHEAD_AT_START: Duration = Duration::from_secs(2);
const START: Duration = Duration::from_secs(1);

impl Driver {
    /// Playback goes at this rate, or will when it does.
    pub(super) fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
        self.streams_mut().for_each(|stream| stream.viewer.handle_rate(rate));
    }

    /// Keeps from downstream what it does not need yet, where something better may take its place.
    pub(super) fn hold_back(&mut self) {
        let playback = self.config.clock.playback();
        let begun = self.startup.is_none_or(|startup| self.started.elapsed() < startup + START);
        let rate = self.rate.or_normal();
        let limit = match playback {
            Some(playback) if playback.playing => {
                Some(playback.position.saturating_add(rate.media_in(AHEAD)))
            }
            None if begun => Some(self.tracks.main.origin.saturating_add(rate.media_in(AHEAD_AT_START))),
            _ => None,
        };
        let several = self.presentation.as_ref().is_some_and(|p| p.variants.len() > 1);
        let chooses = several && self.switching.is_free();
        let position = self.position();
        let pump = &mut self.tracks.main.pump;
        pump.relaxed = chooses && pump.pushed.saturating_sub(position) > rate.media_in(RELAXED);
        pump.limit = limit.filter(|_| chooses);
    }

    /// Where playback is or will begin.
    pub(super) fn position(&self) -> Duration {
        self.config.clock.playback().map_or(self.tracks.main.origin, |playback| playback.position)
    }

    /// So much media ahead of playback is fetched.
    pub(super) fn reach(&self) -> Duration {
        self.rate.or_normal().media_in(self.config.buffer_duration)
    }
}
