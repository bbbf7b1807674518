// SPDX-License-Identifier: MPL-2.0

//! Keeps the media playlist in use fresh: carries out what its [`Feed`] asks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use url::Url;

use super::SessionError;
use super::playlists::{Loader, PlaylistEvent, now};
use super::stream::StreamId;
use crate::manifest::{Change, Feed, Load, Moved, News, Next, Timeline};

/// A live playlist that cannot be reloaded for this long has ended without saying so.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a follower tells, in order.
pub enum FollowerEvent {
    /// The playlist was reloaded.
    Updated {
        timeline: Box<Timeline>,
        /// The server began anew.
        restarted: bool,
        /// It comes from another server now.
        moved: Option<Moved>,
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
    /// The server that was in use at this address does not have its segments.
    pub elsewhere: watch::Sender<Option<Url>>,
    /// It does not have the newest segment yet.
    pub early: Notify,
}

/// Follows the playlist of one stream.
pub struct Follower {
    pub stream: StreamId,
    pub loader: Loader,
    pub feed: Feed,
    pub bell: Arc<Bell>,
    /// Where to have it from, the best place first.
    pub order: watch::Receiver<Vec<Url>>,
    pub events: mpsc::Sender<PlaylistEvent>,
}

impl Follower {
    /// Runs until the playlist can be loaded no more, or the receiver is gone: what does not change any more may have to
    /// come from elsewhere. `timeline` has its first load.
    pub async fn run(mut self, mut timeline: Timeline) {
        // Since when nothing has come of it.
        let mut trouble: Option<Instant> = None;
        let mut elsewhere = self.bell.elsewhere.subscribe();
        // It may have been rung already.
        elsewhere.mark_changed();
        loop {
            let next = self.feed.next(now(), &timeline);
            tokio::select! {
                () = at(next.at()) => {}
                () = self.bell.newer.notified() => {}
                Ok(()) = elsewhere.changed() => {
                    let failed = elsewhere.borrow_and_update().clone();
                    // It may have been left meanwhile for another reason.
                    if failed.is_some() && failed.as_ref() == self.feed.in_use() {
                        self.feed.move_on(now(), &timeline);
                        trouble = None;
                    }
                    continue;
                }
                Ok(()) = self.order.changed() => {
                    let urls = self.order.borrow_and_update().clone();
                    self.feed.prefer(urls, now(), &timeline);
                    continue;
                }
                () = self.bell.early.notified() => {
                    self.feed.handle_early(now());
                    continue;
                }
                () = self.events.closed() => return,
            }
            let begun = Instant::now();
            let news = match next {
                Next::Load(load) if !self.feed.begin(&load) => continue,
                Next::Load(load) => self.load(*load, begun, &mut timeline).await,
                Next::Look(_) => {
                    let looked = self.feed.look(now(), &mut timeline);
                    looked.map_err(|error| (SessionError::Format(error.to_string()), false))
                }
                // Somebody knew of something newer: there is nothing.
                Next::Rest => continue,
            };
            match news {
                Ok(news) => {
                    trouble = None;
                    if let Some(News { change, moved }) = news {
                        if let Some(Moved { to, .. }) = &moved {
                            log::info!(target: "p2phls-engine", "segments come from another server now: {to}");
                        }
                        let restarted = change == Change::Restarted;
                        let timeline = Box::new(timeline.clone());
                        self.send(FollowerEvent::Updated { timeline, restarted, moved }).await;
                    }
                }
                Err((error, moved)) => {
                    if trouble.get_or_insert(begun).elapsed() > PATIENCE {
                        return self.send(FollowerEvent::Failed(error)).await;
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

    /// Carries out a load. A failure tells whether another server is asked next.
    async fn load(
        &mut self,
        load: Load,
        begun: Instant,
        timeline: &mut Timeline,
    ) -> Result<Option<News>, (SessionError, bool)> {
        let answer = self.loader.load(&load, 0).await;
        let result = match answer {
            Ok(answer) => {
                let from = answer.url.clone();
                let taken = self.feed.handle_loaded(load.clone(), answer, now(), timeline);
                taken.map_err(|error| SessionError::Format(format!("{from}: {error}")))
            }
            Err(error) => Err(error),
        };
        result.or_else(|error| {
            let gone = matches!(error, SessionError::NotFound(_) | SessionError::NotAuthorized(_));
            let moved = self.feed.handle_failed(&load, begun, gone, timeline);
            if load.is_needed { Err((error, moved)) } else { Ok(None) }
        })
    }

    async fn send(&self, event: FollowerEvent) {
        // Nobody listens any more when the session has ended; then there is nothing to tell.
        let _ = self.events.send(PlaylistEvent::Followed(self.stream, event)).await;
    }
}

/// Waits until then; None: for ever.
pub async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// The wait before another server is asked.
const PAUSE: Duration = Duration::from_millis(250);
