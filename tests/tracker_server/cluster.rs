// SPDX-License-Identifier: MPL-2.0

//! Several nodes on one real Redis.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstp2phls::tracker::cluster::config::ClusterConfig;
use gstp2phls::tracker::server::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::program::Program;
use crate::redis::Redis;
use crate::support::*;

const OFFER: &str = "offer-offer-offer-01";

async fn node(redis: &Redis) -> Tracker {
    node_by(redis, redis.url()).await
}

/// A node that reaches Redis by this URL.
async fn node_by(redis: &Redis, url: String) -> Tracker {
    let cluster = Some(ClusterConfig::new(vec![url], redis.sharded, "test".into()).unwrap());
    Tracker::with(Config { cluster, drain: Duration::ZERO, ..Config::default() }).await
}

async fn until_health(tracker: &Tracker, expected: &str) {
    patiently(async {
        while tracker.get("/health").await != ("HTTP/1.1 200 OK".into(), format!("{expected}\n")) {}
    })
    .await;
}

/// Receives until something has this field, and in it what is expected; others' offers are passed over.
async fn receive(viewer: &mut Socket, field: &str, expected: impl Fn(&str) -> bool) -> Value {
    loop {
        let message = viewer.receive().await;
        match &message[field] {
            Value::String(text) if expected(text) => return message,
            Value::Number(_) if field == "interval" => return message,
            _ => {}
        }
    }
}

/// Lets two viewers on different nodes meet by one of the second's offers.
async fn meet(a: &mut Socket, alice: &str, b: &mut Socket, bob: &str, round: &str) {
    a.send(announce(HASH, alice, &[])).await;
    receive(a, "interval", |_| true).await;
    let offers = ["1", "2", "3", "4"].map(|number| format!("{:->20}", format!("{round}-{number}")));
    b.send(announce(HASH, bob, &offers.each_ref().map(String::as_str))).await;
    let offer = receive(a, "offer_id", |id| offers.iter().any(|offer| offer == id)).await;
    assert_eq!((&offer["peer_id"], &offer["offer"]["sdp"]), (&json!(bob), &json!("v=0\r\n")));
    let offer_id = offer["offer_id"].as_str().unwrap();
    a.send(answer(alice, bob, offer_id)).await;
    let answer = receive(b, "offer_id", |id| id == offer_id).await;
    assert_eq!((&answer["peer_id"], &answer["answer"]["sdp"]), (&json!(alice), &json!("v=1\r\n")));
}

#[tokio::test]
async fn viewers_of_three_nodes_meet_and_redis_may_go_and_come() {
    let mut redis = Redis::start();
    let nodes = [node(&redis).await, node(&redis).await, node(&redis).await];
    for node in &nodes {
        until_health(node, "ok").await;
    }
    let mut viewers = [nodes[0].connect().await, nodes[1].connect().await, nodes[2].connect().await];
    let [a, b, c] = &mut viewers;
    meet(a, ALICE, b, BOB, "first").await;
    meet(b, BOB, c, CAROL, "second").await;
    // Everybody is counted everywhere.
    patiently(async {
        // Who makes an offer wants to know how large the swarm is.
        let mut times = tokio::time::interval(Duration::from_millis(100));
        loop {
            times.tick().await;
            c.send(announce(HASH, CAROL, &[OFFER])).await;
            if receive(c, "interval", |_| true).await["incomplete"] == 3 {
                break;
            }
        }
    })
    .await;

    redis.kill();
    for node in &nodes {
        until_health(node, "degraded").await;
    }
    // Those of one node still meet.
    let (mut d, mut e) = (nodes[0].connect().await, nodes[0].connect().await);
    let (dora, emil) = ("-PM0203-dora00000000", "-PM0203-emil00000000");
    d.announce(OTHER_HASH, dora, &[]).await;
    e.announce(OTHER_HASH, emil, &[OFFER]).await;
    assert_eq!(d.receive().await["offer_id"], OFFER);

    redis.again();
    for node in &nodes {
        until_health(node, "ok").await;
    }
    let fred = "-PM0203-fred00000000";
    let mut f = nodes[2].connect().await;
    meet(a, ALICE, &mut f, fred, "third").await;

    // A node dies; its viewer comes back on another and is met there.
    let [first, second, third] = nodes;
    second.stop().await;
    let mut b = first.connect().await;
    let mut g = third.connect().await;
    meet(&mut g, "-PM0203-gina00000000", &mut b, BOB, "fourth").await;
    drop((first, third));
}

