// SPDX-License-Identifier: MPL-2.0

//! DASH streams: made by ffmpeg, and written for the segments of [`super::media`].

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use super::media::{DURATION, SEGMENT, STREAMS};
use super::origin::Origin;

/// Streams of [`DURATION`] seconds of video in segments of 2 s, by ffmpeg: `number/`, `timeline/`, `list/`,
/// `ranges/` (a list of byte ranges) and `indexed/` (a `sidx`), each with `m.mpd`; and `variants/`, three
/// qualities of a minute.
pub static DASH: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("dash");
    if !place.join("variants").exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        for (name, options) in [
            ("number", &["-use_timeline", "0"][..]),
            ("timeline", &["-use_timeline", "1"]),
            ("list", &["-use_template", "0"]),
            ("ranges", &["-single_file", "1"]),
        ] {
            let dash = ["-f", "dash", "-seg_duration", "2"];
            video(&work.path().join(name), &[&dash, options, &["m.mpd"]].concat());
        }
        indexed(&work.path().join("indexed"));
        variants(&work.path().join("variants"));
        // Fails if another process was faster, which has made the same.
        let _ = fs::rename(work.path(), &place);
    }
    place
});

/// Bits a second of the variants.
const BITRATES: [u32; 3] = [200_000, 600_000, 1_500_000];

/// Seconds that the variants last.
const VARIANTS_DURATION: u64 = 60;

fn ffmpeg(place: &Path, options: &[&str]) {
    fs::create_dir_all(place).expect("a directory");
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"])
        .args(options)
        .current_dir(place)
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg makes {}", place.display());
}

const CODER: [&str; 14] = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "2",
    "-g",
    "50",
    "-keyint_min",
    "50",
    "-sc_threshold",
    "0",
    "-pix_fmt",
    "yuv420p",
];

fn video(place: &Path, options: &[&str]) {
    let duration = DURATION.to_string();
    ffmpeg(place, &[&["-t", &duration], &CODER[..], options].concat());
}

/// A file with an index before its fragments, and an MPD for it.
fn indexed(place: &Path) {
    let flags = "+frag_keyframe+global_sidx+dash+separate_moof+default_base_moof";
    video(place, &["-movflags", flags, "-f", "mp4", "v.mp4"]);
    let file = fs::read(place.join("v.mp4")).expect("a file");
    let (init, index) = (boxes(&file, b"moov"), boxes(&file, b"sidx"));
    let mpd = mpd(
        "",
        DURATION,
        &format!(
            "<BaseURL>v.mp4</BaseURL><SegmentBase indexRange=\"{}-{}\"><Initialization range=\"0-{}\"/></SegmentBase>",
            index.start,
            index.end - 1,
            init.end - 1
        ),
    );
    fs::write(place.join("m.mpd"), mpd).expect("an MPD");
}

/// Where the first top-level box of this name is.
pub fn boxes(file: &[u8], name: &[u8; 4]) -> std::ops::Range<usize> {
    let mut at = 0;
    while at + 8 <= file.len() {
        let size = u32::from_be_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize;
        if &file[at + 4..at + 8] == name {
            return at..at + size;
        }
        at += size.max(8);
    }
    panic!("no {} box", String::from_utf8_lossy(name));
}

fn variants(place: &Path) {
    let duration = VARIANTS_DURATION.to_string();
    let filter = "[0:v]split=3[a][b][v2];[a]scale=128:72[v0];[b]scale=192:108[v1]";
    let mut options: Vec<String> = ["-t", &duration, "-filter_complex", filter].map(str::to_owned).into();
    for (index, bitrate) in BITRATES.iter().enumerate() {
        options.extend(["-map".to_owned(), format!("[v{index}]")]);
        for option in ["b", "maxrate", "minrate", "bufsize"] {
            let option = if option == "b" { format!("-b:v:{index}") } else { format!("-{option}:v:{index}") };
            options.extend([option, bitrate.to_string()]);
        }
    }
    let rest = ["-x264-params", "nal-hrd=cbr", "-f", "dash", "-seg_duration", "2", "m.mpd"];
    let options: Vec<&str> = options.iter().map(String::as_str).chain(CODER).chain(rest).collect();
    ffmpeg(place, &options);
}

/// A static MPD of one representation, muxed or not, with what says where its segments are.
pub fn mpd(attributes: &str, seconds: u64, addressing: &str) -> String {
    let period = period("", addressing);
    format!("<MPD type=\"static\" mediaPresentationDuration=\"PT{seconds}S\" {attributes}>{period}</MPD>")
}

/// A period of one representation.
pub fn period(attributes: &str, addressing: &str) -> String {
    format!(
        "<Period {attributes}><AdaptationSet mimeType=\"video/mp4\" codecs=\"avc1.64000d,mp4a.40.2\">\
         <Representation id=\"v\" bandwidth=\"500000\" width=\"320\" height=\"180\">{addressing}</Representation>\
         </AdaptationSet></Period>"
    )
}

