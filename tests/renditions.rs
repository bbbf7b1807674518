// SPDX-License-Identifier: MPL-2.0

//! Sound and subtitles in playlists of their own, each on its own pad.

#![cfg(feature = "plugin")]

mod common;

use common::origin::Origin;
use common::player::{Consumer, Player};
use common::renditions::{DURATION, RENDITIONS};

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// The start, a seek and the end, with picture and sound where they belong.
fn plays_and_seeks(consumer: Consumer, playlist: &str) {
    let origin = Origin::serve(&RENDITIONS);
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
    for pair in frames.windows(2) {
        assert!(pair[1].absdiff(pair[0] + 40 * MS) < MS, "{consumer:?}: {} after {}", pair[1], pair[0]);
    }
    let last = *player.audio.times().last().expect("sound");
    let end = gst::ClockTime::from_seconds(DURATION);
    assert!(last.absdiff(end) < 100 * MS, "{consumer:?}: the last sound {last}");
}

#[test]
fn mpeg_ts_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays_and_seeks(*consumer, "ts.m3u8"));
}

#[test]
fn fragmented_mp4_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays_and_seeks(*consumer, "mp4.m3u8"));
}

#[test]
fn packed_audio_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays_and_seeks(*consumer, "packed.m3u8"));
}
