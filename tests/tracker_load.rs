// SPDX-License-Identifier: MPL-2.0

//! Load for any WebTorrent tracker, ours or another, to measure it by. Not a test: it does nothing
//! unless it is told which process to look at.
//!
//!     cargo test --release --no-default-features --features tracker --test tracker_load -- \
//!         ws://127.0.0.1:8000 PID idle 5000
//!
//! `idle N` opens N connections, announces once on each, and tells the memory and the CPU time that
//! each took. `relay N SECONDS` lets N viewers in 20 swarms announce with five offers each, as fast
//! as the responses come, answers every offer, and tells how many offers were relayed a CPU second.
//! `paced N SECONDS RATE` does so RATE times a second and tells how long offers were under way. Each ends with
//! the same as a line of JSON, for `benches/tracker.py`, which compares trackers. With an URL of `wss:`, the
//! authority to trust is the one in the file `P2PHLS_LOAD_CA`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Sink = Arc<Mutex<SplitSink<Socket, Message>>>;

const SWARMS: usize = 20;
const OFFERS: usize = 5;
const SDP: usize = 1100;

/// What the process has used.
struct Usage {
    /// Resident memory in bytes.
    memory: f64,
    /// Seconds.
    cpu: f64,
}

fn usage(pid: u32) -> Usage {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a stat line").1.split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<f64>().expect("a number");
    // In clock ticks of 10 ms and pages of 4 KiB, as on every common Linux.
    Usage { cpu: (number(11) + number(12)) / 100.0, memory: number(21) * 4096.0 }
}

/// Trusts one authority; None without one.
static TLS: LazyLock<Option<Arc<ClientConfig>>> = LazyLock::new(|| {
    let path = std::env::var_os("P2PHLS_LOAD_CA")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Some(Arc::new(config.expect("TLS 1.3").with_root_certificates(roots).with_no_client_auth()))
});

