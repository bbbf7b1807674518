// SPDX-License-Identifier: MPL-2.0

//! Sound and subtitles in playlists of their own, each on its own pad.

#![cfg(feature = "plugin")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::languages::{ENGLISH, GERMAN, collection, collection_with, language, note_pitch, select};
use common::live::Live;
use common::origin::{Fault, Origin};
use common::player::{Bytes, Consumer, Player, keep_bytes_of_pads, plays_and_seeks_together};
use common::renditions::{DURATION, RENDITIONS, elementary, plain, presentation, with_other_pids};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

fn plays(consumer: Consumer, playlist: &str) {
    let origin = Origin::serve(&RENDITIONS);
    plays_and_seeks_together(consumer, &origin.url(playlist));
}

#[test]
fn mpeg_ts_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays(*consumer, "ts.m3u8"));
}

#[test]
fn other_sound_than_that_of_the_picture_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays(*consumer, "muxed.m3u8"));
}

#[test]
fn fragmented_mp4_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays(*consumer, "mp4.m3u8"));
}

#[test]
fn packed_audio_plays_everywhere() {
    Consumer::ALL.iter().for_each(|consumer| plays(*consumer, "packed.m3u8"));
}

/// Plays to the end and gives what has left each pad.
fn play(url: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = Bytes::default();
    let kept = bytes.clone();
    let player =
        Player::with(Consumer::Decodebin3, url, false, move |source| keep_bytes_of_pads(source, &kept));
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let kept = bytes.lock().unwrap();
    kept.clone()
}

/// MPEG-TS is taken apart where there are several tracks; all else goes out as it came.
#[test]
fn each_pad_has_the_bytes_of_its_playlist() {
    let origin = Origin::serve(&RENDITIONS);
    for (playlist, video, sound) in [
        ("ts.m3u8", "ts/video", "ts/en"),
        ("packed.m3u8", "ts/video", "packed/en"),
        // The sound beside this picture gives way.
        ("muxed.m3u8", "ts/video", "ts/en"),
        ("mp4.m3u8", "mp4/video", "mp4/en"),
    ] {
        let pads = play(&origin.url(playlist));
        assert_eq!(pads.keys().collect::<Vec<_>>(), ["audio_00", "video_00"]);
        for (pad, rendition) in [("video_00", video), ("audio_00", sound)] {
            let init = fs::read_dir(RENDITIONS.join(rendition)).expect("the rendition is there");
            let init = init.map(|entry| entry.expect("readable").path());
            let init: Vec<u8> = init
                .filter(|path| path.extension().is_some_and(|extension| extension == "mp4"))
                .flat_map(|path| fs::read(path).expect("a file"))
                .collect();
            let expected = match rendition.starts_with("ts/") {
                true => elementary(&plain(rendition)),
                false => [init, plain(rendition)].concat(),
            };
            assert!(
                pads[pad] == expected,
                "{playlist}, {pad}: {} bytes, not {}",
                pads[pad].len(),
                expected.len()
            );
        }
    }
    // The other language is not fetched.
    let asked = |path: &str| origin.requests().iter().any(|(asked, _)| asked.contains(path));
    assert!(asked("/en/") && !asked("/de/"));
}

