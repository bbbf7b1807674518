// SPDX-License-Identifier: MPL-2.0

//! Bytes that have come and not gone, in the pieces in which they came: samples are not copied.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::container::boxes::Header;

#[derive(Debug, Default)]
pub(super) struct Held {
    /// Each with where it begins among all bytes ever pushed, to be found quickly.
    chunks: VecDeque<(usize, Bytes)>,
    /// Where what is held begins, counted in the same way, and where it ends.
    start: usize,
    end: usize,
}

impl Held {
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            if self.chunks.is_empty() {
                // Or a long session would count beyond 32 bits.
                (self.start, self.end) = (0, 0);
            }
            let at = self.end;
            self.end += bytes.len();
            self.chunks.push_back((at, bytes));
        }
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The header of the box at `at`; None: more bytes are needed.
    pub fn header(&self, at: usize) -> Option<Header> {
        Header::read(&self.copy(at..self.len().min(at + Header::MAX))?)
    }

    /// None: that much is not there.
    pub fn copy(&self, range: Range<usize>) -> Option<Vec<u8>> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let mut slices = Vec::new();
        self.slices(range, &mut slices);
        Some(slices.concat())
    }

    /// Adds the bytes in `range` to `out`, as far as they are there.
    pub fn slices(&self, range: Range<usize>, out: &mut Vec<Bytes>) {
        let (from, to) = (self.start + range.start, self.start + range.end);
        let first = self.chunks.partition_point(|(at, chunk)| at + chunk.len() <= from);
        for (at, chunk) in self.chunks.range(first..).take_while(|(at, _)| *at < to) {
            let slice = chunk.slice(from.saturating_sub(*at)..chunk.len().min(to - at));
            if !slice.is_empty() {
                out.push(slice);
            }
        }
    }

    /// Moves at most `most` bytes to `out`, and gives how many.
    pub fn pass(&mut self, most: u64, out: &mut Vec<Bytes>) -> u64 {
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(self.len());
        self.slices(0..count, out);
        self.skip(count);
        count as u64
    }

    /// Lets go of the first `count` bytes, of which there are as many.
    pub fn skip(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        while self.chunks.front().is_some_and(|(at, chunk)| at + chunk.len() <= self.start) {
            self.chunks.pop_front();
        }
    }

    /// Puts `bytes` in the place of as many at the front.
    pub fn replace(&mut self, bytes: Bytes) {
        let at = self.start;
        self.skip(bytes.len());
        if let Some((from, chunk)) = self.chunks.front_mut() {
            let gone = self.start.saturating_sub(*from);
            (*from, *chunk) = (*from + gone, chunk.slice(gone..));
        }
        self.chunks.push_front((at, bytes));
        self.start = at;
    }
}
