// SPDX-License-Identifier: MPL-2.0

//! Names computed by p2p-media-loader 2.3.1.

use super::*;

/// Normalised text and index of streams.
#[test]
fn indices_are_those_of_p2p_media_loader() {
    let main = StreamProperties { bitrate: 2_149_280, codecs: "avc1.64001f".into(), ..Default::default() };
    let main = StreamProperties { width: Some(1280), height: Some(720), frame_rate: "30.000".into(), ..main };
    let audio = StreamProperties { codecs: "mp4a.40.2".into(), language: "en".into(), ..Default::default() };
    let audio = StreamProperties { channels: "2".into(), name: "English".into(), ..audio };
    let only_bitrate = StreamProperties { bitrate: 2_000_000, ..Default::default() };
    for (properties, text, index) in [
        (StreamProperties::default(), "0--------", "UYnLxGhQilEV4D0HbCx+kRv0ZF0="),
        (only_bitrate, "2000000--------", "zp9CqcVJQ1G5bxz/YpPr+Vv/MFY="),
        (main, "2149280-avc1.64001f-1280-720----30-", "3FLe7Dya7e9xv0TJuS0m614xjgc="),
        (audio, "0-mp4a.40.2---en-2-english--", "bdjQ1B4N2yrcTDHyU5j7iDGV9sY="),
    ] {
        assert_eq!(properties.to_text(Scheme::V2), text);
        assert_eq!(stream_index(Scheme::V2, &properties), index);
    }
}

#[test]
fn the_info_hash_is_twenty_letters() {
    let properties = StreamProperties { bitrate: 2_000_000, ..Default::default() };
    let id = default_swarm_id("http://127.0.0.1:8080/vod/master.m3u8?token=1?2");
    assert_eq!(default_swarm_id("http://h/m.mpd#t=1"), "http://h/m.mpd");
    let text = swarm_string(Scheme::V2, id, StreamType::Main, &properties);
    assert_eq!(text, "v2-http://127.0.0.1:8080/vod/master.m3u8-main-zp9CqcVJQ1G5bxz/YpPr+Vv/MFY=");
    assert_eq!(&info_hash(&text), b"mmUpnXjJMDgjGIA44eTH");
}

#[test]
fn schemes_and_types_are_apart() {
    let properties = StreamProperties { name: " Main ".into(), ..Default::default() };
    assert_eq!(properties.to_text(Scheme::V3), "0------ Main --");
    let v3 = swarm_string(Scheme::V3, "id", StreamType::Secondary, &properties);
    assert!(v3.starts_with("v3-id-secondary-"), "{v3}");
}
