// SPDX-License-Identifier: MPL-2.0

//! Delta updates and low latency.

use std::time::Duration;

use super::*;
use crate::manifest::{Edge, HintKind, Part, PreloadHint, RenditionReport, ServerControl};

fn reload(text: &str, previous: &MediaPlaylist) -> Result<MediaPlaylist, ManifestError> {
    let text = format!("#EXTM3U\n{text}");
    match parse_reload(&base(), text.as_bytes(), &Variables::new(), previous)? {
        Manifest::Media(playlist) => Ok(playlist),
        other => panic!("{text:?} is {other:?}"),
    }
}

fn names(playlist: &MediaPlaylist) -> Vec<(i64, String)> {
    let name = |s: &Segment| s.url.path().trim_start_matches("/live/").to_owned();
    each(playlist, |s| (s.sequence, name(s)))
}

/// A whole playlist of segments 10 to 15, where everything that can be carried on is.
fn whole() -> MediaPlaylist {
    let date_ranges: String = ["a", "b", "c"]
        .iter()
        .map(|id| format!("#EXT-X-DATERANGE:ID=\"{id}\",START-DATE=\"2026-01-01T00:00:00Z\"\n"))
        .collect();
    let segments: String = (12..16).map(|n| format!("#EXTINF:4,\n{n}\n")).collect();
    media(&format!(
        "#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n\
         #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:00Z\n#EXTINF:4,\n10\n#EXT-X-DISCONTINUITY\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"i\"\n#EXT-X-BITRATE:800\n\
         #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:02:00Z\n#EXTINF:4,\n11\n{segments}{date_ranges}"
    ))
}

#[test]
fn a_delta_update_is_filled_in() {
    let whole = whole();
    let delta = "#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:11\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n\
        #EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:4,\n14\n#EXTINF:4,\n15\n#EXTINF:4,\n16\n";
    let list = reload(delta, &whole).expect("a playlist");
    let expected: Vec<_> = (11..=16).map(|n: i64| (n, n.to_string())).collect();
    assert_eq!(names(&list), expected);
    // What was said before the skipped segments still holds behind them.
    let last = |list: &MediaPlaylist| Segment { sequence: 0, ..list.segments.last().expect("one").clone() };
    let [skipped, new] = [&list.segments[2], &list.segments[5]];
    assert_eq!((&skipped.key, &skipped.init), (&new.key, &new.init));
    assert!(new.key.is_some() && new.init.is_some());
    assert_eq!((new.bitrate, new.discontinuity_sequence), (Some(800), 3));
    assert_eq!(new.program_date_time, Some(Duration::from_secs(120 + 5 * 4)));
    // The same as the whole playlist would have said.
    assert_eq!(last(&list).duration, last(&whole).duration);
    assert_eq!((list.skipped, list.media_sequence), (0, 11));
    // Date ranges are all listed unless the server was asked to skip them.
    assert_eq!(list.date_ranges, []);
}

#[test]
fn a_delta_update_can_leave_out_date_ranges() {
    let ids = |list: &MediaPlaylist| list.date_ranges.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
    let delta = |removed: &str| {
        let text = format!(
            "#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-SKIP:SKIPPED-SEGMENTS=6,RECENTLY-REMOVED-DATERANGES=\"{removed}\"\n\
             #EXT-X-DATERANGE:ID=\"c\",DURATION=5\n#EXT-X-DATERANGE:ID=\"d\"\n"
        );
        reload(&text, &whole()).expect("a playlist")
    };
    assert_eq!(ids(&delta("a\tb")), ["c", "d"]);
    let list = delta("");
    assert_eq!(ids(&list), ["a", "b", "c", "d"]);
    // What is new about one that was there is added to it.
    assert!(list.date_ranges[2].start.is_some());
    assert_eq!(list.date_ranges[2].duration, Some(Duration::from_secs(5)));
}

#[test]
fn a_delta_update_that_does_not_fit_says_so() {
    for (text, sequence, line) in [
        ("#EXT-X-MEDIA-SEQUENCE:12\n#EXT-X-SKIP:SKIPPED-SEGMENTS=5\n", 16, 3),
        ("#EXT-X-MEDIA-SEQUENCE:9\n#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n", 9, 3),
        ("#EXT-X-SKIP:SKIPPED-SEGMENTS=9223372036854775807\n", 0, 2),
        ("\n#EXT-X-MEDIA-SEQUENCE:20\n#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n", 20, 4),
    ] {
        let expected = Err(ManifestError::DeltaWithoutBase { line, sequence });
        assert_eq!(reload(text, &whole()), expected, "{text}");
    }
    // More than once it says nothing new, or else a short text would make a long list.
    let text = "#EXT-X-MEDIA-SEQUENCE:10\n".to_owned() + &"#EXT-X-SKIP:SKIPPED-SEGMENTS=6\n".repeat(1_000);
    assert_eq!(reload(&text, &whole()).map(|list| list.segments.len()), Ok(6));
}

