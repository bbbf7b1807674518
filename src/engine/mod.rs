// SPDX-License-Identifier: MPL-2.0

//! Floor 4: carries out what a viewer asks for, and keeps the bytes.
//!
//! A [`Session`] is one presentation being played. It owns a task, the *driver*, that runs the pure
//! viewer, its HTTP fetches and its swarm; the element reads from it through a [`TrackReader`].
//!
//! | file | holds |
//! | --- | --- |
//! | `session` | the face: start, seek, statistics, events |
//! | `driver` | the task: what happens goes into the streams, what goes out of them is handed over |
//! | `tracks` | which tracks there are, and what each of them can play |
//! | `stream` | one variant or rendition in play: its viewer, what that wants, its swarm |
//! | `playlists` | loading playlists |
//! | `places` | where else the same is to be had |
//! | `steering` | asking which of these to take |
//! | `follower` | keeping the one in use fresh |
//! | `keys` | the keys of encrypted segments |
//! | `resource` | loading what is small, with retries |
//! | `fetcher` | HTTP requests for segments |
//! | `told` | which events have been told |
//! | `codecs` | what the names of codecs stand for |
//! | `cmcd` | what servers are told of requests |
//! | `mesh` | trackers, offers and links |
//! | `key_frames` | playback by key frames alone |
//! | `store` | the bytes |
//! | `pump` | which bytes go out next |
//! | `tap` | the sound in the main track's segments, for the track that plays it |
//! | `output` | the way out of the task |

mod cmcd;
mod codecs;
mod config;
mod driver;
mod fetcher;
mod follower;
mod key_frames;
mod keys;
mod mesh;
mod output;
mod places;
mod playlists;
mod pump;
mod report;
mod resource;
mod runtime;
mod session;
mod soundness;
mod steering;
mod store;
mod stream;
mod tap;
mod told;
mod tracks;

pub use config::{CmcdMode, Config, P2pMode, Playback, PlaybackClock, TlsConfig};
pub use output::{Item, SegmentStart, TrackReader};
pub use report::{PeerStats, Stats};
pub use session::{Event, KeyFrames, Session, SessionError, Snap};
pub use tracks::{Alternative, Captions, Selection, TrackInfo, TrackKind};
