// SPDX-License-Identifier: MPL-2.0

//! Standing requests: made to whoever brings a fresh segment, served with its first bytes, and never waited for
//! alone.

use super::super::*;
use crate::swarm::Announcement;

const SIZE: u64 = 100_000;
const PARENT: PeerKey = PeerKey(1);
const OTHER: PeerKey = PeerKey(2);

struct Scene {
    now: Instant,
    viewer: Viewer,
    said: Vec<(PeerKey, Command)>,
    fetches: Vec<SegmentId>,
}

impl Scene {
    /// A viewer, four seconds behind the live edge at segment 10, with two peers in a swarm of so many.
    fn of(swarm: u64) -> Self {
        let now = Instant::now();
        let viewer = Viewer::new(ViewerConfig::new(PeerId(*b"-GP0001-me0000000000")));
        let mut scene = Self { now, viewer, said: Vec::new(), fetches: Vec::new() };
        scene.lists(10);
        let clock = Duration::from_secs(7);
        scene.viewer.handle_seek(now, SegmentId(10));
        scene.viewer.handle_playback(now, clock, true);
        scene.viewer.handle_swarm_size(swarm);
        for (key, id) in [(PARENT, *b"-GP0001-parent000000"), (OTHER, *b"-GP0001-other0000000")] {
            scene.viewer.handle_peer_open(now, key, PeerId(id));
            scene.viewer.handle_room(key, 1 << 20);
            scene.hears(key, &[9], 0);
        }
        scene.settle();
        scene
    }

    fn lists(&mut self, newest: u64) {
        let start = |n: u64| Duration::from_secs(n);
        let spec = |n| SegmentSpec {
            id: SegmentId(n as i64),
            start: start(n),
            duration: start(1),
            size: None,
            names: None,
            pace: None,
        };
        self.viewer.handle_segments((0..=newest).map(spec).collect(), true);
    }

    fn hears(&mut self, from: PeerKey, loaded: &[i64], bytes: u64) {
        let loaded: Vec<SegmentId> = loaded.iter().copied().map(SegmentId).collect();
        let held = loaded.last().filter(|_| bytes > 0);
        let held = held.map(|segment| crate::swarm::Held { segment: *segment, bytes }).into_iter().collect();
        let said = Announcement { loaded, held, ..Announcement::default() };
        self.viewer.handle_command(self.now, from, Command::Announcement(said.into()));
        self.settle();
    }

