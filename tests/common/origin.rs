// SPDX-License-Identifier: MPL-2.0

//! An HTTP origin on loopback that can be told to misbehave.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use futures_util::{StreamExt, stream};

/// What is wrong with a file.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Comes with this status and nothing else.
    Status(u16),
    /// 429, with a wish to be left alone for so many seconds.
    TooMany(u32),
    /// Other bytes instead of the file's.
    Body(&'static [u8]),
    /// Begins only after so long.
    Delay(Duration),
    /// Half of the body comes, the rest only when the fault is cleared.
    Stall,
}

/// Makes a file for a query; None: it is not there yet.
type Maker = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Says which paths are not there.
type Hider = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// A directory served over HTTP, until dropped.
pub struct Origin {
    address: SocketAddr,
    site: Arc<Site>,
    _runtime: tokio::runtime::Runtime,
}

/// Path with query, and headers.
type Request = (String, HeaderMap);

struct Site {
    root: PathBuf,
    faults: Mutex<Vec<(String, Fault)>>,
    /// Files that are made anew for each request, by path.
    made: Mutex<Vec<(String, Maker)>>,
    /// Files in memory, by path.
    held: Mutex<Vec<(String, Bytes)>>,
    /// Whether a path is not there yet.
    hidden: Mutex<Option<Hider>>,
    requests: Mutex<Vec<Request>>,
    requested: Condvar,
    cleared: tokio::sync::Notify,
    /// Bytes a second of all bodies together; 0 is as fast as it goes.
    rate: AtomicU64,
    /// Whoever holds it sends.
    line: tokio::sync::Mutex<()>,
}

impl Origin {
    pub fn serve(root: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the origin");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let site = Arc::new(Site {
            root: root.to_owned(),
            faults: Mutex::default(),
            made: Mutex::default(),
            held: Mutex::default(),
            hidden: Mutex::default(),
            requests: Mutex::default(),
            requested: Condvar::new(),
            cleared: tokio::sync::Notify::new(),
            rate: AtomicU64::new(0),
            line: tokio::sync::Mutex::default(),
        });
        let address = listener.local_addr().expect("a bound socket has an address");
        let app = Router::new().fallback(answer).with_state(site.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { address, site, _runtime: runtime }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// From now on `path` is what `make` gives at each request.
    pub fn set_made(&self, path: &str, make: impl Fn() -> String + Send + Sync + 'static) {
        self.set_answer(path, move |_| Some(make()));
    }

    /// From now on `path` is what `answer` gives for the query of each request; while that is None, the request
    /// waits.
    pub fn set_answer(&self, path: &str, answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) {
        self.site.made.lock().unwrap().push((format!("/{path}"), Arc::new(answer)));
    }

    /// From now on `path` is these bytes.
    pub fn set_bytes(&self, path: &str, bytes: Vec<u8>) {
        self.site.held.lock().unwrap().push((format!("/{path}"), bytes.into()));
    }

    /// From now on paths of which `hidden` says so are not there.
    pub fn hide(&self, hidden: impl Fn(&str) -> bool + Send + Sync + 'static) {
        *self.site.hidden.lock().unwrap() = Some(Arc::new(hidden));
    }

    /// From now on whatever ends in `path` has this fault.
    pub fn set_fault(&self, path: &str, fault: Fault) {
        self.site.faults.lock().unwrap().push((path.to_owned(), fault));
    }

    /// From now on all bodies together come at so many bits a second.
    pub fn set_rate(&self, bits: u64) {
        self.site.rate.store(bits / 8, Ordering::Relaxed);
    }

    pub fn clear_faults(&self) {
        self.site.faults.lock().unwrap().clear();
        self.site.cleared.notify_waiters();
    }

    /// Paths with queries and headers of the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.site.requests.lock().unwrap().clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.site.requests.lock().unwrap().clear();
    }

    /// Waits until the requests so far are as wanted.
    pub fn wait_for(&self, wanted: impl Fn(&[Request]) -> bool) {
        let requests = self.site.requests.lock().unwrap();
        let unwanted = |requests: &mut Vec<Request>| !wanted(requests);
        let (requests, timeout) = self
            .site
            .requested
            .wait_timeout_while(requests, Duration::from_secs(30), unwanted)
            .expect("the origin does not panic");
        assert!(!timeout.timed_out(), "requests after 30 s: {requests:?}");
    }
}

