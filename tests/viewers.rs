// SPDX-License-Identifier: MPL-2.0

//! Several viewers of one stream: real elements, a real tracker process, real data channels on
//! loopback. What comes out of each is compared with the origin's bytes.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use common::encrypted::{ENCRYPTED, plain};
use common::live::live_origin;
use common::media::STREAMS;
use common::origin::{Fault, Origin};
use common::renditions::{self, RENDITIONS};
use common::tracker::Tracker;
use common::variants::VARIANTS;
use common::viewer::{Viewer, assert_same_bytes, origin_bytes, sum, wait_for};
use gst::prelude::*;

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

/// Who plays faster needs everything sooner, and still takes it from others; those have from him what he is the first to need.
#[test]
fn viewers_of_a_film_share_it_at_different_rates() {
    let origin = Origin::serve(&STREAMS);
    let tracker = Tracker::start();
    let url = origin.url("long/index.m3u8");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    wait_for("a lead", 30, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    viewers.push(Viewer::with(&url, &tracker.url, |source| {
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let (start, stop) = (gst::ClockTime::ZERO, gst::ClockTime::NONE);
        assert!(source.send_event(gst::event::Seek::new(2.0, gst::SeekFlags::FLUSH, set, start, none, stop)));
    }));
    let whole = origin_bytes("long");
    let enough = whole.len() * 3 / 4;
    wait_for("three quarters of the film", 90, &viewers, || viewers[1].received() > enough);
    assert!(viewers[0].received() < enough, "the other is slower");
    for (n, viewer) in viewers.iter().enumerate() {
        assert_same_bytes(viewer, &whole, n);
        assert_eq!((viewer.stat("stalls"), viewer.stat("rejected-bytes")), (0, 0), "viewer {n}");
    }
    let (peers, http) = (sum(&viewers, "peer-bytes") as f64, sum(&viewers, "http-bytes") as f64);
    let efficiency = peers / (peers + http);
    assert!(efficiency > 0.35, "{efficiency:.2} of at most 0.5");
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
    // Counted once it is shown, which is after it has been fetched.
    wait_for("the change in the picture", 60, &viewers, || viewers[1].stat("variant-switches") > 0);
    assert_eq!(viewers[1].stat("variant-switches"), 1);
    assert_eq!((sum(&viewers, "stalls"), sum(&viewers, "rejected-bytes")), (0, 0));
}

/// Sound in a playlist of its own has a swarm of its own, and comes from the same viewers.
#[test]
fn viewers_share_picture_and_sound() {
    let origin = Origin::serve(&RENDITIONS);
    let tracker = Tracker::start();
    let url = origin.url("ts.m3u8");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    wait_for("a lead", 30, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    let asked = |language: &str| {
        let of = format!("/ts/{language}/seg");
        origin.requests().iter().filter(|(path, _)| path.starts_with(&of)).count()
    };
    let (picture, sound) = (asked("video"), asked("en"));
    viewers.push(Viewer::start(&url, &tracker.url));
    wait_for("a link in each swarm", 30, &viewers, || viewers.iter().all(|viewer| viewer.peers() == 2));
    wait_for("the end", 60, &viewers, || {
        viewers[1].stat("buffer-level") == 0 && viewers[1].received() > 500_000
            || viewers[1].player.video.times().len() as u64 >= (renditions::DURATION - 2) * 25
    });
    let efficiency: f64 = viewers[1].player.source().property("peer-efficiency");
    assert!(efficiency > 0.5, "{efficiency:.2}");
    // Of both: neither was asked for again as often as there are segments.
    let segments = (renditions::DURATION / renditions::SEGMENT) as usize;
    assert!(asked("video") - picture < segments, "{} of {segments}", asked("video") - picture);
    assert!(asked("en") - sound < segments, "{} of {segments}", asked("en") - sound);
    assert_eq!((sum(&viewers, "stalls"), sum(&viewers, "rejected-bytes")), (0, 0));
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
    // Viewers tell of their peers a few times a second.
    wait_for("the leech to be told of", 30, &viewers, || viewers[0].peers() > 0);
    assert_eq!(viewers[1].stat("upload-bytes"), 0);
    assert_eq!((viewers[2].peers(), viewers[2].stat("peer-bytes")), (0, 0));
    assert_eq!(viewers[0].peers(), 1, "the leech is there, the other is not");
}

/// Not a test of its own: what [`a_viewer_killed_in_the_middle_is_not_missed`] starts to kill it.
#[test]
fn viewer_process() {
    let Ok(url) = std::env::var("P2PHLS_TEST_URL") else { return };
    let trackers = std::env::var("P2PHLS_TEST_TRACKERS").expect("set along with the URL");
    let max_peers = std::env::var("P2PHLS_TEST_MAX_PEERS").map(|most| most.parse::<u32>().expect("a number"));
    let viewer = Viewer::with(&url, &trackers, move |source| {
        if let Ok(most) = &max_peers {
            source.set_property("max-peers", *most);
        }
    });
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

/// The lines of a debug log about one segment, without what stands before its name.
fn about(log: &[String], segment: &str) -> Vec<String> {
    let start = format!("segment {segment}: ");
    log.iter().filter_map(|line| Some(line.split_once(&start)?.1.to_owned())).collect()
}

/// The segment that a line of the debug log is about.
fn segment_of(line: &str) -> String {
    let about = line.split_once("segment ").and_then(|(_, rest)| rest.split_once(':'));
    about.expect("all lines begin so").0.to_owned()
}

/// A viewer in a process of its own, whose debug log tells what the switcher does.
struct Telling {
    process: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Telling {
    fn start(url: &str, trackers: &str, max_peers: u32) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "viewer_process", "--nocapture"])
            .env("P2PHLS_TEST_MAX_PEERS", max_peers.to_string())
            .envs([("P2PHLS_TEST_URL", url), ("P2PHLS_TEST_TRACKERS", trackers)])
            .envs([("GST_DEBUG", "p2phls-switcher:5"), ("GST_DEBUG_NO_COLOR", "1")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a second process");
        let stderr = BufReader::new(process.stderr.take().expect("its log"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = log.clone();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line));
        });
        Self { process, log }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.process.kill().expect("the process is ours");
        self.process.wait().expect("it has been started");
    }
}

/// Where nobody sees the whole swarm, fresh segments are asked for before they are there.
#[test]
fn what_comes_next_is_passed_on_without_being_asked_for() {
    let (_origin, url) = live_origin();
    let tracker = Tracker::start();
    let few = |source: &gst::Element| source.set_property("max-peers", 2u32);
    // It comes first: five who are there already may be a circle that has no room for it.
    let told = Telling::start(&url, &tracker.url, 2);
    wait_for("it to be there", 30, &[], || !told.log.lock().unwrap().is_empty());
    let viewers: Vec<Viewer> = (0..5).map(|_| Viewer::with(&url, &tracker.url, few)).collect();
    let pushed = || {
        let log = told.log.lock().unwrap();
        let pushed = log.iter().filter(|line| line.contains("whom we had asked for it before it was there"));
        pushed
            .map(|line| segment_of(line))
            .find(|segment| about(&log, segment).iter().any(|line| line.contains("cost: 0 bytes over HTTP")))
    };
    wait_for("a segment that came by itself", 90, &viewers, || pushed().is_some());
    for (n, viewer) in viewers.iter().enumerate() {
        assert_same_bytes(viewer, &origin_bytes("long"), n);
        assert_eq!((viewer.stat("stalls"), viewer.stat("rejected-bytes")), (0, 0), "viewer {n}");
    }
}

#[test]
fn the_debug_log_tells_where_a_segment_came_from_and_what_it_cost() {
    let (_origin, url) = live_origin();
    let tracker = Tracker::start();
    let told = Telling::start(&url, &tracker.url, 15);
    // What came from a peer alone, and what came over HTTP alone.
    let by = |mark: &str| {
        let log = told.log.lock().unwrap();
        let line = log.iter().find(|line| line.contains("whole with") && line.contains(mark))?;
        Some(segment_of(line))
    };
    let (by_peer, by_http) = ("cost: 0 bytes over HTTP, ", " 0 from peers, 0 wasted");
    let both = || by(by_peer).zip(by(by_http));
    wait_for("a segment of each kind", 90, &[Viewer::start(&url, &tracker.url)], || both().is_some());
    let (peers, https) = both().expect("it was there");
    let log = told.log.lock().unwrap();
    let expect = |segment: &str, steps: &[&str]| {
        let told = about(&log, segment);
        let mut rest = told.iter();
        for step in steps {
            assert!(rest.any(|line| line.contains(step)), "{step:?} is not in its place in {told:#?}");
        }
    };
    let wanted = "wanted; playback needs it in ";
    expect(
        &peers,
        &[wanted, "asking peer -", "first bytes from peer -", "has sent all; it brought ", by_peer],
    );
    expect(&https, &[wanted, "asking HTTP from byte 0: ", "HTTP has sent all; it brought ", by_http]);
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
