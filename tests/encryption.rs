// SPDX-License-Identifier: MPL-2.0

//! Streams that are encrypted as a whole, by ffmpeg and openssl: what leaves the element is compared
//! with what they make of it.

#![cfg(feature = "plugin")]

mod common;

use std::sync::{Arc, Mutex};

use common::encrypted::{ENCRYPTED, NO_SYSTEM, OWN_SYSTEM, SAMPLES, decryptor, plain};
use common::media::DURATION;
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player, keep_bytes};
use gst::prelude::*;

/// Plays to the end and gives what has left the element.
fn bytes_of(url: &str) -> Vec<u8> {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = bytes.clone();
    let player = Player::with(Consumer::Decodebin3, url, false, move |source| {
        keep_bytes(source, &kept);
    });
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    drop(player);
    Arc::try_unwrap(bytes)
        .map_or_else(|bytes| bytes.lock().unwrap().clone(), |bytes| bytes.into_inner().unwrap())
}

#[test]
fn what_comes_out_is_what_went_in() {
    for (stream, keys) in [("ffmpeg", 1), ("rotated", 9), ("aes256", 1)] {
        let origin = Origin::serve(&ENCRYPTED);
        let (ours, theirs) = (bytes_of(&origin.url(&format!("{stream}/index.m3u8"))), plain(stream));
        assert!(ours == theirs, "{stream}: {} bytes, {} in plain", ours.len(), theirs.len());
        let asked = origin.requests().iter().filter(|(path, _)| path.contains("/key")).count();
        assert_eq!(asked, keys, "{stream}: each key is asked for once");
    }
}

/// Also with seeks, in players of all kinds.
#[test]
fn encrypted_streams_play_everywhere() {
    for (stream, consumer) in ["ffmpeg", "mp4"].into_iter().flat_map(|s| Consumer::ALL.map(|c| (s, c))) {
        let origin = Origin::serve(&ENCRYPTED);
        let player = Player::new(consumer, &origin.url(&format!("{stream}/index.m3u8")), false);
        player.set_state(gst::State::Paused);
        player.wait(gst::MessageType::AsyncDone);
        player.seek(17.0);
        player.wait(gst::MessageType::AsyncDone);
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        let frames = player.video.times();
        assert_eq!(frames.first(), Some(&gst::ClockTime::from_seconds(17)), "{stream} {consumer:?}");
        assert_eq!(frames.len() as u64, (DURATION - 17) * 25, "{stream} {consumer:?}: frames");
    }
}

#[test]
fn keys_are_asked_for_with_the_users_headers() {
    let origin = Origin::serve(&ENCRYPTED);
    let player = Player::with(Consumer::Decodebin3, &origin.url("ffmpeg/index.m3u8"), false, |source| {
        let headers = gst::Structure::builder("headers").field("authorization", "Bearer 1").build();
        source.set_property("extra-headers", headers);
    });
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let requests = origin.requests();
    let (_, headers) =
        requests.iter().find(|(path, _)| path.ends_with("/key")).expect("the key was asked for");
    assert_eq!(headers.get("authorization").map(|value| value.as_bytes()), Some(&b"Bearer 1"[..]));
}

#[test]
fn a_key_that_does_not_do_is_explained() {
    use gst::StreamError::{Decrypt, DecryptNokey};
    for (fault, code, what) in [
        (Fault::Status(403), DecryptNokey, "the key of the stream cannot be had"),
        (Fault::Status(404), DecryptNokey, "extra-headers"),
        (Fault::Body(b"another 16 bytes"), Decrypt, "the key is that of another stream"),
        (Fault::Body(b"<html>login</html>"), Decrypt, "this one has 18"),
    ] {
        let origin = Origin::serve(&ENCRYPTED);
        origin.set_fault("/key", fault);
        let player = Player::new(Consumer::Decodebin3, &origin.url("ffmpeg/index.m3u8"), false);
        player.set_state(gst::State::Playing);
        let message = player.wait(gst::MessageType::Error);
        let gst::MessageView::Error(error) = message.view() else { panic!("{message:?}") };
        assert_eq!(error.error().kind::<gst::StreamError>(), Some(code), "{}", error.error());
        assert!(error.error().message().contains(what), "{}", error.error());
    }
}

