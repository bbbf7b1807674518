// SPDX-License-Identifier: MPL-2.0

//! How the element behaves when things go wrong, stop, start again or are sought.

#![cfg(feature = "plugin")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use common::media::STREAMS;
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player};
use gst::prelude::*;

const S: gst::ClockTime = gst::ClockTime::SECOND;

/// The error that playback of `path` ends with when its files ending in `file` have this fault.
fn failure(path: &str, file: &str, fault: Fault) -> glib::Error {
    let origin = Origin::serve(&STREAMS);
    origin.set_fault(file, fault);
    let player = Player::with(Consumer::Playbin3, &origin.url(path), false, |source| {
        source.set_property("retries", 0u32);
    });
    // What cannot be told yet is told later, so this cannot fail.
    let _ = player.pipeline.set_state(gst::State::Playing);
    match player.wait(gst::MessageType::Error).view() {
        gst::MessageView::Error(error) => error.error(),
        _ => unreachable!("an error was waited for"),
    }
}

#[test]
fn server_errors_are_told_apart() {
    let error = failure("ts/index.m3u8", "index.m3u8", Fault::Status(404));
    assert_eq!(error.kind::<gst::ResourceError>(), Some(gst::ResourceError::NotFound), "{error}");
    let error = failure("ts/index.m3u8", "index.m3u8", Fault::Status(403));
    assert_eq!(error.kind::<gst::ResourceError>(), Some(gst::ResourceError::NotAuthorized), "{error}");
    let error = failure("ts/index.m3u8", "index.m3u8", Fault::Status(500));
    assert_eq!(error.kind::<gst::ResourceError>(), Some(gst::ResourceError::OpenRead), "{error}");
}

#[test]
fn what_is_no_stream_is_described() {
    let page = Fault::Body(b"<!DOCTYPE html><html><body>Sorry</body></html>");
    let error = failure("ts/index.m3u8", "index.m3u8", page.clone());
    assert_eq!(error.kind::<gst::StreamError>(), Some(gst::StreamError::Format), "{error}");
    let error = failure("ts/index.m3u8", ".ts", page);
    assert_eq!(error.kind::<gst::StreamError>(), Some(gst::StreamError::WrongType), "{error}");
    assert!(error.message().contains("HTML"), "{error}");
}

#[test]
fn plays_again_after_each_stop() {
    let origin = Origin::serve(&STREAMS);
    let player = Player::new(Consumer::Playbin3, &origin.url("fmp4/index.m3u8"), true);
    for stop in [gst::State::Ready, gst::State::Null, gst::State::Ready, gst::State::Null] {
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::AsyncDone);
        assert_eq!(player.video.first(), Some(gst::ClockTime::ZERO));
        player.set_state(stop);
    }
}

#[test]
fn loops_by_seeking_to_the_start_at_the_end() {
    let origin = Origin::serve(&STREAMS);
    let player = Player::new(Consumer::Playbin3, &origin.url("ts/index.m3u8"), false);
    player.set_state(gst::State::Paused);
    player.wait(gst::MessageType::AsyncDone);
    player.set_state(gst::State::Playing);
    for _ in 0..3 {
        player.wait(gst::MessageType::Eos);
        assert_eq!(player.video.first(), Some(gst::ClockTime::ZERO));
        player.seek(0.0);
    }
}

#[test]
fn a_seek_before_playback_decides_where_it_begins() {
    let origin = Origin::serve(&STREAMS);
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let player = Player::with(Consumer::Decodebin3, &origin.url("ts/index.m3u8"), false, move |source| {
        source.seek_simple(flags, 17 * S).expect("kept for later");
    });
    player.set_state(gst::State::Paused);
    player.wait(gst::MessageType::AsyncDone);
    assert_eq!(player.video.first(), Some(17 * S));
    let fetched: Vec<_> = origin.requests().into_iter().map(|(path, _)| path).collect();
    assert!(!fetched.contains(&"/ts/seg000.ts".to_owned()), "{fetched:?}");
}

