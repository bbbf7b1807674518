// SPDX-License-Identifier: MPL-2.0

//! DASH with picture and sound in adaptation sets of their own.

#![cfg(feature = "plugin")]

mod common;

use common::dash::{SOUND, live_sound};
use common::media::DURATION;
use common::origin::Origin;
use common::player::{Consumer, Player};

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// The start, a seek and the end, with picture and sound where they belong.
fn plays_and_seeks(consumer: Consumer, mpd: &str) {
    let origin = Origin::serve(&SOUND);
    let player = Player::new(consumer, &origin.url(mpd), false);
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
    let last = *player.audio.times().last().expect("sound");
    let end = gst::ClockTime::from_seconds(DURATION);
    assert!(last.absdiff(end) < 50 * MS, "{consumer:?}: the last sound {last}");
}

#[test]
fn picture_and_sound_play_together_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays_and_seeks(*consumer, "number/m.mpd"));
    plays_and_seeks(Consumer::Playbin3, "timeline/m.mpd");
}

/// Both by the clock, and one MPD for both.
#[test]
fn a_live_stream_has_its_sound() {
    let origin = Origin::serve(&SOUND);
    origin.set_made("number/live.mpd", {
        let mpd = live_sound(12);
        move || mpd.clone()
    });
    let player = Player::new(Consumer::Decodebin3, &origin.url("number/live.mpd"), true);
    player.set_state(gst::State::Playing);
    let newest = |sink: &common::player::Sink| sink.times().into_iter().max().unwrap_or(gst::ClockTime::ZERO);
    player.wait_until("a picture", 20, || player.video.first().is_some());
    let from = newest(&player.video);
    let enough = gst::ClockTime::from_seconds(6);
    player.wait_until("picture and sound for six seconds", 30, || {
        newest(&player.video) > from + enough && newest(&player.audio) > from + enough
    });
    assert_eq!((player.stat("stalls"), player.stat("skipped-segments")), (0, 0));
    let asked = |end: &str| origin.requests().iter().filter(|(path, _)| path.ends_with(end)).count();
    // Once at the start, then every two seconds, not for each track.
    let loads = asked("live.mpd");
    assert!(loads <= 9, "{loads}");
    assert!(asked("chunk-stream1-00006.m4s") == 1);
}
