// SPDX-License-Identifier: MPL-2.0

//! Changes of the variant, with an origin whose line is now wide and now narrow: nothing is lost and
//! nothing comes twice.

#![cfg(feature = "plugin")]

mod common;

use std::sync::{Arc, Mutex};

use common::dash::{DASH, files};
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player, keep_bytes};
use common::variants::{DURATION, VARIANTS, segments, text};
use common::webm::WEBM_VARIANTS;
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// Enough for the richest variant, and only for the leanest.
const WIDE: u64 = 8_000_000;
const NARROW: u64 = 600_000;

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
        keep_bytes(source, &kept);
    });
    player.set_state(gst::State::Playing);
    (player, bytes)
}

/// Each frame follows the one before, and none is missing; playback never ran dry.
fn assert_whole(player: &Player) {
    let frames = player.video.times();
    for pair in frames.windows(2) {
        assert!(pair[1].absdiff(pair[0] + 40 * MS) < MS, "{} after {}", pair[1], pair[0]);
    }
    assert_eq!(frames.len() as u64, DURATION * 25);
    assert_eq!(player.stat("stalls"), 0);
}

/// Which variant each segment that has left the element is of.
fn played(bytes: &[u8]) -> Vec<usize> {
    let variants = [0, 1, 2].map(segments);
    let (mut rest, mut played) = (bytes, Vec::new());
    while !rest.is_empty() {
        let n = played.len();
        let variant = variants
            .iter()
            .position(|segments| segments.get(n).is_some_and(|segment| rest.starts_with(segment)));
        let variant =
            variant.unwrap_or_else(|| panic!("segment {n} is none of the variants', after {played:?}"));
        rest = &rest[variants[variant][n].len()..];
        played.push(variant);
    }
    played
}

/// Goes up, down and up again as the line allows, which is `narrow` in between.
fn up_and_down(origin: &Origin, player: &Player, narrow: u64) {
    let bandwidth = || player.stat("variant-bandwidth");
    player.wait_until("the richest variant", 20, || bandwidth() >= 1_500_000);
    player.wait_until("a full buffer", 20, || player.stat("buffer-level") > 8_000_000_000);
    origin.set_rate(narrow);
    player.wait_until("the leanest one", 40, || bandwidth() < 400_000);
    origin.set_rate(WIDE);
    player.wait_until("something richer again", 40, || bandwidth() > 400_000);
}

#[test]
fn mpeg_ts_changes_without_a_seam() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(WIDE);
    let (player, bytes) = player(Consumer::Decodebin3, &origin.url("ts/index.m3u8"));
    up_and_down(&origin, &player, NARROW);
    wait_for_end(&player);
    assert_whole(&player);

    let played = played(&bytes.lock().unwrap());
    assert_eq!(played.len(), segments(0).len());
    let changes = played.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
    assert_eq!(changes, player.stat("variant-switches"), "{played:?}");
    assert!(changes >= 3, "{played:?}");
}

#[test]
fn fragmented_mp4_changes_without_a_seam() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(WIDE);
    let (player, _) = player(Consumer::Playbin3, &origin.url("mp4/index.m3u8"));
    up_and_down(&origin, &player, NARROW);
    wait_for_end(&player);
    assert_whole(&player);
}

/// The representations of a DASH set, video alone.
#[test]
fn representations_change_without_a_seam() {
    let origin = Origin::serve(&DASH);
    origin.set_rate(WIDE);
    let (player, bytes) = player(Consumer::Playbin3, &origin.url("variants/m.mpd"));
    // Without sound the one in the middle would nearly fit the line that is narrow for the others.
    up_and_down(&origin, &player, NARROW * 2 / 3);
    wait_for_end(&player);
    assert_whole(&player);

    let place = DASH.join("variants");
    let of = |part: &str| [0, 1, 2].map(|n| files(&place, &format!("{part}-stream{n}")));
    let (inits, media) = (of("init"), of("chunk"));
    let bytes = bytes.lock().unwrap();
    let (mut rest, mut changes, mut variant) = (&bytes[..], 0, 0);
    for (n, _) in media[0].iter().enumerate() {
        if let Some(next) = inits.iter().position(|init| rest.starts_with(&init[0])) {
            (rest, variant, changes) = (&rest[inits[next][0].len()..], next, changes + 1);
        }
        let segment = &media[variant][n];
        rest = rest.strip_prefix(&segment[..]).unwrap_or_else(|| panic!("segment {n} of {variant}"));
    }
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    assert_eq!(changes - 1, player.stat("variant-switches"));
}

/// What leaves the element is frames, so it is their times that tell.
#[test]
fn representations_in_webm_change_without_a_seam() {
    let origin = Origin::serve(&WEBM_VARIANTS);
    origin.set_rate(WIDE);
    let (player, _) = player(Consumer::Playbin3, &origin.url("m.mpd"));
    up_and_down(&origin, &player, NARROW * 2 / 3);
    wait_for_end(&player);
    assert_whole(&player);
    assert!(player.stat("variant-switches") >= 3);
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
        player.wait_until("two seconds of it", 20, || frames() > 50);
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
        player
            .wait_until("a variant other than the first", 20, || player.stat("variant-bandwidth") > 500_000);
        player.wait_until("some playback", 20, || player.video.times().len() > 100);
        let played = player.stat("variant-bandwidth");
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
    player.wait_until("more of what plays", 30, || player.video.times().len() > 150);
    let bandwidth = player.stat("variant-bandwidth");
    assert!((500_000..1_000_000).contains(&bandwidth), "{bandwidth}");
    assert_eq!((player.stat("variant-switches"), player.stat("stalls")), (0, 0));
}

