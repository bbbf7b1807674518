// SPDX-License-Identifier: MPL-2.0

//! DASH on demand: real streams in each way of addressing, compared with the origin's bytes.

#![cfg(feature = "plugin")]

mod common;

use std::sync::{Arc, Mutex};

use common::dash::{DASH, LONG, files, long, mpd, muxed_template, nested_file, period};
use common::media::{DURATION, STREAMS};
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player, assert_continuous, keep_bytes};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// A player, and what leaves the element.
fn player(consumer: Consumer, url: &str) -> (Player, Arc<Mutex<Vec<u8>>>) {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = bytes.clone();
    let player = Player::with(consumer, url, false, move |source| keep_bytes(source, &kept));
    (player, bytes)
}

/// Plays to the end: all frames, without a gap. Gives the bytes.
fn play(consumer: Consumer, url: &str, seconds: u64) -> Vec<u8> {
    let (player, bytes) = player(consumer, url);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let frames = player.video.times();
    // Without an edit list, pictures are due a little after they are decoded.
    assert!(frames.first().is_some_and(|first| *first <= 80 * MS), "{url}: {:?} is first", frames.first());
    assert_continuous(&frames, url);
    assert_eq!(frames.len() as u64, seconds * 25, "{url}: frames");
    let bytes = bytes.lock().unwrap();
    bytes.clone()
}

#[test]
fn each_way_of_addressing_plays_to_the_byte() {
    let origin = Origin::serve(&DASH);
    for (name, init, media) in [
        ("number", "init", "chunk"),
        ("timeline", "init", "chunk"),
        ("list", "init", "chunk"),
        ("ranges", "none", "m-stream0"),
    ] {
        let played = play(Consumer::Playbin3, &origin.url(&format!("{name}/m.mpd")), DURATION);
        let place = DASH.join(name);
        let wanted = [files(&place, init), files(&place, media)].concat().concat();
        assert!(played == wanted, "{name}: {} bytes instead of {}", played.len(), wanted.len());
    }
    // The index itself is not played, nor what stands behind the fragments.
    let file = files(&DASH.join("indexed"), "v.mp4").concat();
    let index = common::dash::boxes(&file, b"sidx");
    let played = play(Consumer::Playbin3, &origin.url("indexed/m.mpd"), DURATION);
    let end = common::dash::boxes(&file, b"mfra").start;
    let wanted = [&file[..index.start], &file[index.end..end]].concat();
    assert!(played == wanted, "indexed: {} bytes instead of {}", played.len(), wanted.len());
}

/// Segments that are published in parts (S@k): each part is a segment, also to seek to.
#[test]
fn parts_of_segments_play_and_seek() {
    let origin = Origin::serve(&STREAMS);
    let init = std::fs::read(long().join("init.mp4")).expect("an init");
    let plain = files(&long(), "seg");
    assert_eq!(plain.len(), 90);
    for (number, part) in plain.iter().enumerate() {
        origin.set_bytes(&format!("parts/{}-{}.m4s", number / 3 + 1, number % 3 + 1), part.clone());
    }
    origin.set_bytes("parts/init.mp4", init.clone());
    let template = "<SegmentTemplate media=\"$Number$-$SubNumber$.m4s\" initialization=\"init.mp4\"><SegmentTimeline>\
        <S t=\"0\" d=\"3\" r=\"29\" k=\"3\"/></SegmentTimeline></SegmentTemplate>";
    origin.set_made("parts/m.mpd", || mpd("", LONG, template));
    let played = play(Consumer::Playbin3, &origin.url("parts/m.mpd"), LONG);
    assert!(played == [init, plain.concat()].concat(), "{} bytes", played.len());

    origin.clear_requests();
    let (player, _) = player(Consumer::Playbin3, &origin.url("parts/m.mpd"));
    player.set_state(gst::State::Paused);
    player.wait(gst::MessageType::AsyncDone);
    origin.clear_requests();
    player.seek(71.5);
    player.wait(gst::MessageType::AsyncDone);
    // 71 s is the last third of the segment that begins at 69 s.
    origin.wait_for(|requests| requests.iter().any(|(path, _)| path == "/parts/24-3.m4s"));
    assert!(!origin.requests().iter().any(|(path, _)| path.starts_with("/parts/24-1")), "no part before it");

    // Where only the first of three has a key frame, playback begins there.
    let properties = "<SegmentSequenceProperties sapType=\"1\" cadence=\"3\"/>";
    let sparse =
        mpd("", LONG, template).replace("<SegmentTemplate", &format!("{properties}<SegmentTemplate"));
    origin.set_made("parts/sparse.mpd", move || sparse.clone());
    let (player, _) = self::player(Consumer::Playbin3, &origin.url("parts/sparse.mpd"));
    player.set_state(gst::State::Paused);
    player.wait(gst::MessageType::AsyncDone);
    origin.clear_requests();
    player.seek(71.5);
    player.wait(gst::MessageType::AsyncDone);
    origin.wait_for(|requests| requests.iter().any(|(path, _)| path == "/parts/24-1.m4s"));
    let target = gst::ClockTime::from_mseconds(71_500);
    let first = player.video.first().expect("a frame");
    assert!(first.absdiff(target) <= 40 * MS, "{first}");
}

