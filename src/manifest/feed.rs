// SPDX-License-Identifier: MPL-2.0

//! Keeps one playlist fresh: says what to load and when, and what came of it. Who plays need not
//! know whether a playlist is loaded again or made anew as time goes by.

use std::time::Instant;

use url::Url;

use super::{Answer, Change, Load, ManifestError, Moved, Now, Timeline, TimelineError, dash, hls};

/// A playlist that is followed.
#[derive(Debug)]
pub struct Feed(Kind);

#[derive(Debug)]
enum Kind {
    List(Box<hls::Follow>),
    Mpd(Box<dash::Follow>),
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Load this when its time has come.
    Load(Box<Load>),
    /// Call [`Feed::look`] at this time: the passing of time brings something new.
    Look(Instant),
    /// Nothing: the playlist will not change any more, unless another place is taken for it.
    Rest,
}

impl Next {
    /// When; None: never.
    pub fn at(&self) -> Option<Instant> {
        match self {
            Self::Load(load) => Some(load.at),
            Self::Look(at) => Some(*at),
            Self::Rest => None,
        }
    }
}

/// What a load or a look has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub change: Change,
    /// The playlist comes from another server now.
    pub moved: Option<Moved>,
}

/// Why what came could not be used; what was known before still holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Timeline(#[from] TimelineError),
}

impl Feed {
    pub(super) fn list(follow: hls::Follow) -> Self {
        Self(Kind::List(Box::new(follow)))
    }

    pub(super) fn mpd(follow: dash::Follow) -> Self {
        Self(Kind::Mpd(Box::new(follow)))
    }

    pub fn next(&mut self, now: Now, timeline: &Timeline) -> Next {
        match &mut self.0 {
            Kind::List(follow) => follow.next(now, timeline),
            Kind::Mpd(follow) => follow.next(now, timeline),
        }
    }

    /// A load is about to be carried out. False: somebody else who follows the same does so, or has.
    pub fn begin(&mut self, load: &Load) -> bool {
        match &mut self.0 {
            Kind::List(_) => true,
            Kind::Mpd(follow) => follow.begin(load),
        }
    }

    /// Takes the answer to a load. None: nothing has changed yet, [`Self::next`] says how to go on.
    pub fn handle_loaded(
        &mut self,
        load: Load,
        answer: Answer,
        now: Now,
        timeline: &mut Timeline,
    ) -> Result<Option<News>, FeedError> {
        match &mut self.0 {
            Kind::List(follow) => follow.handle_loaded(load, answer, timeline),
            Kind::Mpd(follow) => follow.handle_loaded(load, answer, now, timeline),
        }
    }

    /// A load that was begun at `begun` has failed, or its answer could not be used; `gone` where the
    /// server has said that there is nothing. True: another server is asked at once.
    pub fn handle_failed(&mut self, load: &Load, begun: Instant, gone: bool, timeline: &Timeline) -> bool {
        match &mut self.0 {
            Kind::List(follow) => follow.handle_failed(begun, gone, timeline),
            Kind::Mpd(follow) => follow.handle_failed(load, begun),
        }
    }

    /// Looks what there is by now, without loading anything.
    pub fn look(&mut self, now: Now, timeline: &mut Timeline) -> Result<Option<News>, FeedError> {
        match &mut self.0 {
            Kind::List(_) => Ok(None),
            Kind::Mpd(follow) => follow.look(now, timeline),
        }
    }

    /// The newest segment is not there yet.
    pub fn handle_early(&mut self, now: Now) {
        match &mut self.0 {
            // A playlist that lists it was made too early, but the next may be right.
            Kind::List(_) => {}
            Kind::Mpd(follow) => follow.handle_early(now),
        }
    }

    /// Where the playlist comes from.
    pub fn in_use(&self) -> Option<&Url> {
        match &self.0 {
            Kind::List(follow) => follow.in_use(),
            Kind::Mpd(follow) => follow.in_use(),
        }
    }

    /// The server in use does not have the segments: takes the next.
    pub fn move_on(&mut self, now: Now, timeline: &Timeline) {
        match &mut self.0 {
            Kind::List(follow) => follow.move_on(now.instant, timeline),
            Kind::Mpd(follow) => follow.move_on(),
        };
    }

    /// From now on these are the places to have it from, the best first.
    pub fn prefer(&mut self, urls: Vec<Url>, now: Now, timeline: &Timeline) {
        match &mut self.0 {
            Kind::List(follow) => follow.prefer(urls, now.instant, timeline),
            Kind::Mpd(follow) => follow.prefer(urls),
        }
    }
}
