// SPDX-License-Identifier: MPL-2.0

//! Many seeks to random places: each lands where it should, and none hangs.

#![cfg(feature = "plugin")]

mod common;

use common::live::Live;
use common::media::{DURATION, SEGMENT, STREAMS};
use common::origin::Origin;
use common::player::{Consumer, Player};
use common::seeking::{self, snapped};
use gst::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// As long as a frame, and a sound buffer of AAC, rounded up.
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(41);

/// Seeks to `target` and checks what is shown first.
fn seek(player: &Player, target: gst::ClockTime) {
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    player.pipeline.seek_simple(flags, target).expect("the seek is accepted");
    player.wait(gst::MessageType::AsyncDone);
    for (what, first) in [("frame", player.video.first()), ("sound", player.audio.first())] {
        let first = first.unwrap_or_else(|| panic!("no {what} after a seek to {target}"));
        assert!(first.absdiff(target) <= FRAME, "first {what} at {first} after a seek to {target}");
    }
}

#[test]
fn random_seeks_in_a_film_land_on_the_frame() {
    for playlist in ["ts/index.m3u8", "fmp4/index.m3u8", "ts/twice.m3u8"] {
        let origin = Origin::serve(&STREAMS);
        let player = Player::new(Consumer::Decodebin3, &origin.url(playlist), false);
        player.set_state(gst::State::Paused);
        player.wait(gst::MessageType::AsyncDone);
        let mut rng = SmallRng::seed_from_u64(5);
        for _ in 0..200 {
            seek(&player, gst::ClockTime::from_mseconds(rng.random_range(0..(DURATION - 1) * 1_000)));
        }
    }
}

#[test]
fn random_seeks_in_the_window_of_a_live_stream_land_on_the_frame() {
    let origin = Origin::serve(&STREAMS);
    let live = Live::new(&STREAMS.join("long/index.m3u8"), 1.0, 50);
    origin.set_made("long/live.m3u8", move || live.playlist());
    let player = Player::new(Consumer::Decodebin3, &origin.url("long/live.m3u8"), true);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::AsyncDone);
    let mut rng = SmallRng::seed_from_u64(5);
    for _ in 0..200 {
        // The window may move on by a reload between question and seek.
        let (start, end) = window(&player);
        let target = rng.random_range(start + 2_000..end);
        seek(&player, gst::ClockTime::from_mseconds(target));
    }
}

/// Makes random seeks of each kind among `from..to` in segments of `segment`, all in milliseconds. That hlsdemux2 goes to
/// the same places is shown by `benches/seeks.rs`.
fn seeks_snap(player: &Player, segment: u64, range: impl Fn() -> std::ops::Range<u64>) {
    use gst::SeekFlags as F;
    let mut rng = SmallRng::seed_from_u64(7);
    for flags in [
        F::KEY_UNIT,
        F::KEY_UNIT | F::SNAP_BEFORE,
        F::KEY_UNIT | F::SNAP_AFTER,
        F::KEY_UNIT | F::SNAP_NEAREST,
    ] {
        for _ in 0..8 {
            let target = rng.random_range(range());
            let expected = gst::ClockTime::from_mseconds(snapped(flags, target, segment));
            player
                .pipeline
                .seek_simple(F::FLUSH | flags, gst::ClockTime::from_mseconds(target))
                .expect("a seek");
            player.wait_for_both();
            let first = player.video.first().expect("a frame");
            assert!(
                first.absdiff(expected) < FRAME,
                "{flags:?} to {target} ms: {first} instead of {expected}"
            );
        }
    }
}

#[test]
fn seeks_may_go_to_where_segments_begin() {
    let origin = Origin::serve(&STREAMS);
    for playlist in ["ts/index.m3u8", "fmp4/index.m3u8"] {
        let player = Player::paused(Consumer::Playbin3, &origin.url(playlist));
        seeks_snap(&player, SEGMENT * 1_000, || 0..(DURATION - SEGMENT) * 1_000);
    }
    for playlist in ["long/index.m3u8", "long-fmp4/index.m3u8"] {
        let live = Live::new(&STREAMS.join(playlist), 1.0, 50);
        origin.set_made(&playlist.replace("index", "live"), move || live.playlist());
        let player = Player::new(Consumer::Playbin3, &origin.url(&playlist.replace("index", "live")), true);
        player.set_state(gst::State::Playing);
        player.wait_for_both();
        seeks_snap(&player, 1_000, || {
            let (start, end) = window(&player);
            start + 2_000..end
        });
    }
}

/// The end of a live stream is where playback that begins there has something in hand.
#[test]
fn seeks_may_count_from_the_end_of_a_live_stream() {
    let origin = Origin::serve(&STREAMS);
    // Nothing is published while this looks.
    let live = Live::new(&STREAMS.join("long/index.m3u8"), 1_000.0, 50);
    origin.set_made("long/live.m3u8", move || live.playlist());
    let player = Player::new(Consumer::Playbin3, &origin.url("long/live.m3u8"), true);
    player.set_state(gst::State::Playing);
    player.wait_for_both();
    assert_eq!(window(&player), (0, 48_000), "all but two target durations of fifty segments");
    for before in [0, 1_500, 30_000] {
        let position = gst::GenericFormattedValue::new(gst::Format::Time, -before * 1_000_000);
        let (end, none) = (gst::SeekType::End, gst::SeekType::None);
        let stop = gst::GenericFormattedValue::new(gst::Format::Time, -1);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        assert!(player.pipeline.send_event(gst::event::Seek::new(1.0, flags, end, position, none, stop)));
        player.wait_for_both();
        let expected = gst::ClockTime::from_mseconds(48_000 - before as u64);
        let first = player.video.first().expect("a frame");
        assert!(first.absdiff(expected) < FRAME, "{before} ms before the end: {first}");
    }
}

/// What can be sought, in milliseconds.
fn window(player: &Player) -> (u64, u64) {
    let (start, end) = seeking::window(player);
    (start / 1_000_000, end / 1_000_000)
}
