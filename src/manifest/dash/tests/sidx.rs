// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::manifest::ByteRange;
use crate::manifest::dash::PlaylistError;

/// A `sidx` of two segments of 5 s, in thousandths.
fn index() -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 56];
    bytes.extend(b"sidx\0\0\0\0\0\0\0\x01");
    bytes.extend(1_000u32.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend([0, 0, 0, 2]);
    for size in [700u32, 300] {
        bytes.extend(size.to_be_bytes());
        bytes.extend(5_000u32.to_be_bytes());
        bytes.extend([0x90, 0, 0, 0]);
    }
    bytes
}

const FILE: &str = "<Representation id=\"v\"><BaseURL>v.mp4</BaseURL><SegmentBase indexRange=\"100-155\" timescale=\"1000\">\
    <Initialization range=\"0-99\"/></SegmentBase></Representation>";

#[test]
fn an_index_is_asked_for_and_gives_ranges() {
    let mut stream = stream(&video(FILE));
    let url = stream.presentation().variants[0].url.clone();
    let Err(PlaylistError::NeedsIndex(address)) = stream.playlist(&url, Duration::ZERO) else {
        panic!("an index is needed");
    };
    assert_eq!(address.url.as_str(), "http://h/p/v.mp4");
    assert_eq!(address.byte_range, Some(ByteRange { offset: 100, length: 56 }));
    stream.add_index(&address, Some(&index())).expect("an index");
    let playlist = stream.playlist(&url, Duration::ZERO).expect("a playlist");
    assert_eq!(list(&playlist), ["v.mp4 156+700 5", "v.mp4 856+300 5"]);
    assert!(playlist.ended);
    let init = playlist.segments[0].init.as_ref().expect("an initialisation segment");
    assert_eq!(init.byte_range, Some(ByteRange { offset: 0, length: 100 }));
    // It holds across reloads.
    stream.update(mpd(&video(FILE)));
    assert_eq!(list(&stream.playlist(&url, Duration::ZERO).expect("a playlist")).len(), 2);
}

#[test]
fn without_its_index_a_file_is_one_segment() {
    for body in [None, Some(&b"<html>"[..])] {
        let mut stream = stream(&video(FILE));
        let url = stream.presentation().variants[0].url.clone();
        let Err(PlaylistError::NeedsIndex(address)) = stream.playlist(&url, Duration::ZERO) else {
            panic!("an index is needed");
        };
        assert_eq!(stream.add_index(&address, body).is_err(), body.is_some());
        assert_eq!(list(&stream.playlist(&url, Duration::ZERO).expect("a playlist")), ["v.mp4 10"]);
    }
}
