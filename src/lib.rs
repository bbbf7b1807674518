// SPDX-License-Identifier: MPL-2.0

//! Peer-assisted HLS and DASH for GStreamer.
//!
//! A stream is a list of segments, and everyone who watches it needs the same segments at about
//! the same time. The viewers of one stream form a *swarm* of WebRTC data channels, introduced to
//! each other by a *tracker*; for each segment the *hybrid switcher* decides whether peers, the
//! publisher's CDN or both deliver it.
//!
//! # A tour, from the bottom up
//!
//! A room answers one question and imports only rooms on floors below it.
//!
//! | floor | room | question |
//! | --- | --- | --- |
//! | 0 | [`ebml`] | What are the elements of WebM? |
//! | 0 | [`format`] | Which kind of manifest is it? |
//! | 0 | [`rate`] | How fast does playback go? |
//! | 1 | [`manifest`] | What is there to play? |
//! | 1 | [`container`] | What do the bytes say about time and framing? |
//! | 1 | [`swarm`] | Who has it, and how do peers and trackers talk? |
//! | 2 | [`switcher`] | Where does each byte come from? |
//! | 3 | [`viewer`] | What does one whole viewer do next? |
//! | 3 | [`net`] | HTTP, data channels and tracker sockets |
//! | 4 | [`engine`] | Who carries out what the viewer asks for, and keeps the bytes? |
//! | 4 | [`sim`] | How does a whole audience fare? |
//! | 5 | [`element`] | How does GStreamer see it? |
//! | 2 | [`tracker`] | The server that introduces viewers to each other |
//!
//! Floors 1 to 3 except `net` are pure: they do no I/O, read no clock and own no thread. Time
//! comes in as an argument and wishes go out as values, so the same code runs in the element, in
//! a property test and in a simulation, and a fault seen in the field can be replayed.

pub mod ebml;
pub mod format;
pub mod manifest;
pub mod rate;
pub mod swarm;
pub mod switcher;
pub mod viewer;

#[cfg(feature = "plugin")]
pub mod container;
#[cfg(feature = "plugin")]
pub mod element;
#[cfg(feature = "plugin")]
pub mod engine;
#[cfg(feature = "plugin")]
pub mod net;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(any(feature = "tracker", feature = "sim"))]
pub mod tracker;

#[cfg(feature = "plugin")]
gst::plugin_define!(
    p2phls,
    "Plays HLS and DASH from other viewers over WebRTC as well as from the CDN",
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MPL",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("BUILD_REL_DATE")
);

#[cfg(feature = "plugin")]
fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    element::register(plugin)
}
