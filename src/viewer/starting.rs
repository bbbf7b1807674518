// SPDX-License-Identifier: MPL-2.0

//! Playback that has not begun or stands still: what it waits for, and what may wait for the swarm.
//!
//! While playback stands still its position says little of when the next bytes are needed: a decoder may be
//! waiting for them before anything can be shown. Yet players take more than that, because they have room for it,
//! and what they take before peers are there comes over HTTP: in a large swarm, most of what does.

use std::time::{Duration, Instant};

use super::Viewer;

/// A player may want so much before it shows anything; it does not wait for a swarm that is still forming.
const PREROLL: Duration = Duration::from_secs(8);

/// With so much in hand most players show a first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(2);

/// It comes within this time, or more was needed.
const DECODING: Duration = Duration::from_millis(700);

/// What a player that stands still waits for may take so long to come from peers.
const PATIENCE: Duration = Duration::from_secs(3);

/// A swarm has formed for a viewer that has heard from so many peers.
const ENOUGH_PEERS: u64 = 3;

impl Viewer {
    /// Playback has not begun, or is not going on.
    pub(super) fn stands(&self) -> bool {
        self.clock.is_none_or(|clock| !clock.playing)
    }

    /// Time until playback, which stands, needs the segment that goes out next; `ahead` is what it has in hand.
    pub(super) fn slack_at_rest(&self, now: Instant, ahead: Duration) -> Duration {
        let waited = self.cursor_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if ahead < PREROLL && self.swarm_forming && self.heard_peers() == 0 {
            let may_be_enough = ahead >= FIRST_PICTURE && waited < DECODING;
            return if may_be_enough { ahead } else { Duration::ZERO };
        }
        ahead.min(PATIENCE).saturating_sub(waited)
    }

    /// Looks again when it shows whether what the player has was enough for a first picture.
    pub(super) fn watch_start(&mut self, now: Instant) {
        let shows = self.cursor_since.map(|since| since + DECODING).filter(|shows| *shows > now);
        if let Some(shows) = shows.filter(|_| self.stands()) {
            self.wake_at(shows);
        }
    }

    /// The swarm is still forming, and what can wait does.
    pub(super) fn is_waiting_for_swarm(&self) -> bool {
        // A film is there as a whole: whoever has it may be among those who are met last, and there is time.
        // Of a live stream, what the tracker counts is what there is to wait for.
        let others = match self.swarm_size {
            Some(2..) if !self.live => ENOUGH_PEERS,
            Some(size) => size.saturating_sub(1).clamp(1, ENOUGH_PEERS),
            None => 1,
        };
        self.swarm_forming && (self.heard_peers() as u64) < others
    }

    /// Peers that hold something, as far as they have said. One of which nobody knows it is not there yet.
    fn heard_peers(&self) -> usize {
        self.peers.values().filter(|peer| peer.state.frontier().is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, FetchId, SegmentSpec, ViewerConfig};
    use super::*;
    use crate::swarm::{PeerId, SegmentId};

    const RATE: u64 = 250_000;

    /// A viewer who looks for peers and has got its first segment, of so many seconds, over HTTP.
    fn with_one_segment(now: Instant, seconds: u64) -> Viewer {
        let mut viewer = Viewer::new(ViewerConfig::new(PeerId(*b"-GP0001-me0000000000")));
        let duration = Duration::from_secs(seconds);
        let spec = |n| SegmentSpec {
            id: SegmentId(n),
            start: duration * n as u32,
            duration,
            size: None,
            names: None,
            pace: None,
        };
        viewer.handle_segments((0..10).map(spec).collect(), false);
        viewer.handle_swarm_forming(true);
        viewer.handle_seek(now, SegmentId(0));
        let (fetch, segment) = fetched(&mut viewer, now).expect("the first is asked for at once");
        assert_eq!(segment, SegmentId(0));
        let size = seconds * RATE;
        viewer.handle_http_start(now, fetch, 0, Some(size));
        viewer.handle_http_bytes(now, fetch, size);
        viewer.handle_http_end(now, fetch);
        viewer.handle_cursor(now, SegmentId(1));
        viewer
    }

    fn fetched(viewer: &mut Viewer, now: Instant) -> Option<(FetchId, SegmentId)> {
        let mut fetched = None;
        while let Some(action) = viewer.poll_action(now) {
            if let Action::Fetch { fetch, segment, .. } = action {
                fetched = Some((fetch, segment));
            }
        }
        fetched
    }

    #[test]
    fn more_than_a_first_picture_is_fetched_when_there_was_none() {
        let now = Instant::now();
        let mut viewer = with_one_segment(now, 4);
        assert_eq!(fetched(&mut viewer, now), None);
        let wake = viewer.poll_timeout().expect("it looks again");
        assert!(wake <= now + DECODING);
        viewer.handle_timeout();
        let second = fetched(&mut viewer, now + DECODING).map(|(_, segment)| segment);
        assert_eq!(second, Some(SegmentId(1)));
    }

    #[test]
    fn once_there_is_a_picture_the_next_segment_waits_for_peers() {
        let now = Instant::now();
        let mut viewer = with_one_segment(now, 6);
        assert_eq!(fetched(&mut viewer, now), None);
        viewer.handle_playback(now, Duration::ZERO, true);
        viewer.handle_timeout();
        assert_eq!(fetched(&mut viewer, now + DECODING), None);
        viewer.handle_timeout();
        assert!(fetched(&mut viewer, now + Duration::from_secs(5)).is_some(), "nobody came");
    }

    #[test]
    fn what_is_too_short_for_a_picture_is_no_reason_to_wait() {
        let now = Instant::now();
        let mut viewer = with_one_segment(now, 1);
        assert_eq!(fetched(&mut viewer, now).map(|(_, segment)| segment), Some(SegmentId(1)));
    }
}
