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
use crate::rate::{Direction, Rate};

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
    /// How fast playback goes from there.
    pub rate: Rate,
    /// By these alone, if so.
    pub key_frames: Option<KeyFrames>,
}

/// Playback by key frames alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFrames {
    pub direction: Direction,
    /// Where it ends; None: where the presentation does, or begins.
    pub until: Option<Duration>,
}

/// What a seek may do with its position so that it takes less to get there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Snap {
    /// Nothing.
    #[default]
    Exact,
    /// Go to where the segment begins that holds it.
    Before,
    /// Go to where the next segment begins, unless one begins there; in the last segment as [`Snap::Before`].
    After,
    /// Go to the nearer of both.
    Nearest,
}

impl Snap {
    /// Where a seek to `position` goes; `entries` are the places to choose from, in order.
    fn apply(self, position: Duration, entries: &[Duration]) -> Duration {
        let after = entries.partition_point(|entry| *entry <= position);
        let before = after.checked_sub(1).map_or(position, |index| entries[index]);
        let after = if before == position { position } else { *entries.get(after).unwrap_or(&before) };
        match self {
            Self::Exact => position,
            Self::Before => before,
            Self::After => after,
            Self::Nearest if after.abs_diff(position) <= before.abs_diff(position) => after,
            Self::Nearest => before,
        }
    }
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
    /// Close to the live edge the end moves with time from a moment on: so far at most, until the manifest tells more.
    pub moving: Option<(Instant, Duration)>,
    /// Where segments of the main track begin that playback can begin with, in order.
    pub entries: Vec<Duration>,
    pub duration: Option<Duration>,
    /// The duration has been told.
    pub known: bool,
    pub live: bool,
    /// Key frames can be had by themselves, as far as is known.
    pub has_key_frames: bool,
    /// Where playback close to the live edge was to begin, and when that was settled.
    pub begin: Option<(Duration, Instant)>,
    pub stats: Stats,
}

impl Snapshot {
    /// What can be sought at this moment.
    fn window(&self) -> Option<(Duration, Duration)> {
        let (start, end) = self.window?;
        let moved = self.moving.map_or(Duration::ZERO, |(since, most)| since.elapsed().min(most));
        Some((start, end.saturating_add(moved)))
    }
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

    /// Where a seek to `position` on the presentation's timeline goes: clamped to what can be played.
    pub fn target(&self, position: Duration, snap: Snap) -> Duration {
        let shared = self.shared.lock();
        let Some((start, end)) = shared.window() else { return position };
        snap.apply(position.clamp(start, end.max(start)), &shared.entries)
    }

    /// Goes to the [`Session::target`] of `position`, which is given back, to play on from there at `rate`. Readers give
    /// nothing older from the moment this returns; items start with the segment that holds it.
    pub fn seek(
        &self,
        position: Duration,
        snap: Snap,
        rate: Rate,
        key_frames: Option<KeyFrames>,
    ) -> Duration {
        let position = self.target(position, snap);
        self.seek.send_modify(|seek| {
            *seek = Seek { generation: seek.generation + 1, position, rate, key_frames };
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
        self.shared.lock().window()
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

    /// Whether playback can go backward, once the presentation is known.
    pub fn goes_backward(&self) -> bool {
        self.shared.lock().has_key_frames
    }

    pub fn is_live(&self) -> bool {
        self.shared.lock().live
    }

    /// As of at most a quarter of a second ago.
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeks_snap_to_where_segments_begin() {
        let s = Duration::from_secs;
        let entries = [s(2), s(6), s(10)];
        for (position, before, after, nearest) in [
            (s(6), s(6), s(6), s(6)),
            (s(7), s(6), s(10), s(6)),
            (s(8), s(6), s(10), s(10)),
            (s(9), s(6), s(10), s(10)),
            // In the last one, and where there is none before.
            (s(12), s(10), s(10), s(10)),
            (s(1), s(1), s(1), s(1)),
        ] {
            assert_eq!(Snap::Exact.apply(position, &entries), position);
            assert_eq!(Snap::Before.apply(position, &entries), before, "before {position:?}");
            assert_eq!(Snap::After.apply(position, &entries), after, "after {position:?}");
            assert_eq!(Snap::Nearest.apply(position, &entries), nearest, "nearest to {position:?}");
        }
        assert_eq!(Snap::After.apply(s(5), &[]), s(5));
    }
}
