// SPDX-License-Identifier: MPL-2.0

//! What operators see and set: pages, limits, doors, the end.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use gstp2phls::tracker::server::{AccessConfig, Config, Limits};
use ring::hmac;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::*;

const SECRET: &[u8] = b"thirty-two bytes are enough here";

fn token(claims: &serde_json::Value) -> String {
    let encode = |text: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.to_string().as_bytes()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

#[tokio::test]
async fn pages_say_what_goes_on() {
    let tracker = Tracker::start().await;
    let (mut alice, mut bob) = (tracker.connect().await, tracker.connect().await);
    alice.announce(HASH, ALICE, &[]).await;
    bob.announce(HASH, BOB, &[BOB]).await;
    alice.receive().await;
    alice.send(answer(ALICE, BOB, BOB)).await;
    bob.receive().await;
    alice.0.send(Message::text("null")).await.unwrap();
    alice.receive().await;

    let stats = tracker.stats().await;
    for (name, value) in [
        ("swarms", 1),
        ("peers", 2),
        ("connections", 2),
        ("accepted", 2),
        ("announces", 2),
        ("offers", 1),
        ("answers", 1),
        ("errors", 1),
    ] {
        assert_eq!(stats[name], value, "{name}");
    }
    assert_eq!(stats["links"], json!([1, 0, 0, 0, 0, 0]), "both have one address");

    let (status, metrics) = tracker.get("/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    for line in [
        "# TYPE p2phls_tracker_answers_total counter",
        "p2phls_tracker_answers_total 1",
        "p2phls_tracker_connections 2",
        "p2phls_tracker_links_total{nearness=\"site\"} 1",
        "p2phls_tracker_links_total{nearness=\"anywhere\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    // Every sample has a name, a value, and a type said before.
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap();
        assert!(value.parse::<f64>().is_ok() && metrics.contains(&format!("# TYPE {name} ")), "{line}");
    }
    assert_eq!(tracker.get("/health").await, ("HTTP/1.1 200 OK".into(), "ok\n".into()));
    assert!(tracker.get("/").await.0.starts_with("HTTP/1.1 426"));
}

#[tokio::test]
async fn operators_may_have_a_door_of_their_own() {
    let (viewers, operators) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let tracker = Tracker::listen(viewers, Some(operators), Config::default());
    tracker.connect().await.announce(HASH, ALICE, &[]).await;
    for path in ["/metrics", "/stats.json", "/dashboard", "/dashboard/figures.json"] {
        assert!(tracker.get(path).await.0.starts_with("HTTP/1.1 426"), "{path} is nobody else's business");
        assert_eq!(get(tracker.operators.unwrap(), path).await.0, "HTTP/1.1 200 OK");
    }
    assert_eq!(tracker.get("/health").await.0, "HTTP/1.1 200 OK");
    assert!(get(tracker.operators.unwrap(), "/").await.0.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn without_such_a_door_only_this_machine_sees_what_is_for_operators() {
    let tracker = Tracker::start().await;
    for path in ["/metrics", "/stats.json", "/dashboard", "/dashboard/figures.json", "/dashboard/mesh.json"] {
        for passed_on in ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 proxy"] {
            let (status, body) = get_with(tracker.address, path, passed_on).await;
            assert!(status.starts_with("HTTP/1.1 426"), "{path}, {passed_on}: {body}");
        }
    }
    assert_eq!(tracker.get("/metrics").await.0, "HTTP/1.1 200 OK");
    let health = get_with(tracker.address, "/health", "Via: 1.1 proxy").await;
    assert_eq!(health, ("HTTP/1.1 200 OK".into(), "ok\n".into()), "load balancers are proxies");
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let limits = Limits { max_connections_per_address: 2, ..Limits::default() };
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let tracker = Tracker::with(Config { limits, trusted_proxies, ..Config::default() }).await;
    let from = |address| [("x-forwarded-for", address)];
    let first = tracker.connect_from("192.0.2.1").await;
    let _second = tracker.connect_from("192.0.2.1").await;
    assert_eq!(tracker.connect_with("/", &from("192.0.2.1")).await.err(), Some(429));
    let _other = tracker.connect_from("192.0.2.2").await;
    // The lower half of an IPv6 address is the viewer's own choice.
    let _v6 = [tracker.connect_from("2001:db8::1").await, tracker.connect_from("2001:db8::2").await];
    assert_eq!(tracker.connect_with("/", &from("2001:db8::3")).await.err(), Some(429));
    drop(first);
    patiently(async { while tracker.connect_with("/", &from("192.0.2.1")).await.is_err() {} }).await;
    assert!(tracker.stats().await["refused"].as_u64() >= Some(2));
}

#[tokio::test]
async fn pages_of_others_are_kept_out() {
    let origins = Some(vec!["https://player.example".into()]);
    let access = AccessConfig { origins, ..AccessConfig::default() };
    let tracker = Tracker::with(Config { access, ..Config::default() }).await;
    let origin = |origin| [("origin", origin)];
    assert!(tracker.connect_with("/", &origin("https://player.example")).await.is_ok());
    assert_eq!(tracker.connect_with("/", &origin("https://other.example")).await.err(), Some(403));
    tracker.connect().await.announce(HASH, ALICE, &[]).await;
}

#[tokio::test]
async fn private_streams_need_a_token() {
    let access = AccessConfig { token_secret: Some(SECRET.into()), ..AccessConfig::default() };
    let tracker = Tracker::with(Config { access, ..Config::default() }).await;
    let good = token(&json!({"exp": 4_000_000_000u64, "swarm": HASH}));

    // In the URL.
    let mut viewer = tracker.connect_with(&format!("/?token={good}"), &[]).await.unwrap();
    viewer.announce(HASH, ALICE, &[]).await;
    viewer.send(announce(OTHER_HASH, ALICE, &[])).await;
    let refused = viewer.receive().await;
    assert_eq!((&refused["info_hash"], &refused["action"]), (&json!(OTHER_HASH), &json!("announce")));
    assert_eq!(refused["failure reason"], "token is for other swarms");
    for bad in ["nonsense".to_owned(), token(&json!({"exp": 1}))] {
        assert_eq!(tracker.connect_with(&format!("/?token={bad}"), &[]).await.err(), Some(401), "{bad}");
    }

    // In the announce.
    let mut viewer = tracker.connect().await;
    viewer.send(announce(HASH, BOB, &[])).await;
    assert_eq!(viewer.receive().await["failure reason"], "a token is needed");
    let mut with_token = announce(HASH, BOB, &[]);
    with_token["token"] = json!(good);
    viewer.send(with_token).await;
    assert_eq!(viewer.receive().await["incomplete"], 2);
    // The next one need not say it again.
    viewer.announce(HASH, BOB, &[]).await;
}

#[tokio::test]
async fn swarms_can_be_listed_and_the_list_may_change() {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), format!("# ours\n{HASH}\n")).unwrap();
    let access = AccessConfig { swarms: Some(list.path().into()), ..AccessConfig::default() };
    let reload_every = Some(Duration::from_millis(10));
    let tracker = Tracker::with(Config { access, reload_every, ..Config::default() }).await;
    let mut viewer = tracker.connect().await;
    viewer.announce(HASH, ALICE, &[]).await;
    viewer.send(announce(OTHER_HASH, ALICE, &[])).await;
    assert_eq!(viewer.receive().await["failure reason"], "this tracker does not serve that swarm");
    std::fs::write(list.path(), format!("{OTHER_HASH}\n")).unwrap();
    patiently(async {
        loop {
            // Errors are counted: a new connection for each.
            let mut viewer = tracker.connect().await;
            viewer.send(announce(OTHER_HASH, BOB, &[])).await;
            if viewer.receive().await.get("interval").is_some() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn at_the_end_viewers_are_sent_away_one_after_another() {
    // More than may be told at once.
    let drain = Duration::from_secs(60);
    let tracker = Tracker::with(Config { drain, ..Config::default() }).await;
    let mut viewers = Vec::new();
    for _ in 0..30 {
        viewers.push(tracker.connect().await);
    }
    viewers[0].announce(HASH, ALICE, &[]).await;
    let address = tracker.address;
    let stopping = tokio::spawn(tracker.stop());
    // Until the last has gone, whoever asks is told to go elsewhere.
    patiently(async { while get(address, "/health").await.0 != "HTTP/1.1 503 Service Unavailable" {} }).await;
    for viewer in &mut viewers {
        let close = patiently(async {
            loop {
                match viewer.0.next().await {
                    Some(Ok(Message::Close(frame))) => return frame,
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        assert_eq!(close.await.unwrap().code, CloseCode::Away);
    }
    drop(viewers);
    patiently(stopping).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn files_that_make_no_sense_stop_the_start() {
    let missing = AccessConfig { swarms: Some("/nonexistent".into()), ..AccessConfig::default() };
    let config = Config { access: missing, ..Config::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = gstp2phls::tracker::server::serve(listener, config, std::future::pending()).await;
    assert!(error.unwrap_err().to_string().contains("/nonexistent"));
}
