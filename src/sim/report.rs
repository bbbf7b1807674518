// SPDX-License-Identifier: MPL-2.0

//! What has come of a world, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::tally::{STEP, Tally, share};
use super::time::{from_seconds, to_seconds};
use super::world::Outcome;

/// The figures of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub scenario: String,
    pub seed: u64,
    pub p2p: bool,
    /// Seats.
    pub viewers: u32,
    /// Seconds.
    pub duration: f64,
    /// Seconds.
    pub segment: f64,
    /// Segments.
    pub hold_back: u32,
    /// All who were there, one after the other.
    pub joined: u64,
    pub peer_efficiency: f64,
    pub peer_efficiency_after_warm_up: f64,
    /// 1 - 1/N: somebody must fetch each byte once.
    pub ceiling: f64,
    pub rebuffer_ratio: f64,
    pub viewers_with_stall: f64,
    pub stalls: u64,
    pub never_started: u64,
    pub skipped_segments: u64,
    /// Seconds.
    pub startup_median: f64,
    /// Seconds.
    pub startup_p95: f64,
    /// Mean over the segments after warm-up: requests of any kind, and copies' worth of bytes.
    pub origin_requests_per_segment: f64,
    pub origin_copies_per_segment: f64,
    pub elected: u64,
    pub backups: u64,
    pub last_calls: u64,
    pub hedges: u64,
    pub http_bytes: u64,
    pub peer_bytes: u64,
    pub wasted_bytes: u64,
    pub rejected_bytes: u64,
    pub lost_bytes: u64,
    pub border_bytes: u64,
    pub household_bytes: u64,
    /// Mean number of peers of a viewer that plays.
    pub peers: f64,
    pub dropped_honest_peers: u64,
    pub dropped_bad_peers: u64,
    /// By reason, honest and bad.
    pub dropped: BTreeMap<&'static str, [u64; 2]>,
    pub playlist_loads: u64,
    pub announces: u64,
    pub commands: u64,
    pub events: u64,
    pub events_per_viewer_minute: f64,
    /// Seconds.
    pub took: f64,
    pub cpu: Option<f64>,
    pub cpu_microseconds_per_event: Option<f64>,
    pub peak_memory: Option<u64>,
    pub timeline: Vec<TimelinePoint>,
}

/// What happened within ten seconds.
#[derive(Clone, Debug, Serialize)]
pub struct TimelinePoint {
    /// Seconds at which they began.
    pub at: f64,
    pub peer_efficiency: f64,
    pub rebuffer_ratio: f64,
    /// Of who joined then, in seconds.
    pub startup_median: Option<f64>,
    pub startup_p95: Option<f64>,
    pub viewers: f64,
    pub peers: f64,
    pub http_bytes: u64,
    pub peer_bytes: u64,
    pub border_bytes: u64,
}

impl Report {
    pub fn new(outcome: &Outcome) -> Self {
        let Outcome { scenario, options, tally, .. } = outcome;
        let warm_up = from_seconds(scenario.warm_up);
        let looks = tally.timeline.iter().map(|m| m.playing + m.stalled).sum();
        let links = tally.timeline.iter().map(|m| m.links).sum();
        let viewer_minutes = to_seconds(tally.played + tally.stalled) / 60.0;
        let cpu = outcome.cpu.map(|cpu| cpu.as_secs_f64());
        let (requests, copies) = origin_load(outcome);
        Self {
            scenario: scenario.name.clone(),
            seed: options.seed,
            p2p: options.p2p,
            viewers: scenario.viewers,
            duration: scenario.duration,
            segment: scenario.stream.segment,
            hold_back: scenario.stream.hold_back,
            joined: tally.joined,
            peer_efficiency: tally.peer_efficiency(0),
            peer_efficiency_after_warm_up: tally.peer_efficiency(warm_up),
            ceiling: 1.0 - 1.0 / f64::from(scenario.viewers),
            rebuffer_ratio: tally.rebuffering(),
            viewers_with_stall: share(tally.with_stall, tally.watchers),
            stalls: tally.stalls,
            never_started: tally.never_started,
            skipped_segments: tally.skipped,
            startup_median: tally.startup(0.5),
            startup_p95: tally.startup(0.95),
            origin_requests_per_segment: requests,
            origin_copies_per_segment: copies,
            elected: tally.counted.elected,
            backups: tally.counted.backups,
            last_calls: tally.counted.last_calls,
            hedges: tally.counted.hedges,
            http_bytes: tally.http_delivered,
            peer_bytes: tally.counted.peers,
            wasted_bytes: tally.counted.wasted,
            rejected_bytes: tally.counted.rejected,
            lost_bytes: tally.lost + tally.http_lost,
            border_bytes: tally.border,
            household_bytes: tally.household,
            peers: share(links, looks),
            dropped_honest_peers: tally.dropped.values().map(|[honest, _]| honest).sum(),
            dropped_bad_peers: tally.dropped.values().map(|[_, bad]| bad).sum(),
            dropped: tally.dropped.clone(),
            playlist_loads: tally.playlist_loads,
            announces: outcome.announces,
            commands: tally.commands,
            events: tally.events,
            events_per_viewer_minute: tally.events as f64 / viewer_minutes.max(1e-9),
            took: outcome.took.as_secs_f64(),
            cpu,
            cpu_microseconds_per_event: cpu.map(|cpu| cpu * 1e6 / (tally.events as f64).max(1.0)),
            peak_memory: outcome.peak_memory,
            timeline: timeline(tally),
        }
    }

