// SPDX-License-Identifier: MPL-2.0

//! What comes in by a viewer's socket besides what should, and what each of it leads to. The same table
//! is docs/tracker-odd-messages.md, and docs/tracker.md has it in a few words ("Odd messages").

use std::collections::HashSet;

use gstp2phls::tracker::server::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const OFFER: &str = "offer-offer-offer-01";
const DOCUMENTED: &str = include_str!("../../docs/tracker-odd-messages.md");

/// What something leads to.
#[derive(Clone, Debug, PartialEq)]
enum Reaction {
    /// An error with this action and info hash; the socket stays open.
    Failure(&'static str, String),
    /// The response to an announce.
    Response,
    /// The response to a scrape, about so many swarms.
    Scrape(usize),
    /// Nothing at all.
    Nothing,
    Pong(Vec<u8>),
    /// The socket is closed with this code.
    Closed(u16),
}

impl Reaction {
    /// As the documentation has it.
    fn in_words(&self) -> String {
        match self {
            Self::Failure(action, hash) if hash.is_empty() => format!("error with `{action}`"),
            Self::Failure(action, _) => format!("error with `{action}` and the info hash"),
            Self::Response => "taken".into(),
            Self::Scrape(count) => format!("counts of {count}"),
            Self::Nothing => "nothing".into(),
            Self::Pong(_) => "pong".into(),
            Self::Closed(code) => format!("closed with {code}"),
        }
    }
}

/// A WebSocket without manners: frames are written as a test wants them.
struct Raw(TcpStream);

impl Raw {
    async fn connect(tracker: &Tracker) -> Self {
        let mut stream = TcpStream::connect(tracker.address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: tracker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(patiently(stream.read_u8()).await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        Self(stream)
    }

    async fn write(&mut self, bytes: &[u8]) {
        // The tracker may close before all of it is written.
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame: its opcode and its payload; None at the end of the connection.
    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let stream = &mut self.0;
        patiently(async {
            let (first, second) = (stream.read_u8().await.ok()?, stream.read_u8().await.ok()?);
            let length = match second {
                126 => usize::from(stream.read_u16().await.ok()?),
                127 => stream.read_u64().await.ok()? as usize,
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.ok()?;
            Some((first & 0x0f, payload))
        })
        .await
    }

    /// What has happened, seen by what comes before the response to a scrape of an unusual swarm.
    async fn reaction(&mut self) -> Reaction {
        let probe = json!({"action": "scrape", "info_hash": "the-end-of-this-case"});
        self.write(&text(&probe.to_string())).await;
        let Some((opcode, payload)) = self.read().await else { return Reaction::Closed(0) };
        match opcode {
            8 => return Reaction::Closed(u16::from_be_bytes(payload[..2].try_into().unwrap())),
            10 => return Reaction::Pong(payload),
            1 => {}
            other => panic!("opcode {other}"),
        }
        let message: Value = serde_json::from_slice(&payload).unwrap();
        let string = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
        if message.get("failure reason").is_some() {
            let action = if string("action") == "scrape" { "scrape" } else { "announce" };
            assert_eq!(message["action"], action);
            return Reaction::Failure(action, string("info_hash"));
        }
        if message.get("interval").is_some() {
            return Reaction::Response;
        }
        let files = message["files"].as_object().expect("nothing else is known");
        if files.contains_key("the-end-of-this-case") {
            Reaction::Nothing
        } else {
            Reaction::Scrape(files.len())
        }
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn text(message: &str) -> Vec<u8> {
    frame(0x81, message.as_bytes())
}

/// An announce in which some fields are others; null is written, "absent" takes a field out.
fn changed(changes: Value) -> Vec<u8> {
    let mut message = announce(HASH, ALICE, &[OFFER]);
    for (field, value) in changes.as_object().unwrap() {
        if value == "absent" {
            message.as_object_mut().unwrap().remove(field);
        } else {
            message[field] = value.clone();
        }
    }
    text(&message.to_string())
}

fn failure(info_hash: &str) -> Reaction {
    Reaction::Failure("announce", info_hash.to_owned())
}

#[tokio::test]
async fn each_odd_message_gets_its_own_reaction() {
    use Reaction::*;
    let tracker = Tracker::with(Config::default()).await;
    let mut bystander = tracker.connect().await;
    bystander.announce(OTHER_HASH, BOB, &[]).await;

    let scrape = |value: Value| text(&json!({"action": "scrape", "info_hash": value}).to_string());
    let offers = |value: Value| changed(json!({"offers": value}));
    let reply = |by: &str, to: &str, id: &str| text(&answer(by, to, id).to_string());
    let odd_answer = |field: &str, value: Value| {
        let mut message = answer(ALICE, BOB, OFFER);
        message[field] = value;
        text(&message.to_string())
    };
    let half: Vec<u8> = announce(HASH, ALICE, &[]).to_string().into_bytes();
    let (head, tail) = half.split_at(40);
    let in_parts = [frame(0x01, head), frame(0x80, tail)].concat();
    let in_parts_with_ping = [frame(0x01, head), frame(0x89, b"hi"), frame(0x80, tail)].concat();
    let long_hash = "x".repeat(1000);
    let huge_header = [&[0x81u8, 0xff][..], &(1u64 << 62).to_be_bytes(), &[0; 4]].concat();
    let duplicate =
        format!(r#"{{"action":"announce","info_hash":"{HASH}","peer_id":"{ALICE}","peer_id":"{ALICE}"}}"#);

    let table: Vec<(&str, Vec<u8>, Reaction)> = vec![
        // No JSON object.
        ("null", text("null"), failure("")),
        ("an array", text("[]"), failure("")),
        ("an array of announces", text(&json!([announce(HASH, ALICE, &[])]).to_string()), failure("")),
        ("a number", text("1"), failure("")),
        ("a string", text("\"announce\""), failure("")),
        ("true", text("true"), failure("")),
        ("an empty message", text(""), failure("")),
        ("half an object", text("{\"action\":\"announce\""), failure("")),
        ("something behind the object", text("{}{}"), failure("")),
        ("a number beyond all", text("{\"left\":1e999}"), failure("")),
        ("ten thousand brackets", text(&"[".repeat(10_000)), failure("")),
        ("deep inside an object", text(&format!("{{\"offers\":{}", "[".repeat(10_000))), failure("")),
        ("no UTF-8", frame(0x81, &[0xff, 0xfe]), failure("")),
        ("half a surrogate pair", text(r#"{"action":"\ud800"}"#), failure("")),
        // Fields that are missing or of another type.
        ("an empty object", text("{}"), failure("")),
        ("no action", changed(json!({"action": "absent"})), failure(HASH)),
        ("another action", changed(json!({"action": "connect"})), failure(HASH)),
        ("an action that is a number", changed(json!({"action": 1})), failure(HASH)),
        ("no info hash", changed(json!({"info_hash": "absent"})), failure("")),
        ("null as info hash", changed(json!({"info_hash": null})), failure("")),
        ("a number as info hash", changed(json!({"info_hash": 20})), failure("")),
        ("a list of info hashes", changed(json!({"info_hash": [HASH]})), failure("")),
        ("19 characters", changed(json!({"info_hash": &HASH[1..]})), failure(&HASH[1..])),
        ("21 characters", changed(json!({"info_hash": format!("{HASH}x")})), failure(&format!("{HASH}x"))),
        ("40 hexadecimal digits", changed(json!({"info_hash": "a".repeat(40)})), failure(&"a".repeat(40))),
        (
            "a character beyond U+00FF",
            changed(json!({"info_hash": "Ā".repeat(20)})),
            failure(&"Ā".repeat(20)),
        ),
        ("1,000 characters are not echoed", changed(json!({"info_hash": long_hash})), failure("")),
        ("no peer id", changed(json!({"peer_id": "absent"})), failure(HASH)),
        ("an object as peer id", changed(json!({"peer_id": {}})), failure(HASH)),
        ("a short peer id", changed(json!({"peer_id": "me"})), failure(HASH)),
        ("an unknown event", changed(json!({"event": "restarted"})), failure(HASH)),
        ("an event that is a list", changed(json!({"event": ["started"]})), failure(HASH)),
        ("null as event", changed(json!({"event": null})), Response),
        ("an empty event", changed(json!({"event": ""})), Response),
        ("stopped by a stranger", changed(json!({"event": "stopped"})), Response),
        ("numwant as a string", changed(json!({"numwant": "5"})), Response),
        ("numwant below zero", changed(json!({"numwant": -3})), Response),
        ("numwant beyond all", changed(json!({"numwant": 1e300})), Response),
        ("null as left", changed(json!({"left": null})), Response),
        ("fields that nobody knows", changed(json!({"x": {"y": [1, null]}, "__proto__": 1})), Response),
        ("traffic that is nonsense", changed(json!({"traffic": {"peers": "x", "http": -1}})), Response),
        ("the same field twice", text(&duplicate), failure("")),
        // Offers.
        ("offers that are an object", offers(json!({"0": 1})), Response),
        ("offers that are null", offers(json!(null)), Response),
        ("an offer that is null", offers(json!([null])), failure(HASH)),
        ("an offer without an id", offers(json!([{"offer": {"sdp": "v=0"}}])), failure(HASH)),
        ("an offer without a description", offers(json!([{"offer": {}, "offer_id": OFFER}])), failure(HASH)),
        (
            "a description that is a list",
            offers(json!([{"offer": {"sdp": []}, "offer_id": OFFER}])),
            failure(HASH),
        ),
        (
            "a description of 9 kB",
            offers(json!([{"offer": {"sdp": "x".repeat(9000)}, "offer_id": OFFER}])),
            failure(HASH),
        ),
        (
            "a hundred offers, of which 20 are taken",
            offers(json!(vec![json!({"offer": {"sdp": "v=0"}, "offer_id": OFFER}); 100])),
            Response,
        ),
        // Answers.
        ("an answer of a stranger", reply(ALICE, BOB, OFFER), failure(HASH)),
        ("an answer in another's name", reply(BOB, ALICE, OFFER), failure(HASH)),
        ("an answer to nobody", odd_answer("to_peer_id", json!(null)), failure(HASH)),
        ("an answer to no offer", odd_answer("offer_id", json!("x")), failure(HASH)),
        ("an answer without a description", odd_answer("answer", json!({})), failure(HASH)),
        ("an answer that is a string counts as an announce", odd_answer("answer", json!("v=0")), Response),
        // Scrapes.
        ("a scrape of everything", text(r#"{"action":"scrape"}"#), Failure("scrape", String::new())),
        ("a scrape of nothing", scrape(json!([])), Scrape(0)),
        ("a scrape of an unknown swarm", scrape(json!("AAAAAAAAAAAAAAAAAAA!")), Scrape(1)),
        ("a scrape of 300 swarms", scrape(json!(vec![HASH; 300])), Failure("scrape", String::new())),
        ("a scrape of what is no hash", scrape(json!([1])), Failure("scrape", String::new())),
        // Frames.
        ("a binary frame", frame(0x82, announce(HASH, ALICE, &[]).to_string().as_bytes()), Response),
        ("a message in two frames", in_parts, Response),
        ("a ping between them", in_parts_with_ping, Pong(b"hi".into())),
        ("a ping", frame(0x89, b"there"), Pong(b"there".into())),
        ("a pong", frame(0x8a, b"here"), Nothing),
        ("a frame without a mask", vec![0x81, 2, b'{', b'}'], Closed(1002)),
        ("a reserved bit", frame(0xc1, b"{}"), Closed(1002)),
        ("a reserved opcode", frame(0x83, b"{}"), Closed(1002)),
        ("a continuation of nothing", frame(0x80, b"{}"), Closed(1002)),
        ("a message within a message", [frame(0x01, b"{"), frame(0x81, b"}")].concat(), Closed(1002)),
        ("a ping in parts", frame(0x09, b"x"), Closed(1002)),
        ("a ping of 126 bytes", frame(0x89, &[0; 126]), Closed(1002)),
        ("a goodbye", frame(0x88, &1000u16.to_be_bytes()), Closed(1000)),
        ("a message of 64 KiB and a byte", frame(0x81, &vec![b' '; (64 << 10) + 1]), Closed(1009)),
        ("a frame that claims to be endless", huge_header, Closed(1009)),
        ("small parts without an end", frame(0x01, &[b' '; 1000]).repeat(100), Closed(1002)),
        ("many errors", text("null").repeat(40), Closed(1008)),
        ("a flood of pings", frame(0x89, b"").repeat(2000), Closed(1008)),
    ];
    assert!(table.len() >= 50);
    assert_eq!(table.iter().map(|(name, ..)| name).collect::<HashSet<_>>().len(), table.len());
    let rows = table.iter().map(|(name, _, reaction)| format!("| {name} | {} |", reaction.in_words()));
    let documented: Vec<_> = DOCUMENTED.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert_eq!(rows.collect::<Vec<_>>(), documented);
    for (name, bytes, expected) in table {
        let mut socket = Raw::connect(&tracker).await;
        socket.write(&bytes).await;
        let mut reaction = socket.reaction().await;
        // What came before the end is another case.
        while matches!(expected, Closed(_)) && !matches!(reaction, Closed(_)) {
            reaction = socket.reaction().await;
        }
        assert_eq!(reaction, expected, "{name}");
    }

    // It is all the same to others.
    bystander.announce(OTHER_HASH, BOB, &[]).await;
    tracker.until_stats(|stats| stats["connections"] == 1 && stats["peers"] == 1).await;
}
