// SPDX-License-Identifier: MPL-2.0

//! Keeps the playlist of one track fresh: made anew when the clock says that there is another
//! segment, and when the MPD, which is loaded again for all tracks together, has changed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use url::Url;

use super::publication::{Publication, lock};
use crate::manifest::feed::{FeedError, News, Next};
use crate::manifest::load::What;
use crate::manifest::servers::Servers;
use crate::manifest::{Answer, Asked, Change, Load, Now, Timeline, TimelineError};

/// Between two looks while another track loads the MPD.
const POLL: Duration = Duration::from_millis(200);

/// Between two looks while the clock alone brings nothing: the stream may end by it.
const IDLE: Duration = Duration::from_secs(2);

/// A track that is followed.
#[derive(Debug)]
pub struct Follow {
    publication: Arc<Mutex<Publication>>,
    /// The track at each service location.
    servers: Servers,
    /// The version of the MPD that the playlist was last made of.
    seen: u64,
    looked: Option<Instant>,
    /// When the newest segment was listed, and how late the publisher was taken to be.
    listed: Option<(Instant, Duration)>,
    /// An index without which there is no playlist.
    index: Option<Load>,
    /// A load for all tracks is ours.
    busy: bool,
}

impl Follow {
    /// The playlist that is followed was just made.
    pub fn new(publication: Arc<Mutex<Publication>>, urls: Vec<Url>) -> Self {
        let seen = lock(&publication).version();
        let servers = Servers::new(urls);
        Self { publication, servers, seen, looked: None, listed: None, index: None, busy: false }
    }

    pub fn next(&mut self, now: Now, timeline: &Timeline) -> Next {
        let mut publication = lock(&self.publication);
        if let Some(load) = &self.index {
            return Next::Load(Box::new(load.clone()));
        }
        if self.servers.has_moved() || publication.version() != self.seen {
            return Next::Look(now.instant);
        }
        if !timeline.is_live() {
            return Next::Rest;
        }
        let change = self.servers.in_use().and_then(|url| publication.next_change(url, now));
        let look = change.unwrap_or_else(|| self.looked.unwrap_or(now.instant) + IDLE);
        if publication.is_busy() {
            return Next::Look(look.min(now.instant + POLL));
        }
        match publication.next_load(now) {
            Some(load) if load.at <= look => Next::Load(Box::new(load)),
            _ => Next::Look(look),
        }
    }

    pub fn begin(&mut self, load: &Load) -> bool {
        self.busy = !matches!(load.what, What::Index(_)) && lock(&self.publication).begin(load);
        self.busy || matches!(load.what, What::Index(_))
    }

    pub fn handle_loaded(
        &mut self,
        load: Load,
        answer: Answer,
        now: Now,
        timeline: &mut Timeline,
    ) -> Result<Option<News>, FeedError> {
        let is_index = matches!(load.what, What::Index(_));
        lock(&self.publication).handle_loaded(load, Some(answer), now)?;
        self.busy = false;
        if is_index {
            self.index = None;
        }
        self.look(now, timeline)
    }

    pub fn handle_failed(&mut self, load: &Load, begun: Instant) -> bool {
        self.busy = false;
        if self.index.is_some() && matches!(load.what, What::Index(_)) && self.move_on() {
            return true;
        }
        match (&load.what, &mut self.index) {
            (What::Index(_), Some(index)) => index.at = begun + IDLE,
            (What::Index(_), None) => {}
            (What::Link(_) | What::Clock(_), _) => {
                let now = Now { instant: begun, system: Duration::ZERO };
                // Going without it cannot fail but for the MPD's own size.
                let _ = lock(&self.publication).handle_loaded(load.clone(), None, now);
            }
            _ => {
                let mut publication = lock(&self.publication);
                publication.leave();
                publication.handle_failed(begun);
            }
        }
        false
    }

    pub fn look(&mut self, now: Now, timeline: &mut Timeline) -> Result<Option<News>, FeedError> {
        self.looked = Some(now.instant);
        let Some(url) = self.servers.in_use() else { return Ok(None) };
        let mut publication = lock(&self.publication);
        self.seen = publication.version();
        let playlist = match publication.playlist(url, now) {
            Ok(Asked::Load(load)) => {
                self.index = Some(*load);
                return Ok(None);
            }
            Ok(Asked::Ready(playlist)) => Ok(playlist),
            Err(error) => Err(error),
        };
        let late = publication.late_media();
        drop(publication);
        let moved = self.servers.arrive();
        let was_live = timeline.is_live();
        let change = match timeline.update(*playlist?) {
            // By the clock nothing is there at present.
            Err(TimelineError::Empty) => Change::Unchanged,
            change => change?,
        };
        if change != Change::Unchanged {
            self.listed = Some((now.instant, late));
        }
        let is_news = change != Change::Unchanged || moved.is_some() || was_live != timeline.is_live();
        Ok(is_news.then_some(News { change, moved }))
    }

    pub fn handle_early(&mut self, now: Now) {
        if let Some((at, late)) = self.listed {
            lock(&self.publication).handle_early(at, late, now.instant);
        }
    }

    /// Takes the next location. False: there is none.
    pub fn move_on(&mut self) -> bool {
        let moves = self.servers.move_on();
        if moves {
            // It is that of the location that is left.
            self.index = None;
        }
        moves
    }

    pub fn in_use(&self) -> Option<&Url> {
        self.servers.in_use()
    }

    pub fn prefer(&mut self, urls: Vec<Url>) {
        if self.servers.prefer(urls) {
            self.index = None;
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        // Whoever ends in the middle of a load leaves it to the others.
        if self.busy {
            lock(&self.publication).leave();
        }
    }
}
