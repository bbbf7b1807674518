// SPDX-License-Identifier: MPL-2.0

//! DASH manifests (ISO/IEC 23009-1, DASH-IF IOP) -> the model that HLS playlists become too.
//!
//! An MPD is read step by step: [`xml`] makes a tree of the text, into which [`document`] puts
//! [`patch`]es and remote elements; [`read`] and [`read_set`] make an [`Mpd`] of it, with everything
//! inherited put in its place, by means of [`values`], [`segment_info`], [`descriptors`],
//! [`protection`], [`events`] and [`query`]. [`segments`], [`template`], [`addresses`], [`sidx`] and [`cues`] find a
//! representation's segments, [`timing`] says which of them there are by now. [`tracks`] tells which
//! representations of several periods belong together, and [`stream`] makes of it what the rest of
//! the program plays: a [`Presentation`](super::Presentation), and for each of its tracks a
//! [`MediaPlaylist`](super::MediaPlaylist), as if it had been loaded. While it is played, [`publication`]
//! has what all tracks share, the [`clock`] among it, and [`follow`] keeps one track's playlist fresh.
//!
//! `dash-mpd-core` 0.1.0, which reads MPDs too, is not used: it refuses a whole MPD for one odd
//! attribute (`minBufferTime="1.5"`, `segmentAlignment="2"`, `True`, a negative
//! `presentationTimeOffset`, a bare `&`), overflows on huge durations, drops what a player needs
//! (`SegmentList@startNumber`, content steering, query parameters, the crypto periods of segment
//! encryption), and there would be no tree to patch.

mod addresses;
mod bytes;
mod clock;
mod cues;
mod descriptors;
mod document;
mod error;
mod events;
mod follow;
mod mpd;
mod patch;
mod playlist;
mod present;
mod protection;
mod publication;
mod query;
mod read;
mod read_set;
mod segment_info;
mod segments;
mod sidx;
mod stream;
mod template;
mod timing;
mod tracks;
mod values;
mod xml;

pub use addresses::Address;
pub use descriptors::{Descriptor, Label};
pub use document::{Document, Link};
pub use error::DashError;
pub use events::{Event, EventMessage, EventStream, EventTime, MPD_EVENTS, MpdUpdate};
pub(super) use follow::Follow;
pub use mpd::{
    AdaptationSet, Base, Kind, Latency, Location, Mpd, Offset, PatchLocation, Period, PlaybackRate,
    Preselection, ProducerReferenceTime, Purpose, Representation, Resync, ServiceDescription, Steering,
    SubRepresentation,
};
pub use protection::{ContentProtection, CryptoPeriod, SegmentEncryption};
pub(super) use publication::{Publication, is_mpd, lock};
pub use segments::{Addressing, Entry, Index, InitSource, SegmentTime, SegmentUrl, Source, Timing};
pub use sidx::{IndexError, IndexedSegment, MAX_INDEX_BYTES, SegmentIndex};
pub use stream::{PlaylistError, Stream};
pub use template::{Template, Values};
pub use timing::{Available, UtcTiming};
pub use tracks::Track;

#[cfg(test)]
mod tests;
