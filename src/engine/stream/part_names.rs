// SPDX-License-Identifier: MPL-2.0

//! What segments are called in the swarm where parts are played: whole ones by their media sequence number, as
//! browsers do, parts by a name of their own ([`identity::part_id`]).
//!
//! Numbers here are those of a timeline that each viewer begins where it comes in, so they say nothing to others.

use std::collections::BTreeMap;

use crate::manifest::{MAX_PARTS, PlacedSegment, Timeline};
use crate::swarm::{Announcement, SegmentId, identity};

// Each part that is played has a name.
const _: () = assert!(MAX_PARTS <= identity::hls::PARTS as usize);

/// Names of what has left the timeline are known so much longer: what was asked for before still comes.
const KEPT: i64 = 256;

/// Segments beyond the newest of which peers may speak.
const BEYOND: i64 = 8;

#[derive(Debug, Default)]
pub struct PartNames {
    by_number: BTreeMap<i64, i64>,
    by_name: BTreeMap<i64, i64>,
    /// The newest: its number, media sequence number and index.
    newest: Option<(i64, i64, u32)>,
    /// Parts of a segment, as far as elections are concerned.
    parts: i64,
    /// Parts that the last whole segment had.
    usual: u32,
}

impl PartNames {
    /// Takes what is listed now.
    pub fn update(&mut self, timeline: &Timeline) {
        let segments = timeline.segments();
        let Some(first) = segments.front().map(|first| first.number) else { return };
        self.by_number = self.by_number.split_off(&(first - KEPT));
        // What was announced may have become something else, or a whole segment have taken the place of parts.
        self.by_number.retain(|number, _| *number < first);
        self.by_number.extend(segments.iter().filter_map(|placed| Some((placed.number, name(placed)?))));
        self.by_name = self.by_number.iter().map(|(number, name)| (*name, *number)).collect();
        self.newest = segments
            .back()
            .map(|newest| (newest.number, newest.segment.sequence, newest.index().unwrap_or(0)));
        let latest = timeline.latest();
        let part = latest.part_target.unwrap_or_default().as_secs_f64();
        let of_target = (latest.target_duration.as_secs_f64() / part).ceil();
        self.parts = if of_target.is_finite() {
            of_target.clamp(1.0, f64::from(identity::hls::PARTS)) as i64
        } else {
            1
        };
        let newest = segments.back().map_or(0, |newest| newest.segment.sequence);
        let whole = segments.iter().rev().find(|placed| placed.segment.sequence < newest);
        self.usual = whole.and_then(PlacedSegment::index).map_or(0, |index| index + 1);
    }

    /// By what elections for a segment and the one after it go: all viewers read the same of the playlist.
    pub fn of(&self, placed: &PlacedSegment) -> (SegmentId, SegmentId) {
        let sequence = placed.segment.sequence;
        match placed.index() {
            Some(index) => {
                let place = sequence.saturating_mul(self.parts).saturating_add(i64::from(index));
                (SegmentId(place), SegmentId(place.saturating_add(1)))
            }
            None => (SegmentId(sequence), SegmentId(sequence.saturating_add(1))),
        }
    }

    pub fn name(&self, number: SegmentId) -> Option<SegmentId> {
        if let Some(name) = self.by_number.get(&number.0) {
            return Some(SegmentId(*name));
        }
        // What is asked for before it is there: the part after the newest.
        let (newest, sequence, index) = self.newest?;
        (newest.checked_add(1)? == number.0).then(|| match index + 1 {
            next if next == self.usual => identity::part_id(sequence.saturating_add(1), 0),
            next => identity::part_id(sequence, next),
        })
    }

    pub fn number(&self, name: SegmentId) -> Option<SegmentId> {
        let known = self.by_name.get(&name.0).copied();
        let next = || {
            let (newest, ..) = self.newest?;
            let next = SegmentId(newest.checked_add(1)?);
            (self.name(next) == Some(name)).then_some(next.0)
        };
        known.or_else(next).map(SegmentId)
    }

    /// Peers have spoken of what was not listed; it may be by now.
    pub fn is_ahead(&self, said: &Announcement) -> bool {
        let Some((_, newest, _)) = self.newest else { return true };
        let is_ahead = |name: &SegmentId| {
            let sequence = match identity::part_of_id(*name) {
                Some((sequence, _)) => (sequence - newest).rem_euclid(identity::hls::SEQUENCES),
                None => name.0.saturating_sub(newest),
            };
            (0..BEYOND).contains(&sequence) && !self.by_name.contains_key(&name.0)
        };
        said.loaded.iter().chain(&said.http_loading).chain(&said.coming).any(is_ahead)
    }
}

