// SPDX-License-Identifier: MPL-2.0

//! Several viewers of one stream: real elements, a real tracker process, real data channels on
//! loopback. What comes out of each is compared with the origin's bytes.

mod common;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::encrypted::{ENCRYPTED, plain};
use common::live::live_origin;
use common::media::STREAMS;
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player};
use common::variants::VARIANTS;
use gst::prelude::*;

/// The tracker's own program.
struct Tracker {
    process: Child,
    url: String,
}

impl Tracker {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_p2phls-tracker"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the tracker starts");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line[line.find("ws://")?..].trim().to_owned()))
            .expect("it says where it listens");
        Self { process, url }
    }

    fn kill(&mut self) {
        self.process.kill().expect("the tracker is ours");
        self.process.wait().expect("it has been started");
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A player in real time that keeps the container bytes which leave the element.
struct Viewer {
    player: Player,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Viewer {
    fn start(url: &str, trackers: &str) -> Self {
        Self::with(url, trackers, |_| ())
    }

    fn with(url: &str, trackers: &str, tweak: impl Fn(&gst::Element) + Send + Sync + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (kept, trackers) = (bytes.clone(), trackers.to_owned());
        let player = Player::with(Consumer::Decodebin3, url, true, move |source| {
            source.set_property("trackers", &trackers);
            source.set_property("ice-addresses", "127.0.0.1");
            tweak(source);
            let kept = kept.clone();
            source.connect_pad_added(move |_, pad| {
                let kept = kept.clone();
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                    if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                        let map = buffer.map_readable().expect("readable bytes");
                        kept.lock().unwrap().extend_from_slice(&map);
                    }
                    gst::PadProbeReturn::Ok
                });
            });
        });
        player.set_state(gst::State::Playing);
        Self { player, bytes }
    }

    fn received(&self) -> usize {
        self.bytes.lock().unwrap().len()
    }

    fn stat(&self, name: &str) -> u64 {
        let stats: gst::Structure = self.player.source().property("stats");
        stats.get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn peers(&self) -> u32 {
        self.player.source().property("peers")
    }

    fn check_for_error(&self) {
        if let Some(error) = self.player.error() {
            panic!("playback failed: {error}");
        }
    }
}

