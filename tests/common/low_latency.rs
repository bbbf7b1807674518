// SPDX-License-Identifier: MPL-2.0

//! A low-latency origin on loopback: parts of half a second, segments of two, blocking reloads, delta updates, hints
//! and rendition reports, as RFC 8216bis has them. Parts are there for three segments and then gone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};

use super::origin::{ranged, status_only};

/// A directory of streams of so many seconds: `fmp4/`, `rich/` and `ts/` with picture and sound, `video/` and `audio/` apart.
/// Each file is a part.
fn streams(seconds: u64) -> PathBuf {
    /// One thread makes them.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(|failed| failed.into_inner());
    let streams = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("low-latency-{seconds}"));
    let fmp4 = ["-hls_segment_type", "fmp4", "-hls_segment_filename", "%d.m4s"];
    for (name, options) in [
        ("fmp4", [&["-map", "0:v", "-map", "1:a"][..], &fmp4].concat()),
        ("rich", [&["-map", "0:v", "-map", "1:a", "-crf", "15"][..], &fmp4].concat()),
        ("ts", [&["-map", "0:v", "-map", "1:a"][..], &["-hls_segment_filename", "%d.ts"]].concat()),
        ("video", [&["-map", "0:v"][..], &fmp4].concat()),
        ("audio", [&["-map", "1:a"][..], &fmp4].concat()),
    ] {
        if !streams.join(name).join("index.m3u8").exists() {
            make(&streams, name, seconds, &options);
        }
    }
    streams
}

/// Seconds of a stream.
pub const LENGTH: u64 = 90;

/// Parts of a segment.
pub const PER_SEGMENT: usize = 4;

/// Segments in a playlist when the stream begins, and later at least.
const WINDOW: usize = 8;

/// Segments whose parts are there.
const WITH_PARTS: usize = 3;

fn make(streams: &Path, name: &str, seconds: u64, options: &[&str]) {
    std::fs::create_dir_all(streams).expect("a directory for the streams");
    let work = tempfile::tempdir_in(streams).expect("a directory to work in");
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=24"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", &seconds.to_string()])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-g", "12", "-keyint_min", "12", "-bf", "0"])
        .args(["-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "hls", "-hls_time", "0.5"])
        .args(["-hls_playlist_type", "vod"])
        .args(options)
        .arg("index.m3u8")
        .current_dir(work.path())
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg makes {name}");
    // Fails if another process was faster, which has made the same.
    let _ = std::fs::rename(work.path(), streams.join(name));
}

/// What the origin does with what it announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hints {
    /// It announces nothing.
    None,
    /// It answers when the part is there.
    Good,
    /// It says that there is no such thing before it is there.
    NotFound,
    /// It never answers whoever asks before it is there.
    Never,
}

/// How the origin is.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Answers are held back until what is asked for is there.
    pub blocks: bool,
    pub hints: Hints,
    /// Parts are ranges of their segments, and not files.
    pub ranges: bool,
}

pub const FILES: Manner = Manner { blocks: true, hints: Hints::Good, ranges: false };

/// One stream of the origin.
struct Stream {
    name: String,
    extension: &'static str,
    parts: Vec<Bytes>,
    durations: Vec<f64>,
    init: Option<Bytes>,
}

pub struct LowLatencyOrigin {
    address: SocketAddr,
    site: Arc<Site>,
    _runtime: tokio::runtime::Runtime,
}

struct Site {
    manner: Manner,
    streams: Vec<Stream>,
    begin: Instant,
    requests: Mutex<Vec<String>>,
    /// The first segment of the first playlist that was served, for each value of `v` in the query.
    first_served: Mutex<Vec<(String, usize)>>,
    /// Nothing is answered.
    held_up: AtomicBool,
}

impl LowLatencyOrigin {
    /// Serves these streams, which began so long ago that their playlists are full.
    pub fn serve(names: &[&str], manner: Manner) -> Self {
        Self::serve_long(names, manner, LENGTH)
    }

