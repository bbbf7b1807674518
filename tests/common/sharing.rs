// SPDX-License-Identifier: MPL-2.0

//! Four viewers who share the long stream live.

use super::dash::{LONG, Listing, Live, assert_part, files, live_origin, long};
use super::tracker::Tracker;
use super::viewer::{Viewer, sum, wait_for};

/// Four viewers for so many seconds; gives the share of what came from peers.
pub fn share_live(url: &str, seconds: usize) -> f64 {
    let tracker = Tracker::start();
    let viewers: Vec<Viewer> = (0..4).map(|_| Viewer::start(url, &tracker.url)).collect();
    wait_for("a full mesh", 30, &viewers, || viewers.iter().all(|v| v.peers() == 3));
    let enough = files(&long(), "seg").concat().len() / LONG as usize * seconds;
    wait_for("enough of the stream", 90, &viewers, || viewers.iter().all(|v| v.received() > enough));
    for (n, viewer) in viewers.iter().enumerate() {
        assert_part(&viewer.bytes.lock().unwrap());
        assert_eq!((viewer.stat("stalls"), viewer.stat("rejected-bytes")), (0, 0), "viewer {n}");
    }
    // Whose turn it is to fetch a segment, and so to give it, is a matter of chance.
    wait_for("each to have given", 60, &viewers, || viewers.iter().all(|v| v.stat("upload-bytes") > 0));
    let (peers, http) = (sum(&viewers, "peer-bytes") as f64, sum(&viewers, "http-bytes") as f64);
    peers / (peers + http)
}

pub fn share_live_dash(listing: Listing, seconds: usize) -> f64 {
    let (_origin, url, _) = live_origin(Live::new(listing, 6, 0), |live| live.mpd("", ""));
    share_live(&url, seconds)
}
