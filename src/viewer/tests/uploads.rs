// SPDX-License-Identifier: MPL-2.0

//! Whoever is promised bytes gets some, or is told that there are none, well before it gives us up.

use std::collections::BTreeMap;

use super::super::*;
use super::world::ms;
use crate::swarm::Announcement;

/// After so long a silence p2p-media-loader takes a peer for failed.
const GIVEN_UP: Duration = Duration::from_secs(2);

const CHILD: PeerKey = PeerKey(1);
const OTHER: PeerKey = PeerKey(2);
const SEGMENT: SegmentId = SegmentId(0);
const TOTAL: u64 = 1_000_000;

/// A viewer at the beginning of a film, and what it does.
struct Scene {
    now: Instant,
    viewer: Viewer,
    actions: Vec<Action>,
    /// When each peer last heard of what it asked for, and the longest that it did not.
    heard: BTreeMap<PeerKey, (Instant, Duration)>,
}

impl Scene {
    fn new(size: Option<u64>, tweak: impl Fn(&mut ViewerConfig)) -> Self {
        let mut scene = Self::before_anything(size, tweak);
        scene.settle();
        scene
    }

    fn before_anything(size: Option<u64>, tweak: impl Fn(&mut ViewerConfig)) -> Self {
        let now = Instant::now();
        let mut config = ViewerConfig::new(PeerId(*b"-GP0001-me0000000000"));
        tweak(&mut config);
        let mut viewer = Viewer::new(config);
        let start = |n| Duration::from_secs(2 * n as u64);
        let spec = |n| SegmentSpec {
            id: SegmentId(n),
            start: start(n),
            duration: start(1),
            size,
            names: None,
            pace: None,
        };
        viewer.handle_segments((0..30).map(spec).collect(), false);
        viewer.handle_seek(now, SEGMENT);
        let mut scene = Self { now, viewer, actions: Vec::new(), heard: BTreeMap::new() };
        for key in [CHILD, OTHER] {
            scene.open(key);
        }
        scene
    }

    /// The first segment is asked of the origin and of a peer, with the id of the latter request.
    fn racing() -> (Self, u64) {
        let mut scene = Self::before_anything(Some(TOTAL), |_| {});
        let said = Announcement { loaded: vec![SEGMENT], ..Announcement::default() };
        scene.command(OTHER, Command::Announcement(said.into()));
        let request = scene.actions.iter().find_map(|action| match action {
            Action::Command { peer: OTHER, command: Command::Request { request_id, .. } } => {
                Some(*request_id)
            }
            _ => None,
        });
        (scene, request.expect("a race for what is urgent"))
    }

    fn open(&mut self, key: PeerKey) {
        let mut id = *b"-PM0203-child0000000";
        id[19] = b'a' + key.0 as u8;
        self.viewer.handle_peer_open(self.now, key, PeerId(id));
        self.viewer.handle_room(key, u64::MAX);
    }

    fn settle(&mut self) {
        while let Some(action) = self.viewer.poll_action(self.now) {
            if let Action::Upload { peer, .. } | Action::Command { peer, command: Command::Data { .. } } =
                &action
                && let Some((last, longest)) = self.heard.get_mut(peer)
            {
                *longest = (*longest).max(self.now - *last);
                *last = self.now;
            }
            // Whoever has had its answer waits no more.
            if let Action::Command { peer, command: Command::Absent { .. } | Command::Completed { .. } } =
                &action
                && let Some((last, longest)) = self.heard.get_mut(peer)
            {
                *longest = (*longest).max(self.now - *last);
                *last = self.now + Duration::from_secs(3600);
            }
            self.actions.push(action);
        }
    }

    /// Lets time pass; the viewer is called when it asked to be, and not otherwise.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.viewer.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at) + ms(1);
            self.viewer.handle_timeout();
            self.settle();
        }
        self.now = self.now.max(until);
    }

    fn http_begins(&mut self, total: u64) -> FetchId {
        let fetch = self.fetch();
        assert!(self.viewer.handle_http_start(self.now, fetch, 0, Some(total)));
        self.settle();
        fetch
    }

    /// The request for the first segment.
    fn fetch(&self) -> FetchId {
        let fetch = self.actions.iter().find_map(|action| match action {
            Action::Fetch { fetch, segment: SEGMENT, .. } => Some(*fetch),
            _ => None,
        });
        fetch.expect("the first segment is fetched")
    }

    fn http_brings(&mut self, fetch: FetchId, len: u64) {
        self.viewer.handle_http_bytes(self.now, fetch, len);
        self.settle();
    }

    fn command(&mut self, key: PeerKey, command: Command) {
        self.viewer.handle_command(self.now, key, command);
        self.settle();
    }

    fn request(&mut self, key: PeerKey, offset: u64) {
        self.heard.insert(key, (self.now, Duration::ZERO));
        self.command(key, Command::Request { segment: SEGMENT, request_id: 7, offset });
    }

    /// Bytes given to a peer.
    fn given(&self, key: PeerKey) -> u64 {
        let given = self.actions.iter().filter_map(|action| match action {
            Action::Upload { peer, range, .. } if *peer == key => Some(range.end - range.start),
            _ => None,
        });
        given.sum()
    }

    fn answers(&self, key: PeerKey, wanted: impl Fn(&Command) -> bool) -> usize {
        let is =
            |a: &&Action| matches!(a, Action::Command { peer, command } if *peer == key && wanted(command));
        self.actions.iter().filter(is).count()
    }

    fn refusals(&self, key: PeerKey) -> usize {
        self.answers(key, |command| matches!(command, Command::Absent { .. }))
    }

    /// The last announcement has the first segment among those that can be asked for.
    fn announces(&self) -> bool {
        let last = self.actions.iter().rev().find_map(|action| match action {
            Action::Broadcast { command: Command::Announcement(said) } => Some(&said.loaded),
            _ => None,
        });
        last.is_some_and(|loaded| loaded.contains(&SEGMENT))
    }
}

