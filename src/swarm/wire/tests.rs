// SPDX-License-Identifier: MPL-2.0

//! The bytes of p2p-media-loader 2.3.1, and what no bytes may do.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::swarm::segment_id::SegmentId;

const REQUEST_ID: u64 = 742;
const SEGMENT: SegmentId = SegmentId(5);

fn announcement(loaded: impl IntoIterator<Item = i64>, http_loading: &[i64]) -> Command {
    Command::Announcement(Arc::new(Announcement {
        loaded: loaded.into_iter().map(SegmentId).collect(),
        http_loading: http_loading.iter().copied().map(SegmentId).collect(),
        ..Announcement::default()
    }))
}

fn decode_all(messages: &[Bytes]) -> Result<Decoded, WireError> {
    let (last, parts) = messages.split_last().expect("a command has a message");
    let mut decoder = Decoder::new();
    for part in parts {
        assert_eq!(decoder.decode(part), Ok(Decoded::Incomplete));
    }
    decoder.decode(last)
}

fn round_trip(command: &Command, max_message: usize) {
    assert_eq!(decode_all(&encode(command, max_message)), Ok(Decoded::Command(command.clone())));
}

/// Decodes one message with this body.
fn decode_body(body: &[u8]) -> Result<Decoded, WireError> {
    let message = [b"cstr", body, b"cend"].concat();
    Decoder::new().decode(&message.into())
}

#[test]
fn commands_are_those_of_p2p_media_loader() {
    let (segment, request_id) = (SEGMENT, REQUEST_ID);
    let table: &[(Command, &[u8])] = &[
        (announcement([], &[]), b"\0"),
        (announcement([0, 1, 2, 3], &[4, 5]), b"\0l\x10\x01\x01\x04\0\x01\x02\x03p\x10\x01\x01\x02\x04\x05"),
        (announcement([], &[7]), b"\0p\x10\x01\x01\x01\x07"),
        (announcement([254, 255, 256, 257], &[]), b"\0l\x10\x02\x01\x02\xfe\xff\x02\x01\x02\0\x01"),
        (announcement([-1, -2, -300], &[]), b"\0l\x10\x02\x02\x80\xfe\xff\xfe\x02\x81\xff\xd4"),
        (Command::Request { segment, request_id, offset: 0 }, b"\x01i\x01\x05r\x02\x02\xe6"),
        (
            Command::Request { segment, request_id, offset: 65_535 },
            b"\x01i\x01\x05r\x02\x02\xe6b\x03\0\xff\xff",
        ),
        (
            Command::Data { segment, request_id, size: Some(500_000) },
            b"\x02i\x01\x05s\x03\x07\xa1\x20r\x02\x02\xe6",
        ),
        (Command::Completed { segment, request_id }, b"\x03i\x01\x05r\x02\x02\xe6"),
        (Command::Absent { segment: SegmentId(128), request_id: 128 }, b"\x04i\x02\0\x80r\x02\0\x80"),
        (
            Command::Cancel { segment: SegmentId(32_767), request_id: 32_768 },
            b"\x05i\x02\x7f\xffr\x03\0\x80\0",
        ),
    ];
    for (command, body) in table {
        assert_eq!(encode(command, MAX_MESSAGE), [[b"cstr", *body, b"cend"].concat()], "{command:?}");
        round_trip(command, MAX_MESSAGE);
    }
}

#[test]
fn a_long_command_is_split_and_joined() {
    let command = announcement(1..=10, &[11, 12]);
    let messages: [&[u8]; 3] = [
        b"cstr\0l\x10\x01\x01\x0a\x01\x02dend",
        b"dstr\x03\x04\x05\x06\x07\x08\x09\x0adend",
        b"dstrp\x10\x01\x01\x02\x0b\x0ccend",
    ];
    assert_eq!(encode(&command, 16), messages);
    round_trip(&command, 16);
}

#[test]
fn parts_out_of_place_are_dropped() {
    let parts = encode(&announcement(0..100, &[]), 64);
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(&parts[1]), Err(WireError::NoFirstPart));
    assert_eq!(decoder.decode(&parts[0]), Ok(Decoded::Incomplete));
    assert_eq!(decoder.decode(&parts[0]), Err(WireError::Unfinished));
    assert_eq!(decoder.decode(&parts[1]), Err(WireError::NoFirstPart));
    assert_eq!(
        decoder.decode(&Bytes::from_static(b"cstr\0cend")),
        Ok(Decoded::Command(announcement([], &[])))
    );
}

#[test]
fn what_browsers_read_past_is_read_past() {
    let request = Command::Request { segment: SEGMENT, request_id: 7, offset: 0 };
    for body in [
        &b"\x01r\x01\x07i\x01\x05"[..],
        b"\x01i\x01\x05r\x01\x07x\x01\x2a",
        b"\x01i\x01\x05r\x01\x07x\x20\x02hi",
        b"\x01i\x04\0\0\0\x05r\x02\0\x07",
        b"\x01i\x01\x05r\x02\x07",
    ] {
        assert_eq!(decode_body(body), Ok(Decoded::Command(request.clone())), "{body:?}");
    }
    assert_eq!(decode_body(b"\x06i\x01\x05"), Ok(Decoded::Ignored));
    assert_eq!(decode_body(b"\0l\x10\x01\x01\0"), Ok(Decoded::Command(announcement([], &[]))));
    let two_groups = decode_body(b"\0l\x10\x02\x01\x02\0\x01\x01\x01\x02");
    assert_eq!(two_groups, Ok(Decoded::Command(announcement([0, 1, 2], &[]))));
}

