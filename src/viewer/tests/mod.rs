// SPDX-License-Identifier: MPL-2.0

//! Whole viewers in a small world: what they reach together, and that nothing a peer does hurts.

mod news;
mod origins;
mod progress;
mod subscriptions;
mod uploads;
mod world;

use proptest::prelude::*;
use world::{Stream, VICES, World, ms};

use super::*;
use crate::swarm::{Announcement, Held};

/// 2 s segments at 2 Mbit/s, three segments behind live.
fn live() -> Stream {
    Stream { segment: ms(2000), bytes: 500_000, count: 6, live: true, hold_back: 3, chunks: 0 }
}

fn vod() -> Stream {
    Stream { segment: ms(2000), bytes: 500_000, count: 60, live: false, hold_back: 0, chunks: 0 }
}

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

#[test]
fn four_viewers_of_a_live_stream_share_it() {
    let mut world = World::new(live());
    for n in 0..4 {
        world.add(secs(n), None, |_| {});
    }
    world.run(secs(90));
    for (n, node) in world.nodes.iter().enumerate() {
        assert_eq!(node.stalled, Duration::ZERO, "viewer {n}");
        assert!(world.played(n) >= 40, "viewer {n} played {}", world.played(n));
        assert!(node.viewer.counters().upload_bytes > 0, "viewer {n} gives nothing");
    }
    let efficiency = world.efficiency();
    assert!(efficiency > 0.68, "{efficiency} of at most 0.75");
}

#[test]
fn viewers_of_a_film_at_different_places_share_it() {
    let mut world = World::new(vod());
    for n in 0..4 {
        world.add(secs(15 * n), None, |_| {});
    }
    world.run(secs(170));
    for (n, node) in world.nodes.iter().enumerate() {
        assert_eq!(node.stalled, Duration::ZERO, "viewer {n}");
        assert_eq!(world.played(n), 60, "viewer {n}");
    }
    let efficiency = world.efficiency();
    assert!(efficiency > 0.70, "{efficiency} of at most 0.75");
}

#[test]
fn before_the_first_peer_comes_only_what_is_needed_is_fetched() {
    let mut world = World::new(vod());
    world.add(secs(0), None, |_| {});
    world.add(secs(40), None, |_| {});
    world.run(ms(39_990));
    world.nodes[1].viewer.handle_swarm_forming(true);
    // Peers take a second to be found.
    world.introduction = ms(1000);
    world.run(secs(120));
    assert_eq!(world.nodes[1].stalled, Duration::ZERO);
    assert!(world.nodes[1].startup.is_some_and(|s| s < ms(300)), "the first segment does not wait");
    let http = world.nodes[1].viewer.counters().http_bytes;
    assert!(http <= 4 * 500_000, "{http} bytes over HTTP");
}

/// A viewer of a film of thirty segments of two seconds.
fn viewer_of_a_film() -> Viewer {
    let mut viewer = Viewer::new(ViewerConfig::new(PeerId(*b"-GP0001-me0000000000")));
    let spec = |n| SegmentSpec {
        id: SegmentId(n),
        start: secs(2 * n as u64),
        duration: secs(2),
        size: None,
        names: None,
        pace: None,
    };
    viewer.handle_segments((0..30).map(spec).collect(), false);
    viewer
}

#[test]
fn who_rests_wants_nothing() {
    let (now, mut viewer) = (Instant::now(), viewer_of_a_film());
    let fetches = |viewer: &mut Viewer, wanted: fn(&Action) -> bool| {
        std::iter::from_fn(|| viewer.poll_action(now)).filter(wanted).count()
    };
    let begun: fn(&Action) -> bool = |action| matches!(action, Action::Fetch { .. });
    let cancelled: fn(&Action) -> bool = |action| matches!(action, Action::CancelFetch { .. });
    viewer.handle_seek(now, SegmentId(5));
    let count = fetches(&mut viewer, begun);
    assert!(count > 0);
    viewer.handle_rest();
    viewer.handle_playback(now, secs(20), true);
    assert_eq!(fetches(&mut viewer, cancelled), count);
    viewer.handle_timeout();
    assert_eq!(viewer.poll_action(now), None);
    viewer.handle_seek(now, SegmentId(9));
    assert!(fetches(&mut viewer, begun) > 0);
}

