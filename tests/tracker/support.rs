// SPDX-License-Identifier: MPL-2.0

//! A tracker to test against, and a socket that speaks whatever a test wants it to.

// Two programs share this, and each uses a part of it.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gstp2phls::tracker::server::{Config, Listeners, ServeError, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Far more than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const HASH: &str = "hY9ib9HABjFb2MbwCQ+w";
pub const OTHER_HASH: &str = "AAAAAAAAAAAAAAAAAAAA";
pub const ALICE: &str = "-PM0203-alice0000000";
pub const BOB: &str = "-PM0203-bob000000000";
pub const CAROL: &str = "-PM0203-carol0000000";

pub async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("nothing happened")
}

pub struct Tracker {
    pub address: SocketAddr,
    /// Where operators look, if not at the same address.
    pub operators: Option<SocketAddr>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Tracker {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), config).await
    }

    pub async fn start_on(address: SocketAddr, config: Config) -> Self {
        Self::listen(TcpListener::bind(address).await.unwrap(), None, config)
    }

    pub fn listen(viewers: TcpListener, operators: Option<TcpListener>, config: Config) -> Self {
        let address = viewers.local_addr().unwrap();
        let operators_address = operators.as_ref().map(|listener| listener.local_addr().unwrap());
        let (shutdown, stopped) = oneshot::channel();
        let task =
            tokio::spawn(serve(Listeners { viewers, operators }, config, async { drop(stopped.await) }));
        Self { address, operators: operators_address, shutdown, task }
    }

    /// Stops, and returns when that is done.
    pub async fn stop(self) {
        drop(self.shutdown);
        patiently(self.task).await.unwrap().unwrap();
    }

    pub async fn connect(&self) -> Socket {
        self.connect_with("/announce", &[]).await.unwrap()
    }

    /// Connects as a viewer at this address, seen by a proxy.
    pub async fn connect_from(&self, address: &str) -> Socket {
        self.connect_with("/", &[("x-forwarded-for", address)]).await.unwrap()
    }

    /// Connects to a path with headers; or the status of the refusal.
    pub async fn connect_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match patiently(connect_async(request)).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A plain HTTP request: status line and body.
    pub async fn get(&self, path: &str) -> (String, String) {
        get(self.address, path).await
    }

    pub async fn stats(&self) -> Value {
        serde_json::from_str(&self.get("/stats.json").await.1).unwrap()
    }

    /// Asks until the statistics are as expected.
    pub async fn until_stats(&self, expected: impl Fn(&Value) -> bool) {
        patiently(async { while !expected(&self.stats().await) {} }).await;
    }
}

pub async fn get(address: SocketAddr, path: &str) -> (String, String) {
    get_with(address, path, "Accept: */*").await
}

/// The same, with a header.
pub async fn get_with(address: SocketAddr, path: &str, header: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: tracker\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    patiently(stream.read_to_string(&mut reply)).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

pub struct Socket(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message, or None if the tracker closed the socket.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match patiently(self.0.next()).await? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(other) => panic!("{other:?}"),
            }
        }
    }

    pub async fn receive(&mut self) -> Value {
        self.next().await.expect("tracker closed the socket")
    }

    /// Announces and returns the response.
    pub async fn announce(&mut self, hash: &str, who: &str, offers: &[&str]) -> Value {
        self.send(announce(hash, who, offers)).await;
        let response = self.receive().await;
        assert!(response["interval"].as_u64().is_some_and(|interval| interval > 0), "{response}");
        assert_eq!((&response["action"], &response["info_hash"]), (&json!("announce"), &json!(hash)));
        response
    }

    /// The sizes of a swarm: seeders and others.
    pub async fn scrape(&mut self, hash: &str) -> (u64, u64) {
        self.send(json!({"action": "scrape", "info_hash": hash})).await;
        let counts = &self.receive().await["files"][hash];
        (counts["complete"].as_u64().unwrap(), counts["incomplete"].as_u64().unwrap())
    }
}

pub fn announce(hash: &str, who: &str, offers: &[&str]) -> Value {
    let offer = |id| json!({"offer": {"type": "offer", "sdp": "v=0\r\n", "extra": 1}, "offer_id": id});
    let offers: Vec<_> = offers.iter().map(offer).collect();
    json!({"action": "announce", "info_hash": hash, "peer_id": who, "numwant": offers.len(), "uploaded": 0,
        "downloaded": 0, "event": "started", "offers": offers})
}

pub fn answer(by: &str, to: &str, offer_id: &str) -> Value {
    json!({"action": "announce", "info_hash": HASH, "peer_id": by, "to_peer_id": to,
        "answer": {"type": "answer", "sdp": "v=1\r\n", "extra": 1}, "offer_id": offer_id, "extra": 1})
}