/// The start, a seek and the end in each player, video and sound in one representation.
#[test]
fn muxed_segments_play_and_seek_everywhere() {
    let origin = Origin::serve(&STREAMS);
    origin.set_made("fmp4/m.mpd", || mpd("", DURATION, &muxed_template("")));
    for consumer in Consumer::ALL {
        let (player, _) = player(consumer, &origin.url("fmp4/m.mpd"));
        player.set_state(gst::State::Paused);
        player.wait(gst::MessageType::AsyncDone);
        assert_eq!(player.video.first(), Some(gst::ClockTime::ZERO), "{consumer:?}");
        assert!(player.audio.first() < Some(50 * MS), "{consumer:?}: sound at {:?}", player.audio.first());
        player.seek(17.0);
        player.wait(gst::MessageType::AsyncDone);
        let target = gst::ClockTime::from_seconds(17);
        assert_eq!(player.video.first(), Some(target), "{consumer:?}: after the seek");
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        let frames = player.video.times();
        assert_continuous(&frames, "after the seek");
        assert_eq!(frames.len() as u64, (DURATION - 17) * 25, "{consumer:?}");
        let duration = player.pipeline.query_duration::<gst::ClockTime>();
        assert_eq!(duration, Some(gst::ClockTime::from_seconds(DURATION)), "{consumer:?}");
    }
}

#[test]
fn an_index_may_name_another() {
    let origin = Origin::serve(&DASH);
    let place = DASH.join("number");
    let (init, segments) = (files(&place, "init").concat(), files(&place, "chunk"));
    let (file, text) = nested_file(&init, &segments, 2);
    let wanted = [init, segments.concat()].concat();
    origin.set_bytes("number/whole.mp4", file);
    origin.set_made("number/nested.mpd", move || text.clone());
    let played = play(Consumer::Playbin3, &origin.url("number/nested.mpd"), DURATION);
    assert!(played == wanted, "{} bytes instead of {}", played.len(), wanted.len());
}

/// The second period's media begins anew at zero, the third's goes on from 8 s, which stand for its start.
#[test]
fn periods_follow_each_other() {
    let origin = Origin::serve(&STREAMS);
    origin.set_made("fmp4/periods.mpd", || {
        let first = muxed_template("");
        let third =
            muxed_template("").replace("startNumber=\"0\"", "startNumber=\"2\" presentationTimeOffset=\"8\"");
        let periods = [("PT8S", &first), ("PT4S", &first), ("PT8S", &third)];
        let periods: String =
            periods.iter().map(|(length, media)| period(&format!("duration=\"{length}\""), media)).collect();
        format!("<MPD type=\"static\">{periods}</MPD>")
    });
    for consumer in Consumer::ALL {
        let (player, _) = player(consumer, &origin.url("fmp4/periods.mpd"));
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        let frames = player.video.times();
        assert_continuous(&frames, "over periods");
        assert_eq!(frames.len() as u64, 20 * 25, "{consumer:?}: frames");
    }
}

/// The second period says that it goes on where the first ends: no new beginning, so no second initialisation segment.
#[test]
fn a_period_that_continues_is_no_new_beginning() {
    let origin = Origin::serve(&DASH);
    let template = |more: &str| {
        format!(
            "<SegmentTemplate media=\"chunk-stream0-$Number%05d$.m4s\" initialization=\"init-stream0.m4s\" \
             duration=\"2\" {more}/>"
        )
    };
    let mpd = |continuity: &str| {
        let first = period("id=\"a\" duration=\"PT8S\"", &template(""));
        let second = period(
            "id=\"b\" duration=\"PT22S\"",
            &template("startNumber=\"5\" presentationTimeOffset=\"8\""),
        );
        let second = second.replace("<Representation", &format!("{continuity}<Representation"));
        format!("<MPD type=\"static\">{first}{second}</MPD>")
    };
    let property = "<SupplementalProperty schemeIdUri=\"urn:mpeg:dash:period-continuity:2015\" value=\"a\"/>";
    let place = DASH.join("number");
    let (init, media) = (files(&place, "init").concat(), files(&place, "chunk"));
    for (name, continuity, wanted) in [
        ("number/continues.mpd", property, [init.clone(), media.concat()].concat()),
        ("number/begins.mpd", "", [&init[..], &media[..4].concat(), &init, &media[4..].concat()].concat()),
    ] {
        let text = mpd(continuity);
        origin.set_made(name, move || text.clone());
        let played = play(Consumer::Playbin3, &origin.url(name), DURATION);
        assert!(played == wanted, "{name}: {} bytes instead of {}", played.len(), wanted.len());
    }
}

