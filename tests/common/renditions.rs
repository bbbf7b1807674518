// SPDX-License-Identifier: MPL-2.0

//! A film whose sound and subtitles are in playlists of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::media::STREAMS;

/// Seconds, of the whole and of a segment.
pub const DURATION: u64 = 30;
pub const SEGMENT: u64 = 2;

/// `ts/` and `mp4/`, each with `video/`, `en/` (440 Hz) and `de/` (880 Hz); `packed/` with the same sound in ADTS
/// behind ID3 tags; `muxed/video/` with German sound beside the picture; `text/` with subtitles. Each has `list.m3u8`.
/// Presentations of these are in `ts.m3u8`, `mp4.m3u8`, `packed.m3u8`, `muxed.m3u8` and `text.m3u8` (with subtitles).
pub static RENDITIONS: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("renditions");
    if !place.join("text.m3u8").exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        let path = work.path();
        let apart = "v:0,name:video a:0,name:en a:1,name:de";
        segmented(&path.join("ts"), apart, &["-hls_segment_filename", "%v/seg%03d.ts"]);
        segmented(&path.join("mp4"), apart, &FRAGMENTED);
        for language in ["en", "de"] {
            packed(&path.join("ts").join(language), &path.join("packed").join(language));
        }
        muxed(&path.join("ts"), &path.join("muxed/video"));
        text(&path.join("text"));
        for (name, video, sound, subtitles) in [
            ("ts", "ts", "ts", None),
            ("mp4", "mp4", "mp4", None),
            ("packed", "ts", "packed", None),
            ("muxed", "muxed", "ts", None),
            ("text", "ts", "ts", Some("YES")),
        ] {
            fs::write(path.join(format!("{name}.m3u8")), presentation(video, sound, subtitles))
                .expect("a playlist");
        }
        // Fails if another process was faster, which has made the same.
        let _ = fs::rename(path, &place);
    }
    place
});

/// The multivariant playlist; `subtitles` is whether they are shown by default.
pub fn presentation(video: &str, sound: &str, subtitles: Option<&str>) -> String {
    let audio = |language: &str, name: &str, default: &str| {
        format!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{name}\",LANGUAGE=\"{language}\",DEFAULT={default},\
             AUTOSELECT=YES,URI=\"{sound}/{language}/list.m3u8\"\n"
        )
    };
    let mut playlist = format!("#EXTM3U\n{}{}", audio("de", "Deutsch", "NO"), audio("en", "English", "YES"));
    if let Some(default) = subtitles {
        playlist += &format!(
            "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"Untertitel\",LANGUAGE=\"de\",DEFAULT={default},\
             AUTOSELECT=YES,URI=\"text/list.m3u8\"\n"
        );
    }
    let group = if subtitles.is_some() { ",SUBTITLES=\"s\"" } else { "" };
    playlist
        + &format!(
            "#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS=\"avc1.64000c,mp4a.40.2\",RESOLUTION=320x180,AUDIO=\"a\"{group}\n\
             {video}/video/list.m3u8\n"
        )
}

/// What has ffmpeg write fragmented MP4.
pub const FRAGMENTED: [&str; 4] = ["-hls_segment_type", "fmp4", "-hls_segment_filename", "%v/seg%03d.m4s"];

/// Writes the film in segments: `streams` are the picture `v:0` and the sounds `a:0` (English, 440 Hz) and `a:1` (German,
/// 880 Hz), as ffmpeg's `var_stream_map` puts them together.
pub fn segmented(place: &Path, streams: &str, options: &[&str]) {
    fs::create_dir_all(place).expect("a directory");
    let (duration, segment) = (DURATION.to_string(), SEGMENT.to_string());
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-f", "lavfi", "-i", "sine=frequency=880:sample_rate=48000", "-t", &duration])
        .args(["-map", "0:v", "-map", "1:a", "-map", "2:a"])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "50", "-keyint_min", "50"])
        .args(["-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k"])
        .args(["-f", "hls", "-hls_time", &segment, "-hls_playlist_type", "vod"])
        .args(options)
        .args(["-var_stream_map", streams, "%v/list.m3u8"])
        .current_dir(place)
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg makes renditions");
}

/// The sound of a rendition in MPEG-TS as packed audio: ADTS with the time of its first frame before it.
fn packed(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    let list = fs::read_to_string(from.join("list.m3u8")).expect("a playlist");
    for name in list.lines().filter(|line| !line.starts_with('#')) {
        let output = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-i", name, "-c", "copy", "-f", "adts", "-"])
            .current_dir(from)
            .output()
            .expect("ffmpeg is installed");
        let mut segment = id3(first_timestamp(&from.join(name)));
        segment.extend(output.stdout);
        fs::write(to.join(name.replace(".ts", ".aac")), segment).expect("a segment");
    }
    fs::write(to.join("list.m3u8"), list.replace(".ts", ".aac")).expect("a playlist");
}

