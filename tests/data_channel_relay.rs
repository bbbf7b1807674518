// SPDX-License-Identifier: MPL-2.0

//! Data channels through a TURN relay. Needs coturn's `turnserver`, and is skipped without it.

#![cfg(all(feature = "plugin", unix))]

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gstp2phls::net::data_channel::{
    CloseReason, Connector, Link, LinkEvent, MESSAGE_SIZE, RtcConfig, RtcError,
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A TURN server on a free port of this machine, for as long as it lives.
struct Relay {
    server: Child,
    port: u16,
}

impl Relay {
    fn start() -> Option<Self> {
        let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let server = Command::new("turnserver")
            .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp", "--lt-cred-mech"])
            .args(["--user", "viewer:p@ss", "--realm", "test", "--allow-loopback-peers"])
            .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--log-file", "stdout"])
            .args(["--listening-port", &port.to_string(), "--pidfile", "/dev/null", "--userdb", "/dev/null"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let relay = Self { server, port };
        // It is up when it answers a STUN binding request.
        let request = b"\x00\x01\x00\x00\x21\x12\xa4\x42viewer-probe";
        let deadline = Instant::now() + PATIENCE;
        probe.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        loop {
            // Before it is up, the send or the receive fails at once.
            let _ = probe.send_to(request, (Ipv4Addr::LOCALHOST, port));
            if probe.recv_from(&mut [0; 1500]).is_ok() {
                return Some(relay);
            }
            assert!(Instant::now() < deadline, "turnserver does not come up");
        }
    }

    fn url(&self, password: &str) -> String {
        format!("turn://viewer:{password}@127.0.0.1:{}?transport=udp", self.port)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn connector(turn_server: String) -> Connector {
    let config = RtcConfig {
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        turn_servers: vec![turn_server],
        relay_only: true,
        ..Default::default()
    };
    Connector::new(config).unwrap()
}

async fn next(link: &mut Link) -> LinkEvent {
    timeout(PATIENCE, link.recv()).await.expect("an event in time").expect("a link that is not over")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_carries_messages() {
    let Some(relay) = Relay::start() else {
        println!("skipped: turnserver (coturn) is not installed");
        return;
    };
    let connector = connector(relay.url("p%40ss"));
    let start = Instant::now();
    let offer = connector.offer().await.unwrap();
    println!("offer after {:?}", start.elapsed());
    assert!(offer.sdp().contains(" typ relay"), "{}", offer.sdp());
    assert!(!offer.sdp().contains(" typ host"), "{}", offer.sdp());
    let (mut answerer, answer) = connector.answer(offer.sdp()).await.unwrap();
    let mut offerer = offer.accept(&answer).await.unwrap();
    assert_eq!(next(&mut offerer).await, LinkEvent::Open);
    assert_eq!(next(&mut answerer).await, LinkEvent::Open);
    println!("open after {:?}", start.elapsed());

    // Few: at loopback speed a burst overflows the relay's sockets, and each loss costs a second.
    let count = 30;
    let start = Instant::now();
    let sending = async {
        for number in 0..count {
            while offerer.room() < MESSAGE_SIZE {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            offerer.send(Bytes::from(vec![number as u8; MESSAGE_SIZE])).unwrap();
        }
    };
    let receiving = async {
        for number in 0..count {
            let expected = Bytes::from(vec![number as u8; MESSAGE_SIZE]);
            assert_eq!(next(&mut answerer).await, LinkEvent::Message(expected));
        }
    };
    tokio::join!(sending, receiving);
    println!("{} MB/s", (MESSAGE_SIZE * count) as f64 / 1e6 / start.elapsed().as_secs_f64());

    drop(offerer);
    loop {
        let event = next(&mut answerer).await;
        if let LinkEvent::Closed(reason) = event {
            // The transport gives its relay back before it says goodbye through it.
            assert!(matches!(reason, CloseReason::Remote | CloseReason::Lost), "{reason:?}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_refuses_does_not_hold_up_the_offer() {
    let Some(relay) = Relay::start() else {
        println!("skipped: turnserver (coturn) is not installed");
        return;
    };
    let start = Instant::now();
    let result = connector(relay.url("wrong")).offer().await;
    assert_eq!(result.err(), Some(RtcError::Unreachable));
    assert!(start.elapsed() < Duration::from_secs(4));
}
