// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::manifest::{HintKind, Part, PreloadHint, ServerControl, StartOffset};

const SECOND: Duration = Duration::from_secs(1);

/// A live playlist of segments of six seconds.
fn live(first: i64, count: i64) -> MediaPlaylist {
    let url = Url::parse("http://h/l.m3u8").expect("a URL");
    let segment =
        |sequence| Segment::new(url.join(&format!("{sequence}.ts")).expect("a URL"), 6 * SECOND, sequence);
    let segments = (first..first + count).map(segment);
    MediaPlaylist {
        segments: segments.collect(),
        target_duration: 6 * SECOND,
        media_sequence: first,
        ..MediaPlaylist::new(url)
    }
}

fn ended(first: i64, count: i64) -> MediaPlaylist {
    MediaPlaylist { ended: true, ..live(first, count) }
}

/// As `live`, with a wall clock that shows `seconds` at the first segment.
fn clocked(first: i64, count: i64, seconds: u64) -> MediaPlaylist {
    let mut list = live(first, count);
    let mut clock = Duration::from_secs(seconds);
    for segment in &mut list.segments {
        segment.program_date_time = Some(clock);
        clock += segment.duration;
    }
    list
}

fn numbers(timeline: &Timeline) -> Vec<i64> {
    timeline.segments().iter().map(|placed| placed.number).collect()
}

fn window(timeline: &Timeline) -> (u64, u64) {
    let (start, end) = timeline.window();
    (start.as_secs(), end.as_secs())
}

#[test]
fn a_live_window_moves_without_moving_its_segments() {
    let mut timeline = Timeline::new(live(100, 4));
    assert_eq!((numbers(&timeline), window(&timeline)), (vec![100, 101, 102, 103], (0, 24)));
    assert_eq!(timeline.update(live(100, 4)), Ok(Change::Unchanged));
    assert_eq!(timeline.update(live(102, 4)), Ok(Change::Appended(2)));
    assert_eq!((numbers(&timeline), window(&timeline)), (vec![102, 103, 104, 105], (12, 36)));
    // Old segments go without new ones coming.
    assert_eq!(timeline.update(live(104, 2)), Ok(Change::Unchanged));
    assert_eq!(window(&timeline), (24, 36));
    // The next list follows on just so.
    assert_eq!(timeline.update(live(106, 2)), Ok(Change::Appended(2)));
    assert_eq!((numbers(&timeline), window(&timeline)), (vec![106, 107], (36, 48)));

    assert_eq!(timeline.get(107).map(|placed| placed.start), Some(42 * SECOND));
    assert_eq!((timeline.get(105), timeline.get(108), timeline.get(i64::MIN)), (None, None, None));
    let at = |seconds| timeline.at(Duration::from_secs(seconds)).map(|placed| placed.number);
    assert_eq!(
        (at(35), at(36), at(41), at(42), at(47), at(48)),
        (None, Some(106), Some(106), Some(107), Some(107), None)
    );
    assert!(timeline.is_live());
    assert_eq!(timeline.duration(), None);
}

#[test]
fn numbers_depend_on_how_the_presentation_was_first_seen() {
    assert_eq!(numbers(&Timeline::new(ended(100, 3))), [0, 1, 2]);
    let mut timeline = Timeline::new(live(100, 3));
    assert_eq!(timeline.update(ended(100, 4)), Ok(Change::Appended(1)));
    assert_eq!(numbers(&timeline), [100, 101, 102, 103]);
    assert!(!timeline.is_live());
    assert_eq!(timeline.duration(), Some(24 * SECOND));
    // The end is kept, even if a cache then gives an older copy.
    assert_eq!(timeline.update(live(100, 4)), Ok(Change::Unchanged));
    assert!(!timeline.is_live());
}

#[test]
fn missed_segments_leave_room() {
    let mut timeline = Timeline::new(live(0, 4));
    assert_eq!(timeline.update(live(10, 2)), Ok(Change::Jumped { missed: 6 }));
    assert_eq!((numbers(&timeline), window(&timeline)), (vec![10, 11], (60, 72)));

    let mut timeline = Timeline::new(clocked(0, 4, 1_000));
    assert_eq!(timeline.update(clocked(10, 2, 1_050)), Ok(Change::Jumped { missed: 6 }));
    assert_eq!(window(&timeline), (50, 62));
    // A clock that was set back must not take the timeline with it, nor one set to next year.
    assert_eq!(timeline.update(clocked(20, 2, 1_000)), Ok(Change::Jumped { missed: 8 }));
    assert_eq!(window(&timeline), (62, 74));
    assert_eq!(timeline.update(clocked(30, 2, 40_000_000)), Ok(Change::Jumped { missed: 8 }));
    assert_eq!(window(&timeline), (122, 134));
}

