// SPDX-License-Identifier: MPL-2.0

//! What is said about the media: keys, date ranges, session data, attributes of variants.

use std::time::Duration;

use super::*;
use crate::manifest::{Asset, Cue, DateRange, IDENTITY, SessionContent};

#[test]
fn keys_of_several_formats_apply_together() {
    let list = media(
        "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"data:text/plain;base64,AAAA\",KEYFORMAT=\"urn:uuid:edef8ba9\",\
         KEYFORMATVERSIONS=\"1/2/x\",KEYID=0x00112233445566778899AABBCCDDEEFF\n\
         #EXT-X-KEY:METHOD=SAMPLE-AES-CENC,URI=\"skd://k\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
         #EXTINF:1,\na\n#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"skd://l\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
         #EXTINF:1,\nb\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\nc\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\nd\n",
    );
    let uris =
        each(&list, |s| s.keys.iter().filter_map(|k| k.uri.as_ref()).map(Url::to_string).collect::<Vec<_>>());
    let (widevine, own) = ("data:text/plain;base64,AAAA".to_owned(), "https://cdn.example/live/k".to_owned());
    assert_eq!(
        uris,
        [
            vec![widevine.clone(), "skd://k".to_owned()],
            vec![widevine.clone(), "skd://l".to_owned()],
            vec![widevine, "skd://l".to_owned(), own],
            vec![],
        ]
    );
    let used = each(&list, |s| s.key.as_ref().map(|key| key.keyformat.clone()));
    let apple = Some("com.apple.streamingkeydelivery".to_owned());
    assert_eq!(used, [apple.clone(), apple, Some(IDENTITY.to_owned()), None]);
    let first = &list.segments[0].keys[0];
    assert_eq!(first.method, KeyMethod::SampleAesCtr);
    assert_eq!(first.keyformat_versions, [1, 2]);
    assert_eq!(first.key_id.map(u128::from_be_bytes), Some(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff));
    assert_eq!(list.segments[0].keys[1].method, KeyMethod::SampleAesCtr);
    assert!(!first.method.is_whole_segment() && KeyMethod::Aes256.is_whole_segment());
}

#[test]
fn key_formats_without_end_are_bounded() {
    let text: String =
        (0..1_000).map(|n| format!("#EXT-X-KEY:METHOD=X,KEYFORMAT=\"{n}\"\n#EXTINF:1,\n{n}\n")).collect();
    assert!(each(&media(&text), |s| s.keys.len()).into_iter().max() <= Some(16));
}

