// SPDX-License-Identifier: MPL-2.0

//! Low latency: segments of 2 s are asked for half a second after they have begun, come chunk by chunk as they are
//! made, and are shared meanwhile. Playback stays 3 s behind live.

mod common;

use std::time::Duration;

use common::chunked::{LowLatency, Manner};
use common::tracker::Tracker;
use common::viewer::{Viewer, sum, wait_for};
use gst::prelude::*;

/// The MPD asks for 3 s, and a quiet machine plays closer than that. A busy one takes longer from the choice of a place
/// to the first picture; still less than with segments that are asked for when they are whole.
const CLOSE: Duration = Duration::from_millis(4_000);

fn position(viewer: &Viewer) -> Duration {
    let position = viewer.player.pipeline.query_position::<gst::ClockTime>();
    position.map_or(Duration::ZERO, Duration::from)
}

/// How far what a viewer shows is behind what is being recorded.
fn behind(origin: &LowLatency, viewer: &Viewer) -> Duration {
    let position = position(viewer);
    origin.live_position().saturating_sub(position)
}

fn shows(viewer: &Viewer) -> bool {
    viewer.player.pipeline.current_state() == gst::State::Playing && viewer.player.video.first().is_some()
}

/// Lets viewers play for so many seconds. Gives how far behind live each was, at worst.
fn play(origin: &LowLatency, viewers: &[Viewer], seconds: u64) -> Vec<Duration> {
    wait_for("the first frames", 30, viewers, || viewers.iter().all(shows));
    let from: Vec<Duration> = viewers.iter().map(position).collect();
    let worst = std::cell::RefCell::new(vec![Duration::ZERO; viewers.len()]);
    wait_for("some seconds", 4 * seconds + 30, viewers, || {
        for (worst, viewer) in worst.borrow_mut().iter_mut().zip(viewers) {
            *worst = (*worst).max(behind(origin, viewer));
        }
        let enough = Duration::from_secs(seconds);
        viewers.iter().zip(&from).all(|(viewer, from)| position(viewer) > *from + enough)
    });
    for (n, viewer) in viewers.iter().enumerate() {
        origin.assert_part(&viewer.bytes.lock().unwrap());
        let figures = ["stalls", "skipped-segments", "rejected-bytes"].map(|name| viewer.stat(name));
        assert_eq!(figures, [0, 0, 0], "stalls, skipped segments and rejected bytes of viewer {n}");
    }
    worst.into_inner()
}

/// Segments that were asked for so often.
fn often(origin: &LowLatency, from: usize) -> Vec<usize> {
    let requests = origin.requests();
    let newest = requests.iter().map(|(number, _)| *number).max().unwrap_or(0);
    (from..newest).map(|number| requests.iter().filter(|(asked, _)| *asked == number).count()).collect()
}

fn alone(manner: Manner) -> (LowLatency, Duration) {
    let origin = LowLatency::serve(manner);
    let viewer = Viewer::with(&origin.url(), "", |_| ());
    let worst = play(&origin, &[viewer], 8);
    (origin, worst[0])
}

#[test]
fn playback_is_close_to_live_and_asks_once_for_each_segment() {
    let (origin, worst) = alone(Manner::Chunked);
    println!("at most {worst:?} behind live");
    assert!(worst <= CLOSE, "{worst:?} behind live");
    let often = often(&origin, 0);
    assert!(often.iter().all(|times| *times <= 1), "{often:?}");
}

#[test]
fn a_response_that_stops_is_asked_for_again_from_there() {
    let (origin, worst) = alone(Manner::Stalls);
    assert!(worst <= CLOSE, "{worst:?} behind live");
    let again: Vec<(usize, u64)> = origin.requests().into_iter().filter(|(_, from)| *from > 0).collect();
    assert!(!again.is_empty() && again.iter().all(|(number, _)| number.is_multiple_of(3)), "{again:?}");
}

#[test]
fn a_response_that_breaks_off_is_asked_for_again_from_there() {
    let (origin, worst) = alone(Manner::Closes);
    assert!(worst <= CLOSE, "{worst:?} behind live");
    assert!(origin.requests().iter().any(|(_, from)| *from > 0));
}

/// Two steps from the packager: neither sends a segment before it is whole.
#[test]
fn an_origin_that_sends_whole_segments_is_played_all_the_same() {
    let (_, worst) = alone(Manner::Whole);
    assert!(worst <= CLOSE, "{worst:?} behind live");
}

/// Its sizes are those of what there is, and change.
#[test]
fn an_origin_that_takes_a_part_for_the_whole_is_asked_until_it_has_all() {
    let (_, worst) = alone(Manner::Grows);
    assert!(worst <= CLOSE, "{worst:?} behind live");
}

fn share(manner: Manner, seconds: u64) -> (LowLatency, Vec<Duration>, f64) {
    let origin = LowLatency::serve(manner);
    let tracker = Tracker::start();
    let viewers: Vec<Viewer> = (0..3).map(|_| Viewer::start(&origin.url(), &tracker.url)).collect();
    wait_for("a full mesh", 30, &viewers, || viewers.iter().all(|viewer| viewer.peers() == 2));
    let from = origin.requests().iter().map(|(number, _)| *number).max().unwrap_or(0) + 1;
    let worst = play(&origin, &viewers, seconds);
    let often = often(&origin, from);
    println!("behind live at most {worst:?}; requests for each segment: {often:?}");
    assert!(often.iter().sum::<usize>() < 2 * often.len(), "{often:?}");
    for viewer in &viewers {
        assert!(viewer.stat("peer-bytes") > 0 && viewer.stat("upload-bytes") > 0);
    }
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

/// Not a test: three minutes of four viewers, for benches/README.md. Wants the machine for itself.
#[test]
#[ignore = "a measurement"]
fn four_viewers_for_three_minutes() {
    let origin = LowLatency::serve(Manner::Chunked);
    let tracker = Tracker::start();
    let viewers: Vec<Viewer> = (0..4).map(|_| Viewer::start(&origin.url(), &tracker.url)).collect();
    wait_for("the first frames", 30, &viewers, || viewers.iter().all(shows));
    let distances = std::cell::RefCell::new(Vec::new());
    wait_for("three minutes", 300, &viewers, || {
        distances.borrow_mut().extend(viewers.iter().map(|viewer| behind(&origin, viewer)));
        origin.live_position() > Duration::from_secs(195)
    });
    let mut distances = distances.into_inner();
    distances.sort_unstable();
    let often = often(&origin, 8);
    let (peers, http) = (sum(&viewers, "peer-bytes") as f64, sum(&viewers, "http-bytes") as f64);
    println!(
        "behind live: median {:?}, most {:?}; stalls {}, skipped {}, hedges {}; efficiency {:.3} of at most 0.75; \
         requests for a segment: {:.2}",
        distances[distances.len() / 2],
        distances[distances.len() - 1],
        sum(&viewers, "stalls"),
        sum(&viewers, "skipped-segments"),
        sum(&viewers, "hedges"),
        peers / (peers + http),
        often.iter().sum::<usize>() as f64 / often.len() as f64,
    );
    for viewer in &viewers {
        origin.assert_part(&viewer.bytes.lock().unwrap());
    }
}
