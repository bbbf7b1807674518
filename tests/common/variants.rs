// SPDX-License-Identifier: MPL-2.0

//! A presentation of three variants, in MPEG-TS and in fragmented MP4.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use super::media::STREAMS;

/// Seconds.
pub const DURATION: u64 = 60;

/// Bits a second of the video; sound and container come on top.
pub const BITRATES: [u32; 3] = [200_000, 600_000, 1_500_000];

/// `ts/` and `mp4/`, each with `index.m3u8`, the variants' `v0/` to `v2/` with `list.m3u8` of segments
/// of 2 s.
pub static VARIANTS: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("variants");
    if !place.join("mp4").exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        for (kind, extension, options) in
            [("ts", "ts", &[][..]), ("mp4", "m4s", &["-hls_segment_type", "fmp4"][..])]
        {
            make(&work.path().join(kind), extension, options);
        }
        // Fails if another process was faster, which has made the same.
        let _ = fs::rename(work.path(), &place);
    }
    place
});

fn make(place: &std::path::Path, extension: &str, options: &[&str]) {
    fs::create_dir_all(place).expect("a directory");
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440", "-t", &DURATION.to_string()]);
    command.args(["-filter_complex", "[0:v]split=3[a][b][v2];[a]scale=128:72[v0];[b]scale=192:108[v1]"]);
    for index in 0..BITRATES.len() {
        command.args(["-map", &format!("[v{index}]"), "-map", "1:a"]);
    }
    for (index, bitrate) in BITRATES.iter().enumerate() {
        for option in ["b", "maxrate", "minrate", "bufsize"] {
            let option = if option == "b" { format!("-b:v:{index}") } else { format!("-{option}:v:{index}") };
            command.args([option, bitrate.to_string()]);
        }
    }
    let status = command
        .args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-pix_fmt", "yuv420p"])
        .args(["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-x264-params", "nal-hrd=cbr"])
        .args(["-c:a", "aac", "-b:a", "48k", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"])
        .args(options)
        .args(["-master_pl_name", "index.m3u8", "-var_stream_map", "v:0,a:0 v:1,a:1 v:2,a:2"])
        .args(["-hls_segment_filename", &format!("v%v/seg%03d.{extension}"), "v%v/list.m3u8"])
        .current_dir(place)
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg makes variants");
}

/// The segments of a variant in MPEG-TS.
pub fn segments(variant: usize) -> Vec<Vec<u8>> {
    let place = VARIANTS.join(format!("ts/v{variant}"));
    let read = |n: usize| fs::read(place.join(format!("seg{n:03}.ts"))).ok();
    (0..).map_while(read).collect()
}

/// A playlist of it.
pub fn text(path: &str) -> String {
    fs::read_to_string(VARIANTS.join(path)).expect("a playlist")
}