/// The name of a segment; None: there is nothing in it.
fn name(placed: &PlacedSegment) -> Option<i64> {
    let sequence = placed.segment.sequence;
    match placed.index() {
        Some(index) => Some(identity::part_id(sequence, index).0),
        None => placed.is_playable().then_some(sequence),
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::names::Names;
    use super::*;
    use crate::manifest::{Manifest, parse};
    use crate::swarm::{Command, Held};
    use std::sync::Arc;

    /// Segments 100 and 101, the second in parts, and parts of the next.
    fn timeline(parts: u32) -> Timeline {
        let base = Url::parse("http://h/l.m3u8").expect("a URL");
        let part =
            |sequence: u32, index: u32| format!("#EXT-X-PART:DURATION=0.5,URI=\"{sequence}.{index}.mp4\"\n");
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-PART-INF:PART-TARGET=0.5\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n#EXTINF:2,\n100.mp4\n{}\
             #EXTINF:2,\n101.mp4\n{}",
            (0..4).map(|index| part(101, index)).collect::<String>(),
            (0..parts).map(|index| part(102, index)).collect::<String>(),
        );
        match parse(&base, text.as_bytes()) {
            Ok(Manifest::Media(playlist)) => Timeline::new(playlist),
            other => panic!("{other:?}"),
        }
    }

    fn names(parts: u32) -> Names {
        let mut names = Names::default();
        names.update(&timeline(parts));
        names
    }

    fn said(loaded: impl IntoIterator<Item = SegmentId>) -> Announcement {
        Announcement { loaded: loaded.into_iter().collect(), ..Announcement::default() }
    }

    #[test]
    fn whole_segments_and_parts_have_names_that_all_viewers_agree_on() {
        let names = names(2);
        assert!(names.differ());
        let parts: Vec<SegmentId> =
            [(101, 0), (101, 3), (102, 1)].map(|(sequence, index)| identity::part_id(sequence, index)).into();
        let all = [SegmentId(100)].into_iter().chain(parts.iter().copied());
        let command = |ids: Announcement| Command::Announcement(Arc::new(ids));
        let Some(Command::Announcement(read)) = names.read(command(said(all))) else { panic!("it is read") };
        assert_eq!(read.loaded, [0, 1, 4, 6].map(SegmentId));
        // What viewers look up has to be sorted, and names of parts descend.
        let backwards = Announcement {
            held: vec![Held { segment: parts[2], bytes: 9 }],
            ..said(parts.iter().rev().copied())
        };
        let Some(Command::Announcement(read)) = names.read(command(backwards)) else { panic!("it is read") };
        assert_eq!(read.loaded, [1, 4, 6].map(SegmentId));
        assert_eq!(read.held, [Held { segment: SegmentId(6), bytes: 9 }]);
    }

    #[test]
    fn the_next_part_has_a_name_before_it_is_listed() {
        let request = |segment| Command::Subscribe { segment, request_id: 1 };
        assert_eq!(
            names(2).written(request(SegmentId(7))),
            Some(request(identity::part_id(102, 2))),
            "the segment goes on"
        );
        // Segments have four parts.
        assert_eq!(names(4).written(request(SegmentId(9))), Some(request(identity::part_id(103, 0))));
        assert_eq!(names(4).read(request(identity::part_id(103, 0))), Some(request(SegmentId(9))));
        assert_eq!(names(4).read(request(identity::part_id(103, 1))), None);
        assert_eq!(names(4).written(request(SegmentId(10))), None);
    }

    #[test]
    fn what_is_not_listed_yet_is_looked_at_again() {
        let names = names(2);
        assert!(names.is_ahead(&said([identity::part_id(102, 2)])));
        assert!(names.is_ahead(&said([identity::part_id(103, 0)])));
        assert!(names.is_ahead(&said([SegmentId(102)])));
        for old in [identity::part_id(102, 1), identity::part_id(99, 0), SegmentId(100), SegmentId(101)] {
            assert!(!names.is_ahead(&said([old])), "{old}");
        }
        assert!(!names.is_ahead(&said([identity::part_id(102 + BEYOND, 0)])));
    }

    #[test]
    fn elections_go_by_places_that_follow_each_other() {
        let timeline = timeline(2);
        let names = names(2);
        let of = |number| names.of(timeline.get(number).expect("it is listed")).expect("it has names");
        assert_eq!(of(0), (SegmentId(100), SegmentId(101)));
        assert_eq!(of(4), (SegmentId(407), SegmentId(408)));
        assert_eq!(of(5).0, of(4).1);
    }
}
