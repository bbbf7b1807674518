// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);
const LEVELS: [u64; 4] = [500_000, 1_000_000, 3_000_000, 6_000_000];

fn standing(buffered: u64, rate: u64, peers: usize) -> Standing {
    Standing {
        rate: Rate::NORMAL,
        buffered: S * buffered as u32,
        room: 30 * S,
        segment: 4 * S,
        begun: 0,
        requests: 1,
        http: Some(HttpRate { rate, hope: rate, latency: Duration::ZERO }),
        peers,
    }
}

fn adaptation(current: usize) -> Adaptation {
    Adaptation::new(LEVELS.to_vec(), current, 0.8)
}

/// Levels gone to, second by second, with the seconds.
fn run(adaptation: &mut Adaptation, seconds: u32, at: impl Fn(u32) -> Standing) -> Vec<(u32, usize)> {
    let start = Instant::now();
    let decide = |n| Some((n, adaptation.decide(start + S * n, &at(n))?.level));
    (0..seconds).filter_map(decide).collect()
}

#[test]
fn nothing_is_decided_before_something_is_measured() {
    let unknown = Standing { http: None, ..standing(30, 0, 3) };
    assert_eq!(run(&mut adaptation(1), 600, |_| unknown), []);
}

#[test]
fn up_it_goes_as_soon_as_there_is_time_for_the_first_segment() {
    // A segment of 12 Mbit over 4 Mbit/s, which may take a fifth longer, and 0.4 s.
    let filling = |n: u32| standing(n.into(), 4_000_000, 0);
    assert_eq!(run(&mut adaptation(0), 60, filling), [(4, 2)]);
    // Later half as long again, and a second.
    let begun = |level| {
        let mut begun = adaptation(level);
        begun.set(Instant::now(), level);
        begun
    };
    let filling = |n: u32| standing(n.saturating_sub(10).into(), 4_000_000, 0);
    assert_eq!(run(&mut begun(0), 60, filling), [(16, 2)]);
    let later = Instant::now() + 10 * S;
    // What is beyond may give way.
    let keep = 5 * S + S / 2;
    let step = begun(0).decide(later, &standing(20, 4_000_000, 0));
    assert_eq!(step, Some(Step { level: 2, keep, abandon: false }));
    // Those who have what is needed have to be found first.
    let step = begun(0).decide(later, &standing(20, 4_000_000, 3));
    assert_eq!(step, Some(Step { level: 2, keep: keep + SWARM, abandon: false }));
    // Hope is enough.
    let http = HttpRate { rate: 1_300_000, hope: 4_000_000, latency: Duration::ZERO };
    let step = begun(0).decide(later, &Standing { http: Some(http), ..standing(20, 0, 0) });
    assert_eq!(step.map(|step| step.level), Some(2));
}

#[test]
fn down_it_goes_when_the_segment_under_way_would_leave_too_little() {
    // A segment takes 12 s at level 2 and 2.4 s at level 0.
    let falling = |n: u32| standing(30u32.saturating_sub(n).into(), 1_000_000, 0);
    assert_eq!(run(&mut adaptation(2), 30, falling).first(), Some(&(16, 0)));
    // Half of it is there already.
    let begun = |n: u32| Standing { begun: 750_000, ..falling(n) };
    assert_eq!(run(&mut adaptation(2), 30, begun).first(), Some(&(22, 0)));
    // Another one takes half of the line.
    let shared = |n: u32| Standing { requests: 2, ..begun(n) };
    assert_eq!(run(&mut adaptation(2), 30, shared).first(), Some(&(16, 0)));
    // Not to the leanest, where what is in hand lasts with another.
    let slow = |n: u32| standing(30 - u64::from(n), 2_900_000, 0);
    assert_eq!(run(&mut adaptation(3), 30, slow).first(), Some(&(21, 2)));
    // A rate between what is sustained and what would be chosen changes nothing.
    for level in [1, 2] {
        let rate = (LEVELS[level] as f64 / 0.9) as u64;
        assert_eq!(run(&mut adaptation(level), 600, |n| standing((n % 30).into(), rate, 0)), []);
    }
}