/// A picture that goes on in another program of other PIDs stays on its pad.
#[test]
fn a_new_program_takes_the_place_of_the_old() {
    let origin = Origin::serve(&RENDITIONS);
    for (language, other) in [("video", true), ("en", false)] {
        let list =
            fs::read_to_string(RENDITIONS.join("ts").join(language).join("list.m3u8")).expect("a playlist");
        let (head, segments) = list.split_at(list.find("#EXTINF").expect("the playlist has segments"));
        let segments =
            segments.replace("#EXT-X-ENDLIST", "").replace("seg", &format!("../ts/{language}/seg"));
        let again = match other {
            true => segments.replace("../ts/", "../other/"),
            false => segments.clone(),
        };
        let twice = format!("{head}{segments}#EXT-X-DISCONTINUITY\n{again}#EXT-X-ENDLIST\n");
        origin.set_made(&format!("twice/{language}.m3u8"), move || twice.clone());
    }
    for entry in fs::read_dir(RENDITIONS.join("ts/video")).expect("the rendition is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "ts") {
            let name = path.file_name().expect("a file").to_string_lossy();
            origin.set_bytes(&format!("other/video/{name}"), with_other_pids(&path));
        }
    }
    let text = presentation("ts", "ts", None).replace("ts/", "twice/").replace("/list.m3u8", ".m3u8");
    origin.set_made("twice.m3u8", move || text.clone());
    let pads = play(&origin.url("twice.m3u8"));
    for (pad, rendition) in [("video_00", "ts/video"), ("audio_00", "ts/en")] {
        let expected = elementary(&plain(rendition)).repeat(2);
        assert!(pads[pad] == expected, "{pad}: {} bytes, not {}", pads[pad].len(), expected.len());
    }
    let player = Player::new(Consumer::Playbin3, &origin.url("twice.m3u8"), false);
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let frames = player.video.times();
    assert_eq!(frames.len() as u64, 2 * 25 * DURATION);
    for pair in frames.windows(2) {
        assert!(pair[1].absdiff(pair[0] + 40 * MS) < MS, "{} after {}", pair[1], pair[0]);
    }
}

/// Players are told of streams by the ids by which they come out of the demuxers, and of each language.
#[test]
fn what_is_announced_is_what_comes() {
    let origin = Origin::serve(&RENDITIONS);
    for playlist in ["ts.m3u8", "mp4.m3u8", "packed.m3u8", "muxed.m3u8", "text.m3u8"] {
        let player = Player::new(Consumer::Decodebin3, &origin.url(playlist), false);
        player.set_state(gst::State::Paused);
        let streams: Vec<gst::Stream> = collection(&player).iter().collect();
        let ids: Vec<_> = streams.iter().filter_map(|stream| stream.stream_id()).collect();
        player.wait(gst::MessageType::AsyncDone);
        for sink in [&player.video, &player.audio, &player.text] {
            let pad = sink.element.static_pad("sink").expect("a sink has a pad");
            if let Some(id) = pad.stream_id() {
                assert!(ids.contains(&id), "{playlist}: {id} is none of {ids:?}");
            }
        }
        let of = |stream_type| streams.iter().filter(move |stream| stream.stream_type() == stream_type);
        assert_eq!(of(gst::StreamType::VIDEO).count(), 1, "{playlist}");
        let languages: Vec<_> = of(gst::StreamType::AUDIO).filter_map(language).collect();
        assert_eq!(languages, ["en", "de"], "{playlist}: the default comes first");
        let sound = of(gst::StreamType::AUDIO).next().expect("sound");
        let title = sound.tags().and_then(|tags| Some(tags.get::<gst::tags::Title>()?.get().to_owned()));
        assert_eq!(title.as_deref(), Some("English"));
        let caps = sound.caps().expect("caps");
        assert_eq!(caps.structure(0).map(|caps| caps.name().as_str()), Some("audio/mpeg"));
        assert_eq!(of(gst::StreamType::TEXT).count(), usize::from(playlist == "text.m3u8"));
    }
}

