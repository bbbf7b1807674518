// SPDX-License-Identifier: MPL-2.0

//! What a world must keep to, whatever its viewers do, and what its viewers must keep to in any world.

mod worlds;

use std::sync::Mutex;

use super::scenario::{BrownOut, Class, Kind};
use super::tally::Tally;
use super::time::to_seconds;
use super::*;

fn audience(viewers: u32, duration: f64) -> Scenario {
    let mut world = Scenario { viewers, duration, warm_up: 20.0, ..Scenario::default() };
    world.arrivals.over = 5.0;
    world
}

fn tally(scenario: &Scenario, options: Options) -> Tally {
    run(scenario, &options).expect("it can be run").tally
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let mut world = audience(200, 40.0);
    world.churn.per_minute = 0.5;
    world.households.share = 0.4;
    world.network.isp_edge = 50.0;
    let with = |threads| tally(&world, Options { threads, ..Options::default() });
    let one = with(1);
    assert!(one.counted.peers > 0 && one.left > 0 && one.household > 0);
    assert_eq!(one, with(2));
    assert_eq!(one, with(3));
    assert_ne!(one, tally(&world, Options { seed: 2, ..Options::default() }));
}

#[test]
fn no_byte_is_lost_sight_of() {
    let mut world = audience(60, 60.0);
    world.churn.per_minute = 0.5;
    let t = tally(&world, Options::default());
    assert!(t.lost > 0 && t.counted.peers > t.counted.http);
    assert_eq!(t.peer_sent, t.peer_delivered + t.lost + t.in_flight);
    assert_eq!(t.http_sent, t.http_delivered + t.http_lost + t.http_in_flight);
    // The viewers count the same as the world does.
    assert_eq!(t.counted.uploaded, t.peer_sent);
    assert_eq!(t.counted.http, t.http_delivered);
    assert_eq!(t.counted.peers, t.timeline.iter().map(|m| m.peers).sum::<u64>());
    assert!(t.counted.peers + t.counted.wasted <= t.peer_delivered + t.http_delivered);
    assert!(t.http_sent == t.segments.values().map(|s| s.bytes).sum::<u64>());
}

/// One viewer of a stream whose segments are all alike.
fn alone(down: f64, cdn: f64, duration: f64) -> Scenario {
    let mut world = audience(1, duration);
    world.stream.kind = Kind::Vod;
    world.stream.length = 400.0;
    world.stream.variation = 0.0;
    world.arrivals.over = 0.0;
    world.churn.per_minute = 0.0;
    world.viewer.preroll = 0.0;
    world.cdn.latency = [20.0, 20.0];
    world.cdn.rate = cdn;
    world.population = vec![Class { share: 1.0, up: 10.0, down }];
    world
}

#[test]
fn http_alone_takes_the_time_it_takes() {
    let t = tally(&alone(100.0, 50.0, 100.0), Options { p2p: false, ..Options::default() });
    // Four latencies to the playlist, one to the first byte, and 2 MB at 50 Mbit/s.
    let by_hand = 4 * 20 + 20 + 320;
    let startup = t.watched[0].startup.unwrap();
    assert!((by_hand..=by_hand + 1).contains(&startup), "{startup} ms");
    assert_eq!((t.stalls, t.counted.peers, t.peer_sent), (0, 0, 0));
    assert!((to_seconds(t.played) - (100.0 - 0.42)).abs() < 0.01, "{}", t.played);
    // What was shown, and the buffer ahead of it.
    let segments = t.counted.http as f64 / 2e6;
    // The player holds five seconds and the segment that does not fit whole.
    let wanted = |ahead: f64| (to_seconds(t.played) + ahead + 30.0) / 4.0;
    assert!((wanted(0.0) - 1.0..wanted(9.0) + 1.0).contains(&segments), "{segments} of {}", wanted(9.0));
}

#[test]
fn a_link_below_the_bitrate_stalls_as_much_as_it_must() {
    // 3 Mbit/s for a stream of 4: a quarter of the time is waiting.
    let t = tally(&alone(3.0, 50.0, 300.0), Options { p2p: false, ..Options::default() });
    assert!((t.rebuffering() - 0.25).abs() < 0.02, "{}", t.rebuffering());
    let received = t.counted.http as f64 * 8.0 / 1e6;
    assert!(received <= 3.0 * 300.0, "{received} Mbit over a link of 3 Mbit/s in 300 s");
    assert!(received >= 3.0 * 295.0, "{received} Mbit: the link stood idle");
}

