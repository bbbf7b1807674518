// SPDX-License-Identifier: MPL-2.0

//! A live DASH stream whose segments can be asked for while they are made: 2 s, in chunks of half a second, by an
//! origin that sends each chunk when its time has come, as packagers for low latency do.

use std::convert::Infallible;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use futures_util::{Stream, StreamExt, stream};

use super::dash::{boxes, date, period};
use super::media::STREAMS;

pub const SEGMENT: Duration = Duration::from_secs(2);
const CHUNK: Duration = Duration::from_millis(500);
const CHUNKS: usize = 4;

/// Segments that there will ever be.
const COUNT: usize = 105;

/// Those that are whole when the origin begins.
const BEFORE: u32 = 5;

/// The file that the stream is cut from: fragments of [`CHUNK`], key frames where segments begin.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("low-latency.mp4");
    if !place.exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        let file = work.path().join("v.mp4");
        let seconds = (COUNT as u64 * SEGMENT.as_secs()).to_string();
        let status = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=24"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440", "-t", &seconds])
            .args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "48", "-keyint_min", "48"])
            .args(["-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "mp4"])
            .args(["-movflags", "+empty_moov+default_base_moof+frag_keyframe", "-frag_duration", "500000"])
            .arg(&file)
            .status()
            .expect("ffmpeg is installed");
        assert!(status.success(), "ffmpeg makes a file of fragments");
        // Fails if another process was faster, which has made the same.
        let _ = std::fs::rename(file, &place);
    }
    place
});

/// What is odd about the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Chunked,
    /// It ignores the Range header.
    NoRanges,
    /// The first response to every third segment stops after two chunks and stays silent.
    Stalls,
    /// The same breaks off.
    Closes,
    /// It answers when it has the whole segment, and says how long that is.
    Whole,
    /// It takes what there is by now for the whole segment, and says how long that is.
    Grows,
}

/// The origin, until dropped.
pub struct ChunkedOrigin {
    address: SocketAddr,
    site: Arc<Site>,
    _runtime: tokio::runtime::Runtime,
}

struct Site {
    init: Bytes,
    /// Of each segment its chunks.
    segments: Vec<Vec<Bytes>>,
    manner: Manner,
    /// When the stream began by this machine's clocks.
    start: Instant,
    start_date: Duration,
    /// Numbers of segments that were asked for, and from which byte.
    requests: Mutex<Vec<(usize, u64)>>,
}

