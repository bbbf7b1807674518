// SPDX-License-Identifier: MPL-2.0

//! The index of a WebM file: Cues, RFC 9559 5.1.5. Their places count from the start of the Segment and their times in
//! its ticks, and it alone may know where the last cluster ends; so they are read together with the start of the file.

use super::sidx::{IndexError, IndexedSegment};
use super::values::{Nanos, SECOND};
use crate::ebml::{self, Header, id};
use crate::manifest::{ByteRange, MAX_SEGMENTS};

/// So many bytes of a file have what counts of its Segment: the tracks, which may be long, come after that.
const HEAD: u64 = 16 << 10;

/// Cues whose Segment is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cues {
    /// Where they are in the file.
    offset: u64,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    /// Ticks.
    time: u64,
    /// Of its cluster, counted from the content of the Segment.
    position: u64,
}

/// What is needed of a Segment.
struct Segment {
    /// Where its content begins and ends in the file; None: not known.
    start: u64,
    end: Option<u64>,
    /// Nanoseconds of a tick.
    scale: u64,
    /// Ticks.
    duration: Option<f64>,
}

impl Cues {
    /// Whether an index is of this kind.
    pub fn begin(bytes: &[u8]) -> bool {
        matches!(Header::read(bytes), Ok(Some(Header { id: id::CUES, .. })))
    }

    /// Reads Cues that stand at `offset` of the file. Of several points in a cluster the first counts.
    pub fn read(bytes: &[u8], offset: u64) -> Result<Self, IndexError> {
        let Ok(Some(Header { id: id::CUES, length, size })) = Header::read(bytes) else {
            return Err(IndexError::NoIndex { offset });
        };
        if offset == 0 {
            return Err(IndexError::NoSegment { offset });
        }
        let size = size.and_then(|size| usize::try_from(size).ok());
        let content = size.and_then(|size| bytes[length..].get(..size));
        let content = content.ok_or(IndexError::CutShort { offset })?;
        let mut points: Vec<Point> = Vec::new();
        for (_, cue) in ebml::elements(content).filter(|(id, _)| *id == id::CUE_POINT) {
            let Some(point) = Point::read(cue) else { continue };
            let follows = |last: &Point| point.position > last.position && point.time > last.time;
            if points.last().is_none_or(follows) {
                points.push(point);
            }
            if points.len() > MAX_SEGMENTS {
                return Err(IndexError::TooMany { offset, what: "cues", limit: MAX_SEGMENTS });
            }
        }
        if points.is_empty() {
            return Err(IndexError::NoIndex { offset });
        }
        Ok(Self { offset, points })
    }

    /// What else of the file is needed.
    pub fn head(&self) -> ByteRange {
        ByteRange { offset: 0, length: self.offset.min(HEAD) }
    }

    /// The segments of the file, which begins with `head`: from the cluster of one cue to that of the next.
    pub fn segments(&self, head: &[u8]) -> Result<Vec<IndexedSegment>, IndexError> {
        let offset = self.offset;
        let segment = Segment::read(head).ok_or(IndexError::NoSegment { offset })?;
        let overflow = IndexError::Overflow { offset };
        let place = |point: &Point| segment.start.checked_add(point.position).ok_or(overflow.clone());
        let last = self.points.last().map(place).transpose()?.unwrap_or(0);
        // Cues stand before the clusters or behind them.
        let end = segment.end.into_iter().chain([offset]).filter(|end| *end > last).min();
        let end = end.ok_or(IndexError::NoEnd { offset })?;
        let mut segments = Vec::with_capacity(self.points.len());
        for (at, point) in self.points.iter().enumerate() {
            let next = self.points.get(at + 1);
            let from = place(point)?;
            let to = next.map_or(Ok(end), place)?;
            let start = segment.time(point.time);
            let until = match next {
                Some(next) => segment.time(next.time),
                // Without a word about it, the last is as long as the one before.
                None => segment.last_time(start).unwrap_or_else(|| {
                    let before = segments.last().map(|before: &IndexedSegment| before.duration);
                    start.saturating_add(before.unwrap_or(SECOND))
                }),
            };
            segments.push(IndexedSegment {
                byte_range: ByteRange { offset: from, length: to.saturating_sub(from) },
                start,
                duration: until.saturating_sub(start),
                starts_with_access_point: true,
            });
        }
        Ok(segments)
    }
}

impl Point {
    fn read(cue: &[u8]) -> Option<Self> {
        let track = ebml::find(cue, id::CUE_TRACK_POSITIONS)?;
        Some(Self {
            time: ebml::unsigned(ebml::find(cue, id::CUE_TIME)?),
            position: ebml::unsigned(ebml::find(track, id::CUE_CLUSTER_POSITION)?),
        })
    }
}

impl Segment {
    fn read(head: &[u8]) -> Option<Self> {
        let mut at = 0;
        // The header of EBML and whatever else may be void stand before it.
        for _ in 0..8 {
            let header = Header::read(head.get(at..)?).ok()??;
            at = at.checked_add(header.length)?;
            if header.id != id::SEGMENT {
                at = at.checked_add(usize::try_from(header.size?).ok()?)?;
                continue;
            }
            let info = ebml::find(head.get(at..)?, id::INFO).unwrap_or_default();
            let start = at as u64;
            return Some(Self {
                start,
                end: header.size.and_then(|size| start.checked_add(size)),
                scale: ebml::timestamp_scale(info),
                duration: ebml::find(info, id::DURATION).and_then(ebml::float),
            });
        }
        None
    }

    fn time(&self, ticks: u64) -> Nanos {
        let nanos = u128::from(ticks) * u128::from(self.scale);
        Nanos::try_from(nanos).unwrap_or(Nanos::MAX)
    }