/// The line gives way under a rich segment, which could not come in time any more: it is left for a lean one, and
/// takes nothing from the line after that.
#[test]
fn what_would_be_late_is_left() {
    const HARDLY: u64 = 350_000;
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(WIDE);
    let (player, bytes) = player(Consumer::Decodebin3, &origin.url("ts/index.m3u8"));
    player.wait_until("the richest variant", 20, || player.stat("variant-bandwidth") > 1_500_000);
    player.wait_until("a full buffer", 20, || player.stat("buffer-level") > 8_000_000_000);
    origin.set_rate(HARDLY);
    player.wait_until("the leanest one", 40, || player.stat("variant-bandwidth") < 400_000);
    origin.set_rate(WIDE);
    wait_for_end(&player);
    assert_whole(&player);
    let played = played(&bytes.lock().unwrap());
    assert_eq!(played.len(), segments(0).len());
    let asked = |variant: usize, n: usize| {
        let path = format!("/ts/v{variant}/seg{n:03}.ts");
        origin.requests().iter().any(|(asked, _)| *asked == path)
    };
    let left = (1..played.len()).filter(|n| played[*n] < 2 && played[*n - 1] == 2 && asked(2, *n)).count();
    assert!(left > 0, "{played:?}");
}

/// What was held of a lean variant gives way to a richer one as soon as the line carries that.
#[test]
fn what_is_lean_gives_way() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(NARROW);
    let (player, bytes) = player(Consumer::Decodebin3, &origin.url("ts/index.m3u8"));
    player.wait_until("a full buffer", 40, || player.stat("buffer-level") > 8_000_000_000);
    let position = || player.pipeline.query_position::<gst::ClockTime>().map_or(0, gst::ClockTime::seconds);
    let then = position() as usize;
    origin.set_rate(WIDE);
    player.wait_until("the richest variant", 20, || player.stat("variant-bandwidth") > 1_500_000);
    wait_for_end(&player);
    assert_whole(&player);
    let played = played(&bytes.lock().unwrap());
    // Segments last 2 s; eight seconds from then on were held already.
    let held = &played[then / 2..then / 2 + 4];
    assert!(held.iter().any(|variant| *variant > 0), "{played:?} from {then} s on");
}

/// What the publisher does not have in one variant comes from another.
#[test]
fn a_gap_is_filled_from_another_variant() {
    let origin = Origin::serve(&VARIANTS);
    origin.set_rate(WIDE);
    origin.set_made("ts/v2/list.m3u8", || text("ts/v2/list.m3u8").replace("seg012", "#EXT-X-GAP\nseg012"));
    // Nor has the next leaner one.
    origin.set_made("ts/v1/list.m3u8", || text("ts/v1/list.m3u8").replace("seg012", "#EXT-X-GAP\nseg012"));
    let (player, bytes) = player(Consumer::Decodebin3, &origin.url("ts/index.m3u8"));
    wait_for_end(&player);
    assert_whole(&player);
    let played = played(&bytes.lock().unwrap());
    assert_eq!(played[12], 0, "{played:?}");
    assert!(played[10] == 2 && played[played.len() - 1] == 2, "{played:?}");
    assert_eq!(player.stat("skipped-segments"), 0);
}

/// What a variant needs before its first segment cannot be had: it is not gone to, and playback goes on.
#[test]
fn a_variant_that_cannot_begin_is_not_gone_to() {
    let no_key = "#EXT-X-KEY:METHOD=AES-128,URI=\"no.key\"\n#EXTINF";
    for (kind, lost) in [("mp4", "v2/init_2.mp4"), ("ts", "v2/no.key")] {
        let origin = Origin::serve(&VARIANTS);
        origin.set_fault(lost, Fault::Status(404));
        let list = format!("{kind}/v2/list.m3u8");
        if kind == "ts" {
            let path = list.clone();
            origin.set_made(&list, move || text(&path).replacen("#EXTINF", no_key, 1));
        }
        let (player, _) = player(Consumer::Decodebin3, &origin.url(&format!("{kind}/index.m3u8")));
        origin.wait_for(|requests| requests.iter().any(|(path, _)| path.ends_with(lost)));
        let frames = || player.video.times().len();
        let before = frames();
        player.wait_until("more of what plays", 30, || frames() > before + 250);
        assert!(player.stat("variant-bandwidth") < 1_000_000, "{kind}");
        assert_eq!(player.stat("stalls"), 0, "{kind}");
    }
}

/// The richest is not what the publisher likes best.
#[test]
fn the_publishers_favourite_is_preferred() {
    let origin = Origin::serve(&VARIANTS);
    // What ffmpeg writes there depends on its version.
    let index = text("ts/index.m3u8");
    let bandwidths =
        index.split(":BANDWIDTH=").skip(1).filter_map(|rest| rest.split([',', '\n']).next()?.parse().ok());
    let bandwidths: Vec<u64> = bandwidths.collect();
    let [lean, middle, rich] = bandwidths[..] else { panic!("three variants: {bandwidths:?}") };
    assert!(lean < middle && middle < rich);
    origin.set_made("ts/index.m3u8", move || {
        let scores = [(lean, "1"), (middle, "3"), (rich, "2.5")];
        scores.iter().fold(text("ts/index.m3u8"), |index, (bandwidth, score)| {
            index.replace(
                &format!(":BANDWIDTH={bandwidth},"),
                &format!(":BANDWIDTH={bandwidth},SCORE={score},"),
            )
        })
    });
    let (player, _) = player(Consumer::Decodebin3, &origin.url("ts/index.m3u8"));
    player.wait_until("the favourite", 20, || player.stat("variant-bandwidth") == middle);
    player.wait_until("some playback", 30, || player.video.times().len() > 250);
    assert_eq!(player.stat("variant-bandwidth"), middle);
    assert!(!origin.requests().iter().any(|(path, _)| path.contains("/v2/")));
}