    /// The figures under each other, runs beside each other.
    pub fn table(reports: &[Self]) -> String {
        let mut table = String::new();
        let percent = |share: f64| format!("{:.3} %", share * 100.0);
        let size = |bytes: u64| format!("{:.2} GB", bytes as f64 / 1e9);
        type Cell<'a> = &'a dyn Fn(&Report) -> String;
        let rows: &[(&str, Cell)] = &[
            ("scenario", &|r| r.scenario.clone()),
            ("seed", &|r| r.seed.to_string()),
            ("peer to peer", &|r| if r.p2p { "on" } else { "off" }.into()),
            ("viewers (in all)", &|r| format!("{} ({})", r.viewers, r.joined)),
            ("segments, hold-back", &|r| format!("{} s, {}", r.segment, r.hold_back)),
            ("peer efficiency", &|r| percent(r.peer_efficiency)),
            ("  after warm-up", &|r| percent(r.peer_efficiency_after_warm_up)),
            ("  ceiling 1-1/N", &|r| percent(r.ceiling)),
            ("rebuffering", &|r| percent(r.rebuffer_ratio)),
            ("viewers with a stall", &|r| percent(r.viewers_with_stall)),
            ("segments skipped", &|r| r.skipped_segments.to_string()),
            ("startup, median", &|r| format!("{:.2} s", r.startup_median)),
            ("startup, p95", &|r| format!("{:.2} s", r.startup_p95)),
            ("never started", &|r| r.never_started.to_string()),
            ("origin requests/segment", &|r| format!("{:.1}", r.origin_requests_per_segment)),
            ("origin copies/segment", &|r| format!("{:.1}", r.origin_copies_per_segment)),
            ("fetches elected/backup", &|r| format!("{}/{}", r.elected, r.backups)),
            ("fetches at last call", &|r| r.last_calls.to_string()),
            ("hedges", &|r| r.hedges.to_string()),
            ("from HTTP", &|r| size(r.http_bytes)),
            ("from peers", &|r| size(r.peer_bytes)),
            ("wasted", &|r| size(r.wasted_bytes)),
            ("rejected", &|r| size(r.rejected_bytes)),
            ("over ISP borders", &|r| size(r.border_bytes)),
            ("peers of a viewer", &|r| format!("{:.1}", r.peers)),
            ("dropped honest/bad peers", &|r| format!("{}/{}", r.dropped_honest_peers, r.dropped_bad_peers)),
            ("events", &|r| format!("{:.1} M", r.events as f64 / 1e6)),
            ("  per viewer-minute", &|r| format!("{:.0}", r.events_per_viewer_minute)),
            ("commands", &|r| format!("{:.1} M", r.commands as f64 / 1e6)),
            ("took (CPU)", &|r| format!("{:.1} s ({:.1} s)", r.took, r.cpu.unwrap_or(f64::NAN))),
            ("  CPU per event", &|r| {
                r.cpu_microseconds_per_event.map_or_else(String::new, |us| format!("{us:.2} us"))
            }),
            ("peak memory", &|r| r.peak_memory.map_or_else(String::new, size)),
        ];
        for (name, cell) in rows {
            // Writing to a string cannot fail.
            let _ = write!(table, "{name:<26}");
            for report in reports {
                let _ = write!(table, "{:>22}", cell(report));
            }
            table.push('\n');
        }
        table
    }
}

/// Requests and copies' worth of bytes for each segment, those of the warm-up and the last few left out.
fn origin_load(outcome: &Outcome) -> (f64, f64) {
    let Outcome { scenario, tally, .. } = outcome;
    let stream = super::stream::Stream::new(&scenario.stream, outcome.options.seed);
    let first = if stream.live { stream.newest(from_seconds(scenario.warm_up)) } else { 0 };
    let last = stream.newest(from_seconds(scenario.duration));
    let last = if stream.live { last.saturating_sub(stream.hold_back) } else { last };
    let (mut segments, mut requests, mut copies) = (0.0, 0, 0.0);
    for segment in first..=last {
        segments += 1.0;
        if let Some(load) = tally.segments.get(&segment) {
            requests += load.whole + load.ranged;
            copies += load.bytes as f64 / stream.size(segment) as f64;
        }
    }
    if segments > 0.0 { (requests as f64 / segments, copies / segments) } else { (f64::NAN, f64::NAN) }
}

fn timeline(tally: &Tally) -> Vec<TimelinePoint> {
    let step = to_seconds(STEP);
    let mut startups: Vec<Vec<u32>> = vec![Vec::new(); tally.timeline.len()];
    for watched in &tally.watched {
        if let Some(of_then) = startups.get_mut((f64::from(watched.joined) / 1000.0 / step) as usize) {
            of_then.extend(watched.startup);
        }
    }
    let point = |(index, moment): (usize, &super::tally::Moment)| {
        let of_then = &mut startups[index];
        of_then.sort_unstable();
        let rank = |share: f64| {
            let rank = (share * (of_then.len().max(1) - 1) as f64).round() as usize;
            of_then.get(rank).map(|startup| f64::from(*startup) / 1000.0)
        };
        TimelinePoint {
            at: index as f64 * step,
            peer_efficiency: share(moment.peers, moment.http + moment.peers),
            rebuffer_ratio: share(moment.stalled, moment.playing + moment.stalled),
            startup_median: rank(0.5),
            startup_p95: rank(0.95),
            viewers: (moment.playing + moment.stalled) as f64 / step,
            peers: share(moment.links, moment.playing + moment.stalled),
            http_bytes: moment.http,
            peer_bytes: moment.peers,
            border_bytes: moment.border,
        }
    };
    tally.timeline.iter().enumerate().map(point).collect()
}
