// SPDX-License-Identifier: MPL-2.0

//! Floor 5: the GStreamer face.
//!
//! `p2phlssrc` is a plain element with *sometimes* pads and a streaming thread for each track. It
//! pushes container bytes in TIME segments, by one pad, and leaves demuxing to whatever follows; but
//! WebM, and MPEG-TS with other tracks beside it, leave by a pad for each of their streams ([`exit`], [`demux`]).
//! Reading order: [`source`] is the class, [`run`] one playback, [`pad`] one track of
//! it, [`placement`] how bytes get their place in time, [`director`] the thread that listens to
//! the session and talks to the application. With several tracks, [`streams`] is what players are told of them, and
//! [`sync`] what keeps them together.
//!
//! # Errors
//!
//! | what happened | error domain and code |
//! | --- | --- |
//! | no location, or one that is no URL of http, https or file | `RESOURCE` / `NOT_FOUND` |
//! | another property makes no sense | `RESOURCE` / `SETTINGS` |
//! | the server does not have it | `RESOURCE` / `NOT_FOUND` |
//! | the server does not let us, or what came over HTTP names a file | `RESOURCE` / `NOT_AUTHORIZED` |
//! | no connection, before the presentation is known | `RESOURCE` / `OPEN_READ` |
//! | no connection, after that | `RESOURCE` / `READ` |
//! | a playlist that is none, a stream without media | `STREAM` / `FORMAT` |
//! | a stream that this element cannot play | `STREAM` / `NOT_IMPLEMENTED` |
//! | the key of an encrypted stream cannot be had | `STREAM` / `DECRYPT_NOKEY` |
//! | the key does not fit, or what came is damaged | `STREAM` / `DECRYPT` |
//! | segments in no container that it knows | `STREAM` / `WRONG_TYPE` |
//! | downstream refuses the data | `STREAM` / `FAILED`, with `flow-return` in the details |
//!
//! What playback survives (a tracker that does not answer, a segment left out) is a warning with
//! the same codes. So is a stream that goes downstream encrypted though no element is installed that decrypts it
//! (`STREAM` / `DECRYPT`, see [`protection`]); the player behind fails by itself.

pub mod buffering;
pub mod clock;
pub mod contents;
pub mod demux;
pub mod director;
pub mod errors;
pub mod exit;
pub mod expose;
pub mod headers;
pub mod log;
pub mod metadata;
pub mod pad;
pub mod placement;
pub mod probe;
pub mod progress;
pub mod protection;
pub mod query;
pub mod run;
pub mod seek;
pub mod settings;
pub mod source;
pub mod stats;
pub mod streams;
pub mod sync;
pub mod tags;
pub mod timing;
pub mod uri;

use gst::prelude::*;

/// Registers what the plugin offers.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    log::install();
    settings::Mode::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    settings::Cmcd::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    source::register(plugin)
}