/// Where the segments of `fmp4/` are, by number; `more` are attributes.
pub fn muxed_template(more: &str) -> String {
    format!(
        "<SegmentTemplate media=\"seg$Number%03d$.m4s\" initialization=\"init.mp4\" startNumber=\"0\" \
         duration=\"{SEGMENT}\" {more}/>"
    )
}

/// The bytes of the files in a directory of [`DASH`] or [`STREAMS`] whose name has `part`, by name.
pub fn files(directory: &Path, part: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).expect("the stream is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part)));
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a segment")).collect()
}

/// One file of these segments, each of so many seconds, with an index that names another, and its MPD.
pub fn nested_file(init: &[u8], segments: &[Vec<u8>], seconds: u32) -> (Vec<u8>, String) {
    let half = segments.len() / 2;
    let media = |range: std::ops::Range<usize>| -> Vec<(u32, u32)> {
        range.map(|n| (segments[n].len() as u32, seconds)).collect()
    };
    // The second half has an index of its own, behind the media of the first.
    let (first, second) = (media(0..half), media(half..segments.len()));
    let inner = sidx(half as u32 * seconds, &second, None);
    let outer = sidx(0, &first, Some((inner.len() as u32, second.len() as u32 * seconds)));
    let index = init.len()..init.len() + outer.len();
    let mut file = [init, &outer].concat();
    segments[..half].iter().for_each(|segment| file.extend(segment));
    file.extend(inner);
    segments[half..].iter().for_each(|segment| file.extend(segment));
    let addressing = format!(
        "<BaseURL>whole.mp4</BaseURL><SegmentBase indexRange=\"{}-{}\"><Initialization range=\"0-{}\"/></SegmentBase>",
        index.start,
        index.end - 1,
        init.len() - 1
    );
    (file, mpd("", segments.len() as u64 * u64::from(seconds), &addressing))
}

/// What left the element is a part of [`long`] without a gap, behind the initialisation segment.
pub fn assert_part(bytes: &[u8]) {
    let init = files(&long(), "init").concat();
    let segments = files(&long(), "seg");
    let rest = bytes.strip_prefix(&init[..]).expect("the initialisation segment");
    let first =
        segments.iter().position(|segment| rest.starts_with(&segment[..segment.len().min(rest.len())]));
    let first = first.expect("a segment of the stream");
    assert!(segments[first..].concat().starts_with(rest), "something is missing after segment {first}");
}

/// An index with a size and seconds for each segment, and last perhaps another index.
fn sidx(time: u32, segments: &[(u32, u32)], nested: Option<(u32, u32)>) -> Vec<u8> {
    let mut content = Vec::new();
    for word in [0, 1, 1, time, 0, (segments.len() + usize::from(nested.is_some())) as u32] {
        content.extend(word.to_be_bytes());
    }
    for (size, seconds) in segments {
        [*size, *seconds, 0x9000_0000].iter().for_each(|word| content.extend(word.to_be_bytes()));
    }
    if let Some((size, seconds)) = nested {
        [size | 1 << 31, seconds, 0].iter().for_each(|word| content.extend(word.to_be_bytes()));
    }
    let size = content.len() as u32 + 8;
    [&size.to_be_bytes()[..], b"sidx", &content].concat()
}

/// How a live MPD says which segments there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// By number and duration: the clock tells.
    Number,
    /// By a timeline that grows: the MPD is to be loaded again.
    Timeline,
    /// The same as a list of addresses.
    List,
}

/// A live stream of the one-second segments of `long/` (in fragmented MP4: [`long`]), which come to be
/// there as time goes by.
pub struct Live {
    begin: Instant,
    /// Wall clock at which the first segment starts, since 1970-01-01 UTC, as the MPD has it.
    start: Duration,
    /// Segments in the time shift buffer.
    window: u64,
    listing: Listing,
    count: u64,
    late: Duration,
}

impl Live {
    /// `window` segments are there at once. The publisher's clock is `skew` seconds ahead of this machine's.
    pub fn new(listing: Listing, window: u64, skew: i64) -> Self {
        // To make it takes a while, during which it would be on air.
        long();
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
        // To the millisecond, as the MPD says it.
        let start = Duration::from_millis(now.as_millis() as u64) - Duration::from_secs(window);
        let by = Duration::from_secs(skew.unsigned_abs());
        let start = if skew < 0 { start - by } else { start + by };
        Self { begin: Instant::now(), start, window, listing, count: LONG, late: Duration::ZERO }
    }

    /// The same, with segments so much later than the MPD says.
    pub fn late(self, late: Duration) -> Self {
        Self { late, ..self }
    }

    /// Segments that have been made.
    pub fn made(&self) -> u64 {
        (self.window + self.begin.elapsed().saturating_sub(self.late).as_secs()).min(self.count)
    }

    /// The publisher's clock.
    pub fn clock(&self) -> String {
        date(self.start + Duration::from_secs(self.window) + self.begin.elapsed())
    }