/// From one language to the other and back while it plays: no sound is lost and the picture goes on.
fn changes_language(consumer: Consumer, playlist: &str) {
    let origin = Origin::serve(&RENDITIONS);
    let player = Player::new(consumer, &origin.url(playlist), true);
    let pitch = note_pitch(&player.audio.element);
    player.set_state(gst::State::Playing);
    let streams = collection(&player);
    let heard = |range: std::ops::Range<f64>, after: usize| {
        pitch.lock().unwrap().iter().skip(after).filter(|(_, pitch)| range.contains(pitch)).count()
    };
    player.wait_until("English", 20, || heard(ENGLISH, 0) > 40);
    assert_eq!(heard(GERMAN, 0), 0, "{consumer:?}");
    select(&player, &streams, &["de"]);
    player.wait_until("German", 25, || heard(GERMAN, 0) > 40);
    let before = pitch.lock().unwrap().len();
    select(&player, &streams, &["en"]);
    player.wait_until("English again", 25, || heard(ENGLISH, before) > 40);

    let times: Vec<_> = pitch.lock().unwrap().iter().map(|(time, _)| *time).collect();
    for pair in times.windows(2) {
        assert!(pair[1].absdiff(pair[0]) < 90 * MS, "{consumer:?}: sound at {} after {}", pair[1], pair[0]);
    }
    let frames = player.video.times();
    for pair in frames.windows(2) {
        assert!(pair[1].absdiff(pair[0] + 40 * MS) < MS, "{consumer:?}: {} after {}", pair[1], pair[0]);
    }
}

#[test]
fn languages_change_while_playing() {
    for consumer in [Consumer::Playbin3, Consumer::Decodebin3, Consumer::Uridecodebin3] {
        changes_language(consumer, "mp4.m3u8");
    }
}

#[test]
fn languages_change_in_packed_audio() {
    changes_language(Consumer::Playbin3, "packed.m3u8");
}

#[test]
fn languages_change_in_mpeg_ts() {
    changes_language(Consumer::Playbin3, "ts.m3u8");
}

/// Cues are shown when the text says, at the start and after a seek.
#[test]
fn subtitles_come_in_time() {
    let origin = Origin::serve(&RENDITIONS);
    for consumer in [Consumer::Decodebin3, Consumer::Playbin3, Consumer::Uridecodebin3] {
        let player = Player::new(consumer, &origin.url("text.m3u8"), false);
        player.set_state(gst::State::Paused);
        player.wait(gst::MessageType::AsyncDone);
        for target in [0, 17] {
            player.seek(target as f64);
            player.wait(gst::MessageType::AsyncDone);
            let target = gst::ClockTime::from_seconds(target);
            assert_eq!(player.video.first(), Some(target), "{consumer:?}");
        }
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        // Since 1.24 playbin3 leaves the cues to what shows them on the picture: another sink gets whole segments.
        let whole = matches!(consumer, Consumer::Playbin3) && gst::version() >= (1, 24, 0, 0);
        let cues: Vec<_> = match whole {
            true => (18..DURATION).step_by(2).map(gst::ClockTime::from_seconds).collect(),
            false => (17..DURATION).map(gst::ClockTime::from_seconds).collect(),
        };
        assert_eq!(player.text.times(), cues, "{consumer:?}");
    }
}

/// Players that know nothing of streams play on with subtitles.
#[test]
fn subtitles_do_no_harm_in_older_players() {
    let origin = Origin::serve(&RENDITIONS);
    for consumer in [Consumer::Playbin, Consumer::Uridecodebin] {
        let player = Player::paused(consumer, &origin.url("text.m3u8"));
        player.seek(20.0);
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::Eos);
        assert_eq!(player.video.times().len() as u64, (DURATION - 20) * 25, "{consumer:?}");
    }
}

