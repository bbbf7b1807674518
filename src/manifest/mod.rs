// SPDX-License-Identifier: MPL-2.0

//! Floor 1: what is there to play? HLS or DASH text in, one typed model out; pure.
//!
//! A [`Source`] is a presentation that is played, whatever its manifest is; a [`Feed`] keeps one of its
//! playlists fresh. Both say what to load with [`Load`] and take what came of it. Below them:
//!
//! [`parse`] turns the body of a playlist into a [`Manifest`]: either a [`Presentation`] (the
//! choice of variants and renditions) or a [`MediaPlaylist`] (the segments of one of them). A
//! [`Timeline`] then keeps the segments of a media playlist in place while a live one is reloaded,
//! and [`Refresh`] says when to reload it, and with which address.
//!
//! Playlists come from anybody, so the reader takes every leniency that players agree on, does a
//! bounded amount of work, linear in the input, and never panics.

pub mod dash;
mod date_range;
mod error;
mod feed;
mod hls;
mod keys;
mod load;
mod low_latency;
mod media;
mod presentation;
mod servers;
mod source;
mod steering;
#[cfg(test)]
pub mod testing;
mod timed_event;
mod timeline;

pub use dash::{EventMessage, MPD_EVENTS};
pub use date_range::{Asset, Cue, DateRange, Interstitial};
pub use error::ManifestError;
pub use feed::{Feed, FeedError, News, Next};
pub use hls::{Directives, Refresh, Reload, Skip, Variables, Wishes, parse, parse_reload, parse_with};
pub use keys::{IDENTITY, Key, KeyMethod, Protection, in_data_uri};
pub use load::{Answer, Load, Now};
pub use low_latency::{Edge, HintKind, OpenSegment, Part, PreloadHint, RenditionReport, ServerControl};
pub use media::{ByteRange, Init, MediaPlaylist, PlaylistType, Progress, Segment, StartOffset};
pub use presentation::{
    ContentSteering, Presentation, Rendition, RenditionKind, Resolution, SessionContent, SessionData, Variant,
};
pub use servers::Moved;
pub use source::{Asked, Source};
pub use steering::{PathwayClone, Replacement, SteeringError, SteeringManifest};
pub use timed_event::{InbandEvents, TimedEvent};
pub use timeline::{Change, MAX_PARTS, Piece, PlacedSegment, Timeline, TimelineError};

/// Most bytes of a playlist that are read: ten times what a day of 2 s segments takes.
pub const MAX_BYTES: usize = 8 << 20;

/// Most segments that a media playlist may list.
pub const MAX_SEGMENTS: usize = 200_000;

/// A playlist of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Manifest {
    /// A multivariant playlist: RFC 8216bis 4.4.6.
    Multivariant(Presentation),
    /// A media playlist: RFC 8216bis 4.4.3.
    Media(MediaPlaylist),
}