#[tokio::test]
async fn an_answer_waits_for_redis() {
    let mut redis = Redis::start();
    let nodes = [node(&redis).await, node(&redis).await];
    for node in &nodes {
        until_health(node, "ok").await;
    }
    let (mut a, mut b) = (nodes[0].connect().await, nodes[1].connect().await);
    a.announce(HASH, ALICE, &[]).await;
    b.announce(HASH, BOB, &[OFFER]).await;
    assert_eq!(a.receive().await["offer_id"], OFFER);
    redis.kill();
    a.send(answer(ALICE, BOB, OFFER)).await;
    for node in &nodes {
        until_health(node, "degraded").await;
    }
    redis.again();
    let answer = b.receive().await;
    assert_eq!((&answer["offer_id"], &answer["peer_id"]), (&json!(OFFER), &json!(ALICE)));
    nodes[0].until_stats(|stats| stats["letters"] == 0).await;
    // Nothing follows it: the next thing that comes is the response to a scrape.
    assert_eq!(b.scrape(HASH).await.1, 2);
    assert_eq!(nodes[1].stats().await["answers_from_nodes"], 1);
}

/// A way to Redis that can lose what Redis says.
struct Road {
    address: std::net::SocketAddr,
    /// What has been lost, while it loses.
    lost: Arc<Mutex<Option<Vec<u8>>>>,
    cars: Arc<Mutex<JoinSet<()>>>,
    _entrance: JoinSet<()>,
}

