// SPDX-License-Identifier: MPL-2.0

//! What a session tells of itself.

use std::time::Duration;

use crate::viewer::Counters;

/// Counters since the session began, and gauges.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub counters: Counters,
    /// Times that playback came to the end of what had been pushed.
    pub stalls: u64,
    pub stalled_time: Duration,
    /// Segments that live playback had to leave out.
    pub skipped_segments: u64,
    /// Viewers of this stream as the tracker counts them.
    pub swarm_size: u64,
    /// Media ahead of the playback position, held or pushed.
    pub buffer_level: Duration,
    /// From the session's start to the first byte handed downstream.
    pub startup_time: Option<Duration>,
    /// How far playback is behind what the publisher is making; None where it is not live or nothing is shown yet.
    pub live_latency: Option<Duration>,
    /// Estimated HTTP throughput, bits/s; 0 while unknown.
    pub http_rate: u64,
    /// Segment bytes held at present, for playback and for peers.
    pub memory: u64,
    /// URL of the media playlist in use.
    pub variant_uri: String,
    /// Its BANDWIDTH, bits/s; 0 for a bare media playlist.
    pub variant_bandwidth: u64,
    /// The pathway or service location that it is on, where the presentation names one.
    pub pathway: Option<String>,
    /// Times that playback went on with another variant.
    pub variant_switches: u64,
    pub peers: Vec<PeerStats>,
}

/// What two viewers of one session count together.
pub fn sum(a: Counters, b: Counters) -> Counters {
    Counters {
        http_bytes: a.http_bytes + b.http_bytes,
        peer_bytes: a.peer_bytes + b.peer_bytes,
        upload_bytes: a.upload_bytes + b.upload_bytes,
        wasted_bytes: a.wasted_bytes + b.wasted_bytes,
        rejected_bytes: a.rejected_bytes + b.rejected_bytes,
        elected: a.elected + b.elected,
        backups: a.backups + b.backups,
        last_calls: a.last_calls + b.last_calls,
        hedges: a.hedges + b.hedges,
        banned_peers: a.banned_peers + b.banned_peers,
    }
}

/// One peer with an open channel.
#[derive(Clone, Debug, Default)]
pub struct PeerStats {
    pub id: String,
    /// Segment bytes from it.
    pub downloaded: u64,
    /// Segment bytes to it.
    pub uploaded: u64,
    /// Recent download rate, bits/s.
    pub rate: u64,
    pub round_trip: Option<Duration>,
}

/// Counts the times that playback runs dry.
#[derive(Debug, Default)]
pub struct StallMeter {
    since: Option<Duration>,
    pub stalls: u64,
    pub stalled_time: Duration,
}

impl StallMeter {
    /// Playback goes on when this much has been pushed beyond its position.
    const ENOUGH: Duration = Duration::from_millis(500);

    /// `now` on any steady clock; `pushed` is the end of what went out, `ended` that nothing follows.
    pub fn update(
        &mut self,
        now: Duration,
        position: Duration,
        playing: bool,
        pushed: Duration,
        ended: bool,
    ) {
        match self.since {
            None if playing && !ended && pushed <= position => {
                self.stalls += 1;
                self.since = Some(now);
            }
            Some(since) if ended || pushed > position + Self::ENOUGH => {
                self.stalled_time += now.saturating_sub(since);
                self.since = None;
            }
            _ => {}
        }
    }

    /// Playback was moved: what lies behind is no stall.
    pub fn reset(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_stall_is_counted_once_and_timed() {
        let mut meter = StallMeter::default();
        meter.update(s(1.0), s(1.0), true, s(4.0), false);
        meter.update(s(4.0), s(4.0), true, s(4.0), false);
        meter.update(s(4.2), s(4.2), true, s(4.1), false);
        // The application has paused; the same stall goes on.
        meter.update(s(6.0), s(4.2), false, s(4.5), false);
        assert_eq!((meter.stalls, meter.stalled_time), (1, s(0.0)));
        meter.update(s(7.0), s(4.2), false, s(6.0), false);
        assert_eq!((meter.stalls, meter.stalled_time), (1, s(3.0)));
    }

    #[test]
    fn the_end_is_no_stall() {
        let mut meter = StallMeter::default();
        meter.update(s(10.0), s(10.0), true, s(10.0), true);
        assert_eq!(meter.stalls, 0);
    }
}