    /// The same of so many seconds.
    pub fn serve_long(names: &[&str], manner: Manner, seconds: u64) -> Self {
        let directory = streams(seconds);
        let streams = names.iter().map(|name| Stream::load(&directory.join(name), name)).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the origin");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let site = Arc::new(Site {
            manner,
            streams,
            begin: Instant::now(),
            requests: Mutex::default(),
            first_served: Mutex::default(),
            held_up: AtomicBool::new(false),
        });
        let address = listener.local_addr().expect("a bound socket has an address");
        let app = Router::new().fallback(answer).with_state(site.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { address, site, _runtime: runtime }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Paths with queries of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.site.requests.lock().unwrap().clone()
    }

    /// Requests for parts, or for whole segments.
    pub fn asked_for(&self, what: &str) -> usize {
        self.requests().iter().filter(|path| path.contains(what)).count()
    }

    /// Seconds of the first stream that have been made by now.
    pub fn edge(&self) -> f64 {
        WINDOW as f64 * 2.0 + self.site.begin.elapsed().as_secs_f64()
    }

    /// Second of the stream at which the first playlist that was served to whoever asks with this `v` in the query
    /// began: where its viewer's time begins.
    pub fn first_served(&self, v: &str) -> Option<f64> {
        let served = self.site.first_served.lock().unwrap();
        let (_, first) = served.iter().find(|(of, _)| of == v)?;
        Some(self.site.streams[0].durations[..first * PER_SEGMENT].iter().sum())
    }

    /// From now on nothing is answered, or again.
    pub fn hold_up(&self, held_up: bool) {
        self.site.held_up.store(held_up, Ordering::Relaxed);
    }

    /// Seconds that a position of the viewer with this `v` is behind what is made.
    pub fn behind(&self, v: &str, position: gst::ClockTime) -> f64 {
        let zero = self.first_served(v).expect("a playlist was served");
        self.edge() - zero - position.nseconds() as f64 / 1e9
    }

    /// What the first stream is made of, without its initialisation segment.
    pub fn bytes(&self) -> Vec<u8> {
        self.site.streams[0].parts.concat()
    }

    pub fn init(&self) -> Vec<u8> {
        self.site.streams[0].init.clone().unwrap_or_default().to_vec()
    }
}

impl Stream {
    fn load(directory: &Path, name: &str) -> Self {
        let text = std::fs::read_to_string(directory.join("index.m3u8")).expect("a playlist");
        let duration = |line: &str| line.strip_prefix("#EXTINF:")?.trim_end_matches(',').parse().ok();
        let durations: Vec<f64> = text.lines().filter_map(duration).collect();
        let extension = if name == "ts" { "ts" } else { "m4s" };
        let part = |index| {
            Bytes::from(std::fs::read(directory.join(format!("{index}.{extension}"))).expect("a part"))
        };
        Self {
            name: name.to_owned(),
            extension,
            parts: (0..durations.len()).map(part).collect(),
            durations,
            init: std::fs::read(directory.join("init.mp4")).ok().map(Bytes::from),
        }
    }
}

impl Site {
    /// Parts of a stream that are there.
    fn there(&self, stream: &Stream) -> usize {
        let made = WINDOW as f64 * 2.0 + self.begin.elapsed().as_secs_f64();
        let mut end = 0.0;
        let ends = stream.durations.iter().take_while(|duration| {
            end += **duration;
            end <= made + 0.001
        });
        ends.count()
    }

    /// The first segment that is listed, and the one in progress.
    fn window(there: usize) -> (usize, usize) {
        let open = there / PER_SEGMENT;
        (open.saturating_sub(WINDOW), open)
    }

    fn playlist(&self, stream: &Stream, there: usize, skip: bool) -> String {
        let (first, open) = Self::window(there);
        let blocks = if self.manner.blocks { "CAN-BLOCK-RELOAD=YES," } else { "" };
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-SERVER-CONTROL:{blocks}CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5\n#EXT-X-PART-INF:PART-TARGET=0.6\n"
        );
        let skipped = if skip { (open - first).saturating_sub(6) } else { 0 };
        if skipped > 0 {
            text += &format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n");
        } else if stream.init.is_some() {
            text += "#EXT-X-MAP:URI=\"init.mp4\"\n";
        }
        let extension = stream.extension;
        for segment in first + skipped..=open {
            let parts = segment * PER_SEGMENT..there.min((segment + 1) * PER_SEGMENT);
            if segment + WITH_PARTS >= open {
                let mut offset = 0;
                for part in parts.clone() {
                    let (length, duration) = (stream.parts[part].len(), stream.durations[part]);
                    let place = match self.manner.ranges {
                        true => format!("s{segment}.{extension}\",BYTERANGE=\"{length}@{offset}"),
                        false => format!("p{part}.{extension}"),
                    };
                    text += &format!("#EXT-X-PART:DURATION={duration},INDEPENDENT=YES,URI=\"{place}\"\n");
                    offset += length;
                }
            }
            if segment < open {
                let duration: f64 = stream.durations[parts].iter().sum();
                text += &format!("#EXTINF:{duration},\ns{segment}.{extension}\n");
            }
        }
        if self.manner.hints != Hints::None && !self.manner.ranges {
            text += &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p{there}.{extension}\"\n");
        }
        for other in self.streams.iter().filter(|other| other.name != stream.name) {
            let last = self.there(other).saturating_sub(1);
            let (sequence, part) = (last / PER_SEGMENT, last % PER_SEGMENT);
            text +=
                &format!("#EXT-X-RENDITION-REPORT:URI=\"../{}/live.m3u8\",LAST-MSN={sequence},", other.name);
            text += &format!("LAST-PART={part}\n");
        }
        text
    }

    /// A part, if there is or will be one; None: not yet.
    fn part(&self, stream: &Stream, part: usize) -> Option<Response<Body>> {
        let there = self.there(stream);
        let (_, open) = Self::window(there);
        match part {
            part if part / PER_SEGMENT + WITH_PARTS < open => Some(status_only(404)),
            part if part < there => Some(Response::new(Body::from(stream.parts[part].clone()))),
            part if part > there => Some(status_only(404)),
            _ if self.manner.hints == Hints::NotFound => Some(status_only(404)),
            _ => None,
        }
    }
}