#[test]
fn a_server_that_begins_anew_goes_on_at_the_end() {
    let mut timeline = Timeline::new(live(100, 4));
    assert_eq!(timeline.update(live(0, 2)), Ok(Change::Restarted));
    assert_eq!((numbers(&timeline), window(&timeline)), (vec![0, 1], (24, 36)));
    // The same numbers, but another time: the clock shows it.
    let mut timeline = Timeline::new(clocked(0, 4, 1_000));
    assert_eq!(timeline.update(clocked(0, 2, 2_000)), Ok(Change::Restarted));
    assert_eq!((numbers(&timeline), window(&timeline)), (vec![0, 1], (24, 36)));
}

#[test]
fn an_old_copy_changes_nothing() {
    for old in [live(98, 4), live(95, 2), live(93, 4)] {
        let mut timeline = Timeline::new(live(100, 4));
        assert_eq!(timeline.update(old), Ok(Change::Unchanged));
        assert_eq!((numbers(&timeline), window(&timeline)), (vec![100, 101, 102, 103], (0, 24)));
    }
    let mut timeline = Timeline::new(clocked(100, 4, 1_000));
    assert_eq!(timeline.update(clocked(10, 4, 460)), Ok(Change::Unchanged));
}

#[test]
fn an_empty_reload_is_an_error_once_there_were_segments() {
    let mut timeline = Timeline::new(live(5, 0));
    assert_eq!((window(&timeline), timeline.start_position()), ((0, 0), Duration::ZERO));
    assert_eq!(timeline.update(live(5, 0)), Ok(Change::Unchanged));
    assert_eq!(timeline.update(live(5, 2)), Ok(Change::Appended(2)));
    assert_eq!(timeline.update(live(7, 0)), Err(TimelineError::Empty));
    assert_eq!(numbers(&timeline), [5, 6]);
}

#[test]
fn addresses_may_be_signed_anew() {
    let mut timeline = Timeline::new(live(0, 3));
    let mut signed = live(1, 3);
    for segment in &mut signed.segments {
        segment.url.set_query(Some("token=2"));
        segment.duration = 7 * SECOND;
    }
    assert_eq!(timeline.update(signed), Ok(Change::Appended(1)));
    assert!(timeline.segments().iter().all(|placed| placed.segment.url.query() == Some("token=2")));
    assert_eq!(window(&timeline), (6, 25));
}

#[test]
fn playback_begins_away_from_the_end() {
    let start = |list: MediaPlaylist| Timeline::new(list).start_position().as_secs();
    let offset = |seconds| Some(StartOffset { seconds, precise: false });
    assert_eq!(start(live(0, 10)), 42);
    assert_eq!(start(live(0, 2)), 0);
    let hold_back =
        |seconds: u32| ServerControl { hold_back: Some(seconds * SECOND), ..ServerControl::default() };
    assert_eq!(start(MediaPlaylist { server_control: hold_back(20), ..live(0, 10) }), 36);
    assert_eq!(start(MediaPlaylist { server_control: hold_back(0), ..live(0, 10) }), 54);
    assert_eq!(start(MediaPlaylist { start_offset: offset(-31.0), ..live(0, 10) }), 24);
    assert_eq!(start(MediaPlaylist { start_offset: offset(-1.0), ..live(0, 10) }), 42);
    assert_eq!(start(MediaPlaylist { start_offset: offset(1e300), ..live(0, 10) }), 42);
    assert_eq!(start(ended(0, 10)), 0);
    assert_eq!(start(MediaPlaylist { start_offset: offset(10.0), ..ended(0, 10) }), 10);
    assert_eq!(start(MediaPlaylist { start_offset: offset(-10.0), ..ended(0, 10) }), 50);
    assert_eq!(start(MediaPlaylist { start_offset: offset(-1e300), ..ended(0, 10) }), 0);
    assert_eq!(start(MediaPlaylist { start_offset: offset(61.0), ..ended(0, 10) }), 0);
    // A playlist that cannot change is not live, even without its end tag.
    assert_eq!(start(MediaPlaylist { playlist_type: Some(PlaylistType::Vod), ..live(0, 10) }), 0);
}