#[test]
fn stops_while_bytes_are_missing() {
    let origin = Origin::serve(&STREAMS);
    for file in ["index.m3u8", "seg000.ts", "seg002.ts"] {
        origin.set_fault(file, Fault::Stall);
        let player = Player::new(Consumer::Decodebin3, &origin.url("ts/index.m3u8"), false);
        player.set_state(gst::State::Playing);
        let wanted = format!("/ts/{file}");
        origin.wait_for(|requests| requests.iter().any(|(path, _)| *path == wanted));
        player.set_state(gst::State::Null);
        origin.clear_faults();
    }
}

/// What a sink pad that takes nothing has seen.
#[derive(Default)]
struct Stuck {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Stuck {
    fn update(&self, change: impl FnOnce(&mut (bool, bool))) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait(&self, reached: impl Fn(&(bool, bool)) -> bool) {
        let limit = Duration::from_secs(30);
        let state = self.state.lock().unwrap();
        let waited =
            self.changed.wait_timeout_while(state, limit, |state| !reached(state)).expect("no panic");
        assert!(!waited.1.timed_out(), "pushed, flushed after 30 s: {:?}", waited.0);
    }
}

#[test]
fn stops_while_downstream_takes_nothing() {
    common::init();
    let origin = Origin::serve(&STREAMS);
    let source = gst::ElementFactory::make("p2phlssrc").build().expect("the element is made");
    source.set_property("location", origin.url("ts/index.m3u8"));
    let stuck = Arc::new(Stuck::default());
    let (pushed, flushed) = (stuck.clone(), stuck.clone());
    let sink = gst::Pad::builder(gst::PadDirection::Sink)
        .name("sink")
        .chain_function(move |_, _, _| {
            pushed.update(|state| state.0 = true);
            pushed.wait(|state| state.1);
            Err(gst::FlowError::Flushing)
        })
        .event_function(move |_, _, event| {
            if event.type_() == gst::EventType::FlushStart {
                flushed.update(|state| state.1 = true);
            }
            true
        })
        .build();
    sink.set_active(true).expect("a pad is activated");
    source.connect_pad_added(move |_, pad| {
        pad.link(&sink).expect("pads link");
    });
    source.set_state(gst::State::Playing).expect("PLAYING");
    stuck.wait(|state| state.0);
    source.set_state(gst::State::Null).expect("NULL");
}

#[test]
fn end_of_stream_can_be_asked_for() {
    let origin = Origin::serve(&STREAMS);
    let player = Player::new(Consumer::Decodebin3, &origin.url("ts/index.m3u8"), true);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::AsyncDone);
    assert!(player.pipeline.send_event(gst::event::Eos::new()));
    player.wait(gst::MessageType::Eos);
    assert!(player.video.times().len() < 30 * 25, "it ended early");
}

#[test]
fn playback_that_runs_dry_asks_for_a_pause_and_goes_on() {
    let origin = Origin::serve(&STREAMS);
    origin.set_fault("seg001.ts", Fault::Stall);
    let player = Player::new(Consumer::Decodebin3, &origin.url("ts/index.m3u8"), true);
    player.set_state(gst::State::Playing);
    let percent = |message: gst::Message| match message.view() {
        gst::MessageView::Buffering(buffering) => buffering.percent(),
        _ => unreachable!("a buffering message was waited for"),
    };
    assert_eq!(percent(player.wait(gst::MessageType::Buffering)), 0);
    player.set_state(gst::State::Paused);
    origin.clear_faults();
    while percent(player.wait(gst::MessageType::Buffering)) < 100 {}
    player.set_state(gst::State::Playing);
    player.seek(28.0);
    player.wait(gst::MessageType::Eos);
    assert_eq!(player.video.first(), Some(28 * S));
}

