// SPDX-License-Identifier: MPL-2.0

//! Streams that are encrypted as a whole, by ffmpeg and openssl: what leaves the element is compared
//! with what they make of it.

#![cfg(feature = "plugin")]

mod common;

use std::sync::{Arc, Mutex};

use common::dash::{DASH, files, mpd};
use common::encrypted::{ENCRYPTED, NO_SYSTEM, OWN_SYSTEM, SAMPLES, decryptor, openssl, plain};
use common::media::DURATION;
use common::origin::{Fault, Origin};
use common::packagers::shaka;
use common::player::{Consumer, Player, keep_bytes};
use gst::prelude::*;

/// Plays to the end and gives what has left the element.
fn bytes_of(url: &str) -> Vec<u8> {
    bytes_in(Consumer::Decodebin3, url)
}

fn bytes_in(consumer: Consumer, url: &str) -> Vec<u8> {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = bytes.clone();
    let player = Player::with(consumer, url, false, move |source| {
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

/// Segment encryption of DASH: with a vector, in plain, and with the index of each segment as its vector.
#[test]
fn whole_segments_of_an_mpd_are_opened() {
    let origin = Origin::serve(&DASH);
    let (first, last) = ([0x11; 16], [0x22; 16]);
    let (init, plain) = (files(&DASH.join("number"), "init").concat(), files(&DASH.join("number"), "chunk"));
    let work = tempfile::tempdir().expect("a directory to work in");
    for (number, plain) in plain.iter().enumerate() {
        let file = work.path().join("plain");
        std::fs::write(&file, plain).expect("a file");
        let closed = match number {
            0..3 => openssl(&file, "-e", &first, "000102030405060708090a0b0c0d0e0f"),
            3..6 => plain.clone(),
            _ => openssl(&file, "-e", &last, &format!("{number:032x}")),
        };
        origin.set_bytes(&format!("closed/{number}.m4s"), closed);
    }
    origin.set_bytes("closed/init", init.clone());
    origin.set_bytes("keys/1", first.to_vec());
    origin.set_bytes("keys/2", last.to_vec());
    let protected = "<ContentProtection schemeIdUri=\"urn:mpeg:dash:sea:2012\">\
        <sea:SegmentEncryption schemeIdUri=\"urn:mpeg:dash:sea:aes128-cbc:2013\"/>\
        <sea:CryptoPeriod startOffset=\"0\" numSegments=\"3\" keyUriTemplate=\"../keys/1\" \
        IV=\"0x000102030405060708090a0b0c0d0e0f\"/>\
        <sea:CryptoPeriod startOffset=\"6\" keyUriTemplate=\"../keys/2\"/></ContentProtection>\
        <SegmentTemplate media=\"$Number$.m4s\" initialization=\"init\" startNumber=\"0\" duration=\"2\"/>";
    origin.set_made("closed/m.mpd", || mpd("", DURATION, protected));
    let (played, wanted) =
        (bytes_in(Consumer::Playbin3, &origin.url("closed/m.mpd")), [init, plain.concat()].concat());
    assert!(played == wanted, "{} bytes instead of {}", played.len(), wanted.len());
    let keys = origin.requests().iter().filter(|(path, _)| path.starts_with("/keys/")).count();
    assert_eq!(keys, 2, "each key is asked for once");
}

/// Also with seeks, in players of all kinds.
#[test]
fn encrypted_streams_play_everywhere() {
    for (stream, consumer) in ["ffmpeg", "mp4"].into_iter().flat_map(|s| Consumer::ALL.map(|c| (s, c))) {
        let origin = Origin::serve(&ENCRYPTED);
        let player = Player::new(consumer, &origin.url(&format!("{stream}/index.m3u8")), false);
        player.play_from(17.0);
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
        (Fault::Body(b"<html>login</html>"), DecryptNokey, "what came has 18"),
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

/// One server has no key (from the start, or from the middle on), another one with the same variant has; without that it is
/// an error that names the key.
#[test]
fn a_key_that_one_server_does_not_have_comes_from_another() {
    let origin = Origin::serve(&ENCRYPTED);
    let text = std::fs::read_to_string(ENCRYPTED.join("rotated/index.m3u8")).expect("a playlist");
    for name in ["a", "b"] {
        let own = text.replace("URI=\"key", &format!("URI=\"{name}-key"));
        origin.set_made(&format!("rotated/{name}.m3u8"), move || own.clone());
        for number in 0..9 {
            if let Ok(key) = std::fs::read(ENCRYPTED.join(format!("rotated/key{number}"))) {
                origin.set_bytes(&format!("rotated/{name}-key{number}"), key);
            }
        }
    }
    origin.set_made("rotated/all.m3u8", || {
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8\n".to_owned()
    });
    let page = || Fault::Body(b"<html>who are you?</html>");
    for (lost, fault) in [("a-key0", Fault::Status(403)), ("a-key4", Fault::Status(403)), ("a-key4", page())]
    {
        origin.set_fault(lost, fault);
        origin.clear_requests();
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = bytes.clone();
        let url = origin.url("rotated/all.m3u8");
        let player = Player::with(Consumer::Decodebin3, &url, false, move |source| {
            // Nothing is held back for another variant.
            source.set_property("connection-speed", 1_000_000u32);
            keep_bytes(source, &kept);
        });
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        let bytes = bytes.lock().unwrap();
        assert!(*bytes == plain("rotated"), "without {lost}: {} bytes", bytes.len());
        let asked = |path: &str| origin.requests().iter().any(|(asked, _)| asked.ends_with(path));
        assert!(asked(lost) && asked(&lost.replace("a-", "b-")), "{lost}");
        origin.clear_faults();
    }

    origin.set_fault("a-key4", Fault::Status(404));
    origin.set_fault("b-key4", page());
    for playlist in ["rotated/all.m3u8", "rotated/a.m3u8"] {
        let player = Player::with(Consumer::Decodebin3, &origin.url(playlist), false, |source| {
            source.set_property("connection-speed", 1_000_000u32);
        });
        player.set_state(gst::State::Playing);
        let error = player.wait(gst::MessageType::Error);
        let gst::MessageView::Error(error) = error.view() else { panic!("{error:?}") };
        assert!(error.error().matches(gst::StreamError::DecryptNokey), "{}", error.error());
        assert!(error.error().message().contains("-key4"), "{}", error.error());
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

/// The same from another packager.
#[test]
fn samples_encrypted_by_shaka_packager_are_passed_on() {
    let Some(place) = shaka() else { return };
    let origin = Origin::serve(place);
    let text = std::fs::read_to_string(place.join("encrypted/m.mpd")).expect("an MPD");
    // The system for which the packager writes what anybody may read, in the place of it the test's own.
    let open = "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";
    assert!(text.contains(open));
    origin.set_made("encrypted/own.mpd", move || text.replace(open, OWN_SYSTEM));
    let got = encrypted(&origin.url("encrypted/own.mpd"));
    let caps = got.caps.structure(0).expect("caps");
    assert_eq!(caps.name(), "application/x-cenc");
    assert_eq!(caps.get::<&str>("original-media-type"), Ok("video/x-h264"));
    let [(system, _, from)] = &got.events[..] else { panic!("{:?}", got.events) };
    assert_eq!((system.as_str(), from.as_deref()), (OWN_SYSTEM, Some("dash/mpd")));
    let file = std::fs::read(place.join("encrypted/v.mp4")).expect("a file");
    let index = common::dash::boxes(&file, b"sidx");
    assert!(got.bytes == [&file[..index.start], &file[index.end..]].concat(), "{} bytes", got.bytes.len());
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
