// SPDX-License-Identifier: MPL-2.0

//! Plays real streams over plain HTTP in each player that an application may use.

#![cfg(feature = "plugin")]

mod common;

use common::media::{DURATION, STREAMS};
use common::origin::Origin;
use common::player::{Consumer, Player, assert_continuous, plays_and_seeks};

fn plays(consumer: Consumer, playlist: &str) {
    let origin = Origin::serve(&STREAMS);
    plays_and_seeks(consumer, &origin.url(playlist));
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
    Consumer::ALL.iter().for_each(|consumer| plays(*consumer, "ts/index.m3u8"));
}

#[test]
fn fragmented_mp4_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays(*consumer, "fmp4/index.m3u8"));
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
        plays(consumer, "muxed/index.m3u8");
    }
}
