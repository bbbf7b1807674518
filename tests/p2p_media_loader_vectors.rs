// SPDX-License-Identifier: MPL-2.0

//! Our bytes and names against those that p2p-media-loader 2.3.1 made when it was run.
//!
//! The vectors are no part of the repository. `P2PHLS_VECTORS` names the JSON file; without it and
//! without the file in its usual place nothing is compared and the test says so. The unit tests have
//! a table of their own.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use gstp2phls::swarm::identity::{Scheme, StreamProperties, StreamType};
use gstp2phls::swarm::identity::{info_hash, stream_index, swarm_string};
use gstp2phls::swarm::segment_id::SegmentId;
use gstp2phls::swarm::wire::{Announcement, Command, Decoded, Decoder, MAX_MESSAGE, WireError, encode};
use serde_json::Value;

fn vectors() -> Option<Value> {
    let path = std::env::var_os("P2PHLS_VECTORS").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/p2pml-vectors.json")
    });
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: no vectors at {}; set P2PHLS_VECTORS", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).expect("the vectors are JSON"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("hex is a string");
    let bytes = text.as_bytes().chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).expect("hex is ASCII");
        u8::from_str_radix(pair, 16).expect("hex is hexadecimal")
    });
    bytes.collect()
}

fn messages(vector: &Value) -> Vec<Bytes> {
    list(vector, "messages_hex").iter().map(|hex| unhex(hex).into()).collect()
}

/// The command of a JSON object such as `{"c": 1, "i": 5, "r": 742}`; None when a field is missing.
fn command(fields: &Value) -> Option<Command> {
    let ids =
        |name| -> Option<Vec<_>> { list(fields, name).iter().map(|id| id.as_i64().map(SegmentId)).collect() };
    if fields["c"] == 0 {
        let said = Announcement { loaded: ids("l")?, http_loading: ids("p")?, ..Announcement::default() };
        return Some(Command::Announcement(said.into()));
    }
    let segment = SegmentId(fields["i"].as_i64()?);
    let request_id = fields["r"].as_u64()?;
    Some(match fields["c"].as_u64()? {
        1 => Command::Request { segment, request_id, offset: fields["b"].as_u64().unwrap_or(0) },
        2 => Command::Data { segment, request_id, size: Some(fields["s"].as_u64()?) },
        3 => Command::Completed { segment, request_id },
        4 => Command::Absent { segment, request_id },
        5 => Command::Cancel { segment, request_id },
        _ => return None,
    })
}

/// Groups do not keep the order of ids that come unsorted.
fn sorted(mut command: Command) -> Command {
    if let Command::Announcement(said) = &mut command {
        let said = Arc::make_mut(said);
        said.loaded.sort_unstable();
        said.http_loading.sort_unstable();
    }
    command
}

fn decode(messages: &[Bytes]) -> Vec<Result<Decoded, WireError>> {
    let mut decoder = Decoder::new();
    messages.iter().map(|message| decoder.decode(message)).collect()
}

#[test]
fn commands() {
    let Some(vectors) = vectors() else { return };
    for vector in list(&vectors, "commands") {
        let name = vector["name"].as_str().unwrap_or_default();
        let command = command(&vector["command"]).expect("vectors are complete");
        let messages = messages(vector);
        let Some(Ok(Decoded::Command(decoded))) = decode(&messages).pop() else { panic!("{name}") };
        assert_eq!(sorted(decoded), sorted(command.clone()), "{name}");
        // We read what the two faults of its encoder write, and write it better.
        if !name.ends_with("_BUG") {
            let max_message = vector["max"].as_u64().expect("max is a number") as usize;
            assert_eq!(encode(&command, max_message), messages, "{name}");
        }
    }
}

#[test]
fn integers() {
    let Some(vectors) = vectors() else { return };
    for vector in list(&vectors, "ints") {
        let number: i64 = vector["n"].as_str().and_then(|n| n.parse().ok()).expect("n is a number");
        let command = Command::Cancel { segment: SegmentId(number), request_id: 0 };
        let wanted = [[&b"cstr\x05i"[..], &unhex(&vector["hex"]), b"r\x01\0cend"].concat().into()];
        assert_eq!(encode(&command, MAX_MESSAGE), wanted, "{number}");
        assert_eq!(decode(&wanted), [Ok(Decoded::Command(command))], "{number}");
    }
}

