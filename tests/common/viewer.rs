// SPDX-License-Identifier: MPL-2.0

//! A viewer: the element in a player in real time, with a note of every byte that leaves it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::media::STREAMS;
use super::player::{Consumer, Player, keep_bytes};

/// A player in real time that keeps the container bytes which leave the element.
pub struct Viewer {
    pub player: Player,
    pub bytes: Arc<Mutex<Vec<u8>>>,
}

impl Viewer {
    pub fn start(url: &str, trackers: &str) -> Self {
        Self::with(url, trackers, |_| ())
    }

    pub fn with(url: &str, trackers: &str, tweak: impl Fn(&gst::Element) + Send + Sync + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (kept, trackers) = (bytes.clone(), trackers.to_owned());
        let player = Player::with(Consumer::Decodebin3, url, true, move |source| {
            source.set_property("trackers", &trackers);
            source.set_property("ice-addresses", "127.0.0.1");
            tweak(source);
            keep_bytes(source, &kept);
        });
        player.set_state(gst::State::Playing);
        Self { player, bytes }
    }

    pub fn received(&self) -> usize {
        self.bytes.lock().unwrap().len()
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.player.stat(name)
    }

    pub fn peers(&self) -> u32 {
        self.player.source().property("peers")
    }

    pub fn check_for_error(&self) {
        if let Some(error) = self.player.error() {
            panic!("playback failed: {error}");
        }
    }
}

/// Waits until `condition` holds of the viewers, none of which may fail meanwhile.
pub fn wait_for(what: &str, seconds: u64, viewers: &[Viewer], condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < deadline, "not in {seconds} s: {what}");
        for viewer in viewers {
            viewer.check_for_error();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All segments of a stream, joined.
pub fn origin_bytes(stream: &str) -> Vec<u8> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(STREAMS.join(stream))
        .expect("the stream is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "ts"))
        .collect();
    files.sort();
    files.iter().flat_map(|path| std::fs::read(path).expect("a segment")).collect()
}

/// The bytes are a part of the origin's without a gap.
pub fn assert_same_bytes(viewer: &Viewer, origin: &[u8], which: usize) {
    let bytes = viewer.bytes.lock().unwrap();
    assert!(bytes.len() > 188 * 10, "viewer {which} has got {} bytes", bytes.len());
    // The start is unique within the stream: it holds a clock reference.
    let at = origin.windows(188 * 10).position(|window| *window == bytes[..188 * 10]);
    let at = at.unwrap_or_else(|| panic!("viewer {which} starts with bytes that the origin does not have"));
    assert!(origin[at..].starts_with(&bytes), "viewer {which} has got other bytes than the origin's");
}

pub fn sum(viewers: &[Viewer], name: &str) -> u64 {
    viewers.iter().map(|viewer| viewer.stat(name)).sum()
}
