// SPDX-License-Identifier: MPL-2.0

//! One presentation being played, as the element sees it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::driver::Driver;
use super::output::{self, DEPTH, SHALLOW};
use super::runtime::RUNTIME;
use super::{Captions, Config, Selection, Stats, TrackInfo, TrackKind, TrackReader};
use crate::manifest::{DateRange, SessionData, TimedEvent};

/// What went wrong, in words for the user.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SessionError {
    /// The playlist or a segment is not there.
    #[error("{0}")]
    NotFound(String),
    /// The server refuses it.
    #[error("{0}")]
    NotAuthorized(String),
    /// The network or the server failed.
    #[error("{0}")]
    Connection(String),
    /// What came is not what it should be.
    #[error("{0}")]
    Format(String),
    /// The stream uses something that this version cannot do.
    #[error("{0}")]
    Unsupported(String),
    /// The key of an encrypted stream cannot be had.
    #[error("{0}")]
    NoKey(String),
    /// The key does not fit, or what came is damaged.
    #[error("{0}")]
    Decrypt(String),
    /// A setting makes no sense.
    #[error("{0}")]
    Settings(String),
}

/// What a session tells the element, in order.
pub enum Event {
    /// The presentation is known: make the pads. Sent once. The main track comes first.
    Ready { tracks: Vec<TrackInfo>, captions: Vec<Captions>, duration: Option<Duration> },
    /// The duration is known or has changed (a live presentation has ended, for example).
    DurationChanged(Option<Duration>),
    /// EXT-X-SESSION-DATA. Sent once.
    SessionData(Vec<SessionData>),
    /// Playback near the live edge has fallen behind; what there is from this position on is here.
    FellBehind(Duration),
    /// Date ranges that are new or have changed, each with its start on the timeline where that is known.
    DateRanges(Vec<(DateRange, Option<Duration>)>),
    /// Events of the manifest or of the media that are new, each with its start on the timeline where that is known.
    TimedEvents(Vec<(TimedEvent, Option<Duration>)>),
    /// Playback goes on, but the user should know.
    Warning(SessionError),
    /// Playback cannot go on.
    Error(SessionError),
}

/// A seek, the latest of which counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seek {
    /// How many there have been, this one included.
    pub generation: u64,
    pub position: Duration,
}

/// What the application wants, the latest of each.
pub(super) struct Wishes {
    pub seeks: watch::Receiver<Seek>,
    pub selections: watch::Receiver<Option<Selection>>,
}

/// What the driver lets the element see.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Start and end of what can be sought; None before the presentation is known.
    pub window: Option<(Duration, Duration)>,
    pub duration: Option<Duration>,
    /// The duration has been told.
    pub known: bool,
    pub live: bool,
    /// Where playback close to the live edge was to begin, and when that was settled.
    pub begin: Option<(Duration, Instant)>,
    pub stats: Stats,
}

/// A snapshot that the driver writes and the element reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Snapshot>>);

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Snapshot> {
        // Plain values: nothing can be half written.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A running presentation; dropping it ends everything that it started.
pub struct Session {
    shared: Shared,
    readers: [Arc<TrackReader>; TrackKind::ALL.len()],
    seek: watch::Sender<Seek>,
    selection: watch::Sender<Option<Selection>>,
    _running: DropGuard,
}

impl Session {
    /// Starts fetching at once. `on_event` is called from a runtime thread and must not block for long.
    pub fn start(config: Config, on_event: impl Fn(Event) + Send + Sync + 'static) -> Self {
        let shared = Shared::default();
        let (seek, seeks) = watch::channel(Seek::default());
        let (selection, selections) = watch::channel(None);
        let ways = TrackKind::ALL.map(|kind| {
            let depth = if kind == TrackKind::Main { DEPTH } else { SHALLOW };
            let (writer, reader) = output::channel(depth);
            (writer, Arc::new(reader))
        });
        let readers = ways.each_ref().map(|(_, reader)| reader.clone());
        let running = CancellationToken::new();
        let (driver, receivers) =
            Driver::new(config, shared.clone(), Box::new(on_event), ways, Wishes { seeks, selections });
        let stopped = running.clone();
        RUNTIME.spawn(async move { driver.run(receivers, stopped).await });
        Self { shared, readers, seek, selection, _running: running.drop_guard() }
    }

    /// Goes to `position` on the presentation's timeline, clamped to what can be played. Readers give
    /// nothing older from the moment this returns. Gives the position actually taken: items start with the
    /// segment that holds it.
    pub fn seek(&self, position: Duration) -> Duration {
        let position = match self.shared.lock().window {
            Some((start, end)) => position.clamp(start, end.max(start)),
            None => position,
        };
        self.seek.send_modify(|seek| {
            *seek = Seek { generation: seek.generation + 1, position };
            self.readers.iter().for_each(|reader| reader.set_generation(seek.generation));
        });
        position
    }

    /// Chooses what the tracks beside the main one play, as soon as the segments in work have gone out.
    pub fn select(&self, selection: Selection) {
        self.selection.send_replace(Some(selection));
    }

    /// The range that can be sought now: for live, the playlist's window.
    pub fn seekable(&self) -> Option<(Duration, Duration)> {
        self.shared.lock().window
    }

    /// What is to be shown first now, where that is not the start of what goes out first: playback close to the live
    /// edge begins within a segment, and while it is made ready time goes on.
    pub fn begin(&self) -> Option<Duration> {
        self.shared.lock().begin.map(|(position, settled)| position.saturating_add(settled.elapsed()))
    }

    /// None for live, and before the presentation is known.
    pub fn duration(&self) -> Option<Duration> {
        self.shared.lock().duration
    }

    pub fn is_live(&self) -> bool {
        self.shared.lock().live
    }

    /// As of at most a quarter of a second ago.
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats.clone()
    }
}
