// SPDX-License-Identifier: MPL-2.0

//! Keeps the playlist of one track fresh: made anew when the clock says that there is another
//! segment, and when the MPD, which is loaded again for all tracks together, has changed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use url::Url;

use super::publication::{Publication, lock};
use crate::manifest::feed::{FOREVER, FeedError, News, Next};
use crate::manifest::load::What;
use crate::manifest::{Answer, Asked, Change, Load, Now, Timeline, TimelineError};

/// Between two looks while another track loads the MPD.
const POLL: Duration = Duration::from_millis(200);

/// Between two looks while the clock alone brings nothing: the stream may end by it.
const IDLE: Duration = Duration::from_secs(2);

/// A track that is followed.
#[derive(Debug)]
pub struct Follow {
    publication: Arc<Mutex<Publication>>,
    /// The track at each service location, in order of preference; the first is in use.
    urls: Vec<Url>,
    /// The version of the MPD that the playlist was last made of.
    seen: u64,
    looked: Option<Instant>,
    /// When the newest segment was listed, and how late the publisher was taken to be.
    listed: Option<(Instant, Duration)>,
    /// An index without which there is no playlist.
    index: Option<Load>,
    /// A load for all tracks is ours.
    busy: bool,
    moved: bool,
}

impl Follow {
    /// The playlist that is followed was just made.
    pub fn new(publication: Arc<Mutex<Publication>>, urls: Vec<Url>) -> Self {
        let seen = lock(&publication).version();
        Self { publication, urls, seen, looked: None, listed: None, index: None, busy: false, moved: false }
    }

    pub fn next(&mut self, now: Now, timeline: &Timeline) -> Next {
        let mut publication = lock(&self.publication);
        if let Some(load) = &self.index {
            return Next::Load(Box::new(load.clone()));
        }
        if self.moved || publication.version() != self.seen {
            return Next::Look(now.instant);
        }
        if !timeline.is_live() {
            // Nothing will be new, but what there is may be lost.
            return if self.urls.len() > 1 { Next::Look(now.instant + FOREVER) } else { Next::Rest };
        }
        let change = self.urls.first().and_then(|url| publication.next_change(url, now));
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
        let Some(url) = self.urls.first() else { return Ok(None) };
        let mut publication = lock(&self.publication);
        self.seen = publication.version();
        let playlist = match publication.playlist(url, now)? {
            Asked::Ready(playlist) => playlist,
            Asked::Load(load) => {
                self.index = Some(*load);
                return Ok(None);
            }
        };
        let late = publication.late_media();
        drop(publication);
        let moved = std::mem::take(&mut self.moved);
        let was_live = timeline.is_live();
        let change = match timeline.update(*playlist) {
            // By the clock nothing is there at present.
            Err(TimelineError::Empty) => Change::Unchanged,
            change => change?,
        };
        if change != Change::Unchanged {
            self.listed = Some((now.instant, late));
        }
        let is_news = change != Change::Unchanged || moved || was_live != timeline.is_live();
        Ok(is_news.then_some(News { change, moved }))
    }

    pub fn handle_early(&mut self, now: Now) {
        if let Some((at, late)) = self.listed {
            lock(&self.publication).handle_early(at, late, now.instant);
        }
    }

    pub fn move_on(&mut self) {
        if self.urls.len() > 1 {
            self.urls.rotate_left(1);
            self.moved = true;
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