    /// The MPD as it is now, with `more` attributes and `children` before its period.
    pub fn mpd(&self, more: &str, children: &str) -> String {
        let template = "media=\"seg$Number%03d$.m4s\" initialization=\"init.mp4\"";
        let made = self.made();
        let addressing = match self.listing {
            Listing::Number => {
                format!("<SegmentTemplate {template} startNumber=\"0\" duration=\"1\"/>")
            }
            Listing::Timeline | Listing::List => {
                let first = made - self.window;
                let left = self.window - 1;
                let timeline =
                    format!("<SegmentTimeline><S t=\"{first}\" d=\"1\" r=\"{left}\"/></SegmentTimeline>");
                let address = |number| format!("<SegmentURL media=\"seg{number:03}.m4s\"/>");
                match self.listing {
                    Listing::List => format!(
                        "<SegmentList><Initialization sourceURL=\"init.mp4\"/>{timeline}{}</SegmentList>",
                        (first..made).map(address).collect::<String>()
                    ),
                    _ => format!(
                        "<SegmentTemplate {template} startNumber=\"{first}\">{timeline}</SegmentTemplate>"
                    ),
                }
            }
        };
        let ended = match made == self.count {
            true => format!("mediaPresentationDuration=\"PT{}S\"", self.count),
            false => "minimumUpdatePeriod=\"PT1S\"".to_owned(),
        };
        format!(
            "<MPD type=\"dynamic\" availabilityStartTime=\"{}\" publishTime=\"{}\" timeShiftBufferDepth=\"PT{}S\" \
             {ended} {more}>{children}{}</MPD>",
            date(self.start),
            self.clock(),
            self.window,
            period("id=\"1\" start=\"PT0S\"", &addressing)
        )
    }
}

/// An origin with a live stream at `long-mp4/live.mpd` whose segments are not there before their time, and
/// its URL. `make` gives the MPD.
pub fn live_origin(
    live: Live,
    make: impl Fn(&Live) -> String + Send + Sync + 'static,
) -> (Origin, String, std::sync::Arc<Live>) {
    let origin = Origin::serve(long().parent().expect("it is in a directory"));
    let live = std::sync::Arc::new(live);
    let (made, of_mpd) = (live.clone(), live.clone());
    origin.hide(move |path| {
        let number = path.strip_prefix("/long-mp4/seg").and_then(|rest| rest.strip_suffix(".m4s"));
        number.and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| number >= made.made())
    });
    origin.set_made("long-mp4/live.mpd", move || make(&of_mpd));
    let url = origin.url("long-mp4/live.mpd");
    (origin, url, live)
}

/// Segments of [`long`].
pub const LONG: u64 = 90;

/// `long/`'s like in fragmented MP4.
pub fn long() -> PathBuf {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let place = STREAMS.join("long-mp4");
        if !place.join("index.m3u8").exists() {
            let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
            let mut options = vec!["-f", "lavfi", "-i", "sine=frequency=440", "-t", "90"];
            options.extend([
                "-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p",
            ]);
            options.extend(["-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"]);
            options.extend([
                "-hls_segment_type",
                "fmp4",
                "-hls_segment_filename",
                "seg%03d.m4s",
                "index.m3u8",
            ]);
            ffmpeg(work.path(), &options);
            let _ = fs::rename(work.path(), &place);
        }
        place
    });
    MADE.clone()
}

/// An xs:dateTime with milliseconds.
pub fn date(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs() as i64;
    // Civil from days, after Howard Hinnant.
    let (days, of_day) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut text = format!("{year:04}-{month:02}-{day:02}T");
    let _ = write!(
        text,
        "{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
        since_1970.subsec_millis()
    );
    text
}

/// Picture and sound apart, [`DURATION`] seconds in segments of 2 s: `number/` and `timeline/` with `m.mpd`, whose
/// segments are `chunk-stream0-*` and `chunk-stream1-*`.
pub static SOUND: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("dash-sound");
    if !place.join("timeline").exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        for (name, timeline) in [("number", "0"), ("timeline", "1")] {
            let duration = DURATION.to_string();
            let head = ["-f", "lavfi", "-i", "sine=frequency=440", "-t", &duration, "-c:a", "aac"];
            let dash = ["-f", "dash", "-seg_duration", "2", "-use_timeline", timeline, "m.mpd"];
            ffmpeg(&work.path().join(name), &[&head[..], &CODER, &dash].concat());
        }
        let _ = fs::rename(work.path(), &place);
    }
    place
});

/// [`SOUND`]'s `number/` as a live stream that began so many seconds ago, of which all segments are there.
pub fn live_sound(seconds: u64) -> String {
    let text = fs::read_to_string(SOUND.join("number/m.mpd")).expect("an MPD");
    let start = SystemTime::UNIX_EPOCH.elapsed().expect("a clock") - Duration::from_secs(seconds);
    let dynamic =
        format!("type=\"dynamic\" availabilityStartTime=\"{}\" minimumUpdatePeriod=\"PT2S\"", date(start));
    text.replace("type=\"static\"", &dynamic)
        .replace(&format!("mediaPresentationDuration=\"PT{DURATION}.0S\""), "")
}
