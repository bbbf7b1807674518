// SPDX-License-Identifier: MPL-2.0

//! What the access link carries, and what may come through it at the same time.
//!
//! All that is on its way shares it, and what a peer has sent cannot be called back. Where the line carries many times the
//! stream that is no matter. Where it does not, what is needed next had better come alone, as it does over HTTP alone; and
//! where there is next to nothing to spare, a byte that comes twice is one too many.

use std::time::Duration;

use super::{SegmentSpec, Viewer};

/// The access link, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The first segment has not come yet.
    Unmeasured,
    /// It hardly carries the stream: all comes over HTTP, where nothing comes twice.
    Narrow,
    /// One segment comes after the other.
    Tight,
    Wide,
}

impl Line {
    /// Whether something may come beside what is needed next.
    pub fn has_room(self) -> bool {
        matches!(self, Self::Unmeasured | Self::Wide)
    }
}

/// Rates below these, in rates of the stream, make a line narrow or tight. With tight below 4, fewer viewers stand still who share
/// their line with others, but swarms of a few hundred lose half a point of their efficiency.
const NARROW: f64 = 1.3;
const TIGHT: f64 = 3.0;

/// One peer or two may be on our side of the line.
const SEVERAL: usize = 3;

/// How fast such a segment comes says something of the line. What is shorter is there before TCP has found its rate, and what is
/// still being made comes no faster than that.
fn tells(spec: &SegmentSpec) -> bool {
    spec.duration >= Duration::from_secs(1) && spec.pace.is_none()
}

/// What is needed so much later than a segment that is short of time is not begun beside it.
const MUCH_LATER: Duration = Duration::from_secs(3);

impl Viewer {
    /// What is known of the line: it carries what HTTP has brought through it, or several peers have. An origin that has become
    /// slow does not make it narrow.
    pub(super) fn line(&self) -> Line {
        let Some(http) = self.http.rate() else {
            // Where segments are too small to tell, there is room for them.
            return if self.seen.1.is_zero() { Line::Unmeasured } else { Line::Wide };
        };
        let is_below = |times: f64| {
            let needed = times * self.stream_rate();
            let is_fast = |peer: &super::RemotePeer| peer.estimate.rate().is_some_and(|rate| rate >= needed);
            http < needed && self.peers.values().filter(|peer| is_fast(peer)).count() < SEVERAL
        };
        if !is_below(TIGHT) {
            Line::Wide
        } else if !is_below(NARROW) {
            Line::Tight
        } else {
            Line::Narrow
        }
    }
}

/// Which segments may be begun beside those before them, in one pass over all that are wanted.
#[derive(Debug)]
pub struct Admission {
    line: Line,
    /// One before is missing.
    is_missing: bool,
    /// One before is asked for over HTTP.
    is_fetched: bool,
    /// The slack from which on nothing is begun.
    horizon: Option<Duration>,
}

impl Admission {
    pub fn new(line: Line) -> Self {
        Self { line, is_missing: false, is_fetched: false, horizon: None }
    }

    /// Whether the segment may be begun. `is_pressed`: it is short of time itself.
    pub fn admits(&self, spec: &SegmentSpec, slack: Duration, is_pressed: bool) -> bool {
        let is_far = self.horizon.is_some_and(|horizon| slack >= horizon);
        match self.line {
            // The first picture needs all there is.
            Line::Unmeasured if self.is_fetched && tells(spec) => false,
            line if !line.has_room() && self.is_missing && tells(spec) => false,
            _ => is_pressed || !is_far,
        }
    }

    /// Whether the segment had better come over HTTP, whoever else has it.
    pub fn wants_http(&self, spec: &SegmentSpec) -> bool {
        self.line == Line::Narrow && tells(spec)
    }

    /// Whether there is room for it twice.
    pub fn allows_race(&self) -> bool {
        self.line.has_room()
    }

    /// The segment is short of time.
    pub fn note_pressed(&mut self, slack: Duration) {
        self.horizon.get_or_insert(slack + MUCH_LATER);
    }

    /// The segment is one of a film, of which there is always more to fetch, and little is in hand: no more is begun than what
    /// may come in time.
    pub fn note_near(&mut self, slack: Duration) {
        self.horizon.get_or_insert(slack + slack.max(MUCH_LATER));
    }

    /// The segment is missing; `is_fetched`: it is asked for over HTTP.
    pub fn passed(&mut self, is_fetched: bool) {
        self.is_missing = true;
        self.is_fetched |= is_fetched;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{PeerId, SegmentId};
    use crate::viewer::{PeerKey, ViewerConfig};
    use std::time::Instant;

    const S: Duration = Duration::from_secs(1);

    fn spec(duration: Duration) -> SegmentSpec {
        SegmentSpec { id: SegmentId(7), start: S, duration, size: None, names: None, pace: None }
    }

    #[test]
    fn a_line_is_as_wide_as_its_sources_show() {
        let mut viewer = Viewer::new(ViewerConfig::new(PeerId(*b"-GP0001-me0000000000")));
        for n in 1..=3 {
            viewer.handle_peer_open(Instant::now(), PeerKey(n), PeerId([n as u8; 20]));
        }
        assert_eq!(viewer.line(), Line::Unmeasured);
        viewer.seen = (1_000_000, 2 * S);
        assert_eq!(viewer.line(), Line::Wide, "what came was too little to tell");
        for (bytes, line) in [(600_000, Line::Narrow), (9_000_000, Line::Wide), (1_000_000, Line::Tight)] {
            viewer.http = Default::default();
            viewer.http.record_transfer(bytes, S);
            assert_eq!(viewer.line(), line, "{bytes} bytes a second");
        }
        viewer.http = Default::default();
        viewer.http.record_transfer(100_000, S);
        for (n, line) in [(1, Line::Narrow), (2, Line::Narrow), (3, Line::Wide)] {
            let peer = viewer.peers.get_mut(&PeerKey(n)).expect("it is there");
            peer.estimate.record_transfer(3_000_000, S);
            assert_eq!(viewer.line(), line, "the origin is slow, and {n} peers are fast");
        }
    }

    #[test]
    fn on_a_tight_line_one_comes_after_the_other() {
        let mut tight = Admission::new(Line::Tight);
        assert!(tight.admits(&spec(2 * S), 4 * S, false));
        tight.passed(false);
        assert!(!tight.admits(&spec(2 * S), 6 * S, true));
        assert!(tight.admits(&spec(S / 2), 6 * S, false), "of a part it is not known");
        assert!(!tight.wants_http(&spec(2 * S)) && Admission::new(Line::Narrow).wants_http(&spec(2 * S)));
    }

    #[test]
    fn the_first_picture_has_the_line_for_itself() {
        let mut unmeasured = Admission::new(Line::Unmeasured);
        unmeasured.passed(false);
        assert!(unmeasured.admits(&spec(S), S, true));
        unmeasured.passed(true);
        assert!(!unmeasured.admits(&spec(S), S, true));
    }

    #[test]
    fn what_is_needed_much_later_waits_for_what_is_short_of_time() {
        let mut wide = Admission::new(Line::Wide);
        wide.note_pressed(S);
        assert!(wide.admits(&spec(S), 3 * S, false) && !wide.admits(&spec(S), 4 * S, false));
        assert!(wide.admits(&spec(S), 4 * S, true), "it is short of time, too");
        let mut film = Admission::new(Line::Wide);
        film.note_near(5 * S);
        assert!(film.admits(&spec(S), 9 * S, false) && !film.admits(&spec(S), 10 * S, false));
    }
}
