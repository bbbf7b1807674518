// SPDX-License-Identifier: MPL-2.0

//! A part of a film, once or over and over: seeks with a stop position, and segment seeks.

#![cfg(feature = "plugin")]

mod common;

use std::path::Path;

use common::media::STREAMS;
use common::origin::Origin;
use common::player::{Consumer, Player, assert_continuous};
use common::renditions::RENDITIONS;
use gst::prelude::*;

const S: gst::ClockTime = gst::ClockTime::SECOND;
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

const CONSUMERS: [Consumer; 3] = [Consumer::Decodebin3, Consumer::Playbin3, Consumer::Playbin];

/// Muxed in both containers, and with the sound in a playlist of its own.
fn streams() -> [(&'static Path, &'static str); 3] {
    let (muxed, apart) = (STREAMS.as_path(), RENDITIONS.as_path());
    [(muxed, "ts/index.m3u8"), (muxed, "fmp4/index.m3u8"), (apart, "mp4.m3u8")]
}

fn seek(player: &Player, flags: gst::SeekFlags, start: gst::ClockTime, stop: gst::ClockTime) -> bool {
    let set = gst::SeekType::Set;
    player.pipeline.seek(1.0, flags, set, start, set, stop).is_ok()
}

/// Waits until the segment has been played, and gives where it ends.
fn segment_done(player: &Player) -> Option<gst::ClockTime> {
    match player.wait(gst::MessageType::SegmentDone).view() {
        gst::MessageView::SegmentDone(done) => done.get().try_into().ok().flatten(),
        _ => unreachable!("as waited for"),
    }
}

/// In hundredths of a second: the media's clock is not exact to the nanosecond.
fn rounded(times: &[gst::ClockTime]) -> Vec<u64> {
    times.iter().map(|time| (time.nseconds() + 5_000_000) / 10_000_000).collect()
}

#[test]
fn playback_ends_at_the_stop_position() {
    for (root, playlist) in streams() {
        let origin = Origin::serve(root);
        for consumer in CONSUMERS {
            let player = Player::paused(consumer, &origin.url(playlist));
            // Within segments, and where they begin and end.
            for (start, stop) in [(5 * S, 11 * S), (8 * S, 12 * S)] {
                assert!(seek(&player, gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, start, stop));
                player.wait_for_both();
                player.set_state(gst::State::Playing);
                player.wait(gst::MessageType::Eos);
                let frames = player.video.times();
                assert_eq!(frames.first(), Some(&start), "{playlist}, {consumer:?}");
                assert_eq!(frames.last(), Some(&(stop - FRAME)), "{playlist}, {consumer:?}");
                assert_continuous(&frames, (playlist, consumer));
            }
            // As long as no other is asked for the stop stays; it can be taken away.
            let none = gst::ClockTime::NONE;
            let (flags, set) = (gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, gst::SeekType::Set);
            player.pipeline.seek(1.0, flags, set, 28 * S, set, none).expect("the seek is accepted");
            player.wait_for_both();
            player.wait(gst::MessageType::Eos);
            assert_eq!(player.video.times().last(), Some(&(30 * S - FRAME)), "{playlist}, {consumer:?}");
        }
    }
}

#[test]
fn a_part_of_fragmented_mp4_is_repeated_without_a_gap() {
    // From where a segment begins to where one ends, and to the end of the film.
    for (root, playlist, start, stop) in
        [(&STREAMS, "fmp4/index.m3u8", 4, 8), (&RENDITIONS, "mp4.m3u8", 24, 30)]
    {
        let origin = Origin::serve(root);
        for consumer in CONSUMERS {
            let of = format!("{playlist}, {consumer:?}");
            let player = Player::paused(consumer, &origin.url(playlist));
            let expected = [(start, stop), (start, stop), (start, stop), (27, 30)];
            let (start, stop) = (start * S, stop * S);
            let segment = gst::SeekFlags::SEGMENT | gst::SeekFlags::ACCURATE;
            assert!(seek(&player, segment | gst::SeekFlags::FLUSH, start, stop), "{of}");
            player.set_state(gst::State::Playing);
            for _ in 0..2 {
                assert_eq!(segment_done(&player), Some(stop), "{of}");
                assert!(seek(&player, segment, start, stop), "{of}: again");
            }
            assert_eq!(segment_done(&player), Some(stop), "{of}");
            assert!(seek(&player, gst::SeekFlags::ACCURATE, 27 * S, 30 * S), "{of}: the end of the film");
            player.wait(gst::MessageType::Eos);
            let frames = expected.into_iter().flat_map(|(from, to)| (from * 25..to * 25).map(|n| n * FRAME));
            assert_eq!(rounded(&player.video.times()), rounded(&frames.collect::<Vec<_>>()), "{of}");
            assert_continuous(&player.video.running_times(), &of);
        }
    }
}

/// `tsdemux` passes no other segment on before a flush, nor does `qtdemux` begin anew within a fragment.
#[test]
fn a_part_of_mpeg_ts_is_repeated_with_a_flush() {
    let origin = Origin::serve(&STREAMS);
    for consumer in CONSUMERS {
        let player = Player::paused(consumer, &origin.url("ts/index.m3u8"));
        player.set_state(gst::State::Playing);
        let (start, stop) = (4 * S, 8 * S);
        let segment = gst::SeekFlags::SEGMENT | gst::SeekFlags::ACCURATE;
        for _ in 0..3 {
            assert!(seek(&player, segment | gst::SeekFlags::FLUSH, start, stop), "{consumer:?}");
            assert_eq!(segment_done(&player), Some(stop), "{consumer:?}");
            player.wait_until("all frames", 20, || player.video.times().len() == 100);
            assert_continuous(&player.video.times(), consumer);
            assert!(!seek(&player, segment, start, stop), "{consumer:?}: without a flush");
        }
    }
}

#[test]
fn without_a_flush_nothing_is_left_out() {
    let origin = Origin::serve(&STREAMS);
    let player = Player::new(Consumer::Decodebin3, &origin.url("ts/index.m3u8"), true);
    player.set_state(gst::State::Paused);
    player.wait_for_both();
    // There is more to come, and only a flush would make room.
    assert!(!seek(&player, gst::SeekFlags::ACCURATE, 5 * S, 9 * S));
    assert!(seek(&player, gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, 5 * S, 9 * S));
}
