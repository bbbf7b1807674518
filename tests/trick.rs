// SPDX-License-Identifier: MPL-2.0

//! Playback by key frames alone: fast forward and backward.

#![cfg(feature = "plugin")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::dash::SOUND;
use common::encrypted::ENCRYPTED;
use common::key_frames;
use common::live::make_live;
use common::media::{SEGMENT, STREAMS};
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player, assert_continuous};
use common::renditions::{self, RENDITIONS};
use gst::prelude::*;

const S: gst::ClockTime = gst::ClockTime::SECOND;
const MS: gst::ClockTime = gst::ClockTime::MSECOND;
const ZERO: gst::ClockTime = gst::ClockTime::ZERO;

/// In both containers, muxed and with the sound in a playlist of its own: where the film is, its playlist, and what stands
/// in the multivariant playlist beside the key frames.
fn streams() -> [(&'static Path, &'static str, String); 4] {
    let muxed = |list: &str| {
        format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS=\"avc1.64000c,mp4a.40.2\"\n{list}\n")
    };
    let apart = |kind: &str| renditions::presentation(kind, kind, None);
    [
        (&STREAMS, "ts/index.m3u8", muxed("ts/index.m3u8")),
        (&STREAMS, "fmp4/index.m3u8", muxed("fmp4/index.m3u8")),
        (&RENDITIONS, "ts/video/list.m3u8", apart("ts")),
        (&RENDITIONS, "mp4/video/list.m3u8", apart("mp4")),
    ]
}

/// A presentation with key frames to be had by themselves. Gives their playlist and where the presentation is.
fn serve(root: &Path, playlist: &str, presentation: &str) -> (Origin, String, String) {
    let origin = Origin::serve(root);
    let list = key_frames::serve(&origin, root, playlist);
    let text = format!(
        "{presentation}#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=300000,CODECS=\"avc1.64000c\",URI=\"{}\"\n",
        key_frames::beside(playlist)
    );
    origin.set_made("all.m3u8", move || text.clone());
    let url = origin.url("all.m3u8");
    (origin, list, url)
}

/// The seek of a player that shows key frames alone.
fn seek(player: &Player, rate: f64, start: gst::ClockTime, stop: Option<gst::ClockTime>) {
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::TRICKMODE | gst::SeekFlags::TRICKMODE_KEY_UNITS;
    let set = gst::SeekType::Set;
    player.pipeline.seek(rate, flags, set, start, set, stop).expect("the seek is accepted");
}

/// Plays by key frames to the end.
fn play(player: &Player) {
    player.wait(gst::MessageType::AsyncDone);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
}

/// What has come since a seek is key frames, each once.
fn assert_key_frames(player: &Player, list: &str, of: &str) -> Vec<gst::ClockTime> {
    let frames = player.video.times();
    let known = key_frames::times(list);
    for frame in &frames {
        let is_it = |known: &Duration| Duration::from(*frame).abs_diff(*known) < Duration::from_millis(5);
        assert!(known.iter().any(is_it), "{of}: {frame} of {frames:?} is no key frame of {known:?}");
    }
    assert_eq!(player.audio.first(), None, "{of}: there is no sound");
    frames
}

/// Each frame is shown in its time.
fn assert_paced(player: &Player, due: impl Fn(gst::ClockTime) -> gst::ClockTime, of: &str) {
    for (frame, shown) in player.video.times().into_iter().zip(player.video.running_times()) {
        assert!(shown.absdiff(due(frame)) < MS, "{of}: {frame} is shown at {shown}");
    }
}

/// Nothing but byte ranges of key frames was asked for, and what comes before them.
fn assert_ranges(origin: &Origin, list: &str, of: &str) {
    let ranges = key_frames::ranges(list);
    for (path, headers) in origin.requests() {
        let range = headers.get("range").map(|range| range.to_str().expect("text").to_owned());
        let is_it =
            |(name, known): &(String, String)| path.ends_with(name.as_str()) && range.as_ref() == Some(known);
        let is_before = path.ends_with("iframes.m3u8")
            || path.ends_with(".mp4")
            || range.as_deref() == Some("bytes=0-563");
        assert!(is_before || ranges.iter().any(is_it), "{of}: {path} {range:?}");
    }
}