/// Each level gives something, and what is said further in counts.
#[test]
fn what_is_said_further_out_holds_further_in() {
    let origin = Origin::serve(&DASH);
    origin.set_made("inherited.mpd", || {
        format!(
            "<MPD type=\"static\" mediaPresentationDuration=\"PT{DURATION}S\"><BaseURL>timeline/</BaseURL>\
             <Period><BaseURL>../number/</BaseURL>\
             <SegmentTemplate timescale=\"1000\" duration=\"7\" initialization=\"init-stream0.m4s\"/>\
             <AdaptationSet mimeType=\"video/mp4\" codecs=\"avc1.64000d\">\
             <SegmentTemplate duration=\"2000\" media=\"chunk-stream0-$Number%05d$.m4s\" startNumber=\"7\"/>\
             <Representation id=\"v\" bandwidth=\"500000\"><SegmentTemplate startNumber=\"1\"/></Representation>\
             </AdaptationSet></Period></MPD>"
        )
    });
    let played = play(Consumer::Playbin3, &origin.url("inherited.mpd"), DURATION);
    let place = DASH.join("number");
    assert!(played == [files(&place, "init"), files(&place, "chunk")].concat().concat());
}

#[test]
fn a_remote_period_is_fetched_and_one_that_is_not_there_is_a_gap() {
    let origin = Origin::serve(&STREAMS);
    origin.set_made("fmp4/remote.mpd", || {
        let link = |name: &str, more: &str| {
            format!("<Period {more} xlink:href=\"{name}\" xlink:actuate=\"onLoad\"/>")
        };
        let last = period("duration=\"PT4S\"", &muxed_template(""));
        format!(
            "<MPD type=\"static\">{}{}{last}</MPD>",
            link("there.xml", ""),
            link("nowhere.xml", "duration=\"PT6S\"")
        )
    });
    origin.set_made("fmp4/there.xml", || period("duration=\"PT8S\"", &muxed_template("")));
    let (player, _) = player(Consumer::Decodebin3, &origin.url("fmp4/remote.mpd"));
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let frames = player.video.times();
    assert_eq!(frames.len(), 12 * 25);
    let second = gst::ClockTime::SECOND;
    assert_eq!((frames[199], frames[200]), (8 * second - 40 * MS, 14 * second));
}

/// A segment that the first location loses comes from the second.
#[test]
fn what_one_location_loses_another_has() {
    let origin = Origin::serve(&DASH);
    let place = DASH.join("number");
    origin.set_made("twice/m.mpd", || {
        let bases =
            ["away", "number"].map(|at| format!("<BaseURL serviceLocation=\"{at}\">../{at}/</BaseURL>"));
        let text = std::fs::read_to_string(DASH.join("number/m.mpd")).expect("an MPD");
        text.replacen("<Period", &format!("{}<Period", bases.concat()), 1)
    });
    for name in ["init-stream0.m4s", "chunk-stream0-00001.m4s", "chunk-stream0-00002.m4s"] {
        origin.set_bytes(&format!("away/{name}"), std::fs::read(place.join(name)).expect("a file"));
    }
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = bytes.clone();
    let player = Player::with(Consumer::Playbin3, &origin.url("twice/m.mpd"), false, move |source| {
        source.set_property("retries", 1u32);
        keep_bytes(source, &kept);
    });
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    assert_eq!(player.video.times().len() as u64, DURATION * 25);
    let (init, media) = (files(&place, "init").concat(), files(&place, "chunk"));
    // The initialisation segment comes again from the new location.
    let wanted = [&init, &media[..2].concat(), &init, &media[2..].concat()].map(Vec::as_slice).concat();
    assert!(*bytes.lock().unwrap() == wanted);
}

#[test]
fn what_cannot_be_played_is_told() {
    let origin = Origin::serve(&STREAMS);
    origin.set_fault("empty.mpd", Fault::Body(b"<MPD type=\"static\"></MPD>"));
    origin.set_fault("broken.mpd", Fault::Body(b"<MPD type=\"static\"><Period"));
    origin.set_fault("nothing.mpd", Fault::Body(b"<MPD type=\"static\"><Period duration=\"PT3S\"/></MPD>"));
    for (name, words) in [
        ("empty.mpd", "the MPD has no Period"),
        ("broken.mpd", "line 1"),
        ("nothing.mpd", "no variant in it to play"),
    ] {
        let (player, _) = player(Consumer::Decodebin3, &origin.url(name));
        player.set_state(gst::State::Playing);
        let error = player.wait(gst::MessageType::Error);
        let gst::MessageView::Error(error) = error.view() else { panic!("{error:?}") };
        assert!(error.error().message().contains(words), "{name}: {}", error.error());
    }
}
