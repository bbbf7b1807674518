// SPDX-License-Identifier: MPL-2.0

//! The task behind a session: what happens goes into the viewer, what the viewer wants is carried out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::fetcher::{self, FetchEvent, FetchTarget};
use super::mesh::{Mesh, MeshConfig, MeshEvent, MeshInput};
use super::output::{TrackReader, TrackWriter};
use super::playlists::{Loaded, Loader, PlaylistEvent};
use super::pump::{Pump, Step};
use super::report::{PeerStats, StallMeter};
use super::session::{Seek, Shared};
use super::soundness::Soundness;
use super::store::Store;
use super::{Config, Event, P2pMode, SessionError, TrackInfo};
use crate::manifest::{Init, Timeline, Variant};
use crate::net::data_channel::{Connector, MESSAGE_SIZE, RtcConfig};
use crate::net::http::{HttpClient, HttpConfig, Part};
use crate::net::tls;
use crate::swarm::client::peer_id_from_random;
use crate::swarm::identity::hls::{VariantAttributes, variant_properties};
use crate::swarm::identity::{self, Scheme, StreamType};
use crate::swarm::wire::{self, Decoded, Decoder};
use crate::swarm::{InfoHash, PeerId, SegmentId};
use crate::viewer::{Action, FetchFailure, FetchId, PeerKey, SegmentSpec, Viewer, ViewerConfig};

/// How often playback's position is looked at and the statistics are written.
const TICK: Duration = Duration::from_millis(250);

/// Fetched bytes that may wait for the driver before the responses are not read any more.
const FETCH_EVENTS: usize = 64;

/// The swarm is waited for so long: a tracker's answer and a connection take about a second.
const SWARM_PATIENCE: Duration = Duration::from_secs(5);

/// Live segments in a row that could not be had before playback is given up.
const MAX_SKIPS_IN_A_ROW: u32 = 5;

/// An initialisation segment is small; more than this is something else.
const MAX_INIT: usize = 4 << 20;

type OnEvent = Box<dyn Fn(Event) + Send + Sync>;
type InitResult = (Arc<Init>, Result<Bytes, SessionError>);

pub(super) struct Driver {
    config: Config,
    shared: Shared,
    on_event: OnEvent,
    reader: Arc<TrackReader>,
    seeks: watch::Receiver<Seek>,
    started: Instant,
    viewer: Viewer,
    store: Store,
    pump: Pump,
    timeline: Option<Timeline>,
    fetches: HashMap<FetchId, AbortHandle>,
    fetch_events: (mpsc::Sender<FetchEvent>, mpsc::Receiver<FetchEvent>),
    inits: (mpsc::Sender<InitResult>, mpsc::Receiver<InitResult>),
    loading_init: Option<Arc<Init>>,
    /// Why a segment could not be had.
    lost: BTreeMap<SegmentId, SessionError>,
    last_errors: BTreeMap<SegmentId, SessionError>,
    skips_in_a_row: u32,
    mesh: Option<Mesh>,
    decoders: HashMap<PeerKey, Decoder>,
    soundness: Soundness,
    nudge: Arc<Notify>,
    stalls: StallMeter,
    swarm_size: Option<u64>,
    /// When the swarm was joined.
    joined: Option<Instant>,
    skipped: u64,
    startup: Option<Duration>,
    variant: Option<Variant>,
    playlist_url: Option<Url>,
}

/// What the task waits for.
enum Input {
    Playlist(Option<PlaylistEvent>),
    Fetch(FetchEvent),
    Init(InitResult),
    Mesh(MeshInput),
    Seek,
    Tick,
    Timeout,
    Writable,
    Stopped,
}

impl Driver {
    pub fn new(
        config: Config,
        shared: Shared,
        on_event: OnEvent,
        writer: TrackWriter,
        reader: Arc<TrackReader>,
        seeks: watch::Receiver<Seek>,
    ) -> Self {
        let p2p = config.p2p != P2pMode::Off && !config.trackers.is_empty();
        let mut viewer = ViewerConfig::new(PeerId(peer_id_from_random(rand::random())));
        viewer.download_from_peers = p2p;
        viewer.upload_to_peers = p2p && config.p2p == P2pMode::On;
        viewer.max_upload_rate = (config.max_upload_rate > 0).then_some(config.max_upload_rate / 8);
        viewer.buffer = config.buffer_duration;
        viewer.max_memory = config.max_memory;
        viewer.retries = config.retries;
        Self {
            viewer: Viewer::new(viewer),
            pump: Pump::new(writer),
            config,
            shared,
            on_event,
            reader,
            seeks,
            started: Instant::now(),
            store: Store::default(),
            timeline: None,
            fetches: HashMap::new(),
            fetch_events: mpsc::channel(FETCH_EVENTS),
            inits: mpsc::channel(1),
            loading_init: None,
            lost: BTreeMap::new(),
            last_errors: BTreeMap::new(),
            skips_in_a_row: 0,
            mesh: None,
            decoders: HashMap::new(),
            soundness: Soundness::default(),
            nudge: Arc::new(Notify::new()),
            stalls: StallMeter::default(),
            swarm_size: None,
            joined: None,
            skipped: 0,
            startup: None,
            variant: None,
            playlist_url: None,
        }
    }

