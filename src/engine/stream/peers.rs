// SPDX-License-Identifier: MPL-2.0

//! The swarm: joining it, and what peers say, send and are sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use url::Url;

use super::{PlayedRendition, Stream};
use crate::engine::mesh::{Mesh, MeshConfig, MeshEvent, MeshInput};
use crate::engine::{P2pMode, SessionError};
use crate::manifest::Variant;
use crate::net::data_channel::{Connector, MESSAGE_SIZE, RtcConfig};
use crate::net::proxy::Proxies;
use crate::swarm::identity::{self, AudioAttributes, Scheme, StreamType, VariantAttributes};
use crate::swarm::wire::{self, Decoded, Decoder};
use crate::swarm::{Command, InfoHash, SegmentId};
use crate::viewer::PeerKey;

/// The swarm is waited for so long: a tracker's answer and a connection take about a second.
const SWARM_PATIENCE: Duration = Duration::from_secs(8);

impl Stream {
    /// Joins the swarm of those who play the same variant or rendition of the presentation at `url`.
    pub fn join_swarm(
        &mut self,
        url: &Url,
        tls: &rustls::ClientConfig,
        proxies: &Proxies,
    ) -> Result<(), SessionError> {
        if self.config.p2p == P2pMode::Off || self.config.trackers.is_empty() {
            return Ok(());
        }
        let rtc = RtcConfig {
            stun_server: self.config.stun_server.clone(),
            turn_servers: self.config.turn_servers.clone(),
            addresses: self.config.ice_addresses.clone(),
            ..RtcConfig::default()
        };
        let connector = Connector::new(rtc).map_err(|error| SessionError::Settings(error.to_string()))?;
        for server in connector.unsupported_servers() {
            log::warn!(target: "p2phls-swarm", "{server} is left out: only TURN and STUN over UDP are spoken");
        }
        let default_id = identity::default_swarm_id(url.as_str());
        let swarm_id = self.config.swarm_id.as_deref().unwrap_or(default_id);
        let (stream_type, properties) = match &self.rendition {
            Some(played) => (
                StreamType::Secondary,
                identity::secondary_properties(self.format, Scheme::V2, &audio_attributes(played)),
            ),
            None => {
                let attributes = self.variant.as_ref().map(variant_attributes).unwrap_or_default();
                (StreamType::Main, identity::main_properties(self.format, Scheme::V2, &attributes))
            }
        };
        let name = identity::swarm_string(Scheme::V2, swarm_id, stream_type, &properties);
        let info_hash = InfoHash(identity::info_hash(&name));
        log::info!(target: "p2phls-swarm", "joining swarm {name} ({info_hash})");
        let config = MeshConfig {
            trackers: self.config.trackers.clone(),
            info_hash,
            peer_id: self.viewer.id(),
            user_agent: self.config.user_agent.clone(),
            tls: Arc::new(tls.clone()),
            proxies: proxies.clone(),
            max_peers: self.config.max_peers,
        };
        self.mesh = Some(Mesh::new(config, connector));
        self.joined = Some(Instant::now());
        self.watch_swarm();
        Ok(())
    }

    pub fn handle_mesh(&mut self, input: MeshInput) {
        let now = Instant::now();
        let Some(mesh) = &mut self.mesh else { return };
        mesh.handle(now, input);
        while let Some(event) = self.mesh.as_mut().and_then(Mesh::poll_event) {
            match event {
                MeshEvent::Opened(key, id) => {
                    log::info!(target: "p2phls-swarm", "{key:?} is {id}");
                    self.decoders.insert(key, Decoder::new());
                    self.viewer.handle_peer_open(now, key, id);
                    self.report_room(key);
                }
                MeshEvent::Message(key, message) => self.handle_message(now, key, &message),
                MeshEvent::Writable(key) => self.report_room(key),
                MeshEvent::Closed(key) => {
                    self.decoders.remove(&key);
                    self.viewer.handle_peer_closed(key);
                }
                MeshEvent::SwarmSize { viewers, number } => {
                    self.swarm_size = Some(viewers);
                    self.viewer.handle_swarm_size(viewers);
                    self.viewer.handle_number(number);
                }
            }
        }
        self.watch_swarm();
    }

    /// Tells the viewer whether it may count on peers that are not there yet.
    pub fn watch_swarm(&mut self) {
        let waits = self.joined.is_some_and(|at| at.elapsed() < SWARM_PATIENCE);
        let alone = self.swarm_size.is_some_and(|size| size <= 1);
        self.viewer.handle_swarm_forming(waits && !alone);
    }

