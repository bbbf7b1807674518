// SPDX-License-Identifier: MPL-2.0

//! A presentation that is played, whatever its manifest is: where its playlists come from.
//!
//! [`Source::open`] takes the first document. What else has to be loaded before there is a
//! [`Presentation`] or a [`MediaPlaylist`] is asked for with a [`Load`], whose [`Answer`] is handed
//! back. Playlists of HLS are loaded one by one; those of an MPD are made of it, and it is shared by
//! all tracks. A [`Feed`] then keeps a playlist fresh.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use url::Url;

use super::dash::{self, Publication};
use super::load::What;
use super::{
    Answer, Feed, Load, Manifest, ManifestError, MediaPlaylist, Now, Presentation, Timeline, Variables, hls,
    parse, parse_with,
};

/// Where playlists come from. Clones share what has been loaded.
#[derive(Clone, Debug)]
pub struct Source(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Playlists, each loaded by itself.
    Lists {
        presentation: Arc<Presentation>,
    },
    /// The first document is the only playlist.
    List(Box<MediaPlaylist>),
    Mpd(Arc<Mutex<Publication>>),
}

/// What comes of asking for a playlist.
#[derive(Debug)]
pub enum Asked {
    Ready(Box<MediaPlaylist>),
    /// First this has to be loaded and handed to [`Source::handle_loaded`].
    Load(Box<Load>),
}

impl Source {
    /// Reads the first document, whatever it is.
    pub fn open(answer: Answer, now: Now) -> Result<Self, ManifestError> {
        Ok(Self(match dash::is_mpd(&answer.body) {
            true => Kind::Mpd(Arc::new(Mutex::new(Publication::open(answer, now)?))),
            false => match parse(&answer.url, &answer.body)? {
                Manifest::Multivariant(presentation) => Kind::Lists { presentation: Arc::new(presentation) },
                Manifest::Media(playlist) => Kind::List(Box::new(playlist)),
            },
        }))
    }

    /// What has to be loaded before [`Self::presentation`] is whole.
    pub fn missing(&self, now: Now) -> Option<Load> {
        match &self.0 {
            Kind::Mpd(publication) => dash::lock(publication).missing(now),
            Kind::Lists { .. } | Kind::List(_) => None,
        }
    }

    /// What there is to choose from; None: there is one playlist, the document itself.
    pub fn presentation(&self) -> Option<Arc<Presentation>> {
        match &self.0 {
            Kind::Lists { presentation } => Some(presentation.clone()),
            Kind::List(_) => None,
            Kind::Mpd(publication) => Some(Arc::new(dash::lock(publication).stream().presentation())),
        }
    }

    /// What there is to choose from where the manifest has come anew since `revision`, which is brought up to date.
    pub fn renewed(&self, revision: &mut u64) -> Option<Presentation> {
        let Kind::Mpd(publication) = &self.0 else { return None };
        let publication = dash::lock(publication);
        let before = std::mem::replace(revision, publication.version());
        (before != *revision).then(|| publication.stream().presentation())
    }

    /// The playlist of a variant or rendition of the presentation; any address will do where there
    /// is but one.
    pub fn playlist(&self, url: &Url, now: Now) -> Result<Asked, ManifestError> {
        match &self.0 {
            Kind::Lists { .. } => {
                let load = Load::new(now.instant, url.clone(), What::List { delta: false });
                Ok(Asked::Load(Box::new(load)))
            }
            Kind::List(playlist) => Ok(Asked::Ready(playlist.clone())),
            Kind::Mpd(publication) => dash::lock(publication).playlist(url, now),
        }
    }

    /// Takes what [`Self::missing`] or [`Self::playlist`] asked for; None: it could not be had, which
    /// is the end only where the load is needed. Gives the playlist, if that is what it was.
    pub fn handle_loaded(
        &self,
        load: Load,
        answer: Option<Answer>,
        now: Now,
    ) -> Result<Option<MediaPlaylist>, ManifestError> {
        match (&self.0, answer) {
            (Kind::Mpd(publication), answer) => {
                dash::lock(publication).handle_loaded(load, answer, now).map(|()| None)
            }
            (Kind::Lists { presentation }, Some(answer)) => {
                let parsed = parse_with(&answer.url, &answer.body, &presentation.variables)?;
                let mut playlist = hls::media_only(&answer.url, parsed)?;
                inherit(&mut playlist, presentation);
                Ok(Some(playlist))
            }
            _ => Ok(None),
        }
    }

    /// An event in the media says something about the manifest, which is to hold from `at` on, in nanoseconds on
    /// its timeline; `vouched`: it came from the publisher's own server. False: nothing comes of it.
    pub fn handle_update(&self, update: &dash::MpdUpdate, at: i64, vouched: bool) -> bool {
        match &self.0 {
            Kind::Mpd(publication) => dash::lock(publication).handle_update(update, at, vouched),
            Kind::Lists { .. } | Kind::List(_) => false,
        }
    }

    /// Keeps a playlist fresh that can be had at `urls`, in order of preference. Its first load was
    /// begun at `begun` and is `first`, which is in `timeline` already.
    pub fn follow(&self, urls: Vec<Url>, first: &MediaPlaylist, begun: Instant, timeline: &Timeline) -> Feed {
        let imports = match &self.0 {
            Kind::Lists { presentation } => presentation.variables.clone(),
            Kind::List(_) => Variables::new(),
            Kind::Mpd(publication) => return Feed::mpd(dash::Follow::new(publication.clone(), urls)),
        };
        Feed::list(hls::Follow::new(urls, imports, first, begun, timeline))
    }
}

/// What a multivariant playlist says of all its media playlists: RFC 8216bis 4.4.2.
fn inherit(playlist: &mut MediaPlaylist, presentation: &Presentation) {
    playlist.independent_segments |= presentation.independent_segments;
    playlist.start_offset = playlist.start_offset.or(presentation.start_offset);
}