#[test]
fn what_is_waited_for_can_become_late() {
    let mut adaptation = adaptation(2);
    let at = |buffered, begun, rate| Standing { begun, ..standing(buffered, rate, 0) };
    let step = adaptation.decide(Instant::now(), &at(13, 125_000, 1_000_000)).expect("a step");
    assert_eq!((step.level, step.abandon), (0, false));
    assert!(!adaptation.is_late(2, &at(12, 250_000, 1_000_000)));
    assert!(adaptation.is_late(2, &at(11, 300_000, 700_000)), "the line has become slower");
    assert!(!adaptation.is_late(2, &at(3, 1_450_000, 700_000)), "nothing comes sooner");
    assert!(!adaptation.is_late(0, &at(3, 0, 700_000)), "it is no step down");
}

#[test]
fn a_segment_that_would_be_late_is_left_and_one_that_would_not_is_waited_for() {
    let decide = |buffered, begun| {
        let standing = Standing { begun, ..standing(buffered, 1_000_000, 0) };
        adaptation(2).decide(Instant::now(), &standing).map(|step| step.abandon)
    };
    // Another 11 s for it.
    assert_eq!(decide(20, 125_000), None);
    assert_eq!(decide(13, 125_000), Some(false));
    assert_eq!(decide(9, 125_000), Some(true));
    // Another second: nothing comes sooner.
    assert_eq!(decide(1, 1_375_000), Some(false));
}

#[test]
fn near_the_live_edge_a_small_buffer_is_a_full_one() {
    let live =
        |buffered: u64, peers| Standing { room: 6 * S, segment: 2 * S, ..standing(buffered, 900_000, peers) };
    assert_eq!(run(&mut adaptation(2), 60, |_| live(6, 0)), []);
    assert_eq!(run(&mut adaptation(2), 60, |_| live(5, 1)), []);
    assert_eq!(run(&mut adaptation(2), 3, |_| live(3, 0)), [(0, 0)]);
    assert_eq!(run(&mut adaptation(2), 3, |_| live(3, 1)), [(0, 0)]);
    // And up it goes though there is never more ahead.
    let short = |buffered| Standing { room: 4 * S, ..standing(buffered, 1_300_000, 0) };
    assert_eq!(run(&mut adaptation(0), 3, |_| short(4)), [(0, 1)]);
}

#[test]
fn a_burst_from_a_neighbour_raises_nothing() {
    // The buffer is full for 15 s in a minute.
    let burst = |n: u32| standing(if n % 60 < 15 { 30 } else { 14 }, 1_300_000, 5);
    assert_eq!(run(&mut adaptation(1), 3_600, burst), []);
}

#[test]
fn peers_that_carry_for_long_are_tried_and_less_often_after_each_failure() {
    let mut tried = adaptation(1);
    // Whoever is above the floor loses what peers gave.
    let start = Instant::now();
    let mut switches = Vec::new();
    for n in 0..3_600 {
        let buffered = if tried.current() > 1 { 5 } else { 30 };
        let step = tried.decide(start + S * n, &standing(buffered, 1_300_000, 5));
        switches.extend(step.map(|step| (n, step.level)));
    }
    let ups: Vec<u32> = switches.iter().filter(|(_, level)| *level == 2).map(|(n, _)| *n).collect();
    assert!(ups.windows(3).take(4).all(|w| w[2] - w[1] > (w[1] - w[0]) * 3 / 2), "{ups:?}");
    assert!((2..12).contains(&ups.len()), "{ups:?}");
}

#[test]
fn about_equal_is_not_worth_leaving_a_swarm() {
    let levels = vec![1_000_000, 1_200_000];
    let mut alone = Adaptation::new(levels.clone(), 0, 0.8);
    assert_eq!(run(&mut alone, 60, |_| standing(30, 9_000_000, 0)), [(0, 1)]);
    let mut among_peers = Adaptation::new(levels, 0, 0.8);
    assert_eq!(run(&mut among_peers, 3_600, |_| standing(30, 9_000_000, 4)), []);
}

