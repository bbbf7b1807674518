// SPDX-License-Identifier: MPL-2.0

//! Four viewers of a low-latency stream: how far behind the live edge they are, whether they stall, and what they take
//! from each other. HLS in parts, or DASH in segments that are still being made. Needs ffmpeg, and GStreamer's elements as
//! the tests do.
//!
//!     cargo bench --profile dev --features tracker,sim --bench low_latency -- hls 300
//!     cargo bench --profile dev --features tracker,sim --bench low_latency -- dash 180

#[path = "../tests/common/mod.rs"]
mod common;

use std::cell::RefCell;

use common::chunked::{self, ChunkedOrigin};
use common::low_latency::{FILES, LowLatencyOrigin};
use common::tracker::Tracker;
use common::viewer::{Viewer, sum, wait_for};
use gst::prelude::*;

const VIEWERS: usize = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let seconds = arguments.iter().filter_map(|argument| argument.parse().ok()).next();
    match arguments.iter().any(|argument| argument == "dash") {
        true => dash(seconds.unwrap_or(180)),
        false => hls(seconds.unwrap_or(300)),
    }
}

fn hls(seconds: u64) {
    const PART: f64 = 0.5;
    let origin = LowLatencyOrigin::serve_long(&["fmp4"], FILES, seconds + 60);
    let url = |n: usize| origin.url(&format!("fmp4/live.m3u8?v={n}"));
    let behind = |n: usize, position| {
        origin.first_served(&n.to_string()).map(|_| origin.behind(&n.to_string(), position))
    };
    measure(seconds as f64, PART, url, behind, || (origin.edge(), origin.asked_for("/p")));
}

fn dash(seconds: u64) {
    let origin = ChunkedOrigin::serve(chunked::Manner::Chunked);
    let behind = |_, position| Some(origin.behind(position));
    let piece = chunked::SEGMENT.as_secs_f64();
    let made = || (origin.live_position().as_secs_f64(), origin.requests().len());
    measure(seconds as f64, piece, |_| origin.url(), behind, made);
}

/// Has the viewers play for so many seconds. `piece` is the playing time of what is asked for at a time; `behind` gives
/// the seconds that a viewer's position is behind what is made, and `made` how many have been made so far and how
/// many requests there were for them.
fn measure(
    seconds: f64,
    piece: f64,
    url: impl Fn(usize) -> String,
    behind: impl Fn(usize, gst::ClockTime) -> Option<f64>,
    made: impl Fn() -> (f64, usize),
) {
    let tracker = Tracker::start();
    let viewers: Vec<Viewer> = (0..VIEWERS).map(|n| Viewer::start(&url(n), &tracker.url)).collect();
    wait_for("a full mesh and two seconds of picture", 60, &viewers, || {
        let plays = |viewer: &Viewer| viewer.player.video.times().len() > 48;
        viewers.iter().all(|viewer| viewer.peers() as usize == VIEWERS - 1 && plays(viewer))
    });
    let bytes = |name| sum(&viewers, name);
    let (peers, http, (begun, asked)) = (bytes("peer-bytes"), bytes("http-bytes"), made());
    let latencies = RefCell::new(vec![Vec::new(); VIEWERS]);
    wait_for("the time", 2 * seconds as u64 + 60, &viewers, || {
        for (n, latencies) in latencies.borrow_mut().iter_mut().enumerate() {
            let position = viewers[n].player.pipeline.query_position::<gst::ClockTime>();
            latencies.extend(position.and_then(|position| behind(n, position)));
        }
        made().0 >= begun + seconds
    });
    let (end, asked_in_all) = made();
    for (n, mut latencies) in latencies.into_inner().into_iter().enumerate() {
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
        "{seconds} s: peer efficiency {:.3} of at most {:.3}; each was asked for {:.2} times; hedges {}",
        peers / (peers + http),
        1.0 - 1.0 / VIEWERS as f64,
        (asked_in_all - asked) as f64 * piece / (end - begun),
        bytes("hedges"),
    );
}