#[test]
fn the_first_peer_is_heard_before_http_fills_the_buffer() {
    let (now, mut viewer) = (Instant::now(), viewer_of_a_film());
    viewer.handle_swarm_forming(true);
    viewer.handle_seek(now, SegmentId(10));
    viewer.handle_playback(now, Duration::ZERO, true);
    let key = PeerKey(1);
    viewer.handle_peer_open(now, key, PeerId(*b"-GP0001-other0000000"));
    let fetches = |viewer: &mut Viewer| {
        let actions = std::iter::from_fn(|| viewer.poll_action(now));
        actions.filter(|action| matches!(action, Action::Fetch { .. })).count()
    };
    assert_eq!(fetches(&mut viewer), 0);
    let said = Announcement { loaded: vec![SegmentId(3)], ..Announcement::default() };
    viewer.handle_command(now, key, Command::Announcement(said.into()));
    assert!(fetches(&mut viewer) > 0, "it does not have them");
}

/// What is asked of HTTP now.
fn fetches(viewer: &mut Viewer, now: Instant) -> Vec<(FetchId, SegmentId)> {
    let actions = std::iter::from_fn(|| viewer.poll_action(now));
    let fetches = actions.filter_map(|action| match action {
        Action::Fetch { fetch, segment, .. } => Some((fetch, segment)),
        _ => None,
    });
    fetches.collect()
}

#[test]
fn who_is_asked_and_says_nothing_is_not_waited_for_longer_than_there_is_time() {
    let (start, mut viewer) = (Instant::now(), viewer_of_a_film());
    // Nothing else is there to be looked after.
    let two = viewer.segments[..2].into();
    viewer.handle_segments(two, false);
    let fetch_of = |viewer: &mut Viewer, now: Instant, wanted: i64| {
        let fetches = fetches(viewer, now);
        fetches.into_iter().find(|(_, segment)| segment.0 == wanted).map(|(fetch, _)| fetch)
    };
    viewer.handle_swarm_forming(true);
    viewer.handle_seek(start, SegmentId(0));
    let fetch = fetch_of(&mut viewer, start, 0).expect("the first is asked for at once");
    let now = start + ms(100);
    viewer.handle_http_start(now, fetch, 0, Some(500_000));
    viewer.handle_http_bytes(now, fetch, 500_000);
    viewer.handle_http_end(now, fetch);
    viewer.handle_playback(now, Duration::ZERO, true);
    viewer.handle_cursor(now, SegmentId(1));
    assert_eq!(fetch_of(&mut viewer, now, 1), None);
    let needed = now + secs(2);
    // It passes the segment on, so it is given longer than there is.
    let asked = needed - ms(1000);
    let key = PeerKey(1);
    viewer.handle_peer_open(asked, key, PeerId(*b"-GP0001-other0000000"));
    let held = vec![Held { segment: SegmentId(1), bytes: 100_000 }];
    viewer.handle_command(
        asked,
        key,
        Command::Announcement(Announcement { held, ..Default::default() }.into()),
    );
    assert_eq!(fetch_of(&mut viewer, asked, 1), None, "the peer is asked");
    let woken = viewer.poll_timeout().expect("it is not waited for without end");
    assert!(woken < needed - ms(300), "woken {:?} after it was asked", woken - asked);
    viewer.handle_timeout();
    assert!(fetch_of(&mut viewer, woken, 1).is_some());
}

#[test]
fn on_a_tight_line_what_cannot_be_had_holds_up_nothing() {
    let (now, mut viewer) = (Instant::now(), viewer_of_a_film());
    viewer.seen = (1_000_000, secs(4));
    viewer.http.record_transfer(500_000, secs(1));
    viewer.handle_seek(now, SegmentId(0));
    let first = fetches(&mut viewer, now);
    assert_eq!(first.iter().map(|(_, segment)| segment.0).collect::<Vec<_>>(), [0], "one after the other");
    viewer.handle_http_failure(now, first[0].0, FetchFailure::NotFound);
    assert_eq!(fetches(&mut viewer, now).first().map(|(_, segment)| segment.0), Some(1));
}

#[test]
fn a_swarm_that_never_forms_stalls_nobody() {
    let mut world = World::new(vod());
    world.origin_rate = 400_000;
    world.add(secs(0), None, |_| {});
    world.nodes[0].viewer.handle_swarm_forming(true);
    world.run(secs(130));
    assert_eq!((world.nodes[0].stalled, world.played(0)), (Duration::ZERO, 60));
}

#[test]
fn alone_a_viewer_is_a_plain_http_player() {
    let mut world = World::new(vod());
    world.add(secs(0), None, |_| {});
    world.run(secs(130));
    let node = &world.nodes[0];
    assert_eq!((node.stalled, world.played(0)), (Duration::ZERO, 60));
    assert_eq!(world.requests, 60, "each segment is asked for once");
    assert_eq!(node.viewer.counters().http_bytes, 60 * 500_000);
    assert!(node.startup.is_some_and(|s| s < ms(300)), "{:?}", node.startup);
}

