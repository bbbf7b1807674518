// SPDX-License-Identifier: MPL-2.0

//! The client, against our server and against trackers that mean it no good.

use futures_util::{SinkExt, StreamExt};
use gstp2phls::net::proxy::{Proxies, ProxyError};
use gstp2phls::net::tracker_client::{
    CommandError, TrackerClient, TrackerConfig, TrackerError, TrackerEvent, TrackerHandle,
};
use gstp2phls::swarm::ids::{InfoHash, OfferId, PeerId};
use gstp2phls::swarm::tracker_messages::Extras;
use gstp2phls::tracker::server::Config;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::proxy::Proxy;
use crate::support::*;

const OFFER: OfferId = OfferId([0xff; 20]);

struct Client {
    handle: TrackerHandle,
    events: mpsc::Receiver<TrackerEvent>,
}

impl Client {
    fn start(url: &str, who: &str) -> Self {
        Self::through(Proxies::new(None), url, who)
    }

    fn through(proxies: Proxies, url: &str, who: &str) -> Self {
        let (handle, events) = TrackerClient::spawn(TrackerConfig {
            url: url.parse().unwrap(),
            info_hash: InfoHash::from_binary_string(HASH).unwrap(),
            peer_id: PeerId::from_binary_string(who).unwrap(),
            user_agent: "test".into(),
            tls: None,
            proxies,
        });
        Self { handle, events }
    }

    async fn next(&mut self) -> TrackerEvent {
        patiently(self.events.recv()).await.expect("no more events")
    }

    /// Waits for an announce to be due, and makes it.
    async fn announce(&mut self, offers: Vec<(OfferId, String)>) {
        assert!(matches!(self.next().await, TrackerEvent::Connected));
        let TrackerEvent::AnnounceDue { max_offers } = self.next().await else { panic!() };
        assert!(offers.len() <= max_offers);
        self.handle.announce(offers, Extras::default()).unwrap();
    }

    async fn disconnected(&mut self) -> (TrackerError, bool) {
        loop {
            if let TrackerEvent::Disconnected { reason, retry_in } = self.next().await {
                return (reason, retry_in.is_some());
            }
        }
    }
}

fn url(tracker: &Tracker) -> String {
    format!("ws://{}/", tracker.address)
}

#[tokio::test]
async fn two_clients_meet() {
    let tracker = Tracker::start().await;
    let (mut alice, mut bob) = (Client::start(&url(&tracker), ALICE), Client::start(&url(&tracker), BOB));
    alice.announce(Vec::new()).await;
    let TrackerEvent::Response { interval, complete: 0, incomplete: 1, number: Some(0) } = alice.next().await
    else {
        panic!()
    };
    assert!((10..=3600).contains(&interval.as_secs()));
    bob.announce(vec![(OFFER, "v=0".into())]).await;
    assert!(matches!(bob.next().await, TrackerEvent::Response { incomplete: 2, number: Some(1), .. }));

    let TrackerEvent::Offer { from, offer_id, sdp } = alice.next().await else { panic!() };
    assert_eq!((from.to_string().as_str(), offer_id, sdp.as_str()), (BOB, OFFER, "v=0"));
    alice.handle.answer(from, offer_id, "v=1".into()).unwrap();
    let TrackerEvent::Answer { from, offer_id, sdp } = bob.next().await else { panic!() };
    assert_eq!((from.to_string().as_str(), offer_id, sdp.as_str()), (ALICE, OFFER, "v=1"));

    // Once more goes nowhere, and the tracker says so.
    alice.handle.answer(PeerId::from_binary_string(BOB).unwrap(), OFFER, "v=1".into()).unwrap();
    assert!(matches!(alice.next().await, TrackerEvent::Warning(_)));
}

#[tokio::test]
async fn comes_back_after_the_tracker_was_restarted() {
    let tracker = Tracker::start().await;
    let address = tracker.address;
    let mut client = Client::start(&url(&tracker), ALICE);
    client.announce(Vec::new()).await;
    assert!(matches!(client.next().await, TrackerEvent::Response { .. }));
    tracker.stop().await;
    assert!(client.disconnected().await.1, "it tries again");
    let tracker = Tracker::start_on(address, Config::default()).await;
    let connected = async { while !matches!(client.next().await, TrackerEvent::AnnounceDue { .. }) {} };
    patiently(connected).await;
    client.handle.announce(Vec::new(), Extras::default()).unwrap();
    assert!(matches!(client.next().await, TrackerEvent::Response { incomplete: 1, .. }));
    tracker.until_stats(|stats| stats["peers"] == 1).await;
}