#[test]
fn what_cannot_be_read_is_named() {
    for (body, error) in [
        (&b""[..], WireError::Empty),
        (b"\x01i", WireError::MissingValue),
        (b"\x01i\x31\x05", WireError::UnknownKind(3)),
        (b"\x01r\x01\x05", WireError::MissingField(b'i')),
        (b"\x01i\x20\x01xr\x01\x05", WireError::WrongKind(b'i')),
        (b"\x01i\x01\x05r\x01\x85", WireError::Negative(b'r')),
        (b"\x01i\x09\x01\0\0\0\0\0\0\0\0", WireError::IntegerTooLarge),
        (b"\0l\x01\x05", WireError::WrongKind(b'l')),
    ] {
        assert_eq!(decode_body(body), Err(error), "{body:?}");
    }
    assert_eq!(WireError::MissingField(b'i').to_string(), "field 'i' is missing");
}

/// p2p-media-loader writes a group of 256 ids with the count 0 and reads it as nonsense.
#[test]
fn full_groups_are_read_and_never_written() {
    let all: Vec<u8> = (0..=255).collect();
    let browser = [&b"\0l\x10\x01\x01\0"[..], &all, b"p\x10\x01\x02\x01\x01\0"].concat();
    assert_eq!(decode_body(&browser), Ok(Decoded::Command(announcement(0..256, &[256]))));

    let ours = encode(&announcement(0..256, &[]), MAX_MESSAGE).concat();
    let wanted = [&b"cstr\0l\x10\x02\x02\0\xff"[..], &all[..255], b"\x01\x01\xffcend"].concat();
    assert_eq!(ours, wanted);
}

/// p2p-media-loader writes the number of groups modulo 256.
#[test]
fn too_many_groups_are_read_and_never_written() {
    let ids: Vec<i64> = (0..300).map(|n| n * 256).collect();
    let mut browser = b"\0l\x10\x2c".to_vec();
    ids.iter().for_each(|id| {
        value::put_integer(&mut browser, id | 1);
        browser.push(0);
    });
    browser.extend(b"p\x10\x01\x01\x01\x07");
    assert_eq!(decode_body(&browser), Ok(Decoded::Command(announcement(ids.iter().copied(), &[7]))));

    let ours = decode_all(&encode(&announcement(ids.iter().copied(), &[7]), MAX_MESSAGE));
    assert_eq!(ours, Ok(Decoded::Command(announcement(ids[..255].iter().copied(), &[7]))));
}

#[test]
fn growing_segments_say_how_much_they_hold() {
    let held = |segment, bytes| Held { segment: SegmentId(segment), bytes };
    let command = Command::Announcement(Arc::new(Announcement {
        loaded: vec![SegmentId(8), SegmentId(-9)],
        http_loading: Vec::new(),
        held: vec![held(8, 1_048_576), held(-9, 1)],
        coming: Vec::new(),
    }));
    let text = b"8:1048576,-9:1";
    let message = encode(&command, MAX_MESSAGE).concat();
    assert!(message.ends_with(&[b"h\x20\x0e", &text[..], b"cend"].concat()));
    round_trip(&command, MAX_MESSAGE);

    let odd = decode_body(b"\0h\x20\x0ex:1,7:,6,5:4,:");
    let Ok(Decoded::Command(Command::Announcement(read))) = odd else { panic!("{odd:?}") };
    assert_eq!(read.held, [held(5, 4)]);
}

/// Ours alone: browsers always give a size, and are always given one.
#[test]
fn a_header_may_leave_the_size_open() {
    let command = Command::Data { segment: SEGMENT, request_id: 7, size: None };
    let message = encode(&command, MAX_MESSAGE).concat();
    let with_size =
        encode(&Command::Data { segment: SEGMENT, request_id: 7, size: Some(1) }, MAX_MESSAGE).concat();
    assert_eq!(message.len() + 3, with_size.len());
    round_trip(&command, MAX_MESSAGE);
}

#[test]
fn what_is_coming_is_told_as_text() {
    let coming = vec![SegmentId(10_001), SegmentId(-9)];
    let command = Command::Announcement(Arc::new(Announcement { coming, ..Announcement::default() }));
    let message = encode(&command, MAX_MESSAGE).concat();
    assert_eq!(message, b"cstr\0n\x20\x0810001,-9cend");
    round_trip(&command, MAX_MESSAGE);

    let odd = decode_body(b"\0n\x20\x0dx,7:1,,5,4 ,-");
    let Ok(Decoded::Command(Command::Announcement(read))) = odd else { panic!("{odd:?}") };
    assert_eq!(read.coming, [SegmentId(5)]);
}

