// SPDX-License-Identifier: MPL-2.0

//! Live DASH over HTTP: segments that come to be there by the clock, and an MPD that is loaded again.

#![cfg(feature = "plugin")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use common::dash::{DASH, Listing, Live, assert_part, date, files, live_origin, long, period};
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player, keep_bytes};
use gst::prelude::*;

/// A player in real time, and what leaves the element.
fn player(url: &str) -> (Player, Arc<Mutex<Vec<u8>>>) {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = bytes.clone();
    let player = Player::with(Consumer::Decodebin3, url, true, move |source| keep_bytes(source, &kept));
    player.set_state(gst::State::Playing);
    (player, bytes)
}

fn newest_frame(player: &Player) -> gst::ClockTime {
    player.video.times().into_iter().max().unwrap_or(gst::ClockTime::ZERO)
}

/// Number of the newest segment that was asked for.
fn newest_request(origin: &Origin) -> u64 {
    let number = |path: &str| path.strip_prefix("/long-mp4/seg")?.strip_suffix(".m4s")?.parse().ok();
    origin.requests().iter().filter_map(|(path, _)| number(path)).max().unwrap_or(0)
}

/// Times that something which ends so was asked for.
fn requests(origin: &Origin, end: &str) -> usize {
    origin.requests().iter().filter(|(path, _)| path.ends_with(end)).count()
}

/// Plays for some seconds: nothing is asked for before it is there, nothing is missed.
fn plays(live: Live, make: impl Fn(&Live) -> String + Send + Sync + 'static) -> Origin {
    let (origin, url, live) = live_origin(live, make);
    let (player, bytes) = player(&url);
    player.wait_until("the first frame", 20, || player.video.first().is_some());
    let asked = origin.requests();
    let early: Vec<_> = (0..2).map(|n| format!("seg{n:03}.m4s")).collect();
    assert!(!asked.iter().any(|(path, _)| early.iter().any(|name| path.ends_with(name))), "{asked:?}");
    let from = newest_frame(&player);
    let enough = gst::ClockTime::from_seconds(8);
    player.wait_until("eight seconds", 30, || newest_frame(&player) > from + enough);
    assert!(newest_request(&origin) < live.made() + 1);
    assert_eq!((player.stat("stalls"), player.stat("skipped-segments")), (0, 0));
    assert_part(&bytes.lock().unwrap());
    origin
}

#[test]
fn segments_come_by_the_clock() {
    plays(Live::new(Listing::Number, 6, 0), |live| live.mpd("", ""));
}

#[test]
fn segments_come_with_the_mpd() {
    for listing in [Listing::Timeline, Listing::List] {
        let origin = plays(Live::new(listing, 6, 0), |live| live.mpd("", ""));
        let loads = requests(&origin, "live.mpd");
        assert!(loads > 5, "{listing:?}: {loads}");
    }
}

/// The publisher's clock is ahead of this machine's, and in another the other way.
#[test]
fn the_publishers_clock_counts() {
    for skew in [7_200, -7_200] {
        let live = Live::new(Listing::Number, 6, skew);
        let (origin, url, live) = live_origin(live, |live| {
            let way = "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-iso:2014\" value=\"nowhere time\"/>";
            live.mpd("", way)
        });
        let clock = live.clone();
        origin.set_made("long-mp4/time", move || clock.clock());
        let (player, bytes) = player(&url);
        player.wait_until("the first frame", 20, || player.video.first().is_some());
        let from = newest_frame(&player);
        player.wait_until("some seconds", 30, || {
            newest_frame(&player) > from + gst::ClockTime::from_seconds(4)
        });
        assert!(newest_request(&origin) <= live.made());
        assert_eq!(player.stat("skipped-segments"), 0);
        assert_part(&bytes.lock().unwrap());
        assert_eq!((requests(&origin, "/nowhere"), requests(&origin, "/time")), (1, 1));
    }
}