    /// Plays until `stopped`, or until it cannot go on.
    pub async fn run(mut self, stopped: CancellationToken) {
        if let Err(error) = self.play(&stopped).await {
            self.emit(Event::Error(error));
            // What has been fetched is still played out by whoever reads it.
            stopped.cancelled().await;
        }
        for fetch in self.fetches.values() {
            fetch.abort();
        }
        if let Some(mesh) = self.mesh.take() {
            mesh.stop().await;
        }
    }

    async fn play(&mut self, stopped: &CancellationToken) -> Result<(), SessionError> {
        let tls = tls::client_config(self.config.tls.strict, self.config.tls.ca_file.as_ref());
        let tls = tls.map_err(settings)?;
        let http = HttpConfig {
            user_agent: self.config.user_agent.clone(),
            extra_headers: self.config.extra_headers.clone(),
            timeout: self.config.timeout,
        };
        let http = HttpClient::new(http, tls.clone()).map_err(settings)?;
        let (playlist_sender, mut playlists) = mpsc::channel(4);
        let loader = Loader {
            http: http.clone(),
            location: self.config.location.clone(),
            connection_speed: self.config.connection_speed,
            retries: self.config.retries,
            nudge: self.nudge.clone(),
            events: playlist_sender,
        };
        tokio::spawn(loader.run());
        let mut playlists_open = true;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.settle(&http)?;
            let timeout = self.viewer.poll_timeout();
            let waits_for_reader = !self.pump.has_room();
            let input = tokio::select! {
                () = stopped.cancelled() => Input::Stopped,
                Ok(()) = self.seeks.changed() => Input::Seek,
                event = playlists.recv(), if playlists_open => Input::Playlist(event),
                Some(event) = self.fetch_events.1.recv() => Input::Fetch(event),
                Some(init) = self.inits.1.recv() => Input::Init(init),
                input = next_of(&mut self.mesh) => Input::Mesh(input),
                () = self.pump.writable(), if waits_for_reader => Input::Writable,
                () = at(timeout) => Input::Timeout,
                _ = ticks.tick() => Input::Tick,
            };
            match input {
                Input::Stopped => return Ok(()),
                Input::Seek => self.seek(),
                Input::Playlist(None) => playlists_open = false,
                Input::Playlist(Some(event)) => self.handle_playlist(event, &tls)?,
                Input::Fetch(event) => self.handle_fetch(event),
                Input::Init((init, bytes)) => {
                    self.loading_init = None;
                    self.pump.add_init(init, bytes?);
                }
                Input::Mesh(input) => self.handle_mesh(input),
                Input::Tick => self.tick(),
                Input::Timeout => self.viewer.handle_timeout(),
                Input::Writable => {}
            }
        }
    }

    /// Carries out all that the viewer wants and hands over all that can go out.
    fn settle(&mut self, http: &HttpClient) -> Result<(), SessionError> {
        loop {
            while let Some(action) = self.viewer.poll_action(Instant::now()) {
                self.carry_out(action, http);
            }
            if !self.pump(http)? {
                return Ok(());
            }
        }
    }

    fn carry_out(&mut self, action: Action, http: &HttpClient) {
        match action {
            Action::Fetch { fetch, segment, offset } => {
                let placed = self.timeline.as_ref().and_then(|t| t.get(segment.0));
                let Some(placed) = placed else {
                    let failure = FetchFailure::NotFound;
                    return self.viewer.handle_http_failure(Instant::now(), fetch, failure);
                };
                let target =
                    FetchTarget { url: placed.segment.url.clone(), range: placed.segment.byte_range };
                log::debug!(target: "p2phls-engine", "segment {segment}: HTTP from byte {offset}");
                let events = self.fetch_events.0.clone();
                let task = fetcher::spawn(http.clone(), fetch, target, offset, events);
                self.fetches.insert(fetch, task);
            }
            Action::CancelFetch { fetch } => {
                if let Some(task) = self.fetches.remove(&fetch) {
                    task.abort();
                }
            }
            Action::Command { peer, command } => {
                log::trace!(target: "p2phls-swarm", "to {peer:?}: {command:?}");
                for message in wire::encode(&command, wire::MAX_MESSAGE) {
                    self.send(peer, message);
                }
            }
            Action::Upload { peer, segment, range } => self.upload(peer, segment, range),
            Action::Check { segment } => {
                let sound = self.store.get(segment).is_some_and(|bytes| self.soundness.check(bytes));
                if !sound {
                    log::warn!(target: "p2phls-swarm", "segment {segment} from peers is not sound");
                }
                self.viewer.handle_checked(segment, sound);
            }
            Action::Evict { segment } => {
                self.store.remove(segment);
                self.last_errors.remove(&segment);
            }
            Action::Unavailable { segment, failure } => {
                let known = self.last_errors.remove(&segment);
                let text = || SessionError::Connection(format!("segment {segment}: {failure:?}"));
                self.lost.insert(segment, known.unwrap_or_else(text));
            }
            Action::ReloadPlaylist => self.nudge.notify_one(),
            Action::Drop { peer, reason } => {
                log::info!(target: "p2phls-swarm", "{peer:?} dropped: it {reason}");
                self.decoders.remove(&peer);
                if let Some(mesh) = &mut self.mesh {
                    mesh.ban(peer);
                }
            }
        }
    }

    fn upload(&mut self, peer: PeerKey, segment: SegmentId, range: std::ops::Range<u64>) {
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

    fn send(&mut self, peer: PeerKey, message: Bytes) {
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

    /// Hands over what can go out. True if there may be more to do.
    fn pump(&mut self, http: &HttpClient) -> Result<bool, SessionError> {
        let Some(timeline) = &self.timeline else { return Ok(false) };
        if let Some(cursor) = self.pump.cursor()
            && let Some(error) = self.lost.remove(&cursor)
            // A peer may have brought it since.
            && !self.viewer.readable(cursor).1
        {
            return self.leave_out(error);
        }
        let viewer = &self.viewer;
        match self.pump.step(timeline, &self.store, |segment| viewer.readable(segment)) {
            Some(Step::Cursor(segment)) => {
                self.skips_in_a_row = 0;
                self.viewer.handle_cursor(segment);
            }
            Some(Step::NeedInit(init)) => {
                if self.loading_init.as_ref() != Some(&init) {
                    self.loading_init = Some(init.clone());
                    self.load_init(http, init);
                }
                return Ok(false);
            }
            Some(Step::Skipped(count)) => {
                self.skipped += count;
                if let Some(cursor) = self.pump.cursor() {
                    self.viewer.handle_cursor(cursor);
                }
            }
            Some(Step::FirstByte) => self.startup = Some(self.started.elapsed()),
            Some(Step::Ended) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    /// A segment cannot be had. Live goes on without it, unless that becomes a habit.
    fn leave_out(&mut self, error: SessionError) -> Result<bool, SessionError> {
        self.skips_in_a_row += 1;
        let live = self.timeline.as_ref().is_some_and(Timeline::is_live);
        if !live || self.skips_in_a_row > MAX_SKIPS_IN_A_ROW {
            return Err(error);
        }
        self.emit(Event::Warning(error));
        self.skipped += 1;
        self.pump.skip();
        if let Some(cursor) = self.pump.cursor() {
            self.viewer.handle_cursor(cursor);
        }
        Ok(true)
    }

    fn load_init(&self, http: &HttpClient, init: Arc<Init>) {
        let (http, results, retries) = (http.clone(), self.inits.0.clone(), self.config.retries);
        tokio::spawn(async move {
            let range = init.byte_range;
            let part = range.map_or(Part::default(), |r| Part { offset: r.offset, length: Some(r.length) });
            let mut tries = 0;
            let bytes = loop {
                let result = http.get(&init.url, part, MAX_INIT).await.map_err(SessionError::from);
                match result {
                    Err(SessionError::Connection(_)) if tries < retries => {
                        tokio::time::sleep(Duration::from_millis(300) * 2u32.saturating_pow(tries.min(5)))
                            .await;
                        tries += 1;
                    }
                    result => break result.map(|(_, bytes)| bytes),
                }
            };
            // The session has ended when nobody listens.
            let _ = results.send((init, bytes)).await;
        });
    }

    fn handle_playlist(
        &mut self,
        event: PlaylistEvent,
        tls: &rustls::ClientConfig,
    ) -> Result<(), SessionError> {
        match event {
            PlaylistEvent::Loaded(loaded) => {
                let Loaded { url, variant, playlist_url, timeline } = *loaded;
                self.join_swarm(&url, variant.as_ref(), tls)?;
                self.variant = variant;
                self.playlist_url = Some(playlist_url);
                self.take_timeline(timeline)?;
                let duration = self.shared.lock().duration;
                self.seek();
                let tracks = vec![TrackInfo { reader: self.reader.clone() }];
                self.emit(Event::Ready { tracks, duration });
            }
            PlaylistEvent::Updated { timeline, restarted } => {
                if restarted {
                    self.viewer.handle_restart();
                    self.lost.clear();
                }
                let before = self.shared.lock().duration;
                if restarted {
                    self.pump.restart(&timeline);
                    if let Some(cursor) = self.pump.cursor() {
                        self.viewer.handle_cursor(cursor);
                    }
                }
                self.take_timeline(*timeline)?;
                let duration = self.shared.lock().duration;
                if duration != before {
                    self.emit(Event::DurationChanged(duration));
                }
                if self.pump.cursor().is_none() {
                    self.seek();
                }
            }
            PlaylistEvent::Trouble(error) => {
                log::warn!(target: "p2phls-engine", "the live playlist cannot be reloaded: {error}");
            }
            PlaylistEvent::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn take_timeline(&mut self, timeline: Timeline) -> Result<(), SessionError> {
        if let Some(encrypted) = timeline.segments().iter().find(|s| s.segment.key.is_some()) {
            let url = &encrypted.segment.url;
            return Err(SessionError::Unsupported(format!("{url}: the segment is encrypted")));
        }
        if !timeline.is_live() && timeline.segments().is_empty() {
            return Err(SessionError::Format(format!(
                "{}: there are no segments in it",
                self.config.location
            )));
        }
        let specs = timeline.segments().iter().filter(|s| !s.segment.gap).map(|s| SegmentSpec {
            id: SegmentId(s.number),
            start: s.start,
            duration: s.segment.duration,
            size: s.segment.byte_range.map(|range| range.length),
        });
        self.viewer.handle_segments(specs.collect(), timeline.is_live());
        let oldest = timeline.segments().front().map(|s| SegmentId(s.number));
        self.lost.retain(|segment, _| oldest.is_some_and(|oldest| *segment >= oldest));
        self.last_errors.retain(|segment, _| oldest.is_some_and(|oldest| *segment >= oldest));
        let mut shared = self.shared.lock();
        shared.window = Some(timeline.window());
        shared.duration = timeline.duration();
        shared.live = timeline.is_live();
        drop(shared);
        self.timeline = Some(timeline);
        Ok(())
    }

    /// Goes to where the last seek points, or to the start.
    fn seek(&mut self) {
        let Seek { generation, position } = *self.seeks.borrow_and_update();
        let Some(timeline) = &self.timeline else { return };
        let position = if generation == 0 { timeline.start_position() } else { position };
        let (first, last) = match (timeline.segments().front(), timeline.segments().back()) {
            (Some(first), Some(last)) => (first, last),
            _ => return, // A live stream that has not begun: its first segment will do.
        };
        let (number, start) = match timeline.at(position) {
            Some(segment) => (segment.number, segment.start),
            None if position >= last.end() && !timeline.is_live() => (last.number + 1, last.end()),
            None if position >= last.end() => (last.number, last.start),
            None => (first.number, first.start),
        };
        self.pump.go_to(number, start, generation);
        self.viewer.handle_seek(SegmentId(number));
        self.lost.clear();
        self.stalls.reset();
    }

    fn join_swarm(
        &mut self,
        url: &Url,
        variant: Option<&Variant>,
        tls: &rustls::ClientConfig,
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
        let connector = Connector::new(rtc).map_err(settings)?;
        let default_id = identity::default_swarm_id(url.as_str());
        let swarm_id = self.config.swarm_id.as_deref().unwrap_or(default_id);
        let attributes = variant.map(variant_attributes).unwrap_or_default();
        let properties = variant_properties(Scheme::V2, &attributes);
        let name = identity::swarm_string(Scheme::V2, swarm_id, StreamType::Main, &properties);
        let info_hash = InfoHash(identity::info_hash(&name));
        log::info!(target: "p2phls-swarm", "joining swarm {name} ({info_hash})");
        let config = MeshConfig {
            trackers: self.config.trackers.clone(),
            info_hash,
            peer_id: self.viewer.id(),
            user_agent: self.config.user_agent.clone(),
            tls: Arc::new(tls.clone()),
            max_peers: self.config.max_peers,
        };
        self.mesh = Some(Mesh::new(config, connector));
        self.joined = Some(Instant::now());
        self.watch_swarm();
        Ok(())
    }

    fn handle_fetch(&mut self, event: FetchEvent) {
        let now = Instant::now();
        match event {
            FetchEvent::Started { fetch, offset, total } => {
                if !self.viewer.handle_http_start(now, fetch, offset, total)
                    && let Some(task) = self.fetches.remove(&fetch)
                {
                    task.abort();
                }
            }
            FetchEvent::Bytes { fetch, bytes } => {
                let len = bytes.len() as u64;
                if let Some(confirm) = self.viewer.bytes_to_confirm(fetch, len) {
                    let held = self.store.get(confirm.segment);
                    let sent = &bytes[confirm.bytes.clone()];
                    if !held.is_some_and(|held| held.matches(confirm.offset, sent)) {
                        self.viewer.handle_mismatch(confirm.segment);
                    }
                }
                if let Some((segment, placement)) = self.viewer.handle_http_bytes(now, fetch, len) {
                    if placement.offset == 0 {
                        self.soundness.learn(&bytes);
                    }
                    self.put(segment, placement, &bytes);
                }
            }
            FetchEvent::Ended { fetch } => {
                self.fetches.remove(&fetch);
                self.viewer.handle_http_end(now, fetch);
            }
            FetchEvent::Failed { fetch, failure, error } => {
                self.fetches.remove(&fetch);
                log::info!(target: "p2phls-net", "{error}");
                if let Some(segment) = self.viewer.segment_of(fetch) {
                    self.last_errors.insert(segment, error.into());
                }
                self.viewer.handle_http_failure(now, fetch, failure);
            }
        }
    }

    fn put(&mut self, segment: SegmentId, placement: crate::viewer::Placement, bytes: &Bytes) {
        let held = self.store.entry(segment);
        // What lies beyond was a peer's, and wrong.
        held.truncate(placement.offset + placement.append.start as u64);
        held.append(bytes.slice(placement.append));
    }

    fn handle_mesh(&mut self, input: MeshInput) {
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
                MeshEvent::SwarmSize(size) => self.swarm_size = Some(size),
            }
        }
        self.watch_swarm();
    }

    /// Tells the viewer whether it may count on peers that are not there yet.
    fn watch_swarm(&mut self) {
        let waits = self.joined.is_some_and(|at| at.elapsed() < SWARM_PATIENCE);
        let alone = self.swarm_size.is_some_and(|size| size <= 1);
        self.viewer.handle_swarm_forming(waits && !alone);
    }

    fn handle_message(&mut self, now: Instant, key: PeerKey, message: &Bytes) {
        let Some(decoder) = self.decoders.get_mut(&key) else { return };
        match decoder.decode(message) {
            Ok(Decoded::Command(command)) => {
                log::trace!(target: "p2phls-swarm", "from {key:?}: {command:?}");
                self.viewer.handle_command(now, key, command);
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

    fn tick(&mut self) {
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
        stats.http_bytes = counters.http_bytes;
        stats.peer_bytes = counters.peer_bytes;
        stats.upload_bytes = counters.upload_bytes;
        stats.wasted_bytes = counters.wasted_bytes;
        stats.rejected_bytes = counters.rejected_bytes;
        stats.hedges = counters.hedges;
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

    fn emit(&self, event: Event) {
        (self.on_event)(event);
    }
}

fn variant_attributes(variant: &Variant) -> VariantAttributes<'_> {
    VariantAttributes {
        bandwidth: (variant.bandwidth > 0).then_some(variant.bandwidth),
        average_bandwidth: variant.average_bandwidth,
        codecs: variant.codecs.as_deref().unwrap_or_default(),
        resolution: variant.resolution.map(|r| (r.width, r.height)),
        frame_rate: variant.frame_rate.as_deref().unwrap_or_default(),
        video_range: variant.video_range.as_deref().unwrap_or_default(),
    }
}

fn settings(error: impl std::fmt::Display) -> SessionError {
    SessionError::Settings(error.to_string())
}

async fn next_of(mesh: &mut Option<Mesh>) -> MeshInput {
    match mesh {
        Some(mesh) => mesh.next().await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