#[test]
fn reloads_are_spaced() {
    let mut list = live(0, 3);
    list.segments[2].duration = 4 * SECOND;
    let timeline = Timeline::new(list.clone());
    assert_eq!((timeline.reload_delay(true), timeline.reload_delay(false)), (4 * SECOND, 3 * SECOND));
    list.segments[2].duration = 40 * SECOND;
    assert_eq!(Timeline::new(list.clone()).reload_delay(true), 6 * SECOND);
    list.target_duration = Duration::ZERO;
    assert_eq!(Timeline::new(list).reload_delay(false), MIN_RELOAD_DELAY);
}

#[test]
fn other_renditions_share_the_origin() {
    let mut video = Timeline::new(live(100, 4));
    assert_eq!(video.update(live(102, 4)), Ok(Change::Appended(2)));
    assert_eq!(window(&video.beside(live(103, 4))), (18, 42));
    assert_eq!(window(&video.beside(live(101, 4))), (6, 30));
    assert_eq!(window(&video.beside(live(107, 1))), (42, 48));
    // One that ended meanwhile keeps the numbering of the presentation.
    assert_eq!(numbers(&video.beside(ended(104, 2))), [104, 105]);

    let video = Timeline::new(clocked(100, 4, 1_000));
    assert_eq!(window(&video.beside(clocked(7, 4, 1_003))), (3, 27));
    let vod = Timeline::new(ended(5, 4));
    assert_eq!(window(&vod.beside(ended(9, 4))), (0, 24));
}

/// Two lists of a live stream begin where they do, and the manifest knows where that is.
#[test]
fn the_manifests_own_timeline_is_that_of_all() {
    let timed = |first, seconds: i64| {
        let first_time = Some(seconds * 1_000_000_000);
        MediaPlaylist { first_time, ..live(first, 4) }
    };
    let video = Timeline::new(timed(100, 100));
    assert_eq!(window(&video.beside(timed(7, 103))), (3, 27));
    // What is before the beginning is left out.
    assert_eq!(window(&video.beside(timed(7, 97))), (0, 21));
    let earlier = video.beside(timed(7, 90));
    assert_eq!((window(&earlier), numbers(&earlier)), ((0, 14), vec![8, 9, 10]));
    assert_eq!(earlier.time_at(2 * SECOND), Some(102_000_000_000));
    let mut segment = earlier.segments()[0].segment.clone();
    assert_eq!(earlier.media_zero(&segment), None);
    segment.media_offset = Some(-30_000_000_000);
    assert_eq!(earlier.media_zero(&segment), Some(70_000_000_000));
    // One that has nothing yet begins where the manifest says when it has.
    let mut empty = video.beside(live(0, 0));
    assert_eq!(empty.update(timed(7, 103)), Ok(Change::Appended(4)));
    assert_eq!((window(&empty), empty.time_at(SECOND)), ((3, 27), Some(101_000_000_000)));
}

/// A segment in progress of so many parts of one second; every other begins with a key frame.
fn open(sequence: i64, parts: usize) -> OpenSegment {
    let list = live(sequence, 1);
    let part = |index: usize| Part {
        url: list.url.join(&format!("{sequence}.{index}")).expect("a URL"),
        byte_range: None,
        duration: SECOND,
        independent: index.is_multiple_of(2),
        gap: false,
    };
    OpenSegment {
        sequence,
        discontinuity_sequence: 0,
        init: None,
        key: None,
        keys: Default::default(),
        program_date_time: None,
        parts: (0..parts).map(part).collect(),
    }
}

/// Segments, and parts of one second beyond.
fn with_parts(first: i64, count: i64, parts: usize) -> MediaPlaylist {
    MediaPlaylist {
        part_target: Some(SECOND),
        open: (parts > 0).then(|| open(first + count, parts)),
        ..live(first, count)
    }
}