#[test]
fn subtitles_can_be_chosen_while_playing_and_left_again() {
    let origin = Origin::serve(&RENDITIONS);
    origin.set_made("chosen.m3u8", || presentation("ts", "ts", Some("NO")));
    for consumer in [Consumer::Decodebin3, Consumer::Uridecodebin3] {
        let bytes = Bytes::default();
        let kept = bytes.clone();
        let player = Player::with(consumer, &origin.url("chosen.m3u8"), true, move |source| {
            keep_bytes_of_pads(source, &kept);
        });
        player.set_state(gst::State::Playing);
        let streams = collection_with(&player, |stream| stream.stream_type() == gst::StreamType::TEXT);
        let text = || bytes.lock().unwrap().get("subtitle_00").map_or(0, Vec::len);
        let shown = || player.text.times().len();
        player.wait_until("some playback", 20, || player.video.times().len() > 25);
        assert_eq!(shown(), 0, "{consumer:?}");
        let texts = streams.iter().filter(|stream| stream.stream_type() == gst::StreamType::TEXT);
        assert_eq!(texts.count(), 1);
        // The text is German, the sound stays as it is.
        let ids: Vec<_> = streams
            .iter()
            .filter(|stream| stream.stream_type() != gst::StreamType::AUDIO)
            .filter_map(|stream| stream.stream_id())
            .collect();
        player.decoder().send_event(gst::event::SelectStreams::new(ids.iter().map(|id| id.as_str())));
        player.wait_until("subtitles", 20, || shown() > 2);
        // What is downstream is still shown, but no more comes, while the picture goes on.
        select(&player, &streams, &["en"]);
        let selected = |player: &Player| player.wait(gst::MessageType::StreamsSelected);
        selected(&player);
        let before = text();
        assert!(before > 0, "{consumer:?}");
        let frames = player.video.times().len();
        player.wait_until("playback without", 20, || player.video.times().len() > frames + 100);
        assert!(text() <= before + 200, "{consumer:?}: {} bytes after {before}", text());
        // And again.
        player.decoder().send_event(gst::event::SelectStreams::new(ids.iter().map(|id| id.as_str())));
        let requests = || origin.requests().iter().filter(|(path, _)| path == "/text/list.m3u8").count();
        player.wait_until("the playlist anew", 20, || requests() == 2);
        origin.clear_requests();
        player.wait(gst::MessageType::Eos);
        let last = player.text.times().into_iter().max().expect("subtitles");
        assert_eq!(last, gst::ClockTime::from_seconds(DURATION - 1), "{consumer:?}");
    }
}

/// Without subtitles playback goes on; without sound it does not.
#[test]
fn what_cannot_be_had() {
    for fault in ["text/list.m3u8", "text/seg003.vtt"] {
        let origin = Origin::serve(&RENDITIONS);
        origin.set_fault(fault, Fault::Status(404));
        let url = origin.url("text.m3u8");
        let player =
            Player::with(Consumer::Decodebin3, &url, false, |source| source.set_property("retries", 0u32));
        player.set_state(gst::State::Playing);
        let warning = player.wait(gst::MessageType::Warning);
        let gst::MessageView::Warning(warning) = warning.view() else { panic!("{warning:?}") };
        assert!(warning.error().message().contains(fault), "{}", warning.error());
        player.wait(gst::MessageType::Eos);
        assert_eq!(player.video.times().len() as u64, DURATION * 25, "{fault}");
    }
    for fault in ["en/list.m3u8", "en/seg003.ts"] {
        let origin = Origin::serve(&RENDITIONS);
        origin.set_fault(fault, Fault::Status(404));
        let url = origin.url("ts.m3u8");
        let player =
            Player::with(Consumer::Decodebin3, &url, false, |source| source.set_property("retries", 0u32));
        player.set_state(gst::State::Playing);
        let error = player.wait(gst::MessageType::Error);
        let gst::MessageView::Error(error) = error.view() else { panic!("{error:?}") };
        assert!(error.error().matches(gst::ResourceError::NotFound), "{}", error.error());
        assert!(error.error().message().contains(fault), "{}", error.error());
    }
}