#[test]
fn peers_with_vices_cost_bytes_but_never_playback() {
    for vice in VICES {
        let mut world = World::new(live());
        world.add(secs(0), Some(vice), |_| {});
        world.add(secs(1), None, |_| {});
        world.add(secs(2), None, |_| {});
        world.run(secs(60));
        for n in 1..3 {
            assert_eq!(world.nodes[n].stalled, Duration::ZERO, "viewer {n} beside a peer that {vice:?}");
            assert_eq!(world.nodes[n].unavailable, 0);
            assert!(world.played(n) >= 25);
        }
        let dropped = (1..3).any(|n| !world.nodes[n].dropped.is_empty());
        assert!(dropped, "a peer that {vice:?} is not dropped");
    }
}

#[test]
fn a_viewer_killed_in_the_middle_is_not_missed() {
    let mut world = World::new(live());
    for n in 0..4 {
        world.add(secs(n), None, |_| {});
    }
    world.run(ms(30_300));
    world.kill(0);
    world.kill(1);
    world.run(secs(60));
    for n in 2..4 {
        assert_eq!(world.nodes[n].stalled, Duration::ZERO, "viewer {n}");
    }
}

#[test]
fn a_short_failure_of_the_origin_goes_unnoticed() {
    let mut world = World::new(vod());
    world.origin_down = secs(10)..secs(14);
    world.add(secs(0), None, |_| {});
    world.run(secs(130));
    assert_eq!((world.nodes[0].stalled, world.played(0)), (Duration::ZERO, 60));
}

#[test]
fn an_origin_that_is_gone_is_reported_and_not_hammered() {
    let mut world = World::new(vod());
    world.origin_down = secs(0)..secs(1000);
    world.add(secs(0), None, |_| {});
    world.run(secs(60));
    let asked = world.requests;
    assert_eq!(world.nodes[0].unavailable, 1, "what goes out next cannot be had");
    // For each segment in the window four tries in the first seconds, then one in ten seconds.
    assert!(asked <= 15 * 10, "{asked} requests in a minute");
}

#[test]
fn a_leech_gives_nothing_and_a_viewer_without_p2p_takes_nothing() {
    let mut world = World::new(vod());
    world.add(secs(0), None, |_| {});
    world.add(secs(20), None, |c| c.upload_to_peers = false);
    world.add(secs(20), None, |c| {
        c.upload_to_peers = false;
        c.download_from_peers = false;
    });
    world.run(secs(150));
    let counters: Vec<Counters> = world.nodes.iter().map(|n| n.viewer.counters()).collect();
    assert_eq!(counters[1].upload_bytes, 0);
    assert!(counters[1].peer_efficiency() > 0.8, "{:?}", counters[1]);
    assert_eq!((counters[2].upload_bytes, counters[2].peer_bytes), (0, 0));
}

#[test]
fn the_upload_rate_is_kept() {
    let mut world = World::new(vod());
    world.add(secs(0), None, |c| c.max_upload_rate = Some(50_000));
    world.add(secs(20), None, |_| {});
    world.run(secs(120));
    let uploaded = world.nodes[0].viewer.counters().upload_bytes;
    assert!(uploaded <= 50_000 * 101, "{uploaded}");
    assert_eq!(world.nodes[1].stalled, Duration::ZERO);
}

#[test]
fn memory_stays_within_its_bound() {
    let mut world = World::new(vod());
    let bound = 5_000_000;
    for n in 0..2 {
        world.add(secs(5 * n), None, |c| c.max_memory = bound);
    }
    for t in 1..130 {
        world.run(secs(t));
        for node in &world.nodes {
            let held = node.viewer.memory();
            assert!(held <= bound + 500_000, "{held} after {t} s");
        }
    }
    assert_eq!(world.played(0), 60);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// In worlds where plain HTTP would not stall, nobody stalls, whoever comes and goes.
    #[test]
    fn never_worse_than_http(
        viewers in 2usize..7,
        joins in proptest::collection::vec(0u64..30_000, 7),
        kills in proptest::collection::vec(proptest::option::of(20_000u64..60_000), 7),
        vices in proptest::collection::vec(proptest::option::weighted(0.3, 0usize..5), 7),
        origin_rate in 600_000u64..5_000_000,
        link_rate in 20_000u64..5_000_000,
        link_latency in 1u64..200,
        is_live: bool,
    ) {
        let mut world = World::new(if is_live { live() } else { vod() });
        world.origin_rate = origin_rate;
        world.link_rate = link_rate;
        world.link_latency = ms(link_latency);
        world.run_audience(viewers, &joins, &vices, &kills, secs(75));
        for n in (0..viewers).filter(|n| vices[*n].is_none() && !world.nodes[*n].gone) {
            prop_assert_eq!(world.nodes[n].stalled, Duration::ZERO, "viewer {}", n);
            prop_assert_eq!(world.nodes[n].unavailable, 0);
        }
    }
}