#[test]
fn an_origin_that_stalls_leaves_nobody_waiting() {
    let mut scene = Scene::new(None, |_| {});
    let fetch = scene.http_begins(TOTAL);
    scene.http_brings(fetch, TOTAL / 2);
    scene.pass(ms(100));
    assert!(scene.announces());
    scene.request(CHILD, 0);
    assert_eq!((scene.given(CHILD), scene.refusals(CHILD)), (TOTAL / 2, 0));
    scene.pass(GIVEN_UP - ms(500));
    assert_eq!(scene.refusals(CHILD), 1);
    assert!(!scene.announces());
    // Nor is anybody else invited to wait.
    scene.request(OTHER, 0);
    assert_eq!(scene.refusals(OTHER), 1);
    scene.http_brings(fetch, 1000);
    scene.pass(ms(100));
    assert!(scene.announces());
    scene.request(OTHER, 0);
    assert_eq!(scene.given(OTHER), TOTAL / 2 + 1000);
}

#[test]
fn bytes_that_the_origin_never_brings_are_not_waited_for() {
    let mut scene = Scene::new(None, |_| {});
    let fetch = scene.http_begins(TOTAL);
    scene.http_brings(fetch, 1000);
    // It has half of the segment from somebody else.
    scene.request(CHILD, TOTAL / 2);
    for _ in 0..30 {
        scene.http_brings(fetch, 1000);
        scene.pass(ms(100));
    }
    assert_eq!((scene.given(CHILD), scene.refusals(CHILD)), (0, 1));
    assert!(scene.heard[&CHILD].1 < GIVEN_UP);
}

#[test]
fn our_own_kind_is_promised_nothing_that_we_do_not_hold() {
    const OURS: PeerKey = PeerKey(3);
    let mut scene = Scene::new(None, |_| {});
    scene.viewer.handle_peer_open(scene.now, OURS, PeerId(*b"-GP0001-child0000000"));
    let fetch = scene.http_begins(TOTAL);
    scene.http_brings(fetch, 1000);
    // It heard that we had more, before that was rejected: now we may wait for it.
    scene.request(OURS, 1000);
    assert_eq!(scene.refusals(OURS), 1);
    scene.request(OURS, 999);
    assert_eq!(scene.refusals(OURS), 1);
}

#[test]
fn a_seek_tells_those_whose_bytes_will_not_come() {
    let mut scene = Scene::new(None, |_| {});
    let fetch = scene.http_begins(TOTAL);
    scene.http_brings(fetch, 1000);
    scene.request(CHILD, 0);
    scene.viewer.handle_seek(scene.now, SegmentId(20));
    scene.settle();
    assert_eq!(scene.refusals(CHILD), 1);
}

#[test]
fn a_race_silences_nobody() {
    let (mut scene, request_id) = Scene::racing();
    let fetch = scene.http_begins(TOTAL);
    scene.http_brings(fetch, 1000);
    scene.request(CHILD, 0);
    scene.command(OTHER, Command::Data { segment: SEGMENT, request_id, size: Some(TOTAL) });
    scene.viewer.handle_payload(scene.now, OTHER, 100_000);
    for _ in 0..20 {
        scene.http_brings(fetch, 1000);
        scene.pass(ms(100));
    }
    // What the peer brought before it fell silent, and then word that there is no more.
    assert_eq!((scene.given(CHILD), scene.refusals(CHILD)), (100_000, 1));
    assert!(scene.heard[&CHILD].1 < GIVEN_UP);
}

#[test]
fn another_size_than_was_promised_ends_the_upload() {
    let (mut scene, request_id) = Scene::racing();
    scene.command(OTHER, Command::Data { segment: SEGMENT, request_id, size: Some(TOTAL) });
    scene.viewer.handle_payload(scene.now, OTHER, 1000);
    scene.request(CHILD, 0);
    assert_eq!(scene.answers(CHILD, |c| matches!(c, Command::Data { size: Some(TOTAL), .. })), 1);
    scene.viewer.handle_http_start(scene.now, scene.fetch(), 0, Some(TOTAL / 2));
    scene.settle();
    assert_eq!(scene.refusals(CHILD), 1);
}

#[test]
fn a_low_upload_rate_keeps_nobody_waiting() {
    for rate in [3_000, 20_000, 60_000, 200_000] {
        let mut scene = Scene::new(None, |c| c.max_upload_rate = Some(rate));
        let fetch = scene.http_begins(TOTAL);
        scene.http_brings(fetch, TOTAL);
        let children: Vec<PeerKey> = (1..16).map(PeerKey).collect();
        for key in &children {
            scene.open(*key);
            scene.request(*key, 0);
        }
        scene.pass(Duration::from_secs(10));
        for key in &children {
            let longest = scene.heard[key].1;
            assert!(longest + ms(500) < GIVEN_UP, "{key:?} waited {longest:?} at {rate} bytes/s");
        }
        let given: u64 = children.iter().map(|key| scene.given(*key)).sum();
        assert!(given >= TOTAL.min(9 * rate), "{given} at {rate} bytes/s");
    }
}
