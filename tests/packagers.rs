// SPDX-License-Identifier: MPL-2.0

//! DASH as other packagers make it, compared with the bytes that they made.

#![cfg(feature = "plugin")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use common::dash::{boxes, date};
use common::origin::Origin;
use common::packagers::{DASHSINK, DURATION, numbered, shaka};
use common::player::{Bytes, Consumer, Player, assert_continuous, keep_bytes_of_pads};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// Plays to the end, and until `size` bytes have left, and gives the player and what has left each pad. Picture and sound
/// alone may have come to the end where a player has learnt of the subtitles late.
fn play(consumer: Consumer, url: &str, size: usize) -> (Player, BTreeMap<String, Vec<u8>>) {
    let bytes = Bytes::default();
    let kept = bytes.clone();
    let player = Player::with(consumer, url, false, move |source| keep_bytes_of_pads(source, &kept));
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let all = || bytes.lock().unwrap().values().map(Vec::len).sum::<usize>() >= size;
    player.wait_until("all bytes", 20, all);
    let kept = bytes.lock().unwrap().clone();
    (player, kept)
}

fn assert_bytes(pads: &BTreeMap<String, Vec<u8>>, wanted: &[(&str, &Vec<u8>)], of: &str) {
    for (pad, wanted) in wanted {
        let bytes = pads.get(*pad).unwrap_or_else(|| panic!("{of}: no {pad} in {:?}", pads.keys()));
        assert!(bytes == *wanted, "{of}, {pad}: {} bytes instead of {}", bytes.len(), wanted.len());
    }
    assert_eq!(pads.len(), wanted.len(), "{of}: {:?}", pads.keys());
}

/// Picture and sound from the start to the end, as they are in the file.
fn assert_whole(player: &Player, of: &str) {
    let (frames, sound) = (player.video.times(), player.audio.times());
    assert_eq!(frames.len() as u64, DURATION * 25, "{of}: frames");
    // Without an edit list, pictures are due a little after they are decoded.
    assert!(frames.first() <= Some(&(80 * MS)), "{of}: {:?} is first", frames.first());
    assert_continuous(&frames, of);
    let end = gst::ClockTime::from_seconds(DURATION);
    let (first, last) = (sound.first().expect("sound"), sound.last().expect("sound"));
    assert!(*first < 50 * MS && last.absdiff(end) < 100 * MS, "{of}: sound from {first} to {last}");
}

/// A file without its index.
fn indexed(path: &Path) -> Vec<u8> {
    let file = fs::read(path).expect("a file");
    let index = boxes(&file, b"sidx");
    [&file[..index.start], &file[index.end..]].concat()
}

/// Segments of WebVTT or TTML, as they leave the element: with an empty line between them.
fn text(segments: &[Vec<u8>]) -> Vec<u8> {
    segments.iter().flat_map(|segment| [&segment[..], b"\n\n"].concat()).collect()
}

/// Plays a stream of Shaka Packager in every player, with its subtitles. In playbin3 of GStreamer 1.22 without: with these
/// it now and then does not come to the end on a busy machine.
fn plays_everywhere(name: &str, wanted: [&Vec<u8>; 3]) {
    let Some(place) = shaka() else { return };
    let origin = Origin::serve(place);
    let mpd = fs::read_to_string(place.join(name).join("m.mpd")).expect("an MPD");
    let plain = without_text(&mpd);
    origin.set_made(&format!("{name}/text.mpd"), move || shown_from_the_start(&mpd));
    origin.set_made(&format!("{name}/plain.mpd"), move || plain.clone());
    for consumer in Consumer::ALL {
        let of = format!("{name}, {consumer:?}");
        let in_playbin3 = matches!(consumer, Consumer::Playbin3);
        let (manifest, tracks) = match in_playbin3 && gst::version() < (1, 24, 0, 0) {
            true => ("plain.mpd", 2),
            false => ("text.mpd", 3),
        };
        let size = wanted.iter().take(tracks).map(|bytes| bytes.len()).sum();
        let (player, pads) = play(consumer, &origin.url(&format!("{name}/{manifest}")), size);
        let pad_names = ["video_00", "audio_00", "subtitle_00"];
        assert_bytes(&pads, &pad_names.into_iter().zip(wanted).take(tracks).collect::<Vec<_>>(), &of);
        assert_whole(&player, &of);
        if tracks == 3 && !in_playbin3 {
            player.wait_until("all cues", 20, || player.text.times().len() as u64 >= DURATION);
        }
        let cues = player.text.times();
        let seconds: Vec<_> = (0..DURATION).map(gst::ClockTime::from_seconds).collect();
        match (tracks, in_playbin3) {
            (2, _) => assert!(cues.is_empty(), "{of}: cues at {cues:?}"),
            // Since 1.24 it gives other sinks than its own whole segments.
            (_, true) => assert!(!cues.is_empty(), "{of}: no cues"),
            _ => assert_eq!(cues, seconds, "{of}"),
        }
    }
    assert!(!origin.requests().iter().any(|(path, _)| path.contains("/de")), "one language is enough");
}

