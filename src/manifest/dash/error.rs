// SPDX-License-Identifier: MPL-2.0

//! Why an MPD cannot be used, in words for the person who has to mend it.

/// Why an MPD, or something that belongs to one, cannot be used. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DashError {
    /// There is nothing to read.
    #[error("not a DASH manifest: it is empty")]
    Empty,
    /// Longer than anything that a player should load again and again.
    #[error("the MPD is too large: {size} bytes, at most {limit} are read")]
    TooLarge { size: usize, limit: usize },
    /// More elements, levels or segments than are read.
    #[error("line {line}: the MPD has more than {limit} {what}")]
    TooMany { line: usize, what: &'static str, limit: usize },
    /// The text is no XML.
    #[error("line {line}: not well-formed XML: {reason}")]
    Xml { line: usize, reason: String },
    /// The text ends within an element, as that of a broken transfer does.
    #[error("line {line}: the text ends before <{element}> does")]
    CutShort { line: usize, element: String },
    /// It is XML, but something else.
    #[error("line {line}: not a DASH manifest: the root is <{found}>, not <{expected}>")]
    Root { line: usize, found: String, expected: &'static str },
    /// Nothing to play, and nothing that may come: a static MPD without a Period.
    #[error("line {line}: the MPD has no Period")]
    NoPeriod { line: usize },
    /// A template, list or address that makes no URL.
    #[error("representation `{representation}`: `{uri}` is not a usable address: {source}")]
    BadUri { representation: String, uri: String, source: url::ParseError },
    /// ISO/IEC 23009-1 5.15: a patch is for one MPD only. The whole MPD has to be loaded.
    #[error("the patch is for another MPD: its {what} is `{theirs}`, that of the MPD is `{ours}`")]
    OtherMpd { what: &'static str, ours: String, theirs: String },
    /// An operation of a patch does not fit. The whole MPD has to be loaded.
    #[error("line {line} of the patch: {reason}: `{selector}`")]
    Patch { line: usize, selector: String, reason: &'static str },
    /// A representation that the MPD does not have (any more).
    #[error("the MPD has no track `{0}`")]
    NoTrack(String),
    /// More segments than a playlist may list.
    #[error("period {period}: {count} segments, at most {limit} are taken")]
    TooManySegments { period: String, count: u64, limit: usize },
}
