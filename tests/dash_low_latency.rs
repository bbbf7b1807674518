// SPDX-License-Identifier: MPL-2.0

//! Low latency: segments of 2 s are asked for half a second after they have begun, come chunk by chunk as they are
//! made, and are shared meanwhile. Playback stays 3 s behind live.

mod common;

use common::chunked::{ChunkedOrigin, Manner};
use common::player::{Consumer, Player};
use common::tracker::Tracker;
use common::viewer::{Viewer, sum, wait_for};
use gst::prelude::*;
use std::time::Duration;

/// The MPD asks for 3 s, and a quiet machine plays closer than that. A busy one takes longer from the choice of a place
/// to the first picture; still less than with segments that are asked for when they are whole.
const CLOSE: f64 = 4.0;

fn position(viewer: &Viewer) -> gst::ClockTime {
    viewer.player.pipeline.query_position().unwrap_or_default()
}

fn shows(viewer: &Viewer) -> bool {
    viewer.player.pipeline.current_state() == gst::State::Playing && viewer.player.video.first().is_some()
}

/// Lets viewers play for so many seconds. Gives how many seconds behind live each was, at worst.
fn play(origin: &ChunkedOrigin, viewers: &[Viewer], seconds: u64) -> Vec<f64> {
    wait_for("the first frames", 30, viewers, || viewers.iter().all(shows));
    let from: Vec<gst::ClockTime> = viewers.iter().map(position).collect();
    let worst = std::cell::RefCell::new(vec![0.0f64; viewers.len()]);
    wait_for("some seconds", 4 * seconds + 30, viewers, || {
        for (worst, viewer) in worst.borrow_mut().iter_mut().zip(viewers) {
            *worst = worst.max(origin.behind(position(viewer)));
        }
        let enough = gst::ClockTime::from_seconds(seconds);
        viewers.iter().zip(&from).all(|(viewer, from)| position(viewer) > *from + enough)
    });
    for (n, viewer) in viewers.iter().enumerate() {
        origin.assert_part(&viewer.bytes.lock().unwrap());
        let figures = ["stalls", "skipped-segments", "rejected-bytes"].map(|name| viewer.stat(name));
        assert_eq!(figures, [0, 0, 0], "stalls, skipped segments and rejected bytes of viewer {n}");
    }
    worst.into_inner()
}

fn alone(manner: Manner) -> (ChunkedOrigin, f64) {
    let origin = ChunkedOrigin::serve(manner);
    let viewer = Viewer::with(&origin.url(), "", |_| ());
    let worst = play(&origin, &[viewer], 8);
    (origin, worst[0])
}

#[test]
fn playback_is_close_to_live_and_asks_once_for_each_segment() {
    let (origin, worst) = alone(Manner::Chunked);
    println!("at most {worst:.2} s behind live");
    assert!(worst <= CLOSE, "{worst:.2} s behind live");
    let often = origin.often(0);
    assert!(often.iter().all(|times| *times <= 1), "{often:?}");
}

#[test]
fn a_response_that_stops_is_asked_for_again_from_there() {
    let (origin, worst) = alone(Manner::Stalls);
    assert!(worst <= CLOSE, "{worst:.2} s behind live");
    let again: Vec<(usize, u64)> = origin.requests().into_iter().filter(|(_, from)| *from > 0).collect();
    assert!(!again.is_empty() && again.iter().all(|(number, _)| number.is_multiple_of(3)), "{again:?}");
}

#[test]
fn a_response_that_breaks_off_is_asked_for_again_from_there() {
    let (origin, worst) = alone(Manner::Closes);
    assert!(worst <= CLOSE, "{worst:.2} s behind live");
    assert!(origin.requests().iter().any(|(_, from)| *from > 0));
}

/// Two steps from the packager: neither sends a segment before it is whole.
#[test]
fn an_origin_that_sends_whole_segments_is_played_all_the_same() {
    let (_, worst) = alone(Manner::Whole);
    assert!(worst <= CLOSE, "{worst:.2} s behind live");
}

/// Its sizes are those of what there is, and change.
#[test]
fn an_origin_that_takes_a_part_for_the_whole_is_asked_until_it_has_all() {
    let (_, worst) = alone(Manner::Grows);
    assert!(worst <= CLOSE, "{worst:.2} s behind live");
}

fn share(manner: Manner, seconds: u64) -> (ChunkedOrigin, Vec<f64>, f64) {
    let origin = ChunkedOrigin::serve(manner);
    let tracker = Tracker::start();
    let viewers: Vec<Viewer> = (0..3).map(|_| Viewer::start(&origin.url(), &tracker.url)).collect();
    wait_for("a full mesh", 30, &viewers, || viewers.iter().all(|viewer| viewer.peers() == 2));
    let from = origin.requests().iter().map(|(number, _)| *number).max().unwrap_or(0) + 1;
    let worst = play(&origin, &viewers, seconds);
    let often = origin.often(from);
    println!("behind live at most {worst:?}; requests for each segment: {often:?}");
    assert!(often.iter().sum::<usize>() < 2 * often.len(), "{often:?}");
    let shares = |viewer: &Viewer| viewer.stat("peer-bytes") > 0 && viewer.stat("upload-bytes") > 0;
    wait_for("each to have given and taken", 60, &viewers, || viewers.iter().all(shares));
    let (peers, http) = (sum(&viewers, "peer-bytes") as f64, sum(&viewers, "http-bytes") as f64);
    (origin, worst, peers / (peers + http))
}

#[test]
fn viewers_share_segments_while_they_are_made() {
    let (_, worst, efficiency) = share(Manner::Chunked, 16);
    println!("{efficiency:.2} of at most 0.67");
    assert!(worst.iter().all(|worst| *worst <= CLOSE), "{worst:?}");
    assert!(efficiency > 0.3, "{efficiency:.2} of at most 0.67");
}

#[test]
fn where_ranges_are_ignored_nothing_is_shown_twice() {
    let (_, _, efficiency) = share(Manner::NoRanges, 10);
    println!("{efficiency:.2} of at most 0.67");
    assert!(efficiency > 0.2, "{efficiency:.2} of at most 0.67");
}

/// Playback that begins late is brought to where it would have begun.
#[test]
fn what_a_late_start_has_cost_is_left_out() {
    let origin = ChunkedOrigin::serve(Manner::Chunked);
    let player = Player::new(Consumer::Decodebin3, &origin.url(), true);
    player.set_state(gst::State::Paused);
    player.wait_until("the first frame", 30, || player.video.first().is_some());
    let ready = origin.live_position();
    player.wait_until("it is late", 30, || origin.live_position() > ready + Duration::from_secs(4));
    player.set_state(gst::State::Playing);
    player.wait_until("the distance that the MPD asks for", 30, || {
        let position = player.pipeline.query_position().unwrap_or_default();
        player.pipeline.current_state() == gst::State::Playing && origin.behind(position) <= CLOSE
    });
    let shown = player.video.times().len();
    player.wait_until("a picture that goes on", 30, || player.video.times().len() > shown + 25);
    assert_eq!(player.stat("stalls"), 0);
}
