// SPDX-License-Identifier: MPL-2.0

//! Low-latency HLS, played by the real element from an origin that makes parts as time goes by.

#![cfg(feature = "plugin")]

mod common;

use common::low_latency::{FILES, Hints, LowLatencyOrigin, Manner};
use common::tracker::Tracker;
use common::viewer::{Viewer, sum, wait_for};
use gst::prelude::*;

/// Seconds that what is shown is behind what the origin makes, by the sinks' clock.
fn behind(origin: &LowLatencyOrigin, viewer: &Viewer) -> f64 {
    origin.behind("", viewer.player.pipeline.query_position().expect("a position"))
}

/// What has left the element are the origin's bytes without a gap, but for one where playback was brought to the edge.
fn assert_same_bytes(origin: &LowLatencyOrigin, viewer: &Viewer, which: usize) {
    const BEGINNING: usize = 1_000;
    let (bytes, init, whole) = (viewer.bytes.lock().unwrap(), origin.init(), origin.bytes());
    let mut rest = &bytes[..];
    let mut pieces = 0;
    while rest.len() > BEGINNING {
        rest = rest.strip_prefix(&init[..]).expect("a beginning has its initialisation segment");
        let at = whole.windows(BEGINNING).position(|window| *window == rest[..BEGINNING]);
        let at = at.unwrap_or_else(|| panic!("viewer {which} has got bytes that the origin does not have"));
        let same = rest.iter().zip(&whole[at..]).take_while(|(ours, theirs)| ours == theirs).count();
        rest = &rest[same..];
        pieces += 1;
    }
    assert!((1..=2).contains(&pieces), "viewer {which}: {pieces} pieces of {} bytes", bytes.len());
}

/// Frames one after the other.
fn assert_no_gap(viewer: &Viewer) {
    let mut times = viewer.player.video.times();
    times.sort();
    let frame = gst::ClockTime::from_nseconds(1_000_000_000 / 24);
    // The first may be cut short by where playback begins.
    let gap =
        times[1..].windows(2).find(|pair| pair[1].absdiff(pair[0] + frame) > 5 * gst::ClockTime::MSECOND);
    assert_eq!(gap, None, "a frame is missing");
}

/// Waits until the origin has made so many seconds more.
fn wait_for_more(origin: &LowLatencyOrigin, viewers: &[Viewer], seconds: f64) {
    let until = origin.edge() + seconds;
    wait_for("what is still to be made", 60, viewers, || origin.edge() > until);
}

fn wait_for_start(viewers: &[Viewer]) {
    wait_for("two seconds of picture", 30, viewers, || {
        viewers.iter().all(|v| v.player.video.times().len() > 48)
    });
}

/// Plays a while and gives what was played.
fn play_at_the_edge(name: &str, manner: Manner) -> (LowLatencyOrigin, Vec<Viewer>) {
    let origin = LowLatencyOrigin::serve(&[name], manner);
    let viewers = vec![Viewer::start(&origin.url(&format!("{name}/live.m3u8")), "")];
    wait_for_start(&viewers);
    wait_for_more(&origin, &viewers, 5.0);
    let measured = behind(&origin, &viewers[0]);
    assert!(measured <= 2.5, "{name}, {manner:?}: {measured:.2} s behind");
    let told = viewers[0].stat("live-latency") as f64 / 1e9;
    assert!((told - measured).abs() < 1.0, "{told:.2} s are told, {measured:.2} s it is");
    assert_eq!(
        (viewers[0].stat("stalls"), viewers[0].stat("skipped-segments")),
        (0, 0),
        "{name}, {manner:?}"
    );
    assert_same_bytes(&origin, &viewers[0], 0);
    (origin, viewers)
}

#[test]
fn parts_that_are_files_are_played_close_to_the_edge() {
    let (origin, viewers) = play_at_the_edge("fmp4", FILES);
    assert_no_gap(&viewers[0]);
    assert_eq!(origin.asked_for("/s"), 0, "no whole segment is needed");
    assert!(origin.asked_for("_HLS_part=") >= 8 && origin.asked_for("_HLS_skip=") > 0);
}

#[test]
fn parts_that_are_ranges_of_their_segment_are_played_close_to_the_edge() {
    for name in ["ts", "fmp4"] {
        play_at_the_edge(name, Manner { ranges: true, hints: Hints::None, ..FILES });
    }
}

#[test]
fn what_is_announced_and_does_not_come_is_asked_for_once_it_is_listed() {
    for hints in [Hints::NotFound, Hints::Never] {
        play_at_the_edge("fmp4", Manner { hints, ..FILES });
    }
}

#[test]
fn a_server_that_cannot_wait_is_played_in_whole_segments() {
    let origin = LowLatencyOrigin::serve(&["fmp4"], Manner { blocks: false, ..FILES });
    let viewers = [Viewer::start(&origin.url("fmp4/live.m3u8"), "")];
    wait_for_start(&viewers);
    wait_for_more(&origin, &viewers, 3.0);
    assert_eq!((origin.asked_for("/p"), viewers[0].stat("stalls")), (0, 0));
    assert!(origin.asked_for("/s") > 0);
    assert_no_gap(&viewers[0]);
}