/// Playback as usual is as it always is.
fn assert_back_to_normal(player: &Player, of: &str) {
    player.pipeline.set_state(gst::State::Paused).expect("it pauses");
    player.seek(17.0);
    player.wait_for_both();
    assert_eq!(player.video.first(), Some(17 * S), "{of}");
    let sound = player.audio.first().expect("sound");
    assert!(sound.absdiff(17 * S) < 100 * MS, "{of}: sound at {sound}");
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let frames = player.video.times();
    assert_eq!(frames.len(), 13 * 25, "{of}");
    assert_continuous(&frames, of);
}

#[test]
fn fast_forward_fetches_and_shows_key_frames_alone() {
    for (root, playlist, presentation) in streams() {
        let (origin, list, url) = serve(root, playlist, &presentation);
        for consumer in [Consumer::Decodebin3, Consumer::Playbin3, Consumer::Uridecodebin3, Consumer::Playbin]
        {
            let of = format!("{playlist}, {consumer:?}");
            let player = at_the_end(consumer, &origin, &url);
            seek(&player, 4.0, 8 * S, None);
            play(&player);
            let frames = assert_key_frames(&player, &list, &of);
            assert_eq!(frames.first(), Some(&(8 * S)), "{of}");
            assert!(frames.is_sorted() && frames.len() > 3, "{of}: {frames:?}");
            assert_paced(&player, |frame| (frame - 8 * S) / 4, &of);
            assert_ranges(&origin, &list, &of);
            assert_back_to_normal(&player, &of);
        }
    }
}

#[test]
fn backward_key_frames_come_in_falling_order() {
    for (root, playlist, presentation) in streams() {
        let (origin, list, url) = serve(root, playlist, &presentation);
        for consumer in [Consumer::Decodebin3, Consumer::Playbin3, Consumer::Uridecodebin3, Consumer::Playbin]
        {
            let of = format!("{playlist}, {consumer:?}");
            let player = at_the_end(consumer, &origin, &url);
            seek(&player, -4.0, ZERO, Some(20 * S));
            play(&player);
            let frames = assert_key_frames(&player, &list, &of);
            assert!(
                frames.first().is_some_and(|first| *first < 20 * S && *first >= 16 * S),
                "{of}: {frames:?}"
            );
            assert_eq!(frames.last(), Some(&ZERO), "{of}: {frames:?}");
            assert!(frames.iter().rev().is_sorted() && frames.len() > 3, "{of}: {frames:?}");
            assert_paced(&player, |frame| (20 * S - frame) / 4, &of);
            assert_ranges(&origin, &list, &of);
            assert_back_to_normal(&player, &of);
        }
    }
}

/// A player that has played all and waits there; what it asked for is forgotten.
fn at_the_end(consumer: Consumer, origin: &Origin, url: &str) -> Player {
    let player = Player::paused(consumer, url);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    player.set_state(gst::State::Paused);
    origin.clear_requests();
    player
}

