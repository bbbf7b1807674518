// SPDX-License-Identifier: MPL-2.0

//! Sound in the picture's own segments as one of several languages: EXT-X-MEDIA without a URI.

#![cfg(feature = "plugin")]

mod common;

use common::languages::{ENGLISH, GERMAN, collection, collection_with, language, note_pitch, select};
use common::muxed::{Film, MP4, MP4_LONG, MUXED, PACKED, TS, TS_LONG, presentation};
use common::origin::Origin;
use common::player::{Consumer, Player, assert_continuous, plays_and_seeks_together};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

fn serve(film: Film, default: &'static str) -> (Origin, String) {
    let origin = Origin::serve(&MUXED);
    origin.set_made("film.m3u8", move || presentation(film, default));
    let url = origin.url("film.m3u8");
    (origin, url)
}

/// Requests for segments of the sound that is apart.
fn apart(origin: &Origin) -> usize {
    origin.requests().iter().filter(|(path, _)| path.contains("/en/seg")).count()
}

fn plays(film: Film, consumers: &[Consumer]) {
    for default in ["de", "en"] {
        for consumer in consumers {
            let (origin, url) = serve(film, default);
            plays_and_seeks_together(*consumer, &url);
            assert_eq!(apart(&origin) > 0, default == "en", "{film:?}, {consumer:?}");
        }
    }
}

#[test]
fn mpeg_ts_plays_everywhere() {
    plays(TS, &Consumer::ALL);
}

#[test]
fn fragmented_mp4_plays_everywhere() {
    plays(MP4, &Consumer::ALL);
}

#[test]
fn packed_audio_may_be_beside_mpeg_ts() {
    plays(PACKED, &[Consumer::Playbin3, Consumer::Playbin]);
}

/// Each language is a stream, and the default is the one that is heard.
#[test]
fn each_language_is_announced() {
    for film in [TS, PACKED, MP4] {
        for (default, others) in [("de", ["de", "en"]), ("en", ["en", "de"])] {
            let (_origin, url) = serve(film, default);
            let player = Player::new(Consumer::Decodebin3, &url, false);
            player.set_state(gst::State::Paused);
            let streams: Vec<gst::Stream> = collection(&player).iter().collect();
            player.wait(gst::MessageType::AsyncDone);
            let sounds = || streams.iter().filter(|stream| stream.stream_type() == gst::StreamType::AUDIO);
            assert_eq!(sounds().filter_map(language).collect::<Vec<_>>(), others, "{film:?}");
            let selected: Vec<bool> =
                sounds().map(|sound| sound.stream_flags().contains(gst::StreamFlags::SELECT)).collect();
            assert_eq!(selected, [true, false], "{film:?}");
            let title = |sound: &gst::Stream| {
                let tags = sound.tags()?;
                tags.get::<gst::tags::Title>().map(|title| title.get().to_owned())
            };
            let titles: Vec<_> = sounds().filter_map(title).collect();
            assert_eq!(titles.len(), 2, "{titles:?}");
            assert_eq!(titles[0] == "Deutsch", default == "de", "{titles:?}");
            // Those that come out are those that were announced.
            let pad = player.audio.element.static_pad("sink").expect("a sink has a pad");
            assert_eq!(pad.stream_id(), sounds().next().and_then(|sound| sound.stream_id()), "{film:?}");
        }
    }
}

/// To the sound apart and back, or the other way round: no sound is lost, the picture goes on, and nothing of the sound apart
/// is fetched while the other is heard.
fn changes_language(film: Film, default: &'static str, consumer: Consumer) {
    let what = format!("{film:?}, {consumer:?}, {default} first");
    let (origin, url) = serve(film, default);
    let player = Player::with(consumer, &url, true, |source| {
        source.set_property("buffer-duration", 6_000_000_000u64);
    });
    let pitch = note_pitch(&player.audio.element);
    player.set_state(gst::State::Playing);
    let streams = collection_with(&player, |stream| language(stream).as_deref() == Some("en"));
    let pitch_of = |language: &str| if language == "de" { GERMAN } else { ENGLISH };
    let heard = |language: &str, after: usize| {
        let range = pitch_of(language);
        pitch.lock().unwrap().iter().skip(after).filter(|(_, pitch)| range.contains(pitch)).count()
    };
    let other = if default == "de" { "en" } else { "de" };
    player.wait_until("the default", 20, || heard(default, 0) > 20);
    assert_eq!(heard(other, 0), 0, "{what}");
    assert_eq!(apart(&origin) > 0, default == "en", "{what}");
    for language in [other, default] {
        let before = pitch.lock().unwrap().len();
        select(&player, &streams, &[language]);
        player.wait_until("the chosen language", 25, || heard(language, before) > 20);
        if language == "de" {
            // What was in work has come by now.
            origin.clear_requests();
        }
    }
    assert_eq!(apart(&origin) > 0, default == "en", "{what}: {:?}", origin.requests());
    assert_eq!(player.stat("stalls"), 0, "{what}");

    let times: Vec<_> = pitch.lock().unwrap().iter().map(|(time, _)| *time).collect();
    for pair in times.windows(2) {
        assert!(pair[1].absdiff(pair[0]) < 90 * MS, "{what}: sound at {} after {}", pair[1], pair[0]);
    }
    let frames = player.video.times();
    assert_continuous(&frames, &what);
}