/// Waits until `condition` holds of the viewers, none of which may fail meanwhile.
fn wait_for(what: &str, seconds: u64, viewers: &[Viewer], condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < deadline, "not in {seconds} s: {what}");
        for viewer in viewers {
            viewer.check_for_error();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All segments of a stream, joined.
fn origin_bytes(stream: &str) -> Vec<u8> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(STREAMS.join(stream))
        .expect("the stream is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "ts"))
        .collect();
    files.sort();
    files.iter().flat_map(|path| std::fs::read(path).expect("a segment")).collect()
}

/// The bytes are a part of the origin's without a gap.
fn assert_same_bytes(viewer: &Viewer, origin: &[u8], which: usize) {
    let bytes = viewer.bytes.lock().unwrap();
    assert!(bytes.len() > 188 * 10, "viewer {which} has got {} bytes", bytes.len());
    // The start is unique within the stream: it holds a clock reference.
    let at = origin.windows(188 * 10).position(|window| *window == bytes[..188 * 10]);
    let at = at.unwrap_or_else(|| panic!("viewer {which} starts with bytes that the origin does not have"));
    assert!(origin[at..].starts_with(&bytes), "viewer {which} has got other bytes than the origin's");
}

fn sum(viewers: &[Viewer], name: &str) -> u64 {
    viewers.iter().map(|viewer| viewer.stat(name)).sum()
}

#[test]
fn four_viewers_share_a_live_stream_and_outlive_the_tracker() {
    let (_origin, url) = live_origin();
    let mut tracker = Tracker::start();
    let viewers: Vec<Viewer> = (0..4).map(|_| Viewer::start(&url, &tracker.url)).collect();
    wait_for("a full mesh", 30, &viewers, || viewers.iter().all(|v| v.peers() == 3));
    let whole = origin_bytes("long");
    let third = whole.len() / 3;
    wait_for("a third of the stream", 60, &viewers, || viewers.iter().all(|v| v.received() > third));
    // The mesh does not need the tracker any more.
    tracker.kill();
    let before = sum(&viewers, "peer-bytes");
    let two_thirds = whole.len() * 2 / 3;
    wait_for("two thirds", 60, &viewers, || viewers.iter().all(|v| v.received() > two_thirds));
    assert!(sum(&viewers, "peer-bytes") > before, "peers deliver without a tracker");
    for (n, viewer) in viewers.iter().enumerate() {
        assert_same_bytes(viewer, &whole, n);
        assert_eq!(viewer.stat("stalls"), 0, "viewer {n}");
        assert!(viewer.stat("upload-bytes") > 0, "viewer {n} gives nothing");
    }
    let (peers, http) = (sum(&viewers, "peer-bytes") as f64, sum(&viewers, "http-bytes") as f64);
    let efficiency = peers / (peers + http);
    assert!(efficiency > 0.5, "{efficiency:.2} of at most 0.75");
}

#[test]
fn viewers_of_a_film_take_it_from_those_before_them() {
    let origin = Origin::serve(&STREAMS);
    let tracker = Tracker::start();
    let url = origin.url("long/index.m3u8");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    wait_for("a lead", 30, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    for _ in 0..3 {
        viewers.push(Viewer::start(&url, &tracker.url));
    }
    let whole = origin_bytes("long");
    let enough = whole.len() / 3;
    wait_for("a third of the film", 90, &viewers, || viewers.iter().all(|v| v.received() > enough));
    for (n, viewer) in viewers.iter().enumerate() {
        assert_same_bytes(viewer, &whole, n);
        assert_eq!(viewer.stat("stalls"), 0, "viewer {n}");
    }
    for (n, viewer) in viewers.iter().enumerate().skip(1) {
        let efficiency: f64 = viewer.player.source().property("peer-efficiency");
        assert!(efficiency > 0.5, "viewer {n}: {efficiency:.2}");
    }
}

/// Peers share what is encrypted, and each viewer has its keys from the origin.
#[test]
fn viewers_of_an_encrypted_film_share_it_but_not_its_keys() {
    let origin = Origin::serve(&ENCRYPTED);
    let tracker = Tracker::start();
    let url = origin.url("rotated/index.m3u8");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    wait_for("a lead", 30, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    viewers.push(Viewer::start(&url, &tracker.url));
    let whole = plain("rotated");
    // Beyond the second change of keys, and the segments in plain.
    let enough = whole.len() / 3;
    wait_for("a third of the film", 90, &viewers, || viewers.iter().all(|v| v.received() > enough));
    for (n, viewer) in viewers.iter().enumerate() {
        assert_same_bytes(viewer, &whole, n);
        assert_eq!((viewer.stat("stalls"), viewer.stat("rejected-bytes")), (0, 0), "viewer {n}");
    }
    let efficiency: f64 = viewers[1].player.source().property("peer-efficiency");
    assert!(efficiency > 0.5, "{efficiency:.2}");
    let first_key = |(path, _): &&(String, _)| path.ends_with("/key0");
    assert_eq!(origin.requests().iter().filter(first_key).count(), 2);
}

/// Each variant has its swarm: who changes leaves one and meets the others in the next.
#[test]
fn viewers_who_change_to_the_same_variant_meet_there() {
    let origin = Origin::serve(&VARIANTS);
    let tracker = Tracker::start();
    let url = origin.url("ts/index.m3u8");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    let rich = |viewer: &Viewer| viewer.stat("variant-bandwidth") > 1_500_000;
    wait_for("the richest variant", 30, &viewers, || rich(&viewers[0]));
    wait_for("a lead", 30, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    viewers.push(Viewer::start(&url, &tracker.url));
    wait_for("the same for the second", 30, &viewers, || rich(&viewers[1]));
    wait_for("both in one swarm", 30, &viewers, || viewers.iter().all(|viewer| viewer.peers() == 1));
    wait_for("some of it from the other", 60, &viewers, || viewers[1].stat("peer-bytes") > 500_000);
    assert_eq!((sum(&viewers, "stalls"), sum(&viewers, "rejected-bytes")), (0, 0));
    assert_eq!(viewers[1].stat("variant-switches"), 1);
}

#[test]
fn a_leech_takes_and_a_viewer_without_p2p_stays_alone() {
    let (_origin, url) = live_origin();
    let tracker = Tracker::start();
    let viewers = vec![
        Viewer::start(&url, &tracker.url),
        Viewer::with(&url, &tracker.url, |source| source.set_property_from_str("p2p", "leech")),
        Viewer::with(&url, &tracker.url, |source| source.set_property_from_str("p2p", "off")),
    ];
    wait_for("something from a peer", 60, &viewers, || viewers[1].stat("peer-bytes") > 0);
    assert_eq!(viewers[1].stat("upload-bytes"), 0);
    assert_eq!((viewers[2].peers(), viewers[2].stat("peer-bytes")), (0, 0));
    assert_eq!(viewers[0].peers(), 1, "the leech is there, the other is not");
}

/// Not a test of its own: what [`a_viewer_killed_in_the_middle_is_not_missed`] starts to kill it.
#[test]
fn viewer_process() {
    let Ok(url) = std::env::var("P2PHLS_TEST_URL") else { return };
    let trackers = std::env::var("P2PHLS_TEST_TRACKERS").expect("set along with the URL");
    let viewer = Viewer::start(&url, &trackers);
    wait_for("being killed", 120, &[viewer], || false);
}

#[test]
fn a_viewer_killed_in_the_middle_is_not_missed() {
    let (_origin, url) = live_origin();
    let tracker = Tracker::start();
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "viewer_process"])
        .envs([("P2PHLS_TEST_URL", &url), ("P2PHLS_TEST_TRACKERS", &tracker.url)])
        .stdout(Stdio::null())
        .spawn()
        .expect("a second process");
    let viewers: Vec<Viewer> = (0..2).map(|_| Viewer::start(&url, &tracker.url)).collect();
    wait_for("a full mesh", 30, &viewers, || viewers.iter().all(|v| v.peers() == 2));
    let taken = sum(&viewers, "peer-bytes");
    wait_for("transfers", 30, &viewers, || sum(&viewers, "peer-bytes") > taken + 100_000);
    victim.kill().expect("the process is ours");
    victim.wait().expect("it has been started");
    wait_for("the loss to be noticed", 30, &viewers, || viewers.iter().all(|v| v.peers() == 1));
    let after = viewers[0].received();
    wait_for("more of the stream", 30, &viewers, || viewers.iter().all(|v| v.received() > after + 500_000));
    let whole = origin_bytes("long");
    for (n, viewer) in viewers.iter().enumerate() {
        assert_same_bytes(viewer, &whole, n);
        assert_eq!(viewer.stat("stalls"), 0, "viewer {n}");
    }
}

#[test]
fn peers_help_when_the_origin_loses_segments() {
    let origin = Origin::serve(&STREAMS);
    let tracker = Tracker::start();
    let url = origin.url("long/index.m3u8");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    wait_for("a lead", 30, &viewers, || viewers[0].stat("buffer-level") > 25_000_000_000);
    // From here on only the first viewer has these.
    for n in 12..20 {
        origin.set_fault(&format!("seg{n:03}.ts"), Fault::Status(500));
    }
    viewers.push(Viewer::start(&url, &tracker.url));
    let whole = origin_bytes("long");
    let beyond = whole.len() * 21 / 90;
    wait_for("what only the peer has", 60, &viewers, || viewers[1].received() > beyond);
    assert_same_bytes(&viewers[1], &whole, 1);
    assert_eq!(viewers[1].stat("stalls"), 0);
}