/// A film without a playlist of key frames has one at the start of each segment.
#[test]
fn backward_the_first_frames_of_segments_will_do() {
    for (root, playlist, segment) in [
        (STREAMS.as_path(), "ts/index.m3u8", SEGMENT),
        (&STREAMS, "fmp4/index.m3u8", SEGMENT),
        (&RENDITIONS, "ts.m3u8", renditions::SEGMENT),
        (&RENDITIONS, "mp4.m3u8", renditions::SEGMENT),
        (&SOUND, "number/m.mpd", 2),
    ] {
        let origin = Origin::serve(root);
        let player = Player::paused(Consumer::Playbin3, &origin.url(playlist));
        seek(&player, -2.0, ZERO, Some(14 * S));
        play(&player);
        let frames = player.video.times();
        let first = 13 / segment * segment * S;
        assert!(frames.first().is_some_and(|frame| frame.absdiff(first) < 5 * MS), "{playlist}: {frames:?}");
        assert_eq!(frames.last(), Some(&ZERO), "{playlist}: {frames:?}");
        for frame in &frames {
            let off = *frame % (segment * S);
            assert!(off < 5 * MS || off > segment * S - 5 * MS, "{playlist}: {frames:?}");
        }
        assert!(frames.iter().rev().is_sorted() && frames.len() > 2, "{playlist}: {frames:?}");
        assert_eq!(player.audio.first(), None, "{playlist}");
        assert_back_to_normal(&player, playlist);
    }
}

#[test]
fn what_cannot_be_had_is_passed_over() {
    let (root, playlist, presentation) = &streams()[0];
    let (origin, list, url) = serve(root, playlist, presentation);
    let player = Player::paused(Consumer::Playbin3, &url);
    origin.set_fault("seg003.ts", Fault::Status(404));
    let times = key_frames::times(&list);
    let lost = |frame: &gst::ClockTime| (12 * S..16 * S).contains(frame);
    let expected = times.iter().filter(|time| !lost(&gst::ClockTime::from_nseconds(time.as_nanos() as u64)));
    seek(&player, 2.0, ZERO, Some(30 * S));
    play(&player);
    let frames = assert_key_frames(&player, &list, "with a gap");
    assert!(frames.len() <= expected.count() && !frames.iter().any(lost), "{frames:?}");
    assert!(frames.last() >= Some(&(16 * S)), "{frames:?}");
}

/// Forward all frames are shown instead, as far as there is time.
#[test]
fn without_the_playlist_of_key_frames_playback_goes_on() {
    let (root, playlist, presentation) = &streams()[2];
    let (origin, _, url) = serve(root, playlist, presentation);
    origin.set_fault("iframes.m3u8", Fault::Status(404));
    let player = Player::paused(Consumer::Playbin3, &url);
    seek(&player, 4.0, 8 * S, None);
    player.wait_for_both();
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    assert_eq!(player.video.first(), Some(8 * S));
    assert!(player.audio.first().is_some(), "with sound");
    player.set_state(gst::State::Paused);
    seek(&player, -4.0, ZERO, Some(20 * S));
    play(&player);
    let frames = player.video.times();
    assert!(frames.iter().rev().is_sorted() && frames.len() > 2, "{frames:?}");
}

#[test]
fn a_trick_mode_set_of_dash_is_a_playlist_of_key_frames() {
    let origin = Origin::serve(&SOUND);
    let text = std::fs::read_to_string(SOUND.join("number/m.mpd")).expect("an MPD");
    let set = "<AdaptationSet id=\"9\" mimeType=\"video/mp4\">\
        <EssentialProperty schemeIdUri=\"http://dashif.org/guidelines/trickmode\" value=\"0\"/>\
        <SegmentTemplate timescale=\"1\" duration=\"2\" initialization=\"init-stream0.m4s?trick\" \
        media=\"chunk-stream0-$Number%05d$.m4s?trick\" startNumber=\"1\"/>\
        <Representation id=\"trick\" bandwidth=\"50000\" codecs=\"avc1.64000d\"/></AdaptationSet></Period>";
    let text = text.replace("</Period>", set);
    origin.set_made("number/trick.mpd", move || text.clone());
    let player = Player::paused(Consumer::Playbin3, &origin.url("number/trick.mpd"));
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    player.set_state(gst::State::Paused);
    for (rate, start, stop) in [(4.0, 6 * S, None), (-4.0, ZERO, Some(20 * S))] {
        origin.clear_requests();
        seek(&player, rate, start, stop);
        play(&player);
        let frames = player.video.times();
        assert!(frames.len() > 2, "{rate}: {frames:?}");
        assert!(frames.iter().all(|frame| *frame % (2 * S) == ZERO), "{rate}: {frames:?}");
        let asked: Vec<String> = origin.requests().into_iter().map(|(path, _)| path).collect();
        assert!(asked.iter().all(|path| path.ends_with("?trick")), "{rate}: {asked:?}");
        assert_eq!(player.audio.first(), None, "{rate}");
    }
}

