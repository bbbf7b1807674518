// SPDX-License-Identifier: MPL-2.0

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::swarm::ids::{ID_LENGTH, InfoHash, PeerId};

const HASH: &str = "hY9ib9HABjFb2MbwCQ+w";
const ME: &str = "-PM0203-rxvDV8eXA5Qg";
const OTHER: &str = "-PM0203-0123456789ab";
const OFFER: &str = "offer-offer-offer-01";

fn hash() -> InfoHash {
    InfoHash::from_binary_string(HASH).unwrap()
}

fn from_client(message: Value) -> Result<ClientMessage, MessageError> {
    ClientMessage::parse(message.to_string().as_bytes())
}

fn from_tracker(message: Value) -> Result<TrackerMessage, MessageError> {
    TrackerMessage::parse(message.to_string().as_bytes())
}

/// A plain announce, changed by some fields; null takes a field out.
fn announce(changes: Value) -> Result<Announce, MessageError> {
    let mut message = json!({"action": "announce", "info_hash": HASH, "peer_id": ME});
    for (field, value) in changes.as_object().unwrap() {
        message[field] = value.clone();
    }
    match from_client(message)? {
        ClientMessage::Announce(announce) => Ok(announce),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_what_p2p_media_loader_sends() {
    let message = r#"{"numwant":5,"uploaded":0,"downloaded":0,"event":"started","action":"announce",
        "info_hash":"hY9ib9HABjFb2MbwCQ+w","peer_id":"-PM0203-rxvDV8eXA5Qg","offers":[
        {"offer":{"type":"offer","sdp":"v=0\r\n"},"offer_id":"\u0000\"\\éÿ678901234567890"}]}"#;
    let Ok(ClientMessage::Announce(announce)) = ClientMessage::parse(message.as_bytes()) else { panic!() };
    assert_eq!(announce.info_hash, hash());
    assert_eq!(announce.event, AnnounceEvent::Started);
    assert_eq!((announce.numwant, announce.left), (Some(5), None));
    assert_eq!(announce.offers[0].sdp, "v=0\r\n");
    assert_eq!(announce.offers[0].offer_id.0, *b"\x00\"\\\xe9\xff678901234567890");
}

#[test]
fn is_lenient_where_clients_differ() {
    for event in [json!("update"), json!(""), json!(null), json!("paused"), json!("empty")] {
        assert_eq!(announce(json!({"event": event})).unwrap().event, AnnounceEvent::Update);
    }
    for (numwant, read) in [
        (json!("7"), Some(7)),
        (json!(7.9), Some(7)),
        (json!(-1), Some(0)),
        (json!(1e300), Some(u32::MAX)),
        (json!("many"), None),
        (json!([]), None),
        (json!(null), None),
    ] {
        assert_eq!(announce(json!({"numwant": numwant})).unwrap().numwant, read);
    }
    assert_eq!(announce(json!({"left": "12"})).unwrap().left, Some(12));
    assert_eq!(announce(json!({"left": null})).unwrap().left, None);
    let unknown = json!({"token": {"a": [1, 2, {}]}, "uploaded": "x", "trackerid": 1, "offers": {"a": 1}});
    assert_eq!(announce(unknown).unwrap().offers, []);
}

#[test]
fn extras_are_read_and_bounded() {
    let extras = |changes: Value| {
        let mut message = json!({"action": "announce", "info_hash": HASH, "peer_id": ME});
        message.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        ClientMessage::parse_with_extras(message.to_string().as_bytes()).unwrap().1
    };
    let traffic = |value: Value| extras(json!({"traffic": value})).traffic;
    let read = |peers, http, uploaded| Some(Traffic { peers, http, uploaded });
    assert_eq!(traffic(json!({"peers": 1, "http": "2", "uploaded": 3.9})), read(1, 2, 3));
    assert_eq!(traffic(json!({"peers": -1, "http": 1e300, "uploaded": [], "x": {}})), read(0, u64::MAX, 0));
    for odd in [json!(null), json!(1), json!("x"), json!([1, 2, 3]), json!(true)] {
        assert_eq!(traffic(odd), None);
    }
    let said = Extras { token: Some("t".into()), links: Some(3), traffic: read(1, 2, 3) };
    let announce = ClientMessage::Announce(announce(json!({})).unwrap());
    let json = announce.to_json_with(&said);
    assert_eq!(ClientMessage::parse_with_extras(json.as_bytes()).unwrap(), (announce, said));
}

#[test]
fn is_strict_where_a_guess_would_reach_the_wrong_one() {
    use Malformed::*;
    let offer = |id: &str, sdp: &str| json!({"offers": [{"offer": {"sdp": sdp}, "offer_id": id}]});
    for (changes, reason) in [
        (json!({"info_hash": &HASH[1..]}), Id("info_hash")),
        (json!({"info_hash": format!("{HASH}x")}), Id("info_hash")),
        (json!({"info_hash": "a".repeat(40)}), Id("info_hash")),
        (json!({"info_hash": format!("{}Ā", &HASH[1..])}), Id("info_hash")),
        (json!({"info_hash": 12}), Id("info_hash")),
        (json!({"info_hash": null}), Id("info_hash")),
        (json!({"peer_id": null}), Id("peer_id")),
        (json!({"peer_id": [ME]}), Id("peer_id")),
        (json!({"event": "foo"}), Event),
        (json!({"event": 1}), Event),
        (json!({"action": "connect"}), Action),
        (json!({"action": null}), Action),
        (json!({"offers": [null]}), Id("offer_id")),
        (offer("short", "v=0"), Id("offer_id")),
        (offer(OFFER, ""), NoSdp("offer")),
        (offer(OFFER, &"x".repeat(MAX_SDP + 1)), SdpTooLong),
    ] {
        assert_eq!(announce(changes.clone()).unwrap_err().reason, reason, "{changes}");
    }
}

#[test]
fn what_is_no_message_is_an_error_and_nothing_worse() {
    for message in ["", "null", "[]", "[[]]", "1", "\"a\"", "{", "{}x", "{\"action\":1e999}", "true"] {
        assert_eq!(ClientMessage::parse(message.as_bytes()).unwrap_err().reason, Malformed::NotJson);
        assert_eq!(TrackerMessage::parse(message.as_bytes()).unwrap_err().reason, Malformed::NotJson);
    }
    assert_eq!(ClientMessage::parse(b"\xff\xfe").unwrap_err().reason, Malformed::NotText);
    let long = vec![b' '; MAX_MESSAGE + 1];
    assert_eq!(ClientMessage::parse(&long).unwrap_err().reason, Malformed::TooLong);
    let deep = format!("{{\"offers\":{}", "[".repeat(60_000));
    assert_eq!(ClientMessage::parse(deep.as_bytes()).unwrap_err().reason, Malformed::NotJson);
    assert_eq!(from_client(json!({})).unwrap_err().reason, Malformed::Action);
}

#[test]
fn errors_carry_what_the_client_waits_for() {
    let error = announce(json!({"info_hash": &HASH[1..]})).unwrap_err();
    assert_eq!((error.action, error.info_hash.as_str()), (Action::Announce, &HASH[1..]));
    let error = announce(json!({"peer_id": 1})).unwrap_err();
    assert_eq!(error.info_hash, HASH);
    let error = announce(json!({"info_hash": "x".repeat(1000)})).unwrap_err();
    assert_eq!(error.info_hash, "");
    let error = from_client(json!({"action": "scrape"})).unwrap_err();
    assert_eq!((error.action, error.reason), (Action::Scrape, Malformed::Scrape));
}

#[test]
fn takes_no_more_offers_and_hashes_than_it_should() {
    let offer = json!({"offer": {"sdp": "v=0"}, "offer_id": OFFER});
    assert_eq!(announce(json!({"offers": vec![offer; 100]})).unwrap().offers.len(), MAX_OFFERS);
    let scrape = |count| from_client(json!({"action": "scrape", "info_hash": vec![HASH; count]}));
    assert_eq!(scrape(MAX_SCRAPE).unwrap(), ClientMessage::Scrape(vec![hash(); MAX_SCRAPE]));
    assert_eq!(scrape(MAX_SCRAPE + 1).unwrap_err().reason, Malformed::Scrape);
    let one = from_client(json!({"action": "scrape", "info_hash": HASH})).unwrap();
    assert_eq!(one, ClientMessage::Scrape(vec![hash()]));
}

#[test]
fn reads_what_trackers_send() {
    let response = |message| match from_tracker(message) {
        Ok(TrackerMessage::Response(response)) => response,
        other => panic!("{other:?}"),
    };
    let plain = response(
        json!({"complete": 0, "incomplete": 2, "action": "announce", "interval": 120, "info_hash": HASH}),
    );
    assert_eq!(plain.interval, Some(Duration::from_secs(120)));
    assert_eq!((plain.complete, plain.incomplete), (Some(0), Some(2)));
    let odd =
        response(json!({"action": "announce", "min interval": "9.5", "warning message": "é".repeat(300)}));
    assert_eq!(odd.interval, Some(Duration::from_millis(9500)));
    assert_eq!(odd.warning.unwrap().len(), MAX_REASON);
    for interval in [json!(-5), json!(0), json!("x")] {
        let message = json!({"action": "announce", "interval": interval, "complete": 1});
        assert_eq!(response(message).interval, None);
    }
    assert!(response(json!({"action": "announce", "interval": 1e300})).interval.is_some());

    let Ok(TrackerMessage::Failure(failure)) = from_tracker(json!({"failure reason": "no"})) else {
        panic!()
    };
    assert_eq!(failure.reason, "no");

    let files = json!({"action": "scrape", "files": {HASH: {"complete": "1", "x": 2}, "short": {}, OTHER: 1},
        "flags": {"min_request_interval": 600}});
    let counts = ScrapeCounts { complete: 1, ..Default::default() };
    assert_eq!(from_tracker(files).unwrap(), TrackerMessage::Scrape(vec![(hash(), counts)]));
}

#[test]
fn refuses_what_no_tracker_should_send() {
    let offer = json!({"type": "offer", "sdp": "v=0"});
    for message in [
        json!({}),
        json!({"action": "announce"}),
        json!({"action": "announce", "info_hash": HASH}),
        json!({"action": "announce", "info_hash": "short", "interval": 1}),
        json!({"action": "announce", "info_hash": HASH, "peer_id": OTHER, "offer": offer}),
        json!({"action": "announce", "info_hash": HASH, "offer_id": OFFER, "offer": offer}),
        json!({"action": "announce", "peer_id": OTHER, "offer_id": OFFER, "offer": offer}),
        json!({"action": "announce", "info_hash": HASH, "peer_id": OTHER, "offer_id": OFFER, "answer": {}}),
        json!({"action": "scrape"}),
    ] {
        assert!(from_tracker(message.clone()).is_err(), "{message}");
    }
}

fn bytes() -> impl Strategy<Value = [u8; ID_LENGTH]> {
    any::<[u8; ID_LENGTH]>()
}

fn offer() -> impl Strategy<Value = Offer> {
    (bytes(), "(?s).{1,80}").prop_map(|(id, sdp)| Offer { offer_id: OfferId(id), sdp })
}

fn event() -> impl Strategy<Value = AnnounceEvent> {
    use AnnounceEvent::*;
    prop_oneof![Just(Started), Just(Update), Just(Completed), Just(Stopped)]
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    let announce =
        (bytes(), bytes(), event(), any::<Option<u32>>(), proptest::option::of(0..1u64 << 53), offers())
            .prop_map(|(hash, id, event, numwant, left, offers)| {
                let (info_hash, peer_id) = (InfoHash(hash), PeerId(id));
                ClientMessage::Announce(Announce { info_hash, peer_id, event, numwant, left, offers })
            });
    let answer = (bytes(), bytes(), bytes(), offer()).prop_map(|(hash, id, to, offer)| {
        ClientMessage::Answer(Answer {
            info_hash: InfoHash(hash),
            peer_id: PeerId(id),
            to_peer_id: PeerId(to),
            offer_id: offer.offer_id,
            sdp: offer.sdp,
        })
    });
    let scrape = proptest::collection::vec(bytes().prop_map(InfoHash), 0..4).prop_map(ClientMessage::Scrape);
    prop_oneof![announce, answer, scrape]
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    proptest::collection::vec(offer(), 0..6)
}

fn tracker_message() -> impl Strategy<Value = TrackerMessage> {
    let response = (bytes(), 1..4000u64, any::<u32>(), any::<Option<u32>>(), any::<Option<u32>>()).prop_map(
        |(hash, interval, complete, incomplete, number)| {
            TrackerMessage::Response(AnnounceResponse {
                info_hash: Some(InfoHash(hash)),
                interval: Some(Duration::from_secs(interval)),
                complete: Some(complete),
                incomplete,
                number,
                warning: None,
            })
        },
    );
    let relayed = (any::<bool>(), bytes(), bytes(), offer()).prop_map(|(offers, hash, id, offer)| {
        let (info_hash, peer_id) = (InfoHash(hash), PeerId(id));
        if offers {
            TrackerMessage::Offer { info_hash, peer_id, offer }
        } else {
            TrackerMessage::Answer { info_hash, peer_id, answer: offer }
        }
    });
    let failure = (bytes(), ".{0,40}").prop_map(|(hash, reason)| {
        let info_hash = InfoHash(hash).to_binary_string();
        TrackerMessage::Failure(Failure { action: Action::Announce, info_hash, reason })
    });
    prop_oneof![response, relayed, failure]
}

proptest! {
    #[test]
    fn what_a_viewer_writes_a_tracker_reads(message in client_message()) {
        prop_assert_eq!(ClientMessage::parse(message.to_json().as_bytes()), Ok(message));
    }

    #[test]
    fn what_a_tracker_writes_a_viewer_reads(message in tracker_message()) {
        prop_assert_eq!(TrackerMessage::parse(message.to_json().as_bytes()), Ok(message));
    }

    #[test]
    fn a_damaged_message_never_panics(
        message in client_message(),
        reply in tracker_message(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for json in [message.to_json(), reply.to_json()] {
            let mut json = json.into_bytes();
            for (at, byte) in &damage {
                let at = at.index(json.len());
                json[at] = *byte;
            }
            let _ = ClientMessage::parse(&json);
            let _ = TrackerMessage::parse(&json);
        }
    }

    /// Stands in for `fuzz/fuzz_targets/tracker.rs` where there is no fuzzer: fields of the protocol with
    /// values of any kind.
    #[test]
    fn what_can_be_read_can_be_written_and_read_again(
        fields in proptest::collection::vec((field(), value()), 0..10), garbage in ".{0,40}",
    ) {
        let mut message = json!({"action": "announce", "info_hash": HASH, "peer_id": ME});
        message.as_object_mut().unwrap().extend(fields);
        if let Ok((message, extras)) = ClientMessage::parse_with_extras(message.to_string().as_bytes()) {
            let (again, said) = ClientMessage::parse_with_extras(message.to_json_with(&extras).as_bytes()).unwrap();
            prop_assert_eq!(&again, &message);
            if matches!(message, ClientMessage::Announce(_)) {
                prop_assert_eq!(said, extras);
            }
        }
        let _ = TrackerMessage::parse(message.to_string().as_bytes());
        let _ = ClientMessage::parse(garbage.as_bytes());
    }
}

fn field() -> impl Strategy<Value = String> {
    const FIELDS: &[&str] = &[
        "action",
        "info_hash",
        "peer_id",
        "to_peer_id",
        "offer_id",
        "event",
        "numwant",
        "left",
        "offers",
        "offer",
        "answer",
        "token",
        "links",
        "traffic",
        "interval",
        "files",
        "failure reason",
    ];
    prop_oneof![9 => proptest::sample::select(FIELDS).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn value() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &[HASH, ME, OTHER, OFFER, "announce", "scrape", "started", "stopped", "v=0", ""];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..1u64 << 53).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(WORDS).prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
    ];
    const KEYS: &[&str] = &["sdp", "offer", "offer_id", "type", "peers", "http", "uploaded"];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(KEYS), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}
