// SPDX-License-Identifier: MPL-2.0

//! What a viewer makes of an origin's odd answers.

use super::super::holding::Contributor;
use super::*;

const SEGMENT: SegmentId = SegmentId(0);
const PEER: PeerKey = PeerKey(1);

/// A viewer that has asked the origin for its only segment.
fn asking() -> (Viewer, Instant, FetchId) {
    let mut viewer = Viewer::new(ViewerConfig::new(PeerId(*b"-GP0001-aaaaaaaaaaaa")));
    let now = Instant::now();
    let spec = SegmentSpec {
        id: SEGMENT,
        start: Duration::ZERO,
        duration: secs(4),
        size: None,
        names: None,
        pace: None,
    };
    viewer.handle_segments([spec].into(), false);
    viewer.handle_seek(now, SEGMENT);
    let fetch = asked(&mut viewer, now).expect("a request").0;
    (viewer, now, fetch)
}

/// The request that the viewer makes now, and from where.
fn asked(viewer: &mut Viewer, now: Instant) -> Option<(FetchId, u64)> {
    let mut asked = None;
    while let Some(action) = viewer.poll_action(now) {
        if let Action::Fetch { fetch, offset, .. } = action {
            asked = Some((fetch, offset));
        }
    }
    asked
}

#[test]
fn an_empty_segment_is_whole_and_stays_so() {
    let (mut viewer, now, fetch) = asking();
    assert!(viewer.handle_http_start(now, fetch, 0, Some(0)));
    viewer.handle_http_end(now, fetch);
    assert_eq!(asked(&mut viewer, now), None);
    viewer.handle_timeout();
    assert_eq!(asked(&mut viewer, now), None);
    assert_eq!(viewer.readable(SEGMENT), (0, true));
}

#[test]
fn a_server_that_never_gets_farther_is_given_up() {
    let (mut viewer, mut now, mut fetch) = asking();
    let mut requests = 0;
    loop {
        requests += 1;
        assert!(requests < 20, "asked for ever");
        // It knows no ranges and always breaks off at the same place.
        viewer.handle_http_start(now, fetch, 0, Some(100));
        viewer.handle_http_bytes(now, fetch, 40);
        viewer.handle_http_failure(now, fetch, FetchFailure::Failed);
        now += secs(20);
        viewer.handle_timeout();
        match asked(&mut viewer, now) {
            Some((next, 40)) => fetch = next,
            Some((_, offset)) => panic!("asked from {offset}"),
            None => break,
        }
    }
    assert_eq!(requests, 4);
}

#[test]
fn an_origin_that_fails_may_be_well_again_before_playback_needs_it() {
    let (mut viewer, mut now, mut fetch) = asking();
    let start = now;
    // The output is ten seconds ahead of playback.
    let spec =
        SegmentSpec { id: SEGMENT, start: secs(10), duration: secs(4), size: None, names: None, pace: None };
    viewer.handle_segments([spec].into(), false);
    viewer.handle_playback(now, Duration::ZERO, true);
    let mut requests = 0;
    let given_up = loop {
        requests += 1;
        viewer.handle_http_failure(now, fetch, FetchFailure::Failed);
        let mut next = None;
        while next.is_none() {
            while let Some(action) = viewer.poll_action(now) {
                match action {
                    Action::Fetch { fetch, .. } => next = Some(Some(fetch)),
                    Action::Unavailable { .. } => next = Some(None),
                    _ => {}
                }
            }
            if next.is_none() {
                now =
                    viewer.poll_timeout().expect("it is looked at again").max(now) + Duration::from_millis(1);
                viewer.handle_timeout();
            }
        }
        match next.flatten() {
            Some(next) => fetch = next,
            None => break now - start,
        }
    };
    assert!(given_up >= secs(10), "given up after {given_up:?}");
    assert!((6..12).contains(&requests), "{requests} requests");
}

#[test]
fn parts_of_two_versions_are_not_joined() {
    let (mut viewer, mut now, fetch) = asking();
    viewer.handle_http_start(now, fetch, 0, Some(100));
    viewer.handle_http_bytes(now, fetch, 40);
    viewer.handle_http_failure(now, fetch, FetchFailure::Failed);
    now += secs(20);
    viewer.handle_timeout();
    let (fetch, offset) = asked(&mut viewer, now).expect("another request");
    assert_eq!(offset, 40);
    assert!(!viewer.handle_http_start(now, fetch, 40, Some(90)), "another version");
    assert_eq!(asked(&mut viewer, now).map(|(_, offset)| offset), Some(0));
    assert_eq!(viewer.readable(SEGMENT), (0, false));
}

#[test]
fn the_end_of_a_body_says_how_long_the_segment_is() {
    for said in [100, 30] {
        let (mut viewer, now, fetch) = asking();
        viewer.handle_peer_open(now, PEER, PeerId(*b"-GP0001-bbbbbbbbbbbb"));
        // A peer has brought some of it, and says there is more or less than there is.
        let holding = viewer.holdings.get_mut(&SEGMENT).expect("wanted");
        holding.total = Some(said);
        holding.place_peer(Contributor { peer: PEER, relayed: false }, 0, said.min(80));
        viewer.handle_http_start(now, fetch, 0, None);
        viewer.handle_http_bytes(now, fetch, 60);
        viewer.handle_http_end(now, fetch);
        assert_eq!(viewer.readable(SEGMENT), (60, true), "a peer said {said}");
        assert_eq!(asked(&mut viewer, now), None);
    }
}

/// Another stream goes on after it: what is under way beyond must not take the line from that.
#[test]
fn what_is_wanted_no_longer_is_left_at_once() {
    let (mut viewer, now, first) = asking();
    let spec = |n: u32| SegmentSpec {
        id: SegmentId(i64::from(n)),
        start: secs(4) * n,
        duration: secs(4),
        size: None,
        names: None,
        pace: None,
    };
    viewer.handle_segments((0..3).map(spec).collect(), false);
    viewer.handle_http_start(now, first, 0, Some(100));
    viewer.handle_http_bytes(now, first, 100);
    let (second, _) = asked(&mut viewer, now).expect("the next one");
    viewer.handle_http_start(now, second, 0, Some(100));
    viewer.handle_http_bytes(now, second, 40);
    viewer.handle_segments([spec(0)].into(), false);
    viewer.handle_end(SegmentId(0));
    let actions: Vec<Action> = std::iter::from_fn(|| viewer.poll_action(now)).collect();
    assert!(actions.contains(&Action::CancelFetch { fetch: second }), "{actions:?}");
    // The switch is called off: what has come is still there.
    viewer.handle_segments((0..3).map(spec).collect(), false);
    let mut asked = Vec::new();
    while let Some(action) = viewer.poll_action(now) {
        if let Action::Fetch { segment, offset, .. } = action {
            asked.push((segment, offset));
        }
    }
    assert!(asked.iter().any(|(_, offset)| *offset == 40), "{asked:?}");
}
