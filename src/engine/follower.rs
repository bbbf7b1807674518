// SPDX-License-Identifier: MPL-2.0

//! Keeps the media playlist in use fresh, and moves to another server that has the same when the
//! one in use fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use url::Url;

use super::SessionError;
use super::playlists::{Loader, PlaylistEvent, ReloadError};
use super::stream::StreamId;
use crate::manifest::{Change, MediaPlaylist, Refresh, Reload, Timeline, TimelineError, Variables, Wishes};

/// What is asked of a server that offers it. Parts are not played yet.
const WISHES: Wishes = Wishes { blocking: true, parts: false, deltas: true };

/// A live playlist that cannot be reloaded for this long has ended without saying so.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that fails so often in a row is left for another, if there is one.
const MAX_FAILURES: u32 = 2;

/// What a follower tells, in order.
pub enum FollowerEvent {
    /// The playlist was reloaded.
    Updated {
        timeline: Box<Timeline>,
        /// The server began anew.
        restarted: bool,
        /// It comes from another server now.
        moved: bool,
    },
    /// It could not be reloaded this time.
    Trouble(SessionError),
    /// It cannot be reloaded any more.
    Failed(SessionError),
}

/// Wakes a follower.
#[derive(Debug, Default)]
pub struct Bell {
    /// Somebody knows of newer segments.
    pub newer: Notify,
    /// The server in use does not have its segments.
    pub elsewhere: Notify,
}

/// Follows the playlist of one stream.
pub struct Follower {
    pub stream: StreamId,
    pub loader: Loader,
    /// Where the playlist is, in order of preference; the first is in use.
    pub urls: Vec<Url>,
    pub imports: Variables,
    pub bell: Arc<Bell>,
    pub events: mpsc::Sender<PlaylistEvent>,
}

impl Follower {
    /// Runs until the playlist does not change any more or can be loaded no more, or the receiver is
    /// gone. `first` is the first load, which was begun at `begun` and is in `timeline`.
    pub async fn run(mut self, mut timeline: Timeline, first: MediaPlaylist, begun: Instant) {
        let mut refresh = Refresh::new(self.urls[0].clone(), WISHES, begun, &timeline);
        let mut base = for_deltas(&first);
        let mut succeeded = begun;
        let mut failures = 0;
        let mut moved = false;
        loop {
            let reload = match refresh.next(&timeline) {
                // What has moved is asked at once.
                Some(reload) if moved => Reload { at: Instant::now(), ..reload },
                Some(reload) => reload,
                None if moved => whole(&self.urls[0]),
                // Nothing will be new, but what there is may be lost.
                None if self.urls.len() > 1 => {
                    Reload { at: Instant::now() + FOREVER, ..whole(&self.urls[0]) }
                }
                None => return,
            };
            tokio::select! {
                () = tokio::time::sleep_until(reload.at.into()) => {}
                () = self.bell.newer.notified() => {}
                () = self.bell.elsewhere.notified() => {
                    self.move_on(&mut refresh, &timeline);
                    (moved, failures, succeeded) = (true, 0, Instant::now());
                    continue;
                }
                () = self.events.closed() => return,
            }
            let begun = Instant::now();
            let loaded = self.loader.reload(&reload, &self.imports, base.as_ref()).await;
            let result = match loaded {
                Ok(playlist) => {
                    let next = for_deltas(&playlist);
                    let change = timeline.update(playlist).map_err(from_timeline);
                    if change.is_ok() {
                        base = next;
                    }
                    change
                }
                Err(ReloadError::Misfit) => {
                    refresh.handle_misfit(begun);
                    base = None;
                    continue;
                }
                Err(ReloadError::Failed(error)) => Err(error),
            };
            match result {
                Ok(change) => {
                    refresh.handle_loaded(begun, &timeline);
                    (succeeded, failures) = (begun, 0);
                    if change != Change::Unchanged || moved || !timeline.is_live() {
                        let restarted = change == Change::Restarted;
                        let timeline = Box::new(timeline.clone());
                        self.send(FollowerEvent::Updated { timeline, restarted, moved }).await;
                    }
                    moved = false;
                }
                Err(error) if succeeded.elapsed() > PATIENCE => {
                    return self.send(FollowerEvent::Failed(error)).await;
                }
                Err(error) => {
                    refresh.handle_failed(begun);
                    failures += 1;
                    let gone = matches!(error, SessionError::NotFound(_) | SessionError::NotAuthorized(_));
                    moved = false;
                    if self.urls.len() > 1 && (gone || failures >= MAX_FAILURES) {
                        self.move_on(&mut refresh, &timeline);
                        (moved, failures) = (true, 0);
                    }
                    self.send(FollowerEvent::Trouble(error)).await;
                    if moved {
                        // Where all servers fail they are not asked in a circle without a pause.
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    /// Takes the next server.
    fn move_on(&mut self, refresh: &mut Refresh, timeline: &Timeline) {
        self.urls.rotate_left(1);
        log::info!(target: "p2phls-engine", "the playlist is taken from {} now", self.urls[0]);
        *refresh = Refresh::new(self.urls[0].clone(), WISHES, Instant::now(), timeline);
    }

    async fn send(&self, event: FollowerEvent) {
        // Nobody listens any more when the session has ended; then there is nothing to tell.
        let _ = self.events.send(PlaylistEvent::Followed(self.stream, event)).await;
    }
}

/// The wait before another server is asked.
const PAUSE: Duration = Duration::from_millis(250);

/// Longer than anybody plays.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// A reload that asks nothing special.
fn whole(url: &Url) -> Reload {
    Reload { at: Instant::now(), url: url.clone(), blocking: false, patience: None }
}

/// What delta updates build on, where the server makes them.
fn for_deltas(playlist: &MediaPlaylist) -> Option<MediaPlaylist> {
    playlist.server_control.can_skip_until.map(|_| playlist.clone())
}

fn from_timeline(error: TimelineError) -> SessionError {
    SessionError::Format(error.to_string())
}
