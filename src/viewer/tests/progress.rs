// SPDX-License-Identifier: MPL-2.0

//! Segments that are still being made: passed on without a size, ended where they end and not before, and no measure
//! of anybody's speed.

use super::*;
use crate::swarm::Held;

const SEGMENT: SegmentId = SegmentId(10);
const OURS: PeerKey = PeerKey(1);
const BROWSER: PeerKey = PeerKey(2);
const CHUNK: u64 = 25_000;

struct Scene {
    start: Instant,
    now: Instant,
    viewer: Viewer,
}

impl Scene {
    /// A viewer 2.9 s behind live, half a second after segment 10 has begun, with a peer of our kind and a browser.
    fn new() -> Self {
        let start = Instant::now();
        let now = start + ms(500);
        let mut viewer = Viewer::new(ViewerConfig::new(PeerId(*b"-GP0001-me0000000000")));
        let spec = |n: u32| SegmentSpec {
            id: SegmentId(i64::from(n)),
            start: secs(2) * n,
            duration: secs(2),
            size: None,
            names: None,
            pace: (n == 10).then_some(Pace { whole_at: start + secs(2), chunk: ms(500) }),
        };
        viewer.handle_segments((0..=10).map(spec).collect(), true);
        viewer.handle_seek(now, SEGMENT);
        viewer.handle_playback(now, ms(17_600), true);
        viewer.handle_swarm_size(3);
        for (key, id) in [(OURS, *b"-GP0001-zzzzzzzzzzzz"), (BROWSER, *b"-PM0203-zzzzzzzzzzzz")] {
            viewer.handle_peer_open(now, key, PeerId(id));
            viewer.handle_room(key, 1 << 20);
        }
        Self { start, now, viewer }
    }

    fn at(&mut self, millis: u64) -> Vec<Action> {
        self.now = self.start + ms(millis);
        self.viewer.handle_timeout();
        std::iter::from_fn(|| self.viewer.poll_action(self.now)).collect()
    }

    /// The request to HTTP among these, and from where.
    fn fetch(actions: &[Action]) -> Option<(FetchId, u64)> {
        actions.iter().find_map(|action| match action {
            Action::Fetch { fetch, offset, .. } => Some((*fetch, *offset)),
            _ => None,
        })
    }

    /// HTTP is asked, as nobody else has it.
    fn fetching() -> (Self, FetchId) {
        let mut scene = Self::new();
        let from = (500..3_000).step_by(50).find_map(|millis| Self::fetch(&scene.at(millis)));
        let (fetch, _) = from.expect("somebody has to");
        (scene, fetch)
    }

    /// A peer of our kind has begun to send it.
    fn receiving(have: u64) -> Self {
        let mut scene = Self::new();
        scene.hears(CHUNK);
        let asked = scene.at(520);
        let request_id = asked.iter().find_map(|action| match action {
            Action::Command { peer: OURS, command: Command::Request { request_id, .. } } => Some(*request_id),
            _ => None,
        });
        let data = Command::Data { segment: SEGMENT, request_id: request_id.expect("a request"), size: None };
        scene.viewer.handle_command(scene.now, OURS, data);
        scene.viewer.handle_payload(scene.now, OURS, have);
        scene
    }

    fn hears(&mut self, bytes: u64) {
        let said = Announcement { held: vec![Held { segment: SEGMENT, bytes }], ..Announcement::default() };
        self.viewer.handle_command(self.now, OURS, Command::Announcement(said.into()));
    }

    fn ends(&mut self) {
        let request_id = self.viewer.peers[&OURS].state.download().expect("it runs").request_id;
        self.viewer.handle_command(self.now, OURS, Command::Completed { segment: SEGMENT, request_id });
    }

    fn holding(&self) -> &Holding {
        &self.viewer.holdings[&SEGMENT]
    }
}

fn said_to(actions: &[Action], to: PeerKey) -> Vec<&Command> {
    let told = actions.iter().filter_map(|action| match action {
        Action::Command { peer, command } if *peer == to => Some(command),
        _ => None,
    });
    told.collect()
}

