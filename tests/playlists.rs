// SPDX-License-Identifier: MPL-2.0

//! What playlists may ask of a player, played by the real element.

#![cfg(feature = "plugin")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::live::Live;
use common::media::{DURATION, STREAMS};
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

fn frames(player: &Player) -> Vec<gst::ClockTime> {
    let frames = player.video.times();
    for pair in frames.windows(2) {
        assert!(pair[1].absdiff(pair[0] + 40 * MS) < MS, "{} after {}", pair[1], pair[0]);
    }
    frames
}

fn text(path: &str) -> String {
    std::fs::read_to_string(STREAMS.join(path)).expect("a playlist")
}

/// Plays to the end and gives the frames.
fn play(url: &str) -> Vec<gst::ClockTime> {
    let player = Player::new(Consumer::Decodebin3, url, false);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    frames(&player)
}

#[test]
fn variables_come_from_the_presentation_and_from_the_address() {
    let origin = Origin::serve(&STREAMS);
    origin.set_made("ts/all.m3u8", || {
        "#EXTM3U\n#EXT-X-DEFINE:NAME=\"name\",VALUE=\"seg\"\n#EXT-X-DEFINE:QUERYPARAM=\"list\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1\n{$list}.m3u8?end=.ts\n"
            .to_owned()
    });
    origin.set_made("ts/defined.m3u8", || {
        let head = "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"name\"\n#EXT-X-DEFINE:QUERYPARAM=\"end\"\n";
        text("ts/index.m3u8").replace("#EXTM3U\n", head).replace("seg", "{$name}").replace(".ts", "{$end}")
    });
    assert_eq!(play(&origin.url("ts/all.m3u8?list=defined")).len() as u64, DURATION * 25);
}

#[test]
fn playback_begins_where_the_presentation_says() {
    let origin = Origin::serve(&STREAMS);
    origin.set_made("ts/all.m3u8", || {
        "#EXTM3U\n#EXT-X-START:TIME-OFFSET=9\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n".to_owned()
    });
    // At the start of the segment that holds it.
    assert_eq!(play(&origin.url("ts/all.m3u8")).first(), Some(&gst::ClockTime::from_seconds(8)));
}

#[test]
fn a_gap_is_not_fetched() {
    let origin = Origin::serve(&STREAMS);
    origin.set_made("ts/gap.m3u8", || text("ts/index.m3u8").replace("seg002", "#EXT-X-GAP\nseg002"));
    let player = Player::new(Consumer::Decodebin3, &origin.url("ts/gap.m3u8"), false);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let mut times = player.video.times();
    times.sort();
    assert!(times.last().is_some_and(|last| *last > gst::ClockTime::from_seconds(29)), "{:?}", times.last());
    assert!(!times.iter().any(|time| (8_100..11_900).contains(&time.mseconds())));
    assert!(!origin.requests().iter().any(|(path, _)| path.contains("seg002")));
}

/// Two variants that differ in their address only: what one server loses comes from the other.
#[test]
fn what_one_server_loses_another_has() {
    let origin = Origin::serve(&STREAMS);
    for (path, server) in [("a.m3u8", "one"), ("b.m3u8", "ts")] {
        origin.set_made(path, move || text("ts/index.m3u8").replace("seg", &format!("{server}/seg")));
    }
    origin.set_made("all.m3u8", || {
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8\n".to_owned()
    });
    assert_eq!(play(&origin.url("all.m3u8")).len() as u64, DURATION * 25);
    // A playlist likewise.
    origin.set_fault("a.m3u8", Fault::Status(404));
    assert_eq!(play(&origin.url("all.m3u8")).len() as u64, DURATION * 25);
}

/// Splice points and the publisher's own data come as element messages.
#[test]
fn what_the_playlist_says_about_the_stream_is_told() {
    let origin = Origin::serve(&STREAMS);
    origin.set_made("ts/all.m3u8", || {
        "#EXTM3U\n#EXT-X-SESSION-DATA:DATA-ID=\"org.title\",VALUE=\"Bars\",LANGUAGE=\"en\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1\nspliced.m3u8\n"
            .to_owned()
    });
    origin.set_made("ts/spliced.m3u8", || {
        let tags = "#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:00Z\n#EXT-X-DATERANGE:ID=\"ad\",\
                    START-DATE=\"2024-01-01T00:00:06Z\",DURATION=4,SCTE35-OUT=0xFC30,X-SPONSOR=\"us\"\n#EXTINF";
        text("ts/index.m3u8").replacen("#EXTINF", tags, 1)
    });
    let player = Player::new(Consumer::Decodebin3, &origin.url("ts/all.m3u8"), false);
    player.set_state(gst::State::Paused);
    let told = |name: &str| loop {
        let message = player.wait(gst::MessageType::Element);
        let gst::MessageView::Element(message) = message.view() else { panic!("{message:?}") };
        if let Some(structure) = message.structure().filter(|structure| structure.name() == name) {
            break structure.to_owned();
        }
    };
    let data = told("p2phls-session-data");
    assert_eq!((data.get::<&str>("data-id"), data.get::<&str>("value")), (Ok("org.title"), Ok("Bars")));
    let range = told("p2phls-date-range");
    assert_eq!(range.get::<&str>("id"), Ok("ad"));
    assert_eq!(range.get::<u64>("position"), Ok(6_000_000_000));
    assert!(range.has_field("scte35-out"));
}