/// The MPD without its set of text.
fn without_text(mpd: &str) -> String {
    let of_text = mpd.find("contentType=\"text\"").and_then(|at| mpd[..at].rfind("<AdaptationSet"));
    let from = of_text.expect("subtitles");
    let end = "</AdaptationSet>";
    let to = from + mpd[from..].find(end).expect("their end") + end.len();
    format!("{}{}", &mpd[..from], &mpd[to..])
}

/// Text that is main is shown without being chosen.
fn shown_from_the_start(mpd: &str) -> String {
    mpd.replace("subtitle\"/>", "main\"/>")
}

#[test]
fn shaka_packager_on_demand_plays_to_the_byte_everywhere() {
    let Some(place) = shaka() else { return };
    let [video, sound] = ["v.mp4", "en.mp4"].map(|name| indexed(&place.join("ondemand").join(name)));
    let subtitles = text(&[fs::read(place.join("ondemand/t.vtt")).expect("a file")]);
    plays_everywhere("ondemand", [&video, &sound, &subtitles]);
}

#[test]
fn shaka_packager_segments_play_to_the_byte_everywhere() {
    let Some(place) = shaka() else { return };
    let [video, sound, subtitles] =
        ["v", "en", "text"].map(|track| numbered(&place.join("wvtt").join(track)).concat());
    plays_everywhere("wvtt", [&video, &sound, &subtitles]);
}

/// What has left the pad of the subtitles, its caps, and when what is after `chain` is shown, in milliseconds.
fn subtitles(url: &str, chain: &str) -> (Vec<u8>, String, Vec<u64>) {
    common::init();
    let text =
        "location={url} name=s s.video_00 ! fakesink s.audio_00 ! fakesink s.subtitle_00 ! identity name=raw";
    let text = format!("p2phlssrc {} ! {chain} fakesink name=text", text.replace("{url}", url));
    let pipeline = gst::parse::launch(&text).expect("a pipeline").downcast::<gst::Pipeline>().expect("one");
    let sink_pad =
        |name: &str| pipeline.by_name(name).and_then(|e| e.static_pad("sink")).expect("a sink pad");
    let (bytes, times) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (kept, noted) = (bytes.clone(), times.clone());
    sink_pad("raw").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &info.data else { return gst::PadProbeReturn::Ok };
        kept.lock().unwrap().extend_from_slice(&buffer.map_readable().expect("readable bytes"));
        gst::PadProbeReturn::Ok
    });
    sink_pad("text").add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0).expect("a segment");
        let segment = segment.segment().clone().downcast::<gst::ClockTime>().expect("in time");
        let Some(gst::PadProbeData::Buffer(buffer)) = &info.data else { return gst::PadProbeReturn::Ok };
        let is_empty = buffer.map_readable().is_ok_and(|text| text.trim_ascii().is_empty());
        if !is_empty {
            noted.lock().unwrap().extend(segment.to_stream_time(buffer.pts()).map(gst::ClockTime::mseconds));
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let bus = pipeline.bus().expect("a bus");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &kinds).expect("the end");
    assert!(matches!(end.view(), gst::MessageView::Eos(_)), "{end:?}");
    let caps = sink_pad("raw").current_caps().expect("caps");
    pipeline.set_state(gst::State::Null).expect("it stops");
    let (bytes, times) = (bytes.lock().unwrap().clone(), times.lock().unwrap().clone());
    (bytes, caps.structure(0).expect("caps").name().to_string(), times)
}