#[test]
fn the_mpd_is_loaded_from_where_it_says_and_when_that_fails_from_elsewhere() {
    let (origin, url, live) = live_origin(Live::new(Listing::Timeline, 6, 0), |live| {
        live.mpd("", "<Location>a.mpd</Location><Location>b.mpd</Location>")
    });
    for name in ["long-mp4/a.mpd", "long-mp4/b.mpd"] {
        let live = live.clone();
        origin.set_made(name, move || live.mpd("", "<Location>a.mpd</Location><Location>b.mpd</Location>"));
    }
    let (player, _) = player(&url);
    origin.wait_for(|requests| requests.iter().filter(|(path, _)| path.ends_with("a.mpd")).count() > 3);
    origin.set_fault("a.mpd", Fault::Status(500));
    origin.wait_for(|requests| requests.iter().filter(|(path, _)| path.ends_with("b.mpd")).count() > 3);
    player.wait_until("what came since", 30, || newest_frame(&player) > gst::ClockTime::from_seconds(8));
    assert_eq!(requests(&origin, "live.mpd"), 1);
    assert_eq!((player.stat("stalls"), player.stat("skipped-segments")), (0, 0));
}

#[test]
fn patches_are_enough() {
    let head = |live: &Live| live.mpd("id=\"m\"", "<PatchLocation ttl=\"60\">patch</PatchLocation>");
    let (origin, url, live) = live_origin(Live::new(Listing::Timeline, 6, 0), head);
    // The patch is for whatever MPD the player says it has by the clock: a replacement of its timeline.
    let last = Mutex::new(live.mpd("id=\"m\"", ""));
    origin.set_made("long-mp4/patch", move || {
        let published = |text: &str| {
            text.split_once("publishTime=\"").and_then(|(_, rest)| rest.split_once('"')).expect("a time").0.to_owned()
        };
        let new = live.mpd("id=\"m\"", "");
        let old = std::mem::replace(&mut *last.lock().unwrap(), new.clone());
        let template = new.split_once("<SegmentTemplate").expect("a template").1.split_once("</Representation>");
        let template = template.expect("its end").0;
        format!(
            "<Patch mpdId=\"m\" originalPublishTime=\"{}\" publishTime=\"{}\">\
             <replace sel=\"/MPD/@publishTime\">{1}</replace>\
             <replace sel=\"/MPD/Period/AdaptationSet/Representation/SegmentTemplate\"><SegmentTemplate{template}</replace>\
             </Patch>",
            published(&old),
            published(&new)
        )
    });
    let (player, bytes) = player(&url);
    player.wait_until("what patches brought", 40, || newest_frame(&player) > gst::ClockTime::from_seconds(8));
    assert!(requests(&origin, "/patch") > 3, "{:?}", origin.requests());
    assert_eq!(player.stat("skipped-segments"), 0);
    assert_part(&bytes.lock().unwrap());
}

#[test]
fn a_live_stream_that_ends_is_played_to_its_end() {
    let (origin, url, _) = live_origin(Live::new(Listing::Number, 86, 0), |live| live.mpd("", ""));
    let player = Player::new(Consumer::Decodebin3, &url, false);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    assert_eq!(newest_request(&origin), 89);
    let duration = player.pipeline.query_duration::<gst::ClockTime>();
    // It counts from the first segment that was listed.
    assert!(duration.is_some_and(|duration| duration > gst::ClockTime::from_seconds(86)), "{duration:?}");
}

#[test]
fn an_mpd_that_is_lost_is_waited_for() {
    let (origin, url, live) = live_origin(Live::new(Listing::Timeline, 12, 0), |live| live.mpd("", ""));
    let (player, _) = player(&url);
    player.wait_until("the first frame", 20, || player.video.first().is_some());
    origin.set_fault("live.mpd", Fault::Status(503));
    let before = requests(&origin, "live.mpd");
    origin.wait_for(|requests| {
        requests.iter().filter(|(path, _)| path.ends_with("live.mpd")).count() > before + 3
    });
    origin.clear_faults();
    let made = live.made();
    player.wait_until("what came since", 30, || newest_request(&origin) > made);
    assert_eq!(player.stat("skipped-segments"), 0);
}

/// Segments are there 0.7 s later than the MPD says: that is asked for in vain a few times, not for ever.
#[test]
fn a_publisher_who_is_late_is_known_for_it() {
    let late = std::time::Duration::from_millis(700);
    let (origin, url, live) =
        live_origin(Live::new(Listing::Number, 6, 0).late(late), |live| live.mpd("", ""));
    let begin = live.made();
    let (player, bytes) = player(&url);
    player.wait_until("ten more segments", 60, || newest_request(&origin) > begin + 12);
    let asked = origin.requests();
    let times = |n: u64| asked.iter().filter(|(path, _)| path.ends_with(&format!("seg{n:03}.m4s"))).count();
    let often: Vec<usize> = (begin + 3..begin + 12).map(times).collect();
    assert!(often.iter().sum::<usize>() <= often.len() + 2, "{often:?}");
    assert_eq!(player.stat("skipped-segments"), 0);
    assert_part(&bytes.lock().unwrap());
}