#[tokio::test]
async fn leaves_when_stopped_and_when_dropped() {
    let tracker = Tracker::start().await;
    let mut socket = tracker.connect().await;
    let mut client = Client::start(&url(&tracker), ALICE);
    client.announce(Vec::new()).await;
    client.next().await;
    patiently(client.handle.stop()).await;
    assert_eq!(socket.scrape(HASH).await, (0, 0), "it is gone when stop() returns");
    assert!(patiently(client.events.recv()).await.is_none());

    let mut client = Client::start(&url(&tracker), BOB);
    client.announce(Vec::new()).await;
    client.next().await;
    drop(client.handle);
    tracker.until_stats(|stats| stats["peers"] == 0 && stats["connections"] == 1).await;
}

#[tokio::test]
async fn a_wrong_url_is_final() {
    for url in ["http://127.0.0.1:1/", "file:///tracker"] {
        let mut client = Client::start(url, ALICE);
        assert!(matches!(client.disconnected().await, (TrackerError::Url, false)));
        assert!(client.events.recv().await.is_none());
        assert_eq!(client.handle.announce(Vec::new(), Extras::default()), Err(CommandError::Ended));
    }
}

#[tokio::test]
async fn a_proxy_leads_to_the_tracker() {
    let tracker = Tracker::start().await;
    // Of user and password `me` and `pass word`.
    let proxy = Proxy::start(Some("Basic bWU6cGFzcyB3b3Jk"));
    let through = |login| Proxies::new(Some(proxy.url(login).parse().unwrap()));
    let mut client = Client::through(through("me"), &url(&tracker), ALICE);
    assert!(matches!(client.disconnected().await, (TrackerError::Proxy(ProxyError::Login(_)), true)));
    let mut client = Client::through(through("me:pass%20word"), &url(&tracker), ALICE);
    client.announce(Vec::new()).await;
    assert!(matches!(client.next().await, TrackerEvent::Response { incomplete: 1, .. }));
    assert_eq!(proxy.asked(), [format!("CONNECT {}", tracker.address)]);
}

#[tokio::test]
async fn a_proxy_that_does_not_let_through_is_named() {
    use std::io::Write;
    let endless = "HTTP/1.1 200 OK\r\n".repeat(2000);
    for (answer, says) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "answered 403"),
        ("SSH-2.0-x\r\n\r\n", "something else than HTTP"),
        (&*endless, "something else than HTTP"),
        ("HTTP/1.1 200 OK\r\n", "no connection to the proxy 127.0.0.1:"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let answer = answer.to_owned();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            // The request is taken first: else the client may hear of a connection that was reset.
            std::io::Read::read(&mut client, &mut [0; 1000]).unwrap();
            // The client may have had enough.
            let _ = client.write_all(answer.as_bytes());
        });
        let proxies = Proxies::new(Some(proxy.parse().unwrap()));
        let mut client = Client::through(proxies, "ws://tracker.example/", ALICE);
        let (reason, again) = client.disconnected().await;
        assert!(again && reason.to_string().contains(says), "{says}: {reason}");
    }
}

/// A tracker that does what a test tells it to.
struct FakeTracker(TcpListener);

impl FakeTracker {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    async fn accept(&self) -> WebSocketStream<TcpStream> {
        accept_async(patiently(self.0.accept()).await.unwrap().0).await.unwrap()
    }
}

