// SPDX-License-Identifier: MPL-2.0

//! Events of DASH: those that stand in the MPD, those that come with the media, and those that are about
//! the MPD itself.

#![cfg(feature = "plugin")]

mod common;

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use common::dash::{DASH, Listing, Live, date, files, live_origin, long};
use common::media::DURATION;
use common::origin::Origin;
use common::player::{Consumer, Player, keep_bytes};
use gst::prelude::*;

const SPLICE: &str = "urn:scte:scte35:2013:bin";
const MPD_EVENTS: &str = "urn:mpeg:dash:event:2012";
const S: u64 = 1_000_000_000;

/// An `emsg` box of version 0, in milliseconds from the start of its segment, or 1, from that of the media.
fn emsg(
    version: u8,
    scheme: &str,
    value: &str,
    (time, duration, id): (u32, u32, u32),
    data: &[u8],
) -> Vec<u8> {
    let names = [scheme.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat();
    let scale = 1_000u32.to_be_bytes();
    let rest = [duration.to_be_bytes(), id.to_be_bytes()].concat();
    let content = match version {
        0 => [&[0; 4][..], &names, &scale, &time.to_be_bytes(), &rest, data].concat(),
        _ => [&[1, 0, 0, 0][..], &scale, &u64::from(time).to_be_bytes(), &rest, &names, data].concat(),
    };
    [&(content.len() as u32 + 8).to_be_bytes()[..], b"emsg", &content].concat()
}

/// The events that are told from now on.
fn listen(player: &Player) -> Arc<Mutex<Vec<gst::Structure>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = told.clone();
    player.pipeline.bus().expect("a pipeline has a bus").set_sync_handler(move |_, message| {
        if let gst::MessageView::Element(message) = message.view() {
            let event = message.structure().filter(|structure| structure.name() == "p2phls-event");
            noted.lock().unwrap().extend(event.map(gst::StructureRef::to_owned));
        }
        gst::BusSyncReply::Pass
    });
    told
}

fn bytes(structure: &gst::Structure, field: &str) -> Vec<u8> {
    let buffer = structure.get::<gst::Buffer>(field).unwrap_or_else(|error| panic!("{field}: {error}"));
    buffer.map_readable().expect("readable").to_vec()
}

/// Events of all kinds, told once each though segments repeat them, in their places; what nobody has announced is
/// not looked at, and what goes downstream is what came.
#[test]
fn events_are_told_once() {
    let origin = Origin::serve(&DASH);
    let mut whole = files(&DASH.join("number"), "init").concat();
    for (number, media) in files(&DASH.join("number"), "chunk").into_iter().enumerate() {
        // The first is at 9 s, and mentioned in two segments; the second, of the media's clock, at 21 s, in all.
        let messages = match number {
            3 => emsg(0, SPLICE, "1", (3_000, 2_000, 7), b"\xfc\x30"),
            4 => emsg(0, SPLICE, "1", (1_000, 2_000, 7), b"\xfc\x30"),
            5 => emsg(1, "urn:unheard-of", "", (1_000, 0, 1), b"x"),
            _ => emsg(1, "urn:Said", "any", (21_000, u32::MAX, 8), b"there"),
        };
        let segment = [messages, media].concat();
        whole.extend(&segment);
        origin.set_bytes(&format!("number/chunk-stream0-{:05}.m4s", number + 1), segment);
    }
    let stream = "<EventStream schemeIdUri=\"urn:scte:scte35:2014:xml+bin\" timescale=\"10\" value=\"v\">\
         <Event presentationTime=\"125\" duration=\"30\" id=\"3\"><Signal><Binary>/DA=</Binary></Signal></Event>\
         <Event messageData=\"hello\"/></EventStream>";
    let inband = format!(
        "<InbandEventStream schemeIdUri=\"{SPLICE}\" value=\"1\"/><InbandEventStream schemeIdUri=\"urn:said\"/>"
    );
    let text = std::fs::read_to_string(DASH.join("number/m.mpd")).expect("an MPD");
    let text = text.replace("<AdaptationSet", &format!("{stream}<AdaptationSet"));
    let text = text.replace("<Representation", &format!("{inband}<Representation"));
    origin.set_made("number/events.mpd", move || text.clone());

    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeper = kept.clone();
    let player = Player::with(Consumer::Playbin3, &origin.url("number/events.mpd"), false, move |source| {
        keep_bytes(source, &keeper);
    });
    let told = listen(&player);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    assert_eq!(player.video.times().len() as u64, DURATION * 25);
    let events = told.lock().unwrap().clone();
    let known = |event: &gst::Structure| {
        let number = |field| event.get::<u64>(field).ok();
        (
            event.get::<String>("scheme").expect("a scheme"),
            event.get::<String>("value").expect("a value"),
            number("id"),
            number("position").map(|at| at / 100_000_000),
            number("duration"),
        )
    };
    let mut found: Vec<_> = events.iter().map(known).collect();
    found.sort();
    let text = str::to_owned;
    // Positions in tenths of a second.
    assert_eq!(
        found,
        [
            (text("urn:Said"), text("any"), Some(8), Some(210), None),
            (text(SPLICE), text("1"), Some(7), Some(90), Some(2 * S)),
            (text("urn:scte:scte35:2014:xml+bin"), text("v"), None, Some(0), None),
            (text("urn:scte:scte35:2014:xml+bin"), text("v"), Some(3), Some(125), Some(3 * S)),
        ]
    );
    for event in &events {
        match event.get::<u64>("id") {
            Ok(7) => assert_eq!(bytes(event, "scte35"), b"\xfc\x30"),
            Ok(3) => assert_eq!(bytes(event, "scte35"), b"\xfc\x30"),
            Ok(_) => assert_eq!(bytes(event, "data"), b"there"),
            Err(_) => assert_eq!(bytes(event, "data"), b"hello"),
        }
        assert_eq!(event.get::<u64>("running-time"), event.get::<u64>("position"));
    }
    assert!(*kept.lock().unwrap() == whole, "what went downstream is what came");
}

