// SPDX-License-Identifier: MPL-2.0

//! Looks into real media: made here with ffmpeg, and a corpus where there is one (in
//! `../shared/corpus/media`, or in `media` below `P2PHLS_CORPUS`).

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use gstp2phls::container::mp4::interleave::Interleaver;
use gstp2phls::container::mp4::{self, Init, TrackKind};
use gstp2phls::container::{Kind, framing, packed, ts, webm, webvtt};

/// Runs a tool, and gives what it prints; None where it is not installed.
fn run(tool: &str, arguments: &[&str], directory: &Path) -> Option<String> {
    let output = Command::new(tool).args(arguments).current_dir(directory).output().ok()?;
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Eight seconds of picture (with B-frames) and sound as HLS segments of so many seconds.
fn make(directory: &Path, segment_type: &str, segment: u8) -> Option<()> {
    let source = "testsrc=duration=8:size=160x120:rate=25";
    let sound = "sine=frequency=440:duration=8";
    let arguments = [
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        source,
        "-f",
        "lavfi",
        "-i",
        sound,
        "-c:v",
        "libx264",
        "-g",
        "50",
        "-bf",
        "2",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-f",
        "hls",
        "-hls_time",
        &segment.to_string(),
        "-hls_segment_type",
        segment_type,
        "-hls_playlist_type",
        "vod",
        "-hls_segment_filename",
        "s%d",
        "list.m3u8",
    ];
    run("ffmpeg", &arguments, directory).map(drop)
}

/// Smallest timestamp that ffprobe sees in a file, of the streams that `select` names.
fn first_time(directory: &Path, file: &str, select: &str, entry: &str) -> f64 {
    let arguments =
        ["-v", "error", "-select_streams", select, "-show_entries", entry, "-of", "csv=p=0", "-i", file];
    let times = run("ffprobe", &arguments, directory).expect("ffprobe comes with ffmpeg");
    let first = times.lines().find_map(|line| line.trim_end_matches(',').parse().ok());
    first.unwrap_or_else(|| panic!("no time in {times:?}"))
}

fn scan_ts(bytes: &[u8], chunk: usize) -> ts::Scanner {
    let mut scanner = ts::Scanner::new();
    bytes.chunks(chunk).for_each(|chunk| scanner.push(chunk));
    scanner
}

#[test]
fn transport_stream_of_ffmpeg() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(()) = make(directory.path(), "mpegts", 2) else {
        println!("skipped: ffmpeg is not installed");
        return;
    };
    for index in 0..4 {
        let file = format!("s{index}");
        let bytes = std::fs::read(directory.path().join(&file)).expect("a segment");
        assert_eq!(Kind::sniff(&bytes), Some(Kind::MpegTs));
        assert_eq!(framing::check(Kind::MpegTs, bytes.chunks(1_000)), Ok(()));

        let scanner = scan_ts(&bytes, 1_000);
        assert!(scanner.settled(), "segment {index}");
        let timing = scanner.timing();
        let video = first_time(directory.path(), &file, "v:0", "packet=pts_time");
        let pts = timing.first_pts.expect("a timestamp") as f64 / 90_000.0;
        assert!((pts - video).abs() < 0.000_1, "segment {index}: {pts}, {video}");
        // ffmpeg's clock is 0.7 s ahead of the frames.
        let lead = timing.lead().expect("a lead") as f64 / 1e9;
        assert!((0.3..1.5).contains(&lead), "segment {index}: {lead}");
        for size in [1, 187, 189, bytes.len()] {
            assert_eq!(scan_ts(&bytes, size).timing(), timing);
        }
    }
}

#[test]
fn fragmented_mp4_of_ffmpeg() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(()) = make(directory.path(), "fmp4", 2) else {
        println!("skipped: ffmpeg is not installed");
        return;
    };
    let init_bytes = std::fs::read(directory.path().join("init.mp4")).expect("an initialisation segment");
    assert_eq!(Kind::sniff(&init_bytes), Some(Kind::FragmentedMp4));
    let init = Init::parse(&init_bytes).expect("tracks");
    let kinds: Vec<_> = init.tracks.iter().map(|track| (track.kind, track.codec)).collect();
    assert_eq!(kinds, [(TrackKind::Video, Some(*b"avc1")), (TrackKind::Audio, Some(*b"mp4a"))]);
    let video = init.timing_track().expect("video");
    assert_eq!(video.kind, TrackKind::Video);

    for index in 0..4 {
        let bytes = std::fs::read(directory.path().join(format!("s{index}"))).expect("a segment");
        assert_eq!(Kind::sniff(&bytes), Some(Kind::FragmentedMp4));
        assert_eq!(framing::check(Kind::FragmentedMp4, bytes.chunks(1_000)), Ok(()));
        let cut = framing::check(Kind::FragmentedMp4, bytes[..bytes.len() - 1].chunks(1_000));
        assert!(cut.is_err(), "segment {index}");

        let mut scanner = mp4::Scanner::new(init.clone());
        bytes.chunks(100).for_each(|chunk| scanner.push(chunk));
        assert!(scanner.settled(), "segment {index}");
        let start = scanner.media_start().expect("a start").as_secs_f64();
        // The clock of the segment's own timestamps, so without the edit list.
        let joined = format!("joined{index}");
        std::fs::write(directory.path().join(&joined), [&init_bytes[..], &bytes].concat()).expect("written");
        let seen = first_time(directory.path(), &joined, "v:0", "packet=pts_time");
        assert!((start - seen).abs() < 0.001, "segment {index}: {start}, {seen}");
        let edit = video.media_time as f64 / f64::from(video.timescale);
        assert!((start - edit - 2.0 * f64::from(index)).abs() < 0.05, "segment {index}: {start}");
    }
}

