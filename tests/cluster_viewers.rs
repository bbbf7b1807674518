// SPDX-License-Identifier: MPL-2.0

//! Viewers of one stream, each by another of three trackers on one Redis: real elements, real processes,
//! real data channels on loopback.

mod common;

use std::time::Instant;

use common::live::live_origin;
use common::redis::Redis;
use common::tracker::Tracker;
use common::viewer::{Viewer, assert_same_bytes, origin_bytes, sum, wait_for};

/// After a node or Redis has come back, viewers of different nodes have to meet again within this time.
const HEALING: u64 = 30;

fn until_health(nodes: &[Tracker], viewers: &[Viewer], expected: &str) {
    wait_for(expected, 20, viewers, || nodes.iter().all(|node| node.health() == expected));
}

/// Everybody gets more of the stream, and from each other.
fn play_on(viewers: &[Viewer]) {
    let before: Vec<_> = viewers.iter().map(Viewer::received).collect();
    let from_peers = sum(viewers, "peer-bytes");
    wait_for("more of the stream, from peers, too", 30, viewers, || {
        viewers.iter().zip(&before).all(|(viewer, before)| viewer.received() > before + 100_000)
            && sum(viewers, "peer-bytes") > from_peers
    });
}

fn until_all_meet(viewers: &[Viewer]) {
    let (others, begin) = (viewers.len() as u32 - 1, Instant::now());
    wait_for("everybody to meet everybody", HEALING, viewers, || viewers.iter().all(|v| v.peers() == others));
    println!("{} viewers have met within {:.1} s", viewers.len(), begin.elapsed().as_secs_f64());
}

#[test]
fn viewers_of_three_nodes_play_on_while_a_node_and_redis_go_and_come() {
    let (_origin, url) = live_origin();
    let mut redis = Redis::start();
    let settings = ["--redis", &redis.url(), "--log", "warn"];
    let mut nodes = [0; 3].map(|_| Tracker::with(&settings));
    until_health(&nodes, &[], "ok");
    let mut viewers: Vec<Viewer> = nodes.iter().map(|node| Viewer::start(&url, &node.url)).collect();
    until_all_meet(&viewers);
    play_on(&viewers);

    nodes[1].kill();
    play_on(&viewers);
    nodes[1].again();
    viewers.push(Viewer::start(&url, &nodes[1].url));
    until_all_meet(&viewers);

    redis.kill();
    until_health(&nodes, &viewers, "degraded");
    play_on(&viewers);
    redis.again();
    viewers.push(Viewer::start(&url, &nodes[2].url));
    until_all_meet(&viewers);
    play_on(&viewers);

    let whole = origin_bytes("long");
    for (n, viewer) in viewers.iter().enumerate() {
        assert_same_bytes(viewer, &whole, n);
        assert_eq!(viewer.stat("stalls"), 0, "viewer {n}");
        assert!(viewer.stat("peer-bytes") > 0, "viewer {n} got nothing from others");
    }
}
