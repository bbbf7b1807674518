// SPDX-License-Identifier: MPL-2.0

//! Where one variant goes on after another: segments of both that begin at the same time.

use std::time::Duration;

use super::Step;
use crate::manifest::Timeline;

/// Segments of two variants that begin within this time of each other show the same: the durations
/// in playlists are rounded.
const SAME_TIME: Duration = Duration::from_millis(100);

/// So many segments ahead a place to go over is looked for.
const LOOKAHEAD: i64 = 10;

/// How much of a segment is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Nothing,
    Part,
    Whole,
}

/// Two variants meet here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// Number of the last segment of the one in play.
    pub last: i64,
    /// Number of the first segment of the other.
    pub first: i64,
}

/// Number of the first segment of the one in play that may give way for `step`, from the segment `from` on, which
/// has not gone out. `position` is that of playback.
pub fn gives_way(
    ours: &Timeline,
    from: i64,
    position: Duration,
    step: &Step,
    held: impl Fn(i64) -> Held,
) -> i64 {
    let kept = position.saturating_add(step.keep);
    let stays = |number: i64| ours.get(number).is_some_and(|placed| placed.start < kept);
    let mut number = from;
    while held(number) == Held::Whole && stays(number) {
        number += 1;
    }
    // What has begun to come is not thrown away, unless it would be late.
    let comes = held(number) == Held::Part && stays(number) && !step.abandon;
    number + i64::from(comes)
}

/// The first place from our segment `from` on at which the other can go on.
pub fn meet(ours: &Timeline, theirs: &Timeline, from: i64) -> Option<Meeting> {
    (from..from.saturating_add(LOOKAHEAD)).find_map(|number| meet_at(ours, theirs, number))
}

/// Whether the other can go on in the place of our segment `number`, which may be the next one at the live edge.
pub fn meet_at(ours: &Timeline, theirs: &Timeline, number: i64) -> Option<Meeting> {
    let our = ours.get(number);
    let start = match our {
        Some(placed) => placed.start,
        None if ours.segments().back()?.number + 1 == number && ours.is_live() => ours.window().1,
        None => return None,
    };
    // Of a part that is not there yet the parts before it tell.
    let may_begin = !theirs.is_in_parts() || theirs.begins_with_any_part();
    let same = |place: Duration| place.abs_diff(start) <= SAME_TIME;
    let Some(their) = theirs.at(start.saturating_add(SAME_TIME)).filter(|placed| same(placed.start)) else {
        // Theirs is not listed either yet.
        let last = theirs.segments().back()?;
        let follows = our.is_none() && same(last.end()) && may_begin;
        return follows.then_some(Meeting { last: number - 1, first: last.number + 1 });
    };
    let packed_alike = our.is_none_or(|our| our.segment.init.is_some() == their.segment.init.is_some());
    let may_begin = their.is_independent() || their.is_hinted() && may_begin;
    (packed_alike && !their.segment.gap && may_begin)
        .then_some(Meeting { last: number - 1, first: their.number })
}

/// The first of our segments from `from` on that the publisher does not have, and that begins before `until`.
pub fn gap(ours: &Timeline, from: i64, until: Duration) -> Option<i64> {
    let ahead = ours.segments().iter().skip_while(|placed| placed.number < from);
    ahead
        .take_while(|placed| placed.start < until)
        .find(|placed| placed.segment.gap)
        .map(|placed| placed.number)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::manifest::{self, Manifest};

    const S: Duration = Duration::from_secs(1);

    fn timeline(head: &str, segments: &[&str]) -> Timeline {
        let base = Url::parse("http://h/l.m3u8").expect("a URL");
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{head}\n");
        for (n, segment) in segments.iter().enumerate() {
            text += &format!("{segment}\n{n}.ts\n");
        }
        match manifest::parse(&base, text.as_bytes()) {
            Ok(Manifest::Media(playlist)) => Timeline::new(playlist),
            other => panic!("{other:?}"),
        }
    }

    const VOD: &str = "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-ENDLIST";

    fn step(keep: Duration, abandon: bool) -> Step {
        Step { level: 0, keep, abandon }
    }

    #[test]
    fn what_is_kept_and_what_comes_stays() {
        let ours = timeline(VOD, &["#EXTINF:4,"; 9]);
        let held = |number: i64| match number {
            ..4 => Held::Whole,
            4 => Held::Part,
            _ => Held::Nothing,
        };
        let first = |keep, abandon| gives_way(&ours, 1, 5 * S, &step(keep, abandon), held);
        assert_eq!(first(Duration::MAX, false), 5);
        assert_eq!(first(Duration::MAX, true), 4);
        // The segment 2 begins at 8 s, 3 at 12 s.
        assert_eq!(first(5 * S, false), 3);
        assert_eq!(first(Duration::ZERO, false), 2);
        assert_eq!(first(11 * S, false), 4, "what comes, but is not to be kept, gives way");
    }

    #[test]
    fn segments_meet_where_they_begin_together() {
        let fours = timeline(VOD, &["#EXTINF:4,"; 6]);
        let sixes = timeline(VOD, &["#EXTINF:6.05,"; 4]);
        assert_eq!(meet(&fours, &sixes, 1), Some(Meeting { last: 2, first: 2 }));
        assert_eq!(meet(&fours, &sixes, 4), None);
        assert_eq!(meet(&fours, &fours, 6), None, "it is over");
        let other = timeline(&format!("{VOD}\n#EXT-X-MAP:URI=\"i\""), &["#EXTINF:4,"; 6]);
        assert_eq!(meet(&fours, &other, 0), None);
    }

    #[test]
    fn at_the_live_edge_they_meet_in_what_is_not_listed_yet() {
        let ours = timeline("#EXT-X-MEDIA-SEQUENCE:3", &["#EXTINF:4,"; 3]);
        assert_eq!(meet(&ours, &ours, 6), Some(Meeting { last: 5, first: 6 }));
        let behind = timeline("#EXT-X-MEDIA-SEQUENCE:3", &["#EXTINF:4,"; 2]);
        assert_eq!(meet(&ours, &behind, 6), None);
    }

    #[test]
    fn gaps_are_found_and_not_gone_to() {
        let ours = timeline(VOD, &["#EXTINF:4,", "#EXTINF:4,", "#EXTINF:4,\n#EXT-X-GAP", "#EXTINF:4,"]);
        assert_eq!(gap(&ours, 0, 20 * S), Some(2));
        assert_eq!(gap(&ours, 0, 8 * S), None);
        assert_eq!(gap(&ours, 3, 20 * S), None);
        let whole = timeline(VOD, &["#EXTINF:4,"; 4]);
        assert_eq!(meet_at(&ours, &whole, 2), Some(Meeting { last: 1, first: 2 }));
        assert_eq!(meet_at(&whole, &ours, 2), None);
    }
}