#[test]
fn statistics_are_posted_and_counted() {
    let origin = Origin::serve(&STREAMS);
    let notified = Arc::new(AtomicU32::new(0));
    let count = notified.clone();
    let player = Player::with(Consumer::Decodebin3, &origin.url("ts/index.m3u8"), true, move |source| {
        source.set_property("stats-interval", 100u32);
        let count = count.clone();
        source.connect_notify(Some("peer-efficiency"), move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
        });
    });
    player.set_state(gst::State::Playing);
    loop {
        let message = player.wait(gst::MessageType::Element);
        let structure = message.structure().expect("element messages have one");
        if structure.name() == "p2phls-stats" && structure.get::<u64>("http-bytes") != Ok(0) {
            assert!(structure.get::<u64>("startup-time").is_ok());
            break;
        }
    }
    player.set_state(gst::State::Null);
    let stats = player.source().property::<gst::Structure>("stats");
    assert_ne!(stats.get::<u64>("http-bytes"), Ok(0), "the last counters stay readable");
    assert_eq!(notified.load(Ordering::SeqCst), 0, "nothing came from peers");
}

/// Such a short film is through before anybody has looked at how it goes.
#[test]
fn statistics_are_complete_at_the_end() {
    common::init();
    let origin = Origin::serve(&STREAMS);
    let url = origin.url("fmp4/index.m3u8");
    let pipeline = gst::parse::launch(&format!("p2phlssrc location={url} name=source ! fakesink"));
    let pipeline = pipeline.expect("it is a pipeline").downcast::<gst::Pipeline>().expect("of two elements");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(60 * S, &ends).expect("the film ends");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    let source = pipeline.by_name("source").expect("it is there");
    let stats: gst::Structure = source.property("stats");
    let files = std::fs::read_dir(STREAMS.join("fmp4")).expect("the film is there");
    let files = files.map(|file| file.expect("readable").path());
    let segments = files.filter(|path| path.extension().is_some_and(|extension| extension == "m4s"));
    let size: u64 = segments.map(|path| path.metadata().expect("a segment").len()).sum();
    assert_eq!(stats.get::<u64>("http-bytes"), Ok(size));
    assert_eq!(stats.get::<String>("variant-uri"), Ok(url));
    pipeline.set_state(gst::State::Null).expect("it stops");
}

#[test]
fn headers_reach_the_server() {
    let origin = Origin::serve(&STREAMS);
    let player = Player::with(Consumer::Playbin3, &origin.url("fmp4/index.m3u8"), false, |source| {
        source.set_property("user-agent", "kiosk/7");
        source.set_property("extra-headers", gst::Structure::builder("h").field("x-token", "secret").build());
    });
    player.set_state(gst::State::Paused);
    player.wait(gst::MessageType::AsyncDone);
    let requests = origin.requests();
    assert!(requests.iter().any(|(path, _)| path.ends_with(".m4s")));
    for (path, headers) in requests {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("user-agent"), Some("kiosk/7"), "{path}");
        assert_eq!(header("x-token"), Some("secret"), "{path}");
    }
}

#[test]
fn duration_and_seekable_range_are_known() {
    let origin = Origin::serve(&STREAMS);
    let player = Player::new(Consumer::Playbin3, &origin.url("ts/index.m3u8"), false);
    player.set_state(gst::State::Paused);
    player.wait(gst::MessageType::AsyncDone);
    assert_eq!(player.pipeline.query_duration::<gst::ClockTime>(), Some(30 * S));
    let mut seeking = gst::query::Seeking::new(gst::Format::Time);
    assert!(player.pipeline.query(&mut seeking));
    let (seekable, start, end) = seeking.result();
    assert!(seekable);
    assert_eq!(start, gst::GenericFormattedValue::Time(Some(gst::ClockTime::ZERO)));
    assert_eq!(end, gst::GenericFormattedValue::Time(Some(30 * S)));
}
