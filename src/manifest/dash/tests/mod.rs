// SPDX-License-Identifier: MPL-2.0

//! Tables: pieces of MPDs, and what is to come of them.

mod addressing;
mod hostile;
mod live;
mod model;
mod periods;
mod publication;
mod sidx;

use std::time::Duration;

use url::Url;

use super::{DashError, Document, Mpd, Stream};
use crate::manifest::{MediaPlaylist, Segment};

const SECOND: Duration = Duration::from_secs(1);

fn base() -> Url {
    Url::parse("http://h/p/m.mpd?token=1").expect("a URL")
}

fn document(text: &str) -> Document {
    Document::parse(&base(), text.as_bytes()).expect("an MPD")
}

fn error(text: &str) -> DashError {
    Document::parse(&base(), text.as_bytes()).expect_err("an error")
}

fn mpd(text: &str) -> Mpd {
    document(text).mpd().clone()
}

fn stream(text: &str) -> Stream {
    Stream::new(mpd(text))
}

/// A static MPD of 10 s with one set of video, in which `inner` stands.
fn video(inner: &str) -> String {
    format!(
        "<MPD mediaPresentationDuration=\"PT10S\"><Period><AdaptationSet mimeType=\"video/mp4\">{inner}\
         </AdaptationSet></Period></MPD>"
    )
}

/// The playlist of the first variant.
fn playlist_at(stream: &mut Stream, now: Duration) -> MediaPlaylist {
    let url = stream.presentation().variants.first().expect("a variant").url.clone();
    stream.playlist(&url, now).expect("a playlist")
}

fn playlist(text: &str) -> MediaPlaylist {
    playlist_at(&mut stream(text), Duration::ZERO)
}

/// A segment in words: address, range, duration.
fn words(segment: &Segment) -> String {
    let seconds = segment.duration.as_secs_f64();
    let gap = if segment.gap { " gap" } else { "" };
    let range = segment.byte_range.map_or(String::new(), |r| format!(" {}+{}", r.offset, r.length));
    let path = segment.url.as_str().trim_start_matches("http://h/p/");
    if segment.gap { format!("gap {seconds}") } else { format!("{path}{range} {seconds}{gap}") }
}

fn list(playlist: &MediaPlaylist) -> Vec<String> {
    playlist.segments.iter().map(words).collect()
}
