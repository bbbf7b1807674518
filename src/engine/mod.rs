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
//! | `follower` | keeping the one in use fresh |
//! | `keys` | the keys of encrypted segments |
//! | `resource` | loading what is small, with retries |
//! | `fetcher` | HTTP requests for segments |
//! | `told` | which events have been told |
//! | `cmcd` | what servers are told of requests |
//! | `mesh` | trackers, offers and links |
//! | `store` | the bytes |
//! | `pump` | which bytes go out next |
//! | `output` | the way out of the task |

mod cmcd;
mod config;
mod driver;
mod fetcher;
mod follower;
mod keys;
mod mesh;
mod output;
mod playlists;
mod pump;
mod report;
mod resource;
mod runtime;
mod session;
mod soundness;
mod store;
mod stream;
mod told;
mod tracks;

pub use config::{CmcdMode, Config, P2pMode, Playback, PlaybackClock, TlsConfig};
pub use output::{Item, SegmentStart, TrackReader};
pub use report::{PeerStats, Stats};
pub use session::{Event, Session, SessionError};
pub use tracks::{Alternative, Captions, Selection, TrackInfo, TrackKind};
