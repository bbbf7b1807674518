// SPDX-License-Identifier: MPL-2.0

//! Several nodes on one real Redis.

use std::net::TcpListener as StdListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gstp2phls::tracker::cluster::config::ClusterConfig;
use gstp2phls::tracker::server::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::*;

const OFFER: &str = "offer-offer-offer-01";

/// A Redis of its own on a free port; ended when dropped.
struct Redis {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
    sharded: bool,
}

fn free_port() -> u16 {
    // A Redis Cluster also takes the port 10,000 above.
    loop {
        let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 && StdListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

fn spawn(port: u16, directory: &Path, sharded: bool) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]).arg(port.to_string());
    command.arg("--dir").arg(directory);
    if sharded {
        command.args(["--cluster-enabled", "yes"]);
    }
    command.stdout(Stdio::null()).spawn().expect("Debian's redis-server is installed")
}

impl Redis {
    async fn start(sharded: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = spawn(port, directory.path(), sharded);
        let redis = Self { process, port, directory, sharded };
        patiently(async { while !redis.cli(&["ping"]).contains("PONG") {} }).await;
        redis
    }

    fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The same again, with nothing in it.
    fn again(&mut self) {
        self.process = spawn(self.port, self.directory.path(), self.sharded);
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn node(&self) -> Tracker {
        let cluster = Some(ClusterConfig::new(vec![self.url()], self.sharded, "test".into()).unwrap());
        Tracker::with(Config { cluster, drain: Duration::ZERO, ..Config::default() }).await
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
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
    let mut redis = Redis::start(false).await;
    let nodes = [redis.node().await, redis.node().await, redis.node().await];
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
    let mut redis = Redis::start(false).await;
    let nodes = [redis.node().await, redis.node().await];
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

#[tokio::test]
async fn a_redis_cluster_will_do() {
    let parts = [Redis::start(true).await, Redis::start(true).await, Redis::start(true).await];
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
    let (first, second) = (parts[0].node().await, parts[1].node().await);
    until_health(&first, "ok").await;
    until_health(&second, "ok").await;
    let (mut a, mut b) = (first.connect().await, second.connect().await);
    meet(&mut a, ALICE, &mut b, BOB, "cluster").await;
}

/// The program itself, with its settings from the environment.
struct Program {
    process: tokio::process::Child,
    url: String,
}

impl Program {
    async fn start(redis: &Redis) -> Self {
        let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_p2phls-tracker"))
            .args(["--listen", "127.0.0.1:0", "--log", "warn"])
            .env("P2PHLS_TRACKER_REDIS", redis.url())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = patiently(lines.next_line()).await.unwrap().unwrap();
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        let address = url.strip_prefix("ws://").unwrap().trim_end_matches('/').parse().unwrap();
        // It listens before it has found Redis; what is announced until then is not told to the others at once.
        patiently(async { while get(address, "/health").await.1 != "ok\n" {} }).await;
        Self { process, url }
    }

    async fn connect(&self) -> Socket {
        Socket(patiently(tokio_tungstenite::connect_async(&self.url)).await.unwrap().0)
    }
}

#[tokio::test]
async fn a_process_that_is_killed_is_missed_by_nobody() {
    let redis = Redis::start(false).await;
    let mut nodes =
        [Program::start(&redis).await, Program::start(&redis).await, Program::start(&redis).await];
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
