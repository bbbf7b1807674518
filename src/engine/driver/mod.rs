// SPDX-License-Identifier: MPL-2.0

//! The task behind a session: what happens goes into the tracks, what goes out of them is handed
//! to the element.
//!
//! | file | holds |
//! | --- | --- |
//! | `track` | one track: what is played, what comes after it, what goes out |
//! | `presentation` | playlists loaded and reloaded, and seeks |
//! | `switching`, `succession` | from one variant to another, and which can follow which |
//! | `handover` | from one stream of a track to the next |
//! | `renditions`, `shares` | sound and subtitles beside the variant, and what of the limits each track has |
//! | `outgoing` | what goes out next |
//! | `events` | what the publisher tells of moments of the presentation |
//! | `status` | playback's position and the statistics |
//! | `latency` | how far that is behind the live edge |

mod events;
mod handover;
mod latency;
mod outgoing;
mod presentation;
mod renditions;
mod shares;
mod status;
mod succession;
mod switching;
mod track;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::engine::cmcd::content_id;
use crate::engine::fetcher::FetchEvent;
use crate::engine::keys::{self, Keys};
use crate::engine::mesh::MeshInput;
use crate::engine::output::{TrackReader, TrackWriter};
use crate::engine::playlists::{self, Loader, PlaylistEvent};
use crate::engine::report::StallMeter;
use crate::engine::session::{Shared, Wishes};
use crate::engine::stream::{FetchEvents, Stream, StreamId};
use crate::engine::told::Told;
use crate::engine::{Config, Event, SessionError, TrackKind};
use crate::manifest::{DateRange, Init, Presentation, Source, TimedEvent, Variant};
use crate::net::http::{HttpClient, HttpConfig};
use crate::net::{cmcd, tls};
use crate::switcher::Line;
use latency::Latency;
use switching::Switching;
use track::Track;

/// How often playback's position is looked at and the statistics are written.
const TICK: Duration = Duration::from_millis(250);

/// Fetched bytes that may wait for the driver before the responses are not read any more.
const FETCH_EVENTS: usize = 64;

type OnEvent = Box<dyn Fn(Event) + Send + Sync>;
type InitResult = (TrackKind, Arc<Init>, Result<Bytes, SessionError>);

pub(super) struct Driver {
    config: Arc<Config>,
    shared: Shared,
    on_event: OnEvent,
    readers: PerTrack<Arc<TrackReader>>,
    wishes: Wishes,
    started: Instant,
    presentation: Option<Arc<Presentation>>,
    /// Where playlists come from; None before it is known.
    source: Option<Source>,
    /// Where the first playlist came from.
    url: Option<Url>,
    tracks: PerTrack<Track>,
    switching: Switching,
    streams: u64,
    keys: Keys,
    senders: Senders,
    /// Those that the element has been told of and that are still listed.
    date_ranges: Vec<DateRange>,
    /// Those of the manifest that were looked at last.
    listed_events: Arc<[TimedEvent]>,
    told: Told,
    stalls: StallMeter,
    /// Playback went on when it was looked at last.
    was_playing: bool,
    latency: Latency,
    startup: Option<Duration>,
    /// What requests tell of playback.
    cmcd: Option<Arc<cmcd::Session>>,
}

/// Something for each track that a session may have.
struct PerTrack<T> {
    main: T,
    audio: T,
    subtitles: T,
}

impl<T> PerTrack<T> {
    fn get(&self, kind: TrackKind) -> &T {
        match kind {
            TrackKind::Main => &self.main,
            TrackKind::Audio => &self.audio,
            TrackKind::Subtitles => &self.subtitles,
        }
    }