    /// Where the media ends, if that is behind `start`.
    fn last_time(&self, start: Nanos) -> Option<Nanos> {
        // Saturates; what is no number becomes zero.
        let end = (self.duration? * self.scale as f64) as Nanos;
        (end > start).then_some(end)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::sidx::SegmentIndex;
    use super::*;
    use crate::ebml::testing::element;

    /// Points as ticks and places.
    pub fn cues(points: &[(u32, u32)]) -> Vec<u8> {
        let point = |(time, position): &(u32, u32)| {
            let place = element(id::CUE_CLUSTER_POSITION, &position.to_be_bytes());
            let place = [element(0xf7, &[1]), place, element(0xf0, &[4])].concat();
            let time = element(id::CUE_TIME, &time.to_be_bytes());
            element(id::CUE_POINT, &[time, element(id::CUE_TRACK_POSITIONS, &place)].concat())
        };
        element(id::CUES, &points.iter().map(point).collect::<Vec<_>>().concat())
    }

    /// The start of a file whose Segment has its content at byte 45, in halves of a millisecond.
    pub fn head(size: Option<u64>, duration: Option<f32>) -> Vec<u8> {
        let size = size.unwrap_or((1 << 56) - 1) | 1 << 56;
        let segment = [&id::SEGMENT.to_be_bytes()[..], &size.to_be_bytes()].concat();
        let duration = duration.map(|ticks| element(id::DURATION, &ticks.to_be_bytes()));
        let scale = element(id::TIMESTAMP_SCALE, &500_000u32.to_be_bytes());
        let info = element(id::INFO, &[scale, duration.unwrap_or_default()].concat());
        [element(id::EBML, &[0; 25]), segment, element(id::VOID, &[0; 9]), info].concat()
    }

    fn list(index: &SegmentIndex) -> Vec<(u64, u64, Nanos, Nanos)> {
        let millis = |nanos: Nanos| nanos / (SECOND / 1_000);
        let one = |s: &IndexedSegment| {
            (s.byte_range.offset, s.byte_range.length, millis(s.start), millis(s.duration))
        };
        index.segments().map(one).collect()
    }

    #[test]
    fn cues_are_read_with_the_start_of_the_file() {
        let bytes = cues(&[(0, 955), (4_000, 1_955), (4_020, 1_955), (8_000, 2_955)]);
        // Before the clusters, of which the Segment tells the end.
        let mut index = SegmentIndex::parse(&bytes, 100).expect("cues");
        assert_eq!(index.missing(), Some(ByteRange { offset: 0, length: 100 }));
        assert!(list(&index).is_empty());
        index.add(&head(Some(4_000), Some(9_000.0)), 0).expect("a head");
        let wanted = [(1_000, 1_000, 0, 2_000), (2_000, 1_000, 2_000, 2_000), (3_000, 1_045, 4_000, 500)];
        assert_eq!((index.missing(), list(&index)), (None, wanted.to_vec()));
        // Behind them, where the Segment does not know it.
        let mut index = SegmentIndex::parse(&bytes, 1 << 20).expect("cues");
        assert_eq!(index.missing(), Some(ByteRange { offset: 0, length: HEAD }));
        index.add(&head(None, None), 0).expect("a head");
        let last = (3_000, (1 << 20) - 3_000, 4_000, 2_000);
        assert_eq!(list(&index), [wanted[0], wanted[1], last]);
    }

    #[test]
    fn nonsense_is_an_error() {
        let bytes = cues(&[(0, 955), (4_000, 1_955)]);
        for length in 5..bytes.len() {
            assert!(SegmentIndex::parse(&bytes[..length], 100).is_err(), "{length}");
        }
        assert_eq!(SegmentIndex::parse(&cues(&[]), 3), Err(IndexError::NoIndex { offset: 3 }));
        let add = |head: &[u8]| SegmentIndex::parse(&bytes, 100).expect("cues").add(head, 0);
        assert_eq!(add(b"<html>"), Err(IndexError::NoSegment { offset: 100 }));
        assert_eq!(add(&head(None, None)), Err(IndexError::NoEnd { offset: 100 }));
        assert_eq!(add(&head(Some(900), None)), Err(IndexError::NoEnd { offset: 100 }));
        // Times and places that go back are not believed.
        let back = cues(&[(4_000, 955), (0, 1_955), (8_000, 500), (8_000, 2_955)]);
        let mut index = SegmentIndex::parse(&back, 100).expect("cues");
        index.add(&head(Some(4_000), Some(f32::NAN)), 0).expect("a head");
        assert_eq!(list(&index), [(1_000, 2_000, 2_000, 2_000), (3_000, 1_045, 4_000, 2_000)]);
    }

    proptest! {
        #[test]
        fn any_index_is_read_without_panic(
            points in prop::collection::vec((any::<u32>(), any::<u32>()), 0..6),
            size in prop::option::of(0u64..1 << 56),
            duration: f32,
            damage in prop::collection::vec((any::<usize>(), any::<u8>()), 0..3),
            offset: u64,
        ) {
            let (mut cues, mut head) = (cues(&points), head(size, Some(duration)));
            for (at, byte) in damage {
                let (cues_length, head_length) = (cues.len(), head.len());
                cues[at % cues_length] = byte;
                head[at % head_length] = byte;
            }
            if let Ok(mut index) = SegmentIndex::parse(&cues, offset) && index.add(&head, 0).is_ok() {
                let mut before = 0;
                for segment in index.segments() {
                    prop_assert!(segment.duration >= 0 && segment.byte_range.offset >= before);
                    before = segment.byte_range.end();
                }
            }
        }
    }
}