#[test]
fn parts_lead_beyond_the_last_segment() {
    let mut timeline = Timeline::new(with_parts(100, 4, 2));
    let edge = |timeline: &Timeline| {
        let Edge { sequence, parts } = timeline.edge();
        (sequence, parts, timeline.live_edge().as_secs())
    };
    assert_eq!(edge(&timeline), (104, 2, 26));
    assert_eq!(timeline.open().map(|(start, open)| (start.as_secs(), open.parts.len())), Some((24, 2)));
    // No new segment, but a part.
    assert_eq!(timeline.update(with_parts(100, 4, 3)), Ok(Change::Unchanged));
    assert_eq!(edge(&timeline), (104, 3, 27));
    // An older copy takes none away.
    assert_eq!(timeline.update(with_parts(100, 4, 1)), Ok(Change::Unchanged));
    assert_eq!(edge(&timeline), (104, 3, 27));
    assert_eq!(timeline.update(with_parts(101, 4, 0)), Ok(Change::Appended(1)));
    assert_eq!(edge(&timeline), (105, 0, 30));
    assert_eq!(timeline.open(), None);
    // The end may come with fewer parts than there were.
    assert_eq!(timeline.update(with_parts(101, 4, 1)), Ok(Change::Unchanged));
    assert_eq!(timeline.update(MediaPlaylist { ended: true, ..live(101, 4) }), Ok(Change::Unchanged));
    assert!(!timeline.is_live());
    // Only parts so far.
    assert_eq!(edge(&Timeline::new(with_parts(7, 0, 2))), (7, 2, 2));
}

/// As [`with_parts`], from a server whose parts are played; the newest segment has its parts too.
fn low_latency(first: i64, count: i64, parts: usize) -> MediaPlaylist {
    let mut list = with_parts(first, count, parts);
    list.server_control = ServerControl {
        can_block_reload: true,
        part_hold_back: Some(3 * SECOND),
        ..ServerControl::default()
    };
    if let Some(newest) = list.segments.last_mut() {
        newest.parts = open(newest.sequence, 6).parts;
    }
    list
}

#[test]
fn low_latency_playback_begins_near_the_edge_and_fetches_from_a_key_frame() {
    let start = |hold_back: u32, list: MediaPlaylist| {
        let server_control =
            ServerControl { part_hold_back: Some(hold_back * SECOND), ..list.server_control.clone() };
        let timeline = Timeline::new(MediaPlaylist { server_control, ..list });
        let start = timeline.low_latency_start()?;
        assert_eq!(timeline.start_position(), start);
        Some((start.as_secs(), timeline.entry_at(start)?.start.as_secs()))
    };
    // Parts from 18 on, the last of four beyond the whole segments ends at 28; key frames at every other.
    assert_eq!(start(3, low_latency(100, 4, 4)), Some((25, 24)));
    assert_eq!(start(2, low_latency(100, 4, 4)), Some((26, 26)));
    // Less than two parts is not believed.
    assert_eq!(start(0, low_latency(100, 4, 4)), Some((26, 26)));
    assert_eq!(start(5, low_latency(100, 4, 4)), Some((23, 22)));
    assert_eq!(start(11, low_latency(100, 4, 4)), Some((17, 12)));
    assert_eq!(start(100, low_latency(100, 4, 4)), Some((0, 0)));
    // A server that cannot wait, or does not say how far away to stay, is played in whole segments.
    assert_eq!(start(3, with_parts(100, 4, 4)), None);
    assert_eq!(start(3, MediaPlaylist { ended: true, ..low_latency(100, 4, 0) }), None);
}

/// Media sequence number, index of the part and start in seconds.
fn pieces(timeline: &Timeline) -> Vec<(i64, Option<u32>, u64)> {
    let piece = |placed: &PlacedSegment| (placed.segment.sequence, placed.index(), placed.start.as_secs());
    timeline.segments().iter().map(piece).collect()
}

fn assert_in_order(timeline: &Timeline) {
    let entries = timeline.segments();
    for (one, next) in entries.iter().zip(entries.iter().skip(1)) {
        assert_eq!(one.number + 1, next.number);
        assert!(one.end() <= next.start, "{one:?} {next:?}");
    }
}

#[test]
fn near_the_edge_each_part_is_a_segment_of_its_own() {
    let mut timeline = Timeline::new(low_latency(100, 3, 1));
    let parts = |sequence: i64, start: u64, range: std::ops::Range<u32>| {
        range.map(move |index| (sequence, Some(index), start + u64::from(index)))
    };
    let older = [(100, None, 0), (101, None, 6)];
    let expected: Vec<_> =
        older.into_iter().chain(parts(102, 12, 0..6)).chain(parts(103, 18, 0..1)).collect();
    assert_eq!(pieces(&timeline), expected);
    let numbered = timeline.get(8).cloned().expect("the open segment's part");
    // The same and two parts more, and then all of the segment and the next one's first.
    assert_eq!(timeline.update(low_latency(100, 3, 3)), Ok(Change::Parts));
    assert_eq!(timeline.update(low_latency(100, 3, 3)), Ok(Change::Unchanged));
    assert_eq!(timeline.window(), (Duration::ZERO, 21 * SECOND));
    assert_eq!(timeline.update(low_latency(101, 3, 1)), Ok(Change::Appended(1)));
    let expected: Vec<_> = [(101, None, 6)]
        .into_iter()
        .chain(parts(102, 12, 0..6))
        .chain(parts(103, 18, 0..6))
        .chain(parts(104, 24, 0..1))
        .collect();
    assert_eq!(pieces(&timeline), expected);
    assert_eq!(timeline.get(8), Some(&numbered), "what has a number keeps it");
    assert_in_order(&timeline);
}