/// The picture with the German sound in the same segments.
fn muxed(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    let list = fs::read_to_string(from.join("video/list.m3u8")).expect("a playlist");
    for name in list.lines().filter(|line| !line.starts_with('#')) {
        let status = Command::new("ffmpeg")
            .args([
                "-loglevel",
                "error",
                "-copyts",
                "-i",
                &format!("video/{name}"),
                "-i",
                &format!("de/{name}"),
            ])
            .args(["-c", "copy", "-muxdelay", "0", "-mpegts_copyts", "1"])
            .arg(to.join(name))
            .current_dir(from)
            .status();
        assert!(status.is_ok_and(|status| status.success()), "ffmpeg puts picture and sound together");
    }
    fs::write(to.join("list.m3u8"), list).expect("a playlist");
}

/// A segment in MPEG-TS with the same in other PIDs.
pub fn with_other_pids(segment: &Path) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-copyts", "-i"])
        .arg(segment)
        .args(["-c", "copy", "-muxdelay", "0", "-mpegts_copyts", "1"])
        .args(["-mpegts_pmt_start_pid", "0x300", "-mpegts_start_pid", "0x310", "-f", "mpegts", "-"])
        .output()
        .expect("ffmpeg is installed");
    output.stdout
}

/// In ticks of 90 kHz.
fn first_timestamp(segment: &Path) -> u64 {
    let output = Command::new("ffprobe")
        .args(["-loglevel", "error", "-show_entries", "stream=start_pts", "-of", "csv=p=0"])
        .arg(segment)
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().next().and_then(|pts| pts.parse().ok()).expect("a timestamp")
}

/// A tag that says the time.
pub fn id3(ticks: u64) -> Vec<u8> {
    let mut content = b"com.apple.streaming.transportStreamTimestamp\0".to_vec();
    content.extend(ticks.to_be_bytes());
    let mut tag = b"ID3\x04\0\0\0\0\0".to_vec();
    tag.push(content.len() as u8 + 10);
    tag.extend(b"PRIV\0\0\0");
    tag.push(content.len() as u8);
    tag.extend([0, 0]);
    tag.extend(content);
    tag
}

/// Subtitles: a cue a second, the first half of which it is shown, named by its second. The picture in MPEG-TS begins
/// at 1.48 s of its clock, which the header relates to local time.
fn text(place: &Path) {
    fs::create_dir_all(place).expect("a directory");
    let mut list = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{SEGMENT}\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    for segment in 0..DURATION / SEGMENT {
        let mut text = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:133200,LOCAL:00:00:00.000\n".to_owned();
        for second in segment * SEGMENT..(segment + 1) * SEGMENT {
            text += &format!("\n00:00:{second:02}.000 --> 00:00:{second:02}.500\ncue {second}\n");
        }
        fs::write(place.join(format!("seg{segment:03}.vtt")), text).expect("a segment");
        list += &format!("#EXTINF:{SEGMENT},\nseg{segment:03}.vtt\n");
    }
    fs::write(place.join("list.m3u8"), list + "#EXT-X-ENDLIST\n").expect("a playlist");
}

/// The segments of a rendition, joined, as they leave the element: without tags.
pub fn plain(rendition: &str) -> Vec<u8> {
    let place = RENDITIONS.join(rendition);
    let list = fs::read_to_string(place.join("list.m3u8")).expect("a playlist");
    let names = list.lines().filter(|line| !line.starts_with('#'));
    let segments = names.map(|name| fs::read(place.join(name)).expect("a segment"));
    let tag = if rendition.starts_with("packed") { id3(0).len() } else { 0 };
    segments.flat_map(|segment| segment[tag..].to_vec()).collect()
}

/// The one elementary stream in MPEG-TS, as somebody else's demuxer finds it.
pub fn elementary(ts: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let (whole, bare) = (directory.path().join("whole.ts"), directory.path().join("bare"));
    fs::write(&whole, ts).expect("written");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(&whole);
    let status = ffmpeg.args(["-map", "0:0", "-c", "copy", "-f", "data"]).arg(&bare).status();
    assert!(status.is_ok_and(|status| status.success()), "ffmpeg takes the stream apart");
    fs::read(&bare).expect("what it has found")
}
