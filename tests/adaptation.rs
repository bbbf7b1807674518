// SPDX-License-Identifier: MPL-2.0

//! Changes of the variant, with an origin whose line is now wide and now narrow: nothing is lost and
//! nothing comes twice.

#![cfg(feature = "plugin")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::origin::{Fault, Origin};
use common::player::{Consumer, Player};
use common::variants::{DURATION, VARIANTS, segments};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// Enough for the richest variant, and only for the leanest.
const WIDE: u64 = 8_000_000;
const NARROW: u64 = 600_000;

fn stat(player: &Player, name: &str) -> u64 {
    let stats: gst::Structure = player.source().property("stats");
    stats.get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn wait_for(what: &str, seconds: u64, player: &Player, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < deadline, "not in {seconds} s: {what}");
        assert!(player.error().is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn wait_for_end(player: &Player) {
    let bus = player.pipeline.bus().expect("a pipeline has a bus");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &kinds).expect("the end");
    assert!(matches!(message.view(), gst::MessageView::Eos(_)), "{message:?}");
}

/// A player in real time with a buffer of 10 s, and what leaves the element.
fn player(consumer: Consumer, url: &str) -> (Player, Arc<Mutex<Vec<u8>>>) {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = bytes.clone();
    let player = Player::with(consumer, url, true, move |source| {
        source.set_property("buffer-duration", 10_000_000_000u64);
        let kept = kept.clone();
        source.connect_pad_added(move |_, pad| {
            let kept = kept.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                    kept.lock().unwrap().extend_from_slice(&buffer.map_readable().expect("readable bytes"));
                }
                gst::PadProbeReturn::Ok
            });
        });
    });
    player.set_state(gst::State::Playing);
    (player, bytes)
}

/// Each frame follows the one before, and none is missing.
fn assert_whole(player: &Player) {
    let frames = player.video.times();
    for pair in frames.windows(2) {
        assert!(pair[1].absdiff(pair[0] + 40 * MS) < MS, "{} after {}", pair[1], pair[0]);
    }
    assert_eq!(frames.len() as u64, DURATION * 25);
    assert_eq!(stat(player, "stalls"), 0);
}

/// Goes up, down and up again as the line allows.
fn up_and_down(origin: &Origin, player: &Player) {
    let bandwidth = || stat(player, "variant-bandwidth");
    wait_for("the richest variant", 20, player, || bandwidth() > 1_500_000);
    wait_for("a full buffer", 20, player, || stat(player, "buffer-level") > 8_000_000_000);
    origin.set_rate(NARROW);
    wait_for("the leanest one", 40, player, || bandwidth() < 400_000);
    origin.set_rate(WIDE);
    wait_for("something richer again", 40, player, || bandwidth() > 400_000);
}

#[test]
fn mpeg_ts_changes_without_a_seam() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(WIDE);
    let (player, bytes) = player(Consumer::Decodebin3, &origin.url("ts/index.m3u8"));
    up_and_down(&origin, &player);
    wait_for_end(&player);
    assert_whole(&player);

    let variants = [0, 1, 2].map(segments);
    let bytes = bytes.lock().unwrap();
    let (mut rest, mut played) = (&bytes[..], Vec::new());
    for n in 0..variants[0].len() {
        let variant = variants.iter().position(|segments| rest.starts_with(&segments[n]));
        let variant =
            variant.unwrap_or_else(|| panic!("segment {n} is none of the variants', after {played:?}"));
        rest = &rest[variants[variant][n].len()..];
        played.push(variant);
    }
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    let changes = played.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
    assert_eq!(changes, stat(&player, "variant-switches"), "{played:?}");
    assert!(changes >= 3, "{played:?}");
}

#[test]
fn fragmented_mp4_changes_without_a_seam() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(WIDE);
    let (player, _) = player(Consumer::Playbin3, &origin.url("mp4/index.m3u8"));
    up_and_down(&origin, &player);
    wait_for_end(&player);
    assert_whole(&player);
}

/// A seek comes while a switch is under way or has been done: it lands where it should.
#[test]
fn seeks_and_changes_get_along() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(WIDE);
    let (player, _) = player(Consumer::Decodebin3, &origin.url("ts/index.m3u8"));
    player.wait(gst::MessageType::AsyncDone);
    for target in [40, 10, 55, 20] {
        player.seek(target as f64);
        player.wait(gst::MessageType::AsyncDone);
        assert_eq!(player.video.first(), Some(gst::ClockTime::from_seconds(target)));
        let frames = || player.video.times().len();
        wait_for("two seconds of it", 20, &player, || frames() > 50);
    }
}

#[test]
fn limits_are_kept() {
    for (property, value, from, to) in
        [("max-bitrate", 1_000_000u32, 0, 1_000_000), ("min-bitrate", 500_000, 500_000, 9_000_000)]
    {
        let origin = Origin::serve(&VARIANTS);
        let player = Player::with(Consumer::Decodebin3, &origin.url("ts/index.m3u8"), true, move |source| {
            source.set_property(property, value);
        });
        player.set_state(gst::State::Playing);
        wait_for("a variant other than the first", 20, &player, || {
            stat(&player, "variant-bandwidth") > 500_000
        });
        wait_for("some playback", 20, &player, || player.video.times().len() > 100);
        let played = stat(&player, "variant-bandwidth");
        assert!((from..to).contains(&played), "{property}: {played}");
        let lists: Vec<String> = origin.requests().into_iter().map(|(path, _)| path).collect();
        let refused = if property == "max-bitrate" { "/v2/" } else { "/v0/" };
        assert!(!lists.iter().any(|path| path.contains(refused)), "{property}: {lists:?}");
    }
}

/// A variant whose segments are not there is not gone to; one whose playlist is not there neither.
#[test]
fn a_variant_that_cannot_be_had_is_passed_over() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_fault("v2/list.m3u8", Fault::Status(404));
    // The first one too: what is nearest is begun with.
    origin.set_fault("v0/list.m3u8", Fault::Status(404));
    let (player, _) = player(Consumer::Decodebin3, &origin.url("ts/index.m3u8"));
    origin.wait_for(|requests| requests.iter().any(|(path, _)| path.ends_with("v2/list.m3u8")));
    wait_for("more of what plays", 30, &player, || player.video.times().len() > 150);
    let bandwidth = stat(&player, "variant-bandwidth");
    assert!((500_000..1_000_000).contains(&bandwidth), "{bandwidth}");
    assert_eq!((stat(&player, "variant-switches"), stat(&player, "stalls")), (0, 0));
}
