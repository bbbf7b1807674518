// SPDX-License-Identifier: MPL-2.0

//! Several viewers of one DASH stream, as [`viewers`](../viewers.rs) has them of HLS: real elements, a real
//! tracker process, real data channels on loopback.

mod common;

use common::dash::{Listing, assert_part, files, long, nested_file};
use common::origin::Origin;
use common::sharing::share_live_dash;
use common::tracker::Tracker;
use common::viewer::{Viewer, wait_for};
use gst::prelude::*;

#[test]
fn four_viewers_share_a_live_stream_that_the_clock_makes() {
    let efficiency = share_live_dash(Listing::Number, 30);
    assert!(efficiency > 0.5, "{efficiency:.2} of at most 0.75");
}

#[test]
fn four_viewers_share_a_live_stream_that_its_mpd_lists() {
    let efficiency = share_live_dash(Listing::Timeline, 30);
    assert!(efficiency > 0.5, "{efficiency:.2} of at most 0.75");
}

/// Segments of one second: their names in the swarm are every other number.
#[test]
fn viewers_of_an_indexed_file_take_it_from_those_before_them() {
    let origin = Origin::serve(long().parent().expect("it is in a directory"));
    let (init, segments) = (files(&long(), "init").concat(), files(&long(), "seg"));
    let (file, text) = nested_file(&init, &segments, 1);
    origin.set_bytes("long-mp4/whole.mp4", file);
    origin.set_made("long-mp4/whole.mpd", move || text.clone());
    let tracker = Tracker::start();
    let url = origin.url("long-mp4/whole.mpd");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    wait_for("a lead", 30, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    for _ in 0..3 {
        viewers.push(Viewer::start(&url, &tracker.url));
    }
    let enough = segments.concat().len() / 3;
    wait_for("a third of the film", 90, &viewers, || viewers.iter().all(|v| v.received() > enough));
    for (n, viewer) in viewers.iter().enumerate() {
        assert_part(&viewer.bytes.lock().unwrap());
        assert_eq!((viewer.stat("stalls"), viewer.stat("rejected-bytes")), (0, 0), "viewer {n}");
    }
    for (n, viewer) in viewers.iter().enumerate().skip(1) {
        let efficiency: f64 = viewer.player.source().property("peer-efficiency");
        println!("viewer {n}: {efficiency:.3}");
        assert!(efficiency > 0.5, "viewer {n}: {efficiency:.2}");
    }
}
