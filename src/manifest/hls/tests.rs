// SPDX-License-Identifier: MPL-2.0

use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod live;
mod metadata;

use crate::manifest::{
    ByteRange, KeyMethod, MediaPlaylist, PlaylistType, Presentation, RenditionKind, Resolution, Segment,
    StartOffset,
};

fn base() -> Url {
    Url::parse("https://cdn.example/live/list.m3u8?token=1").expect("a URL")
}

fn media(text: &str) -> MediaPlaylist {
    match parse(&base(), format!("#EXTM3U\n{text}").as_bytes()) {
        Ok(Manifest::Media(playlist)) => playlist,
        other => panic!("{text:?} is {other:?}"),
    }
}

fn multivariant(text: &str) -> Presentation {
    match parse(&base(), format!("#EXTM3U\n{text}").as_bytes()) {
        Ok(Manifest::Multivariant(presentation)) => presentation,
        other => panic!("{text:?} is {other:?}"),
    }
}

/// One property of each segment.
fn each<T>(playlist: &MediaPlaylist, get: impl Fn(&Segment) -> T) -> Vec<T> {
    playlist.segments.iter().map(get).collect()
}

#[test]
fn header() {
    let list = media(
        "#EXT-X-TARGETDURATION:6.5\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n\
         #EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=-12.5,PRECISE=YES\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK=18.0\n#EXTINF:6,\na.ts\n#EXT-X-ENDLIST",
    );
    assert_eq!(list.target_duration, Duration::from_millis(6_500));
    assert_eq!((list.media_sequence, list.discontinuity_sequence), (7, 3));
    assert_eq!(list.playlist_type, Some(PlaylistType::Event));
    assert_eq!(list.start_offset, Some(StartOffset { seconds: -12.5, precise: true }));
    assert_eq!(list.server_control.hold_back, Some(Duration::from_secs(18)));
    assert!(list.server_control.can_block_reload);
    assert!(list.ended);
    assert_eq!(list.segments[0].url.as_str(), "https://cdn.example/live/a.ts");
}

#[test]
fn odd_headers() {
    assert_eq!(media("#EXTINF:6.1,\na\n#EXTINF:4,\nb").target_duration, Duration::from_millis(6_100));
    assert_eq!(media("#EXT-X-TARGETDURATION:-1\n#EXTINF:4,\nb").target_duration, Duration::from_secs(4));
    assert_eq!(
        each(&media("#EXT-X-MEDIA-SEQUENCE:-2\n#EXTINF:1,\na\n#EXTINF:1,\nb"), |s| s.sequence),
        [-2, -1]
    );
    assert_eq!(media("#EXT-X-MEDIA-SEQUENCE:x\n#EXTINF:1,\na").media_sequence, 0);
    // Tags that only begin like one that is known.
    let list = media("#EXTINF:1,\na\n#EXT-X-ENDLISTING\n#EXT-X-DISCONTINUITY-FOO:1\n#EXTINF:1,\nb");
    assert!(!list.ended);
    assert_eq!(each(&list, |s| s.discontinuity_sequence), [0, 0]);
    // A value where none belongs.
    assert!(media("#EXTINF:1,\na\n#EXT-X-ENDLIST:").ended);
    assert_eq!(media("").segments, []);
}

#[test]
fn durations() {
    for (extinf, millis) in [
        ("6", 6_000),
        ("6,", 6_000),
        ("6.006,title, with, commas", 6_006),
        (" 6.5 , title", 6_500),
        ("6.", 6_000),
        (".5", 500),
        ("6 tvg-id=\"a,b\",Channel", 6_000),
        ("-1,", 0),
        ("x", 0),
        ("", 0),
    ] {
        let list = media(&format!("#EXTINF:{extinf}\na.ts\n#EXT-X-ENDLIST"));
        assert_eq!(each(&list, |s| s.duration), [Duration::from_millis(millis)], "{extinf:?}");
    }
    // An address without any EXTINF is a segment all the same.
    assert_eq!(media("#EXT-X-TARGETDURATION:4\na.ts").segments.len(), 1);
    let sum: Duration = each(&media(&"#EXTINF:6.006,\na\n".repeat(10_000)), |s| s.duration).iter().sum();
    assert_eq!(sum, Duration::from_secs(60_060));
}

