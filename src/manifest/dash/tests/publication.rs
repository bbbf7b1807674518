// SPDX-License-Identifier: MPL-2.0

use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::manifest::dash::MpdUpdate;
use crate::manifest::{Answer, Asked, Change, Feed, Load, News, Next, Now, Source, Timeline};

/// The system's clock, which the publisher's agrees with, began at 1,000 s at this moment.
struct World {
    begin: Instant,
}

impl World {
    fn now(&self, seconds: f64) -> Now {
        let passed = Duration::from_secs_f64(seconds);
        Now { instant: self.begin + passed, system: 1_000 * SECOND + passed }
    }

    fn answer(&self, seconds: f64, body: &str) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { url: base(), body, date: None, age: Duration::ZERO, begun: self.now(seconds).instant }
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.duration_since(self.begin).as_secs_f64()
    }

    fn open(&self, seconds: f64, text: &str) -> Source {
        Source::open(self.answer(seconds, text), self.now(seconds)).expect("an MPD")
    }

    /// A track that is followed, with its first playlist.
    fn follow(&self, source: &Source, seconds: f64) -> (Feed, Timeline) {
        let now = self.now(seconds);
        let url = source.presentation().expect("a choice").variants[0].url.clone();
        let Asked::Ready(playlist) = source.playlist(&url, now).expect("a playlist") else { panic!() };
        let timeline = Timeline::new((*playlist).clone());
        (source.follow(vec![url], &playlist, now.instant, &timeline), timeline)
    }

    fn next(&self, feed: &mut Feed, timeline: &Timeline, seconds: f64) -> (f64, Option<Load>) {
        match feed.next(self.now(seconds), timeline) {
            Next::Load(load) => (self.seconds(load.at), Some(*load)),
            Next::Look(at) => (self.seconds(at), None),
            Next::Rest => panic!("it goes on"),
        }
    }
}

fn world() -> World {
    World { begin: Instant::now() }
}

fn live(more: &str, template: &str, inner: &str) -> String {
    format!(
        "<MPD type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:16:40Z\" {more}><Period id=\"1\" start=\"PT0S\">\
         <AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate media=\"$Number$\" {template}>{inner}</SegmentTemplate>\
         <Representation id=\"v\" bandwidth=\"1\"/><Representation id=\"w\" bandwidth=\"2\"/></AdaptationSet></Period></MPD>"
    )
}

/// Segments of two seconds, as many as there are at `seconds`.
fn listed(seconds: f64) -> String {
    let count = (seconds / 2.0) as i64;
    let timeline = format!("<SegmentTimeline><S t=\"0\" d=\"2\" r=\"{}\"/></SegmentTimeline>", count - 1);
    live("minimumUpdatePeriod=\"PT2S\"", "", &timeline)
}

#[test]
fn an_mpd_is_told_from_a_playlist() {
    use crate::manifest::dash::is_mpd;
    for (text, wanted) in [
        ("<MPD/>", true),
        ("\u{feff} \n<?xml version=\"1.0\"?><!-- MPD --><mpd:MPD>", true),
        ("#EXTM3U\n#EXT-X-VERSION:3\n# <MPD", false),
        ("<!DOCTYPE html><html>", false),
        ("", false),
        ("MPD", false),
    ] {
        assert_eq!(is_mpd(text.as_bytes()), wanted, "{text}");
    }
    assert!(is_mpd(b"\xff\xfe<\0M\0"));
}

#[test]
fn by_the_clock_nothing_is_loaded() {
    let world = world();
    let source = world.open(20.5, &live("", "duration=\"2\"", ""));
    let (mut feed, mut timeline) = world.follow(&source, 20.5);
    assert_eq!(timeline.window(), (Duration::ZERO, 20 * SECOND));
    let (at, load) = world.next(&mut feed, &timeline, 20.5);
    assert_eq!((at, load.is_none()), (22.0, true));
    let news = feed.look(world.now(22.0), &mut timeline).expect("a playlist");
    assert_eq!(news, Some(News { change: Change::Appended(1), moved: None }));
    assert_eq!(feed.look(world.now(22.1), &mut timeline), Ok(None));
    // It could not be had half a second after it was to be there: the next is not expected before.
    feed.handle_early(world.now(22.5));
    assert_eq!(world.next(&mut feed, &timeline, 22.7).0, 24.6);
    assert_eq!(feed.look(world.now(24.5), &mut timeline), Ok(None));
    assert!(feed.look(world.now(24.7), &mut timeline).is_ok_and(|news| news.is_some()));
}

