// SPDX-License-Identifier: MPL-2.0

//! What is going to happen, in order: a calendar queue with one page a window of the world's clock.
//!
//! Only the page that is open is kept sorted, in a heap small enough for the processor's cache. Later pages
//! are plain lists in blocks, so that a page with little on it takes little memory; what lies beyond the last of
//! them waits in a heap of its own.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::event::{Event, What};
use super::time::Micros;

/// Pages; a power of two.
const PAGES: usize = 512;

/// Events in a block of a page.
const BLOCK: usize = 16;

#[derive(Debug)]
pub struct Queue {
    /// Time that a page covers.
    width: Micros,
    /// The page that is open.
    page: u64,
    open: BinaryHeap<Soonest>,
    /// Pages after the open one, by number modulo [`PAGES`].
    later: Vec<Page>,
    /// Beyond these.
    far: BinaryHeap<Soonest>,
    /// Blocks of pages that are over, for those to come.
    spare: Vec<Block>,
    next_order: u32,
    len: usize,
}

type Page = Vec<Block>;

/// At most [`BLOCK`] events.
type Block = Vec<Soonest>;

/// An event that is greater the sooner it happens.
#[derive(Debug)]
struct Soonest(Event);

impl Soonest {
    fn key(&self) -> (Micros, u32) {
        (self.0.at, self.0.order)
    }
}

impl PartialEq for Soonest {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Soonest {}

impl PartialOrd for Soonest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Soonest {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl Queue {
    pub fn new(width: Micros) -> Self {
        Self {
            width: width.max(1),
            page: 0,
            open: BinaryHeap::new(),
            later: (0..PAGES).map(|_| Vec::new()).collect(),
            far: BinaryHeap::new(),
            spare: Vec::new(),
            next_order: 0,
            len: 0,
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts an event where it belongs: after those of the same moment that were put there before.
    pub fn push(&mut self, at: Micros, viewer: u32, what: What) {
        let order = self.next_order;
        self.next_order = self.next_order.wrapping_add(1);
        self.len += 1;
        let event = Soonest(Event { at, order, viewer, what });
        let page = at / self.width;
        if page <= self.page {
            self.open.push(event);
        } else if page < self.page + PAGES as u64 {
            self.write(page, event);
        } else {
            self.far.push(event);
        }
    }

    /// The next event before `until`.
    pub fn pop_before(&mut self, until: Micros) -> Option<Event> {
        loop {
            if let Some(next) = self.open.peek() {
                if next.0.at >= until {
                    return None;
                }
                self.len -= 1;
                return self.open.pop().map(|event| event.0);
            }
            if self.len == 0 || (self.page + 1) * self.width >= until {
                return None;
            }
            self.turn();
        }
    }

    /// Opens the next page.
    fn turn(&mut self) {
        self.page += 1;
        let slot = self.page as usize % PAGES;
        // Taking the lists as they are and giving them the order of a heap costs less than inserting one by one.
        let mut open = std::mem::take(&mut self.open).into_vec();
        for mut block in std::mem::take(&mut self.later[slot]) {
            open.append(&mut block);
            self.spare.push(block);
        }
        self.open = BinaryHeap::from(open);
        let last = self.page + PAGES as u64 - 1;
        while self.far.peek().is_some_and(|event| event.0.at / self.width <= last) {
            if let Some(event) = self.far.pop() {
                self.write(event.0.at / self.width, event);
            }
        }
    }

    /// Notes an event on a page after the open one.
    fn write(&mut self, page: u64, event: Soonest) {
        let page = &mut self.later[page as usize % PAGES];
        match page.last_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => block.push(event),
            None => {
                let mut block = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK));
                block.push(event);
                page.push(block);
            }
        }
    }

    /// When something happens next; exact unless `limit` comes first.
    pub fn next_time(&mut self, limit: Micros) -> Option<Micros> {
        while self.open.is_empty() && self.len > 0 && (self.page + 1) * self.width < limit {
            self.turn();
        }
        self.open.peek().map(|event| event.0.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is pushed comes out by time, and in the order of pushing at the same time.
        #[test]
        fn events_come_in_order(width in 1u64..5_000, pushes in proptest::collection::vec((0u64..3_000_000, 0u64..20_000), 1..400)) {
            let mut queue = Queue::new(width);
            let mut expected: Vec<(Micros, u32)> = Vec::new();
            for (n, (at, _)) in pushes.iter().enumerate() {
                queue.push(*at, n as u32, What::Timer);
                expected.push((*at, n as u32));
            }
            expected.sort_unstable();
            let mut seen = Vec::new();
            let mut added = Vec::new();
            let mut next = pushes.len() as u32;
            // Each event may bring another one a while after it.
            while let Some(event) = queue.pop_before(Micros::MAX / 2) {
                seen.push((event.at, event.viewer));
                if let Some((_, delay)) = pushes.get(event.viewer as usize).filter(|(_, d)| d % 3 == 0) {
                    queue.push(event.at + delay, next, What::Timer);
                    added.push((event.at + delay, next));
                    next += 1;
                }
            }
            prop_assert_eq!(queue.len(), 0);
            expected.extend(added);
            expected.sort_unstable();
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn nothing_comes_before_its_window() {
        let mut queue = Queue::new(10);
        queue.push(25, 0, What::Timer);
        assert!(queue.pop_before(20).is_none());
        assert!(queue.pop_before(25).is_none());
        assert_eq!(queue.pop_before(30).map(|event| event.at), Some(25));
    }
}