#[test]
fn it_is_passed_on_to_our_own_kind_as_it_comes_and_ends_where_it_ends() {
    let (mut scene, fetch) = Scene::fetching();
    scene.viewer.handle_http_start(scene.now, fetch, 0, None);
    scene.viewer.handle_http_bytes(scene.now, fetch, CHUNK);
    let announced = scene.at(560);
    let said = announced.iter().rev().find_map(|action| match action {
        Action::Broadcast { command: Command::Announcement(said) } => Some(said.clone()),
        _ => None,
    });
    let said = said.expect("it is announced");
    assert_eq!((&said.loaded[..], &said.http_loading[..]), (&[][..], &[SEGMENT][..]), "as browsers read it");
    assert_eq!(said.held, [Held { segment: SEGMENT, bytes: CHUNK }]);

    for key in [OURS, BROWSER] {
        let request = Command::Request { segment: SEGMENT, request_id: 5, offset: 0 };
        scene.viewer.handle_command(scene.now, key, request);
    }
    let answers = scene.at(570);
    assert_eq!(said_to(&answers, OURS), [&Command::Data { segment: SEGMENT, request_id: 5, size: None }]);
    assert_eq!(said_to(&answers, BROWSER), [&Command::Absent { segment: SEGMENT, request_id: 5 }]);
    assert!(answers.contains(&Action::Upload { peer: OURS, segment: SEGMENT, range: 0..CHUNK }));

    // A pause of a chunk's length is no reason to send anybody away.
    assert_eq!(said_to(&scene.at(1_490), OURS), [] as [&Command; 0]);
    scene.viewer.handle_http_bytes(scene.now, fetch, CHUNK);
    scene.at(2_000);
    scene.viewer.handle_http_end(scene.now, fetch);
    let ended = scene.at(2_010);
    assert_eq!(scene.viewer.readable(SEGMENT), (2 * CHUNK, true));
    assert_eq!(said_to(&ended, OURS), [&Command::Completed { segment: SEGMENT, request_id: 5 }]);
}

#[test]
fn an_end_that_comes_too_soon_is_none() {
    let mut scene = Scene::receiving(CHUNK);
    scene.at(1_000);
    scene.ends();
    assert_eq!((scene.holding().state, scene.holding().total), (State::Partial, None));
    // Nor is one where others have more.
    let mut scene = Scene::receiving(CHUNK);
    scene.hears(CHUNK + 1);
    scene.at(2_000);
    scene.ends();
    assert_eq!(scene.holding().total, None);
    // In time it is looked at as any other.
    let mut scene = Scene::receiving(CHUNK);
    scene.at(2_000);
    scene.ends();
    assert_eq!((scene.holding().state, scene.holding().total), (State::Checking, Some(CHUNK)));
    assert!(scene.at(2_010).contains(&Action::Check { segment: SEGMENT }));
}

#[test]
fn who_sends_without_end_is_dropped() {
    let mut scene = Scene::receiving(0);
    let largest = scene.viewer.largest();
    assert!(scene.viewer.handle_payload(scene.now, OURS, largest).is_some());
    assert_eq!(scene.viewer.handle_payload(scene.now, OURS, 1), None);
    let drop = Action::Drop { peer: OURS, reason: "sends a segment without end" };
    assert!(scene.at(530).contains(&drop));
}

#[test]
fn a_response_that_ends_in_the_middle_is_gone_on_with() {
    let (mut scene, fetch) = Scene::fetching();
    // A server that takes what there is for all there is.
    scene.viewer.handle_http_start(scene.now, fetch, 0, Some(CHUNK));
    scene.viewer.handle_http_bytes(scene.now, fetch, CHUNK);
    scene.viewer.handle_http_end(scene.now, fetch);
    assert_eq!(scene.viewer.readable(SEGMENT), (CHUNK, false));
    let next = (600..1_500).step_by(50).find_map(|millis| Scene::fetch(&scene.at(millis)));
    let (fetch, CHUNK) = next.expect("more is asked for") else { panic!("not from where it stopped") };
    // There is no more yet.
    scene.viewer.handle_http_nothing(scene.now, fetch, Some(CHUNK));
    assert_eq!(scene.viewer.readable(SEGMENT), (CHUNK, false));
    let next = (2_250..3_000).step_by(50).find_map(|millis| Scene::fetch(&scene.at(millis)));
    let (fetch, _) = next.expect("more is asked for");
    scene.viewer.handle_http_nothing(scene.now, fetch, Some(CHUNK));
    assert_eq!(scene.viewer.readable(SEGMENT), (CHUNK, true), "that was all");
}

