// SPDX-License-Identifier: MPL-2.0

//! The index of a single file: `sidx` boxes, ISO/IEC 14496-12 8.16.3, or the Cues of WebM. A `sidx` may name others, to
//! any depth; they are fetched one by one and put in its place. Cues need the start of the file.

use super::bytes::Bytes;
use super::cues::Cues;
use super::values::{Nanos, ticks_to_nanos};
use crate::manifest::{ByteRange, MAX_SEGMENTS};

/// Most bytes of an index that are to be fetched at a time.
pub const MAX_INDEX_BYTES: u64 = 16 << 20;

/// Most indexes of indexes that are followed, so that none goes on for ever.
const MAX_NESTED: usize = 4_096;

/// Why an index cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    #[error("byte {offset}: neither a sidx box nor Cues where the index should be")]
    NoIndex { offset: u64 },
    #[error("byte {offset}: the Segment that the Cues belong to does not begin before them")]
    NoSegment { offset: u64 },
    #[error("byte {offset}: the Cues do not tell where their last cluster ends, nor does the Segment")]
    NoEnd { offset: u64 },
    #[error("byte {offset}: the index is cut short")]
    CutShort { offset: u64 },
    #[error("byte {offset}: the index points beyond what a file can hold")]
    Overflow { offset: u64 },
    #[error("byte {offset}: the index has more than {limit} {what}")]
    TooMany { offset: u64, what: &'static str, limit: usize },
}

/// A segment of a single file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedSegment {
    pub byte_range: ByteRange,
    /// Nanoseconds on the timeline of the media.
    pub start: Nanos,
    pub duration: Nanos,
    /// It starts with a point where playback can begin.
    pub starts_with_access_point: bool,
}

/// The segments of a single file, as far as its index has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    entries: Vec<Entry>,
    nested: usize,
    /// Of WebM, as long as it is not known what their numbers stand for.
    cues: Option<Cues>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Segment(IndexedSegment),
    /// Another index is to be read from here.
    Nested(ByteRange),
}

impl SegmentIndex {
    /// Reads the index that is in `bytes`, which stand at `offset` of the file.
    pub fn parse(bytes: &[u8], offset: u64) -> Result<Self, IndexError> {
        let mut index = Self { entries: Vec::new(), nested: 0, cues: None };
        if Cues::begin(bytes) {
            index.cues = Some(Cues::read(bytes, offset)?);
            return Ok(index);
        }
        index.entries = index.read(bytes, offset)?;
        index.fill(bytes, offset)?;
        Ok(index)
    }

    /// What has to be fetched next; None: the index is complete.
    pub fn missing(&self) -> Option<ByteRange> {
        if let Some(cues) = &self.cues {
            return Some(cues.head());
        }
        self.entries.iter().find_map(|entry| match entry {
            Entry::Nested(range) => Some(*range),
            Entry::Segment(_) => None,
        })
    }

    /// Takes what [`Self::missing`] asked for.
    pub fn add(&mut self, bytes: &[u8], offset: u64) -> Result<(), IndexError> {
        if let Some(cues) = self.cues.take_if(|cues| cues.head().offset == offset) {
            self.entries = cues.segments(bytes)?.into_iter().map(Entry::Segment).collect();
            return Ok(());
        }
        let wanted = |entry: &Entry| matches!(entry, Entry::Nested(range) if range.offset == offset);
        match self.entries.iter().position(wanted) {
            Some(_) => self.fill(bytes, offset).and_then(|read| match read {
                0 => Err(IndexError::NoIndex { offset }),
                _ => Ok(()),
            }),
            None => Ok(()),
        }
    }

