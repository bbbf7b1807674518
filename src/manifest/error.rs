// SPDX-License-Identifier: MPL-2.0

//! Why a playlist cannot be used, in words for the person who has to mend it.

/// Why a playlist cannot be used. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// There is nothing to read.
    #[error("not an HLS playlist: it is empty")]
    Empty,
    /// The header that RFC 8216bis 4.4.1.1 requires is missing, and no other tag of HLS stands in
    /// its place.
    #[error("not an HLS playlist: no #EXTM3U on the first line (it starts with `{start}`)")]
    NoHeader {
        /// What stands there instead, shortened.
        start: String,
    },
    /// Longer than anything that a player should load again and again.
    #[error("the playlist is too large: {size} bytes, at most {limit} are read")]
    TooLarge { size: usize, limit: usize },
    /// More lines or segments than are read.
    #[error("line {line}: the playlist has more than {limit} {what}")]
    TooMany { line: usize, what: &'static str, limit: usize },
    /// A segment, initialisation segment or key whose address makes no URL.
    #[error("line {line}: `{uri}` is not a usable URI: {source}")]
    BadUri { line: usize, uri: String, source: url::ParseError },
    /// A multivariant playlist where a variant names one with segments.
    #[error("a variant must be a media playlist, this is a multivariant one")]
    NotMedia { url: url::Url },
    /// It is an MPD, or belongs to one.
    #[error(transparent)]
    Dash(#[from] super::dash::DashError),
    /// A delta update leaves out segments that the playlist before it does not have either. The
    /// whole playlist has to be loaded.
    #[error("line {line}: the delta update builds on segment {sequence}, which is not known")]
    DeltaWithoutBase { line: usize, sequence: i64 },
}

/// At most the first 60 characters, for messages.
pub(super) fn shorten(text: &str) -> String {
    const KEPT: usize = 60;
    let mut short: String = text.chars().take(KEPT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
