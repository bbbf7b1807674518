// SPDX-License-Identifier: MPL-2.0

//! The task behind a session: what happens goes into the tracks, what goes out of them is handed
//! to the element.
//!
//! | file | holds |
//! | --- | --- |
//! | `track` | one track: what is played, what comes after it, what goes out |
//! | `presentation` | playlists loaded and reloaded, and seeks |
//! | `steering` | which of several pathways is taken |
//! | `switching`, `levels`, `succession` | from one variant to another, what there is to choose from, and which can follow which |
//! | `ahead` | how far ahead of playback things go |
//! | `handover` | from one stream of a track to the next |
//! | `key_frames` | playback by these alone |
//! | `renditions`, `shares` | sound and subtitles beside the variant, and what of the limits each track has |
//! | `muxed` | sound that is in the variant's own segments |
//! | `outgoing` | what goes out next |
//! | `events` | what the publisher tells of moments of the presentation |
//! | `status` | playback's position and the statistics |
//! | `latency` | how far that is behind the live edge |

mod ahead;
mod events;
mod handover;
mod key_frames;
mod latency;
mod levels;
mod muxed;
mod outgoing;
mod presentation;
mod renditions;
mod shares;
mod status;
mod steering;
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
use crate::engine::follower::at;
use crate::engine::key_frames::News as KeyFrameNews;
use crate::engine::keys::{self, Keys};
use crate::engine::mesh::MeshInput;
use crate::engine::output::{TrackReader, TrackWriter};
use crate::engine::playlists::{self, Loader, PlaylistEvent};
use crate::engine::report::StallMeter;
use crate::engine::session::{Shared, Wishes};
use crate::engine::stream::{FetchEvents, Stream, StreamId};
use crate::engine::told::Told;
use crate::engine::{Config, Event, P2pMode, SessionError, TrackKind};
use crate::manifest::{DateRange, Init, Presentation, Source, TimedEvent, Variant};
use crate::net::http::{HttpClient, HttpConfig};
use crate::net::proxy::Proxies;
use crate::net::{cmcd, tls};
use crate::rate::Rate;
use crate::switcher::{Line, Pathways};
use key_frames::ByKeyFrames;
use latency::Latency;
use levels::Switching;
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
    /// Which CDN is taken; None: nobody steers it.
    pathways: Option<Pathways>,
    /// Where playlists come from; None before it is known.
    source: Option<Source>,
    /// Of the manifest that the presentation was made of.
    revision: u64,
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
    /// How fast it goes, as far as is known.
    rate: Rate,
    latency: Latency,
    by_key_frames: ByKeyFrames,
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
    key_frames: mpsc::Sender<(u64, KeyFrameNews)>,
}

/// The other ends.
pub(super) struct Receivers {
    playlists: mpsc::Receiver<PlaylistEvent>,
    fetches: mpsc::Receiver<(StreamId, FetchEvent)>,
    inits: mpsc::Receiver<InitResult>,
    keys: mpsc::Receiver<keys::Loaded>,
    key_frames: mpsc::Receiver<(u64, KeyFrameNews)>,
}

/// What the task waits for.
enum Input {
    Playlist(PlaylistEvent),
    Fetch(StreamId, FetchEvent),
    Init(InitResult),
    Key(keys::Loaded),
    /// Of playback by key frames, for the seek that this counts.
    KeyFrames(u64, KeyFrameNews),
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
    proxies: Proxies,
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
        let key_frames = mpsc::channel(1);
        let mut config = config;
        if config.location.scheme() == "file" {
            // Nobody else's business, and nobody else knows the swarm's name.
            config.p2p = P2pMode::Off;
        }
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
            pathways: None,
            source: None,
            revision: 0,
            url: None,
            tracks: PerTrack {
                main: track(TrackKind::Main, main.0),
                audio: track(TrackKind::Audio, audio.0),
                subtitles: track(TrackKind::Subtitles, subtitles.0),
            },
            readers: PerTrack { main: main.1, audio: audio.1, subtitles: subtitles.1 },
            streams: 0,
            keys: Keys::new(keys.0),
            senders: Senders {
                playlists: playlists.0,
                fetches: fetches.0,
                inits: inits.0,
                key_frames: key_frames.0,
            },
            date_ranges: Vec::new(),
            listed_events: Arc::new([]),
            told: Told::default(),
            stalls: StallMeter::default(),
            was_playing: false,
            rate: Rate::NORMAL,
            latency: Latency::default(),
            by_key_frames: ByKeyFrames::default(),
            startup: None,
            cmcd: config.cmcd.map(|mode| cmcd::Session::new(mode, rand::random(), content_id(&config))),
            config,
        };
        let receivers = Receivers {
            playlists: playlists.1,
            fetches: fetches.1,
            inits: inits.1,
            keys: keys.1,
            key_frames: key_frames.1,
        };
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
                Some((generation, news)) = from.key_frames.recv() => Input::KeyFrames(generation, news),
                input = main.happens() => input,
                input = audio.happens() => input,
                input = subtitles.happens() => input,
                () = at(timeout) => Input::Timeout,
                _ = ticks.tick() => Input::Tick,
            };
            match input {
                Input::Stopped => return Ok(()),
                Input::Seek => {
                    self.seek(&world);
                    self.provide_renditions(&world);
                }
                Input::Select => self.select(&world),
                Input::Playlist(event) => self.handle_playlist(event, &world)?,
                Input::Fetch(stream, event) => {
                    let tells =
                        |id| self.streams().find(|s| s.id == stream).is_none_or(|s| s.tells_of_line(id));
                    if let FetchEvent::Bytes { fetch, bytes } = &event
                        && tells(*fetch)
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
                    // It tells what container this is.
                    self.share_timeline();
                }
                Input::Key(key) => self.handle_key(key)?,
                Input::KeyFrames(generation, news) => self.handle_key_frames(generation, news, &world)?,
                Input::Mesh(stream, input) => {
                    if let Some(stream) = self.stream(stream) {
                        stream.handle_mesh(input);
                    }
                }
                Input::Tick => {
                    self.tick();
                    self.steer(&world);
                    if !self.is_by_key_frames() {
                        self.adapt(&world);
                        self.fill_silence();
                    }
                }
                Input::Timeout => self.streams_mut().for_each(|stream| stream.viewer.handle_timeout()),
                Input::Writable => {}
            }
        }
    }

    fn world(&self) -> Result<World, SessionError> {
        let tls = tls::client_config(self.config.tls.strict, self.config.tls.ca_file.as_ref());
        let tls = tls.map_err(settings)?;
        let proxies = Proxies::new(self.config.proxy.clone());
        let http = HttpConfig {
            home: self.config.location.clone(),
            user_agent: self.config.user_agent.clone(),
            extra_headers: self.config.extra_headers.clone(),
            cookies: self.config.cookies.clone(),
            proxies: proxies.clone(),
            timeout: self.config.timeout,
            cmcd: self.cmcd.clone(),
        };
        let http = HttpClient::new(http, tls.clone()).map_err(settings)?;
        let loader = Loader { http: http.clone(), retries: self.config.retries };
        Ok(World { http, tls, proxies, loader })
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
