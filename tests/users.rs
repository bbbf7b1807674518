// SPDX-License-Identifier: MPL-2.0

//! What users set, in players: a proxy, by which all of HTTP and the way to the tracker go, and files.

#![cfg(feature = "plugin")]

mod common;

use common::media::STREAMS;
use common::origin::Origin;
use common::player::{Consumer, Player};
use common::proxy::Proxy;
use common::tracker::Tracker;
use common::viewer::{Viewer, assert_same_bytes, origin_bytes, sum, wait_for};
use gst::prelude::*;

#[test]
fn viewers_behind_a_proxy_share() {
    let origin = Origin::serve(&STREAMS);
    let tracker = Tracker::start();
    // Of user and password `me` and `pass word`.
    let proxy = Proxy::start(Some("Basic bWU6cGFzcyB3b3Jk"));
    let url = origin.url("long/index.m3u8");
    let through = proxy.url("");
    let viewer = || {
        let through = through.clone();
        Viewer::with(&url, &tracker.url, move |source| {
            source.set_property("proxy", &through);
            source.set_property("proxy-id", "me");
            source.set_property("proxy-pw", "pass word");
        })
    };
    let mut viewers = vec![viewer()];
    wait_for("a lead", 60, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    viewers.push(viewer());
    wait_for("a share", 60, &viewers, || viewers[1].stat("peer-bytes") > 100_000);
    let whole = origin_bytes("long");
    for (n, viewer) in viewers.iter().enumerate() {
        assert_same_bytes(viewer, &whole, n);
    }
    wait_for("word of it", 30, &viewers, || sum(&viewers, "upload-bytes") > 0);
    let asked = proxy.asked();
    let tunnel = format!("CONNECT {}", tracker.url.trim_start_matches("ws://").trim_end_matches('/'));
    assert_eq!(asked.iter().filter(|asked| **asked == tunnel).count(), 2, "{asked:?}");
    let fetched = origin.requests().len();
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("GET ")).count(), fetched, "{asked:?}");
}

#[test]
fn a_local_presentation_plays() {
    let url = url::Url::from_file_path(STREAMS.join("fmp4/index.m3u8")).expect("an absolute path");
    // It is nobody else's business.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket that can be looked at");
    let tracker = format!("ws://{}", listener.local_addr().expect("a bound socket has an address"));
    for consumer in [Consumer::Playbin3, Consumer::Uridecodebin] {
        let tracker = tracker.clone();
        let player = Player::with(consumer, url.as_str(), false, move |source| {
            source.set_property("trackers", &tracker);
        });
        player.play_from(17.0);
        let frames = player.video.times();
        assert_eq!(frames.first(), Some(&gst::ClockTime::from_seconds(17)), "{consumer:?}");
    }
    let asked = listener.accept().expect_err("no tracker is asked");
    assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock);
}
