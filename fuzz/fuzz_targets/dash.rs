// SPDX-License-Identifier: MPL-2.0

//! What a server may send: an MPD, then newer ones, patches, remote elements, indexes and events.
//! `\0\0` in the input stands between them; the first byte of a piece says what it is.

#![no_main]

use std::time::Duration;

use gstp2phls::manifest::Timeline;
use gstp2phls::manifest::dash::{Document, EventMessage, PlaylistError, SegmentIndex, Stream, UtcTiming};
use libfuzzer_sys::fuzz_target;
use url::Url;

/// Plays a little of everything that the stream offers.
fn check(stream: &mut Stream, index: &[u8], timelines: &mut Vec<(Url, Timeline)>) {
    let presentation = stream.presentation();
    let renditions = presentation.renditions.iter().filter_map(|rendition| rendition.url.clone());
    let urls: Vec<Url> = presentation.variants.iter().map(|v| v.url.clone()).chain(renditions).collect();
    let start = stream.mpd().availability_start;
    for url in urls.iter().take(3) {
        // Without a clock it is the same each time.
        let times: &[u64] = if stream.mpd().dynamic { &[0, 7, 100_000] } else { &[0] };
        for seconds in times.iter().copied() {
            let now = start.saturating_add(Duration::from_secs(seconds));
            let _ = stream.next_change(url, now);
            let mut playlist = stream.playlist(url, now);
            for _ in 0..3 {
                let Err(PlaylistError::NeedsIndex(address)) = &playlist else { break };
                let _ = stream.add_index(address, Some(index));
                playlist = stream.playlist(url, now);
            }
            let Ok(playlist) = playlist else { continue };
            let follow = playlist.segments.windows(2).all(|p| p[0].sequence + 1 == p[1].sequence);
            assert!(follow);
            assert!(playlist.segments.iter().all(|s| s.time.is_some_and(f64::is_finite)));
            match timelines.iter().position(|(known, _)| known == url) {
                Some(at) => {
                    let timeline = &mut timelines[at].1;
                    let end = timeline.window().1;
                    let _ = timeline.update(playlist);
                    assert!(timeline.window().1 >= end);
                }
                None if timelines.len() < 8 => timelines.push((url.clone(), Timeline::new(playlist))),
                None => {}
            }
        }
    }
}

fn pieces(input: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(2).position(|pair| pair == [0, 0]).filter(|_| pieces.len() < 6) {
        pieces.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    pieces.push(rest);
    pieces
}

fuzz_target!(|input: &[u8]| {
    let url = Url::parse("https://cdn.example/live/manifest.mpd?a=1#t=3").expect("a URL");
    let pieces = pieces(input);
    let (first, others) = pieces.split_first().expect("there is one at least");
    let _ = EventMessage::parse(first).map(|message| message.mpd_update());
    let _ = SegmentIndex::parse(first, 12);
    let Ok(mut document) = Document::parse(&url, first) else { return };
    let index = others.last().copied().unwrap_or_default();
    let mut stream = Stream::new(document.mpd().clone());
    let mut timelines = Vec::new();
    check(&mut stream, index, &mut timelines);
    for timing in &document.mpd().utc_timings {
        let _ = UtcTiming::answer(timing, Some("Sun, 06 Nov 1994 08:49:37 GMT"), index);
    }
    for piece in others {
        let before = document.clone();
        let result = match piece.split_first() {
            Some((b'p', patch)) => document.patch(patch),
            Some((b'x', remote)) => match document.links().first() {
                Some(link) => document.resolve(link, Some(remote)),
                None => continue,
            },
            _ => Document::parse(&url, piece).map(|new| document = new),
        };
        match result {
            Ok(()) => {
                stream.update(document.mpd().clone());
                check(&mut stream, index, &mut timelines);
            }
            Err(_) => assert!(document == before),
        }
    }
});
