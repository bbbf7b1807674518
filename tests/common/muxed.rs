// SPDX-License-Identifier: MPL-2.0

//! Films whose picture has German sound in its own segments, with English sound in a playlist of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::media::STREAMS;
use super::renditions::{FRAGMENTED, RENDITIONS, SEGMENT, segmented};

/// A film: where its picture and its English sound are among [`MUXED`].
pub type Film = (&'static str, &'static str);

/// In MPEG-TS; the same with packed audio beside it, and with segments of sound that are twice as long.
pub const TS: Film = ("renditions/muxed/video", "renditions/ts/en");
pub const PACKED: Film = ("renditions/muxed/video", "renditions/packed/en");
pub const TS_LONG: Film = ("renditions/muxed/video", "muxed-sound/long-ts/en");

/// In fragmented MP4.
pub const MP4: Film = ("muxed-sound/mp4/video", "muxed-sound/mp4/en");
pub const MP4_LONG: Film = ("muxed-sound/mp4/video", "muxed-sound/long-mp4/en");

/// Where they are.
pub static MUXED: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("muxed-sound");
    if !place.exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        segmented(&work.path().join("mp4"), "v:0,a:1,name:video a:0,name:en", &FRAGMENTED);
        in_pairs(&RENDITIONS.join("ts/en"), &work.path().join("long-ts/en"));
        in_pairs(&work.path().join("mp4/en"), &work.path().join("long-mp4/en"));
        // Fails if another process was faster, which has made the same.
        let _ = fs::rename(work.path(), &place);
    }
    STREAMS.clone()
});

/// The multivariant playlist; `default` is the language that is heard first.
pub fn presentation((video, sound): Film, default: &str) -> String {
    let media = |language: &str, name: &str, rest: &str| {
        let default = if language == default { "YES" } else { "NO" };
        format!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{name}\",LANGUAGE=\"{language}\",DEFAULT={default},\
             AUTOSELECT=YES{rest}\n"
        )
    };
    let english = media("en", "English", &format!(",URI=\"{sound}/list.m3u8\""));
    format!(
        "#EXTM3U\n{english}{}#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS=\"avc1.64000c,mp4a.40.2\",\
         RESOLUTION=320x180,AUDIO=\"a\"\n{video}/list.m3u8\n",
        media("de", "Deutsch", "")
    )
}

/// The same with two segments in one.
fn in_pairs(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    let list = fs::read_to_string(from.join("list.m3u8")).expect("a playlist");
    for entry in fs::read_dir(from).expect("the rendition is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "mp4") {
            fs::copy(&path, to.join(path.file_name().expect("a file"))).expect("an initialisation segment");
        }
    }
    let is_of_segment = |line: &&str| line.starts_with("#EXTINF") || !line.starts_with('#');
    let segments: Vec<&str> = list.lines().filter(is_of_segment).collect();
    let mut pairs: String = list
        .lines()
        .filter(|line| !is_of_segment(line) && *line != "#EXT-X-ENDLIST")
        .map(|line| match line.starts_with("#EXT-X-TARGETDURATION") {
            true => format!("#EXT-X-TARGETDURATION:{}\n", 2 * SEGMENT + 1),
            false => format!("{line}\n"),
        })
        .collect();
    for pair in segments.chunks(4) {
        let seconds = |extinf: &str| -> f64 {
            let digits = extinf.trim_start_matches("#EXTINF:").trim_end_matches(',');
            digits.parse().expect("a duration")
        };
        let duration: f64 = pair.iter().step_by(2).map(|extinf| seconds(extinf)).sum();
        let names = pair.iter().skip(1).step_by(2);
        let bytes: Vec<u8> = names.flat_map(|name| fs::read(from.join(name)).expect("a segment")).collect();
        fs::write(to.join(pair[1]), bytes).expect("a segment");
        pairs += &format!("#EXTINF:{duration:.6},\n{}\n", pair[1]);
    }
    fs::write(to.join("list.m3u8"), pairs + "#EXT-X-ENDLIST\n").expect("a playlist");
}