/// Parts are there for a few segments only: what is older is played whole, and what follows in parts.
#[test]
fn playback_goes_on_from_whole_segments_to_parts() {
    let origin = LowLatencyOrigin::serve(&["fmp4"], FILES);
    let viewers = [Viewer::start(&origin.url("fmp4/live.m3u8"), "")];
    wait_for_start(&viewers);
    viewers[0].bytes.lock().unwrap().clear();
    let zero = origin.first_served("").expect("a playlist was served");
    viewers[0].player.seek(origin.edge() - zero - 11.0);
    wait_for("nine seconds from there", 30, &viewers, || viewers[0].player.video.times().len() > 9 * 24);
    assert_no_gap(&viewers[0]);
    assert!(origin.asked_for("/s") > 0, "what is old is there as whole segments only");
    assert_same_bytes(&origin, &viewers[0], 0);
    assert_eq!((viewers[0].stat("stalls"), viewers[0].stat("skipped-segments")), (0, 0));
    // It was wished for: nothing is left out to be closer to the edge.
    assert!(behind(&origin, &viewers[0]) > 8.0);
}

#[test]
fn viewers_share_parts() {
    let origin = LowLatencyOrigin::serve(&["fmp4"], FILES);
    let tracker = Tracker::start();
    let url = origin.url("fmp4/live.m3u8");
    let viewers: Vec<Viewer> = (0..3).map(|_| Viewer::start(&url, &tracker.url)).collect();
    wait_for("a full mesh", 30, &viewers, || viewers.iter().all(|v| v.peers() == 2));
    wait_for_start(&viewers);
    let (asked, edge) = (origin.asked_for("/p"), origin.edge());
    wait_for_more(&origin, &viewers, 10.0);
    let parts = ((origin.edge() - edge) * 2.0).floor();
    let each = (origin.asked_for("/p") - asked) as f64 / parts;
    for (n, viewer) in viewers.iter().enumerate() {
        assert!(viewer.stat("peer-bytes") > 0, "viewer {n} has got nothing from the others");
        assert_same_bytes(&origin, viewer, n);
        let (stalls, latency) = (viewer.stat("stalls"), viewer.stat("live-latency") as f64 / 1e9);
        assert!(stalls == 0 && latency < 3.5, "viewer {n}: {stalls} stalls, {latency:.2} s behind");
    }
    assert!(each < 2.5, "each part was asked for {each:.2} times by three viewers");
    assert_eq!((sum(&viewers, "rejected-bytes"), origin.asked_for("/s")), (0, 0));
}

#[test]
fn sound_of_its_own_is_played_in_parts_too() {
    let origin = LowLatencyOrigin::serve(&["video", "audio"], FILES);
    let viewers = [Viewer::start(&origin.url("all.m3u8"), "")];
    wait_for_start(&viewers);
    wait_for_more(&origin, &viewers, 4.0);
    assert!(!viewers[0].player.audio.times().is_empty(), "there is sound");
    let measured = behind(&origin, &viewers[0]);
    assert!(measured <= 3.0, "{measured:.2} s behind");
    let first = origin.requests().into_iter().find(|path| path.starts_with("/audio/live.m3u8"));
    assert!(first.is_some_and(|first| first.contains("_HLS_msn=")), "a report has told where to join");
    assert!(origin.asked_for("/audio/p") > 0 && origin.asked_for("/video/p") > 0);
    assert_eq!((origin.asked_for("/s"), viewers[0].stat("stalls")), (0, 0));
    assert_no_gap(&viewers[0]);
}

/// Another variant follows where parts of both begin with a key frame.
#[test]
fn the_variant_changes_between_parts() {
    let origin = LowLatencyOrigin::serve(&["fmp4", "rich"], FILES);
    let viewers = [Viewer::start(&origin.url("all.m3u8"), "")];
    wait_for("the richer variant", 40, &viewers, || viewers[0].stat("variant-switches") > 0);
    let shown = viewers[0].player.video.times().len();
    wait_for("three seconds of it", 20, &viewers, || viewers[0].player.video.times().len() > shown + 72);
    assert!(origin.asked_for("/rich/p") > 0);
    assert_eq!((origin.asked_for("/s"), viewers[0].stat("stalls")), (0, 0));
    assert_no_gap(&viewers[0]);
}

/// Whoever was at the edge and ran dry is brought back to it.
#[test]
fn what_a_stall_has_cost_is_left_out() {
    let origin = LowLatencyOrigin::serve(&["fmp4"], FILES);
    let viewers = [Viewer::start(&origin.url("fmp4/live.m3u8"), "")];
    let viewer = &viewers[0];
    let bus = viewer.player.pipeline.bus().expect("a pipeline has a bus");
    // As an application does: playback waits while there is nothing.
    let obey = || {
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Buffering]) {
            let gst::MessageView::Buffering(buffering) = message.view() else { continue };
            let state = if buffering.percent() < 100 { gst::State::Paused } else { gst::State::Playing };
            viewer.player.set_state(state);
        }
    };
    wait_for_start(&viewers);
    wait_for("the edge", 20, &viewers, || viewer.stat("live-latency") < 2_400_000_000);
    origin.hold_up(true);
    wait_for("a stall", 20, &viewers, || {
        obey();
        viewer.stat("stalls") > 0
    });
    let stalled = origin.edge();
    wait_for("a longer one", 20, &viewers, || {
        obey();
        origin.edge() > stalled + 3.0
    });
    origin.hold_up(false);
    wait_for("the edge again", 30, &viewers, || {
        obey();
        let playing = viewer.player.pipeline.current_state() == gst::State::Playing;
        playing && behind(&origin, viewer) <= 2.5
    });
    let shown = viewer.player.video.times().len();
    wait_for("a picture that goes on", 20, &viewers, || {
        obey();
        viewer.player.video.times().len() > shown + 24
    });
}
