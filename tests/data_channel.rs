// SPDX-License-Identifier: MPL-2.0

//! Real data channels over this machine's loopback, with no outside server.

#![cfg(feature = "plugin")]

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use gstp2phls::net::data_channel::{Connector, Link, LinkEvent, RtcConfig};

fn connector() -> Connector {
    let config = RtcConfig { addresses: vec![Ipv4Addr::LOCALHOST.into()], ..Default::default() };
    Connector::new(config).unwrap()
}

/// A pair of open links: the offerer's and the answerer's.
async fn open_pair() -> (Link, Link) {
    let connector = connector();
    let offer = connector.offer().await.unwrap();
    let (mut answerer, answer) = connector.answer(offer.sdp()).await.unwrap();
    let mut offerer = offer.accept(&answer).await.unwrap();
    for link in [&mut offerer, &mut answerer] {
        let event = tokio::time::timeout(Duration::from_secs(10), link.recv()).await.unwrap();
        assert_eq!(event, Some(LinkEvent::Open));
    }
    (offerer, answerer)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_flow_both_ways() {
    let start = std::time::Instant::now();
    let (mut offerer, mut answerer) = open_pair().await;
    println!("open {:?}", start.elapsed());
    offerer.send(Bytes::from_static(b"hello")).unwrap();
    answerer.send(Bytes::from_static(b"there")).unwrap();
    assert_eq!(answerer.recv().await, Some(LinkEvent::Message(Bytes::from_static(b"hello"))));
    assert_eq!(offerer.recv().await, Some(LinkEvent::Message(Bytes::from_static(b"there"))));
    let start = std::time::Instant::now();
    drop(offerer);
    println!("{:?}", answerer.recv().await);
    println!("closed {:?}", start.elapsed());
}