#[test]
fn a_byte_range_without_an_offset_goes_on_from_the_last() {
    let list = media(
        "#EXTINF:1,\n#EXT-X-BYTERANGE:100@50\na\n#EXTINF:1,\n#EXT-X-BYTERANGE:10\na\n\
         #EXTINF:1,\n#EXT-X-BYTERANGE:10\nb\n#EXTINF:1,\nb\n#EXTINF:1,\n#EXT-X-BYTERANGE:junk\nb\n\
         #EXT-X-BYTERANGE:5@\n#EXTINF:1,\nb",
    );
    let range = |offset, length| Some(ByteRange { offset, length });
    assert_eq!(
        each(&list, |s| s.byte_range),
        [range(50, 100), range(150, 10), range(160, 10), None, None, range(170, 5)]
    );
}

#[test]
fn initialisation_segments_carry_on() {
    let list = media(
        "#EXTINF:1,\na\n#EXT-X-MAP:URI=\"i1\",BYTERANGE=\"10@5\"\n#EXTINF:1,\nb\n#EXTINF:1,\nc\n\
         #EXT-X-MAP:URI=\"i2\",BYTERANGE=10\n#EXTINF:1,\nd\n#EXT-X-MAP:BYTERANGE=10\n#EXTINF:1,\ne",
    );
    let init = each(&list, |s| s.init.as_ref().map(|i| (i.url.path().to_owned(), i.byte_range)));
    let expected =
        |path: &str, offset| Some((format!("/live/{path}"), Some(ByteRange { offset, length: 10 })));
    let (i1, i2) = (expected("i1", 5), expected("i2", 0));
    assert_eq!(init, [None, i1.clone(), i1, i2.clone(), i2]);
}

#[test]
fn keys_carry_on_until_none() {
    let list = media(
        "#EXTINF:1,\na\n#EXT-X-KEY:METHOD=AES-128,URI=\"k1\",IV=0x01\n#EXTINF:1,\nb\n#EXTINF:1,\nc\n\
         #EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\nd\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple\"\n\
         #EXTINF:1,\ne\n#EXT-X-KEY:METHOD=AES-256,URI=\"k2\"\n#EXTINF:1,\nf",
    );
    let key =
        each(&list, |s| s.key.as_ref().map(|k| (k.method.clone(), k.uri.as_ref().map(Url::to_string), k.iv)));
    let url = |name: &str| Some(format!("https://cdn.example/live/{name}"));
    let k1 = Some((KeyMethod::Aes128, url("k1"), Some(1u128.to_be_bytes())));
    let skd = Some((KeyMethod::SampleAes, Some("skd://x".to_owned()), None));
    // Of several formats, `identity` is the one that can be used.
    let k2 = Some((KeyMethod::Aes256, url("k2"), None));
    assert_eq!(key, [None, k1.clone(), k1, None, skd, k2]);
    assert_eq!(list.segments[4].key.as_ref().map(|k| k.keyformat.as_str()), Some("com.apple"));
    assert_eq!(list.segments[5].key.as_ref().map(|k| k.keyformat.as_str()), Some("identity"));
}

#[test]
fn an_initialisation_segment_has_the_key_before_it() {
    let list = media(
        "#EXT-X-MAP:URI=\"i\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\na\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\nb",
    );
    let encrypted = each(&list, |s| s.init.as_ref().map(|init| init.key.is_some()));
    assert_eq!(encrypted, [Some(false), Some(true)]);
}

#[test]
fn discontinuities_clocks_gaps_and_bitrates() {
    let list = media(
        "#EXT-X-DISCONTINUITY-SEQUENCE:5\n#EXTINF:2,\na\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:00Z\n\
         #EXT-X-BITRATE:900\n#EXTINF:2,\nb\n#EXT-X-GAP\n#EXTINF:2,\nc\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nd\n",
    );
    assert_eq!(each(&list, |s| s.discontinuity_sequence), [5, 5, 5, 6]);
    assert_eq!(
        each(&list, |s| s.program_date_time.map(|t| t.as_secs())),
        [Some(58), Some(60), Some(62), None]
    );
    assert_eq!(each(&list, |s| s.gap), [false, false, true, false]);
    assert_eq!(each(&list, |s| s.bitrate), [None, Some(900), Some(900), Some(900)]);
}