async fn answer(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let target = uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
    site.requests.lock().unwrap().push(target);
    while site.held_up.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut path = uri.path().trim_start_matches('/').split('/');
    let (Some(name), Some(file)) = (path.next(), path.next()) else { return master(&site, uri.path()) };
    let Some(stream) = site.streams.iter().find(|stream| stream.name == name) else {
        return status_only(404);
    };
    let number = |prefix: &str| -> Option<usize> {
        file.strip_prefix(prefix)?.strip_suffix(stream.extension)?.strip_suffix('.')?.parse().ok()
    };
    if file == "live.m3u8" {
        return playlist(&site, stream, uri.query().unwrap_or_default()).await;
    }
    if file == "init.mp4" {
        return Response::new(Body::from(stream.init.clone().unwrap_or_default()));
    }
    if let Some(part) = number("p") {
        let early = site.there(stream) <= part;
        loop {
            match site.part(stream, part) {
                Some(_) if early && site.manner.hints == Hints::Never => {}
                Some(response) => return response,
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    if let Some(segment) = number("s") {
        let parts = segment * PER_SEGMENT..site.there(stream).min((segment + 1) * PER_SEGMENT);
        let is_whole = parts.len() == PER_SEGMENT;
        if parts.is_empty() || !is_whole && !site.manner.ranges {
            return status_only(404);
        }
        return ranged(stream.parts[parts].concat().into(), &headers);
    }
    status_only(404)
}

/// The multivariant playlist of all streams, each a variant that is richer than the last, but for the sound of all others.
fn master(site: &Site, path: &str) -> Response<Body> {
    if path != "/all.m3u8" {
        return status_only(404);
    }
    let has_sound = site.streams.iter().any(|stream| stream.name == "audio");
    let (mut text, group) = match has_sound {
        true => (
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,\
             URI=\"audio/live.m3u8\"\n"
                .to_owned(),
            ",AUDIO=\"a\"",
        ),
        false => ("#EXTM3U\n".to_owned(), ""),
    };
    for (n, stream) in site.streams.iter().filter(|stream| stream.name != "audio").enumerate() {
        let (name, bandwidth) = (&stream.name, (n + 1) * 400_000);
        text += &format!("#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"avc1.64000d,mp4a.40.2\",");
        text += &format!("RESOLUTION=320x180{group}\n{name}/live.m3u8\n");
    }
    Response::new(Body::from(text))
}

async fn playlist(site: &Site, stream: &Stream, query: &str) -> Response<Body> {
    let directive = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    let number = |name| directive(name).and_then(|value| value.parse::<usize>().ok());
    if let Some(sequence) = number("_HLS_msn").filter(|_| site.manner.blocks) {
        let wanted = match number("_HLS_part") {
            Some(part) => sequence * PER_SEGMENT + part + 1,
            None => (sequence + 1) * PER_SEGMENT,
        };
        if wanted > site.there(stream) + 3 * PER_SEGMENT {
            return status_only(400);
        }
        while site.there(stream) < wanted.min(stream.parts.len()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let there = site.there(stream);
    let v = directive("v").unwrap_or_default();
    let mut served = site.first_served.lock().unwrap();
    if !served.iter().any(|(of, _)| *of == v) {
        served.push((v, Site::window(there).0));
    }
    drop(served);
    let text = site.playlist(stream, there, directive("_HLS_skip").is_some());
    Response::new(Body::from(text))
}