    /// The segments, in the order of the file, as far as they are known.
    pub fn segments(&self) -> impl Iterator<Item = &IndexedSegment> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Segment(segment) => Some(segment),
            Entry::Nested(_) => None,
        })
    }

    /// Puts in all nested indexes that are in `bytes`; says how many.
    fn fill(&mut self, bytes: &[u8], offset: u64) -> Result<usize, IndexError> {
        let mut filled = 0;
        let mut pending: Vec<Entry> = std::mem::take(&mut self.entries);
        pending.reverse();
        // Each turn settles an entry, or follows an index, of which there is a limited number.
        while let Some(entry) = pending.pop() {
            let inside = match entry {
                Entry::Nested(range) => range
                    .offset
                    .checked_sub(offset)
                    .and_then(|at| bytes.get(usize::try_from(at).ok()?..).filter(|rest| !rest.is_empty())),
                Entry::Segment(_) => None,
            };
            let (Entry::Nested(range), Some(inside)) = (entry, inside) else {
                self.entries.push(entry);
                continue;
            };
            match self.read(inside, range.offset) {
                Ok(mut nested) => {
                    let count = self.entries.len() + pending.len() + nested.len();
                    if count > MAX_SEGMENTS {
                        let offset = range.offset;
                        return Err(IndexError::TooMany { offset, what: "segments", limit: MAX_SEGMENTS });
                    }
                    nested.reverse();
                    pending.append(&mut nested);
                    filled += 1;
                }
                // The rest of it was not fetched yet; what was asked for by its place has to be there.
                Err(IndexError::CutShort { .. }) if range.offset != offset => self.entries.push(entry),
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Reads one box.
    fn read(&mut self, bytes: &[u8], offset: u64) -> Result<Vec<Entry>, IndexError> {
        self.nested += 1;
        if self.nested > MAX_NESTED {
            return Err(IndexError::TooMany { offset, what: "indexes", limit: MAX_NESTED });
        }
        let (content, end) = find(bytes, offset)?;
        let overflow = IndexError::Overflow { offset };
        Content::read(content).ok_or(IndexError::CutShort { offset })?.entries(end).ok_or(overflow)
    }
}

/// The first `sidx` box: its content, and the place behind it in the file.
fn find(bytes: &[u8], offset: u64) -> Result<(&[u8], u64), IndexError> {
    let mut rest = bytes;
    let mut at = offset;
    // A few others may stand before it, such as `styp`.
    for _ in 0..16 {
        let mut header = Bytes(rest);
        let (Some(size), Some(name)) = (header.u32(), header.take(4)) else { break };
        let size = match size {
            1 => match header.u64() {
                Some(size) => size,
                None => break,
            },
            0 => rest.len() as u64,
            size => size.into(),
        };
        let length = (rest.len() - header.0.len()) as u64;
        let known = name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let Some(content) = size.checked_sub(length).filter(|_| known) else { break };
        let after = at.checked_add(size).ok_or(IndexError::Overflow { offset: at })?;
        let content = usize::try_from(content).ok().and_then(|content| header.take(content));
        match content {
            Some(content) if name == b"sidx" => return Ok((content, after)),
            None if name == b"sidx" => return Err(IndexError::CutShort { offset: at }),
            Some(_) => (rest, at) = (header.0, after),
            None => break,
        }
    }
    Err(IndexError::NoIndex { offset })
}

struct Content<'a> {
    timescale: u64,
    time: u64,
    first_offset: u64,
    references: &'a [u8],
}

impl<'a> Content<'a> {
    fn read(content: &'a [u8]) -> Option<Self> {
        let mut reader = Bytes(content);
        let version = reader.u32()? >> 24;
        reader.u32()?;
        let timescale = reader.u32()?;
        let (time, first_offset) = match version {
            0 => (reader.u32()?.into(), reader.u32()?.into()),
            _ => (reader.u64()?, reader.u64()?),
        };
        reader.u16()?;
        let count = reader.u16()?;
        let references = reader.take(usize::from(count) * 12)?;
        Some(Self { timescale: u64::from(timescale).max(1), time, first_offset, references })
    }

    /// `end` is the place behind the box. None: beyond 64 bits.
    fn entries(&self, end: u64) -> Option<Vec<Entry>> {
        let mut offset = end.checked_add(self.first_offset)?;
        let mut time = i128::from(self.time);
        let mut entries = Vec::with_capacity(self.references.len() / 12);
        let mut reader = Bytes(self.references);
        while let (Some(size), Some(duration), Some(access)) = (reader.u32(), reader.u32(), reader.u32()) {
            let range = ByteRange { offset, length: (size & 0x7fff_ffff).into() };
            offset = offset.checked_add(range.length)?;
            let start = ticks_to_nanos(time, self.timescale);
            time += i128::from(duration);
            entries.push(if size >> 31 == 1 {
                Entry::Nested(range)
            } else {
                Entry::Segment(IndexedSegment {
                    byte_range: range,
                    start,
                    duration: ticks_to_nanos(time, self.timescale).saturating_sub(start),
                    starts_with_access_point: access >> 31 == 1,
                })
            });
        }
        Some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::SECOND;
    use super::*;

    /// A `sidx` box; references are (nested, size, ticks).
    fn sidx(version: u8, time: u64, first_offset: u64, references: &[(bool, u32, u32)]) -> Vec<u8> {
        let mut content = vec![version, 0, 0, 0];
        content.extend(1u32.to_be_bytes());
        content.extend(1_000u32.to_be_bytes());
        for number in [time, first_offset] {
            match version {
                0 => content.extend((number as u32).to_be_bytes()),
                _ => content.extend(number.to_be_bytes()),
            }
        }
        content.extend([0, 0]);
        content.extend((references.len() as u16).to_be_bytes());
        for (nested, size, duration) in references {
            content.extend((u32::from(*nested) << 31 | size).to_be_bytes());
            content.extend(duration.to_be_bytes());
            content.extend((1u32 << 31).to_be_bytes());
        }
        let mut all = ((content.len() + 8) as u32).to_be_bytes().to_vec();
        all.extend(b"sidx");
        all.extend(content);
        all
    }

    fn list(index: &SegmentIndex) -> Vec<(u64, u64, Nanos)> {
        let one = |s: &IndexedSegment| (s.byte_range.offset, s.byte_range.length, s.start / (SECOND / 1_000));
        index.segments().map(one).collect()
    }

    #[test]
    fn a_flat_index_gives_segments() {
        for version in [0, 1] {
            let bytes = sidx(version, 500, 10, &[(false, 100, 2_000), (false, 50, 1_500)]);
            let index = SegmentIndex::parse(&bytes, 1_000).expect("an index");
            let start = 1_000 + bytes.len() as u64 + 10;
            assert_eq!(list(&index), [(start, 100, 500), (start + 100, 50, 2_500)]);
            assert_eq!(index.missing(), None);
            let other = [b"\0\0\0\x10stypmsdh\0\0\0\0".to_vec(), bytes].concat();
            assert_eq!(list(&SegmentIndex::parse(&other, 984).expect("an index")), list(&index));
        }
    }

    #[test]
    fn nested_indexes_are_followed_wherever_they_are() {
        let leaf = |time| sidx(1, time, 0, &[(false, 10, 1_000), (false, 20, 1_000)]);
        let size = leaf(0).len() as u32;
        // Both leaves, media and all, are 30 bytes longer than their index.
        let root = sidx(0, 0, 0, &[(true, size + 30, 2_000), (true, size + 30, 2_000)]);
        let first = root.len() as u64;
        let second = first + u64::from(size) + 30;
        let mut index = SegmentIndex::parse(&root, 0).expect("an index");
        assert_eq!(index.missing().map(|range| range.offset), Some(first));
        // Nothing comes of what was not asked for.
        assert_eq!(index.add(&leaf(0), 5), Ok(()));
        index.add(&leaf(0), first).expect("a leaf");
        assert_eq!(index.missing().map(|range| range.offset), Some(second));
        assert_eq!(index.add(b"\0\0\0\x08mdat", second), Err(IndexError::NoIndex { offset: second }));
        let mut index = SegmentIndex::parse(&root, 0).expect("an index");
        index.add(&leaf(0), first).expect("a leaf");
        index.add(&leaf(2_000), second).expect("a leaf");
        assert_eq!(index.missing(), None);
        let firsts: Vec<_> = list(&index).iter().map(|(_, _, time)| *time).collect();
        assert_eq!(firsts, [0, 1_000, 2_000, 3_000]);

        // All in one piece.
        let mut whole = root;
        whole.extend(leaf(0));
        whole.extend([0; 30]);
        whole.extend(leaf(2_000));
        assert_eq!(list(&SegmentIndex::parse(&whole, 0).expect("an index")), list(&index));
    }

    #[test]
    fn nonsense_is_an_error() {
        let bytes = sidx(1, 0, 0, &[(false, 1, 1)]);
        for length in 0..bytes.len() {
            SegmentIndex::parse(&bytes[..length], 0).expect_err("cut short");
        }
        assert_eq!(SegmentIndex::parse(b"<html>", 3), Err(IndexError::NoIndex { offset: 3 }));
        let far = sidx(1, 0, u64::MAX, &[(false, 1, 1)]);
        assert_eq!(SegmentIndex::parse(&far, 0), Err(IndexError::Overflow { offset: 0 }));
        // One that names itself.
        let mut circle = sidx(1, 0, 0, &[(true, 100, 1)]);
        let length = circle.len() as u64;
        circle.extend(sidx(1, 0, 0, &[(true, 0, 1)]));
        circle.extend(sidx(1, 0, 0, &[(true, 0, 1)]));
        let index = SegmentIndex::parse(&circle, 0).expect("it ends");
        assert!(index.missing().is_some_and(|range| range.offset > length));
    }
}
