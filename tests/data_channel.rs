// SPDX-License-Identifier: MPL-2.0

//! Real data channels over this machine's loopback, with no outside server.
//!
//! The tests run one at a time: some count this process's file descriptors, and those that move
//! many bytes would slow the others down.

#![cfg(feature = "plugin")]

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gstp2phls::net::data_channel::{
    CloseReason, Connector, Link, LinkEvent, MAX_MESSAGE_SIZE, MESSAGE_SIZE, RtcConfig, RtcError, SdpError,
    SendError,
};
use tokio::time::timeout;

/// Long enough for a busy machine; nothing waits this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test while no other runs. Its runtime begins and ends with it: one that waited for its turn would
/// have files of its own open.
fn alone(test: impl Future<Output = ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

fn connector() -> Connector {
    let config = RtcConfig { addresses: vec![Ipv4Addr::LOCALHOST.into()], ..Default::default() };
    Connector::new(config).unwrap()
}

async fn next(link: &mut Link) -> LinkEvent {
    timeout(PATIENCE, link.recv()).await.expect("an event in time").expect("a link that is not over")
}

async fn next_message(link: &mut Link) -> Bytes {
    loop {
        match next(link).await {
            LinkEvent::Message(message) => return message,
            LinkEvent::Writable => {}
            other => panic!("{other:?} instead of a message"),
        }
    }
}

async fn closed(link: &mut Link) -> CloseReason {
    loop {
        if let LinkEvent::Closed(reason) = next(link).await {
            assert_eq!(link.recv().await, None);
            return reason;
        }
    }
}

/// A pair of open links: the offerer's and the answerer's.
async fn open_pair(connector: &Connector) -> (Link, Link) {
    let offer = connector.offer().await.unwrap();
    let (mut answerer, answer) = connector.answer(offer.sdp()).await.unwrap();
    let mut offerer = offer.accept(&answer).await.unwrap();
    for link in [&mut offerer, &mut answerer] {
        assert_eq!(next(link).await, LinkEvent::Open);
    }
    (offerer, answerer)
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until no more files are open than before.
async fn files_are_back_to(before: usize) {
    let deadline = Instant::now() + PATIENCE;
    while open_files() > before {
        assert!(Instant::now() < deadline, "{} files open, {before} before", open_files());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn messages_flow_both_ways() {
    alone(async {
        let start = Instant::now();
        let (mut offerer, mut answerer) = open_pair(&connector()).await;
        println!("open after {:?}", start.elapsed());
        offerer.send(Bytes::from_static(b"hello")).unwrap();
        answerer.send(Bytes::from_static(b"there")).unwrap();
        assert_eq!(next_message(&mut answerer).await, "hello");
        assert_eq!(next_message(&mut offerer).await, "there");

        let longest = Bytes::from(vec![7; MAX_MESSAGE_SIZE]);
        offerer.send(longest.clone()).unwrap();
        answerer.send(longest.clone()).unwrap();
        assert_eq!(next_message(&mut answerer).await, longest);
        assert_eq!(next_message(&mut offerer).await, longest);
        assert_eq!(offerer.send(Bytes::from(vec![7; MAX_MESSAGE_SIZE + 1])), Err(SendError::TooLong));

        let deadline = Instant::now() + PATIENCE;
        while offerer.round_trip().is_none() {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(offerer.round_trip().unwrap() < Duration::from_secs(1));
    });
}

#[test]
fn messages_sent_before_the_link_is_open_arrive() {
    alone(async {
        let connector = connector();
        let offer = connector.offer().await.unwrap();
        let (mut answerer, answer) = connector.answer(offer.sdp()).await.unwrap();
        let offerer = offer.accept(&answer).await.unwrap();
        offerer.send(Bytes::from_static(b"early")).unwrap();
        assert_eq!(next(&mut answerer).await, LinkEvent::Open);
        assert_eq!(next_message(&mut answerer).await, "early");
    });
}

#[test]
fn closing_is_told_to_both_sides() {
    alone(async {
        let connector = connector();
        let (mut offerer, mut answerer) = open_pair(&connector).await;
        offerer.close();
        assert_eq!(closed(&mut offerer).await, CloseReason::Local);
        assert_eq!(offerer.send(Bytes::from_static(b"late")), Err(SendError::Closed));
        assert_eq!(closed(&mut answerer).await, CloseReason::Remote);

        let (offerer, mut answerer) = open_pair(&connector).await;
        drop(offerer);
        assert_eq!(closed(&mut answerer).await, CloseReason::Remote);

        let (offerer, mut answerer) = open_pair(&connector).await;
        let (_sender, events) = offerer.split();
        drop(events);
        assert_eq!(closed(&mut answerer).await, CloseReason::Remote);

        // Never opened.
        let offer = connector.offer().await.unwrap();
        let (mut answerer, _) = connector.answer(offer.sdp()).await.unwrap();
        answerer.close();
        assert_eq!(closed(&mut answerer).await, CloseReason::Local);
    });
}

/// A byte stream of which every part is different.
fn content(message: usize) -> Bytes {
    let mut state = message as u32;
    let bytes = (0..MESSAGE_SIZE).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    bytes.collect()
}

/// Sends `count` messages as there is room for them and checks that as many arrive, whole and in
/// order. Returns the most that was buffered.
async fn exchange(mut link: Link, count: usize) -> (Link, usize) {
    let (mut sent, mut received, mut most) = (0, 0, 0);
    loop {
        while sent < count && link.room() >= MESSAGE_SIZE {
            link.send(content(sent)).unwrap();
            sent += 1;
        }
        most = most.max(link.buffered());
        if sent == count && received == count {
            return (link, most);
        }
        match next(&mut link).await {
            LinkEvent::Message(message) => {
                assert!(message == content(received), "message {received} of {count} differs");
                received += 1;
            }
            LinkEvent::Writable => {}
            other => panic!("{other:?} after {received} of {count} messages"),
        }
    }
}

#[test]
fn twenty_megabytes_arrive_whole_in_both_directions() {
    alone(async {
        let (offerer, answerer) = open_pair(&connector()).await;
        let count = 20_000_000 / MESSAGE_SIZE;
        let start = Instant::now();
        let ((_offerer, most), (_answerer, most_back)) =
            tokio::join!(exchange(offerer, count), exchange(answerer, count));
        println!("2 x 20 MB in {:?}; at most {most} and {most_back} bytes buffered", start.elapsed());
        assert!(most.max(most_back) <= (2 << 20) + MESSAGE_SIZE);
    });
}

#[test]
fn a_slow_reader_stops_the_sender_and_loses_nothing() {
    alone(async {
        let (mut offerer, mut answerer) = open_pair(&connector()).await;
        let mut sent = 0;
        loop {
            while offerer.room() >= MESSAGE_SIZE {
                offerer.send(content(sent)).unwrap();
                sent += 1;
            }
            // More quiet than the path can explain: the other side has stopped reading.
            match timeout(Duration::from_secs(1), offerer.recv()).await {
                Ok(event) => assert_eq!(event, Some(LinkEvent::Writable)),
                Err(_) => break,
            }
            assert!(sent * MESSAGE_SIZE < 32 << 20, "{sent} messages sent to a reader that does not read");
        }
        println!("{} bytes sent to a reader that does not read", sent * MESSAGE_SIZE);
        assert!(offerer.buffered() > 0);

        // Commands still get in, until the hard limit.
        offerer.send(Bytes::from_static(b"command")).unwrap();
        let mut more = 0;
        while offerer.send(content(sent + more)).is_ok() {
            more += 1;
        }
        assert_eq!(offerer.send(content(0)), Err(SendError::Full));
        assert!(offerer.buffered() <= 4 << 20);

        for message in 0..sent {
            assert!(next_message(&mut answerer).await == content(message), "message {message} differs");
        }
        assert_eq!(next_message(&mut answerer).await, "command");
        for message in sent..sent + more {
            assert!(next_message(&mut answerer).await == content(message), "message {message} differs");
        }
        assert_eq!(next(&mut offerer).await, LinkEvent::Writable);
    });
}

#[test]
fn unanswered_offers_leave_no_files_open() {
    alone(async {
        let connector = connector();
        drop(connector.offer().await.unwrap());
        let before = open_files();
        for _ in 0..20 {
            drop(connector.offer().await.unwrap());
            // Given up half way.
            let _ = timeout(Duration::from_micros(200), connector.offer()).await;
        }
        files_are_back_to(before).await;

        let offer = connector.offer().await.unwrap();
        assert!(offer.accept("v=0\r\n").await.is_err());
        files_are_back_to(before).await;
    });
}

#[test]
fn fifty_connections_leave_no_files_open() {
    alone(async {
        let connector = connector();
        drop(open_pair(&connector).await);
        let before = open_files();
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        for round in 0..50 {
            let (offerer, mut answerer) = open_pair(&connector).await;
            offerer.send(content(round)).unwrap();
            assert_eq!(next_message(&mut answerer).await, content(round));
        }
        files_are_back_to(before).await;
        let deadline = Instant::now() + PATIENCE;
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > tasks {
            assert!(Instant::now() < deadline, "tasks leak");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn descriptions_that_make_no_sense_are_refused() {
    alone(async {
        let connector = connector();
        let section = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
        for garbage in [
            String::new(),
            "hello".into(),
            "\u{0}".repeat(100),
            "v=0\r\n".into(),
            format!("v=0\r\n{section}"),
            format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{section}"),
            format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{section}a=mid:0\r\na=sctp-port:x\r\n"),
        ] {
            let error = connector.answer(&garbage).await.unwrap_err();
            assert!(matches!(error, RtcError::Sdp(_)), "{garbage:?}: {error}");
            let offer = connector.offer().await.unwrap();
            let error = offer.accept(&garbage).await.unwrap_err();
            assert!(matches!(error, RtcError::Sdp(_)), "{garbage:?}: {error}");
        }
        let long = "a=x\r\n".repeat(5000);
        assert_eq!(connector.answer(&long).await.unwrap_err(), SdpError::TooLong(long.len()).into());
    });
}

#[test]
fn damaged_descriptions_never_panic_or_hang() {
    alone(async {
        let connector = connector();
        let before = open_files();
        let offer = connector.offer().await.unwrap();
        let (_link, answer) = connector.answer(offer.sdp()).await.unwrap();
        let mut state = 7u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        let mut refused = 0;
        for round in 0..300 {
            let original = if round % 2 == 0 { offer.sdp() } else { &answer };
            let mut lines: Vec<String> = original.lines().map(str::to_owned).collect();
            for _ in 0..=random(3) {
                let line = random(lines.len());
                match random(5) {
                    0 => drop(lines.remove(line)),
                    1 => lines.push(lines[line].clone()),
                    2 => lines[line].truncate(2 + random(20)),
                    3 => lines[line].push_str(["9", " 65536", ":", " x y z", "4294967296"][random(5)]),
                    _ => {
                        let mut bytes = lines[line].clone().into_bytes();
                        let at = random(bytes.len().max(1));
                        bytes[at] = 32 + random(95) as u8;
                        lines[line] = String::from_utf8(bytes).unwrap();
                    }
                }
            }
            let damaged = lines.join("\r\n") + "\r\n";
            let failed = if round % 2 == 0 {
                timeout(PATIENCE, connector.answer(&damaged)).await.expect("no hang").is_err()
            } else {
                let offer = connector.offer().await.unwrap();
                timeout(PATIENCE, offer.accept(&damaged)).await.expect("no hang").is_err()
            };
            refused += usize::from(failed);
        }
        println!("{refused} of 300 damaged descriptions refused");
        assert!(refused > 0);
        drop((offer, _link));
        files_are_back_to(before).await;
    });
}

/// Names this test program's other role, a viewer in a process of its own.
const ROLE: &str = "P2PHLS_TEST_VIEWER";

fn one_line(sdp: &str) -> String {
    sdp.replace("\r\n", "|")
}

fn many_lines(sdp: &str) -> String {
    sdp.trim().replace('|', "\r\n")
}

/// Not a test: answers the offer on standard input, then receives until it is killed.
#[test]
fn viewer_process() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    alone(async {
        let mut offer = String::new();
        std::io::stdin().read_line(&mut offer).unwrap();
        let (mut link, answer) = connector().answer(&many_lines(&offer)).await.unwrap();
        println!("\nanswer {}", one_line(&answer));
        while link.recv().await.is_some() {}
    });
}

/// Starts another viewer, which answers `offer`.
fn start_viewer(offer: &str) -> (Child, String) {
    let mut viewer = Command::new(std::env::current_exe().unwrap())
        .args(["viewer_process", "--exact", "--nocapture"])
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(viewer.stdin.take().unwrap(), "{}", one_line(offer)).unwrap();
    let mut output = BufReader::new(viewer.stdout.take().unwrap()).lines();
    let answer = output.find_map(|line| line.unwrap().strip_prefix("answer ").map(many_lines));
    (viewer, answer.expect("an answer"))
}

#[test]
fn a_killed_peer_is_noticed() {
    alone(async {
        for busy in [false, true] {
            let offer = connector().offer().await.unwrap();
            let (mut viewer, answer) = start_viewer(offer.sdp());
            let mut link = offer.accept(&answer).await.unwrap();
            assert_eq!(next(&mut link).await, LinkEvent::Open);
            while busy && link.room() >= MESSAGE_SIZE {
                link.send(content(0)).unwrap();
            }
            viewer.kill().unwrap();
            viewer.wait().unwrap();
            let start = Instant::now();
            let reason = closed(&mut link).await;
            println!("busy {busy}: {reason:?} after {:?}", start.elapsed());
            assert_eq!(reason, CloseReason::Lost);
            assert!(start.elapsed() < Duration::from_secs(6));
        }
    });
}
