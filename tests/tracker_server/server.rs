// SPDX-License-Identifier: MPL-2.0

//! The server, as a browser or a troublemaker sees it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gstp2phls::tracker::server::{Config, Limits};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::*;

/// Bytes of all kinds: quotes, controls and what takes two bytes in UTF-8.
const OFFER: &str = "\u{0}\"\\\u{7f}\u{ff}éoffer-offer-12";
const OFFER_2: &str = "offer-offer-offer-02";

fn assert_failure(message: &Value, hash: &str) {
    assert_eq!((&message["action"], &message["info_hash"]), (&json!("announce"), &json!(hash)), "{message}");
    assert!(message["failure reason"].is_string(), "{message}");
}

#[tokio::test]
async fn two_viewers_meet() {
    let tracker = Tracker::start().await;
    let (mut alice, mut bob) = (tracker.connect().await, tracker.connect().await);
    alice.announce(HASH, ALICE, &[]).await;
    let response = bob.announce(HASH, BOB, &[OFFER, OFFER_2]).await;
    assert_eq!((&response["complete"], &response["incomplete"]), (&json!(0), &json!(2)));

    // One offer only, and nothing in it but what belongs there.
    let expected = json!({"action": "announce", "info_hash": HASH, "peer_id": BOB, "offer_id": OFFER,
        "offer": {"type": "offer", "sdp": "v=0\r\n"}});
    assert_eq!(alice.receive().await, expected);
    alice.send(answer(ALICE, BOB, OFFER)).await;
    let expected = json!({"action": "announce", "info_hash": HASH, "peer_id": ALICE, "offer_id": OFFER,
        "answer": {"type": "answer", "sdp": "v=1\r\n"}});
    assert_eq!(bob.receive().await, expected);

    // There was no reply to the first answer, and the second one goes nowhere.
    alice.send(answer(ALICE, BOB, OFFER)).await;
    assert_failure(&alice.receive().await, HASH);
    assert_eq!(bob.scrape(HASH).await, (0, 2));

    let stats = tracker.stats().await;
    assert_eq!((&stats["offers"], &stats["answers"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn nobody_answers_in_anothers_name() {
    let tracker = Tracker::start().await;
    let (mut alice, mut bob, mut carol) =
        (tracker.connect().await, tracker.connect().await, tracker.connect().await);
    alice.announce(HASH, ALICE, &[]).await;
    bob.announce(HASH, BOB, &[OFFER]).await;
    alice.receive().await;
    carol.announce(HASH, CAROL, &[]).await;
    for spoofed in [answer(ALICE, BOB, OFFER), answer(CAROL, BOB, OFFER), answer(ALICE, BOB, OFFER_2)] {
        carol.send(spoofed).await;
        assert_failure(&carol.receive().await, HASH);
    }
    alice.send(answer(ALICE, BOB, OFFER)).await;
    assert_eq!(bob.receive().await["peer_id"], ALICE);
}

#[tokio::test]
async fn the_newest_socket_takes_a_peer_id_over() {
    let tracker = Tracker::start().await;
    let (mut old, mut new, mut bob) =
        (tracker.connect().await, tracker.connect().await, tracker.connect().await);
    old.announce(HASH, ALICE, &[]).await;
    assert_eq!(new.announce(HASH, ALICE, &[]).await["incomplete"], 1);
    drop(old);
    tracker.until_stats(|stats| stats["connections"] == 2).await;
    assert_eq!(bob.announce(HASH, BOB, &[OFFER]).await["incomplete"], 2);
    assert_eq!(new.receive().await["offer_id"], OFFER);
}

#[tokio::test]
async fn one_socket_carries_several_swarms_and_leaves_no_ghosts() {
    let tracker = Tracker::start().await;
    let (mut page, mut bob) = (tracker.connect().await, tracker.connect().await);
    page.announce(HASH, ALICE, &[]).await;
    page.announce(OTHER_HASH, CAROL, &[]).await;
    for (hash, who) in [(HASH, ALICE), (OTHER_HASH, CAROL)] {
        assert_eq!(bob.announce(hash, BOB, &[OFFER]).await["incomplete"], 2);
        let offer = page.receive().await;
        assert_eq!((&offer["info_hash"], &offer["peer_id"]), (&json!(hash), &json!(BOB)));
        page.send({
            let mut answer = answer(who, BOB, OFFER);
            answer["info_hash"] = json!(hash);
            answer
        })
        .await;
        assert_eq!(bob.receive().await["peer_id"], who);
    }
    drop(page);
    tracker.until_stats(|stats| stats["peers"] == 2).await;
    for hash in [HASH, OTHER_HASH] {
        assert_eq!(bob.scrape(hash).await, (0, 1));
    }
    let mut stopped = announce(HASH, BOB, &[]);
    stopped["event"] = json!("stopped");
    bob.send(stopped).await;
    assert_eq!(bob.receive().await["incomplete"], 0);
    drop(bob);
    tracker.until_stats(|stats| stats["peers"] == 0 && stats["swarms"] == 0).await;
}

#[tokio::test]
async fn odd_but_real_announces_are_taken() {
    let tracker = Tracker::start().await;
    let mut socket = tracker.connect().await;
    for (field, value) in [
        ("numwant", json!("5")),
        ("event", json!("")),
        ("event", json!(null)),
        ("event", json!("update")),
        ("event", json!("paused")),
        ("event", json!("empty")),
        ("left", json!(null)),
        ("left", json!("12")),
        ("offers", json!(null)),
        ("token", json!({"of": ["some", "kind"]})),
    ] {
        let mut message = announce(HASH, ALICE, &[]);
        message[field] = value;
        socket.send(message.clone()).await;
        let response = socket.receive().await;
        assert_eq!(response["incomplete"], 1, "{message} led to {response}");
    }
    let message = announce(HASH, ALICE, &[]).to_string().into_bytes();
    socket.0.send(Message::binary(message)).await.unwrap();
    assert_eq!(socket.receive().await["incomplete"], 1);
    let mut seeder = announce(HASH, ALICE, &[]);
    seeder["left"] = json!(0);
    socket.send(seeder).await;
    assert_eq!(socket.receive().await["complete"], 1);
}

#[tokio::test]
async fn malformed_messages_get_an_error_and_the_socket_stays_open() {
    let tracker = Tracker::start().await;
    let changed = |field: &str, value: Value| {
        let mut message = announce(HASH, ALICE, &[OFFER]);
        message[field] = value;
        Message::text(message.to_string())
    };
    let table = [
        (Message::text("null"), ""),
        (Message::text("[]"), ""),
        (Message::text(""), ""),
        (Message::text("{"), ""),
        (Message::text("hello"), ""),
        (Message::text("{}"), ""),
        (Message::text("[".repeat(60_000)), ""),
        (Message::binary(vec![0xff; 100]), ""),
        (changed("info_hash", json!(&HASH[1..])), &HASH[1..]),
        (changed("info_hash", json!("hY9ib9HABjFb2MbwCQ+wX")), "hY9ib9HABjFb2MbwCQ+wX"),
        (changed("info_hash", json!("hY9ib9HABjFb2MbwCQ+Ā")), "hY9ib9HABjFb2MbwCQ+Ā"),
        (changed("info_hash", json!(null)), ""),
        (changed("peer_id", json!(&ALICE[1..])), HASH),
        (changed("peer_id", json!("-PM0203-alice00000000")), HASH),
        (changed("event", json!("foo")), HASH),
        (changed("event", json!(1)), HASH),
        (changed("action", json!("hello")), HASH),
        (changed("offers", json!([{"offer": {}, "offer_id": OFFER}])), HASH),
        (changed("offers", json!([{"offer": {"sdp": "x".repeat(9000)}, "offer_id": OFFER}])), HASH),
        (changed("answer", json!({"sdp": "v=0"})), HASH),
    ];
    for (message, hash) in table {
        let mut socket = tracker.connect().await;
        socket.0.send(message).await.unwrap();
        assert_failure(&socket.receive().await, hash);
        socket.announce(HASH, ALICE, &[]).await;
    }
    let mut socket = tracker.connect().await;
    socket.send(json!({"action": "scrape"})).await;
    assert_eq!(socket.receive().await["action"], "scrape");
    assert_eq!(socket.scrape(OTHER_HASH).await, (0, 0), "an unknown swarm is empty");
}

#[tokio::test]
async fn troublemakers_are_cut_off_and_nobody_else() {
    let tracker = Tracker::start().await;
    let mut alice = tracker.connect().await;
    alice.announce(HASH, ALICE, &[]).await;

    let mut errors = tracker.connect().await;
    for _ in 0..17 {
        errors.0.send(Message::text("null")).await.unwrap();
    }
    let closed = patiently(async {
        loop {
            match errors.0.next().await {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(closed.await.unwrap().code, CloseCode::Policy);

    let mut huge = tracker.connect().await;
    // The tracker may close before all of it is written.
    let _ = huge.0.send(Message::text("x".repeat(1 << 20))).await;
    assert_eq!(huge.next().await, None);

    let mut flood = tracker.connect().await;
    for _ in 0..5000 {
        if flood.0.send(Message::Pong(Default::default())).await.is_err() {
            break;
        }
    }
    assert_eq!(flood.next().await, None);

    assert_eq!(alice.scrape(HASH).await, (0, 1));
    tracker.until_stats(|stats| stats["connections"] == 1).await;
}

#[tokio::test]
async fn connections_are_bounded() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let tracker = Tracker::with(Config { limits, ..Config::default() }).await;
    let mut first = tracker.connect().await;
    let url = format!("ws://{}/", tracker.address);
    assert!(patiently(tokio_tungstenite::connect_async(&url)).await.is_err());
    first.announce(HASH, ALICE, &[]).await;
    drop(first);
    patiently(async { while tokio_tungstenite::connect_async(&url).await.is_err() {} }).await;
}

#[tokio::test]
async fn viewers_are_told_when_the_tracker_stops() {
    let tracker = Tracker::start().await;
    let mut socket = tracker.connect().await;
    socket.announce(HASH, ALICE, &[]).await;
    let stopping = tokio::spawn(tracker.stop());
    let Some(Ok(Message::Close(Some(frame)))) = patiently(socket.0.next()).await else { panic!() };
    assert_eq!(frame.code, CloseCode::Away);
    // The library sends its own close frame when polled again.
    assert!(patiently(socket.0.next()).await.is_none());
    patiently(stopping).await.unwrap();
}

#[tokio::test]
async fn viewers_that_have_gone_silent_are_gone() {
    let tracker = Tracker::start().await;
    let mut socket = tracker.connect().await;
    socket.announce(HASH, ALICE, &[]).await;
    tokio::time::pause();
    // The socket is not read, so the ping in the middle stays unanswered.
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(61)).await;
    }
    tokio::time::resume();
    tracker.until_stats(|stats| stats["peers"] == 0 && stats["connections"] == 0).await;
}
