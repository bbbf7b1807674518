// SPDX-License-Identifier: MPL-2.0

//! What the person in front of the screen sees. As the element: playback begins with the first segment, stops
//! when everything has been shown, and goes on with a little in hand.

use super::time::Micros;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing has been shown yet.
    Waiting,
    Playing,
    Stalled,
    /// All has been shown.
    Ended,
}

/// With this much ahead playback goes on, if segments are not shorter.
const ENOUGH: Micros = 2_000_000;

#[derive(Clone, Debug)]
pub struct Playback {
    pub state: State,
    /// Since when it is in this state.
    since: Micros,
    /// Position at that moment.
    position: Micros,
    pub played: Micros,
    pub stalled: Micros,
    pub stalls: u32,
    /// From joining to the first picture.
    pub startup: Option<Micros>,
    /// From the first segment to the first picture.
    preroll: Micros,
    /// When the first segment was there.
    ready: Option<Micros>,
}

impl Playback {
    pub fn new(now: Micros, preroll: Micros) -> Self {
        Self {
            state: State::Waiting,
            since: now,
            position: 0,
            played: 0,
            stalled: 0,
            stalls: 0,
            startup: None,
            preroll,
            ready: None,
        }
    }

    /// When the first picture is due, once the first segment is there.
    pub fn first_picture(&self) -> Option<Micros> {
        self.ready.filter(|_| self.state == State::Waiting).map(|ready| ready + self.preroll)
    }

    pub fn position(&self, now: Micros) -> Micros {
        match self.state {
            State::Playing => self.position + (now - self.since),
            _ => self.position,
        }
    }

    /// Playback goes to another place.
    pub fn jump(&mut self, now: Micros, position: Micros) {
        self.enter(now, self.state);
        self.position = position;
    }

    /// Takes note of how far everything has come: `edge` is the end of what can be shown, `segment` a
    /// segment's duration, `all` that nothing comes after. True if the state has changed.
    pub fn update(&mut self, now: Micros, edge: Micros, segment: Micros, all: bool) -> bool {
        let ahead = edge.saturating_sub(self.position(now));
        if self.state == State::Waiting && ahead >= segment {
            self.ready.get_or_insert(now);
        }
        let next = match self.state {
            State::Waiting if self.first_picture().is_some_and(|due| due <= now) => {
                self.startup = Some(now - self.since);
                State::Playing
            }
            State::Playing if ahead == 0 && all => State::Ended,
            State::Playing if ahead == 0 => {
                self.stalls += 1;
                State::Stalled
            }
            State::Stalled if ahead >= ENOUGH.min(segment) || all => State::Playing,
            _ => return false,
        };
        self.enter(now, next);
        true
    }

    /// The world ends, or the viewer leaves it: what goes on is counted up to here.
    pub fn close(&mut self, now: Micros) {
        self.enter(now, self.state);
    }

    fn enter(&mut self, now: Micros, state: State) {
        let passed = now - self.since;
        self.position = self.position(now);
        match self.state {
            State::Playing => self.played += passed,
            State::Stalled => self.stalled += passed,
            // The wait for the first picture is counted from its beginning.
            State::Waiting if state == State::Waiting => return,
            _ => {}
        }
        (self.state, self.since) = (state, now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::time::from_seconds;
    use super::*;

    #[test]
    fn the_first_picture_comes_a_preroll_after_the_first_segment() {
        let second = from_seconds(1.0);
        let mut playback = Playback::new(0, second / 2);
        assert!(!playback.update(second, second, 4 * second, false), "not all of a segment is there");
        assert_eq!(playback.first_picture(), None);
        assert!(!playback.update(2 * second, 4 * second, 4 * second, false));
        assert_eq!(playback.first_picture(), Some(2 * second + second / 2));
        assert!(playback.update(2 * second + second / 2, 8 * second, 4 * second, false));
        assert_eq!(playback.startup, Some(2 * second + second / 2));
        assert_eq!(playback.first_picture(), None, "it has been seen");
    }

    #[test]
    fn a_stall_is_counted_from_the_last_picture_to_the_next() {
        let second = from_seconds(1.0);
        let mut playback = Playback::new(second, 0);
        playback.jump(second, 100 * second);
        assert!(!playback.update(2 * second, 103 * second, 4 * second, false));
        assert!(playback.update(3 * second, 104 * second, 4 * second, false));
        assert_eq!(playback.startup, Some(2 * second));
        assert!(!playback.update(5 * second, 104 * second, 4 * second, false));
        assert!(playback.update(7 * second, 104 * second, 4 * second, false));
        assert!(!playback.update(8 * second, 105 * second, 4 * second, false), "too little to go on");
        assert!(playback.update(9 * second, 106 * second, 4 * second, false));
        playback.close(10 * second);
        assert_eq!((playback.played, playback.stalled, playback.stalls), (5 * second, 2 * second, 1));
        assert_eq!(playback.position(10 * second), 105 * second);
    }
}