#[test]
fn a_list_is_asked_for_when_the_next_segment_is_due() {
    let world = world();
    let source = world.open(21.2, &listed(21.2));
    let (mut feed, mut timeline) = world.follow(&source, 21.2);
    // Not at 23.2 s, when all are late for the segment of 22 s.
    let (at, load) = world.next(&mut feed, &timeline, 21.2);
    let load = load.expect("a load");
    assert_eq!(at, 22.0);
    assert!(feed.begin(&load));
    let news = feed.handle_loaded(load, world.answer(22.0, &listed(22.0)), world.now(22.1), &mut timeline);
    assert_eq!(news, Ok(Some(News { change: Change::Appended(1), moved: None })));
    // It is late: asked again soon, and expected later from then on.
    let (at, load) = world.next(&mut feed, &timeline, 22.1);
    let load = load.expect("a load");
    assert_eq!(at, 24.0);
    assert!(feed.begin(&load));
    let news = feed.handle_loaded(load, world.answer(24.0, &listed(23.9)), world.now(24.1), &mut timeline);
    assert_eq!(news, Ok(None));
    let (at, load) = world.next(&mut feed, &timeline, 24.1);
    assert_eq!(at, 24.5);
    let load = load.expect("a load");
    assert!(feed.begin(&load));
    let news = feed.handle_loaded(load, world.answer(24.5, &listed(24.5)), world.now(24.6), &mut timeline);
    assert!(news.is_ok_and(|news| news.is_some()));
    let (at, _) = world.next(&mut feed, &timeline, 24.6);
    assert!((26.05..26.15).contains(&at), "{at}");
}

#[test]
fn tracks_share_one_load_and_whoever_goes_leaves_it_to_the_others() {
    let world = world();
    let source = world.open(20.0, &listed(20.0));
    let (mut first, mut timeline) = world.follow(&source, 20.0);
    let (mut second, mut other) = world.follow(&source, 20.0);
    let load = |feed: &mut Feed, timeline: &Timeline, at: f64| world.next(feed, timeline, at).1;
    let (ours, theirs) = (load(&mut first, &timeline, 20.1), load(&mut second, &other, 20.1));
    let (ours, theirs) = (ours.expect("a load"), theirs.expect("a load"));
    assert!(first.begin(&ours) && !second.begin(&theirs));
    assert!(load(&mut second, &other, 22.0).is_none(), "it waits");
    drop(first);
    let again = load(&mut second, &other, 22.3).expect("a load");
    assert!(second.begin(&again));
    let (mut first, _) = world.follow(&source, 20.0);
    let news = second.handle_loaded(again, world.answer(22.3, &listed(22.3)), world.now(22.4), &mut other);
    assert!(news.is_ok_and(|news| news.is_some()));
    // The other has nothing to load, but to look.
    let (at, load) = world.next(&mut first, &timeline, 22.5);
    assert_eq!((at, load.is_none()), (22.5, true));
    assert!(first.look(world.now(22.5), &mut timeline).is_ok_and(|news| news.is_some()));
}

#[test]
fn failures_are_followed_by_longer_and_longer_waits() {
    let world = world();
    let source = world.open(20.0, &listed(20.0));
    let (mut feed, mut timeline) = world.follow(&source, 20.0);
    let (mut now, mut last) = (20.0, 20.0);
    let mut waits = Vec::new();
    while waits.len() < 7 {
        let (at, load) = world.next(&mut feed, &timeline, now);
        now = at;
        let Some(load) = load else {
            assert_eq!(feed.look(world.now(now), &mut timeline), Ok(None));
            continue;
        };
        waits.push(now - last);
        last = now;
        assert!(feed.begin(&load));
        assert!(!feed.handle_failed(&load, world.now(now).instant, true, &timeline));
    }
    let waits: Vec<u32> = waits.iter().skip(1).map(|wait| (wait * 1_000.0).round() as u32).collect();
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 8_000]);
}