#[test]
fn delta_updates_do_not_add_up_without_end() {
    let segments = |count: usize| "#EXTINF:1,\na\n".repeat(count);
    let ranges =
        |from, to| (from..to).map(|n: usize| format!("#EXT-X-DATERANGE:ID=\"{n}\"\n")).collect::<String>();
    let mut list = media(&(segments(150_000) + &ranges(0, 8_000)));
    let skip = "#EXT-X-SKIP:SKIPPED-SEGMENTS=150000,RECENTLY-REMOVED-DATERANGES=\"\"\n";
    list = reload(&format!("{skip}{}{}", segments(1), ranges(8_000, 16_000)), &list).expect("a playlist");
    assert_eq!((list.segments.len(), list.date_ranges.len()), (150_001, 10_000));
    let error = reload(&(skip.to_owned() + &segments(50_001)), &list);
    assert!(matches!(error, Err(ManifestError::TooMany { what: "segments", .. })), "{:?}", error.map(|_| ()));
}

#[test]
fn without_the_load_before_it_a_delta_update_keeps_its_numbers() {
    let list = media("#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:1,\na");
    assert_eq!((list.media_sequence, list.skipped, list.segments[0].sequence), (10, 3, 13));
}

#[test]
fn parts_belong_to_their_segment_or_to_the_one_in_progress() {
    let list = media(
        "#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=1.02\n#EXT-X-MEDIA-SEQUENCE:7\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK=3.06\n\
         #EXT-X-MAP:URI=\"i\"\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:00Z\n#EXTINF:4,\na\n\
         #EXT-X-PART:DURATION=1,URI=\"b\",BYTERANGE=\"10@5\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=1,URI=\"b\",BYTERANGE=\"20\"\n\
         #EXTINF:2,\nb\n#EXT-X-PART:DURATION=1,URI=\"b\",BYTERANGE=\"30\"\n\
         #EXT-X-PART:DURATION=0.5,URI=\"c.1\",GAP=YES\n#EXT-X-PART:DURATION=1\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"c.2\",BYTERANGE-START=35\n#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"j\",BYTERANGE-LENGTH=9\n\
         #EXT-X-PRELOAD-HINT:TYPE=X,URI=\"j\"\n#EXT-X-RENDITION-REPORT:URI=\"../x\",LAST-MSN=8,LAST-PART=1\n\
         #EXT-X-RENDITION-REPORT:URI=\"../y\"",
    );
    assert_eq!(list.part_target, Some(Duration::from_millis(1_020)));
    let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
    assert_eq!(
        list.server_control,
        ServerControl {
            can_block_reload: true,
            can_skip_until: seconds(24.0),
            can_skip_date_ranges: true,
            hold_back: None,
            part_hold_back: seconds(3.06),
        }
    );
    let range = |part: &Part| part.byte_range.map(|r| (r.offset, r.length));
    assert_eq!(each(&list, |s| s.parts.len()), [0, 2]);
    let [first, second] = &list.segments[1].parts[..] else { panic!("two") };
    assert_eq!((range(first), range(second)), (Some((5, 10)), Some((15, 20))));
    assert_eq!((first.independent, second.independent), (true, false));

    let open = list.open.as_ref().expect("a segment in progress");
    assert_eq!((open.sequence, open.parts.len()), (9, 2));
    assert_eq!(range(&open.parts[0]), Some((35, 30)), "ranges go on across segments");
    assert_eq!((open.parts[1].gap, range(&open.parts[1])), (true, None));
    assert_eq!((open.duration(), open.program_date_time), (Duration::from_millis(1_500), seconds(66.0)));
    assert_eq!(open.init, list.segments[1].init);
    assert_eq!(list.edge(), Edge { sequence: 9, parts: 2 });

    let url = |path: &str| Url::parse("https://cdn.example/").and_then(|u| u.join(path)).expect("a URL");
    assert_eq!(
        list.preload_hints,
        [
            PreloadHint { kind: HintKind::Part, url: url("live/c.2"), start: 35, length: None },
            PreloadHint { kind: HintKind::Map, url: url("live/j"), start: 0, length: Some(9) },
        ]
    );
    assert_eq!(
        list.rendition_reports,
        [
            RenditionReport { url: url("x"), last_sequence: Some(8), last_part: Some(1) },
            RenditionReport { url: url("y"), last_sequence: None, last_part: None },
        ]
    );
}

