// SPDX-License-Identifier: MPL-2.0

//! How long playlists take to read: `cargo bench --no-default-features --bench manifest`.
//!
//! m3u8-rs, which cuts the lines for our reader, stands beside it with its own reading of the tags.

use std::fmt::Write as _;
use std::time::Duration;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use gstp2phls::manifest::dash::{Document, Stream};
use gstp2phls::manifest::parse;
use url::Url;

fn main() {
    divan::main();
}

fn base() -> Url {
    Url::parse("https://cdn.example/live/list.m3u8").expect("a URL")
}

/// `segments` of an ended playlist, as packagers write them.
fn plain(segments: usize) -> String {
    let mut text =
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:7\n#EXT-X-MAP:URI=\"init.mp4\"\n".to_owned();
    for index in 0..segments {
        let _ = write!(text, "#EXTINF:6.006,\nsegment-{index:08}.m4s\n");
    }
    text + "#EXT-X-ENDLIST\n"
}

/// Attribute lists that never come to their `=` or their closing quote.
fn hostile(segments: usize) -> String {
    "#EXTM3U\n".to_owned()
        + &"#EXT-X-KEY:METHOD\n#EXT-X-MAP:URI=\"k\n#EXTINF:6,\na.ts\n".repeat(segments)
        + "="
}

fn bench(bencher: Bencher, text: &str, read: impl Fn(&[u8])) {
    bencher.counter(BytesCount::of_str(text)).bench_local(|| read(black_box(text.as_bytes())));
}

#[divan::bench(args = [1_000, 10_000, 100_000])]
fn segments(bencher: Bencher, count: usize) {
    let base = base();
    bench(bencher, &plain(count), |body| {
        black_box(parse(&base, body)).expect("a playlist");
    });
}

#[divan::bench(args = [10_000, 100_000])]
fn unclosed_attributes(bencher: Bencher, count: usize) {
    let base = base();
    bench(bencher, &hostile(count), |body| {
        black_box(parse(&base, body)).expect("a playlist");
    });
}

/// A DASH manifest with so many segments in its timeline, each with an entry of its own.
fn timeline(segments: usize) -> String {
    let mut text = "<MPD mediaPresentationDuration=\"P30D\"><Period><AdaptationSet mimeType=\"video/mp4\">\
        <SegmentTemplate media=\"$RepresentationID$/segment-$Time$.m4s\" timescale=\"1000\"><SegmentTimeline>\n"
        .to_owned();
    for index in 0..segments {
        let _ = writeln!(text, "<S t=\"{}\" d=\"6006\"/>", index * 6_006);
    }
    text + "</SegmentTimeline></SegmentTemplate><Representation id=\"v\"/></AdaptationSet></Period></MPD>"
}

#[divan::bench(args = [1_000, 10_000, 100_000])]
fn dash_timeline(bencher: Bencher, count: usize) {
    let base = base();
    bench(bencher, &timeline(count), |body| {
        black_box(Document::parse(&base, body)).expect("an MPD");
    });
}

/// The playlist of such a manifest that was read before.
#[divan::bench(args = [1_000, 10_000, 100_000])]
fn dash_playlist(bencher: Bencher, count: usize) {
    let document = Document::parse(&base(), timeline(count).as_bytes()).expect("an MPD");
    let mut stream = Stream::new(document.mpd().clone());
    let url = stream.presentation().variants[0].url.clone();
    bencher.bench_local(|| {
        let playlist = stream.playlist(&url, Duration::ZERO).expect("a playlist");
        assert_eq!(black_box(playlist).segments.len(), count);
    });
}

/// For comparison: what m3u8-rs takes to read the tags itself. It puts no addresses together.
#[divan::bench(args = [1_000, 10_000, 100_000])]
fn segments_m3u8_rs(bencher: Bencher, count: usize) {
    bench(bencher, &plain(count), |body| {
        black_box(m3u8_rs::parse_media_playlist(body)).expect("a playlist");
    });
}
