// SPDX-License-Identifier: MPL-2.0

//! Loads the presentation and the media playlists of its variants.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use url::Url;

use super::follower::FollowerEvent;
use super::stream::StreamId;
use super::{SessionError, TrackKind, places, resource, steering};
use crate::manifest::{
    Answer, Asked, Directives, Load, MAX_BYTES, ManifestError, MediaPlaylist, Now, Presentation, Source,
    Variant,
};
use crate::net::cmcd::{Kind, Object};
use crate::net::http::{HttpClient, Part, Request};
use crate::switcher::ladder::{Offer, best_within};
use crate::switcher::{Limits, Pathways, Steered};

/// What becomes of loads.
pub enum PlaylistEvent {
    Opened(Result<Box<Opened>, SessionError>),
    /// The playlist of the variant of this index, to switch to.
    Variant(usize, Result<Box<Media>, SessionError>),
    /// The playlist at this address, for a track of this kind.
    Rendition(TrackKind, Url, Result<Box<Media>, SessionError>),
    /// The playlist of this stream goes on.
    Followed(StreamId, FollowerEvent),
    /// Which pathway to take.
    Steered(Steered),
}

/// Further loads that one playlist may take, such as indexes of indexes.
const MAX_LOADS: usize = 5_000;

/// Variants that are tried until one can be loaded.
const MAX_TRIES: usize = 8;

/// Playback does not wait longer to begin for a steering server that is to be asked first.
const STEERING_PATIENCE: Duration = Duration::from_secs(3);

/// How playlists are loaded.
#[derive(Clone)]
pub struct Loader {
    pub http: HttpClient,
    pub retries: u32,
}

/// A presentation as it is first seen.
pub struct Opened {
    /// Where the first playlist came from in the end.
    pub url: Url,
    pub source: Source,
    /// None: the first playlist is a media playlist already.
    pub presentation: Option<Arc<Presentation>>,
    /// None: nobody steers it.
    pub pathways: Option<Pathways>,
    pub media: Media,
}

/// A media playlist, loaded for the first time.
pub struct Media {
    /// Which variant's, as an index into those of the presentation; None for a rendition's.
    pub variant: Option<usize>,
    pub playlist: MediaPlaylist,
    /// When the request was made.
    pub begun: Instant,
}

impl Loader {
    /// Loads the presentation and the media playlist of the variant that `choose` names, or, where
    /// that cannot be had, of one near it.
    pub async fn open(
        &self,
        location: &Url,
        choose: impl Fn(&[Variant]) -> Option<usize>,
    ) -> Result<Opened, SessionError> {
        let begun = Instant::now();
        let request = Request { url: location, part: Part::default(), head_only: false, limit: MAX_BYTES };
        let first = self.answer(request, Kind::Manifest, Duration::ZERO, begun, self.retries).await?;
        let from = first.url.clone();
        let source = Source::open(first, now()).map_err(|error| unreadable(&from, error))?;
        let mut loads = 0;
        while let Some(load) = source.missing(now()).filter(|_| loads < MAX_LOADS) {
            self.carry_out(&source, load).await?;
            loads += 1;
        }
        let Some(presentation) = source.presentation() else {
            let media = Media { begun, ..self.media(&source, &from, Directives::default()).await? };
            return Ok(Opened { url: from, source, presentation: None, pathways: None, media });
        };
        let (presentation, pathways) = self.steer(presentation).await;
        let none = || SessionError::Format(format!("{from}: there is no variant in it to play"));
        let mut error = none();
        let variants = &presentation.variants;
        let on_pathway = |index: &usize| {
            pathways.as_ref().is_none_or(|pathways| variants[*index].pathway() == pathways.current())
        };
        let possible: Vec<usize> = (0..variants.len()).filter(on_pathway).collect();
        let offered: Vec<Variant> = possible.iter().map(|index| variants[*index].clone()).collect();
        for index in choose(&offered).iter().flat_map(|first| near(variants, possible[*first])) {
            match self.variant(&source, &presentation, index, Directives::default()).await {
                Ok(media) => {
                    let presentation = Some(presentation);
                    return Ok(Opened { url: from, source, presentation, pathways, media });
                }
                Err(failure) => {
                    log::warn!(target: "p2phls-engine", "a variant is passed over: {failure}");
                    error = failure;
                }
            }
        }
        Err(error)
    }