#[test]
fn whole_segments_take_the_place_of_parts_that_are_not_listed_any_more() {
    let mut timeline = Timeline::new(low_latency(100, 3, 0));
    timeline.update(low_latency(100, 4, 0)).expect("it goes on");
    // Those of 103 are still listed.
    timeline.fold(|_| true);
    let whole = timeline.at(13 * SECOND).expect("it is there");
    assert_eq!((whole.number, whole.segment.url.path(), whole.piece), (2, "/102.ts", Piece::Whole));
    assert_eq!((whole.start, whole.end()), (12 * SECOND, 18 * SECOND));
    assert_eq!(timeline.at(18 * SECOND).and_then(PlacedSegment::index), Some(0));
    assert!((3..8).all(|number| timeline.get(number).is_some_and(|placed| !placed.is_playable())));
    assert_in_order(&timeline);
    // Who is within them goes on with parts.
    let mut timeline = Timeline::new(low_latency(100, 3, 0));
    timeline.update(low_latency(100, 4, 0)).expect("it goes on");
    timeline.fold(|numbers| !numbers.contains(&5));
    assert_eq!(timeline.at(13 * SECOND).and_then(PlacedSegment::index), Some(1));
}

#[test]
fn what_is_announced_has_a_place_before_it_is_there() {
    let hinted = |list: MediaPlaylist, name: &str| {
        let url = list.url.join(name).expect("a URL");
        let hint = PreloadHint { kind: HintKind::Part, url, start: 0, length: None };
        MediaPlaylist { preload_hints: vec![hint], ..list }
    };
    let mut timeline = Timeline::new(hinted(low_latency(100, 3, 2), "2"));
    let last = |timeline: &Timeline| {
        let last = timeline.segments().back().cloned().expect("it is not empty");
        (last.number, last.piece, last.segment.sequence, last.start.as_secs())
    };
    assert_eq!(last(&timeline), (10, Piece::Hinted { index: 2 }, 103, 20));
    assert_eq!((timeline.window().1, timeline.live_edge()), (20 * SECOND, 20 * SECOND));
    // It comes, with another announced.
    timeline.update(hinted(low_latency(100, 3, 3), "3")).expect("it goes on");
    assert_eq!(timeline.get(10).and_then(PlacedSegment::index), Some(2));
    assert_eq!(last(&timeline), (11, Piece::Hinted { index: 3 }, 103, 21));
    // The segment ends with the part before.
    timeline.update(hinted(low_latency(100, 4, 0), "next")).expect("it goes on");
    assert_eq!(last(&timeline), (14, Piece::Hinted { index: 0 }, 104, 24));
    timeline.update(low_latency(100, 4, 0)).expect("it goes on");
    assert_eq!(last(&timeline).0, 13);
    // What is listed already is no hint, nor is what a range goes on with.
    assert!(!Timeline::new(hinted(low_latency(100, 3, 2), "103.1")).segments().back().unwrap().is_hinted());
}

#[test]
fn a_delta_update_keeps_what_it_leaves_out() {
    let mut timeline = Timeline::new(live(100, 6));
    let delta = |media_sequence, first: i64, count| MediaPlaylist {
        media_sequence,
        skipped: (first - media_sequence) as u64,
        ..live(first, count)
    };
    assert_eq!(timeline.update(delta(101, 104, 3)), Ok(Change::Appended(1)));
    assert_eq!((numbers(&timeline), window(&timeline)), ((101..=106).collect(), (6, 42)));
}

