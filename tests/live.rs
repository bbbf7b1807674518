// SPDX-License-Identifier: MPL-2.0

//! Live streams over HTTP alone, when the viewer or the origin is not at its best.

mod common;

use std::time::{Duration, Instant};

use common::live::{Live, live_origin};
use common::media::STREAMS;
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player};
use gst::prelude::*;

fn wait_for(what: &str, seconds: u64, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < deadline, "not in {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The number in the name of the newest segment that was asked for.
fn newest_request(origin: &Origin) -> usize {
    let number = |path: &str| path.strip_prefix("/long/seg")?.strip_suffix(".ts")?.parse().ok();
    origin.requests().iter().filter_map(|(path, _)| number(path)).max().unwrap_or(0)
}

fn stat(player: &Player, name: &str) -> u64 {
    let stats: gst::Structure = player.source().property("stats");
    stats.get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn newest_frame(player: &Player) -> gst::ClockTime {
    player.video.times().into_iter().max().unwrap_or(gst::ClockTime::ZERO)
}

#[test]
fn begins_three_segments_from_the_end() {
    let (origin, url) = live_origin();
    let player = Player::new(Consumer::Decodebin3, &url, true);
    player.set_state(gst::State::Playing);
    wait_for("the first frame", 20, || player.video.first().is_some());
    let asked: Vec<String> = origin.requests().into_iter().map(|(path, _)| path).collect();
    assert!(!asked.iter().any(|path| path.ends_with("seg002.ts")), "{asked:?}");
}

#[test]
fn goes_on_after_a_pause_longer_than_the_playlist() {
    let (origin, url) = live_origin();
    let player = Player::new(Consumer::Decodebin3, &url, true);
    player.set_state(gst::State::Playing);
    wait_for("two seconds of playback", 20, || {
        player
            .video
            .first()
            .is_some_and(|first| newest_frame(&player) > first + gst::ClockTime::from_seconds(2))
    });
    player.set_state(gst::State::Paused);
    let (_, begin) = player.pipeline.query_position::<gst::ClockTime>().map(|p| (0, p)).expect("a position");
    let reloads = || origin.requests().iter().filter(|(path, _)| path.ends_with(".m3u8")).count();
    let before = reloads();
    // What is paused keeps an eye on the playlist; it is wholly new after so many reloads.
    wait_for("a wholly new playlist", 40, || reloads() > before + 20);
    player.set_state(gst::State::Playing);
    wait_for("playback in the new window", 20, || {
        assert!(player.error().is_none());
        newest_frame(&player) > begin + gst::ClockTime::from_seconds(12)
    });
    assert!(stat(&player, "skipped-segments") > 0);
}

#[test]
fn leaves_out_a_segment_that_is_not_there() {
    let (origin, url) = live_origin();
    origin.set_fault("seg008.ts", Fault::Status(404));
    let player =
        Player::with(Consumer::Decodebin3, &url, true, |source| source.set_property("retries", 1u32));
    player.set_state(gst::State::Playing);
    let warning = player.wait(gst::MessageType::Warning);
    let gst::MessageView::Warning(warning) = warning.view() else { panic!("{warning:?}") };
    assert!(warning.error().message().contains("seg008.ts"), "{}", warning.error());
    wait_for("what comes after it", 30, || newest_request(&origin) > 12);
    wait_for("frames of it", 30, || newest_frame(&player) > gst::ClockTime::from_seconds(10));
    assert_eq!(stat(&player, "skipped-segments"), 1);
}

#[test]
fn a_film_without_one_of_its_segments_ends_in_an_error() {
    let origin = Origin::serve(&STREAMS);
    origin.set_fault("seg003.ts", Fault::Status(404));
    let url = origin.url("long/index.m3u8");
    let player =
        Player::with(Consumer::Decodebin3, &url, false, |source| source.set_property("retries", 1u32));
    player.set_state(gst::State::Playing);
    let error = player.wait(gst::MessageType::Error);
    let gst::MessageView::Error(error) = error.view() else { panic!("{error:?}") };
    assert!(error.error().matches(gst::ResourceError::NotFound), "{}", error.error());
    assert!(error.error().message().contains("seg003.ts"), "{}", error.error());
}

#[test]
fn a_slow_origin_is_waited_for() {
    let (origin, url) = live_origin();
    for n in 6..12 {
        origin.set_fault(&format!("seg{n:03}.ts"), Fault::Delay(Duration::from_millis(900)));
    }
    let player = Player::new(Consumer::Decodebin3, &url, true);
    player.set_state(gst::State::Playing);
    wait_for("what comes after the slow segments", 60, || {
        assert!(player.error().is_none());
        newest_request(&origin) > 14
    });
    assert_eq!(stat(&player, "skipped-segments"), 0);
}

#[test]
fn a_live_stream_that_ends_is_played_to_its_end() {
    let origin = Origin::serve(&STREAMS);
    let live = Live::new(&STREAMS.join("long/index.m3u8"), 1.0, 86);
    origin.set_made("long/live.m3u8", move || live.playlist());
    let player = Player::new(Consumer::Decodebin3, &origin.url("long/live.m3u8"), false);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    assert!(newest_request(&origin) == 89, "{}", newest_request(&origin));
    let duration = player.pipeline.query_duration::<gst::ClockTime>();
    assert!(duration.is_some_and(|d| d > gst::ClockTime::from_seconds(88)), "{duration:?}");
}