/// [`DASH`]'s three qualities of a minute as a live stream that began at `start`, of which an MPD offers these.
fn variants(start: Duration, offered: &[usize]) -> String {
    let representation = |id: &usize| {
        let bandwidth = [200_000, 600_000, 1_500_000][*id];
        format!("<Representation id=\"{id}\" bandwidth=\"{bandwidth}\" width=\"320\" height=\"180\"/>")
    };
    let offered: String = offered.iter().map(representation).collect();
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
    format!(
        "<MPD type=\"dynamic\" availabilityStartTime=\"{}\" publishTime=\"{}\" minimumUpdatePeriod=\"PT1S\">\
         <Period id=\"1\" start=\"PT0S\"><AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate duration=\"2\" \
         startNumber=\"1\" media=\"chunk-stream$RepresentationID$-$Number%05d$.m4s\" \
         initialization=\"init-stream$RepresentationID$.m4s\"/>{offered}</AdaptationSet></Period></MPD>",
        date(start),
        date(now)
    )
}

/// A richer quality is gone to when the MPD has it, and left when it has it no longer.
#[test]
fn qualities_come_and_go() {
    let origin = Origin::serve(&DASH);
    let start = SystemTime::UNIX_EPOCH.elapsed().expect("a clock") - Duration::from_secs(14);
    let offered = Arc::new(Mutex::new(vec![0, 1]));
    let now = offered.clone();
    origin.set_made("variants/live.mpd", move || variants(start, &now.lock().unwrap()));
    let (player, _) = player(&origin.url("variants/live.mpd"));
    player.wait_until("the first frame", 20, || player.video.first().is_some());
    let bandwidth = || player.stat("variant-bandwidth");
    assert!(bandwidth() <= 600_000);
    *offered.lock().unwrap() = vec![0, 1, 2];
    player.wait_until("what has come", 20, || bandwidth() == 1_500_000);
    *offered.lock().unwrap() = vec![0, 1];
    player.wait_until("what is left", 20, || bandwidth() <= 600_000);
    assert_eq!(player.stat("skipped-segments"), 0);
    common::player::assert_continuous(&player.video.times(), "over all qualities");
}

/// A period that is announced before it is known when it begins is played from then on.
#[test]
fn a_period_is_announced_before_it_has_a_start() {
    const BEGINS: u64 = 18;
    let template = |media: &str, more: &str| {
        format!(
            "<SegmentTemplate media=\"{media}$Number%03d$.m4s\" initialization=\"init.mp4\" duration=\"1\" {more}/>"
        )
    };
    let (origin, url, live) = live_origin(Live::new(Listing::Number, 6, 0), move |live| {
        let text = live.mpd("", "");
        // It may be known six seconds ahead.
        let start = if live.made() + 6 >= BEGINS { format!("start=\"PT{BEGINS}S\"") } else { String::new() };
        let offset = format!("startNumber=\"{BEGINS}\" presentationTimeOffset=\"{BEGINS}\"");
        let second = period(&format!("id=\"2\" {start}"), &template("second", &offset));
        text.replace("</MPD>", &format!("{second}</MPD>"))
    });
    for (number, segment) in files(&long(), "seg").into_iter().enumerate() {
        origin.set_bytes(&format!("long-mp4/second{number:03}.m4s"), segment);
    }
    assert!(live.made() + 6 < BEGINS, "the machine is too slow");
    let (player, _) = player(&url);
    let until = gst::ClockTime::from_seconds(BEGINS + 3);
    player.wait_until("some of the second period", 40, || newest_frame(&player) > until);
    common::player::assert_continuous(&player.video.times(), "over both periods");
    let asked = origin.requests();
    let of = |name: &str| asked.iter().any(|(path, _)| path.ends_with(name));
    assert!(of(&format!("seg{:03}.m4s", BEGINS - 1)) && !of(&format!("/seg{BEGINS:03}.m4s")));
    assert!(of(&format!("second{BEGINS:03}.m4s")) && !of(&format!("second{:03}.m4s", BEGINS - 1)));
    assert_eq!(player.stat("skipped-segments"), 0);
}