/// Both tracks of a live stream begin at the same place, and go on together to the end.
#[test]
fn live_streams_have_sound_of_their_own() {
    for (kind, sound) in [("ts", "ts"), ("mp4", "mp4"), ("ts", "packed")] {
        let origin = Origin::serve(&RENDITIONS);
        for rendition in [format!("{kind}/video"), format!("{sound}/en")] {
            let live = Live::new(
                &RENDITIONS.join(&rendition).join("list.m3u8"),
                common::renditions::SEGMENT as f64,
                12,
            );
            origin.set_made(&format!("{rendition}/live.m3u8"), move || live.playlist());
        }
        let playlist = presentation(kind, sound, None).replace("list.m3u8", "live.m3u8");
        origin.set_made("live.m3u8", move || playlist.clone());
        let player = Player::new(Consumer::Decodebin3, &origin.url("live.m3u8"), true);
        player.set_state(gst::State::Playing);
        player.wait(gst::MessageType::AsyncDone);
        let first = player.video.first().expect("a frame");
        // Three target durations from the end of twelve segments.
        assert!(first >= gst::ClockTime::from_seconds(16), "{first}");
        let sound = player.audio.first().expect("sound");
        assert!(sound.absdiff(first) < 50 * MS, "sound at {sound}, the first frame at {first}");
        player.wait(gst::MessageType::Eos);
        assert_eq!((player.stat("stalls"), player.stat("skipped-segments")), (0, 0));
        let end = gst::ClockTime::from_seconds(DURATION);
        for sink in [&player.video, &player.audio] {
            let last = *sink.times().last().expect("something");
            assert!(last.absdiff(end) < 100 * MS, "the last at {last}");
        }
    }
}

/// Variants with groups of their own: whoever hears German goes on hearing German.
#[test]
fn the_language_stays_when_the_variant_changes() {
    let origin = Origin::serve(&RENDITIONS);
    origin.set_made("groups.m3u8", || {
        let mut playlist = "#EXTM3U\n".to_owned();
        for (group, list) in [("lo", "list.m3u8"), ("hi", "list.m3u8?hi")] {
            for (language, default) in [("en", "YES"), ("de", "NO")] {
                playlist += &format!(
                    "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{language}\",LANGUAGE=\"{language}\",\
                     DEFAULT={default},URI=\"ts/{language}/{list}\"\n"
                );
            }
        }
        playlist
            + "#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x90,AUDIO=\"lo\"\nts/video/list.m3u8\n\
               #EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=320x180,AUDIO=\"hi\"\nts/video/list.m3u8?hi\n"
    });
    let player = Player::new(Consumer::Playbin3, &origin.url("groups.m3u8"), true);
    let pitch = note_pitch(&player.audio.element);
    player.set_state(gst::State::Playing);
    let streams = collection_with(&player, |stream| language(stream).as_deref() == Some("de"));
    player.wait(gst::MessageType::AsyncDone);
    select(&player, &streams, &["de"]);
    player.wait_until("the richer variant", 20, || player.stat("variant-bandwidth") == 900_000);
    origin.wait_for(|requests| requests.iter().any(|(path, _)| path == "/ts/de/list.m3u8?hi"));
    player.wait(gst::MessageType::Eos);
    let notes = pitch.lock().unwrap();
    let german = notes.iter().position(|(_, pitch)| GERMAN.contains(pitch)).expect("German");
    let not = notes[german + 1..].iter().filter(|(_, pitch)| ENGLISH.contains(pitch)).count();
    assert_eq!(not, 0, "English after German");
    for pair in notes.windows(2) {
        assert!(pair[1].0.absdiff(pair[0].0) < 90 * MS, "sound at {} after {}", pair[1].0, pair[0].0);
    }
}

#[test]
fn closed_captions_are_declared() {
    let origin = Origin::serve(&RENDITIONS);
    origin.set_made("captions.m3u8", || {
        let captions = "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"English\",LANGUAGE=\"en\",INSTREAM-ID=\"CC1\"\n\
                        #EXT-X-STREAM-INF:CLOSED-CAPTIONS=\"c\",";
        presentation("ts", "ts", None).replace("#EXT-X-STREAM-INF:", captions)
    });
    let player = Player::new(Consumer::Decodebin3, &origin.url("captions.m3u8"), false);
    player.set_state(gst::State::Paused);
    let video = collection(&player).iter().find(|stream| stream.stream_type() == gst::StreamType::VIDEO);
    let tags = video.and_then(|video| video.tags()).expect("tags");
    let comment = tags.get::<gst::tags::ExtendedComment>().expect("a comment");
    assert_eq!(comment.get(), "closed-captions[CC1]=English (en)");
}
