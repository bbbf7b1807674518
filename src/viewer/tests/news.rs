// SPDX-License-Identifier: MPL-2.0

//! Word of fresh segments: it goes on at once, once, and only where somebody may not have heard it.

use super::super::*;
use crate::swarm::Announcement;

const NEWEST: i64 = 10;

struct Scene {
    now: Instant,
    viewer: Viewer,
}

impl Scene {
    /// A viewer of a live stream with two peers in a swarm of so many.
    fn of(swarm: u64) -> Self {
        let mut scene = Self::named(0, swarm);
        scene.told();
        scene
    }

    fn named(name: u32, swarm: u64) -> Self {
        let now = Instant::now();
        let id = format!("-GP0001-{name:012}").into_bytes().try_into().expect("20 bytes");
        let mut viewer = Viewer::new(ViewerConfig::new(PeerId(id)));
        let start = |n| Duration::from_secs(4 * n as u64);
        let spec = |n| SegmentSpec {
            id: SegmentId(n),
            start: start(n),
            duration: start(1),
            size: None,
            names: None,
            pace: None,
        };
        viewer.handle_segments((0..=NEWEST).map(spec).collect(), true);
        viewer.handle_seek(now, SegmentId(NEWEST - 2));
        viewer.handle_playback(now, start(NEWEST - 2), true);
        viewer.handle_swarm_size(swarm);
        for (key, id) in [(1, *b"-GP0001-one000000000"), (2, *b"-GP0001-two000000000")] {
            viewer.handle_peer_open(now, PeerKey(key), PeerId(id));
        }
        Self { now, viewer }
    }

    fn hears(&mut self, said: Announcement) {
        self.now += Duration::from_millis(20);
        self.viewer.handle_command(self.now, PeerKey(1), Command::Announcement(said.into()));
    }

    /// What is said to be coming from now on, each time that something is said to all.
    fn told(&mut self) -> Vec<Vec<SegmentId>> {
        let actions = std::iter::from_fn(|| self.viewer.poll_action(self.now));
        let told = actions.filter_map(|action| match action {
            Action::Broadcast { command: Command::Announcement(said) } => Some(said.coming.clone()),
            _ => None,
        });
        told.collect()
    }
}

fn coming(segment: i64) -> Announcement {
    Announcement { coming: vec![SegmentId(segment)], ..Announcement::default() }
}

#[test]
fn word_goes_on_at_once_and_once() {
    let next = NEWEST + 1;
    let fetched = Announcement { http_loading: vec![SegmentId(next)], ..Announcement::default() };
    for said in [coming(next), fetched] {
        let mut scene = Scene::of(1000);
        scene.hears(said.clone());
        assert_eq!(scene.told(), [[SegmentId(next)]], "of {said:?}");
        scene.hears(said);
        assert!(scene.told().is_empty());
    }
}

#[test]
fn who_sees_the_whole_swarm_has_nobody_to_tell() {
    let mut scene = Scene::of(3);
    scene.hears(coming(NEWEST + 1));
    assert!(scene.told().is_empty());
}

#[test]
fn nonsense_does_not_go_on() {
    let mut scene = Scene::of(1000);
    for nonsense in [0, NEWEST - 1, NEWEST + 100, i64::MAX, i64::MIN] {
        scene.hears(coming(nonsense));
        assert!(scene.told().is_empty(), "{nonsense}");
    }
}

/// How long it takes until the newest segment is fetched from an origin that brings all else at once.
fn wait_for_http(mut scene: Scene) -> Duration {
    let start = scene.now;
    while scene.now < start + Duration::from_secs(20) {
        while let Some(action) = scene.viewer.poll_action(scene.now) {
            let Action::Fetch { fetch, segment, .. } = action else { continue };
            if segment == SegmentId(NEWEST) {
                return scene.now - start;
            }
            scene.viewer.handle_http_start(scene.now, fetch, 0, Some(1000));
            scene.viewer.handle_http_bytes(scene.now, fetch, 1000);
            scene.viewer.handle_http_end(scene.now, fetch);
        }
        let at = scene.viewer.poll_timeout().expect("it is fetched in the end");
        scene.now = scene.now.max(at) + Duration::from_millis(1);
        scene.viewer.handle_timeout();
    }
    panic!("it is not fetched");
}

#[test]
fn who_would_step_in_waits_longer_for_what_is_coming() {
    let mut longer = 0;
    for name in 0..100 {
        let unheard = wait_for_http(Scene::named(name, 200));
        let mut scene = Scene::named(name, 200);
        scene.hears(coming(NEWEST));
        let heard = wait_for_http(scene);
        assert!(heard < Duration::from_secs(8), "word that is wrong must not cost playback");
        longer += usize::from(heard > unheard + Duration::from_millis(500));
    }
    assert!(longer > 0);
}
