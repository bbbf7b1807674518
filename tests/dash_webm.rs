// SPDX-License-Identifier: MPL-2.0

//! DASH in WebM. Frames, not the container, leave the element: they are compared with those that `matroskademux` finds
//! in the origin's bytes.

#![cfg(feature = "plugin")]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::dash::{DASH, files};
use common::media::DURATION;
use common::origin::Origin;
use common::player::{Bytes, Consumer, Player, Sink, assert_continuous, keep_bytes_of_pads};
use common::tracker::Tracker;
use common::viewer::{Viewer, wait_for};
use common::webm::WEBM;
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// The bytes of all frames of a file, with the headers of the codec.
fn frames(file: &[u8]) -> Vec<u8> {
    common::init();
    let mut kept = tempfile::NamedTempFile::new().expect("a file");
    kept.write_all(file).expect("room for it");
    let text = format!("filesrc location={} ! matroskademux ! fakesink name=sink", kept.path().display());
    let pipeline = gst::parse::launch(&text).expect("a pipeline").downcast::<gst::Pipeline>().expect("one");
    let frames = Arc::new(Mutex::new(Vec::new()));
    let noted = frames.clone();
    let pad = pipeline.by_name("sink").and_then(|sink| sink.static_pad("sink")).expect("a sink pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            noted.lock().unwrap().extend_from_slice(&buffer.map_readable().expect("readable bytes"));
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().expect("a bus").timed_pop_filtered(gst::ClockTime::from_seconds(30), &kinds);
    let end = end.expect("the end");
    assert!(matches!(end.view(), gst::MessageView::Eos(_)), "{end:?}");
    pipeline.set_state(gst::State::Null).expect("it stops");
    let frames = frames.lock().unwrap().clone();
    assert!(!frames.is_empty());
    frames
}

/// What leaves each pad when all is played.
fn play(consumer: Consumer, url: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = Bytes::default();
    let kept = bytes.clone();
    let player = Player::with(consumer, url, false, move |source| keep_bytes_of_pads(source, &kept));
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let pictures = player.video.times();
    assert_continuous(&pictures, consumer);
    assert_eq!(pictures.len() as u64, DURATION * 25, "{consumer:?}");
    let last = *player.audio.times().last().expect("sound");
    let end = gst::ClockTime::from_seconds(DURATION);
    assert!(last.absdiff(end) < 100 * MS, "{consumer:?}: the last sound {last}");
    let bytes = bytes.lock().unwrap();
    bytes.clone()
}

fn file(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file")
}

#[test]
fn all_frames_play_to_the_byte() {
    let origin = Origin::serve(&WEBM);
    let segments = WEBM.join("segments");
    let of =
        |stream| [files(&segments, &format!("init-{stream}")), files(&segments, &format!("chunk-{stream}"))];
    let whole = |stream| of(stream).concat().concat();
    let files = |name: &str| file(&WEBM.join("ondemand").join(name));
    for (name, video, audio) in
        [("segments", whole("stream0"), whole("stream1")), ("ondemand", files("v.webm"), files("a.webm"))]
    {
        let wanted = BTreeMap::from([
            ("audio_00".to_owned(), frames(&audio)),
            ("video_00".to_owned(), frames(&video)),
        ]);
        for consumer in [Consumer::Decodebin3, Consumer::Playbin3] {
            let played = play(consumer, &origin.url(&format!("{name}/m.mpd")));
            assert!(played == wanted, "{name}, {consumer:?}: other frames in {:?}", played.keys());
        }
    }
    // Cues make segments of a file, and what is asked for is these, one by one.
    let whole = files("v.webm").len();
    let requests = origin.requests();
    let ranges = requests.iter().filter(|(path, _)| path == "/ondemand/v.webm").count();
    assert!(ranges >= 2 * (DURATION as usize / 2), "{ranges} requests for {whole} bytes: {requests:?}");
}

/// The start, a seek into the middle of a segment and the end.
fn plays_and_seeks(consumer: Consumer, url: &str) {
    let player = Player::paused(consumer, url);
    // Where there is sound beside it, ffmpeg has the picture begin a little later.
    let first = |sink: &Sink| sink.first().expect("something");
    let begin = (first(&player.video), first(&player.audio));
    assert!(begin.0 < 10 * MS && begin.1 < 50 * MS, "{consumer:?}, {url}: {begin:?}");
    player.seek(17.0);
    player.wait_for_both();
    let target = gst::ClockTime::from_seconds(17);
    let found = (first(&player.video), first(&player.audio));
    let near = |time: gst::ClockTime| time.absdiff(target) < 50 * MS;
    assert!(near(found.0) && near(found.1), "{consumer:?}, {url}: after the seek {found:?}");
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let (frames, sound) = (player.video.times(), player.audio.times());
    // What is left of the frame at the target may come before them.
    let count = (DURATION - 17) * 25;
    assert!(
        (count..=count + 1).contains(&(frames.len() as u64)),
        "{consumer:?}, {url}: {} frames",
        frames.len()
    );
    assert_continuous(&frames[1..], consumer);
    let end = gst::ClockTime::from_seconds(DURATION);
    for last in [frames.last(), sound.last()] {
        assert!(
            last.is_some_and(|last| last.absdiff(end) < 100 * MS),
            "{consumer:?}, {url}: {last:?} is last"
        );
    }
}

#[test]
fn players_play_and_seek() {
    let origin = Origin::serve(&WEBM);
    for name in ["segments", "ondemand"] {
        for consumer in Consumer::ALL {
            plays_and_seeks(consumer, &origin.url(&format!("{name}/m.mpd")));
        }
    }
}

/// The same in two containers: playback could not go from one to the other, so it keeps to that which everybody has.
#[test]
fn what_is_there_in_mp4_too_is_played_as_such() {
    let place = DASH.parent().expect("it is in a directory");
    assert_eq!(WEBM.parent(), Some(place));
    let origin = Origin::serve(place);
    origin.set_made("both.mpd", || {
        let set = |place: &str, kind: &str, end: &str| {
            format!(
                "<AdaptationSet mimeType=\"video/{kind}\"><BaseURL>{place}/</BaseURL><SegmentTemplate duration=\"2\" \
                 media=\"chunk-stream0-$Number%05d$.{end}\" initialization=\"init-stream0.{end}\"/>\
                 <Representation id=\"{kind}\" bandwidth=\"200000\" width=\"320\" height=\"180\"/></AdaptationSet>"
            )
        };
        format!(
            "<MPD type=\"static\" mediaPresentationDuration=\"PT{DURATION}S\"><Period>{}{}</Period></MPD>",
            set("webm/segments", "webm", "webm"),
            set("dash/number", "mp4", "m4s")
        )
    });
    let player = Player::new(Consumer::Playbin3, &origin.url("both.mpd"), false);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    assert_eq!(player.video.times().len() as u64, DURATION * 25);
    let requests = origin.requests();
    assert!(!requests.iter().any(|(path, _)| path.contains("webm")), "{requests:?}");
}

/// Segments that peers bring pass as the origin's do.
#[test]
fn viewers_take_it_from_those_before_them() {
    let origin = Origin::serve(&WEBM);
    let tracker = Tracker::start();
    let url = origin.url("ondemand/m.mpd");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    wait_for("a lead", 60, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    for _ in 0..2 {
        viewers.push(Viewer::start(&url, &tracker.url));
    }
    let frames = |viewer: &Viewer| viewer.player.video.times();
    wait_for("half of the film", 90, &viewers, || viewers.iter().all(|viewer| frames(viewer).len() > 375));
    for (n, viewer) in viewers.iter().enumerate() {
        assert_continuous(&frames(viewer), n);
        assert_eq!((viewer.stat("stalls"), viewer.stat("rejected-bytes")), (0, 0), "viewer {n}");
    }
    for (n, viewer) in viewers.iter().enumerate().skip(1) {
        let efficiency: f64 = viewer.player.source().property("peer-efficiency");
        assert!(efficiency > 0.4, "viewer {n}: {efficiency:.2}");
    }
}
