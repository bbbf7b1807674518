// SPDX-License-Identifier: MPL-2.0

//! Streams made with ffmpeg: small, but with B-frames and sound, as real ones have.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Where the streams are: `ts/` and `fmp4/`, each with `index.m3u8` of [`DURATION`] seconds in
/// segments of [`SEGMENT`] seconds; `muxed/`, the like of `fmp4/` in segments of ten seconds; `long/` and `long-fmp4/`,
/// 90 segments of one second. Beside each `twice.m3u8`, which is that and then, after a
/// discontinuity at which the media's own clock starts again, that once more.
pub static STREAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let streams = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("streams");
    for (name, duration, segment, options) in [
        ("ts", DURATION, SEGMENT, &["-hls_segment_filename", "seg%03d.ts"][..]),
        (
            "fmp4",
            DURATION,
            SEGMENT,
            &["-hls_segment_type", "fmp4", "-hls_segment_filename", "seg%03d.m4s"][..],
        ),
        ("muxed", DURATION, 10, &["-hls_segment_type", "fmp4", "-hls_segment_filename", "seg%03d.m4s"][..]),
        ("long", 90, 1, &["-hls_segment_filename", "seg%03d.ts"][..]),
        ("long-fmp4", 90, 1, &["-hls_segment_type", "fmp4", "-hls_segment_filename", "seg%03d.m4s"][..]),
    ] {
        if !streams.join(name).join("twice.m3u8").exists() {
            make(&streams, name, duration, segment, options);
        }
    }
    streams
});

pub const DURATION: u64 = 30;
pub const SEGMENT: u64 = 4;

/// Makes a stream aside and then moves it into place: test binaries may run at the same time.
fn make(streams: &Path, name: &str, duration: u64, segment: u64, options: &[&str]) {
    std::fs::create_dir_all(streams).expect("a directory for the streams");
    let work = tempfile::tempdir_in(streams).expect("a directory to work in");
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y"])
        .args([
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=320x180:rate=25",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440",
        ])
        .args(["-t", &duration.to_string()])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p"])
        .args(["-c:a", "aac", "-f", "hls", "-hls_time", &segment.to_string(), "-hls_playlist_type", "vod"])
        .args(options)
        .arg("index.m3u8")
        .current_dir(work.path())
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg makes {name}");
    let once = std::fs::read_to_string(work.path().join("index.m3u8")).expect("ffmpeg writes a playlist");
    let (head, segments) = once.split_at(once.find("#EXTINF").expect("the playlist has segments"));
    let segments = segments.trim_end().strip_suffix("#EXT-X-ENDLIST").expect("the playlist has an end");
    let twice = format!("{head}{segments}#EXT-X-DISCONTINUITY\n{segments}#EXT-X-ENDLIST\n");
    std::fs::write(work.path().join("twice.m3u8"), twice).expect("a second playlist");
    // Fails if another process was faster, which has made the same.
    let _ = std::fs::rename(work.path(), streams.join(name));
}