fn loads(origin: &Origin) -> usize {
    origin.requests().iter().filter(|(path, _)| path.ends_with("live.mpd")).count()
}

/// A live stream of which the MPD does not say when to load it again, with `message` in these segments.
fn silent(window: u64, segments: Range<u64>, message: &[u8]) -> (Origin, String, Arc<Live>) {
    // It is made before the clock starts.
    let place = long();
    let (origin, url, live) = live_origin(Live::new(Listing::Number, window, 0), |live| {
        let inband = format!("<InbandEventStream schemeIdUri=\"{MPD_EVENTS}\"/><SegmentTemplate");
        let text = live.mpd("", "").replace("minimumUpdatePeriod=\"PT1S\"", "");
        text.replace("mediaPresentationDuration=\"PT90S\"", "").replace("<SegmentTemplate", &inband)
    });
    for number in segments {
        let media = files(&place, &format!("seg{number:03}")).concat();
        origin.set_bytes(&format!("long-mp4/seg{number:03}.m4s"), [message, &media].concat());
    }
    (origin, url, live)
}

#[test]
fn an_event_has_the_mpd_loaded_again() {
    // Not while the clock is running.
    long();
    let soon = SystemTime::UNIX_EPOCH.elapsed().expect("a clock") + Duration::from_secs(5);
    let published = [date(soon).into_bytes(), vec![0]].concat();
    let (origin, url, live) = silent(6, 6..16, &emsg(0, MPD_EVENTS, "1", (0, u32::MAX, 1), &published));
    let player = Player::new(Consumer::Decodebin3, &url, true);
    player.set_state(gst::State::Playing);
    player.wait_until("the MPD once more", 30, || loads(&origin) > 1);
    // It is asked for until it is as new as the event says, and not after that.
    let later = live.made() + 8;
    player.wait_until("some more segments", 60, || live.made() > later);
    assert!(loads(&origin) <= 6, "{}", loads(&origin));
    let settled = loads(&origin);
    player.wait_until("some more segments", 60, || live.made() > later + 4);
    assert_eq!(loads(&origin), settled);
    assert_eq!(player.stat("skipped-segments"), 0);
}

/// The MPD says nothing of an end, an event does.
#[test]
fn an_event_ends_the_stream() {
    let (origin, url, _) = silent(76, 76..86, &emsg(1, MPD_EVENTS, "1", (86_000, 0, 1), b"\0"));
    let player = Player::new(Consumer::Decodebin3, &url, false);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let asked = |number: u64| {
        origin.requests().iter().any(|(path, _)| path.ends_with(&format!("seg{number:03}.m4s")))
    };
    assert!(asked(85) && !asked(86), "{:?}", origin.requests());
}
