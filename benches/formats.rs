// SPDX-License-Identifier: MPL-2.0

//! Four viewers of one live stream over HLS, over DASH whose segments come by the clock, and over DASH whose MPD lists
//! them: what they take from each other. Needs ffmpeg, and GStreamer's elements as the tests do.
//!
//!     cargo bench --profile dev --features tracker,sim --bench formats

#[path = "../tests/common/mod.rs"]
mod common;

use common::dash::{Listing, long};
use common::origin::Origin;
use common::sharing::{share_live, share_live_dash};

const SECONDS: usize = 40;

fn main() {
    // The first pipeline of a process starts more slowly.
    share_live_hls(15);
    for round in 0..2 {
        let number = share_live_dash(Listing::Number, SECONDS);
        let timeline = share_live_dash(Listing::Timeline, SECONDS);
        let hls = share_live_hls(SECONDS);
        println!("round {round}: HLS {hls:.3}, by the clock {number:.3}, by the MPD {timeline:.3}");
    }
}

/// The same segments by an HLS playlist.
fn share_live_hls(seconds: usize) -> f64 {
    let origin = Origin::serve(long().parent().expect("it is in a directory"));
    let live = common::live::Live::new(&long().join("index.m3u8"), 1.0, 6);
    origin.set_made("long-mp4/live.m3u8", move || live.playlist());
    share_live(&origin.url("long-mp4/live.m3u8"), seconds)
}
