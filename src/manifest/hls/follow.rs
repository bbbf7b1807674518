// SPDX-License-Identifier: MPL-2.0

//! Keeps a media playlist fresh, and moves to another server that has the same when the one in use
//! fails.

use std::time::Instant;

use url::Url;

use super::{Refresh, Reload, Variables, Wishes, media_only, parse_reload, parse_with};
use crate::manifest::feed::{FeedError, News, Next};
use crate::manifest::load::What;
use crate::manifest::servers::Servers;
use crate::manifest::{Answer, Change, Load, ManifestError, MediaPlaylist, Now, Timeline};

/// What is asked of a server that offers it; parts where they are played.
fn wishes(timeline: &Timeline) -> Wishes {
    Wishes { blocking: true, parts: timeline.is_in_parts(), deltas: true }
}

/// A server that fails so often in a row is left for another, if there is one.
const MAX_FAILURES: u32 = 2;

/// A media playlist that is followed.
#[derive(Debug)]
pub struct Follow {
    servers: Servers,
    imports: Variables,
    refresh: Refresh,
    /// What delta updates build on, where the server makes them.
    base: Option<MediaPlaylist>,
    failures: u32,
}

impl Follow {
    /// `first` is the first load, which was begun at `begun` and is in `timeline`.
    pub fn new(
        urls: Vec<Url>,
        imports: Variables,
        first: &MediaPlaylist,
        begun: Instant,
        timeline: &Timeline,
    ) -> Self {
        let url = urls.first().unwrap_or(&first.url).clone();
        let refresh = Refresh::new(url, wishes(timeline), begun, timeline);
        Self { servers: Servers::new(urls), imports, refresh, base: for_deltas(first), failures: 0 }
    }

    pub fn next(&self, now: Now, timeline: &Timeline) -> Next {
        let moved = self.servers.in_use().filter(|_| self.servers.has_moved());
        let reload = match (self.refresh.next(timeline), moved) {
            // What has moved is asked at once.
            (Some(reload), Some(_)) => Reload { at: now.instant, ..reload },
            (Some(reload), None) => reload,
            (None, Some(url)) => {
                Reload { at: now.instant, url: url.clone(), blocking: false, patience: None }
            }
            (None, None) => return Next::Rest,
        };
        let what = What::List { delta: self.base.is_some() };
        Next::Load(Box::new(Load { patience: reload.patience, ..Load::new(reload.at, reload.url, what) }))
    }

    pub fn handle_loaded(
        &mut self,
        load: Load,
        answer: Answer,
        timeline: &mut Timeline,
    ) -> Result<Option<News>, FeedError> {
        let base = self.base.as_ref().filter(|_| load.what == What::List { delta: true });
        let parsed = match base {
            Some(base) => parse_reload(&answer.url, &answer.body, &self.imports, base),
            None => parse_with(&answer.url, &answer.body, &self.imports),
        };
        if let Err(ManifestError::DeltaWithoutBase { .. }) = parsed {
            self.refresh.handle_misfit(answer.begun);
            self.base = None;
            return Ok(None);
        }
        let playlist = media_only(&answer.url, parsed?)?;
        let next = for_deltas(&playlist);
        let change = timeline.update(playlist)?;
        self.base = next;
        self.refresh.handle_loaded(answer.begun, timeline);
        self.failures = 0;
        let moved = self.servers.arrive();
        let is_news = change != Change::Unchanged || moved.is_some() || !timeline.is_live();
        Ok(is_news.then_some(News { change, moved }))
    }

    pub fn handle_failed(&mut self, begun: Instant, gone: bool, timeline: &Timeline) -> bool {
        self.refresh.handle_failed(begun);
        self.failures += 1;
        (gone || self.failures >= MAX_FAILURES) && self.move_on(begun, timeline)
    }

    /// Takes the next server. False: there is none.
    pub fn move_on(&mut self, now: Instant, timeline: &Timeline) -> bool {
        let moves = self.servers.move_on();
        if moves {
            self.begin(now, timeline);
        }
        moves
    }

    pub fn in_use(&self) -> Option<&Url> {
        self.servers.in_use()
    }

    pub fn prefer(&mut self, urls: Vec<Url>, now: Instant, timeline: &Timeline) {
        if self.servers.prefer(urls) {
            self.begin(now, timeline);
        }
    }

    /// Asks the server that is in use now as if it had not been asked before.
    fn begin(&mut self, now: Instant, timeline: &Timeline) {
        if let Some(url) = self.servers.in_use() {
            self.refresh = Refresh::new(url.clone(), wishes(timeline), now, timeline);
            self.failures = 0;
        }
    }
}

fn for_deltas(playlist: &MediaPlaylist) -> Option<MediaPlaylist> {
    playlist.server_control.can_skip_until.map(|_| playlist.clone())
}
