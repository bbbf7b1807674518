// SPDX-License-Identifier: MPL-2.0

//! A live stream: the segments of a finished one, published as time goes by.

use std::path::Path;
use std::time::Instant;

use super::media::STREAMS;
use super::origin::Origin;

/// Publishes one segment each time as long as it lasts has passed.
pub struct Live {
    header: String,
    /// Each with its EXTINF line and URI.
    segments: Vec<(String, String)>,
    seconds: f64,
    window: usize,
    begin: Instant,
}

impl Live {
    /// The stream of the finished playlist at `path`, with `window` segments of `seconds` in the playlist; the
    /// first window is there at once.
    pub fn new(path: &Path, seconds: f64, window: usize) -> Self {
        let text = std::fs::read_to_string(path).expect("a playlist");
        let mut lines = text.lines();
        let mut segments = Vec::new();
        let mut header = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
        while let Some(line) = lines.next() {
            if line.starts_with("#EXTINF") {
                segments.push((line.to_owned(), lines.next().expect("a URI").to_owned()));
            } else if line.starts_with("#EXT-X-TARGETDURATION") || line.starts_with("#EXT-X-MAP") {
                header.push_str(line);
                header.push('\n');
            }
        }
        Self { header, segments, seconds, window, begin: Instant::now() }
    }

    /// The playlist as it is now.
    pub fn playlist(&self) -> String {
        self.playlist_after((self.begin.elapsed().as_secs_f64() / self.seconds) as usize)
    }

    /// The playlist when so many segments have been published after the first window.
    pub fn playlist_after(&self, passed: usize) -> String {
        let end = (self.window + passed).min(self.segments.len());
        let first = end - self.window;
        let mut text = format!("{}#EXT-X-MEDIA-SEQUENCE:{first}\n", self.header);
        for (extinf, uri) in &self.segments[first..end] {
            text.push_str(&format!("{extinf}\n{uri}\n"));
        }
        if self.window + passed > self.segments.len() {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }
}

/// An origin with a live stream of one-second segments, six of them in the playlist, and its URL.
pub fn live_origin() -> (Origin, String) {
    let origin = Origin::serve(&STREAMS);
    let live = Live::new(&STREAMS.join("long/index.m3u8"), 1.0, 6);
    origin.set_made("long/live.m3u8", move || live.playlist());
    let url = origin.url("long/live.m3u8");
    (origin, url)
}

/// Makes a film of [`STREAMS`] in segments of a second live, twenty of them in the playlist, which has the name that this
/// gives.
pub fn make_live(origin: &Origin, playlist: &str) -> String {
    let live = Live::new(&STREAMS.join(playlist), 1.0, 20);
    let name = playlist.replace("index", "live");
    origin.set_made(&name, move || live.playlist());
    name
}