/// As a file, in segments and in MP4; where the text is main it is shown from the start.
#[test]
fn subtitles_come_to_the_byte_and_in_time() {
    let Some(place) = shaka() else { return };
    let origin = Origin::serve(place);
    let vtt = "application/x-subtitle-vtt";
    for (name, caps, chain) in [
        ("ondemand", vtt, "subparse !"),
        ("vtt", vtt, "subparse !"),
        ("wvtt", "video/quicktime", "qtdemux ! subparse !"),
        // The parser for TTML in Debian 12 shows nothing without regions.
        ("stpp", "video/quicktime", "qtdemux !"),
        ("ttml", "application/ttml+xml", ""),
    ] {
        let mpd = fs::read_to_string(place.join(name).join("m.mpd")).expect("an MPD");
        origin.set_made(&format!("{name}/text.mpd"), move || shown_from_the_start(&mpd));
        let (bytes, got, cues) = subtitles(&origin.url(&format!("{name}/text.mpd")), chain);
        let wanted = match name {
            "ondemand" => text(&[fs::read(place.join("ondemand/t.vtt")).expect("a file")]),
            "vtt" | "ttml" => text(&numbered(&place.join(name).join("text"))),
            _ => numbered(&place.join(name).join("text")).concat(),
        };
        assert!(bytes == wanted, "{name}: {} bytes instead of {}", bytes.len(), wanted.len());
        assert_eq!(got, caps, "{name}");
        let step = if name == "stpp" || name == "ttml" { 2 } else { 1 };
        let seconds: Vec<u64> = (0..DURATION).step_by(step).map(|second| second * 1000).collect();
        assert_eq!(cues, seconds, "{name}: cues, or segments");
    }
}

/// The same as a live stream, all of whose segments come by the clock, and which then ends.
#[test]
fn shaka_packager_live_plays_to_the_byte() {
    let Some(place) = shaka() else { return };
    let origin = Origin::serve(place);
    let fixed = fs::read_to_string(place.join("wvtt/m.mpd")).expect("an MPD");
    let (begin, there) = (Instant::now(), Duration::from_secs(8));
    let start = SystemTime::UNIX_EPOCH.elapsed().expect("a clock") - there;
    origin.set_made("wvtt/live.mpd", move || {
        if there + begin.elapsed() > Duration::from_secs(DURATION + 1) {
            return fixed.clone();
        }
        let dynamic = format!(
            "type=\"dynamic\" availabilityStartTime=\"{}\" minimumUpdatePeriod=\"PT1S\"",
            date(start)
        );
        let live = fixed.replace("type=\"static\"", &dynamic);
        live.replace(&format!("mediaPresentationDuration=\"PT{DURATION}S\""), "")
    });
    let (player, pads) = play(Consumer::Decodebin3, &origin.url("wvtt/live.mpd"), 0);
    for (pad, track) in [("video_00", "v"), ("audio_00", "en")] {
        let segments = numbered(&place.join("wvtt").join(track));
        let bytes = &pads[pad];
        let media = bytes.strip_prefix(&segments[0][..]).expect("the initialisation segment");
        let ends = (1..4).any(|first| media == segments[first..].concat());
        assert!(ends, "{pad}: {} bytes", bytes.len());
    }
    let frames = player.video.times();
    assert_continuous(&frames, "live");
    assert!(frames.len() as u64 >= 8 * 25, "{} frames", frames.len());
}

#[test]
fn dashsink_plays_to_the_byte() {
    let origin = Origin::serve(&DASHSINK);
    let segments = fs::read_dir(&*DASHSINK).expect("the stream is there").count() - 1;
    let media: Vec<u8> = (1..=segments)
        .flat_map(|number| fs::read(DASHSINK.join(format!("video_0_{number}.ts"))).expect("a segment"))
        .collect();
    // Those that do without sound.
    for consumer in [Consumer::Playbin3, Consumer::Playbin] {
        let (player, pads) = play(consumer, &origin.url("m.mpd"), 0);
        assert_bytes(&pads, &[("video_00", &media)], &format!("{consumer:?}"));
        let frames = player.video.times();
        assert_eq!(frames.len() as u64, DURATION * 25, "{consumer:?}");
        assert_continuous(&frames, consumer);
    }
}