#[test]
fn a_command_without_end_is_given_up() {
    let mut decoder = Decoder::new();
    let body = vec![0; 60_000];
    assert_eq!(decoder.decode(&[b"cstr", &body[..], b"dend"].concat().into()), Ok(Decoded::Incomplete));
    let part: Bytes = [b"dstr", &body[..], b"dend"].concat().into();
    let given_up = (0..MAX_COMMAND / body.len()).map(|_| decoder.decode(&part)).find(|read| read.is_err());
    assert_eq!(given_up, Some(Err(WireError::TooLong)));
    assert_eq!(decoder.decode(&part), Err(WireError::NoFirstPart));
}

#[test]
fn a_list_without_end_is_given_up() {
    let group = [&b"\x01\0"[..], &[1; 256]].concat();
    let body = [&b"\0l\x10\xff"[..], &group.repeat(MAX_IDS / 256 + 1)].concat();
    assert_eq!(decode_body(&body), Err(WireError::TooManyIds));
}

fn segment() -> impl Strategy<Value = SegmentId> {
    prop_oneof![any::<i64>(), -300i64..3_000].prop_map(SegmentId)
}

/// Ids as the encoder orders them: by group, groups in the order of their first ids.
fn ids() -> impl Strategy<Value = Vec<SegmentId>> {
    prop_oneof![
        vec(segment(), 0..40),
        (any::<i32>(), 0..600i64)
            .prop_map(|(from, count)| { (0..count).map(|n| SegmentId(i64::from(from) + n)).collect() })
    ]
    .prop_map(|mut ids| {
        ids.sort_unstable();
        ids
    })
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..=i64::MAX as u64, 0..70_000u64]
}

fn command() -> impl Strategy<Value = Command> {
    let held = (segment(), any::<u64>()).prop_map(|(segment, bytes)| Held { segment, bytes });
    prop_oneof![
        (ids(), ids(), vec(held, 0..20), vec(segment(), 0..20)).prop_map(
            |(loaded, http_loading, held, coming)| {
                Command::Announcement(Arc::new(Announcement { loaded, http_loading, held, coming }))
            }
        ),
        (segment(), number(), number()).prop_map(|(segment, request_id, offset)| Command::Request {
            segment,
            request_id,
            offset
        }),
        (segment(), number(), proptest::option::of(number()))
            .prop_map(|(segment, request_id, size)| Command::Data { segment, request_id, size }),
        (segment(), number()).prop_map(|(segment, request_id)| Command::Subscribe { segment, request_id }),
        (segment(), number()).prop_map(|(segment, request_id)| Command::Completed { segment, request_id }),
        (segment(), number()).prop_map(|(segment, request_id)| Command::Absent { segment, request_id }),
        (segment(), number()).prop_map(|(segment, request_id)| Command::Cancel { segment, request_id }),
    ]
}

/// Bodies that look like commands often enough to get past the first bytes.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(&b"lphirbs\0\x01\x02\x10\x20"[..])];
    vec(byte, 0..400)
}

fn mark() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(b"cstr"), Just(b"cend"), Just(b"dstr"), Just(b"dend")].prop_map(|mark| mark.to_vec())
}

proptest! {
    #[test]
    fn commands_survive_the_way(command in command(), max_message in prop_oneof![128usize..300, Just(MAX_MESSAGE)]) {
        let messages = encode(&command, max_message);
        prop_assert!(messages.iter().all(|message| message.len() <= max_message));
        prop_assert_eq!(decode_all(&messages), Ok(Decoded::Command(command)));
    }

    #[test]
    fn noise_does_no_harm(bodies in vec((any::<bool>(), noise(), any::<bool>()), 0..8)) {
        let mut decoder = Decoder::new();
        for (first, body, last) in bodies {
            let start = if first { b"cstr" } else { b"dstr" };
            let end = if last { b"cend" } else { b"dend" };
            let _ = decoder.decode(&[start, &body[..], end].concat().into());
        }
    }

    #[test]
    fn what_was_read_can_be_written(body in noise()) {
        if let Ok(Decoded::Command(command)) = decode_body(&body) {
            prop_assert!(matches!(decode_all(&encode(&command, MAX_MESSAGE)), Ok(Decoded::Command(_))));
        }
    }

    #[test]
    fn payload_comes_out_as_it_went_in(
        pieces in vec(prop_oneof![vec(any::<u8>(), 0..20), mark()], 0..60),
        max_message in 9usize..64,
    ) {
        let payload: Bytes = pieces.concat().into();
        let mut joined = BytesMut::new();
        for message in cut_payload(payload.clone(), max_message) {
            prop_assert!(!message.is_empty() && message.len() <= max_message);
            let decoded = Decoder::new().decode(&message);
            prop_assert_eq!(decoded, Ok(Decoded::Payload(message.clone())));
            joined.extend_from_slice(&message);
        }
        prop_assert_eq!(joined.freeze(), payload);
    }
}
