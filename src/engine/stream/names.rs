// SPDX-License-Identifier: MPL-2.0

//! What segments are called in the swarm, where that is not their number here.
//!
//! Viewer, store and timeline count segments one by one. Browsers call those of some manifests by the
//! half second in which they start: such names ascend, but not by one, and two segments shorter than that
//! share one. So commands are translated where they are written and read, and all others go by numbers.
//! (To have the viewer go by names instead, it would have to know how far apart they are wherever it
//! asks for the next segment, and could not tell two segments of one name apart.)
//!
//! Of segments that share a name, the first has it; the others are neither given nor asked for. What
//! peers say of segments that are not listed yet is taken by the time at which these will start, and
//! looked at again when they are. Where parts are played see [`PartNames`].

use std::collections::VecDeque;
use std::sync::Arc;

use super::part_names::PartNames;
use crate::manifest::{PlacedSegment, Timeline};
use crate::swarm::{Announcement, Command, Held, SegmentId, identity};

/// Names of segments that have left the timeline are known so much longer: what was asked for before
/// still comes.
const KEPT: usize = 64;

/// Segments beyond the timeline that peers may speak of.
const BEYOND: i64 = 1_000;

/// The names of a stream's segments; none where names are numbers.
#[derive(Debug, Default)]
pub struct Names {
    /// Numbers and names ascend.
    known: VecDeque<Name>,
    /// The newest segment: number, start in seconds and duration in seconds.
    newest: Option<(i64, f64, f64)>,
    live: bool,
    /// Where parts are played.
    parts: Option<PartNames>,
}

#[derive(Clone, Copy, Debug)]
struct Name {
    number: i64,
    name: i64,
    /// No other segment goes by it in the swarm.
    owned: bool,
}

impl Names {
    /// Takes the segments that are listed now.
    pub fn update(&mut self, timeline: &Timeline) {
        if timeline.is_in_parts() {
            return self.parts.get_or_insert_default().update(timeline);
        }
        let segments = timeline.segments();
        let timed = segments.iter().filter_map(|placed| Some((placed, placed.segment.time?)));
        let Some(first) = segments.front().filter(|first| first.segment.time.is_some()) else {
            return *self = Self::default();
        };
        self.live = timeline.is_live();
        let first_name = first.segment.time.map_or(0, identity::number_at);
        let known = self.known.iter().find(|known| known.number == first.number).copied();
        // Another with its number: the publisher has begun anew.
        if known.is_some_and(|known| known.name != first_name) {
            self.known.clear();
        }
        self.known.retain(|known| known.number < first.number);
        // The one before it may have the same name where nobody has seen it.
        let was_owned =
            |time: f64| known.is_some_and(|known| known.owned) || time / HALF == (time / HALF).trunc();
        let mut last = None;
        for (placed, time) in timed {
            let name = identity::number_at(time);
            let alone = match last {
                Some(last) => name > last,
                None => !self.live || was_owned(time),
            };
            let owned = alone && !placed.segment.gap;
            if !placed.segment.gap {
                last = last.max(Some(name));
            }
            self.known.push_back(Name { number: placed.number, name, owned });
        }
        while self.known.len() > segments.len() + KEPT {
            self.known.pop_front();
        }
        let newest = segments.back().and_then(|newest| {
            Some((newest.number, newest.segment.time?, newest.segment.duration.as_secs_f64()))
        });
        self.newest = newest;
    }

    /// Names are not numbers.
    pub fn differ(&self) -> bool {
        self.newest.is_some() || self.parts.is_some()
    }

    /// The name of a segment and that of the one after it, if that is as far away as this is long.
    pub fn of(&self, placed: &PlacedSegment) -> Option<(SegmentId, SegmentId)> {
        if let Some(parts) = &self.parts {
            return Some(parts.of(placed));
        }
        let time = placed.segment.time?;
        let next = identity::number_at(time + placed.segment.duration.as_secs_f64() + ROUNDING);
        Some((SegmentId(identity::number_at(time)), SegmentId(next)))
    }

    fn name(&self, number: SegmentId) -> Option<SegmentId> {
        if let Some(parts) = &self.parts {
            return parts.name(number);
        }
        let at = self.known.partition_point(|known| known.number < number.0);
        if let Some(known) = self.known.get(at) {
            return (known.number == number.0 && known.owned).then_some(SegmentId(known.name));
        }
        // What is asked for before it is there.
        let (newest, time, duration) = self.newest.filter(|_| self.live)?;
        let ahead = number.0.checked_sub(newest).filter(|ahead| (1..=BEYOND).contains(ahead))?;
        Some(SegmentId(identity::number_at(time + duration * ahead as f64 + ROUNDING)))
    }

