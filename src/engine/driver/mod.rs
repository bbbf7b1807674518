// SPDX-License-Identifier: MPL-2.0

//! The task behind a session: what happens goes into the streams, what goes out of them is handed
//! to the element.
//!
//! | file | holds |
//! | --- | --- |
//! | `presentation` | playlists loaded and reloaded, and seeks |
//! | `switching`, `succession` | from one variant to another, and which can follow which |
//! | `outgoing` | what goes out next |
//! | `status` | playback's position and the statistics |

mod outgoing;
mod presentation;
mod status;
mod succession;
mod switching;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::engine::fetcher::FetchEvent;
use crate::engine::keys::{self, Keys};
use crate::engine::mesh::MeshInput;
use crate::engine::output::{TrackReader, TrackWriter};
use crate::engine::playlists::{self, Loader, PlaylistEvent};
use crate::engine::pump::Pump;
use crate::engine::report::StallMeter;
use crate::engine::session::{Seek, Shared};
use crate::engine::stream::{FetchEvents, Stream, StreamId, next_in_swarm};
use crate::engine::{Config, Event, SessionError};
use crate::manifest::{DateRange, Init, Presentation, Source, Variant};
use crate::net::http::{HttpClient, HttpConfig};
use crate::net::tls;
use crate::viewer::Counters;
use switching::Switching;

/// How often playback's position is looked at and the statistics are written.
const TICK: Duration = Duration::from_millis(250);

/// Fetched bytes that may wait for the driver before the responses are not read any more.
const FETCH_EVENTS: usize = 64;

type OnEvent = Box<dyn Fn(Event) + Send + Sync>;
type InitResult = (Arc<Init>, Result<Bytes, SessionError>);

pub(super) struct Driver {
    config: Arc<Config>,
    shared: Shared,
    on_event: OnEvent,
    reader: Arc<TrackReader>,
    seeks: watch::Receiver<Seek>,
    started: Instant,
    presentation: Option<Arc<Presentation>>,
    /// Where playlists come from; None before it is known.
    source: Option<Source>,
    /// Where the first playlist came from.
    url: Option<Url>,
    /// What is played; None before it is known.
    stream: Option<Stream>,
    /// What is played after that.
    next: Option<Stream>,
    switching: Switching,
    streams: u64,
    pump: Pump,
    keys: Keys,
    /// The key without which nothing goes out.
    needed_key: Option<Url>,
    loading_init: Option<Arc<Init>>,
    senders: Senders,
    skips_in_a_row: u32,
    /// Those that the element has been told of and that are still listed.
    date_ranges: Vec<DateRange>,
    stalls: StallMeter,
    skipped: u64,
    /// Of the streams that are not played any more.
    counters: Counters,
    startup: Option<Duration>,
    /// Where the output began, at the start or after the last seek.
    origin: Duration,
}

/// Where those who work for the driver send what becomes of it.
struct Senders {
    playlists: mpsc::Sender<PlaylistEvent>,
    fetches: FetchEvents,
    inits: mpsc::Sender<InitResult>,
}

/// The other ends.
pub(super) struct Receivers {
    playlists: mpsc::Receiver<PlaylistEvent>,
    fetches: mpsc::Receiver<(StreamId, FetchEvent)>,
    inits: mpsc::Receiver<InitResult>,
    keys: mpsc::Receiver<keys::Loaded>,
}

/// What the task waits for.
enum Input {
    Playlist(PlaylistEvent),
    Fetch(StreamId, FetchEvent),
    Init(InitResult),
    Key(keys::Loaded),
    Mesh(StreamId, MeshInput),
    Seek,
    Tick,
    Timeout,
    Writable,
    Stopped,
}

/// What the session talks to the world with.
struct World {
    http: HttpClient,
    tls: rustls::ClientConfig,
    loader: Loader,
}

impl Driver {
    pub fn new(
        config: Config,
        shared: Shared,
        on_event: OnEvent,
        writer: TrackWriter,
        reader: Arc<TrackReader>,
        seeks: watch::Receiver<Seek>,
    ) -> (Self, Receivers) {
        let playlists = mpsc::channel(4);
        let fetches = mpsc::channel(FETCH_EVENTS);
        let inits = mpsc::channel(1);
        let keys = mpsc::channel(1);
        let driver = Self {
            switching: Switching::new(&config),
            config: Arc::new(config),
            shared,
            on_event,
            reader,
            seeks,
            started: Instant::now(),
            presentation: None,
            source: None,
            url: None,
            stream: None,
            next: None,
            streams: 0,
            pump: Pump::new(writer),
            keys: Keys::new(keys.0),
            needed_key: None,
            loading_init: None,
            senders: Senders { playlists: playlists.0, fetches: fetches.0, inits: inits.0 },
            skips_in_a_row: 0,
            date_ranges: Vec::new(),
            stalls: StallMeter::default(),
            skipped: 0,
            counters: Counters::default(),
            startup: None,
            origin: Duration::ZERO,
        };
        let receivers =
            Receivers { playlists: playlists.1, fetches: fetches.1, inits: inits.1, keys: keys.1 };
        (driver, receivers)
    }

