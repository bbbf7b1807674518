// SPDX-License-Identifier: MPL-2.0

//! When playback needs a segment, and how far ahead of it segments are fetched.

use std::time::{Duration, Instant};

use super::{SegmentSpec, Viewer};
use crate::rate::Rate;

/// Playback as last heard.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub position: Duration,
    at: Instant,
    pub playing: bool,
}

impl Viewer {
    /// Playback is at `position` on the presentation's timeline.
    pub fn handle_playback(&mut self, now: Instant, position: Duration, playing: bool) {
        self.clock = Some(Clock { position, at: now, playing });
        self.dirty = true;
    }

    /// Playback goes at this rate from now on, or will when it does.
    pub fn handle_rate(&mut self, rate: Rate) {
        let before = std::mem::replace(&mut self.rate, rate);
        if before == rate {
            return;
        }
        // What was to be waited for others has grown shorter or longer with the slack.
        for (_, holding) in self.holdings.iter_mut() {
            holding.first_slack = rate.time_of(before.media_in(holding.first_slack));
        }
        self.dirty = true;
    }

    /// Time until playback needs a segment.
    pub(super) fn slack(&self, now: Instant, spec: &SegmentSpec) -> Duration {
        let position = match self.clock {
            Some(clock) if clock.playing => {
                clock.position.saturating_add(self.rate.media_in(now.saturating_duration_since(clock.at)))
            }
            Some(clock) => clock.position,
            None => self.origin,
        };
        let slack = self.rate.time_of(spec.start.saturating_sub(position));
        if self.stands() && self.cursor == Some(spec.id) { self.slack_at_rest(now, slack) } else { slack }
    }

    /// So much media ahead of playback is fetched. Who watches slowly has no less for others.
    pub(super) fn reach(&self) -> Duration {
        self.rate.or_normal().media_in(self.config.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ViewerConfig;
    use super::*;
    use crate::swarm::{PeerId, SegmentId};

    const S: Duration = Duration::from_secs(1);

    /// A viewer of a film in segments of ten seconds, of which the first is played.
    fn viewer(now: Instant) -> Viewer {
        let mut viewer = Viewer::new(ViewerConfig::new(PeerId(*b"-GP0001-me0000000000")));
        let spec = |n| SegmentSpec {
            id: SegmentId(n),
            start: S * 10 * n as u32,
            duration: S * 10,
            size: Some(1_000),
            names: None,
            pace: None,
        };
        viewer.handle_segments((0..20).map(spec).collect(), false);
        viewer.handle_seek(now, SegmentId(0));
        viewer.handle_playback(now, Duration::ZERO, true);
        viewer
    }

    #[test]
    fn at_twice_the_rate_segments_are_needed_in_half_the_time() {
        let now = Instant::now();
        let mut viewer = viewer(now);
        let slack = |viewer: &Viewer, at| viewer.slack(at, &viewer.segments[2]);
        assert_eq!((slack(&viewer, now), slack(&viewer, now + S)), (S * 20, S * 19));
        assert_eq!(viewer.wanted(), 0..3, "thirty seconds");
        while viewer.poll_action(now).is_some() {}
        let first = |viewer: &Viewer| viewer.holdings.get(&SegmentId(2)).map(|holding| holding.first_slack);
        assert_eq!(first(&viewer), Some(S * 20));

        viewer.handle_rate(Rate::new(2.0).expect("a good rate"));
        assert_eq!((slack(&viewer, now), slack(&viewer, now + S)), (S * 10, S * 9));
        assert_eq!(first(&viewer), Some(S * 10));
        assert_eq!(viewer.wanted(), 0..6, "the same by the clock");

        viewer.handle_rate(Rate::new(0.5).expect("a good rate"));
        assert_eq!((slack(&viewer, now), slack(&viewer, now + S)), (S * 40, S * 39));
        assert_eq!(viewer.wanted(), 0..3, "no less than others have");
    }
}