#[test]
fn languages_change_in_mpeg_ts() {
    for consumer in [Consumer::Playbin3, Consumer::Decodebin3, Consumer::Uridecodebin3] {
        changes_language(TS, "de", consumer);
    }
}

#[test]
fn languages_change_in_fragmented_mp4() {
    for consumer in [Consumer::Playbin3, Consumer::Decodebin3, Consumer::Uridecodebin3] {
        changes_language(MP4, "en", consumer);
    }
}

#[test]
fn languages_change_between_mpeg_ts_and_packed_audio() {
    changes_language(PACKED, "de", Consumer::Playbin3);
    changes_language(PACKED, "en", Consumer::Uridecodebin3);
}

/// Segments of both do not begin at the same places: what has been heard is not heard again.
#[test]
fn languages_change_where_segments_do_not_meet() {
    changes_language(TS_LONG, "de", Consumer::Playbin3);
    changes_language(TS_LONG, "en", Consumer::Playbin3);
    changes_language(MP4_LONG, "de", Consumer::Decodebin3);
}

/// The other language takes its place.
#[test]
fn a_variant_without_the_sound_it_is_said_to_have_plays_another() {
    let origin = Origin::serve(&MUXED);
    origin.set_made("film.m3u8", || presentation(("renditions/ts/video", "renditions/ts/en"), "de"));
    let player = Player::new(Consumer::Decodebin3, &origin.url("film.m3u8"), false);
    player.set_state(gst::State::Playing);
    let streams = collection(&player);
    let sounds = streams.iter().filter(|stream| stream.stream_type() == gst::StreamType::AUDIO);
    assert_eq!(sounds.filter_map(|sound| language(&sound)).collect::<Vec<_>>(), ["en"]);
    player.wait(gst::MessageType::Eos);
    assert!(player.audio.first().is_some() && apart(&origin) > 0);
    assert_continuous(&player.video.times(), "the picture");
}

/// Variants with the sound and without it: the language goes on, wherever it is.
#[test]
fn the_language_stays_when_the_variant_changes() {
    for apart_in in ["lo", "hi"] {
        let origin = Origin::serve(&MUXED);
        let mut playlist = "#EXTM3U\n".to_owned();
        for group in ["lo", "hi"] {
            let uri = if group == apart_in { ",URI=\"renditions/ts/de/list.m3u8\"" } else { "" };
            playlist += &format!(
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"Deutsch\",LANGUAGE=\"de\",DEFAULT=YES{uri}\n\
                 #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"English\",LANGUAGE=\"en\",\
                 URI=\"renditions/ts/en/list.m3u8\"\n"
            );
        }
        for (group, bandwidth, size) in [("lo", 100_000, "160x90"), ("hi", 900_000, "320x180")] {
            let video = if group == apart_in { "ts/video" } else { "muxed/video" };
            playlist += &format!(
                "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={size},AUDIO=\"{group}\"\n\
                 renditions/{video}/list.m3u8?{group}\n"
            );
        }
        origin.set_made("film.m3u8", move || playlist.clone());
        let player = Player::new(Consumer::Playbin3, &origin.url("film.m3u8"), true);
        let pitch = note_pitch(&player.audio.element);
        player.set_state(gst::State::Playing);
        player.wait_until("the richer variant", 20, || player.stat("variant-bandwidth") == 900_000);
        let shown = player.video.times().len();
        player.wait_until("ten seconds more", 30, || player.video.times().len() > shown + 250);
        let notes = pitch.lock().unwrap();
        assert!(notes.iter().all(|(_, pitch)| !ENGLISH.contains(pitch)), "{apart_in}: only German");
        for pair in notes.windows(2) {
            let (last, next) = (pair[0].0, pair[1].0);
            assert!(next.absdiff(last) < 90 * MS, "{apart_in}: sound at {next} after {last}");
        }
        let [last, picture] = [notes.last().map(|(time, _)| *time), player.video.times().last().copied()];
        let [last, picture] = [last, picture].map(|time| time.expect("something was shown"));
        assert!(last + 2000 * MS > picture, "{apart_in}: sound to {last}, the picture to {picture}");
        assert_continuous(&player.video.times(), apart_in);
        assert!(origin.requests().iter().any(|(path, _)| path.contains("/de/seg")), "{apart_in}");
    }
}