#[test]
fn remote_elements_cannot_go_on_for_ever() {
    let world = world();
    let link = "<Period xlink:href=\"more\" xlink:actuate=\"onLoad\"/>";
    let source = world.open(0.0, &format!("<MPD type=\"static\">{link}</MPD>"));
    let mut loads = 0;
    while let Some(load) = source.missing(world.now(0.0)) {
        loads += 1;
        let answer = world.answer(0.0, &link.repeat(20));
        source.handle_loaded(load, Some(answer), world.now(0.0)).expect("it is small");
        assert!(loads <= 256, "{loads}");
    }
    assert!(source.presentation().is_some_and(|presentation| presentation.variants.is_empty()));
}

fn expires(published: u32) -> MpdUpdate {
    MpdUpdate::Expires { published: Some(published * SECOND) }
}

#[test]
fn an_event_has_the_mpd_loaded_at_once_until_it_is_new() {
    let world = world();
    let text = |published: u64| {
        live(
            &format!("publishTime=\"1970-01-01T00:16:{published}Z\""),
            "startNumber=\"0\" duration=\"2\"",
            "",
        )
    };
    let source = world.open(1.0, &text(41));
    let (mut feed, mut timeline) = world.follow(&source, 1.0);
    assert!(world.next(&mut feed, &timeline, 5.0).1.is_none(), "nothing says that it is to be loaded again");
    assert!(!source.handle_update(&expires(1_001), 0, true), "it is as new as that");
    assert!(source.handle_update(&expires(1_002), 0, false));
    // The old one again and again: asked for less and less often, and then no more.
    let (mut at, mut loads) = (5.0, Vec::new());
    while at < 60.0 {
        let (due, load) = world.next(&mut feed, &timeline, at);
        at = due.max(at);
        match load {
            Some(load) => {
                loads.push(at);
                assert!(feed.begin(&load));
                let answer = world.answer(at, &text(41));
                feed.handle_loaded(load, answer, world.now(at), &mut timeline).expect("an MPD");
            }
            None => {
                feed.look(world.now(at), &mut timeline).expect("a playlist");
            }
        }
    }
    assert_eq!(loads, [5.0, 6.0, 8.0, 12.0, 20.0, 28.0]);

    assert!(source.handle_update(
        &MpdUpdate::Mpd { published: Some(1_003 * SECOND), body: b"<MPD/>".to_vec() },
        0,
        true
    ));
    let (_, load) = world.next(&mut feed, &timeline, at + 1.0);
    let load = load.expect("the MPD is asked for, not taken from the media");
    assert!(feed.begin(&load));
    let answer = world.answer(at + 1.0, &text(43));
    feed.handle_loaded(load, answer, world.now(at + 1.0), &mut timeline).expect("an MPD");
    let (_, load) = world.next(&mut feed, &timeline, at + 1.5);
    assert!(load.is_none(), "it is new");
}

#[test]
fn the_end_is_believed_when_the_publisher_says_it() {
    let world = world();
    let text = live("", "startNumber=\"0\" duration=\"2\"", "");
    let source = world.open(5.0, &text);
    let (mut feed, mut timeline) = world.follow(&source, 5.0);
    assert!(source.handle_update(&MpdUpdate::Ended, 9_000_000_000, false), "the publisher is asked");
    let (_, load) = world.next(&mut feed, &timeline, 6.0);
    let load = load.expect("a load");
    assert!(feed.begin(&load));
    feed.handle_loaded(load, world.answer(6.0, &text), world.now(6.0), &mut timeline).expect("an MPD");
    feed.look(world.now(20.0), &mut timeline).expect("a playlist");
    assert!(timeline.is_live(), "a peer's word ends nothing");

    assert!(source.handle_update(&MpdUpdate::Ended, 41_000_000_000, true));
    assert!(!source.handle_update(&MpdUpdate::Ended, 30_000_000_000, true), "it ends once");
    // A copy that knows nothing of it changes nothing.
    feed.look(world.now(30.0), &mut timeline).expect("a playlist");
    assert!(timeline.is_live() && timeline.window().1 == 30 * SECOND);
    feed.look(world.now(42.0), &mut timeline).expect("a playlist");
    assert_eq!(timeline.duration(), Some(41 * SECOND));
}