    /// Finds out which pathway to begin with.
    async fn steer(&self, mut presentation: Arc<Presentation>) -> (Arc<Presentation>, Option<Pathways>) {
        let mut pathways = Pathways::new(Instant::now(), &presentation);
        let first = presentation.steering.as_ref().is_some_and(|steering| steering.before_start);
        if let Some(pathways) = pathways.as_mut().filter(|_| first)
            && let Some(url) = pathways.poll_request(Instant::now(), None)
        {
            let asked = tokio::time::timeout(STEERING_PATIENCE, steering::ask(&self.http, &url)).await;
            steering::take(pathways, &mut presentation, asked.unwrap_or(Steered::Nothing));
        }
        (presentation, pathways)
    }

    /// Loads the media playlist of a variant.
    pub async fn variant(
        &self,
        source: &Source,
        presentation: &Presentation,
        index: usize,
        join: Directives,
    ) -> Result<Media, SessionError> {
        let media = self.media(source, &presentation.variants[index].url, join).await?;
        Ok(Media { variant: Some(index), ..media })
    }

    /// Loads the media playlist that has this address in its presentation, be it that of a variant or
    /// of a rendition. It is asked for with what `join` asks, where it is a playlist of its own.
    pub async fn media(&self, source: &Source, url: &Url, join: Directives) -> Result<Media, SessionError> {
        let begun = Instant::now();
        for _ in 0..MAX_LOADS {
            let asked = source.playlist(url, now()).map_err(|error| unreadable(url, error))?;
            let playlist = match asked {
                Asked::Ready(playlist) => Some(*playlist),
                Asked::Load(load) => {
                    let mut load = *load;
                    if join != Directives::default() {
                        load.url = join.apply(&load.url);
                    }
                    self.carry_out(source, load).await?
                }
            };
            if let Some(mut playlist) = playlist {
                if join != Directives::default() {
                    playlist.url = Directives::default().apply(&playlist.url);
                }
                return Ok(Media { variant: None, playlist, begun });
            }
        }
        Err(SessionError::Format(format!("{url}: its index has no end")))
    }

    /// Makes a request and hands over what is answered, or that nothing is.
    async fn carry_out(&self, source: &Source, load: Load) -> Result<Option<MediaPlaylist>, SessionError> {
        let answer = match self.load(&load, self.retries).await {
            Ok(answer) => Some(answer),
            Err(error) if load.is_needed => return Err(error),
            Err(error) => {
                log::warn!(target: "p2phls-engine", "going on without it: {error}");
                None
            }
        };
        let url = load.url.clone();
        source.handle_loaded(load, answer, now()).map_err(|error| unreadable(&url, error))
    }

    /// Makes a request.
    pub async fn load(&self, load: &Load, retries: u32) -> Result<Answer, SessionError> {
        let request = Request {
            url: &load.url,
            part: resource::part(load.byte_range),
            head_only: load.head_only,
            limit: load.limit,
        };
        let kind = if load.is_manifest() { Kind::Manifest } else { Kind::Other };
        self.answer(request, kind, load.patience.unwrap_or_default(), Instant::now(), retries).await
    }

    async fn answer(
        &self,
        request: Request<'_>,
        kind: Kind,
        patience: Duration,
        begun: Instant,
        retries: u32,
    ) -> Result<Answer, SessionError> {
        let http = self.http.patient(patience).asking_for(Object { kind, ..Object::default() });
        let fetched = resource::fetch(&http, request, retries).await?;
        if kind == Kind::Manifest && fetched.url.scheme() != "file" {
            http.leave_files();
        }
        let age = fetched.age.unwrap_or_default();
        Ok(Answer { url: fetched.url, body: fetched.body, date: fetched.date, age, begun })
    }
}

/// This moment.
pub fn now() -> Now {
    // Before 1970 is as good as at its beginning: nothing was published then.
    let system = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Now { instant: Instant::now(), system }
}

/// What was loaded is no use.
pub fn unreadable(from: &Url, error: ManifestError) -> SessionError {
    SessionError::Format(format!("{from}: {error}"))
}

