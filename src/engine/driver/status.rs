// SPDX-License-Identifier: MPL-2.0

//! A look at playback a few times a second, and the statistics.

use std::time::{Duration, Instant};

use url::Url;

use super::Driver;
use super::track::Track;
use crate::engine::report::{self, PeerStats};
use crate::engine::stream::Stream;
use crate::net::cmcd::Status;
use crate::swarm::tracker_messages::Traffic;
use crate::viewer::Counters;

impl Driver {
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let playback = self.config.clock.playback();
        let pushed = self.pushed();
        let position = playback.map_or(pushed, |p| p.position);
        self.set_rate(playback.map_or(self.rate, |playback| playback.rate));
        if let Some(playback) = playback.filter(|_| !self.is_by_key_frames()) {
            let since_start = now.saturating_duration_since(self.started);
            let ended = self.tracks.main.pump.has_ended();
            let before = self.stalls.stalls;
            // An application that waits as it is asked to has paused by now.
            let playing = playback.playing || self.was_playing;
            self.stalls.update(since_start, position, playing, self.out(), ended);
            if self.stalls.stalls > before {
                log::warn!(target: "p2phls-engine", "playback has run dry at {position:?}");
                self.latency.run_dry();
            }
            self.was_playing = playback.playing;
            if playback.playing {
                self.hold_latency(now, position);
            }
        }
        for stream in self.streams_mut() {
            stream.watch_swarm();
            stream.look_after_hints();
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
        self.write_statistics();
        self.tell_cdn();
    }

    /// Shows how things stand now.
    pub(super) fn write_statistics(&self) {
        let now = Instant::now();
        let playback = self.config.clock.playback();
        let position = playback.map_or(self.pushed(), |playback| playback.position);
        let counters = self.tracks.iter().map(Track::counters).fold(Counters::default(), report::sum);
        let memory = self.streams().map(|stream| stream.viewer.memory()).sum();
        let skipped = self.tracks.iter().map(|track| track.skipped).sum();
        let buffered = self.buffered();
        let peers = self.tracks.iter().filter_map(|track| track.stream.as_ref());
        let peers = peers.flat_map(|stream| peers_of(stream, now)).collect();
        let Some(stream) = &self.tracks.main.stream else { return };
        let is_shown = playback.is_some() && stream.timeline.is_live();
        let latency =
            self.latency.behind(now, position, stream.timeline.piece_duration()).filter(|_| is_shown);
        let mut shared = self.shared.lock();
        let stats = &mut shared.stats;
        stats.counters = counters;
        stats.stalls = self.stalls.stalls;
        stats.stalled_time = self.stalls.stalled_time;
        stats.skipped_segments = skipped;
        stats.swarm_size = stream.swarm_size.unwrap_or(0);
        stats.buffer_level = buffered.saturating_sub(position);
        stats.startup_time = self.startup;
        stats.live_latency = latency;
        stats.http_rate = stream.viewer.http_rate().map_or(stats.http_rate, |rate| (rate * 8.0) as u64);
        stats.memory = memory;
        stats.variant_uri = Url::to_string(&stream.playlist_url);
        stats.variant_bandwidth = stream.variant.as_ref().map_or(0, |v| v.bandwidth);
        stats.pathway = stream.variant.as_ref().and_then(|v| v.pathway_id.clone());
        stats.variant_switches = self.switching.count;
        stats.peers = peers;
    }

    /// Lets requests tell how playback stands.
    pub(super) fn tell_cdn(&self) {
        let (Some(cmcd), Some(stream)) = (&self.cmcd, &self.tracks.main.stream) else { return };
        let shared = self.shared.lock();
        let variants = self.presentation.iter().flat_map(|presentation| &presentation.variants);
        let bitrates = variants.map(|variant| variant.bandwidth);
        let format = self.presentation.as_ref().map(|presentation| presentation.format).unwrap_or_default();
        cmcd.set_status(Status {
            format: Some(format.in_cmcd()),
            live: Some(stream.timeline.is_live()),
            position: self.position(),
            rate: self.rate,
            playing: self.config.clock.playback().map(|playback| playback.playing),
            throughput: shared.stats.http_rate,
            top_bitrate: bitrates.filter(|rate| self.switching.limits.allow(*rate)).max().unwrap_or(0),
            peer_efficiency: shared.stats.counters.peer_efficiency(),
            stalls: shared.stats.stalls,
        });
    }

    /// How far playback is safe.
    pub(super) fn buffered(&self) -> Duration {
        self.needed().map(Track::buffered).min().unwrap_or_default()
    }

    /// How far everything that playback needs has gone out.
    fn pushed(&self) -> Duration {
        self.needed().map(|track| track.pump.pushed).min().unwrap_or_default()
    }

    /// The same, within segments; as far as can be where downstream has not taken all yet.
    fn out(&self) -> Duration {
        self.needed().map(Track::out_until).min().unwrap_or_default()
    }

    fn needed(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|track| track.is_needed())
    }
}

/// The peers in a stream's swarm.
fn peers_of(stream: &Stream, now: Instant) -> impl Iterator<Item = PeerStats> {
    let mesh = stream.mesh.as_ref();
    stream.viewer.peer_reports(now).into_iter().map(move |peer| PeerStats {
        id: peer.id.to_string(),
        downloaded: peer.downloaded,
        uploaded: peer.uploaded,
        rate: (peer.rate * 8.0) as u64,
        round_trip: mesh.and_then(|mesh| mesh.sender(peer.key)).and_then(|sender| sender.round_trip()),
    })
}