    /// Plays until `stopped`, or until it cannot go on.
    pub async fn run(mut self, receivers: Receivers, stopped: CancellationToken) {
        if let Err(error) = self.play(receivers, &stopped).await {
            self.emit(Event::Error(error));
            // What has been fetched is still played out by whoever reads it.
            stopped.cancelled().await;
        }
        for stream in [self.stream.take(), self.next.take()].into_iter().flatten() {
            stream.stop().await;
        }
    }

    async fn play(&mut self, mut from: Receivers, stopped: &CancellationToken) -> Result<(), SessionError> {
        let world = self.world()?;
        self.open(&world);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.settle(&world)?;
            let timeout = self.streams().filter_map(|stream| stream.viewer.poll_timeout()).min();
            let waits_for_reader = !self.pump.has_room();
            let input = tokio::select! {
                () = stopped.cancelled() => Input::Stopped,
                Ok(()) = self.seeks.changed() => Input::Seek,
                Some(event) = from.playlists.recv() => Input::Playlist(event),
                Some((stream, event)) = from.fetches.recv() => Input::Fetch(stream, event),
                Some(init) = from.inits.recv() => Input::Init(init),
                Some(key) = from.keys.recv() => Input::Key(key),
                (stream, input) = next_in_swarm(&mut self.stream) => Input::Mesh(stream, input),
                (stream, input) = next_in_swarm(&mut self.next) => Input::Mesh(stream, input),
                () = self.pump.writable(), if waits_for_reader => Input::Writable,
                () = at(timeout) => Input::Timeout,
                _ = ticks.tick() => Input::Tick,
            };
            match input {
                Input::Stopped => return Ok(()),
                Input::Seek => self.seek(),
                Input::Playlist(event) => self.handle_playlist(event, &world)?,
                Input::Fetch(stream, event) => {
                    self.switching.watch(Instant::now(), &event);
                    if let Some(stream) = self.stream(stream) {
                        stream.handle_fetch(event);
                    }
                }
                Input::Init((init, bytes)) => {
                    self.loading_init = None;
                    self.pump.add_init(init, bytes?);
                }
                Input::Key(key) => self.handle_key(key)?,
                Input::Mesh(stream, input) => {
                    if let Some(stream) = self.stream(stream) {
                        stream.handle_mesh(input);
                    }
                }
                Input::Tick => {
                    self.tick();
                    self.adapt(&world);
                }
                Input::Timeout => self.streams_mut().for_each(|stream| stream.viewer.handle_timeout()),
                Input::Writable => {}
            }
        }
    }

    fn world(&self) -> Result<World, SessionError> {
        let tls = tls::client_config(self.config.tls.strict, self.config.tls.ca_file.as_ref());
        let tls = tls.map_err(settings)?;
        let http = HttpConfig {
            user_agent: self.config.user_agent.clone(),
            extra_headers: self.config.extra_headers.clone(),
            timeout: self.config.timeout,
        };
        let http = HttpClient::new(http, tls.clone()).map_err(settings)?;
        let loader = Loader { http: http.clone(), retries: self.config.retries };
        Ok(World { http, tls, loader })
    }

    /// Has the presentation loaded.
    fn open(&self, world: &World) {
        let (loader, events) = (world.loader.clone(), self.senders.playlists.clone());
        let location = self.config.location.clone();
        let (speed, limits) = (self.switching.start_rate(), self.switching.limits);
        tokio::spawn(async move {
            let choose = |variants: &[Variant]| playlists::choose(variants, speed, &limits);
            let opened = loader.open(&location, choose).await;
            // The session has ended when nobody listens.
            let _ = events.send(PlaylistEvent::Opened(opened.map(Box::new))).await;
        });
    }

    /// Carries out all that the viewers want and hands over all that can go out.
    fn settle(&mut self, world: &World) -> Result<(), SessionError> {
        loop {
            for stream in [&mut self.stream, &mut self.next].into_iter().flatten() {
                stream.settle(&world.http, &mut self.keys);
            }
            let more = self.pump(world)?;
            self.keys.load(&world.http, self.config.retries);
            if !more {
                return Ok(());
            }
        }
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.stream.iter().chain(&self.next)
    }

    fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.stream.iter_mut().chain(&mut self.next)
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams_mut().find(|stream| stream.id == id)
    }

    fn emit(&self, event: Event) {
        (self.on_event)(event);
    }
}

fn settings(error: impl std::fmt::Display) -> SessionError {
    SessionError::Settings(error.to_string())
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