#[test]
fn wall_clock_and_position_are_told_from_each_other() {
    let timeline = Timeline::new(clocked(0, 4, 1_000));
    let seconds = Duration::from_secs;
    assert_eq!(timeline.position_of(seconds(1_007)), Some(seconds(7)));
    assert_eq!(timeline.clock_at(seconds(7)), Some(seconds(1_007)));
    // Ahead of what is listed, as announced breaks are.
    assert_eq!(timeline.position_of(seconds(1_100)), Some(seconds(100)));
    assert_eq!((timeline.position_of(seconds(999)), timeline.clock_at(seconds(24))), (None, None));
    assert_eq!(Timeline::new(live(0, 4)).position_of(seconds(1_000)), None);
    // Across a jump of the clock.
    let mut list = clocked(0, 4, 1_000);
    for segment in &mut list.segments[2..] {
        segment.program_date_time = segment.program_date_time.map(|clock| clock + seconds(500));
    }
    assert_eq!(Timeline::new(list).position_of(seconds(1_513)), Some(seconds(13)));
}

proptest! {
    /// However a live window moves, a segment never does, and numbers follow on.
    #[test]
    fn segments_stay_in_place(
        durations in prop::collection::vec(0u64..10_000, 60),
        first in -5i64..1_000_000,
        moves in prop::collection::vec((0usize..5, 1usize..12), 1..30),
    ) {
        let durations: Vec<_> = durations.into_iter().map(Duration::from_millis).collect();
        let list = |from: usize, count: usize| {
            let to = (from + count).min(durations.len());
            let mut list = live(first + from as i64, (to - from) as i64);
            for (segment, duration) in list.segments.iter_mut().zip(&durations[from..to]) {
                segment.duration = *duration;
            }
            list
        };
        let mut timeline = Timeline::new(list(0, 5));
        let mut from = 0;
        for (step, count) in moves {
            // At most up to the segment after the last one known: no jumps.
            let known = timeline.segments().back().map_or(0, |last| (last.number - first) as usize);
            from = (from + step).min(known + 1).min(durations.len() - 1);
            let result = timeline.update(list(from, count));
            prop_assert!(matches!(result, Ok(Change::Unchanged | Change::Appended(_))), "{result:?}");
            for placed in timeline.segments() {
                let index = (placed.number - first) as usize;
                let expected: Duration = durations[..index].iter().sum();
                prop_assert_eq!(placed.start, expected);
                prop_assert_eq!(timeline.get(placed.number), Some(placed));
            }
            let (start, end) = timeline.window();
            prop_assert!(start <= timeline.start_position() && timeline.start_position() <= end);
        }
    }

    /// Whatever comes, neighbours touch and time does not run backwards.
    #[test]
    fn any_reload_is_survived(
        lists in prop::collection::vec((-20i64..60, 0i64..12, any::<bool>(), prop::option::of(0u64..400)), 1..20),
    ) {
        let make = |(first, count, ended, clock): (i64, i64, bool, Option<u64>)| MediaPlaylist {
            ended,
            ..clock.map_or(live(first, count), |clock| clocked(first, count, clock))
        };
        let mut timeline = Timeline::new(make(lists[0]));
        for list in lists {
            let end = timeline.window().1;
            let _ = timeline.update(make(list));
            prop_assert!(timeline.window().1 >= end);
            let placed: Vec<_> = timeline.segments().iter().collect();
            let touch = |pair: &[&PlacedSegment]| {
                pair[0].end() == pair[1].start && pair[0].number + 1 == pair[1].number
            };
            prop_assert!(placed.windows(2).all(touch));
            prop_assert!(timeline.segments().len() <= 40);
            let _ = timeline.beside(make(list));
        }
    }

    /// The same in parts, of which some are never seen, or again.
    #[test]
    fn any_reload_in_parts_is_survived(
        lists in prop::collection::vec((90i64..110, 0i64..5, 0usize..8, any::<bool>()), 1..20),
    ) {
        let make = |(first, count, parts, hinted): (i64, i64, usize, bool)| {
            let list = low_latency(first, count, parts);
            let url = list.url.join("hint").expect("a URL");
            let hint = PreloadHint { kind: HintKind::Part, url, start: 0, length: None };
            MediaPlaylist { preload_hints: hinted.then_some(hint).into_iter().collect(), ..list }
        };
        let mut timeline = Timeline::new(make(lists[0]));
        for list in lists {
            let _ = timeline.update(make(list));
            assert_in_order(&timeline);
            let mut folded = timeline.clone();
            folded.fold(|numbers| numbers.start % 2 == 0);
            assert_in_order(&folded);
            let lasts = |placed: &&PlacedSegment| placed.is_playable() && !placed.segment.duration.is_zero();
            for placed in folded.segments().iter().filter(lasts) {
                let middle = placed.start + placed.segment.duration / 2;
                prop_assert_eq!(folded.at(middle), Some(placed));
            }
            prop_assert!(timeline.segments().len() <= 40);
        }
    }
}
