// SPDX-License-Identifier: MPL-2.0

//! DASH with picture and sound in adaptation sets of their own.

#![cfg(feature = "plugin")]

mod common;

use common::clocks::Clocks;
use common::dash::{SOUND, live_sound};
use common::media::DURATION;
use common::origin::Origin;
use common::player::{Consumer, Player, plays_and_seeks_together};

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

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

/// Stream times of the first and the last sound of [`SOUND`] with these clocks; the picture is where it belongs.
fn sound_of(clocks: Clocks) -> (gst::ClockTime, gst::ClockTime) {
    let origin = Origin::serve(&SOUND);
    clocks.set_media(&origin);
    let text = std::fs::read_to_string(SOUND.join("number/m.mpd")).expect("an MPD");
    origin.set_made("number/clocks.mpd", move || clocks.mpd(&text));
    let player = Player::new(Consumer::Decodebin3, &origin.url("number/clocks.mpd"), false);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let frames = player.video.times();
    assert_eq!(frames.first(), Some(&gst::ClockTime::ZERO), "{clocks:?}");
    assert_eq!(frames.len() as u64, DURATION * 25, "{clocks:?}");
    let sound = player.audio.times();
    (*sound.first().expect("sound"), *sound.last().expect("sound"))
}

/// presentationTimeOffset is what tells where media belongs, not where its first segment begins.
#[test]
fn picture_and_sound_have_clocks_of_their_own() {
    let same = sound_of(Clocks { media: [0.0, 0.0], said: [0.0, 0.0] });
    let near = |time: gst::ClockTime, wanted: gst::ClockTime| time.absdiff(wanted) < 30 * MS;
    // Sound begins later than the picture.
    let (first, last) = sound_of(Clocks { media: [10.0, 7.3], said: [10.0, 7.0] });
    assert!(near(first, same.0 + 300 * MS) && near(last, same.1 + 300 * MS), "{first} to {last}");
    // Its first segment begins before the period does: that is not heard.
    let (first, last) = sound_of(Clocks { media: [10.0, 7.3], said: [10.0, 8.3] });
    assert!(near(first, same.0) && near(last, same.1 - 1000 * MS), "{first} to {last}");
}

/// Media that counts from an epoch, of which the MPD knows; the sound is a little late.
#[test]
fn a_live_stream_has_the_clocks_that_it_says() {
    let origin = Origin::serve(&SOUND);
    let clocks = Clocks { media: [1.7e9, 1.6e9 + 0.3], said: [1.7e9, 1.6e9] };
    clocks.set_media(&origin);
    let text = live_sound(12);
    origin.set_made("number/clocks.mpd", move || clocks.mpd(&text));
    let player = Player::new(Consumer::Decodebin3, &origin.url("number/clocks.mpd"), true);
    player.set_state(gst::State::Playing);
    player.wait_until("picture and sound", 20, || {
        player.video.times().len() > 25 && player.audio.times().len() > 25
    });
    let ms = |time: &gst::ClockTime| time.useconds() as f64 / 1e3;
    let picture = ms(player.video.times().first().expect("a picture")) / 40.0;
    assert!((picture - picture.round()).abs() < 0.05, "{picture}");
    // One frame of sound is 1,024 samples.
    for time in &player.audio.times()[5..20] {
        let frame = (ms(time) - 300.0) * 44.1 / 1024.0;
        assert!((frame - frame.round()).abs() < 0.1, "{time} is frame {frame}");
    }
    let sound = player.audio.times()[0];
    assert!(sound.absdiff(player.video.times()[0]) < 500 * MS, "{sound}");
}
