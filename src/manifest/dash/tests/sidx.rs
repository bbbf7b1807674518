// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::manifest::ByteRange;
use crate::manifest::dash::PlaylistError;
use crate::manifest::dash::cues::tests as cues;

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

/// The file of `webm`: Cues, of which the start of the file tells what they mean.
#[test]
fn cues_are_an_index_too() {
    let file = FILE.replace("100-155", "100-900").replace("v.mp4", "v.webm");
    let mut stream = stream(&video(&file).replace("video/mp4", "video/webm"));
    let url = stream.presentation().variants[0].url.clone();
    let mut asked = Vec::new();
    let playlist = loop {
        let address = match stream.playlist(&url, Duration::ZERO) {
            Err(PlaylistError::NeedsIndex(address)) => address,
            playlist => break playlist.expect("a playlist"),
        };
        let range = address.byte_range.expect("a range");
        asked.push((range.offset, range.length));
        let body = match range.offset {
            0 => cues::head(Some(4_000), None),
            _ => cues::cues(&[(0, 955), (8_000, 1_955), (16_000, 2_955)]),
        };
        stream.add_index(&address, Some(&body)).expect("an index");
    };
    assert_eq!(asked, [(100, 801), (0, 100)]);
    assert_eq!(list(&playlist), ["v.webm 1000+1000 4", "v.webm 2000+1000 4", "v.webm 3000+1045 2"]);
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