/// The best variant that fits `speed` (bits/s), or the leanest if none does. Without a known speed the
/// first: the publisher's own choice to start with (RFC 8216bis, section 4.4.6.2). Those that `limits` do not
/// allow count only where it allows none.
pub fn choose(variants: &[Variant], speed: u64, limits: &Limits) -> Option<usize> {
    let any = variants.iter().any(|variant| limits.allow(variant.bandwidth));
    let allowed = |index: &usize| !any || limits.allow(variants[*index].bandwidth);
    let allowed: Vec<usize> = (0..variants.len()).filter(allowed).collect();
    if speed == 0 {
        return allowed.first().copied();
    }
    let offer = |index: &usize| Offer { bitrate: variants[*index].bandwidth, score: variants[*index].score };
    let offers: Vec<Offer> = allowed.iter().map(offer).collect();
    best_within(&offers, speed).map(|best| allowed[best])
}

/// What to try when a variant cannot be had: those that show the same, the leaner ones from the best
/// down, the richer ones from the leanest up.
fn near(variants: &[Variant], first: usize) -> Vec<usize> {
    let mut order: Vec<usize> = places::of_variant(variants, first).iter().map(|p| p.variant).collect();
    let bandwidth = |index: &usize| variants[*index].bandwidth;
    let (mut leaner, mut richer): (Vec<usize>, Vec<usize>) = (0..variants.len())
        .filter(|index| !order.contains(index))
        .partition(|index| bandwidth(index) <= bandwidth(&first));
    leaner.sort_by_key(|index| std::cmp::Reverse(bandwidth(index)));
    richer.sort_by_key(bandwidth);
    order.extend(leaner.into_iter().chain(richer));
    order.truncate(MAX_TRIES);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::testing::presentation;

    fn variants(text: &str) -> Vec<Variant> {
        presentation(text).variants
    }

    #[test]
    fn the_variant_fits_the_connection() {
        let variants = variants(
            "#EXT-X-STREAM-INF:BANDWIDTH=2000000\nb\n#EXT-X-STREAM-INF:BANDWIDTH=500000\na\n\
             #EXT-X-STREAM-INF:BANDWIDTH=8000000\nc\n#EXT-X-STREAM-INF:BANDWIDTH=8000000\nc2\n",
        );
        let none = Limits { min: 0, max: 0, target_ratio: 0.8 };
        let chosen = |speed| choose(&variants, speed, &none);
        assert_eq!(chosen(0), Some(0));
        assert_eq!(chosen(3_000_000), Some(0));
        assert_eq!(chosen(100_000_000), Some(2));
        assert_eq!(chosen(1), Some(1));
        assert_eq!(choose(&[], 0, &none), None);
        let chosen = |min, max| choose(&variants, 0, &Limits { min, max, ..none });
        assert_eq!(chosen(0, 1_000_000), Some(1));
        assert_eq!(chosen(3_000_000, 0), Some(2));
        assert_eq!(chosen(3_000_000, 4_000_000), Some(0), "none is allowed");
    }

    #[test]
    fn of_those_that_fit_the_publishers_favourite_is_taken() {
        let variants = variants(
            "#EXT-X-STREAM-INF:BANDWIDTH=1,SCORE=1\na\n#EXT-X-STREAM-INF:BANDWIDTH=3,SCORE=2\nb\n\
             #EXT-X-STREAM-INF:BANDWIDTH=4,SCORE=1.5\nc\n",
        );
        let none = Limits { min: 0, max: 0, target_ratio: 0.8 };
        assert_eq!([0, 2, 3, 9].map(|speed| choose(&variants, speed, &none)), [0, 0, 1, 1].map(Some));
    }

    #[test]
    fn what_cannot_be_had_is_replaced_by_what_is_nearest() {
        let variants = variants(
            "#EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"a\",PATHWAY-ID=\"x\"\nb\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n\
             #EXT-X-STREAM-INF:BANDWIDTH=4\nd\n#EXT-X-STREAM-INF:BANDWIDTH=3\nc\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"a\",PATHWAY-ID=\"y\"\nb2\n#EXT-X-STREAM-INF:BANDWIDTH=0\n0\n",
        );
        assert_eq!(near(&variants, 0), [0, 4, 1, 5, 3, 2]);
    }
}
