// SPDX-License-Identifier: MPL-2.0

//! Playlists of key frames (I-frame playlists) for streams that have none.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::origin::Origin;

/// A key frame where it lies in a segment.
struct Frame {
    segment: String,
    /// Seconds from the start of the film.
    time: f64,
    offset: u64,
    length: u64,
}

/// The lines of a playlist before its first segment, and its segments with their durations.
fn segments(list: &str) -> (Option<&str>, Vec<(f64, &str)>) {
    let map = list.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")?.strip_suffix('"'));
    let durations =
        list.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.parse().ok());
    (map, durations.zip(list.lines().filter(|line| !line.starts_with('#'))).collect())
}

/// Time, size, place in the file and whether it is a key frame, of each picture in MPEG-TS or MP4.
fn pictures(file: &Path) -> Vec<(f64, u64, u64, bool)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,size,pos,flags"])
        .args(["-of", "csv=p=0"])
        .arg(file)
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let picture = |line: &str| {
        let fields: Vec<&str> = line.trim_end_matches(',').split(',').collect();
        let is_key = fields.get(3)?.starts_with('K');
        Some((fields[0].parse().ok()?, fields[1].parse().ok()?, fields[2].parse().ok()?, is_key))
    };
    text.lines().filter_map(picture).collect()
}

/// The key frames of a film in `place`: in MPEG-TS all, in fragmented MP4 the first of each segment, whose place alone its
/// tables tell to whoever has no more than it.
fn frames(place: &Path, list: &str) -> (Option<String>, Vec<Frame>) {
    let (map, segments) = segments(list);
    let init = map.map(|map| fs::read(place.join(map)).expect("an initialisation segment"));
    let (mut frames, mut start, mut first) = (Vec::new(), 0.0, None);
    for (duration, name) in segments {
        let bytes = fs::read(place.join(name)).expect("a segment");
        let whole = tempfile::NamedTempFile::new().expect("a file");
        fs::write(whole.path(), [init.as_deref().unwrap_or_default(), &bytes].concat()).expect("written");
        let pictures = pictures(whole.path());
        let before = init.as_ref().map_or(0, |init| init.len() as u64);
        let zero = *first.get_or_insert(pictures[0].0);
        for (index, (time, size, at, _)) in pictures.iter().enumerate().filter(|(_, picture)| picture.3) {
            let (offset, end) = match &init {
                Some(_) if index > 0 => continue,
                Some(_) => (0, at + size - before),
                None => (*at, pictures.get(index + 1).map_or(bytes.len() as u64, |next| next.2)),
            };
            let time = if init.is_some() { start } else { time - zero };
            frames.push(Frame { segment: name.to_owned(), time, offset, length: end - offset });
        }
        start += duration;
    }
    // The tables of MPEG-TS stand at the start of each segment.
    let tables = || format!("URI=\"{}\",BYTERANGE=\"564@0\"", frames[0].segment);
    (Some(map.map_or_else(tables, |map| format!("URI=\"{map}\""))), frames)
}

/// An I-frame playlist beside the playlist `list` in `root`.
pub fn list(root: &Path, list: &str) -> String {
    let path = root.join(list);
    let text = fs::read_to_string(&path).expect("a playlist");
    let (map, frames) = frames(path.parent().expect("a directory"), &text);
    let (_, segments) = segments(&text);
    let end: f64 = segments.iter().map(|(duration, _)| duration).sum();
    let ends = frames.iter().skip(1).map(|frame| frame.time).chain([end]);
    let mut iframes = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n#EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-I-FRAMES-ONLY\n"
        .to_owned();
    iframes += &map.map_or(String::new(), |map| format!("#EXT-X-MAP:{map}\n"));
    for (frame, end) in frames.iter().zip(ends) {
        let Frame { segment, time, offset, length } = frame;
        iframes += &format!("#EXTINF:{:.6},\n#EXT-X-BYTERANGE:{length}@{offset}\n{segment}\n", end - time);
    }
    iframes + "#EXT-X-ENDLIST\n"
}

/// Serves an I-frame playlist beside `playlist` as `iframes.m3u8`, and gives what it is.
pub fn serve(origin: &Origin, root: &Path, playlist: &str) -> String {
    let text = list(root, playlist);
    let served = text.clone();
    origin.set_made(&beside(playlist), move || served.clone());
    text
}

/// The I-frame playlist beside a playlist.
pub fn beside(playlist: &str) -> String {
    playlist.rsplit_once('/').map_or("iframes.m3u8".to_owned(), |(place, _)| format!("{place}/iframes.m3u8"))
}

/// Where key frames begin, as an I-frame playlist says.
pub fn times(list: &str) -> Vec<Duration> {
    let (_, frames) = segments(list);
    let starts = frames.iter().scan(0.0, |next, (duration, _)| {
        let start = *next;
        *next += duration;
        Some(start)
    });
    starts.map(Duration::from_secs_f64).collect()
}

/// The ranges that it lists, as requests for them have them: the end of the path and the header.
pub fn ranges(list: &str) -> Vec<(String, String)> {
    let ranges = list.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:")?.split_once('@'));
    let header = |(length, offset): (&str, &str)| {
        let (length, offset): (u64, u64) =
            (length.parse().expect("a length"), offset.parse().expect("an offset"));
        format!("bytes={offset}-{}", offset + length - 1)
    };
    let (_, frames) = segments(list);
    frames.iter().zip(ranges).map(|((_, name), range)| ((*name).to_owned(), header(range))).collect()
}
