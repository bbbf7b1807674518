// SPDX-License-Identifier: MPL-2.0

//! HLS text -> model, step by step: [`lexer`] has m3u8-rs cut the text into tags and URIs, [`variables`] puts
//! in what is defined elsewhere, [`values`], [`attributes`] and [`addresses`] read what a tag says, and [`media`]
//! or [`multivariant`] put it together. The other way, [`refresh`] says when to load a live
//! playlist again, and [`delivery`] what to ask of the server.

mod addresses;
mod attributes;
mod date_range;
mod delivery;
mod follow;
mod keys;
mod lexer;
mod low_latency;
mod media;
mod multivariant;
mod refresh;
mod values;
mod variables;

use url::Url;

pub use delivery::{Directives, Skip};
pub(super) use follow::Follow;
pub use refresh::{Refresh, Reload, Wishes};
pub use variables::Variables;

use attributes::Attributes;
use lexer::{Line, Tag};
use variables::Scope;

use super::{Manifest, ManifestError, MediaPlaylist, Presentation};

/// Reads a playlist of either kind that was loaded from `base` (after redirects).
pub fn parse(base: &Url, body: &[u8]) -> Result<Manifest, ManifestError> {
    read(base, body, &Variables::new(), None)
}

/// Reads a playlist that may import variables: those of the [`Presentation`] that named it.
///
/// [`Presentation`]: crate::manifest::Presentation
pub fn parse_with(base: &Url, body: &[u8], imports: &Variables) -> Result<Manifest, ManifestError> {
    read(base, body, imports, None)
}

/// Reads a reload of `previous`, which may be a delta update (EXT-X-SKIP). What comes out is the
/// whole playlist.
///
/// [`ManifestError::DeltaWithoutBase`] means that the whole playlist has to be loaded.
pub fn parse_reload(
    base: &Url,
    body: &[u8],
    imports: &Variables,
    previous: &MediaPlaylist,
) -> Result<Manifest, ManifestError> {
    read(base, body, imports, Some(previous))
}

/// The media playlist that came from `from`, if it is one.
pub(super) fn media_only(from: &Url, manifest: Manifest) -> Result<MediaPlaylist, ManifestError> {
    match manifest {
        Manifest::Media(playlist) => Ok(playlist),
        Manifest::Multivariant(_) => Err(ManifestError::NotMedia { url: from.clone() }),
    }
}

fn read(
    base: &Url,
    body: &[u8],
    imports: &Variables,
    previous: Option<&MediaPlaylist>,
) -> Result<Manifest, ManifestError> {
    let lines = lexer::lines(body)?;
    let survey = Survey::of(&lines);

    let mut scope = Scope::new(base, imports);
    let mut multivariant = multivariant::Reader::new(base);
    let mut media = media::Reader::new(base, survey.numbers, previous);
    for (number, line) in lines {
        match line {
            Line::Tag { name, value } => {
                let tag = Tag { name: &name, value: &scope.expand(&value, number)? };
                match &*name {
                    "EXT-X-DEFINE" => scope.define(&Attributes::parse(tag.value)),
                    _ if survey.is_multivariant() => multivariant.tag(tag, number),
                    _ => media.tag(tag, number)?,
                }
            }
            Line::Uri(uri) => {
                let uri = scope.expand(&uri, number)?;
                match survey.is_multivariant() {
                    true => multivariant.uri(&uri),
                    false => media.uri(&uri, number)?,
                }
            }
        }
    }
    Ok(if survey.is_multivariant() {
        Manifest::Multivariant(Presentation { variables: scope.variables, ..multivariant.finish() })
    } else {
        Manifest::Media(media.finish())
    })
}

/// What has to be known before the first line is read.
#[derive(Default)]
struct Survey {
    /// An address stands behind an EXTINF.
    segments: bool,
    /// An address stands behind an EXT-X-STREAM-INF.
    variants: bool,
    /// Tags that belong to one kind, whether or not an address follows.
    target_duration: bool,
    offers: bool,
    numbers: media::Numbers,
}

impl Survey {
    fn of(lines: &[(usize, Line)]) -> Self {
        let mut survey = Self::default();
        let (mut extinf, mut stream_inf) = (false, false);
        for (_, line) in lines {
            match line {
                Line::Tag { name, value } => match name.as_str() {
                    "EXTINF" => extinf = true,
                    "EXT-X-STREAM-INF" => (survey.offers, stream_inf) = (true, true),
                    "EXT-X-I-FRAME-STREAM-INF" | "EXT-X-MEDIA" => survey.offers = true,
                    // Some write it without a number into multivariant playlists.
                    "EXT-X-TARGETDURATION" => survey.target_duration |= values::seconds(value).is_some(),
                    _ => survey.numbers.take(name, value),
                },
                Line::Uri(_) => {
                    survey.variants |= stream_inf;
                    survey.segments |= extinf && !stream_inf;
                    (extinf, stream_inf) = (false, false);
                }
            }
        }
        survey
    }

    /// RFC 8216bis 4.1 forbids tags of both kinds in one playlist. Where they are mixed all the
    /// same, what can be played counts, segments first.
    fn is_multivariant(&self) -> bool {
        self.offers && !self.segments && (self.variants || !self.target_duration)
    }
}

#[cfg(test)]
mod tests;