#[test]
fn a_segment_that_is_cut_short_is_explained() {
    let origin = Origin::serve(&ENCRYPTED);
    origin.set_fault("seg002.ts", Fault::Body(b"not encrypted"));
    let player = Player::new(Consumer::Decodebin3, &origin.url("ffmpeg/index.m3u8"), false);
    player.set_state(gst::State::Playing);
    let message = player.wait(gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else { panic!("{message:?}") };
    assert_eq!(
        error.error().kind::<gst::StreamError>(),
        Some(gst::StreamError::Decrypt),
        "{}",
        error.error()
    );
    assert!(error.error().message().contains("seg002.ts"), "{}", error.error());
}

#[test]
fn what_cannot_be_decrypted_is_refused_with_a_reason() {
    let origin = Origin::serve(&ENCRYPTED);
    origin.set_made("drm.m3u8", || {
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://k\",KEYFORMAT=\"com.apple\"\n\
         #EXTINF:4,\nffmpeg/seg000.ts\n#EXT-X-ENDLIST\n"
            .to_owned()
    });
    let player = Player::new(Consumer::Decodebin3, &origin.url("drm.m3u8"), false);
    player.set_state(gst::State::Playing);
    let message = player.wait(gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else { panic!("{message:?}") };
    assert_eq!(error.error().kind::<gst::StreamError>(), Some(gst::StreamError::NotImplemented));
    assert!(error.error().message().contains("SampleAes for com.apple"), "{}", error.error());
}

/// What a decryptor behind `qtdemux` would get, and what the element itself has given.
struct Encrypted {
    caps: gst::Caps,
    /// System, data and origin of each protection event, on the element's pad.
    events: Vec<(String, Vec<u8>, Option<String>)>,
    bytes: Vec<u8>,
    warnings: Vec<String>,
}

fn protection(event: &gst::Event) -> Option<(String, Vec<u8>, Option<String>)> {
    let gst::EventView::Protection(event) = event.view() else { return None };
    let (system, data, origin) = event.get();
    let data = data.map_readable().expect("readable").to_vec();
    Some((system.to_owned(), data, origin.map(str::to_owned)))
}

fn encrypted(url: &str) -> Encrypted {
    common::init();
    decryptor::register();
    let make = |name| gst::ElementFactory::make(name).build().expect(name);
    let (source, demuxer, sink) = (make("p2phlssrc"), make("qtdemux"), make("fakesink"));
    source.set_property("location", url);
    sink.set_property("sync", false);
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, &demuxer, &sink]).expect("elements go into a pipeline");
    let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let (of_source, input) = (seen.clone(), demuxer.static_pad("sink").expect("a sink pad"));
    source.connect_pad_added(move |_, pad| {
        let seen = of_source.clone();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(kinds, move |_, info| {
            let mut seen = seen.lock().unwrap();
            match &info.data {
                Some(gst::PadProbeData::Event(event)) => {
                    // Before any data.
                    assert!(protection(event).is_none() || seen.1.is_empty());
                    seen.0.extend(protection(event));
                }
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    seen.1.extend_from_slice(&buffer.map_readable().expect("readable"));
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
        pad.link(&input).expect("pads link");
    });
    let output = sink.static_pad("sink").expect("a sink pad");
    let linked = output.clone();
    demuxer.connect_pad_added(move |_, pad| {
        pad.link(&linked).expect("pads link");
    });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let bus = pipeline.bus().expect("a bus");
    let mut warnings = Vec::new();
    loop {
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &kinds).expect("the end");
        match message.view() {
            gst::MessageView::Warning(warning) => warnings.push(warning.error().message().to_owned()),
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => break,
        }
    }
    let caps = output.current_caps().expect("the demuxer gave caps");
    pipeline.set_state(gst::State::Null).expect("it stops");
    let (events, bytes) = std::mem::take(&mut *seen.lock().unwrap());
    Encrypted { caps, events, bytes, warnings }
}

/// Decryptors get all that they need, from DASH and HLS; the bytes are the origin's.
#[test]
fn encrypted_samples_are_passed_on() {
    let origin = Origin::serve(&SAMPLES);
    let file = std::fs::read(SAMPLES.join("v.mp4")).expect("a file");
    for (name, origin_of_events) in [("m.mpd", "dash/mpd"), ("index.m3u8", "hls/m3u8")] {
        let text = std::fs::read_to_string(SAMPLES.join(name)).expect("a manifest");
        origin.set_made(&format!("own-{name}"), move || text.replace(NO_SYSTEM, OWN_SYSTEM));
        let got = encrypted(&origin.url(&format!("own-{name}")));
        let caps = got.caps.structure(0).expect("caps");
        assert_eq!(caps.name(), "application/x-cenc", "{name}");
        assert_eq!(caps.get::<&str>("original-media-type"), Ok("video/x-h264"), "{name}");
        let [(system, data, from)] = &got.events[..] else { panic!("{name}: {:?}", got.events) };
        assert_eq!((system.as_str(), from.as_deref()), (OWN_SYSTEM, Some(origin_of_events)));
        match name {
            "m.mpd" => {
                let text = String::from_utf8_lossy(data);
                assert!(
                    text.contains("<cenc:pssh>AAAA</cenc:pssh>") && text.starts_with("<ContentProtection"),
                    "{text}"
                );
            }
            _ => assert_eq!(data, b"secret"),
        }
        let end_of = |part| common::dash::boxes(&file, part).end;
        let media = end_of(b"sidx")..common::dash::boxes(&file, b"mfra").start;
        let whole = [&file[..end_of(b"moov")], &file[media]].concat();
        assert!(got.bytes == whole, "{name}: {} bytes instead of {}", got.bytes.len(), whole.len());
        assert!(got.warnings.is_empty(), "{name}: {:?}", got.warnings);
    }
}

/// Where no decryptor is installed players say so, and the element says for which system.
#[test]
fn a_missing_decryptor_is_named() {
    let origin = Origin::serve(&SAMPLES);
    for consumer in [Consumer::Playbin3, Consumer::Playbin] {
        let player = Player::new(consumer, &origin.url("m.mpd"), false);
        // It may fail at once or by a message.
        let _ = player.pipeline.set_state(gst::State::Playing);
        let warning = player.wait(gst::MessageType::Warning);
        let gst::MessageView::Warning(warning) = warning.view() else { panic!("{warning:?}") };
        assert!(warning.error().message().contains(NO_SYSTEM), "{consumer:?}: {}", warning.error());
    }
}
