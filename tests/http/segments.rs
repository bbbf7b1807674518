// SPDX-License-Identifier: MPL-2.0

//! Whole presentations from servers with faults: what comes out is right, or the user is told why not.

use crate::raw::{self, Raw};
use crate::session::play;

fn playlist(segments: &str) -> Option<Vec<u8>> {
    raw::whole(format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{segments}#EXT-X-ENDLIST\n").as_bytes())
}

/// Three segments, `/0` to `/2`.
fn three() -> Option<Vec<u8>> {
    playlist("#EXTINF:4,\n0\n#EXTINF:4,\n1\n#EXTINF:4,\n2\n")
}

/// Bytes of a segment, which tell where they are in it.
fn segment(number: u8) -> Vec<u8> {
    (0..40_000u32).map(|n| (n / 7) as u8 ^ number.wrapping_mul(31)).collect()
}

fn number(path: &str) -> u8 {
    path.trim_start_matches('/').parse().expect("a segment")
}

fn all() -> Vec<u8> {
    (0..3).flat_map(segment).collect()
}

#[test]
fn a_body_cut_short_is_continued_where_it_broke() {
    let server = Raw::serve(|asked| match (asked.path.as_str(), asked.from) {
        ("/list", _) => three(),
        (path, from) => {
            raw::part(&segment(number(path)), from.unwrap_or(0), 15_000).filter(|_| from.is_some()).or_else(
                || raw::response("200 OK", "Content-Length: 40000\r\n", &segment(number(path))[..15_000]),
            )
        }
    });
    let played = play(server.url("list"));
    assert_eq!(played.error, None);
    assert!(played.bytes == all(), "{} bytes", played.bytes.len());
    let from: Vec<_> = server.asked("/1").into_iter().map(|asked| asked.from).collect();
    assert_eq!(from, [None, Some(15_000), Some(30_000)]);
}

#[test]
fn without_ranges_a_body_cut_short_is_read_again_but_not_for_ever() {
    let server = Raw::serve(|asked| match asked.path.as_str() {
        "/list" => three(),
        "/1" => raw::response("200 OK", "Content-Length: 40000\r\n", &segment(1)[..15_000]),
        path => raw::whole(&segment(number(path))),
    });
    let played = play(server.url("list"));
    assert!(played.error.is_some_and(|error| error.contains("/1: the response broke off")));
    assert_eq!(played.bytes.len(), 55_000);
    // It brought something once, and then `retries` times nothing new.
    assert!(server.asked("/1").len() <= 4, "{:?}", server.asked("/1"));
}

#[test]
fn sizes_need_not_be_known() {
    let server = Raw::serve(|asked| match asked.path.as_str() {
        "/list" => three(),
        "/1" => {
            let mut body = Vec::new();
            for chunk in segment(1).chunks(9_000) {
                body.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                body.extend_from_slice(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            raw::response("200 OK", "Transfer-Encoding: chunked\r\n", &body)
        }
        // Ends with the connection.
        path => raw::response("200 OK", "", &segment(number(path))),
    });
    let played = play(server.url("list"));
    assert_eq!(played.error, None);
    assert!(played.bytes == all(), "{} bytes", played.bytes.len());
}

#[test]
fn an_empty_segment_is_passed_over() {
    let server = Raw::serve(|asked| match asked.path.as_str() {
        "/list" => three(),
        "/1" => raw::whole(&[]),
        path => raw::whole(&segment(number(path))),
    });
    let played = play(server.url("list"));
    assert_eq!(played.error, None);
    assert!(played.bytes == [segment(0), segment(2)].concat());
    assert_eq!(server.asked("/1").len(), 1);
}

#[test]
fn byte_ranges_need_a_server_that_knows_them() {
    let list = "#EXT-X-MAP:URI=\"all\",BYTERANGE=\"500@0\"\n\
                #EXTINF:4,\n#EXT-X-BYTERANGE:9500@500\nall\n#EXTINF:4,\n#EXT-X-BYTERANGE:10000\nall\n";
    for ranges in [true, false] {
        let server = Raw::serve(move |asked| match (asked.path.as_str(), asked.from) {
            ("/list", _) => playlist(list),
            // Sends more than was asked for, but from the right place.
            (_, Some(from)) if ranges => raw::part(&segment(0), from, 40_000),
            _ => raw::whole(&segment(0)),
        });
        let played = play(server.url("list"));
        if ranges {
            assert_eq!(played.error, None);
            assert_eq!(played.inits, [&segment(0)[..500]]);
            assert!(played.bytes == segment(0)[500..20_000], "{} bytes", played.bytes.len());
        } else {
            assert!(played.error.is_some_and(|error| error.contains("ignores byte ranges")));
            assert!(server.asked("/all").len() <= 2, "asking again does not help");
        }
    }
}

#[test]
fn a_presentation_without_segments_is_an_error() {
    let server = Raw::serve(|_| playlist(""));
    let error = play(server.url("list")).error;
    assert!(error.as_ref().is_some_and(|error| error.contains("there are no segments")), "{error:?}");
}