/// What ffprobe sees of each packet of a track: times, flags, a checksum of its bytes. And where its
/// bytes are.
fn packets(directory: &Path, file: &str, select: &str) -> (Vec<String>, Vec<u64>) {
    let entries = "packet=pts,dts,size,flags,pos,data_hash";
    let arguments = ["-v", "error", "-select_streams", select, "-show_data_hash", "crc32"];
    let arguments = [&arguments[..], &["-show_entries", entries, "-of", "compact=p=0", file]].concat();
    let text = run("ffprobe", &arguments, directory).expect("ffprobe comes with ffmpeg");
    let packet = |line: &str| {
        let is_place = |field: &&str| field.starts_with("pos=");
        let place: Option<u64> = line.split('|').find(is_place).and_then(|field| field[4..].parse().ok());
        let rest: Vec<_> = line.split('|').filter(|field| !is_place(field)).collect();
        (rest.join("|"), place.expect("a place"))
    };
    text.lines().filter(|line| line.contains("pos=")).map(packet).unzip()
}

#[test]
fn long_fragments_of_ffmpeg_are_interleaved() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(()) = make(directory.path(), "fmp4", 6) else {
        println!("skipped: ffmpeg is not installed");
        return;
    };
    let read = |name: &str| std::fs::read(directory.path().join(name)).expect("a file of ffmpeg");
    let init = Bytes::from(read("init.mp4"));
    let mut interleaver = Interleaver::default();
    interleaver.init(init.clone());
    for name in ["s0", "s1"] {
        let segment = read(name);
        let mut out = vec![init.clone()];
        segment.chunks(1_000).for_each(|chunk| interleaver.push(Bytes::copy_from_slice(chunk), &mut out));
        interleaver.finish(&mut out);
        assert_eq!(framing::check(Kind::FragmentedMp4, out.iter().map(|bytes| &bytes[..])), Ok(()));
        std::fs::write(directory.path().join("before.mp4"), [&init[..], &segment].concat()).expect("written");
        std::fs::write(directory.path().join("after.mp4"), out.concat()).expect("written");

        let seen = |file| ["v:0", "a:0"].map(|select| packets(directory.path(), file, select));
        let ([video, audio], [video_after, audio_after]) = (seen("before.mp4"), seen("after.mp4"));
        assert!(!video.0.is_empty() && !audio.0.is_empty());
        assert_eq!((&video_after.0, &audio_after.0), (&video.0, &audio.0), "{name}");
        // All sound came after the last picture; now the first sound comes among the first ones.
        assert!(audio.1[0] > video.1[video.1.len() - 1], "{name}");
        let before_sound = video_after.1.iter().filter(|place| **place < audio_after.1[0]).count();
        assert!(before_sound <= 13, "{name}: {before_sound} pictures before the first sound");
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = directory.read_dir() else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), found),
            _ => found.push(entry.path()),
        }
    }
}