    fn number(&self, name: SegmentId) -> Option<SegmentId> {
        if let Some(parts) = &self.parts {
            return parts.number(name);
        }
        let at = self.known.partition_point(|known| known.name < name.0);
        let same = self.known.iter().skip(at).take_while(|known| known.name == name.0);
        if let Some(known) = same.into_iter().find(|known| known.owned) {
            return Some(SegmentId(known.number));
        }
        let (number, time, duration) = self.newest.filter(|_| self.live)?;
        if name.0 <= identity::number_at(time) || duration <= 0.0 {
            return None;
        }
        let ahead = ((name.0 as f64 * HALF - time) / duration).ceil().max(1.0);
        (ahead <= BEYOND as f64).then_some(SegmentId(number.saturating_add(ahead as i64)))
    }

    /// Peers have spoken of segments that were not listed; they may be by now.
    pub fn is_ahead(&self, said: &Announcement) -> bool {
        if let Some(parts) = &self.parts {
            return parts.is_ahead(said);
        }
        let newest = self.newest.map_or(i64::MAX, |(_, time, _)| identity::number_at(time));
        let held = said.held.iter().map(|held| &held.segment);
        said.loaded
            .iter()
            .chain(&said.http_loading)
            .chain(&said.coming)
            .chain(held)
            .any(|name| name.0 > newest)
    }

    /// A command as peers have to read it. None: it is about nothing that has a name.
    pub fn written(&self, command: Command) -> Option<Command> {
        self.translate(command, |number| self.name(number))
    }

    /// A command as the viewer has to read it. None: it is about a segment that is not known.
    pub fn read(&self, command: Command) -> Option<Command> {
        self.translate(command, |name| self.number(name))
    }

    fn translate(&self, command: Command, of: impl Fn(SegmentId) -> Option<SegmentId>) -> Option<Command> {
        if !self.differ() {
            return Some(command);
        }
        Some(match command {
            Command::Announcement(said) => {
                let all = |ids: &[SegmentId]| {
                    let mut all: Vec<SegmentId> = ids.iter().filter_map(|id| of(*id)).collect();
                    // Things are looked up in it, and names of parts descend.
                    all.sort_unstable();
                    all
                };
                let held = said
                    .held
                    .iter()
                    .filter_map(|held| Some(Held { segment: of(held.segment)?, bytes: held.bytes }));
                Command::Announcement(Arc::new(Announcement {
                    loaded: all(&said.loaded),
                    http_loading: all(&said.http_loading),
                    held: held.collect(),
                    coming: all(&said.coming),
                }))
            }
            Command::Request { segment, request_id, offset } => {
                Command::Request { segment: of(segment)?, request_id, offset }
            }
            Command::Subscribe { segment, request_id } => {
                Command::Subscribe { segment: of(segment)?, request_id }
            }
            Command::Data { segment, request_id, size } => {
                Command::Data { segment: of(segment)?, request_id, size }
            }
            Command::Completed { segment, request_id } => {
                Command::Completed { segment: of(segment)?, request_id }
            }
            Command::Absent { segment, request_id } => Command::Absent { segment: of(segment)?, request_id },
            Command::Cancel { segment, request_id } => Command::Cancel { segment: of(segment)?, request_id },
        })
    }
}

/// Seconds that rounding may have taken from a time.
const ROUNDING: f64 = 1e-6;

