// SPDX-License-Identifier: MPL-2.0

//! Data channels with peers that are not this implementation: one that behaves like a browser,
//! and one that does what no browser would.

#![cfg(feature = "plugin")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gstp2phls::net::data_channel::{
    CloseReason, Connector, Link, LinkEvent, MAX_MESSAGE_SIZE, MESSAGE_SIZE, RtcConfig,
};
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCSessionDescription,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn connector() -> Connector {
    let config = RtcConfig { addresses: vec![Ipv4Addr::LOCALHOST.into()], ..Default::default() };
    Connector::new(config).unwrap()
}

async fn next(link: &mut Link) -> LinkEvent {
    timeout(PATIENCE, link.recv()).await.expect("an event in time").expect("a link that is not over")
}

async fn closed(link: &mut Link) -> CloseReason {
    loop {
        if let LinkEvent::Closed(reason) = next(link).await {
            return reason;
        }
    }
}

/// A peer with the transport's default settings, but that sends longer messages.
struct Foreigner {
    connection: Box<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
}

struct Gathered(CancellationToken);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Gathered {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.cancel();
        }
    }
}

impl Foreigner {
    /// Opens a channel to a new link of ours, which answers.
    async fn meet() -> (Self, Link) {
        let gathered = CancellationToken::new();
        let settings = SettingEngineBuilder::new()
            .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(262_144))
            .with_include_loopback_candidate(true)
            .build();
        let connection = PeerConnectionBuilder::new()
            .with_setting_engine(settings)
            .with_handler(Arc::new(Gathered(gathered.clone())))
            .with_udp_addrs(vec![(Ipv4Addr::LOCALHOST, 0)])
            .build()
            .await
            .unwrap();
        let channel = connection.create_data_channel("any label", None).await.unwrap();
        let offer = connection.create_offer(None).await.unwrap();
        connection.set_local_description(offer).await.unwrap();
        gathered.cancelled().await;
        let offer = connection.local_description().await.unwrap().sdp;
        let (mut link, answer) = connector().answer(&offer).await.unwrap();
        assert!(answer.contains("a=max-message-size:65536"));
        // This peer does not care what we take.
        let answer = answer.replace("a=max-message-size:65536", "a=max-message-size:262144");
        let answer = RTCSessionDescription::answer(answer).unwrap();
        connection.set_remote_description(answer).await.unwrap();
        assert_eq!(next(&mut link).await, LinkEvent::Open);
        while !matches!(channel.poll().await, Some(DataChannelEvent::OnOpen)) {}
        (Self { connection: Box::new(connection), channel }, link)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_handed_over_as_bytes() {
    let (peer, mut link) = Foreigner::meet().await;
    peer.channel.send_text("grüß").await.unwrap();
    assert_eq!(next(&mut link).await, LinkEvent::Message(Bytes::from("grüß")));
    peer.connection.close().await.unwrap();
    assert_eq!(closed(&mut link).await, CloseReason::Remote);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_channel_closes_the_link() {
    let (peer, mut link) = Foreigner::meet().await;
    peer.channel.close().await.unwrap();
    assert_eq!(closed(&mut link).await, CloseReason::Remote);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_channel_is_a_violation() {
    let (peer, mut link) = Foreigner::meet().await;
    let _second = peer.connection.create_data_channel("second", None).await.unwrap();
    assert_eq!(closed(&mut link).await, CloseReason::Violation);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_long_a_message_is_dropped() {
    let (peer, mut link) = Foreigner::meet().await;
    for size in [MAX_MESSAGE_SIZE + 1, 262_144] {
        peer.channel.send(BytesMut::from(&vec![1; size][..])).await.unwrap();
    }
    peer.channel.send(BytesMut::from(&b"next"[..])).await.unwrap();
    assert_eq!(next(&mut link).await, LinkEvent::Message(Bytes::from("next")));
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_messages_arrive_whole() {
    let (peer, mut link) = Foreigner::meet().await;
    // p2p-media-loader's message size.
    let (size, count) = (65_535, 200);
    let channel = Arc::clone(&peer.channel);
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        for number in 0..count {
            while channel.outstanding_bytes().await.unwrap() > 1 << 20 {
                tokio::task::yield_now().await;
            }
            channel.send(BytesMut::from(&vec![number as u8; size][..])).await.unwrap();
        }
    });
    for number in 0..count {
        let LinkEvent::Message(message) = next(&mut link).await else { panic!("not a message") };
        assert!(message.len() == size && message.iter().all(|byte| *byte == number as u8));
    }
    sending.await.unwrap();
    println!("{} MB/s, paced", (size * count) as f64 / 1e6 / start.elapsed().as_secs_f64());

    for _ in 0..10 {
        link.send(Bytes::from(vec![9; MESSAGE_SIZE])).unwrap();
    }
    let mut received = 0;
    while received < 10 {
        if let Some(DataChannelEvent::OnMessage(message)) = peer.channel.poll().await {
            assert_eq!(message.data.len(), MESSAGE_SIZE);
            received += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_comes_is_given_up() {
    let connector = connector();
    let offer = connector.offer().await.unwrap();
    let sdp = offer.sdp().to_owned();
    drop(offer);
    let start = Instant::now();
    let (mut link, _) = connector.answer(&sdp).await.unwrap();
    let reason = closed(&mut link).await;
    println!("{reason:?} after {:?}", start.elapsed());
    assert!(matches!(reason, CloseReason::Timeout | CloseReason::Lost));
    assert!(start.elapsed() < Duration::from_secs(16));
}