#[test]
fn a_vector_that_is_missing_is_the_sequence_number() {
    let list = media("#EXT-X-MEDIA-SEQUENCE:258\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\na\n");
    let key = list.segments[0].key.as_ref().expect("a key");
    assert_eq!(key.iv_for(list.segments[0].sequence), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
}

#[test]
fn a_key_or_initialisation_segment_written_again_is_the_same_one() {
    let again = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\na\n";
    let list = media(&again.repeat(2));
    let [first, second] = &list.segments[..] else { panic!("two") };
    let same = |a: &Option<std::sync::Arc<_>>, b: &Option<std::sync::Arc<_>>| {
        std::sync::Arc::ptr_eq(a.as_ref().expect("one"), b.as_ref().expect("one"))
    };
    assert!(same(&first.key, &second.key));
    assert!(std::sync::Arc::ptr_eq(first.init.as_ref().expect("one"), second.init.as_ref().expect("one")));
}

#[test]
fn date_ranges_are_put_together_by_id() {
    let list = media(
        "#EXTINF:1,\na\n#EXT-X-DATERANGE:ID=\"ad\",CLASS=\"c\",START-DATE=\"1970-01-01T00:01:00Z\",PLANNED-DURATION=30.5,\
         SCTE35-OUT=0xFC00a1,X-COM-A=\"x,y\",X-N=1.5,X-N=2\n#EXT-X-DATERANGE:START-DATE=\"1970-01-01T00:01:00Z\"\n\
         #EXT-X-DATERANGE:ID=\"next\",START-DATE=\"never\",END-ON-NEXT=YES,SCTE35-CMD=0xF,CUE=\"PRE,ONCE\"\n\
         #EXT-X-DATERANGE:ID=\"ad\",DURATION=29,SCTE35-IN=0x01,CLASS=\"other\"\n\
         #EXT-X-DATERANGE:ID=\"end\",START-DATE=\"1970-01-01T00:01:00Z\",END-DATE=\"1970-01-01T00:02:00Z\"",
    );
    let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
    let [ad, next, end] = &list.date_ranges[..] else { panic!("{:?}", list.date_ranges) };
    assert_eq!(
        *ad,
        DateRange {
            id: "ad".to_owned(),
            class: Some("c".to_owned()),
            start: seconds(60.0),
            duration: seconds(29.0),
            planned_duration: seconds(30.5),
            scte35_out: Some(vec![0xfc, 0x00, 0xa1]),
            scte35_in: Some(vec![0x01]),
            client_attributes: vec![
                ("X-COM-A".to_owned(), "x,y".to_owned()),
                ("X-N".to_owned(), "1.5".to_owned())
            ],
            ..DateRange::default()
        }
    );
    assert_eq!((ad.known_end(), end.known_end(), next.known_end()), (seconds(89.0), seconds(120.0), None));
    assert_eq!((next.start, next.end_on_next, &next.scte35_cmd), (None, true, &None));
    assert_eq!(next.cue, Cue { pre: true, post: false, once: true });
}

#[test]
fn interstitials_are_recognised() {
    let list = media(
        "#EXTINF:1,\na\n#EXT-X-DATERANGE:ID=\"1\",CLASS=\"com.apple.hls.interstitial\",START-DATE=\"1970-01-01T00:01:00Z\",\
         X-ASSET-URI=\"ad.m3u8\",X-RESUME-OFFSET=-1.5,X-PLAYOUT-LIMIT=15,X-RESTRICT=\"SKIP,JUMP\",X-SNAP=\"OUT\",\
         X-CONTENT-MAY-VARY=\"NO\",X-TIMELINE-OCCUPIES=\"RANGE\",X-TIMELINE-STYLE=\"PRIMARY\"\n\
         #EXT-X-DATERANGE:ID=\"2\",CLASS=\"com.apple.hls.interstitial\",X-ASSET-LIST=\"https://ads.example/l.json\"\n\
         #EXT-X-DATERANGE:ID=\"3\",CLASS=\"com.apple.hls.interstitial\"\n#EXT-X-DATERANGE:ID=\"4\",X-ASSET-URI=\"x\"\n",
    );
    let [first, second, nowhere, other] = &list.date_ranges[..] else { panic!("four") };
    let first = first.interstitial.as_ref().expect("an interstitial");
    assert_eq!(first.asset, Asset::Playlist(base().join("ad.m3u8").expect("a URL")));
    assert_eq!((first.resume_offset, first.playout_limit), (Some(-1.5), Some(Duration::from_secs(15))));
    assert!(first.no_skip && first.no_jump && first.snap_out && !first.snap_in);
    assert!(!first.content_may_vary && first.occupies_range && first.primary);
    let second = second.interstitial.as_ref().expect("an interstitial");
    assert_eq!(second.asset, Asset::List(Url::parse("https://ads.example/l.json").expect("a URL")));
    assert!(second.content_may_vary && !second.occupies_range && !second.no_skip);
    assert_eq!((&nowhere.interstitial, &other.interstitial), (&None, &None));
}

#[test]
fn attributes_of_variants_and_renditions() {
    let presentation = multivariant(
        "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer\",PATHWAY-ID=\"B\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",ASSOC-LANGUAGE=\"nb\",CHANNELS=\"16/JOC\",BIT-DEPTH=24,SAMPLE-RATE=48000,\
         STABLE-RENDITION-ID=\"r\",CHARACTERISTICS=\"public.easy-to-read, public.accessibility.describes-video\"\n\
         #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"n\",INSTREAM-ID=\"SERVICE3\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,SCORE=2.5,SUPPLEMENTAL-CODECS=\"dvh1.08.07/db4h\",HDCP-LEVEL=TYPE-1,\
         ALLOWED-CPC=\"com.x:A/B\",REQ-VIDEO-LAYOUT=\"CH-STEREO\",STABLE-VARIANT-ID=\"v\",PATHWAY-ID=\"B\",CLOSED-CAPTIONS=NONE\n1\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2,SCORE=-1,HDCP-LEVEL=NONE,CLOSED-CAPTIONS=\"cc\"\n2\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=3,RESOLUTION=1x2,URI=\"i\"\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=3\n",
    );
    let text = |text: &str| Some(text.to_owned());
    let [first, second] = &presentation.variants[..] else { panic!("two") };
    assert_eq!((first.score, second.score), (Some(2.5), None));
    assert_eq!(first.supplemental_codecs, text("dvh1.08.07/db4h"));
    assert_eq!((&first.hdcp_level, &second.hdcp_level), (&text("TYPE-1"), &None));
    assert_eq!((&first.allowed_cpc, &first.required_layout), (&text("com.x:A/B"), &text("CH-STEREO")));
    assert_eq!((&first.stable_id, first.pathway(), second.pathway()), (&text("v"), "B", "."));
    assert!(first.no_closed_captions && !second.no_closed_captions);
    let [i_frames] = &presentation.i_frame_variants[..] else { panic!("one") };
    assert_eq!((i_frames.url.path(), i_frames.bandwidth), ("/live/i", 3));

    let [audio, captions] = &presentation.renditions[..] else { panic!("two") };
    assert_eq!(
        (audio.channel_count(), audio.bit_depth, audio.sample_rate),
        (Some(16), Some(24), Some(48_000))
    );
    assert_eq!((&audio.assoc_language, &audio.stable_id), (&text("nb"), &text("r")));
    assert!(audio.has_characteristic("public.accessibility.describes-video"));
    assert!(!audio.has_characteristic("public.accessibility"));
    assert_eq!(captions.instream_id, text("SERVICE3"));
    assert_eq!(presentation.renditions_of(second, RenditionKind::ClosedCaptions).count(), 1);

    assert!(presentation.independent_segments);
    let steering = presentation.steering.as_ref().expect("steering");
    assert_eq!(
        (steering.server_url.as_str(), &steering.pathway_id),
        ("https://cdn.example/steer", &text("B"))
    );
}

#[test]
fn session_data_and_keys() {
    let presentation = multivariant(
        "#EXT-X-SESSION-DATA:DATA-ID=\"t\",VALUE=\"Title\",LANGUAGE=\"en\"\n#EXT-X-SESSION-DATA:DATA-ID=\"j\",URI=\"j\"\n\
         #EXT-X-SESSION-DATA:DATA-ID=\"r\",URI=\"r\",FORMAT=RAW\n#EXT-X-SESSION-DATA:DATA-ID=\"none\"\n#EXT-X-SESSION-DATA:VALUE=\"v\"\n\
         #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"http://[\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1\n1\n",
    );
    let content: Vec<_> =
        presentation.session_data.iter().map(|d| (d.id.as_str(), d.content.clone())).collect();
    let url = |path| base().join(path).expect("a URL");
    assert_eq!(
        content,
        [
            ("t", SessionContent::Value("Title".to_owned())),
            ("j", SessionContent::Json(url("j"))),
            ("r", SessionContent::Raw(url("r"))),
        ]
    );
    assert_eq!(presentation.session_data[0].language.as_deref(), Some("en"));
    assert_eq!(presentation.session_keys.len(), 1);
}

#[test]
fn clocks_are_counted_both_ways_but_not_across_a_discontinuity() {
    let list = media(
        "#EXTINF:2,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nb\n#EXTINF:2,\nc\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:00Z\n\
         #EXTINF:2,\nd\n#EXTINF:2,\ne\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01\n#EXTINF:2,\nf",
    );
    let clocks = each(&list, |s| s.program_date_time.map(|clock| clock.as_secs()));
    assert_eq!(clocks, [None, Some(56), Some(58), Some(60), Some(62), Some(1)]);
}

#[test]
fn headers_of_the_playlist() {
    let list = media("#EXT-X-VERSION:12\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-I-FRAMES-ONLY\n#EXTINF:1,\na");
    assert_eq!((list.version, list.independent_segments, list.i_frames_only), (12, true, true));
    for odd in ["#EXT-X-VERSION:x\n", "#EXT-X-VERSION:-3\n", "#EXT-X-VERSION:99999999999\n", ""] {
        assert_eq!(media(odd).version, 1, "{odd}");
    }
}