#[test]
fn what_did_not_work_is_not_tried_again_at_once() {
    let (mut adaptation, start) = (adaptation(0), Instant::now());
    let decide = |adaptation: &mut Adaptation, after| {
        Some(adaptation.decide(start + after, &standing(30, 4_000_000, 0))?.level)
    };
    assert_eq!(decide(&mut adaptation, Duration::ZERO), Some(2));
    adaptation.call_off(start, 0);
    assert_eq!(decide(&mut adaptation, REST / 2), None);
    assert_eq!(decide(&mut adaptation, REST), Some(2));
}

/// Twice the bits are needed in a second.
#[test]
fn at_twice_the_rate_http_sustains_half_the_bitrate() {
    let at = |rate, buffered, http| Standing {
        rate: Rate::new(rate).expect("a good rate"),
        ..standing(buffered, http, 0)
    };
    let level =
        |standing: Standing, from| adaptation(from).decide(Instant::now(), &standing).map(|step| step.level);
    assert_eq!([1.0, 2.0, 4.0].map(|rate| level(at(rate, 20, 8_000_000), 0)), [3, 2, 1].map(Some));
    assert_eq!([1.0, 0.5].map(|rate| level(at(rate, 20, 1_000_000), 0)), [None, Some(1)]);
    // What it could carry is too much now.
    let less = |level: Option<usize>| level.is_some_and(|level| level < 2);
    assert_eq!([1.0, 4.0].map(|rate| less(level(at(rate, 6, 4_500_000), 2))), [false, true]);
}

proptest! {
    /// Whatever peers do to the buffer, at a steady HTTP rate there are few switches, and none goes
    /// below what HTTP alone sustains.
    #[test]
    fn bursts_do_not_make_it_swing(
        rate in 100_000u64..10_000_000, first in 0usize..4,
        buffers in prop::collection::vec(0u64..31, 60), every in 1u32..60, peers in 0usize..20,
    ) {
        let mut adaptation = adaptation(first);
        let floor = adaptation.floor(rate);
        let at = |n: u32| standing(buffers[(n / every) as usize % buffers.len()], rate, peers);
        let switches = run(&mut adaptation, 3_600, at);
        prop_assert!(switches.iter().all(|(_, level)| *level >= floor), "{:?} at {}", switches, floor);
        // At most one up to the floor or down to it, then trials and their ends: a few an interval that doubles.
        prop_assert!(switches.len() <= 80, "{:?}", switches);
        for pair in switches.windows(2) {
            let up = pair[1].1 > pair[0].1;
            prop_assert!(!up || pair[1].0 - pair[0].0 >= REST.as_secs() as u32, "{:?}", switches);
        }
        if peers == 0 {
            // Up to the floor, or down to it by steps.
            prop_assert!(switches.len() < LEVELS.len(), "{:?}", switches);
        }
    }

    /// What playback would wait for is left where one of the floor comes sooner.
    #[test]
    fn nothing_that_is_late_is_waited_for(
        rate in 100_000u64..3_000_000, level in 1usize..4, buffered in 0u64..30, begun in 0u64..2_000_000,
    ) {
        let adaptation = adaptation(level);
        let standing = Standing { begun, ..standing(buffered, rate, 0) };
        let http = standing.http.expect("measured");
        let rest = adaptation.fetch(level, &standing, &http).as_secs_f64() - begun as f64 * 8.0 / rate as f64;
        let floor = adaptation.fetch(adaptation.floor(rate), &standing, &http).as_secs_f64();
        let unsustained = LEVELS[level] as f64 > rate as f64 * TIGHT && adaptation.floor(rate) < level;
        let step = adaptation.clone().decide(Instant::now(), &standing);
        if unsustained && rest > buffered as f64 && floor * 1.001 < rest {
            prop_assert!(step.is_some_and(|step| step.abandon), "{:?}", step);
        }
        if let Some(step) = step.filter(|step| step.abandon) {
            prop_assert!(adaptation.fetch(step.level, &standing, &http).as_secs_f64() < rest);
        }
    }
}