#[test]
fn webm_of_ffmpeg() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc=duration=8:size=160x120:rate=25"];
    let coder = ["-c:v", "libvpx", "-deadline", "realtime", "-g", "50", "-keyint_min", "50"];
    let dash = ["-f", "dash", "-dash_segment_type", "webm", "-seg_duration", "2", "m.mpd"];
    if run("ffmpeg", &[&source[..], &coder, &dash].concat(), directory.path()).is_none() {
        return println!("skipped: ffmpeg is not installed");
    }
    let init = std::fs::read(directory.path().join("init-stream0.webm")).expect("an init");
    assert_eq!(Kind::sniff(&init), Some(Kind::WebM));
    let parsed = webm::Init::parse(&init).expect("tracks");
    assert_eq!((parsed.tracks[0].kind, parsed.tracks[0].codec.as_str()), (webm::TrackKind::Video, "V_VP8"));
    for index in 1..=4 {
        let bytes = std::fs::read(directory.path().join(format!("chunk-stream0-0000{index}.webm")));
        let bytes = bytes.expect("a segment");
        assert_eq!(Kind::sniff(&bytes), Some(Kind::WebM));
        assert_eq!(framing::check(Kind::WebM, bytes.chunks(1_000)), Ok(()));
        framing::check(Kind::WebM, bytes[..bytes.len() - 1].chunks(1_000)).expect_err("cut short");
        std::fs::write(directory.path().join("whole.webm"), [&init[..], &bytes].concat()).expect("a file");
        let expected = first_time(directory.path(), "whole.webm", "v:0", "packet=pts_time");
        for size in [1, 1_000, bytes.len()] {
            let mut scanner = webm::Scanner::new(parsed.clone());
            bytes.chunks(size).for_each(|chunk| scanner.push(chunk));
            let start = scanner.media_start().expect("a start").as_secs_f64();
            assert!((start - expected).abs() < 0.000_1, "segment {index}: {start}, {expected}");
        }
    }
}

#[test]
fn media_from_the_wild() {
    let root = std::env::var_os("P2PHLS_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let mut found = Vec::new();
    files(&root.join("media"), &mut found);
    if found.is_empty() {
        println!("skipped: there is no corpus (P2PHLS_CORPUS)");
        return;
    }
    let (mut streams, mut leads, mut fragments, mut starts) = (0, 0, 0, 0);
    for path in found {
        let bytes = std::fs::read(&path).expect("a file of the corpus");
        match Kind::sniff(&bytes).unwrap_or(Kind::Unknown) {
            Kind::MpegTs => {
                streams += 1;
                let mut whole = scan_ts(&bytes, bytes.len());
                whole.finish();
                assert_eq!(scan_ts(&bytes, 1_000).timing(), whole.timing(), "{path:?}");
                match whole.timing().lead() {
                    Some(lead) if lead.unsigned_abs() < 10_000_000_000 => leads += 1,
                    lead => println!("  {path:?}: lead {lead:?}"),
                }
                if let Err(error) = framing::check(Kind::MpegTs, [&bytes[..]]) {
                    println!("  {path:?}: {error}");
                }
            }
            Kind::FragmentedMp4 => {
                let init = Init::parse(&bytes).unwrap_or_default();
                let mut scanner = mp4::Scanner::new(init.clone());
                scanner.push(&bytes);
                scanner.finish();
                if framing::check(Kind::FragmentedMp4, [&bytes[..]]).is_ok() {
                    fragments += 1;
                    if scanner.media_start().is_some() || init.tracks.is_empty() {
                        starts += 1;
                    } else {
                        println!("  {path:?}: no start");
                    }
                }
            }
            kind => {
                let name = path.to_string_lossy();
                let plain = [".ts", ".m4s", ".mp4"].iter().any(|end| name.ends_with(end));
                if plain {
                    println!("  {path:?}: {kind}");
                }
            }
        }
    }
    println!("{leads} of {streams} transport streams timed, {starts} of {fragments} fragmented files");
    assert!(leads * 10 >= streams * 9);
    // The rest has fragments without a decode time.
    assert!(starts * 10 >= fragments * 9);
}

/// A file of the corpus of media; None where there is no corpus.
fn corpus_file(path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("P2PHLS_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    std::fs::read(root.join("media").join(path)).ok()
}

#[test]
fn packed_audio_and_subtitles_tell_their_time() {
    for (path, kind, length, ticks) in [
        ("videojs-http-streaming/ac3WithId3.ac3", [0x0b, 0x77], 73, Some(900_000)),
        ("videojs-http-streaming/aacWithId3.aac", [0xff, 0xf1], 45, None),
        ("videojs-http-streaming/aacWithoutId3.aac", [0xff, 0xf1], 0, None),
        ("mux.js/test-aac-segment.aac", [0xff, 0xf1], 73, Some(895_690)),
    ] {
        let Some(bytes) = corpus_file(path) else { return println!("skipped: there is no corpus of media") };
        let head = packed::head(&bytes).expect("a whole head");
        assert_eq!((head.length, head.timestamp), (length, ticks), "{path}");
        assert_eq!(bytes[head.length..head.length + 2], kind, "{path}");
    }
    if let Some(bytes) = corpus_file("androidx-media/webvtt/with_x-timestamp-map_header") {
        let local = std::time::Duration::from_millis(4_276_443);
        assert_eq!(
            webvtt::TimestampMap::read(&bytes),
            Some(webvtt::TimestampMap { mpegts: 384_879_885, local })
        );
    }
}
