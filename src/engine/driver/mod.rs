// SPDX-License-Identifier: MPL-2.0

//! The task behind a session: what happens goes into the viewer, what the viewer wants is carried out.
//!
//! | file | holds |
//! | --- | --- |
//! | `presentation` | the playlist loaded and reloaded, and seeks |
//! | `fetching` | HTTP requests for segments |
//! | `peers` | the swarm |
//! | `outgoing` | what goes out next |
//! | `status` | playback's position and the statistics |

mod fetching;
mod outgoing;
mod peers;
mod presentation;
mod status;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::engine::fetcher::{self, FetchEvent, FetchTarget};
use crate::engine::mesh::{Mesh, MeshInput};
use crate::engine::output::{TrackReader, TrackWriter};
use crate::engine::playlists::{Loader, PlaylistEvent};
use crate::engine::pump::Pump;
use crate::engine::report::StallMeter;
use crate::engine::session::{Seek, Shared};
use crate::engine::soundness::Soundness;
use crate::engine::store::Store;
use crate::engine::{Config, Event, P2pMode, SessionError};
use crate::manifest::{Init, Timeline, Variant};
use crate::net::http::{HttpClient, HttpConfig};
use crate::net::tls;
use crate::swarm::client::peer_id_from_random;
use crate::swarm::wire::{self, Decoder};
use crate::swarm::{PeerId, SegmentId};
use crate::viewer::{Action, FetchFailure, FetchId, PeerKey, Viewer, ViewerConfig};

/// How often playback's position is looked at and the statistics are written.
const TICK: Duration = Duration::from_millis(250);

/// Fetched bytes that may wait for the driver before the responses are not read any more.
const FETCH_EVENTS: usize = 64;

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
            Action::Broadcast { command } => {
                log::trace!(target: "p2phls-swarm", "to all: {command:?}");
                let messages = wire::encode(&command, wire::MAX_MESSAGE);
                let peers: Vec<PeerKey> = self.decoders.keys().copied().collect();
                for peer in peers {
                    for message in &messages {
                        self.send(peer, message.clone());
                    }
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

    fn emit(&self, event: Event) {
        (self.on_event)(event);
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