impl Road {
    async fn to(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (lost, cars) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(JoinSet::new())));
        let mut entrance = JoinSet::new();
        let (port, losing, driving) = (redis.port, lost.clone(), cars.clone());
        entrance.spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let Ok(redis) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((from_node, to_node), (from_redis, to_redis)) = (node.into_split(), redis.into_split());
                let cars: &mut JoinSet<()> = &mut driving.lock().unwrap();
                cars.spawn(drive(from_node, to_redis, Arc::default()));
                cars.spawn(drive(from_redis, to_node, losing.clone()));
            }
        });
        Self { address, lost, cars, _entrance: entrance }
    }

    fn lose(&self) {
        *self.lost.lock().unwrap() = Some(Vec::new());
    }

    async fn has_lost(&self, what: &str) {
        let found = |lost: &[u8]| lost.windows(what.len()).any(|window| window == what.as_bytes());
        patiently(async {
            while !self.lost.lock().unwrap().as_deref().is_some_and(found) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Ends all connections; new ones lose nothing.
    fn mend(&self) {
        *self.lost.lock().unwrap() = None;
        *self.cars.lock().unwrap() = JoinSet::new();
    }
}

async fn drive(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: Arc<Mutex<Option<Vec<u8>>>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(lost) = &mut *lost.lock().unwrap() {
            lost.extend_from_slice(&buffer[..length]);
            continue;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn an_answer_that_redis_has_taken_may_still_be_lost() {
    let redis = Redis::start();
    let road = Road::to(&redis).await;
    let nodes = [node(&redis).await, node_by(&redis, format!("redis://{}", road.address)).await];
    for node in &nodes {
        until_health(node, "ok").await;
    }
    let (mut a, mut b) = (nodes[0].connect().await, nodes[1].connect().await);
    a.announce(HASH, ALICE, &[]).await;
    b.announce(HASH, BOB, &[OFFER]).await;
    assert_eq!(a.receive().await["offer_id"], OFFER);
    road.lose();
    a.send(answer(ALICE, BOB, OFFER)).await;
    // Redis has given it to Bob's node, as far as it knows.
    road.has_lost("v=1").await;
    road.mend();
    let answer = b.receive().await;
    assert_eq!((&answer["offer_id"], &answer["peer_id"]), (&json!(OFFER), &json!(ALICE)));
    nodes[0].until_stats(|stats| stats["letters"] == 0).await;
    assert_eq!(b.scrape(HASH).await.1, 2, "and nothing else");
    assert_eq!(nodes[1].stats().await["answers_from_nodes"], 1);
}

#[tokio::test]
async fn every_answer_arrives_once_although_redis_dies_among_them() {
    let mut redis = Redis::start();
    let nodes = [node(&redis).await, node(&redis).await];
    for node in &nodes {
        until_health(node, "ok").await;
    }
    let hash = |pair: usize| format!("swarm-{pair:014}");
    let mut pairs = Vec::new();
    for pair in 0..40 {
        let (mut a, mut b) = (nodes[0].connect().await, nodes[1].connect().await);
        a.announce(&hash(pair), ALICE, &[]).await;
        b.announce(&hash(pair), BOB, &[OFFER]).await;
        pairs.push((a, b));
    }
    for (a, _) in &mut pairs {
        assert_eq!(a.receive().await["offer_id"], OFFER);
    }
    for (pair, (a, _)) in pairs.iter_mut().enumerate() {
        let mut answer = answer(ALICE, BOB, OFFER);
        answer["info_hash"] = json!(hash(pair));
        a.send(answer).await;
        if pair == 20 {
            redis.kill();
        }
    }
    redis.again();
    for (pair, (_, b)) in pairs.iter_mut().enumerate() {
        let answer = b.receive().await;
        assert_eq!((&answer["info_hash"], &answer["offer_id"]), (&json!(hash(pair)), &json!(OFFER)));
    }
    nodes[0].until_stats(|stats| stats["letters"] == 0).await;
    for (pair, (_, b)) in pairs.iter_mut().enumerate() {
        assert_eq!(b.scrape(&hash(pair)).await.1, 2, "nothing came before it");
    }
    assert_eq!(nodes[1].stats().await["answers_from_nodes"], 40);
}

#[tokio::test]
async fn a_redis_cluster_will_do() {
    let parts = [Redis::start_sharded(), Redis::start_sharded(), Redis::start_sharded()];
    let ranges = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (part, (first, last)) in parts.iter().zip(ranges) {
        assert!(part.cli(&["cluster", "addslotsrange", first, last]).contains("OK"));
    }
    for part in &parts[1..] {
        parts[0].cli(&["cluster", "meet", "127.0.0.1", &part.port.to_string()]);
    }
    for part in &parts {
        patiently(async { while !part.cli(&["cluster", "info"]).contains("cluster_state:ok") {} }).await;
    }
    let (first, second) = (node(&parts[0]).await, node(&parts[1]).await);
    until_health(&first, "ok").await;
    until_health(&second, "ok").await;
    let (mut a, mut b) = (first.connect().await, second.connect().await);
    meet(&mut a, ALICE, &mut b, BOB, "cluster").await;
}

#[tokio::test]
async fn a_process_that_is_killed_is_missed_by_nobody() {
    let redis = Redis::start();
    let node = || async {
        let node = Program::start(&["--log", "warn"], &[("P2PHLS_TRACKER_REDIS", &redis.url())]).await;
        // It listens before it has found Redis; what is announced until then is not told to the others at once.
        patiently(async { while get(node.address, "/health").await.1 != "ok\n" {} }).await;
        node
    };
    let mut nodes = [node().await, node().await, node().await];
    let (mut a, mut b) = (nodes[0].connect().await, nodes[1].connect().await);
    meet(&mut a, ALICE, &mut b, BOB, "first").await;
    nodes[1].process.kill().await.unwrap();
    let mut b = nodes[2].connect().await;
    // It comes back as browsers do, without an event, and still has its link to Alice; Carol is new.
    let mut again = announce(HASH, BOB, &[]);
    again.as_object_mut().unwrap().remove("event");
    b.send(again).await;
    receive(&mut b, "interval", |_| true).await;
    let mut c = nodes[0].connect().await;
    meet(&mut b, BOB, &mut c, CAROL, "second").await;
}
