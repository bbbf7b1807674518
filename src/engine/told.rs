// SPDX-License-Identifier: MPL-2.0

//! Which events have been told: manifests list them with each load, and segments repeat them over
//! representations and in time.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher as _;

use crate::manifest::TimedEvent;

/// Events that are remembered; twice as many as an MPD may list.
const MAX_TOLD: usize = 20_000;

/// Two mentions of an event are rounded in different ways, by less than this, in nanoseconds.
const TOLERANCE: i64 = 1_000_000_000;

/// What events are known by: a hash of what they are, and about when they are.
type Mark = (u64, i64);

/// Remembers events.
#[derive(Debug, Default)]
pub struct Told {
    hasher: RandomState,
    marks: HashSet<Mark>,
    /// The oldest first.
    order: VecDeque<Mark>,
}

impl Told {
    /// Whether an event is new; it is not a second time. Those of one scheme, value and id are the same
    /// (ISO/IEC 23009-1 5.10.2.2), unless they are at another time: some publishers number all alike. Those without an
    /// id are if they say the same.
    pub fn is_new(&mut self, event: &TimedEvent) -> bool {
        let content = event.id.is_none().then_some(&event.data);
        let what = self.hasher.hash_one((&event.scheme, &event.value, event.id, content));
        let when = event.start.div_euclid(TOLERANCE);
        let near = |by: i64| self.marks.contains(&(what, when.saturating_add(by)));
        if (-1..=1).any(near) {
            return false;
        }
        if self.order.len() >= MAX_TOLD
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
        self.marks.insert((what, when));
        self.order.push_back((what, when));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn event(id: Option<u64>, start: i64, data: &[u8]) -> TimedEvent {
        TimedEvent { scheme: "urn:x".to_owned(), id, start, data: data.to_vec(), ..TimedEvent::default() }
    }

    #[test]
    fn an_event_is_new_once() {
        let mut told = Told::default();
        assert!(told.is_new(&event(Some(1), 5 * S, b"a")));
        assert!(!told.is_new(&event(Some(1), 5 * S - 1, b"b")), "rounded, and written anew");
        assert!(told.is_new(&event(Some(1), 9 * S, b"a")), "another that has the same number");
        assert!(told.is_new(&event(Some(2), 5 * S, b"a")));
        assert!(told.is_new(&event(None, 5 * S, b"a")));
        assert!(!told.is_new(&event(None, 5 * S, b"a")));
        assert!(told.is_new(&event(None, 5 * S, b"b")));
        let other = TimedEvent { value: "1".to_owned(), ..event(Some(1), 5 * S, b"a") };
        assert!(told.is_new(&other));
    }

    #[test]
    fn memory_has_an_end() {
        let mut told = Told::default();
        (0..MAX_TOLD as u64 + 1).for_each(|id| assert!(told.is_new(&event(Some(id), 0, b""))));
        assert_eq!((told.marks.len(), told.order.len()), (MAX_TOLD, MAX_TOLD));
        assert!(told.is_new(&event(Some(0), 0, b"")), "the oldest is forgotten");
        assert!(!told.is_new(&event(Some(9), 0, b"")));
    }
}