#[test]
fn strings_in_unknown_fields() {
    let Some(vectors) = vectors() else { return };
    for vector in list(&vectors, "strings").iter().filter(|vector| vector["s"] == vector["decoded"]) {
        let message = [&b"cstr\x05x"[..], &unhex(&vector["hex"]), b"i\x01\x05r\x01\x07cend"].concat();
        let command = Command::Cancel { segment: SegmentId(5), request_id: 7 };
        assert_eq!(decode(&[message.into()]), [Ok(Decoded::Command(command))], "{vector}");
    }
}

#[test]
fn tolerance() {
    let Some(vectors) = vectors() else { return };
    for vector in list(&vectors, "decoder_tolerance") {
        let name = vector["name"].as_str().unwrap_or_default();
        let decoded = Decoder::new().decode(&unhex(&vector["hex"]).into());
        let wanted = &vector["decoded"];
        match command(wanted) {
            _ if name == "full_256_split_in_two_groups" => {
                let Ok(Decoded::Command(Command::Announcement(said))) = decoded else {
                    panic!("{name}");
                };
                assert_eq!(said.loaded, (0..256).map(SegmentId).collect::<Vec<_>>());
            }
            _ if wanted["c"].as_u64().is_some_and(|kind| kind > 5) => {
                assert_eq!(decoded, Ok(Decoded::Ignored), "{name}");
            }
            Some(command) => assert_eq!(decoded, Ok(Decoded::Command(command)), "{name}"),
            None => assert!(decoded.is_err(), "{name}"),
        }
    }
}

#[test]
fn joining() {
    let Some(vectors) = vectors() else { return };
    let split = list(&vectors, "commands").iter().find(|vector| vector["name"] == "announce_split_max64");
    let Some(Ok([a, b, c])) = split.map(|vector| <[Bytes; 3]>::try_from(messages(vector))) else {
        panic!("announce_split_max64 has three messages");
    };
    assert!(matches!(decode(&[a.clone(), b.clone(), c.clone()])[2], Ok(Decoded::Command(_))));
    assert_eq!(decode(std::slice::from_ref(&b)), [Err(WireError::NoFirstPart)]);
    let restarted = decode(&[a.clone(), b, a, c]);
    assert_eq!(restarted[2..], [Err(WireError::Unfinished), Err(WireError::NoFirstPart)]);
}

#[test]
fn stream_indices() {
    let Some(vectors) = vectors() else { return };
    for vector in list(&vectors, "streamShortIds") {
        let given = &vector["in"];
        let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
        let size = |name: &str| given[name].as_u64().and_then(|n| u32::try_from(n).ok());
        let properties = StreamProperties {
            bitrate: given["bitrate"].as_u64().unwrap_or(0),
            codecs: text("codecs"),
            width: size("width"),
            height: size("height"),
            language: text("language"),
            channels: text("channels"),
            name: text("name"),
            frame_rate: text("frameRate"),
            video_range: text("videoRange"),
        };
        assert_eq!(vector["shortId"], stream_index(Scheme::V2, &properties), "{}", vector["why"]);
    }
}

#[test]
fn info_hashes() {
    let Some(vectors) = vectors() else { return };
    let streams = [
        StreamProperties::default(),
        StreamProperties { bitrate: 2_000_000, ..Default::default() },
        StreamProperties {
            bitrate: 2_149_280,
            codecs: "avc1.64001f".into(),
            width: Some(1280),
            height: Some(720),
            frame_rate: "30".into(),
            ..Default::default()
        },
        StreamProperties {
            codecs: "mp4a.40.2".into(),
            language: "en".into(),
            channels: "2".into(),
            name: "english".into(),
            ..Default::default()
        },
    ];
    for vector in list(&vectors, "identity") {
        let properties = streams.iter().find(|stream| vector["index"] == stream_index(Scheme::V2, stream));
        let properties = properties.unwrap_or_else(|| panic!("{vector}"));
        let stream_type = if vector["type"] == "main" { StreamType::Main } else { StreamType::Secondary };
        let swarm_id = vector["swarmId"].as_str().unwrap_or_default();
        let text = swarm_string(Scheme::V2, swarm_id, stream_type, properties);
        assert_eq!(vector["streamSwarmId"], text);
        assert_eq!(info_hash(&text).to_vec(), unhex(&vector["infoHashHex"]));
    }
}