async fn connect(url: &str) -> Socket {
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    loop {
        let tls = TLS.clone().map(Connector::Rustls);
        match connect_async_tls_with_config(url, Some(config), true, tls).await {
            Ok((socket, _)) => return socket,
            Err(error) => eprintln!("{error}, once more"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn hash(swarm: usize) -> String {
    format!("swarm-{swarm:014}")
}

fn peer(number: usize) -> String {
    format!("-PM0203-{number:012}")
}

fn announce(swarm: usize, number: usize, offers: Vec<Value>) -> Message {
    let message = json!({"numwant": offers.len(), "uploaded": 0, "downloaded": 0, "event": "started",
        "action": "announce", "info_hash": hash(swarm), "peer_id": peer(number), "offers": offers});
    Message::text(message.to_string())
}

#[derive(Default)]
struct Seen {
    responses: AtomicU64,
    offers: AtomicU64,
    answers: AtomicU64,
    errors: AtomicU64,
    delays: std::sync::Mutex<Vec<f64>>,
}

async fn idle(url: &str, pid: u32, count: usize) {
    let before = usage(pid);
    let parallel = Arc::new(Semaphore::new(50));
    let mut joining = Vec::new();
    for number in 0..count {
        let (url, parallel) = (url.to_owned(), parallel.clone());
        joining.push(tokio::spawn(async move {
            let _permit = parallel.acquire().await;
            let mut socket = connect(&url).await;
            socket.send(announce(number % 380, number, Vec::new())).await.expect("sent");
            socket.next().await.expect("a response").expect("a response");
            socket
        }));
    }
    let mut sockets = Vec::new();
    for joined in joining {
        sockets.push(joined.await.expect("joined"));
    }
    let after = usage(pid);
    println!(
        "{count} connections: {:.0} bytes each ({:.1} MB), joined in {:.2} CPU s",
        (after.memory - before.memory) / count as f64,
        after.memory / 1e6,
        after.cpu - before.cpu
    );
    let bytes = (after.memory - before.memory) / count as f64;
    println!("{}", json!({"bytes": bytes, "cpu": after.cpu - before.cpu}));
}

async fn relay(url: &str, pid: u32, count: usize, seconds: u64, rate: Option<f64>) {
    let seen = Arc::new(Seen::default());
    let start = Instant::now();
    let mut sinks: Vec<Sink> = Vec::new();
    let padding = "x".repeat(SDP - 20);
    let offers = {
        let padding = padding.clone();
        move |number: usize, round: u64| -> Vec<Value> {
            let sent = start.elapsed().as_micros();
            (0..OFFERS)
                .map(|offer| {
                    let id = format!("{number:06}{round:010}{offer:04}");
                    let sdp = format!("{sent:020}{padding}");
                    json!({"offer": {"type": "offer", "sdp": sdp}, "offer_id": id})
                })
                .collect()
        }
    };
    for number in 0..count {
        let (sink, mut stream) = connect(url).await.split();
        let sink = Arc::new(Mutex::new(sink));
        sinks.push(sink.clone());
        let (seen, offers, padding) = (seen.clone(), offers.clone(), padding.clone());
        tokio::spawn(async move {
            let mut round = 1;
            while let Some(Ok(message)) = stream.next().await {
                let Message::Text(text) = message else { continue };
                let reply = if text.contains("\"offer\"") {
                    seen.offers.fetch_add(1, Relaxed);
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    let sdp = message["offer"]["sdp"].as_str().expect("an offer");
                    let sent: u128 = sdp[..20].parse().expect("a time");
                    let delay = start.elapsed().as_micros().saturating_sub(sent) as f64 / 1000.0;
                    seen.delays.lock().expect("a lock").push(delay);
                    let answer = json!({"action": "announce", "info_hash": message["info_hash"],
                        "peer_id": peer(number), "to_peer_id": message["peer_id"],
                        "offer_id": message["offer_id"], "answer": {"type": "answer", "sdp": padding}});
                    Message::text(answer.to_string())
                } else if text.contains("\"answer\"") {
                    seen.answers.fetch_add(1, Relaxed);
                    continue;
                } else if text.contains("\"interval\"") {
                    seen.responses.fetch_add(1, Relaxed);
                    if rate.is_some() {
                        continue;
                    }
                    round += 1;
                    announce(number % SWARMS, number, offers(number, round))
                } else {
                    seen.errors.fetch_add(1, Relaxed);
                    continue;
                };
                if sink.lock().await.send(reply).await.is_err() {
                    break;
                }
            }
        });
    }
    // Everybody is there before anybody makes offers.
    for (number, sink) in sinks.iter().enumerate() {
        let offers = if rate.is_some() { Vec::new() } else { offers(number, 0) };
        sink.lock().await.send(announce(number % SWARMS, number, offers)).await.expect("sent");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    seen.delays.lock().expect("a lock").clear();
    let counts =
        || [&seen.responses, &seen.offers, &seen.answers, &seen.errors].map(|count| count.load(Relaxed));
    let (before, counts_before, began) = (usage(pid), counts(), Instant::now());
    match rate {
        None => tokio::time::sleep(Duration::from_secs(seconds)).await,
        Some(rate) => {
            let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
            for round in 0..(rate * seconds as f64) as u64 {
                ticks.tick().await;
                let number = round as usize % count;
                let message = announce(number % SWARMS, number, offers(number, round + 1));
                sinks[number].lock().await.send(message).await.expect("sent");
            }
        }
    }
    let (after, counts_after, wall) = (usage(pid), counts(), began.elapsed().as_secs_f64());
    let cpu = after.cpu - before.cpu;
    let [responses, offers, answers, errors] =
        std::array::from_fn(|at| (counts_after[at] - counts_before[at]) as f64);
    println!(
        "{:.0} announces/s, {:.0} offers/s, {:.0} answers/s, {errors} errors; {:.2} cores, {:.0} offers a CPU second, \
         {:.0} announces a CPU second; {:.1} MB",
        responses / wall,
        offers / wall,
        answers / wall,
        cpu / wall,
        offers / cpu,
        responses / cpu,
        after.memory / 1e6
    );
    let mut delays = seen.delays.lock().expect("a lock").clone();
    delays.sort_by(f64::total_cmp);
    let at = |part: f64| delays.get((delays.len() as f64 * part) as usize).copied().unwrap_or(0.0);
    println!("offers under way: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.9), at(0.99));
    println!(
        "{}",
        json!({"announces": responses / wall, "offers": offers / wall, "answers": answers / wall, "errors": errors,
            "cores": cpu / wall, "per_cpu": offers / cpu, "p50": at(0.5), "p99": at(0.99)})
    );
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<f64>().expect("a number");
    match args[..] {
        [url, pid, "idle", count] => idle(url, number(pid) as u32, number(count) as usize).await,
        [url, pid, "relay", count, seconds] => {
            relay(url, number(pid) as u32, number(count) as usize, number(seconds) as u64, None).await;
        }
        [url, pid, "paced", count, seconds, rate] => {
            let rate = Some(number(rate));
            relay(url, number(pid) as u32, number(count) as usize, number(seconds) as u64, rate).await;
        }
        _ => println!("skipped: no tracker to measure was named"),
    }
}
