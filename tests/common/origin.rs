// SPDX-License-Identifier: MPL-2.0

//! An HTTP origin on loopback that can be told to misbehave.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
    /// Other bytes instead of the file's.
    Body(&'static [u8]),
    /// Begins only after so long.
    Delay(Duration),
    /// Half of the body comes, the rest only when the fault is cleared.
    Stall,
}

type Maker = Arc<dyn Fn() -> String + Send + Sync>;

/// A directory served over HTTP, until dropped.
pub struct Origin {
    address: SocketAddr,
    site: Arc<Site>,
    _runtime: tokio::runtime::Runtime,
}

/// Path and headers.
type Request = (String, HeaderMap);

struct Site {
    root: PathBuf,
    faults: Mutex<Vec<(String, Fault)>>,
    /// Files that are made anew for each request, by path.
    made: Mutex<Vec<(String, Maker)>>,
    requests: Mutex<Vec<Request>>,
    requested: Condvar,
    cleared: tokio::sync::Notify,
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
            requests: Mutex::default(),
            requested: Condvar::new(),
            cleared: tokio::sync::Notify::new(),
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
        self.site.made.lock().unwrap().push((format!("/{path}"), Arc::new(make)));
    }

    /// From now on whatever ends in `path` has this fault.
    pub fn set_fault(&self, path: &str, fault: Fault) {
        self.site.faults.lock().unwrap().push((path.to_owned(), fault));
    }

    pub fn clear_faults(&self) {
        self.site.faults.lock().unwrap().clear();
        self.site.cleared.notify_waiters();
    }

    /// Paths and headers of the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.site.requests.lock().unwrap().clone()
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
    site.requests.lock().unwrap().push((path.clone(), headers.clone()));
    site.requested.notify_all();
    let fault =
        site.faults.lock().unwrap().iter().find(|(end, _)| path.ends_with(end)).map(|(_, f)| f.clone());
    if let Some(Fault::Delay(delay)) = &fault {
        tokio::time::sleep(*delay).await;
    }
    let made = site.made.lock().unwrap().iter().find(|(at, _)| *at == path).map(|(_, make)| make.clone());
    let body = match &fault {
        Some(Fault::Status(status)) => return status_only(*status),
        Some(Fault::Body(bytes)) => Bytes::from_static(bytes),
        _ if made.is_some() => Bytes::from(made.map(|make| make()).unwrap_or_default()),
        _ => {
            match tokio::task::block_in_place(|| std::fs::read(site.root.join(path.trim_start_matches('/'))))
            {
                Ok(bytes) => Bytes::from(bytes),
                Err(_) => return status_only(404),
            }
        }
    };
    let mut response = ranged(body, &headers);
    if let Some(Fault::Stall) = fault {
        let whole = axum::body::to_bytes(std::mem::take(response.body_mut()), usize::MAX).await;
        *response.body_mut() = stalling(whole.expect("bytes in memory"), site);
    }
    response
}

fn status_only(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// The part of `body` that a Range header asks for, or all of it.
fn ranged(body: Bytes, headers: &HeaderMap) -> Response<Body> {
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
