// SPDX-License-Identifier: MPL-2.0

//! A look at playback a few times a second, and the statistics.

use std::time::Instant;

use url::Url;

use super::Driver;
use crate::engine::report::PeerStats;
use crate::swarm::tracker_messages::Traffic;

impl Driver {
    pub(super) fn tick(&mut self) {
        self.watch_swarm();
        let now = Instant::now();
        let playback = self.config.clock.playback();
        let position = playback.map_or(self.pump.pushed, |p| p.position);
        if let Some(playback) = playback {
            self.viewer.handle_playback(now, playback.position, playback.playing);
            let since_start = now.saturating_duration_since(self.started);
            let ended = self.pump.has_ended();
            self.stalls.update(since_start, position, playback.playing, self.pump.pushed, ended);
        }
        let counters = self.viewer.counters();
        if let Some(mesh) = &mut self.mesh {
            mesh.set_traffic(Traffic {
                peers: counters.peer_bytes,
                http: counters.http_bytes,
                uploaded: counters.upload_bytes,
            });
        }
        let mesh = self.mesh.as_ref();
        let peers = self.viewer.peer_reports(now).into_iter().map(|peer| PeerStats {
            id: peer.id.to_string(),
            downloaded: peer.downloaded,
            uploaded: peer.uploaded,
            rate: (peer.rate * 8.0) as u64,
            round_trip: mesh.and_then(|mesh| mesh.sender(peer.key)).and_then(|sender| sender.round_trip()),
        });
        let peers = peers.collect();
        let buffered = self.viewer.buffered_until().unwrap_or(self.pump.pushed).max(self.pump.pushed);
        let mut shared = self.shared.lock();
        let stats = &mut shared.stats;
        stats.counters = counters;
        stats.stalls = self.stalls.stalls;
        stats.stalled_time = self.stalls.stalled_time;
        stats.skipped_segments = self.skipped;
        stats.swarm_size = self.swarm_size.unwrap_or(0);
        stats.buffer_level = buffered.saturating_sub(position);
        stats.startup_time = self.startup;
        stats.http_rate = self.viewer.http_rate().map_or(0, |rate| (rate * 8.0) as u64);
        stats.memory = self.viewer.memory();
        stats.variant_uri = self.playlist_url.as_ref().map(Url::to_string).unwrap_or_default();
        stats.variant_bandwidth = self.variant.as_ref().map_or(0, |v| v.bandwidth);
        stats.peers = peers;
    }
}