#[test]
fn a_playlist_may_have_nothing_but_parts() {
    let list = media("#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-PART:DURATION=1,URI=\"a\"\n");
    assert_eq!((list.segments.len(), list.edge()), (0, Edge { sequence: 3, parts: 1 }));
    // A part whose address makes no URL does not keep the rest from playing.
    assert_eq!(media("#EXTINF:1,\na\n#EXT-X-PART:DURATION=1,URI=\"http://[\"\n").open, None);
}

/// What stands before one segment of a stream; all changes that are carried on.
#[derive(Clone, Debug)]
struct Before {
    millis: u64,
    discontinuity: bool,
    key: Option<Option<u8>>,
    map: Option<u8>,
    bitrate: Option<u16>,
    clock: bool,
}

fn before() -> impl Strategy<Value = Before> {
    let one_in_four = prop::bool::weighted(0.25);
    (
        1u64..9_000,
        one_in_four,
        prop::option::weighted(0.3, prop::option::of(0u8..3)),
        prop::option::weighted(0.3, 0u8..3),
        prop::option::weighted(0.3, any::<u16>()),
        any::<bool>(),
    )
        .prop_map(|(millis, discontinuity, key, map, bitrate, clock)| Before {
            millis,
            discontinuity,
            key,
            map,
            bitrate,
            clock,
        })
}

/// The playlist that a server gives of `stream` when it lists segments `from..to`, of which the
/// first `skipped` are left out.
fn served(stream: &[Before], from: usize, to: usize, skipped: usize) -> String {
    let (mut key, mut map, mut bitrate, mut discontinuities, mut clock) = (None, None, None, 0, 0);
    let mut text = String::new();
    for (index, before) in stream[..to].iter().enumerate() {
        key = before.key.unwrap_or(key);
        map = before.map.or(map);
        bitrate = before.bitrate.or(bitrate);
        if index == from {
            text = format!(
                "#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:{from}\n#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}\n"
            );
            if skipped > 0 {
                text += &format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n");
            }
        }
        let (first, listed) = (index == from, index >= from + skipped);
        discontinuities += u64::from(before.discontinuity);
        if listed {
            let mut tag = |said: bool, tag: String| text += if said { tag.as_str() } else { "" };
            tag(before.discontinuity, "#EXT-X-DISCONTINUITY\n".to_owned());
            match key {
                None => tag(first || before.key.is_some(), "#EXT-X-KEY:METHOD=NONE\n".to_owned()),
                Some(key) => tag(
                    first || before.key.is_some(),
                    format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{key}\",IV=0x1\n"),
                ),
            }
            if let Some(map) = map {
                // Whether an initialisation segment is encrypted depends on the key before it.
                tag(
                    first || before.map.is_some() || before.key.is_some(),
                    format!("#EXT-X-MAP:URI=\"{map}\"\n"),
                );
            }
            if let Some(bitrate) = bitrate {
                tag(first || before.bitrate.is_some(), format!("#EXT-X-BITRATE:{bitrate}\n"));
            }
            // Each stretch has its clock, which does not run on across discontinuities.
            let seconds = clock / 1_000 + discontinuities * 1_000;
            tag(
                first || before.clock || before.discontinuity,
                format!(
                    "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T{:02}:{:02}:{:02}.{:03}Z\n",
                    seconds / 3_600 % 24,
                    seconds / 60 % 60,
                    seconds % 60,
                    clock % 1_000,
                ),
            );
            text += &format!("#EXTINF:{}.{:03},\n{index}\n", before.millis / 1_000, before.millis % 1_000);
        }
        clock += before.millis;
    }
    text
}

proptest! {
    /// A delta update says what the whole playlist would have said.
    #[test]
    fn a_delta_update_is_as_good_as_the_whole(
        stream in prop::collection::vec(before(), 30),
        from in 0usize..10, gone in 0usize..5, length in 6usize..10, new in 0usize..8, skipped in 1usize..6,
    ) {
        let old = media(&served(&stream, from, from + length, 0));
        let (first, end) = (from + gone, from + length + new);
        let skipped = skipped.min(length - gone);
        let whole = media(&served(&stream, first, end, 0));
        let delta = reload(&served(&stream, first, end, skipped), &old);
        prop_assert_eq!(delta, Ok(whole));
    }
}
