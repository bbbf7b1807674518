// SPDX-License-Identifier: MPL-2.0

//! What the tests that play share: an origin on loopback, streams made on the spot, and players.

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod chunked;
pub mod clocks;
pub mod collections;
pub mod dash;
pub mod encrypted;
pub mod key_frames;
pub mod languages;
pub mod live;
pub mod low_latency;
pub mod media;
pub mod muxed;
pub mod origin;
pub mod packagers;
pub mod player;
pub mod proxy;
pub mod redis;
pub mod renditions;
pub mod seeking;
pub mod sharing;
pub mod tracker;
pub mod variants;
pub mod viewer;
pub mod webm;

use std::sync::Once;

/// Starts GStreamer and registers the plugin, once a process.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().expect("GStreamer starts");
        collections::keep();
        gstp2phls::plugin_register_static().expect("the plugin registers");
    });
}
