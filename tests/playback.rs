// SPDX-License-Identifier: MPL-2.0

//! Plays real streams over plain HTTP in each player that an application may use.

#![cfg(feature = "plugin")]

mod common;

use common::media::{DURATION, STREAMS};
use common::origin::Origin;
use common::player::{Consumer, Player};

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// Each frame follows the one before.
fn assert_continuous(frames: &[gst::ClockTime], consumer: Consumer) {
    for pair in frames.windows(2) {
        assert!(pair[1].absdiff(pair[0] + 40 * MS) < MS, "{consumer:?}: {} after {}", pair[1], pair[0]);
    }
}

/// The start, a seek and the end, each to be found at the stream time where it belongs.
fn plays_and_seeks(consumer: Consumer, playlist: &str) {
    let origin = Origin::serve(&STREAMS);
    let player = Player::new(consumer, &origin.url(playlist), false);
    player.set_state(gst::State::Paused);
    player.wait(gst::MessageType::AsyncDone);
    assert_eq!(player.video.first(), Some(gst::ClockTime::ZERO), "{consumer:?}: the first frame");
    assert!(player.audio.first() < Some(50 * MS), "{consumer:?}: the first sound {:?}", player.audio.first());

    player.seek(17.0);
    player.wait(gst::MessageType::AsyncDone);
    let target = gst::ClockTime::from_seconds(17);
    assert_eq!(player.video.first(), Some(target), "{consumer:?}: the first frame after the seek");
    let sound = player.audio.first().expect("sound after the seek");
    assert!(sound.absdiff(target) < 50 * MS, "{consumer:?}: the first sound after the seek {sound}");

    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let frames = player.video.times();
    assert_eq!(frames.len() as u64, (DURATION - 17) * 25, "{consumer:?}: frames from the seek to the end");
    assert_continuous(&frames, consumer);
}

/// Time goes on where the media's own clock starts again, and after a seek across that.
fn plays_over_a_discontinuity(consumer: Consumer, playlist: &str) {
    let origin = Origin::serve(&STREAMS);
    let player = Player::new(consumer, &origin.url(playlist), false);
    player.set_state(gst::State::Paused);
    player.wait(gst::MessageType::AsyncDone);
    for (target, frames) in [(25, 35 * 25), (33, 27 * 25)] {
        player.seek(target as f64);
        player.wait(gst::MessageType::AsyncDone);
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        let shown = player.video.times();
        assert_eq!(shown.first(), Some(&gst::ClockTime::from_seconds(target)), "{consumer:?}");
        assert_continuous(&shown, consumer);
        assert_eq!(shown.len(), frames, "{consumer:?}: frames from {target} s on");
    }
}

#[test]
fn mpeg_ts_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays_and_seeks(*consumer, "ts/index.m3u8"));
}

#[test]
fn fragmented_mp4_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays_and_seeks(*consumer, "fmp4/index.m3u8"));
}

#[test]
fn mpeg_ts_goes_on_after_a_discontinuity() {
    Consumer::ALL.iter().for_each(|consumer| plays_over_a_discontinuity(*consumer, "ts/twice.m3u8"));
}

#[test]
fn fragmented_mp4_goes_on_after_a_discontinuity() {
    Consumer::ALL.iter().for_each(|consumer| plays_over_a_discontinuity(*consumer, "fmp4/twice.m3u8"));
}

/// In each of its segments all pictures come before all sound.
#[test]
fn long_fragments_of_muxed_mp4_play_everywhere() {
    let origin = Origin::serve(&STREAMS);
    for consumer in Consumer::ALL {
        let player = Player::new(consumer, &origin.url("muxed/index.m3u8"), false);
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        let frames = player.video.times();
        assert_eq!(frames.first(), Some(&gst::ClockTime::ZERO), "{consumer:?}: the first frame");
        assert_eq!(frames.len() as u64, DURATION * 25, "{consumer:?}: frames");
        assert_continuous(&frames, consumer);
        plays_and_seeks(consumer, "muxed/index.m3u8");
    }
}
