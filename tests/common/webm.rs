// SPDX-License-Identifier: MPL-2.0

//! DASH in WebM, by ffmpeg.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::media::{DURATION, STREAMS};

/// Streams with `m.mpd`. Picture and sound of [`DURATION`]: `segments/` (VP9 and Vorbis, by template), `ondemand/`
/// (VP8 and Opus, a file each, `v.webm` with its Cues behind, `a.webm` with them before the media).
pub static WEBM: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("webm");
    if !place.exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        segments(&work.path().join("segments"));
        on_demand(&work.path().join("ondemand"));
        // Fails if another process was faster, which has made the same.
        let _ = fs::rename(work.path(), &place);
    }
    place
});

/// Three qualities of a minute in VP8, as [`super::variants`] has them of others: `m.mpd`.
pub static WEBM_VARIANTS: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("webm-variants");
    if !place.exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        // Noise fills the bitrates.
        let filter = "[0:v]noise=alls=40:allf=t,split=3[a][b][v2];[a]scale=128:72[v0];[b]scale=192:108[v1]";
        let mut options = vec!["-t".to_owned(), super::variants::DURATION.to_string()];
        options.extend(["-filter_complex", filter].map(str::to_owned));
        for (index, bitrate) in super::variants::BITRATES.iter().enumerate() {
            options.extend(["-map".to_owned(), format!("[v{index}]")]);
            for option in ["b:v", "maxrate:v", "minrate:v"] {
                options.extend([format!("-{option}:{index}"), bitrate.to_string()]);
            }
        }
        options.extend(["-adaptation_sets", "id=0,streams=v"].map(str::to_owned));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        ffmpeg(work.path(), &[PICTURE, &options[..], VP8, SEGMENTS].concat());
        let _ = fs::rename(work.path(), &place);
    }
    place
});

const PICTURE: &[&str] = &["-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"];
const SOUND: &[&str] = &["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"];
const VP8: &[&str] =
    &["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "16", "-g", "50", "-keyint_min", "50"];
const VP9: &[&str] = &[
    "-c:v",
    "libvpx-vp9",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    "-b:v",
    "200k",
    "-g",
    "50",
    "-keyint_min",
    "50",
];
const SEGMENTS: &[&str] = &["-f", "dash", "-dash_segment_type", "webm", "-seg_duration", "2", "m.mpd"];

fn ffmpeg(place: &Path, options: &[&str]) {
    fs::create_dir_all(place).expect("a directory");
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y"])
        .args(options)
        .current_dir(place)
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg makes {}", place.display());
}

fn segments(place: &Path) {
    let duration = DURATION.to_string();
    ffmpeg(place, &[PICTURE, SOUND, &["-t", &duration], VP9, &["-c:a", "libvorbis"], SEGMENTS].concat());
}

fn on_demand(place: &Path) {
    let duration = DURATION.to_string();
    let file = ["-t", &duration, "-f", "webm", "-dash", "1", "-cluster_time_limit", "2000"];
    let number = |number| ["-dash_track_number", number];
    ffmpeg(place, &[PICTURE, VP8, &["-b:v", "200k"], &file, &number("1"), &["v.webm"]].concat());
    let front = ["-cues_to_front", "1", "a.webm"];
    ffmpeg(place, &[SOUND, &["-c:a", "libopus"], &file, &number("2"), &front].concat());
    let input = |name| ["-f", "webm_dash_manifest", "-i", name];
    let sets = ["-adaptation_sets", "id=0,streams=0 id=1,streams=1", "m.mpd"];
    let maps = ["-map", "0", "-map", "1", "-c", "copy", "-f", "webm_dash_manifest"];
    ffmpeg(place, &[&input("v.webm")[..], &input("a.webm"), &maps, &sets].concat());
}