    fn takes(&mut self, from: PeerKey, command: Command) {
        self.viewer.handle_command(self.now, from, command);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(action) = self.viewer.poll_action(self.now) {
            match action {
                Action::Command { peer, command: Command::Announcement(_) } => {
                    let _ = peer;
                }
                Action::Command { peer, command } => self.said.push((peer, command)),
                Action::Fetch { segment, .. } => self.fetches.push(segment),
                _ => {}
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.viewer.handle_timeout();
        self.settle();
    }

    /// What was said to a peer since it was last asked.
    fn told(&mut self, peer: PeerKey) -> Vec<Command> {
        let (to, rest) = self.said.drain(..).partition(|(key, _)| *key == peer);
        self.said = rest;
        let to: Vec<(PeerKey, Command)> = to;
        to.into_iter().map(|(_, command)| command).collect()
    }

    /// The parent brings segment 10, and is asked for 11.
    fn subscribed() -> (Self, u64) {
        let mut scene = Self::of(1000);
        scene.hears(PARENT, &[10], 1000);
        scene.hears(OTHER, &[9], 0);
        let Some(Command::Request { request_id, .. }) = scene.told(PARENT).pop() else {
            panic!("no request")
        };
        scene.takes(PARENT, Command::Data { segment: SegmentId(10), request_id, size: Some(SIZE) });
        scene.viewer.handle_payload(scene.now, PARENT, SIZE);
        scene.takes(PARENT, Command::Completed { segment: SegmentId(10), request_id });
        match scene.told(PARENT)[..] {
            [Command::Subscribe { segment: SegmentId(11), request_id }] => (scene, request_id),
            ref told => panic!("{told:?}"),
        }
    }
}

#[test]
fn what_comes_late_is_followed_by_a_subscription_unless_something_newer_was() {
    let late = |newer_comes_first: bool| {
        let mut scene = Scene::of(1000);
        scene.hears(PARENT, &[10], 1000);
        let mut begins = vec![(PARENT, 10)];
        scene.lists(11);
        if newer_comes_first {
            scene.hears(OTHER, &[9, 11], 1000);
            begins.insert(0, (OTHER, 11));
        }
        let mut subscriptions = Vec::new();
        for (from, segment) in begins {
            let Some(Command::Request { request_id, .. }) = scene.told(from).pop() else {
                panic!("{segment} is not asked for")
            };
            let segment = SegmentId(segment);
            scene.takes(from, Command::Data { segment, request_id, size: Some(SIZE) });
            scene.viewer.handle_payload(scene.now, from, SIZE / 2);
            scene.settle();
            subscriptions.push(scene.told(from));
        }
        subscriptions
    };
    let alone = late(false);
    assert!(matches!(alone[0][..], [Command::Subscribe { segment: SegmentId(12), .. }]), "{alone:?}");
    let both = late(true);
    assert!(matches!(both[0][..], [Command::Subscribe { segment: SegmentId(12), .. }]), "{both:?}");
    assert!(both[1].is_empty(), "it came by a better way: {both:?}");
}

#[test]
fn whoever_brings_a_fresh_segment_is_asked_for_the_next_which_needs_no_request() {
    let (mut scene, request_id) = Scene::subscribed();
    // Our playlist has not even got it.
    scene.takes(PARENT, Command::Data { segment: SegmentId(11), request_id, size: Some(SIZE) });
    let hop = scene.viewer.hop;
    let placed = scene.viewer.handle_payload(scene.now, PARENT, SIZE);
    assert_eq!(scene.viewer.hop, hop, "how long a request takes was not seen");
    assert_eq!(
        placed.map(|(segment, placement)| (segment, placement.append)),
        Some((SegmentId(11), 0..SIZE as usize))
    );
    assert_eq!(scene.viewer.holdings[&SegmentId(11)].state, State::Partial, "nobody knows how to look at it");
    scene.takes(PARENT, Command::Completed { segment: SegmentId(11), request_id });
    scene.lists(11);
    scene.settle();
    assert_eq!(scene.viewer.holdings[&SegmentId(11)].state, State::Checking);
    assert!(scene.told(PARENT).iter().all(|command| matches!(command, Command::Subscribe { .. })));
}

#[test]
fn who_sees_the_whole_swarm_subscribes_to_nothing() {
    let mut scene = Scene::of(3);
    scene.hears(PARENT, &[10], 1000);
    let Some(Command::Request { request_id, .. }) = scene.told(PARENT).pop() else { panic!("no request") };
    scene.takes(PARENT, Command::Data { segment: SegmentId(10), request_id, size: Some(SIZE) });
    scene.viewer.handle_payload(scene.now, PARENT, SIZE);
    scene.settle();
    assert_eq!(scene.told(PARENT), []);
}

#[test]
fn another_who_has_it_is_asked_after_a_moment() {
    let (mut scene, _) = Scene::subscribed();
    scene.lists(11);
    scene.hears(OTHER, &[10, 11], 1000);
    assert_eq!(scene.told(OTHER), [], "the parent may be sending it already");
    scene.wait(400);
    assert!(matches!(scene.told(OTHER)[..], [Command::Request { segment: SegmentId(11), .. }]));
    assert!(matches!(scene.told(PARENT)[..], [Command::Cancel { segment: SegmentId(11), .. }]));
}

#[test]
fn a_push_that_is_not_wanted_is_cancelled() {
    let (mut scene, request_id) = Scene::subscribed();
    scene.viewer.handle_cursor(scene.now, SegmentId(12));
    scene.takes(PARENT, Command::Data { segment: SegmentId(11), request_id, size: Some(SIZE) });
    assert!(matches!(scene.told(PARENT)[..], [Command::Cancel { segment: SegmentId(11), .. }]));
    assert_eq!(scene.viewer.handle_payload(scene.now, PARENT, 10), None);
}

#[test]
fn those_who_have_subscribed_get_the_first_bytes_and_whoever_is_too_many_hears_absent() {
    let (mut scene, request_id) = Scene::subscribed();
    scene.takes(OTHER, Command::Subscribe { segment: SegmentId(11), request_id: 7 });
    assert_eq!(scene.told(OTHER), [], "it waits");
    scene.lists(11);
    scene.takes(PARENT, Command::Data { segment: SegmentId(11), request_id, size: Some(SIZE) });
    scene.viewer.handle_payload(scene.now, PARENT, 1000);
    scene.settle();
    assert_eq!(
        scene.told(OTHER),
        [Command::Data { segment: SegmentId(11), request_id: 7, size: Some(SIZE) }]
    );

    let slots = scene.viewer.upload_slots(scene.now);
    for n in 0..slots as u64 + 1 {
        let (key, id) =
            (PeerKey(10 + n), PeerId(format!("-GP0001-{n:012}").into_bytes().try_into().unwrap()));
        scene.viewer.handle_peer_open(scene.now, key, id);
        scene.takes(key, Command::Subscribe { segment: SegmentId(12), request_id: 1 });
    }
    let refused = |(_, command): &&(PeerKey, Command)| matches!(command, Command::Absent { .. });
    assert_eq!(scene.said.iter().filter(refused).count(), 1);
}

#[test]
fn those_who_are_to_have_the_next_segment_keep_their_places() {
    let (mut scene, _) = Scene::subscribed();
    let slots = scene.viewer.upload_slots(scene.now) as u64;
    for n in 0..slots {
        let id = PeerId(format!("-GP0001-{n:012}").into_bytes().try_into().unwrap());
        scene.viewer.handle_peer_open(scene.now, PeerKey(10 + n), id);
        scene.takes(PeerKey(10 + n), Command::Subscribe { segment: SegmentId(11), request_id: 1 });
    }
    let request = Command::Request { segment: SegmentId(10), request_id: 2, offset: 0 };
    scene.said.clear();
    scene.viewer.handle_checked(SegmentId(10), true);
    scene.takes(OTHER, request.clone());
    let absent = Command::Absent { segment: SegmentId(10), request_id: 2 };
    assert_eq!(scene.told(OTHER), [absent], "nobody is being served, but all places are taken");
    scene.takes(PeerKey(10), request);
    assert_eq!(
        scene.told(PeerKey(10)),
        [Command::Data { segment: SegmentId(10), request_id: 2, size: Some(SIZE) }],
        "it has a place"
    );
}