impl ChunkedOrigin {
    pub fn serve(manner: Manner) -> Self {
        let file = std::fs::read(&*FILE).expect("the stream is there");
        let init = boxes(&file, b"moov").end;
        let mut fragments = Vec::new();
        let mut at = init;
        while file.get(at + 4..at + 8) == Some(b"moof") {
            let end = at + boxes(&file[at..], b"mdat").end;
            fragments.push(Bytes::copy_from_slice(&file[at..end]));
            at = end;
        }
        let segments = fragments.chunks_exact(CHUNKS).map(<[Bytes]>::to_vec).collect();
        let before = SEGMENT * BEFORE;
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
        // To the millisecond, as the MPD says it.
        let start_date = Duration::from_millis((now - before).as_millis() as u64);
        let site = Arc::new(Site {
            init: Bytes::copy_from_slice(&file[..init]),
            segments,
            manner,
            start: Instant::now() - before,
            start_date,
            requests: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime for the origin");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let app = Router::new().fallback(answer).with_state(site.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { address, site, _runtime: runtime }
    }

    pub fn url(&self) -> String {
        format!("http://{}/live.mpd", self.address)
    }

    /// How far the stream has been recorded.
    pub fn live_position(&self) -> Duration {
        self.site.start.elapsed()
    }

    /// Numbers of the segments that were asked for so far, and from which byte.
    pub fn requests(&self) -> Vec<(usize, u64)> {
        self.site.requests.lock().unwrap().clone()
    }

    /// Seconds that `position` is behind what is being recorded.
    pub fn behind(&self, position: gst::ClockTime) -> f64 {
        self.live_position().as_secs_f64() - position.seconds_f64()
    }

    /// How often each segment was asked for, from this one on, but for the newest.
    pub fn often(&self, from: usize) -> Vec<usize> {
        let requests = self.requests();
        let newest = requests.iter().map(|(number, _)| *number).max().unwrap_or(0);
        let of = |number| requests.iter().filter(|(asked, _)| *asked == number).count();
        (from..newest).map(of).collect()
    }

    /// What left an element is the initialisation segment and then segments without a gap; the same once more where
    /// playback was brought to the edge.
    pub fn assert_part(&self, bytes: &[u8]) {
        let all: Vec<Vec<u8>> = self.site.segments.iter().map(|chunks| chunks.concat()).collect();
        let (mut rest, mut pieces) = (bytes, 0);
        while !rest.is_empty() {
            rest = rest.strip_prefix(&self.site.init[..]).expect("the initialisation segment");
            let begins = |segment: &Vec<u8>| rest.starts_with(&segment[..segment.len().min(rest.len())]);
            let first = all.iter().position(begins).expect("a segment of the stream");
            let whole = all[first..].concat();
            let same = rest.iter().zip(&whole).take_while(|(ours, theirs)| ours == theirs).count();
            rest = &rest[same..];
            pieces += 1;
        }
        assert!((1..=2).contains(&pieces), "{pieces} pieces");
    }
}

impl Site {
    fn mpd(&self) -> String {
        let template = "<SegmentTemplate media=\"$Number$.m4s\" initialization=\"init.mp4\" startNumber=\"0\" \
             duration=\"2\" availabilityTimeOffset=\"1.5\" availabilityTimeComplete=\"false\"/>";
        format!(
            "<MPD type=\"dynamic\" availabilityStartTime=\"{}\" minimumUpdatePeriod=\"PT30S\">\
             <ServiceDescription><Latency target=\"3000\"/></ServiceDescription>{}\
             <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-iso:2014\" value=\"time\"/></MPD>",
            date(self.start_date),
            period("id=\"1\" start=\"PT0S\"", template)
        )
    }

    /// When a chunk is there.
    fn due(&self, segment: usize, chunk: usize) -> Instant {
        self.start + SEGMENT * segment as u32 + CHUNK * (chunk as u32 + 1)
    }

    /// The bytes of a segment from `offset` on, each chunk in its time.
    fn paced(
        self: Arc<Self>,
        segment: usize,
        chunks: usize,
        offset: u64,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        let mut skip = offset as usize;
        let parts: Vec<(usize, Bytes)> = self.segments[segment][..chunks]
            .iter()
            .enumerate()
            .filter_map(|(at, bytes)| {
                let part = bytes.slice(skip.min(bytes.len())..);
                skip = skip.saturating_sub(bytes.len());
                (!part.is_empty()).then_some((at, part))
            })
            .collect();
        stream::iter(parts).then(move |(chunk, bytes)| {
            let due = self.due(segment, chunk);
            async move {
                tokio::time::sleep_until(due.into()).await;
                Ok(bytes)
            }
        })
    }
}

async fn answer(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let plain = |bytes: Bytes| Response::new(Body::from(bytes));
    match uri.path() {
        "/live.mpd" => return plain(site.mpd().into()),
        "/time" => return plain(date(site.start_date + site.start.elapsed()).into()),
        "/init.mp4" => return plain(site.init.clone()),
        _ => {}
    }
    let number = uri.path().strip_prefix('/').and_then(|path| path.strip_suffix(".m4s")?.parse().ok());
    let begun = |number: &usize| {
        *number < site.segments.len() && Instant::now() >= site.start + SEGMENT * *number as u32
    };
    let Some(number) = number.filter(begun) else { return status(StatusCode::NOT_FOUND) };
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()?.strip_prefix("bytes="));
    let offset = range.and_then(|range| range.strip_suffix('-')?.parse().ok());
    let is_first = {
        let mut requests = site.requests.lock().unwrap();
        let is_first = !requests.iter().any(|(known, _)| *known == number);
        requests.push((number, offset.unwrap_or(0)));
        is_first
    };
    let offset = offset.filter(|_| site.manner != Manner::NoRanges);
    let from = offset.unwrap_or(0);
    let whole = site.due(number, CHUNKS - 1);
    let mut size = site.segments[number].iter().map(Bytes::len).sum::<usize>() as u64;
    if site.manner == Manner::Whole {
        tokio::time::sleep_until(whole.into()).await;
    }
    let made = (0..CHUNKS).filter(|chunk| site.due(number, *chunk) <= Instant::now()).count();
    if site.manner == Manner::Grows {
        if made == 0 {
            return status(StatusCode::NOT_FOUND);
        }
        size = site.segments[number][..made].iter().map(Bytes::len).sum::<usize>() as u64;
    }
    let has_size = made == CHUNKS || site.manner == Manner::Grows;
    if has_size && from >= size {
        let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
        let range = format!("bytes */{size}").parse().expect("a header");
        response.headers_mut().insert(header::CONTENT_RANGE, range);
        return response;
    }
    let odd = is_first && number.is_multiple_of(3) && made < CHUNKS;
    let body = match site.manner {
        Manner::Stalls if odd => {
            Body::from_stream(site.clone().paced(number, 2, from).chain(stream::pending()))
        }
        Manner::Closes if odd => {
            let end = stream::once(async { Err(Error::from(ErrorKind::ConnectionReset)) });
            Body::from_stream(site.clone().paced(number, 2, from).chain(end))
        }
        _ => Body::from_stream(site.clone().paced(number, if has_size { made } else { CHUNKS }, from)),
    };
    let mut response = Response::builder();
    if has_size {
        response = response.header(header::CONTENT_LENGTH, size - from);
    }
    if offset.is_some() {
        response = response.status(StatusCode::PARTIAL_CONTENT);
        // Of what still grows: RFC 8673, section 2.
        let range = match has_size {
            true => format!("bytes {from}-{}/{size}", size - 1),
            false => format!("bytes {from}-9007199254740991/*"),
        };
        response = response.header(header::CONTENT_RANGE, range);
    }
    response.body(body).expect("a good response")
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()));
    *response.status_mut() = status;
    response
}