#[test]
fn an_address_that_is_none_names_its_line() {
    let error = |text: &str| parse(&base(), text.as_bytes()).expect_err("an error").to_string();
    assert!(error("#EXTM3U\n#EXTINF:1,\nhttp://[\n").starts_with("line 3: `http://[` is not a usable URI"));
    assert!(error("#EXTM3U\n\n#EXT-X-MAP:URI=\"http://[\"\n").starts_with("line 3:"));
    assert!(error("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"http://[\"\n").starts_with("line 2:"));
}

#[test]
fn variants_and_renditions() {
    let presentation = multivariant(
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,CHANNELS=\"2\",URI=\"en.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",AUTOSELECT=yes\n\
         #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"vtt\",NAME=\"x\",FORCED=YES,URI=\"x.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1800000,CODECS=\"avc1.64001f,mp4a.40.2\",\
         RESOLUTION=1280x720,FRAME-RATE=29.970,VIDEO-RANGE=SDR,AUDIO=\"aac\",CLOSED-CAPTIONS=NONE,NAME=720p\n\
         # a comment\nhi.m3u8\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=900000.5,RESOLUTION=640X360,CODECS=\"\"\nlo.m3u8\nstray.m3u8\n",
    );
    let [high, low] = &presentation.variants[..] else { panic!("{:?}", presentation.variants) };
    assert_eq!(high.url.as_str(), "https://cdn.example/live/hi.m3u8");
    assert_eq!((high.bandwidth, high.average_bandwidth), (2_000_000, Some(1_800_000)));
    assert_eq!(high.codecs.as_deref(), Some("avc1.64001f,mp4a.40.2"));
    assert_eq!(high.resolution, Some(Resolution { width: 1_280, height: 720 }));
    assert_eq!((high.frame_rate.as_deref(), high.frames_per_second()), (Some("29.970"), Some(29.97)));
    assert_eq!((high.video_range.as_deref(), high.name.as_deref()), (Some("SDR"), Some("720p")));
    assert_eq!((high.audio.as_deref(), high.closed_captions.as_deref()), (Some("aac"), None));
    assert_eq!((low.bandwidth, &low.codecs), (900_000, &None));
    assert_eq!(low.resolution, Some(Resolution { width: 640, height: 360 }));

    let [english, muxed, subtitles] = &presentation.renditions[..] else { panic!("three") };
    assert_eq!((english.name.as_str(), english.language.as_deref()), ("English", Some("en")));
    assert!(english.default && english.autoselect && english.url.is_some());
    assert!(!muxed.default && muxed.autoselect && muxed.url.is_none() && muxed.name.is_empty());
    assert!(subtitles.forced && subtitles.kind == RenditionKind::Subtitles);
    assert_eq!(presentation.renditions_of(high, RenditionKind::Audio).count(), 2);
    assert_eq!(presentation.renditions_of(low, RenditionKind::Audio).count(), 0);
    assert_eq!(presentation.variant_of(english), Some(high));
    assert_eq!(presentation.variant_of(subtitles), None);
}

#[test]
fn a_broken_variant_leaves_the_others() {
    let presentation = multivariant(
        "#EXT-X-STREAM-INF\nno-bandwidth.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://[\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2\n#EXT-X-STREAM-INF:BANDWIDTH=3\nb.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=4",
    );
    let variants: Vec<_> = presentation.variants.iter().map(|v| (v.url.path(), v.bandwidth)).collect();
    assert_eq!(variants, [("/live/no-bandwidth.m3u8", 0), ("/live/b.m3u8", 3)]);
}

#[test]
fn segments_make_a_media_playlist_whatever_else_there_is() {
    assert_eq!(media("#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXTINF:1,\nb.ts").segments.len(), 2);
    assert_eq!(media("#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA:TYPE=AUDIO\n").segments.len(), 0);
}

#[test]
fn variants_outweigh_stray_tags_of_media_playlists() {
    for stray in ["#EXT-X-TARGETDURATION:", "#EXT-X-TARGETDURATION:7", "#EXTINF:7,", "#EXT-X-ENDLIST"] {
        let offered = format!("{stray}\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n{stray}");
        assert_eq!(multivariant(&offered).variants.len(), 1, "{stray}");
    }
}

#[test]
fn variables_are_imported_from_the_presentation() {
    let presentation =
        multivariant("#EXT-X-DEFINE:NAME=\"v\",VALUE=\"1\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{$v}.m3u8");
    assert_eq!(presentation.variants[0].url.path(), "/live/1.m3u8");
    let text = "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"v\"\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n#EXTINF:1,\n{$v}-{$token}.ts";
    let list = parse_with(&base(), text.as_bytes(), &presentation.variables);
    let Ok(Manifest::Media(list)) = list else { panic!("{list:?}") };
    assert_eq!(list.segments[0].url.path(), "/live/1-1.ts");
}

/// Lines that are almost right.
fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "INF",
        "-X-KEY",
        "-X-MAP",
        "-X-BYTERANGE",
        "-X-STREAM-INF",
        "-X-MEDIA",
        "-X-SKIP",
        "-X-PART",
        "-X-PRELOAD-HINT",
        "-X-DATERANGE",
        "-X-SESSION-KEY",
        "-X-SERVER-CONTROL",
        "-X-DEFINE",
        "-X-START",
        "-X-MEDIA-SEQUENCE",
        "-X-DISCONTINUITY",
        "-X-PROGRAM-DATE-TIME",
        "-X-TARGETDURATION",
        "-X-ENDLIST",
        "M3U",
    ]);
    let value = prop_oneof![
        any::<String>(),
        "-?[0-9]{0,22}(\\.[0-9]{0,9})?(e[0-9]{1,4})?(@[0-9]{0,22})?",
        "(METHOD|URI|NAME|VALUE|IV|BYTERANGE|SKIPPED-SEGMENTS|TIME-OFFSET|DURATION|ID|START-DATE|X-A)=\"?[a{}$0x:/@-]{0,20}\"?,?",
        "[0-9]{0,5}-[0-9]{0,2}-[0-9]{0,2}[T ][0-9:.é]{0,12}[Z+-]?[0-9:é]{0,5}",
    ];
    prop_oneof![
        4 => (name, value).prop_map(|(name, value)| format!("#EXT{name}:{value}")),
        1 => "[a-z:/#{}$\\[\\]]{0,12}",
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = parse(&base(), &bytes);
        let _ = parse(&base(), &[b"#EXTM3U\n", &bytes[..]].concat());
    }

    #[test]
    fn any_lines_are_read_without_panic(lines in prop::collection::vec(line(), 0..30), ending in "\r?\n|\r") {
        let text = format!("#EXTM3U{ending}{}", lines.join(&ending));
        let read = parse(&base(), text.as_bytes());
        if let Ok(Manifest::Media(list)) = &read {
            let follow = |pair: &[Segment]| pair[0].sequence + 1 == pair[1].sequence;
            prop_assert!(list.segments.windows(2).all(follow));
            // Whatever it is, a reload of it is read too.
            if let Ok(Manifest::Media(list)) = parse_reload(&base(), text.as_bytes(), &Variables::new(), list) {
                prop_assert!(list.segments.windows(2).all(follow));
            }
        }
    }

    /// A second opinion on what is well-formed.
    #[test]
    fn m3u8_rs_reads_well_formed_playlists_likewise(
        first in 0u64..1_000_000,
        target in 1u64..60,
        segments in prop::collection::vec(("[a-z]{1,8}/[a-z0-9-]{1,8}\\.(ts|m4s)", 1u32..60_000, any::<bool>()), 0..30),
        ended: bool,
    ) {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for (uri, millis, discontinuity) in &segments {
            text += if *discontinuity { "#EXT-X-DISCONTINUITY\n" } else { "" };
            text += &format!("#EXTINF:{}.{:03},\n{uri}\n", millis / 1_000, millis % 1_000);
        }
        text += if ended { "#EXT-X-ENDLIST\n" } else { "" };
        let (_, theirs) = m3u8_rs::parse_media_playlist(text.as_bytes()).expect("a playlist");
        let Ok(Manifest::Media(ours)) = parse(&base(), text.as_bytes()) else { panic!("{text}") };
        prop_assert_eq!(ours.media_sequence, theirs.media_sequence as i64);
        prop_assert_eq!(ours.target_duration.as_secs(), theirs.target_duration);
        prop_assert_eq!(ours.ended, theirs.end_list);
        prop_assert_eq!(ours.segments.len(), theirs.segments.len());
        let mut discontinuities = 0;
        for (ours, theirs) in ours.segments.iter().zip(&theirs.segments) {
            discontinuities += u64::from(theirs.discontinuity);
            prop_assert_eq!(&ours.url, &base().join(&theirs.uri).expect("a URL"));
            prop_assert!((ours.duration.as_secs_f32() - theirs.duration).abs() < 0.001);
            prop_assert_eq!(ours.discontinuity_sequence, discontinuities);
        }
    }
}
