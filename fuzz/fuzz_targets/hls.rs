// SPDX-License-Identifier: MPL-2.0

//! What a server may send: a playlist, then reloads of it that may be delta updates. `\0` in the
//! input stands between them.

#![no_main]

use std::time::Instant;

use gstp2phls::manifest::{
    Manifest, MediaPlaylist, Refresh, Segment, SteeringManifest, Timeline, Variables, Wishes, parse,
    parse_reload,
};
use libfuzzer_sys::fuzz_target;
use url::Url;

fn check(playlist: &MediaPlaylist) {
    let follow = |pair: &[Segment]| pair[0].sequence + 1 == pair[1].sequence;
    assert!(playlist.segments.windows(2).all(follow));
    assert!(playlist.open.iter().all(|open| !open.parts.is_empty()));
}

fuzz_target!(|input: &[u8]| {
    let base = Url::parse("https://cdn.example/live/list.m3u8?a=1").expect("a URL");
    let mut bodies = input.split(|byte| *byte == 0);
    let first = bodies.next().unwrap_or_default();
    let _ = SteeringManifest::parse(&base, first);
    let mut playlist = match parse(&base, first) {
        Ok(Manifest::Media(playlist)) => playlist,
        Ok(Manifest::Multivariant(mut presentation)) => {
            if let Some(Ok(steering)) = bodies.next().map(|body| SteeringManifest::parse(&base, body)) {
                steering.add_clones(&mut presentation);
            }
            return;
        }
        Err(_) => return,
    };
    check(&playlist);
    let mut timeline = Timeline::new(playlist.clone());
    let wishes = Wishes { blocking: true, parts: true, deltas: true };
    let mut refresh = Refresh::new(base.clone(), wishes, Instant::now(), &timeline);
    for body in bodies {
        let _ = refresh.next(&timeline);
        if let Ok(Manifest::Media(reloaded)) = parse_reload(&base, body, &Variables::new(), &playlist) {
            check(&reloaded);
            playlist = reloaded.clone();
            let end = timeline.window().1;
            let _ = timeline.update(reloaded);
            assert!(timeline.window().1 >= end);
            refresh.handle_loaded(Instant::now(), &timeline);
        }
        let (start, end) = timeline.window();
        assert!((start..=end).contains(&timeline.start_position()));
        assert!(timeline.low_latency_start().is_none_or(|position| position <= timeline.live_edge()));
    }
});
