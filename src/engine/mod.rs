// SPDX-License-Identifier: MPL-2.0

//! Floor 4: carries out what a viewer asks for, and keeps the bytes.
//!
//! A [`Session`] is one presentation being played. It owns a task that drives the pure viewer,
//! its HTTP fetches and its swarm; the element reads from it through a [`TrackReader`].

mod config;
mod output;
mod session;

pub use config::{Config, P2pMode, Playback, PlaybackClock, TlsConfig};
pub use output::{Item, SegmentStart, TrackReader};
pub use session::{Event, PeerStats, Session, SessionError, Stats, TrackInfo};
