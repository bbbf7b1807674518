// SPDX-License-Identifier: MPL-2.0

//! Playback faster or slower than usual: every frame comes, in its time.

#![cfg(feature = "plugin")]

mod common;

use std::path::Path;

use common::dash::SOUND;
use common::live::make_live;
use common::media::{DURATION, STREAMS};
use common::origin::Origin;
use common::player::{Consumer, Player, Sink, assert_continuous};
use common::renditions::RENDITIONS;
use common::variants::VARIANTS;
use gst::prelude::*;

const S: gst::ClockTime = gst::ClockTime::SECOND;
const MS: gst::ClockTime = gst::ClockTime::MSECOND;

const CONSUMERS: [Consumer; 3] = [Consumer::Decodebin3, Consumer::Playbin3, Consumer::Uridecodebin3];

/// In both containers, muxed and with the sound in a playlist of its own.
fn streams() -> [(&'static Path, &'static str); 5] {
    let (muxed, apart) = (STREAMS.as_path(), RENDITIONS.as_path());
    [
        (muxed, "ts/index.m3u8"),
        (muxed, "fmp4/index.m3u8"),
        (apart, "ts.m3u8"),
        (apart, "mp4.m3u8"),
        (&SOUND, "number/m.mpd"),
    ]
}

/// Goes to `start`, or stays where playback is, to go on at `rate`.
fn seek(player: &Player, rate: f64, start: Option<gst::ClockTime>) {
    let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
    let kind = if start.is_some() { set } else { none };
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    player.pipeline.seek(rate, flags, kind, start, none, gst::ClockTime::NONE).expect("the seek is accepted");
}

/// Each frame is shown so long after the one before, which is 40 ms of the film at this rate.
fn assert_paced(sink: &Sink, rate: f64, of: &str) {
    let expected = gst::ClockTime::from_nseconds((40e6 / rate) as u64);
    // The first one may have begun before, in part.
    for pair in sink.running_times().windows(2).skip(1) {
        assert!(pair[1].absdiff(pair[0] + expected) < MS, "{of}: {} after {}", pair[1], pair[0]);
    }
}

fn position(player: &Player) -> gst::ClockTime {
    player.pipeline.query_position::<gst::ClockTime>().unwrap_or_default()
}

/// The first picture is about at `position`, which was asked for just before the seek.
fn assert_near(player: &Player, position: gst::ClockTime, of: &str) {
    let first = player.video.first().expect("a picture");
    assert!(first + 80 * MS >= position && first < position + S, "{of}: {first} after {position}");
}

#[test]
fn all_frames_come_at_any_rate() {
    for (root, playlist) in streams() {
        let origin = Origin::serve(root);
        for consumer in CONSUMERS {
            let player = Player::paused(consumer, &origin.url(playlist));
            for (rate, start) in [(2.0, 5), (0.5, 11), (8.0, 0), (1.0, 17)] {
                let of = format!("{playlist}, {consumer:?}, rate {rate}");
                seek(&player, rate, Some(start * S));
                player.wait_for_both();
                player.set_state(gst::State::Playing);
                player.wait(gst::MessageType::Eos);
                let frames = player.video.times();
                assert_eq!(frames.first(), Some(&(start * S)), "{of}");
                assert_eq!(frames.len() as u64, (DURATION - start) * 25, "{of}");
                assert_continuous(&frames, &of);
                assert_paced(&player.video, rate, &of);
                // Sound goes along with the picture.
                let last = |sink: &Sink| *sink.running_times().last().expect("something");
                let apart = last(&player.video).absdiff(last(&player.audio));
                assert!(apart < gst::ClockTime::from_nseconds((100e6 / rate) as u64), "{of}: {apart}");
            }
        }
    }
}

#[test]
fn playback_stays_where_it_is_when_the_rate_changes() {
    for (root, playlist) in streams() {
        let origin = Origin::serve(root);
        let player = Player::new(Consumer::Playbin3, &origin.url(playlist), true);
        player.set_state(gst::State::Playing);
        player.wait_for_both();
        let mut from = position(&player);
        for rate in [2.0, 0.5, 1.0] {
            let of = format!("{playlist}, rate {rate}");
            player.wait_until("a second of it", 20, || position(&player) > from + S);
            from = position(&player);
            seek(&player, rate, None);
            player.wait_for_both();
            assert_near(&player, from, &of);
            player.wait_until("frames", 20, || player.video.running_times().len() > 20);
            assert_paced(&player.video, rate, &of);
        }
    }
}

/// A line that carries the richest variant carries a leaner one four times as fast.
#[test]
fn the_variant_goes_by_the_rate() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(3_000_000);
    let player = Player::with(Consumer::Decodebin3, &origin.url("ts/index.m3u8"), true, |source| {
        source.set_property("buffer-duration", 10_000_000_000u64);
    });
    player.set_state(gst::State::Playing);
    let bandwidth = || player.stat("variant-bandwidth");
    player.wait_until("the richest variant", 30, || bandwidth() >= 1_500_000);
    seek(&player, 4.0, None);
    player.wait_until("the leanest one", 20, || bandwidth() < 400_000);
    seek(&player, 1.0, Some(gst::ClockTime::ZERO));
    player.wait_until("a richer one", 30, || bandwidth() > 400_000);
}

/// Nobody can watch what is not made yet: playback waits for it, and nothing is left out.
#[test]
fn at_the_live_edge_playback_waits() {
    let origin = Origin::serve(&STREAMS);
    for playlist in ["long/index.m3u8", "long-fmp4/index.m3u8"] {
        let name = make_live(&origin, playlist);
        let player = Player::new(Consumer::Playbin3, &origin.url(&name), true);
        player.set_state(gst::State::Playing);
        player.wait_for_both();
        seek(&player, 4.0, None);
        player.wait_for_both();
        for _ in 0..2 {
            while buffering(&player) > 0 {}
            player.set_state(gst::State::Paused);
            while buffering(&player) < 100 {}
            player.set_state(gst::State::Playing);
        }
        let frames = player.video.times();
        assert!(frames.len() > 100, "{name}: {}", frames.len());
        assert_continuous(&frames[1..], &name);
        assert_paced(&player.video, 4.0, &name);
        assert_eq!(player.stat("skipped-segments"), 0, "{name}");
    }
}

/// What the element says next about the time to wait, in percent.
fn buffering(player: &Player) -> i32 {
    match player.wait(gst::MessageType::Buffering).view() {
        gst::MessageView::Buffering(buffering) => buffering.percent(),
        _ => unreachable!("as waited for"),
    }
}

/// Decoders leave out what is between key frames; there is one in each second.
#[test]
fn key_frames_alone_are_shown_where_that_is_wished_for() {
    let origin = Origin::serve(&STREAMS);
    for playlist in ["ts/index.m3u8", "fmp4/index.m3u8"] {
        let player = Player::paused(Consumer::Playbin3, &origin.url(playlist));
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::TRICKMODE | gst::SeekFlags::TRICKMODE_KEY_UNITS;
        player
            .pipeline
            .seek(8.0, flags, set, 8 * S, none, gst::ClockTime::NONE)
            .expect("the seek is accepted");
        player.wait(gst::MessageType::AsyncDone);
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        let expected: Vec<_> = (8..DURATION).map(|second| second * S).collect();
        assert_eq!(player.video.times(), expected, "{playlist}");
    }
}