/// Seconds that a name stands for.
const HALF: f64 = identity::NUMBER_SECONDS;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use url::Url;

    use super::*;
    use crate::manifest::{MediaPlaylist, Segment};

    fn playlist(first: i64, times: &[f64], live: bool) -> MediaPlaylist {
        let url = Url::parse("http://h/").expect("a URL");
        let segment = |(n, time): (usize, &f64)| {
            let duration = Duration::from_secs_f64(times.get(n + 1).map_or(2.0, |next| next - time));
            Segment { time: Some(*time), ..Segment::new(url.clone(), duration, first + n as i64) }
        };
        let segments = times.iter().enumerate().map(segment).collect();
        MediaPlaylist { segments, ended: !live, media_sequence: first, ..MediaPlaylist::new(url.clone()) }
    }

    fn names(first: i64, times: &[f64], live: bool) -> (Names, Timeline) {
        let timeline = Timeline::new(playlist(first, times, live));
        let mut names = Names::default();
        names.update(&timeline);
        (names, timeline)
    }

    fn announcement(ids: &[i64]) -> Command {
        let loaded = ids.iter().copied().map(SegmentId).collect();
        Command::Announcement(Arc::new(Announcement { loaded, ..Announcement::default() }))
    }

    #[test]
    fn names_are_half_seconds_and_numbers_follow_each_other() {
        let (names, timeline) = names(0, &[0.0, 1.92, 3.84, 5.76], false);
        assert!(names.differ());
        assert_eq!(names.written(announcement(&[0, 1, 2, 3, 4])), Some(announcement(&[0, 3, 7, 11])));
        assert_eq!(names.read(announcement(&[0, 1, 3, 7, 11, 15])), Some(announcement(&[0, 1, 2, 3])));
        let request = |segment| Command::Request { segment: SegmentId(segment), request_id: 5, offset: 9 };
        assert_eq!(names.read(request(7)), Some(request(2)));
        assert_eq!(names.read(request(8)), None);
        let third = timeline.get(2).expect("it is listed");
        assert_eq!(names.of(third), Some((SegmentId(7), SegmentId(11))));
    }

    #[test]
    fn of_those_that_share_a_name_the_first_has_it() {
        let (names, _) = names(0, &[9.6, 9.8, 9.9, 10.2, 12.2], false);
        assert_eq!(names.written(announcement(&[0, 1, 2, 3, 4])), Some(announcement(&[19, 20, 24])));
        assert_eq!(names.read(announcement(&[19, 20, 24])), Some(announcement(&[0, 3, 4])));
    }

    #[test]
    fn the_oldest_of_a_live_list_may_not_be_the_first_of_its_name() {
        // Had the list begun 0.2 s earlier, another segment would have had the name.
        let (mut names, mut timeline) = names(100, &[9.8, 11.8, 13.8], true);
        assert_eq!(names.written(announcement(&[100, 101])), Some(announcement(&[23])));
        // Who has seen what was before it knows.
        timeline.update(playlist(101, &[11.8, 13.8, 15.8], true)).expect("it goes on");
        names.update(&timeline);
        assert_eq!(names.written(announcement(&[101, 102, 103])), Some(announcement(&[23, 27, 31])));
        // What has left the list is still understood.
        assert_eq!(names.written(announcement(&[100])), Some(announcement(&[])));
        timeline.update(playlist(102, &[13.8, 15.8, 17.8], true)).expect("it goes on");
        names.update(&timeline);
        assert_eq!(names.read(announcement(&[23])), Some(announcement(&[101])));
    }

    #[test]
    fn what_is_not_listed_yet_is_taken_by_its_time() {
        let (mut names, mut timeline) = names(50, &[96.0, 97.92, 99.84], true);
        // 101.76 s, 103.68 s and 105.6 s.
        assert_eq!(names.written(announcement(&[53, 54, 55])), Some(announcement(&[203, 207, 211])));
        assert_eq!(names.read(announcement(&[203, 207, 211])), Some(announcement(&[53, 54, 55])));
        assert_eq!(names.read(announcement(&[i64::MAX, i64::MIN])), Some(announcement(&[])));
        let Command::Announcement(said) = announcement(&[199, 203]) else { panic!() };
        assert!(names.is_ahead(&said));
        timeline.update(playlist(51, &[97.92, 99.84, 101.76], true)).expect("it goes on");
        names.update(&timeline);
        assert!(!names.is_ahead(&said));
        assert_eq!(names.read(announcement(&[203])), Some(announcement(&[53])));
    }

    #[test]
    fn a_publisher_who_begins_anew_has_new_names() {
        let (mut names, _) = names(5, &[10.0, 12.0], true);
        names.update(&Timeline::new(playlist(5, &[0.0, 2.0], true)));
        assert_eq!(names.written(announcement(&[5, 6])), Some(announcement(&[0, 4])));
    }

    #[test]
    fn without_times_names_are_numbers() {
        let mut playlist = playlist(7, &[0.0, 2.0], true);
        playlist.segments.iter_mut().for_each(|segment| segment.time = None);
        let mut names = Names::default();
        names.update(&Timeline::new(playlist));
        assert!(!names.differ());
        assert_eq!(names.written(announcement(&[7, 800])), Some(announcement(&[7, 800])));
    }
}
