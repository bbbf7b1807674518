// SPDX-License-Identifier: MPL-2.0

//! Four viewers of a low-latency stream for five minutes: how far behind the live edge they are, whether they stall, and
//! what they take from each other. Needs ffmpeg, and GStreamer's elements as the tests do.
//!
//!     cargo bench --profile dev --features tracker,sim --bench low_latency [-- SECONDS]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::low_latency::{FILES, LowLatencyOrigin};
use common::tracker::Tracker;
use common::viewer::{Viewer, sum};
use gst::prelude::*;

const VIEWERS: usize = 4;

fn main() {
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(300);
    let origin = LowLatencyOrigin::serve_long(&["fmp4"], FILES, seconds + 60);
    let tracker = Tracker::start();
    let start = |n: usize| Viewer::start(&origin.url(&format!("fmp4/live.m3u8?v={n}")), &tracker.url);
    let viewers: Vec<Viewer> = (0..VIEWERS).map(start).collect();
    let behind = |n: usize| {
        let position = viewers[n].player.pipeline.query_position::<gst::ClockTime>()?;
        origin.first_served(&n.to_string()).map(|_| origin.behind(&n.to_string(), position))
    };
    // Until they have met and play.
    std::thread::sleep(Duration::from_secs(10));
    let bytes = |name| sum(&viewers, name);
    let (peers, http) = (bytes("peer-bytes"), bytes("http-bytes"));
    let (asked, begun) = (origin.asked_for("/p"), origin.edge());
    let mut latencies = vec![Vec::new(); VIEWERS];
    while origin.edge() < begun + seconds as f64 {
        std::thread::sleep(Duration::from_millis(500));
        for (n, latencies) in latencies.iter_mut().enumerate() {
            viewers[n].check_for_error();
            latencies.extend(behind(n));
        }
    }
    let parts = (origin.edge() - begun) * 2.0;
    for (n, latencies) in latencies.iter_mut().enumerate() {
        latencies.sort_by(f64::total_cmp);
        let (median, most) = (latencies[latencies.len() / 2], latencies[latencies.len() - 1]);
        println!(
            "viewer {n}: {median:.2} s behind at the median, {most:.2} s at most, {} stalls, {} segments left out",
            viewers[n].stat("stalls"),
            viewers[n].stat("skipped-segments"),
        );
    }
    let (peers, http) = ((bytes("peer-bytes") - peers) as f64, (bytes("http-bytes") - http) as f64);
    println!(
        "{seconds} s: peer efficiency {:.3} of at most {:.3}; each part was asked for {:.2} times; hedges {}",
        peers / (peers + http),
        1.0 - 1.0 / VIEWERS as f64,
        (origin.asked_for("/p") - asked) as f64 / parts,
        bytes("hedges"),
    );
}