async fn read(socket: &mut WebSocketStream<TcpStream>) -> Value {
    let message = patiently(socket.next()).await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

#[tokio::test]
async fn says_what_other_trackers_expect() {
    let (tracker, url) = FakeTracker::start().await;
    let mut client = Client::start(&url, ALICE);
    let mut socket = tracker.accept().await;
    client.announce(vec![(OFFER, "v=0".into())]).await;
    let expected = json!({"numwant": 1, "uploaded": 0, "downloaded": 0, "event": "started", "action": "announce",
        "info_hash": HASH, "peer_id": ALICE,
        "offers": [{"offer": {"type": "offer", "sdp": "v=0"}, "offer_id": "\u{ff}".repeat(20)}]});
    assert_eq!(read(&mut socket).await, expected);
    client.handle.announce(Vec::new(), Extras::default()).unwrap();
    assert_eq!(read(&mut socket).await.get("event"), None);

    let stopped = tokio::spawn(client.handle.stop());
    assert_eq!(read(&mut socket).await["event"], "stopped");
    assert!(patiently(socket.next()).await.unwrap().unwrap().is_close());
    assert!(patiently(socket.next()).await.is_none());
    patiently(stopped).await.unwrap();
}

#[tokio::test]
async fn ignores_what_is_not_for_it() {
    let (tracker, url) = FakeTracker::start().await;
    let mut client = Client::start(&url, ALICE);
    let mut socket = tracker.accept().await;
    client.announce(Vec::new()).await;
    let offer = |hash: &str, from: &str| {
        json!({"action": "announce", "info_hash": hash, "peer_id": from,
            "offer": {"type": "offer", "sdp": "v=0"}, "offer_id": BOB})
    };
    for message in [
        offer(OTHER_HASH, BOB),
        offer(HASH, ALICE),
        json!({"action": "announce", "info_hash": OTHER_HASH, "interval": 1, "complete": 9, "incomplete": 9}),
        json!({"action": "scrape", "files": {}}),
        offer(HASH, BOB),
    ] {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let TrackerEvent::Offer { from, .. } = client.next().await else { panic!() };
    assert_eq!(from.to_string(), BOB);
}

#[tokio::test]
async fn nonsense_is_a_warning_and_too_much_of_it_the_end() {
    let (tracker, url) = FakeTracker::start().await;
    let mut client = Client::start(&url, ALICE);
    let mut socket = tracker.accept().await;
    client.announce(Vec::new()).await;
    let nonsense = [
        Message::text("null"),
        Message::text("{}"),
        Message::binary(vec![0xff]),
        Message::text("[".repeat(60_000)),
        Message::text(json!({"failure reason": "go away"}).to_string()),
        Message::text(json!({"action": "announce", "warning message": "beware"}).to_string()),
    ];
    for message in nonsense {
        socket.send(message).await.unwrap();
        assert!(matches!(client.next().await, TrackerEvent::Warning(_)));
    }
    for _ in 0..20 {
        // The client hangs up before the last.
        let _ = socket.send(Message::text("null")).await;
    }
    assert!(matches!(client.disconnected().await, (TrackerError::Senseless, true)));
}

#[tokio::test]
async fn messages_that_are_too_long_end_the_connection() {
    let (tracker, url) = FakeTracker::start().await;
    let mut client = Client::start(&url, ALICE);
    let mut socket = tracker.accept().await;
    client.announce(Vec::new()).await;
    let _ = socket.send(Message::text(" ".repeat(1 << 20))).await;
    assert!(matches!(client.disconnected().await, (TrackerError::Protocol(_), true)));
}

#[tokio::test]
async fn a_web_server_is_not_a_tracker() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, axum::Router::new().fallback(async || "a page")).into_future());
    let mut client = Client::start(&format!("ws://{address}/"), ALICE);
    assert!(matches!(client.disconnected().await, (TrackerError::Refused(200), true)));
    let (_listener, url) = FakeTracker::start().await;
    let client = Client::start(&url, ALICE);
    // Nobody accepts the handshake; stopping does not wait for it.
    patiently(client.handle.stop()).await;
}

#[tokio::test]
async fn an_owner_that_does_not_listen_costs_nothing() {
    let (tracker, url) = FakeTracker::start().await;
    let client = Client::start(&url, ALICE);
    let mut socket = tracker.accept().await;
    let failure = json!({"action": "announce", "failure reason": "x"}).to_string();
    for _ in 0..1000 {
        socket.send(Message::text(failure.clone())).await.unwrap();
    }
    assert!(client.events.len() <= client.events.max_capacity());
    patiently(client.handle.stop()).await;
    drop(client.events);
}

#[tokio::test]
async fn a_tracker_that_has_gone_silent_is_left() {
    let (tracker, url) = FakeTracker::start().await;
    let mut client = Client::start(&url, ALICE);
    // Never read, so that pings stay unanswered, as by a machine that has lost its network.
    let _socket = tracker.accept().await;
    client.announce(Vec::new()).await;
    // From here on a minute passes as soon as everybody waits.
    tokio::time::pause();
    let event = client.events.recv().await;
    assert!(matches!(event, Some(TrackerEvent::AnnounceDue { .. })), "{event:?}: no reply, so ask again");
    let event = client.events.recv().await;
    let silent =
        |event| matches!(event, Some(TrackerEvent::Disconnected { reason: TrackerError::Silent, .. }));
    assert!(silent(event));
}

#[tokio::test]
async fn announces_at_the_trackers_pace_and_sooner_on_request() {
    let (tracker, url) = FakeTracker::start().await;
    let mut client = Client::start(&url, ALICE);
    let mut socket = tracker.accept().await;
    client.announce(Vec::new()).await;
    let response =
        json!({"action": "announce", "info_hash": HASH, "interval": 15, "complete": 0, "incomplete": 1});
    socket.send(Message::text(response.to_string())).await.unwrap();
    assert!(matches!(client.next().await, TrackerEvent::Response { .. }));
    tokio::time::pause();
    for (hurry, expected) in [(false, 15), (true, 10), (false, 15)] {
        let before = tokio::time::Instant::now();
        if hurry {
            client.handle.announce_now().unwrap();
        }
        assert!(matches!(client.events.recv().await, Some(TrackerEvent::AnnounceDue { .. })));
        let waited = before.elapsed().as_secs_f64();
        assert!((waited - f64::from(expected)).abs() < 1.0, "{waited} s instead of {expected} s");
    }
}
