// SPDX-License-Identifier: MPL-2.0

//! HLS text -> model, step by step: [`lexer`] cuts the text into tags and URIs, [`variables`] puts
//! in what is defined elsewhere, [`values`] and [`attributes`] read what a tag says, and [`media`]
//! or [`multivariant`] put it together.

mod attributes;
mod lexer;
mod media;
mod multivariant;
mod values;
mod variables;

use url::Url;

pub use variables::Variables;

use super::error::shorten;
use super::{Manifest, ManifestError, Presentation};

/// Reads a playlist of either kind that was loaded from `base` (after redirects).
pub fn parse(base: &Url, body: &[u8]) -> Result<Manifest, ManifestError> {
    parse_with(base, body, &Variables::new())
}

/// Reads a playlist that may import variables: those of the [`Presentation`] that named it.
///
/// [`Presentation`]: crate::manifest::Presentation
pub fn parse_with(base: &Url, body: &[u8], imports: &Variables) -> Result<Manifest, ManifestError> {
    let mut entries = lexer::entries(body)?;
    let variables = variables::substitute(base, imports, &mut entries)?;
    if is_multivariant(&entries) {
        let presentation = multivariant::read(base, &entries);
        Ok(Manifest::Multivariant(Presentation { variables, ..presentation }))
    } else {
        media::read(base, &entries).map(Manifest::Media)
    }
}

/// RFC 8216bis 4.1 forbids tags of both kinds in one playlist. Where they are mixed all the same,
/// what plays wins: a list of segments is a media playlist whatever else stands in it.
fn is_multivariant(entries: &[lexer::Entry]) -> bool {
    let tags = || entries.iter().flat_map(|entry| &entry.tags);
    let has = |names: &[&str]| tags().any(|tag| names.contains(&tag.name()));
    has(&["EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-MEDIA"])
        && !has(&["EXTINF", "EXT-X-TARGETDURATION"])
}

/// Resolves the address on `line` against the playlist's own.
fn resolve(base: &Url, uri: &str, line: usize) -> Result<Url, ManifestError> {
    base.join(uri).map_err(|source| ManifestError::BadUri { line, uri: shorten(uri), source })
}

#[cfg(test)]
mod tests;
