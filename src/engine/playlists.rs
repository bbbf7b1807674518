// SPDX-License-Identifier: MPL-2.0

//! Loads the presentation and the media playlists of its variants.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use url::Url;

use super::follower::FollowerEvent;
use super::stream::StreamId;
use super::{SessionError, TrackKind, resource};
use crate::manifest::{
    self, Manifest, ManifestError, MediaPlaylist, Presentation, Reload, Variables, Variant,
};
use crate::net::http::{HttpClient, Part};
use crate::switcher::Limits;
use crate::switcher::ladder::{Offer, best_within};

/// What becomes of loads.
pub enum PlaylistEvent {
    Opened(Result<Box<Opened>, SessionError>),
    /// The playlist of the variant of this index, to switch to.
    Variant(usize, Result<Box<Media>, SessionError>),
    /// The playlist at this address, for a track of this kind.
    Rendition(TrackKind, Url, Result<Box<Media>, SessionError>),
    /// The playlist of this stream goes on.
    Followed(StreamId, FollowerEvent),
}

/// Variants that are tried until one can be loaded.
const MAX_TRIES: usize = 8;

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
    /// None: the first playlist is a media playlist already.
    pub presentation: Option<Arc<Presentation>>,
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
        let (from, body) = self.get(&self.http, location, self.retries).await?;
        let presentation = match read(&from, manifest::parse(&from, &body))? {
            Manifest::Media(playlist) => {
                let media = Media { variant: None, playlist, begun };
                return Ok(Opened { url: from, presentation: None, media });
            }
            Manifest::Multivariant(presentation) => Arc::new(presentation),
        };
        let none = || SessionError::Format(format!("{from}: the multivariant playlist names no variant"));
        let mut error = none();
        for index in
            choose(&presentation.variants).iter().flat_map(|first| near(&presentation.variants, *first))
        {
            match self.variant(&presentation, index).await {
                Ok(media) => return Ok(Opened { url: from, presentation: Some(presentation), media }),
                Err(failure) => {
                    log::warn!(target: "p2phls-engine", "a variant is passed over: {failure}");
                    error = failure;
                }
            }
        }
        Err(error)
    }

    /// Loads the media playlist of a variant.
    pub async fn variant(&self, presentation: &Presentation, index: usize) -> Result<Media, SessionError> {
        let media = self.rendition(presentation, &presentation.variants[index].url).await?;
        Ok(Media { variant: Some(index), ..media })
    }

    /// Loads the media playlist at `url`, of a rendition of the presentation.
    pub async fn rendition(&self, presentation: &Presentation, url: &Url) -> Result<Media, SessionError> {
        let begun = Instant::now();
        let (from, body) = self.get(&self.http, url, self.retries).await?;
        let parsed = manifest::parse_with(&from, &body, &presentation.variables);
        let mut playlist = media(&from, read(&from, parsed)?)?;
        inherit(&mut playlist, presentation);
        Ok(Media { variant: None, playlist, begun })
    }

    /// Loads a media playlist again, where `previous` is what a delta update builds on.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Misfit`]: the whole playlist has to be loaded.
    pub async fn reload(
        &self,
        reload: &Reload,
        imports: &Variables,
        previous: Option<&MediaPlaylist>,
    ) -> Result<MediaPlaylist, ReloadError> {
        let http = self.http.patient(reload.patience.unwrap_or(Duration::ZERO));
        let (from, body) = self.get(&http, &reload.url, 0).await?;
        let parsed = match previous {
            Some(previous) => manifest::parse_reload(&from, &body, imports, previous),
            None => manifest::parse_with(&from, &body, imports),
        };
        match parsed {
            Err(ManifestError::DeltaWithoutBase { .. }) => Err(ReloadError::Misfit),
            parsed => Ok(media(&from, read(&from, parsed)?)?),
        }
    }

    async fn get(&self, http: &HttpClient, url: &Url, retries: u32) -> Result<(Url, Bytes), SessionError> {
        resource::load(http, url, Part::default(), manifest::MAX_BYTES, retries).await
    }
}

/// Why a reload could not be used.
#[derive(Debug)]
pub enum ReloadError {
    /// A delta update builds on what is not known.
    Misfit,
    Failed(SessionError),
}

impl From<SessionError> for ReloadError {
    fn from(error: SessionError) -> Self {
        Self::Failed(error)
    }
}

fn read(from: &Url, parsed: Result<Manifest, ManifestError>) -> Result<Manifest, SessionError> {
    parsed.map_err(|error| SessionError::Format(format!("{from}: {error}")))
}

fn media(from: &Url, manifest: Manifest) -> Result<MediaPlaylist, SessionError> {
    match manifest {
        Manifest::Media(playlist) => Ok(playlist),
        Manifest::Multivariant(_) => Err(SessionError::Format(format!(
            "{from}: this must be a media playlist, but is a multivariant one"
        ))),
    }
}

/// What a multivariant playlist says of all its media playlists: RFC 8216bis 4.4.2.
fn inherit(playlist: &mut MediaPlaylist, presentation: &Presentation) {
    playlist.independent_segments |= presentation.independent_segments;
    playlist.start_offset = playlist.start_offset.or(presentation.start_offset);
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

/// Variants that show the same as this one from another address, this one first: RFC 8216bis 6.2.4
/// calls them redundant.
pub fn redundant(variants: &[Variant], index: usize) -> Vec<usize> {
    let like =
        |variant: &Variant| Variant { url: variants[index].url.clone(), pathway_id: None, ..variant.clone() };
    let wanted = like(&variants[index]);
    let others = (0..variants.len()).filter(|other| *other != index && like(&variants[*other]) == wanted);
    [index].into_iter().chain(others).collect()
}

/// What to try when a variant cannot be had: those that show the same, the leaner ones from the best
/// down, the richer ones from the leanest up.
fn near(variants: &[Variant], first: usize) -> Vec<usize> {
    let mut order = redundant(variants, first);
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

    fn variants(text: &str) -> Vec<Variant> {
        let base = Url::parse("http://h/m.m3u8").unwrap();
        match manifest::parse(&base, format!("#EXTM3U\n{text}").as_bytes()) {
            Ok(Manifest::Multivariant(presentation)) => presentation.variants,
            other => panic!("{other:?}"),
        }
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
        assert_eq!(redundant(&variants, 4), [4, 0]);
        assert_eq!(redundant(&variants, 1), [1]);
        assert_eq!(near(&variants, 0), [0, 4, 1, 5, 3, 2]);
    }
}