#[test]
fn a_response_that_stops_between_chunks_is_left_for_another() {
    let (mut scene, fetch) = Scene::fetching();
    scene.viewer.handle_http_start(scene.now, fetch, 0, None);
    scene.viewer.handle_http_bytes(scene.now, fetch, CHUNK);
    let came = (scene.now - scene.start).as_millis() as u64;
    assert!(!scene.at(came + 1_400).contains(&Action::CancelFetch { fetch }));
    let mut actions = scene.at(came + 1_510);
    assert!(actions.contains(&Action::CancelFetch { fetch }));
    actions.extend(scene.at(came + 2_000));
    assert_eq!(Scene::fetch(&actions).map(|(_, offset)| offset), Some(CHUNK));
}

#[test]
fn who_sends_at_the_pace_of_the_clock_may_be_fast() {
    let (mut scene, fetch) = Scene::fetching();
    scene.viewer.handle_http_start(scene.now, fetch, 0, None);
    let rate = scene.viewer.http_rate();
    for millis in [600, 1_100, 1_600] {
        scene.at(millis);
        scene.viewer.handle_http_bytes(scene.now, fetch, CHUNK);
    }
    scene.at(1_990);
    scene.viewer.handle_http_end(scene.now, fetch);
    assert!(scene.viewer.readable(SEGMENT).1);
    assert_eq!(scene.viewer.http_rate(), rate, "nothing was learnt");
}

/// 2 s segments at 2 Mbit/s in four chunks, no more than two segments behind the newest.
fn low_latency() -> Stream {
    Stream { hold_back: 2, chunks: 4, ..live() }
}

#[test]
fn four_viewers_share_segments_while_they_are_made() {
    let mut world = World::new(low_latency());
    for n in 0..4 {
        world.add(ms(3_000 * n + 900), None, |_| {});
    }
    world.run(secs(90));
    for (n, node) in world.nodes.iter().enumerate() {
        assert_eq!(node.stalled, Duration::ZERO, "viewer {n}");
        assert!(world.played(n) >= 38, "viewer {n} played {}", world.played(n));
    }
    let efficiency = world.efficiency();
    // Each begins with two segments over HTTP, as so close to the edge nobody waits for peers.
    assert!(efficiency > 0.6, "{efficiency} of at most 0.75");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Every segment that goes out has all its bytes and none twice (the world looks), whoever comes and goes, and
    /// nobody stalls where HTTP alone would not.
    #[test]
    fn segments_in_the_making_come_whole(
        viewers in 2usize..6,
        joins in proptest::collection::vec(0u64..20_000, 6),
        kills in proptest::collection::vec(proptest::option::of(15_000u64..40_000), 6),
        vices in proptest::collection::vec(proptest::option::weighted(0.3, 0usize..5), 6),
        origin_rate in 1_500_000u64..5_000_000,
        link_rate in 100_000u64..5_000_000,
        link_latency in 1u64..100,
    ) {
        let mut world = World::new(low_latency());
        (world.origin_rate, world.link_rate, world.link_latency) = (origin_rate, link_rate, ms(link_latency));
        world.run_audience(viewers, &joins, &vices, &kills, secs(50));
        for n in (0..viewers).filter(|n| vices[*n].is_none() && !world.nodes[*n].gone) {
            prop_assert_eq!(world.nodes[n].stalled, Duration::ZERO, "viewer {}", n);
            prop_assert_eq!(world.nodes[n].unavailable, 0);
        }
    }
}
