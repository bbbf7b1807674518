// SPDX-License-Identifier: MPL-2.0

//! The bytes of the segments that the viewer holds. The viewer says what goes in and what goes out.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use crate::swarm::SegmentId;
use crate::viewer::Placement;

/// Bytes of one segment, from offset 0 on without a gap.
#[derive(Debug, Default)]
pub struct SegmentBytes {
    /// Each with the offset behind its last byte.
    chunks: Vec<(u64, Bytes)>,
}

impl SegmentBytes {
    pub fn len(&self) -> u64 {
        self.chunks.last().map_or(0, |(end, _)| *end)
    }

    /// Puts bytes where the viewer has placed them.
    pub fn place(&mut self, placement: Placement, bytes: &Bytes) {
        // What only confirms bytes that are there changes nothing, and says nothing of those that follow.
        if placement.append.is_empty() {
            return;
        }
        // What lies beyond was a peer's, and wrong.
        self.truncate(placement.offset + placement.append.start as u64);
        self.append(bytes.slice(placement.append));
    }

    pub fn append(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.chunks.push((self.len() + bytes.len() as u64, bytes));
        }
    }

    pub fn truncate(&mut self, len: u64) {
        let whole = self.chunks.partition_point(|(end, _)| *end <= len);
        let start = self.chunks[..whole].last().map_or(0, |(end, _)| *end);
        if let Some((end, bytes)) = self.chunks.get_mut(whole)
            && start < len
        {
            bytes.truncate((len - start) as usize);
            *end = len;
            self.chunks.truncate(whole + 1);
        } else {
            self.chunks.truncate(whole);
        }
    }

    /// The bytes of `range` as far as they are there, without copying.
    pub fn slices(&self, range: Range<u64>) -> impl Iterator<Item = Bytes> + '_ {
        let first = self.chunks.partition_point(|(end, _)| *end <= range.start);
        self.chunks[first..].iter().map_while(move |(end, bytes)| {
            let start = end - bytes.len() as u64;
            let (from, to) = (range.start.max(start), range.end.min(*end));
            (from < to).then(|| bytes.slice((from - start) as usize..(to - start) as usize))
        })
    }

    /// Whether the bytes at `offset` are these.
    pub fn matches(&self, offset: u64, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        for slice in self.slices(offset..offset + bytes.len() as u64) {
            let Some((head, tail)) = rest.split_at_checked(slice.len()) else { return false };
            if head != slice {
                return false;
            }
            rest = tail;
        }
        rest.is_empty()
    }

    /// All chunks in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(|(_, bytes)| bytes.as_ref())
    }
}

/// All segments held.
#[derive(Debug, Default)]
pub struct Store {
    segments: BTreeMap<SegmentId, SegmentBytes>,
}

impl Store {
    pub fn get(&self, segment: SegmentId) -> Option<&SegmentBytes> {
        self.segments.get(&segment)
    }

    pub fn entry(&mut self, segment: SegmentId) -> &mut SegmentBytes {
        self.segments.entry(segment).or_default()
    }

    pub fn remove(&mut self, segment: SegmentId) {
        self.segments.remove(&segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_origin_confirms_leaves_what_follows() {
        let mut held = SegmentBytes::default();
        let all = Bytes::from_static(b"0123456789");
        held.place(Placement { offset: 0, append: 0..6 }, &all.slice(..6));
        // The origin is slower than the peer: first what is there already, then what goes on after it.
        held.place(Placement { offset: 0, append: 4..4 }, &all.slice(..4));
        assert_eq!(held.len(), 6);
        held.place(Placement { offset: 4, append: 2..6 }, &all.slice(4..));
        assert!(held.matches(0, &all));
        // The viewer has thrown away what came after 3: what comes now takes its place.
        held.place(Placement { offset: 3, append: 0..2 }, &Bytes::from_static(b"ab"));
        assert_eq!((held.len(), held.matches(0, b"012ab")), (5, true));
    }

    proptest! {
        #[test]
        fn behaves_like_one_long_string(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9),
            cut in 0usize..80, from in 0usize..80, len in 0usize..80,
        ) {
            let mut model: Vec<u8> = Vec::new();
            let mut bytes = SegmentBytes::default();
            for part in parts {
                model.extend_from_slice(&part);
                bytes.append(part.into());
            }
            model.truncate(cut);
            bytes.truncate(cut as u64);
            prop_assert_eq!(bytes.len(), model.len() as u64);
            let from = from.min(model.len());
            let to = (from + len).min(model.len());
            let got: Vec<u8> = bytes.slices(from as u64..to as u64).flatten().collect();
            prop_assert_eq!(&got, &model[from..to]);
            prop_assert!(bytes.matches(from as u64, &model[from..to]));
            prop_assert!(!bytes.matches(from as u64, &[&model[from..], &[1][..]].concat()));
            bytes.append(vec![7, 8].into());
            model.extend([7, 8]);
            prop_assert_eq!(bytes.chunks().flatten().copied().collect::<Vec<_>>(), model);
        }
    }
}