#[test]
fn a_buffer_lasts_as_long_as_it_lasts() {
    let mut world = alone(100.0, 50.0, 100.0);
    world.viewer.buffer = 12.0;
    let mut down_for = |seconds| {
        world.cdn.brown_out = vec![BrownOut { from: 40.0, to: 40.0 + seconds, errors: 1.0, rate: 1.0 }];
        tally(&world, Options { p2p: false, ..Options::default() })
    };
    let short = down_for(5.0);
    assert_eq!((short.stalls, short.unavailable), (0, 0));
    assert!(short.segments.values().any(|s| s.whole > 1), "requests failed and were made again");
    // Film cannot leave anything out: who has to give a segment up, waits for ever.
    let long = down_for(40.0);
    let stalled = to_seconds(long.stalled);
    assert_eq!((long.stalls, long.unavailable), (1, 1));
    assert!((100.0 - 40.0 - 12.0 - 9.0..=100.0 - 40.0 - 12.0 + 4.0).contains(&stalled), "{stalled} s");
}

#[test]
fn nobody_takes_wrong_bytes_for_good_for_long() {
    let mut world = audience(60, 60.0);
    world.misbehaviour.polluters = 0.1;
    let t = tally(&world, Options::default());
    assert!(t.counted.rejected > 0 && t.dropped.values().any(|[_, bad]| *bad > 0));
    assert!(t.counted.peers > t.counted.rejected, "honest peers still help");
}

#[test]
fn the_trace_tells_where_a_segment_came_from_and_what_it_cost() {
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    trace::install(None, |line| LINES.lock().unwrap().push(line.into())).expect("nobody else logs");
    tally(&audience(40, 60.0), Options { trace: Some(5), ..Options::default() });
    let mut lines = std::mem::take(&mut *LINES.lock().unwrap());
    // Where a peer sends a segment without being asked, that may be before it is known to be wanted.
    let asked = lines.iter().find(|line| line.contains("asking peer")).expect("it takes some from peers");
    let number = |line: &str| Some(line.split_once(" segment ")?.1.split_once(':')?.0.to_owned());
    let segment = number(asked).expect("its number");
    lines.retain(|line| line.contains(&format!(" segment {segment}: ")));
    let line = |what: &str| {
        let found = lines.iter().position(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("no {what:?} in {lines:#?}"))
    };
    let (wanted, whole) = (line("wanted; playback needs it in"), line("whole with"));
    let asked = line("asking");
    assert!(wanted < asked && asked < whole, "{lines:#?}");
    let numbers = lines[whole].split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok());
    // Time, segment, size, time left; then bytes over HTTP, from peers and wasted.
    let [.., size, _, _, http, peers, wasted] = numbers.collect::<Vec<_>>()[..] else { panic!("{lines:#?}") };
    assert_eq!(http + peers, size + wasted, "{}", lines[whole]);
}

#[test]
fn of_parts_everybody_hears_at_once() {
    let mut world = alone(100.0, 50.0, 60.0);
    world.stream.kind = Kind::Live;
    (world.stream.segment, world.stream.hold_back) = (0.3, 2);
    let http_alone = |world: &Scenario| tally(world, Options { p2p: false, ..Options::default() });
    assert!(http_alone(&world).stalls > 0, "0.6 s behind, and looking twice a second");
    world.stream.parts_up_to = 0.5;
    let t = http_alone(&world);
    assert_eq!((t.stalls, t.skipped), (0, 0));
    // The playlist is asked for once for each part, and not in between.
    assert!((198..=200).contains(&t.playlist_loads), "{}", t.playlist_loads);
}

#[test]
fn a_shared_edge_slows_what_goes_through_it() {
    let mut world = audience(40, 40.0);
    world.network.isps = 1;
    world.arrivals.over = 0.0;
    // All of the CDN's bytes come through one edge: 40 viewers at 4 Mbit/s through 80.
    world.network.isp_edge = 80.0;
    let t = tally(&world, Options { p2p: false, ..Options::default() });
    let most = 80e6 / 8.0 * 40.0;
    assert!(t.http_delivered as f64 <= most * 1.02, "{} of {most}", t.http_delivered);
    assert!(t.http_delivered as f64 >= most * 0.7, "{} of {most}", t.http_delivered);
    assert!(t.rebuffering() > 0.1);
}
