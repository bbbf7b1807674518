// SPDX-License-Identifier: MPL-2.0

//! DASH streams as other packagers make them: Shaka Packager, where there is one, and GStreamer's dashsink.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::media::STREAMS;

/// Seconds that the streams last; segments are of two.
pub const DURATION: u64 = 12;

/// Streams of [`DURATION`] by Shaka Packager, each with `m.mpd`; `v`, `en` and `de` are the picture and the sound:
/// - `ondemand/`: files with an index, subtitles in one file of WebVTT;
/// - `wvtt/`, `stpp/`, `vtt/`, `ttml/`: segments in directories, subtitles likewise in `text/`;
/// - `encrypted/`: a file with an index, picture alone, by samples.
///
/// None: there is no packager at `P2PHLS_PACKAGER`.
pub fn shaka() -> Option<&'static Path> {
    static MADE: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let Some(packager) = std::env::var_os("P2PHLS_PACKAGER") else {
            eprintln!("skipped: P2PHLS_PACKAGER names no Shaka Packager");
            return None;
        };
        let place = STREAMS.join("shaka");
        if !place.exists() {
            let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
            source(work.path());
            let package =
                |arguments: &[&str]| run(Command::new(&packager).args(arguments).current_dir(&work));
            on_demand(&package);
            for (name, text) in [
                ("wvtt", "init_segment=wvtt/text/init.mp4,segment_template=wvtt/text/$Number$.m4s"),
                (
                    "stpp",
                    "init_segment=stpp/text/init.mp4,segment_template=stpp/text/$Number$.m4s,format=ttml+mp4",
                ),
                ("vtt", "segment_template=vtt/text/$Number$.vtt"),
                ("ttml", "segment_template=ttml/text/$Number$.ttml,format=ttml"),
            ] {
                segmented(&package, name, text);
            }
            let _ = fs::rename(work.path(), &place);
        }
        Some(place)
    });
    MADE.as_deref()
}

/// Picture, two languages and subtitles: a cue a second, shown for half of it.
fn source(place: &Path) {
    let duration = DURATION.to_string();
    run(Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-f", "lavfi", "-i", "sine=frequency=880:sample_rate=48000", "-t", &duration])
        .args(["-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "libx264", "-preset", "veryfast"])
        .args(["-bf", "2", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-pix_fmt", "yuv420p"])
        .args(["-c:a", "aac", "source.mp4"])
        .current_dir(place));
    let cue = |second| format!("00:00:{second:02}.000 --> 00:00:{second:02}.500\ncue {second}\n\n");
    let cues: String = (0..DURATION).map(cue).collect();
    fs::write(place.join("source.vtt"), format!("WEBVTT\n\n{cues}")).expect("subtitles");
}

fn on_demand(package: &impl Fn(&[&str])) {
    package(&[
        "in=source.mp4,stream=video,output=ondemand/v.mp4",
        "in=source.mp4,stream=1,language=en,output=ondemand/en.mp4,dash_roles=main",
        "in=source.mp4,stream=2,language=de,output=ondemand/de.mp4",
        "in=source.vtt,stream=text,language=en,output=ondemand/t.vtt",
        "--segment_duration=2",
        "--mpd_output=ondemand/m.mpd",
    ]);
    package(&[
        "in=source.mp4,stream=video,output=encrypted/v.mp4",
        "--segment_duration=2",
        "--enable_raw_key_encryption",
        "--keys=label=:key_id=0123456789abcdef0123456789abcdef:key=00112233445566778899aabbccddeeff",
        "--clear_lead=0",
        "--mpd_output=encrypted/m.mpd",
    ]);
}

fn segmented(package: &impl Fn(&[&str]), name: &str, text: &str) {
    let media = |stream: &str, place: &str, by: &str| {
        format!(
            "in=source.mp4,stream={stream},init_segment={name}/{place}/init.mp4,segment_template={name}/{place}/${by}$.m4s"
        )
    };
    package(&[
        &media("video", "v", "Number"),
        &format!("{},language=en,dash_roles=main", media("1", "en", "Time")),
        &format!("{},language=de", media("2", "de", "Number")),
        &format!("in=source.vtt,stream=text,language=en,{text}"),
        "--segment_duration=2",
        "--generate_static_live_mpd",
        &format!("--mpd_output={name}/m.mpd"),
    ]);
}

fn run(command: &mut Command) {
    let output = command.output().expect("it is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The files of a directory in the order of the numbers in their names, the one without a number first.
pub fn numbered(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).expect("the stream is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    let number = |path: &PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy();
        name.rsplit('_').next().and_then(|last| last.parse::<u64>().ok())
    };
    paths.sort_by_key(number);
    paths.iter().map(|path| fs::read(path).expect("a segment")).collect()
}

/// Picture of [`DURATION`] in MPEG-TS by dashsink, with `m.mpd`.
pub static DASHSINK: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("dashsink");
    if !place.exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        let mut child = Command::new("gst-launch-1.0")
            .args(["-q", "--no-fault", "videotestsrc", &format!("num-buffers={}", DURATION * 25)])
            .args(["!", "video/x-raw,width=320,height=180,framerate=25/1", "!", "x264enc", "key-int-max=50"])
            .args(["bframes=0", "speed-preset=veryfast", "!", "h264parse", "!", "dashsink", "muxer=ts"])
            .args(["target-duration=2", "mpd-root-path=.", "mpd-filename=m.mpd"])
            .current_dir(work.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("gst-launch-1.0 is installed");
        // It does not always come to its end, even when it has written all.
        let deadline = Instant::now() + Duration::from_secs(60);
        let complete = format!("mediaPresentationDuration=\"P0Y0M0DT0H0M{}.9", DURATION - 1);
        let written =
            || fs::read_to_string(work.path().join("m.mpd")).is_ok_and(|mpd| mpd.contains(&complete));
        while !written() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let _ = child.wait();
        assert!(written(), "dashsink writes an MPD");
        let _ = fs::rename(work.path(), &place);
    }
    place
});