    fn handle_message(&mut self, now: Instant, key: PeerKey, message: &Bytes) {
        let Some(decoder) = self.decoders.get_mut(&key) else { return };
        match decoder.decode(message) {
            Ok(Decoded::Command(command)) => {
                log::trace!(target: "p2phls-swarm", "from {key:?}: {command:?}");
                self.handle_command(now, key, command);
            }
            Ok(Decoded::Payload(bytes)) => {
                let placed = self.viewer.handle_payload(now, key, bytes.len() as u64);
                if let Some((segment, placement)) = placed {
                    self.put(segment, placement, &bytes);
                }
            }
            Ok(Decoded::Incomplete | Decoded::Ignored) => {}
            Err(error) => log::debug!(target: "p2phls-swarm", "from {key:?}: {error}"),
        }
    }

    fn handle_command(&mut self, now: Instant, key: PeerKey, command: Command) {
        if let Command::Announcement(said) = &command
            && self.names.differ()
        {
            self.said.retain(|key, _| self.decoders.contains_key(key));
            self.said.insert(key, said.clone());
        }
        let asked = match command {
            Command::Request { segment, request_id, .. } | Command::Subscribe { segment, request_id } => {
                Some(Command::Absent { segment, request_id })
            }
            _ => None,
        };
        match (self.names.read(command), asked) {
            (Some(command), _) => self.viewer.handle_command(now, key, command),
            // Nothing of that name is known here, and whoever asks waits for an answer.
            (None, Some(answer)) => self.send_all(key, &answer),
            (None, None) => {}
        }
    }

    /// What a peer has said before means more now that more segments are listed.
    pub(super) fn hear_again(&mut self, key: PeerKey) {
        let said = self.said.get(&key).filter(|_| self.decoders.contains_key(&key)).cloned();
        if let Some(command) = said.and_then(|said| self.names.read(Command::Announcement(said))) {
            self.viewer.handle_command(Instant::now(), key, command);
        }
    }

    pub(super) fn send_command(&mut self, peer: PeerKey, command: Command) {
        if let Some(command) = self.names.written(command) {
            self.send_all(peer, &command);
        }
    }

    fn send_all(&mut self, peer: PeerKey, command: &Command) {
        for message in wire::encode(command, wire::MAX_MESSAGE) {
            self.send(peer, message);
        }
    }

    pub(super) fn upload(&mut self, peer: PeerKey, segment: SegmentId, range: std::ops::Range<u64>) {
        let Some(held) = self.store.get(segment) else { return };
        // Chunks come as the network cut them; joined, they fill whole messages.
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        for slice in held.slices(range) {
            bytes.extend_from_slice(&slice);
        }
        for message in wire::cut_payload(bytes.freeze(), MESSAGE_SIZE) {
            self.send(peer, message);
        }
        self.report_room(peer);
    }

    pub(super) fn send(&mut self, peer: PeerKey, message: Bytes) {
        let Some(sender) = self.mesh.as_ref().and_then(|mesh| mesh.sender(peer)) else { return };
        if let Err(error) = sender.send(message) {
            // Commands are small: a peer that has not taken megabytes of them is not listening.
            log::info!(target: "p2phls-swarm", "{peer:?} dropped: {error}");
            self.viewer.handle_peer_closed(peer);
            self.forget_peer(peer);
        }
    }

    fn report_room(&mut self, peer: PeerKey) {
        if let Some(sender) = self.mesh.as_ref().and_then(|mesh| mesh.sender(peer)) {
            self.viewer.handle_room(peer, sender.room() as u64);
        }
    }

    fn forget_peer(&mut self, peer: PeerKey) {
        self.decoders.remove(&peer);
        if let Some(mesh) = &mut self.mesh {
            mesh.close(peer);
        }
    }
}

fn variant_attributes(variant: &Variant) -> VariantAttributes<'_> {
    VariantAttributes {
        bandwidth: Some(variant.swarm_bandwidth.unwrap_or(variant.bandwidth)).filter(|bits| *bits > 0),
        average_bandwidth: variant.average_bandwidth,
        codecs: variant.codecs.as_deref().unwrap_or_default(),
        resolution: variant.resolution.map(|r| (r.width, r.height)),
        frame_rate: variant.frame_rate.as_deref().unwrap_or_default(),
        video_range: variant.video_range.as_deref().unwrap_or_default(),
    }
}

fn audio_attributes(played: &PlayedRendition) -> AudioAttributes<'_> {
    let rendition = &played.rendition;
    AudioAttributes {
        variant_codecs: rendition.codecs.as_deref().unwrap_or(&played.codecs),
        language: rendition.language.as_deref().unwrap_or_default(),
        channels: rendition.channels.as_deref().unwrap_or_default(),
        name: rendition.swarm_name.as_deref().unwrap_or(&rendition.name),
    }
}