/// Of what is encrypted no part can be taken out.
#[test]
fn without_key_frames_backward_is_refused() {
    let origin = Origin::serve(&ENCRYPTED);
    let player = Player::paused(Consumer::Playbin3, &origin.url("ffmpeg/index.m3u8"));
    let (set, flags) = (gst::SeekType::Set, gst::SeekFlags::FLUSH);
    let sought = player.source().seek(-1.0, flags, set, ZERO, set, 10 * S);
    assert!(sought.is_err());
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
}

/// One seek after the other while it plays, as with a remote control; each is heard at once.
#[test]
fn seeks_follow_each_other_in_real_time() {
    for (root, playlist, presentation) in [&streams()[0], &streams()[3]] {
        let (_origin, _, url) = serve(root, playlist, presentation);
        let player = Player::new(Consumer::Playbin3, &url, true);
        player.set_state(gst::State::Playing);
        player.wait_for_both();
        let position = || player.pipeline.query_position::<gst::ClockTime>().unwrap_or_default();
        for (rate, start, stop) in
            [(4.0, 4 * S, None), (-4.0, ZERO, Some(28 * S)), (16.0, ZERO, None), (-2.0, ZERO, Some(20 * S))]
        {
            let of = format!("{playlist} at {rate}");
            seek(&player, rate, start, stop);
            player.wait(gst::MessageType::AsyncDone);
            let from = if rate > 0.0 { start } else { stop.expect("a stop") };
            let gone = || position().absdiff(from) > 3 * S && (position() > from) == (rate > 0.0);
            player.wait_until(&format!("{of}: it goes on"), 20, || player.video.times().len() > 1 && gone());
        }
        player.wait(gst::MessageType::Eos);
        let frames = player.video.times();
        assert!(frames.iter().rev().is_sorted(), "{playlist}: {frames:?}");
        player.seek(10.0);
        player.wait_for_both();
        assert_eq!(player.video.first(), Some(10 * S), "{playlist}");
        let first = position();
        player.wait_until("it plays as usual", 20, || position() > first + S);
    }
}

/// Backward as far as the window goes, and then on as usual.
#[test]
fn a_live_stream_is_played_backward_to_where_it_begins() {
    let origin = Origin::serve(&STREAMS);
    for playlist in ["long/index.m3u8", "long-fmp4/index.m3u8"] {
        let name = make_live(&origin, playlist);
        let player = Player::new(Consumer::Playbin3, &origin.url(&name), true);
        player.set_state(gst::State::Playing);
        player.wait_for_both();
        let end = gst::ClockTime::from_nseconds(common::seeking::window(&player).1);
        seek(&player, -4.0, ZERO, Some(end));
        player.wait(gst::MessageType::Eos);
        let frames = player.video.times();
        assert!(frames.iter().rev().is_sorted() && frames.len() > 2, "{name}: {frames:?}");
        assert!(
            frames.first().is_some_and(|first| *first < end && *first + 2 * S >= end),
            "{name}: {frames:?}"
        );
        let (start, _) = common::seeking::window(&player);
        player.seek((start / 1_000_000_000 + 6) as f64);
        player.wait_for_both();
        let first = player.video.first();
        player.wait_until("it plays as usual", 20, || player.video.times().len() > 50);
        assert!(first >= Some(gst::ClockTime::from_nseconds(start)), "{name}: {first:?}");
    }
}
