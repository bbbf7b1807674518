// SPDX-License-Identifier: MPL-2.0

//! DASH with picture and sound in adaptation sets of their own.

#![cfg(feature = "plugin")]

mod common;

use common::dash::{SOUND, live_sound};
use common::origin::Origin;
use common::player::{Consumer, Player, plays_and_seeks_together};

fn plays(consumer: Consumer, mpd: &str) {
    let origin = Origin::serve(&SOUND);
    plays_and_seeks_together(consumer, &origin.url(mpd));
}

#[test]
fn picture_and_sound_play_together_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays(*consumer, "number/m.mpd"));
    plays(Consumer::Playbin3, "timeline/m.mpd");
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
