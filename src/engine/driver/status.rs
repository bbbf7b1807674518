// SPDX-License-Identifier: MPL-2.0

//! A look at playback a few times a second, and the statistics.

use std::time::{Duration, Instant};

use url::Url;

use super::Driver;
use crate::engine::report::{self, PeerStats};
use crate::swarm::tracker_messages::Traffic;
use crate::viewer::Counters;

impl Driver {
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let playback = self.config.clock.playback();
        let position = playback.map_or(self.pump.pushed, |p| p.position);
        if let Some(playback) = playback {
            let since_start = now.saturating_duration_since(self.started);
            let ended = self.pump.has_ended();
            let before = self.stalls.stalls;
            // What is going out has not all gone out: downstream has as much as it wants.
            let playing = playback.playing && self.pump.is_drained();
            let out = self.stream.as_ref().map_or(self.pump.pushed, |stream| {
                let bandwidth = stream.variant.as_ref().map_or(0, |variant| variant.bandwidth);
                self.pump.out_until(&stream.timeline, bandwidth)
            });
            self.stalls.update(since_start, position, playing, out, ended);
            if self.stalls.stalls > before {
                log::warn!(target: "p2phls-engine", "playback has run dry at {position:?}");
            }
        }
        for stream in [&mut self.stream, &mut self.next].into_iter().flatten() {
            stream.watch_swarm();
            if let Some(playback) = playback {
                stream.viewer.handle_playback(now, playback.position, playback.playing);
            }
            let counters = stream.viewer.counters();
            if let Some(mesh) = &mut stream.mesh {
                mesh.set_traffic(Traffic {
                    peers: counters.peer_bytes,
                    http: counters.http_bytes,
                    uploaded: counters.upload_bytes,
                });
            }
        }
        let counters = self.streams().fold(self.counters, |sum, s| report::sum(sum, s.viewer.counters()));
        let memory = self.streams().map(|stream| stream.viewer.memory()).sum();
        let buffered = self.buffered();
        let Some(stream) = &self.stream else { return };
        let mesh = stream.mesh.as_ref();
        let peers = stream.viewer.peer_reports(now).into_iter().map(|peer| PeerStats {
            id: peer.id.to_string(),
            downloaded: peer.downloaded,
            uploaded: peer.uploaded,
            rate: (peer.rate * 8.0) as u64,
            round_trip: mesh.and_then(|mesh| mesh.sender(peer.key)).and_then(|sender| sender.round_trip()),
        });
        let peers = peers.collect();
        let mut shared = self.shared.lock();
        let stats = &mut shared.stats;
        stats.counters = counters;
        stats.stalls = self.stalls.stalls;
        stats.stalled_time = self.stalls.stalled_time;
        stats.skipped_segments = self.skipped;
        stats.swarm_size = stream.swarm_size.unwrap_or(0);
        stats.buffer_level = buffered.saturating_sub(position);
        stats.startup_time = self.startup;
        stats.http_rate = stream.viewer.http_rate().map_or(stats.http_rate, |rate| (rate * 8.0) as u64);
        stats.memory = memory;
        stats.variant_uri = Url::to_string(&stream.playlist_url);
        stats.variant_bandwidth = stream.variant.as_ref().map_or(0, |v| v.bandwidth);
        stats.variant_switches = self.switching.count;
        stats.peers = peers;
    }

    /// How far playback is safe.
    pub(super) fn buffered(&self) -> Duration {
        let held = self.streams().filter_map(|stream| stream.viewer.buffered_until()).max();
        held.unwrap_or_default().max(self.pump.pushed)
    }

    /// The counters of the streams that are not played any more, with those of one more.
    pub(super) fn counters_with(&self, counters: Counters) -> Counters {
        report::sum(self.counters, counters)
    }
}
