// SPDX-License-Identifier: MPL-2.0

//! Streams that are encrypted as a whole, by ffmpeg and openssl: what leaves the element is compared
//! with what they make of it.

#![cfg(feature = "plugin")]

mod common;

use std::sync::{Arc, Mutex};

use common::encrypted::{ENCRYPTED, plain};
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
