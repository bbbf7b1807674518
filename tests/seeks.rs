// SPDX-License-Identifier: MPL-2.0

//! Many seeks to random places: each lands where it should, and none hangs.

#![cfg(feature = "plugin")]

mod common;

use common::live::Live;
use common::media::{DURATION, STREAMS};
use common::origin::Origin;
use common::player::{Consumer, Player};
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
        let mut query = gst::query::Seeking::new(gst::Format::Time);
        assert!(player.pipeline.query(&mut query));
        let (seekable, start, end) = query.result();
        let milliseconds = |value: gst::GenericFormattedValue| match value {
            gst::GenericFormattedValue::Time(Some(time)) => time.mseconds(),
            other => panic!("{other:?}"),
        };
        assert!(seekable);
        // The window may move on by a reload between question and seek.
        let window = milliseconds(start) + 2_000..milliseconds(end) - 1_000;
        seek(&player, gst::ClockTime::from_mseconds(rng.random_range(window)));
    }
}