/// A variant with sound in its segments, though the presentation names a playlist for it: the one gives way.
#[test]
fn sound_that_comes_with_the_picture_is_played_once() {
    let origin = Origin::serve(&STREAMS);
    for stream in ["ts", "fmp4"] {
        origin.set_made(&format!("{stream}/all.m3u8"), || {
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"index.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nindex.m3u8\n"
                .to_owned()
        });
        let player = Player::new(Consumer::Decodebin3, &origin.url(&format!("{stream}/all.m3u8")), false);
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        assert_eq!(frames(&player).len() as u64, DURATION * 25, "{stream}");
        let sound = player.audio.times();
        assert!(sound.last().is_some_and(|last| last.seconds() >= DURATION - 1), "{stream}");
        assert!(sound.windows(2).all(|pair| pair[0] < pair[1]), "{stream}: once");
        assert_eq!(player.source().pads().len(), 2, "{stream}");
    }
}

/// A live stream of one-second segments from a server that can do what RFC 8216bis 4.4.3.8 has.
struct Server {
    origin: Origin,
    url: String,
    /// It has lost what delta updates build on.
    forgetful: Arc<AtomicBool>,
}

fn server(control: &'static str) -> Server {
    let origin = Origin::serve(&STREAMS);
    let live = Live::new(&STREAMS.join("long/index.m3u8"), 1.0, 20);
    let forgetful = Arc::new(AtomicBool::new(false));
    let forgets = forgetful.clone();
    origin.set_answer("long/live.m3u8", move |query| {
        let whole = live
            .playlist()
            .replace("#EXT-X-VERSION:7\n", &format!("#EXT-X-VERSION:9\n#EXT-X-SERVER-CONTROL:{control}\n"));
        let number = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<i64>().ok())
        };
        let first: i64 = whole.split("SEQUENCE:").nth(1)?.lines().next()?.parse().ok()?;
        let count = whole.matches("#EXTINF").count() as i64;
        if number("_HLS_msn").is_some_and(|wanted| wanted >= first + count) {
            return None;
        }
        if !query.contains("_HLS_skip=YES") {
            return Some(whole);
        }
        // All but the last twelve seconds, or more than anybody can know.
        let (head, rest) = whole.split_at(whole.find("#EXTINF")?);
        let shift = if forgets.swap(false, Ordering::Relaxed) { 1_000 } else { 0 };
        let head = head.replace(&format!("SEQUENCE:{first}"), &format!("SEQUENCE:{}", first + shift));
        let kept = rest.match_indices("#EXTINF").nth(8).map_or("", |(at, _)| &rest[at..]);
        Some(format!("{head}#EXT-X-SKIP:SKIPPED-SEGMENTS=8\n{kept}"))
    });
    let url = origin.url("long/live.m3u8");
    Server { origin, url, forgetful }
}

fn asked(origin: &Origin, what: &str) -> usize {
    origin.requests().iter().filter(|(path, _)| path.contains(what)).count()
}

#[test]
fn delta_updates_make_the_whole() {
    let Server { origin, url, forgetful } = server("CAN-SKIP-UNTIL=12");
    let player = Player::new(Consumer::Decodebin3, &url, true);
    player.set_state(gst::State::Playing);
    player.wait_until("delta updates", 30, || asked(&origin, "_HLS_skip=YES") > 5);
    let whole = || origin.requests().iter().filter(|(path, _)| path.ends_with("live.m3u8")).count();
    assert_eq!(whole(), 1, "only the first load is whole");
    forgetful.store(true, Ordering::Relaxed);
    player.wait_until("the whole playlist", 20, || whole() > 1);
    let after = player.video.times().len() + 200;
    player.wait_until("eight seconds more", 30, || player.video.times().len() > after);
    frames(&player);
}

#[test]
fn a_server_that_can_wait_is_asked_for_what_comes_next() {
    let Server { origin, url, .. } = server("CAN-BLOCK-RELOAD=YES,HOLD-BACK=8");
    let player = Player::new(Consumer::Decodebin3, &url, true);
    player.set_state(gst::State::Playing);
    player.wait_until("ten seconds", 40, || player.video.times().len() > 250);
    frames(&player);
    // One request a segment: none came back without news.
    let reloads = asked(&origin, "_HLS_msn=");
    let segments = asked(&origin, ".ts");
    assert!(reloads > 5, "{reloads}");
    assert!(reloads <= segments + 12, "{reloads} reloads for {segments} segments");
    // 20 segments of one second were there; eight from the end it began.
    assert!(asked(&origin, "seg011.ts") == 0 && asked(&origin, "seg012.ts") == 1, "{:?}", origin.requests());
}