async fn answer(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let path = uri.path().to_owned();
    let target = uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
    site.requests.lock().unwrap().push((target, headers.clone()));
    site.requested.notify_all();
    let fault =
        site.faults.lock().unwrap().iter().find(|(end, _)| path.ends_with(end)).map(|(_, f)| f.clone());
    if let Some(Fault::Delay(delay)) = &fault {
        tokio::time::sleep(*delay).await;
    }
    let hidden = site.hidden.lock().unwrap().clone();
    if hidden.is_some_and(|hidden| hidden(&path)) {
        return status_only(404);
    }
    let held = site.held.lock().unwrap().iter().find(|(at, _)| *at == path).map(|(_, bytes)| bytes.clone());
    let made = site.made.lock().unwrap().iter().find(|(at, _)| *at == path).map(|(_, make)| make.clone());
    let body = match &fault {
        Some(Fault::Status(status)) => return status_only(*status),
        Some(Fault::TooMany(seconds)) => {
            let mut response = status_only(429);
            response.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
            return response;
        }
        Some(Fault::Body(bytes)) => Bytes::from_static(bytes),
        _ if held.is_some() => held.unwrap_or_default(),
        _ if made.is_some() => {
            let make = |query| made.as_ref().and_then(|make| make(query));
            loop {
                match make(uri.query().unwrap_or_default()) {
                    Some(text) => break Bytes::from(text),
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
        _ => {
            match tokio::task::block_in_place(|| std::fs::read(site.root.join(path.trim_start_matches('/'))))
            {
                Ok(bytes) => Bytes::from(bytes),
                Err(_) => return status_only(404),
            }
        }
    };
    let mut response = ranged(body, &headers);
    if site.rate.load(Ordering::Relaxed) > 0 {
        let whole = axum::body::to_bytes(std::mem::take(response.body_mut()), usize::MAX).await;
        *response.body_mut() = throttled(whole.expect("bytes in memory"), site);
        return response;
    }
    if let Some(Fault::Stall) = fault {
        let whole = axum::body::to_bytes(std::mem::take(response.body_mut()), usize::MAX).await;
        *response.body_mut() = stalling(whole.expect("bytes in memory"), site);
    }
    response
}

/// A response of nothing but its status.
pub fn status_only(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// The part of `body` that a Range header asks for, or all of it.
pub fn ranged(body: Bytes, headers: &HeaderMap) -> Response<Body> {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()?.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return Response::new(Body::from(body));
    };
    let first: usize = first.parse().unwrap_or(0);
    let end = last.parse::<usize>().map_or(body.len(), |last| (last + 1).min(body.len()));
    if first >= end {
        return status_only(416);
    }
    Response::builder()
        .status(StatusCode::PARTIAL_CONTENT)
        .header(header::CONTENT_RANGE, format!("bytes {first}-{}/{}", end - 1, body.len()))
        .header(header::CONTENT_LENGTH, end - first)
        .body(Body::from(body.slice(first..end)))
        .expect("a good response")
}

/// Sends piece by piece, one response after the other, as over one slow line.
fn throttled(body: Bytes, site: Arc<Site>) -> Body {
    let pieces: Vec<Bytes> =
        (0..body.len()).step_by(4096).map(|at| body.slice(at..(at + 4096).min(body.len()))).collect();
    let sent = stream::iter(pieces).then(move |piece| {
        let site = site.clone();
        async move {
            let _line = site.line.lock().await;
            let rate = site.rate.load(Ordering::Relaxed).max(1);
            tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64)).await;
            Ok::<_, std::convert::Infallible>(piece)
        }
    });
    Body::from_stream(sent)
}

fn stalling(body: Bytes, site: Arc<Site>) -> Body {
    let (head, tail) = (body.slice(..body.len() / 2), body.slice(body.len() / 2..));
    let rest = stream::once(async move {
        let mut cleared = std::pin::pin!(site.cleared.notified());
        cleared.as_mut().enable();
        if !site.faults.lock().unwrap().is_empty() {
            cleared.await;
        }
        tail
    });
    Body::from_stream(stream::iter([head]).chain(rest).map(Ok::<_, std::convert::Infallible>))
}