    fn get_mut(&mut self, kind: TrackKind) -> &mut T {
        match kind {
            TrackKind::Main => &mut self.main,
            TrackKind::Audio => &mut self.audio,
            TrackKind::Subtitles => &mut self.subtitles,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.main, &self.audio, &self.subtitles].into_iter()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        [&mut self.main, &mut self.audio, &mut self.subtitles].into_iter()
    }
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
    Select,
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
    /// `ways` are the ways out of the tracks, in the order of [`TrackKind::ALL`].
    pub fn new(
        config: Config,
        shared: Shared,
        on_event: OnEvent,
        ways: [(TrackWriter, Arc<TrackReader>); TrackKind::ALL.len()],
        wishes: Wishes,
    ) -> (Self, Receivers) {
        let playlists = mpsc::channel(4);
        let fetches = mpsc::channel(FETCH_EVENTS);
        let inits = mpsc::channel(1);
        let keys = mpsc::channel(1);
        let config = Arc::new(config);
        let [main, audio, subtitles] = ways;
        let track = |kind, writer| Track::new(kind, config.clone(), writer);
        let driver = Self {
            switching: Switching::new(&config),
            shared,
            on_event,
            wishes,
            started: Instant::now(),
            presentation: None,
            source: None,
            url: None,
            tracks: PerTrack {
                main: track(TrackKind::Main, main.0),
                audio: track(TrackKind::Audio, audio.0),
                subtitles: track(TrackKind::Subtitles, subtitles.0),
            },
            readers: PerTrack { main: main.1, audio: audio.1, subtitles: subtitles.1 },
            streams: 0,
            keys: Keys::new(keys.0),
            senders: Senders { playlists: playlists.0, fetches: fetches.0, inits: inits.0 },
            date_ranges: Vec::new(),
            listed_events: Arc::new([]),
            told: Told::default(),
            stalls: StallMeter::default(),
            was_playing: false,
            latency: Latency::default(),
            startup: None,
            cmcd: config.cmcd.map(|mode| cmcd::Session::new(mode, rand::random(), content_id(&config))),
            config,
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
        let PerTrack { main, audio, subtitles } = self.tracks;
        for track in [main, audio, subtitles] {
            track.stop().await;
        }
    }

    async fn play(&mut self, mut from: Receivers, stopped: &CancellationToken) -> Result<(), SessionError> {
        let world = self.world()?;
        self.open(&world);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.settle(&world)?;
            let line = self.streams().map(Stream::line).fold(Line::Idle, Line::and);
            self.switching.set_line(Instant::now(), line);
            let timeout = self.streams().filter_map(|stream| stream.viewer.poll_timeout()).min();
            let PerTrack { main, audio, subtitles } = &mut self.tracks;
            let input = tokio::select! {
                () = stopped.cancelled() => Input::Stopped,
                Ok(()) = self.wishes.seeks.changed() => Input::Seek,
                Ok(()) = self.wishes.selections.changed() => Input::Select,
                Some(event) = from.playlists.recv() => Input::Playlist(event),
                Some((stream, event)) = from.fetches.recv() => Input::Fetch(stream, event),
                Some(init) = from.inits.recv() => Input::Init(init),
                Some(key) = from.keys.recv() => Input::Key(key),
                input = main.happens() => input,
                input = audio.happens() => input,
                input = subtitles.happens() => input,
                () = at(timeout) => Input::Timeout,
                _ = ticks.tick() => Input::Tick,
            };
            match input {
                Input::Stopped => return Ok(()),
                Input::Seek => {
                    self.seek();
                    self.provide_renditions(&world);
                }
                Input::Select => self.select(&world),
                Input::Playlist(event) => self.handle_playlist(event, &world)?,
                Input::Fetch(stream, event) => {
                    let told =
                        |id| self.streams().find(|s| s.id == stream).is_none_or(|s| s.tells_of_line(id));
                    if let FetchEvent::Bytes { fetch, bytes } = &event
                        && told(*fetch)
                    {
                        self.switching.watch(Instant::now(), bytes.len());
                    }
                    if let Some(stream) = self.stream(stream) {
                        stream.handle_fetch(event);
                    }
                }
                Input::Init((kind, init, bytes)) => {
                    let taken = self.tracks.get_mut(kind).take_init(init, bytes);
                    if let Some(Some(useless)) = self.survive(kind, taken)? {
                        self.refuse_useless(kind, &useless);
                    }
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
                    self.fill_silence();
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
            cmcd: self.cmcd.clone(),
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
            self.tracks.iter_mut().for_each(|track| track.settle(&world.http, &mut self.keys));
            let mut more = false;
            for kind in TrackKind::ALL {
                let pumped = self.pump(kind, world);
                more |= self.survive(kind, pumped)?.unwrap_or(false);
            }
            self.keys.load(&world.http, self.config.retries);
            if !more {
                return Ok(());
            }
        }
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.tracks.iter().flat_map(Track::streams)
    }

    fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.tracks.iter_mut().flat_map(Track::streams_mut)
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
