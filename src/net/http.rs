// SPDX-License-Identifier: MPL-2.0

//! HTTP requests: playlists whole, segments as they arrive. Files of this machine come the same way, where the user
//! has named one and nothing but files has named more.
//!
//! | file | holds |
//! | --- | --- |
//! | `body` | what a request brings |
//! | `file` | files of this machine |
//! | `credentials`, `cookies` | who gets which of the user's headers and cookies |
//! | `hosts` | how many requests there are to one host at once |
//! | `error` | what can go wrong |

mod body;
mod cookies;
mod credentials;
mod error;
mod file;
mod hosts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, AGE, CONTENT_RANGE, DATE, HeaderValue, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Version};
use url::Url;

use super::cmcd;
use super::proxy::Proxies;
pub use body::Body;
use body::Source;
use cookies::Cookies;
use credentials::{Credentials, UserHeaders};
pub use error::{ClientError, HttpError};
use error::{describe, failure};
use file::LocalFile;
use hosts::Hosts;

/// HTTP/2 connections in use are probed this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is redirected more often leads nowhere.
const MAX_REDIRECTS: usize = 10;

/// What each request is made with.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// What the user has named: `file:`, or where credentials and cookies belong.
    pub home: Url,
    pub user_agent: String,
    /// Of these, Authorization does not follow redirects to other servers, and Cookie goes to the host of `home` only.
    pub extra_headers: Vec<(String, String)>,
    /// The user's own, as Set-Cookie has them.
    pub cookies: Vec<String>,
    pub proxies: Proxies,
    /// How long a connection may take to come about, and how long a response may be silent.
    pub timeout: Duration,
    /// What servers are told of the player with each request; None: nothing.
    pub cmcd: Option<Arc<cmcd::Session>>,
}

/// A part of a resource: `length` bytes from `offset`, to the end if None.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub offset: u64,
    pub length: Option<u64>,
}

/// What is to be fetched whole.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub url: &'a Url,
    pub part: Part,
    /// Only the head of the response is of interest.
    pub head_only: bool,
    /// Most bytes of the body.
    pub limit: usize,
}

/// A response that has come whole.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it came from in the end.
    pub url: Url,
    pub body: Bytes,
    /// The Date header.
    pub date: Option<String>,
    /// The Age header.
    pub age: Option<Duration>,
}

/// Connections are kept and shared by its clones.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client,
    timeout: Duration,
    cmcd: Option<Arc<cmcd::Session>>,
    object: cmcd::Object,
    credentials: Arc<Credentials>,
    proxies: Proxies,
    hosts: Arc<Hosts>,
    /// Files may be read: none but the user and files of the user's have named any.
    files: Arc<AtomicBool>,
}

impl HttpClient {
    pub fn new(config: HttpConfig, mut tls: rustls::ClientConfig) -> Result<Self, ClientError> {
        let files = config.home.scheme() == "file";
        let headers = UserHeaders::new(config.extra_headers, config.home.clone())?;
        let own = config.cookies.iter().chain(&headers.cookies).map(String::as_str);
        let cookies = Cookies::new(own, &config.home)?;
        let agent = HeaderValue::from_str(&config.user_agent)
            .map_err(|_| ClientError::Header(format!("user-agent: {}", config.user_agent)))?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut client = Client::builder()
            .user_agent(agent)
            .default_headers(headers.common)
            .cookie_provider(Arc::new(cookies))
            .connect_timeout(config.timeout)
            // Else a connection that has died unnoticed is used again.
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls);
        let setup = |error: reqwest::Error| ClientError::Setup(describe(&error));
        if let Some(proxy) = config.proxies.own() {
            client = client.proxy(reqwest::Proxy::all(proxy.as_str()).map_err(setup)?);
        }
        Ok(Self {
            client: client.build().map_err(setup)?,
            timeout: config.timeout,
            cmcd: config.cmcd,
            object: cmcd::Object::default(),
            credentials: Arc::new(headers.credentials),
            proxies: config.proxies,
            hosts: Arc::default(),
            files: Arc::new(AtomicBool::new(files)),
        })
    }

    /// From now on no file is read: something that can name files came from elsewhere.
    pub fn leave_files(&self) {
        if self.files.swap(false, Ordering::Relaxed) {
            log::info!(target: "p2phls-net", "a manifest came over HTTP: no file is read any more");
        }
    }

    /// The same client, which lets servers take at least so long to answer.
    pub fn patient(&self, timeout: Duration) -> Self {
        Self { timeout: self.timeout.max(timeout), ..self.clone() }
    }

    /// The same client, which says that it asks for this.
    pub fn asking_for(&self, object: cmcd::Object) -> Self {
        Self { object, ..self.clone() }
    }

    /// Fetches a small resource, or a small part of one. Gives it with the URL that it came from in the end.
    pub async fn get(&self, url: &Url, part: Part, limit: usize) -> Result<(Url, Bytes), HttpError> {
        let fetched = self.fetch(Request { url, part, head_only: false, limit }).await?;
        Ok((fetched.url, fetched.body))
    }

    /// Fetches a small resource, or a small part of one.
    pub async fn fetch(&self, request: Request<'_>) -> Result<Fetched, HttpError> {
        let Request { url, part, head_only, limit } = request;
        // Whether a range counts compressed bytes is for each server to guess.
        let compressed = part == Part::default();
        let method = if head_only { Method::HEAD } else { Method::GET };
        let mut body = self.ask(method, url, part, compressed).await?;
        let date = body.header(DATE).map(str::to_owned);
        let age = body.header(AGE).and_then(|age| age.trim().parse().ok()).map(Duration::from_secs);
        if body.offset != part.offset {
            return Err(HttpError::NoRanges { url: url.to_string() });
        }
        let wanted = part.length.map_or(usize::MAX, |length| length.try_into().unwrap_or(usize::MAX));
        let mut whole = BytesMut::new();
        // A server that does not know ranges goes on after what was asked for.
        while whole.len() < wanted
            && let Some(chunk) = body.chunk().await?
        {
            whole.extend_from_slice(&chunk[..chunk.len().min(wanted - whole.len())]);
            if whole.len() > limit {
                return Err(HttpError::TooLarge { url: url.to_string(), limit });
            }
        }
        if part.length.is_some() && whole.len() < wanted {
            return Err(HttpError::WrongRange { url: url.to_string() });
        }
        Ok(Fetched { url: self.told_in(body.url()), body: whole.freeze(), date, age })
    }

    /// Asks for a part of a resource and waits for the head of the response.
    pub async fn open(&self, url: &Url, part: Part, compressed: bool) -> Result<Body, HttpError> {
        self.ask(Method::GET, url, part, compressed).await
    }

    /// An address that a response came from, without what was told in its query.
    fn told_in(&self, url: &Url) -> Url {
        match &self.cmcd {
            Some(session) if session.mode == cmcd::Mode::Query => cmcd::without_query(url),
            _ => url.clone(),
        }
    }

    async fn ask(&self, method: Method, url: &Url, part: Part, compressed: bool) -> Result<Body, HttpError> {
        if url.scheme() == "file" {
            return self.read(url, part).await;
        }
        // Its own wait, which says nothing of the server.
        let place = self.hosts.place(url).await;
        let sent = tokio::time::timeout(self.timeout, self.send(method, url, part, compressed)).await;
        let response =
            sent.map_err(|_| HttpError::TimedOut { url: url.to_string(), waited: self.timeout })??;
        if response.version() == Version::HTTP_2 && response.url().origin() == url.origin() {
            place.multiplexes();
        }
        let ranged = part != Part::default();
        let status = response.status();
        let (offset, total) = match status {
            StatusCode::PARTIAL_CONTENT if ranged => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
                let (first, total) = range
                    .and_then(parse_content_range)
                    .ok_or_else(|| HttpError::WrongRange { url: url.to_string() })?;
                if first != part.offset {
                    return Err(HttpError::WrongRange { url: url.to_string() });
                }
                (first, total)
            }
            status if status.is_success() => (0, response.content_length()),
            StatusCode::RANGE_NOT_SATISFIABLE if ranged => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
                let total = range.and_then(parse_unsatisfied_range);
                return Err(HttpError::NoMore { url: response.url().to_string(), total });
            }
            status => {
                // Where redirects led to says more than where they began.
                let url = self.told_in(response.url()).to_string();
                let wait = response
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
                let retry_after = wait.map(Duration::from_secs);
                return Err(HttpError::Status { url, status: status.as_u16(), retry_after });
            }
        };
        Ok(Body {
            source: Source::Response(response),
            _place: Some(place),
            timeout: self.timeout,
            offset,
            total,
        })
    }

    /// Sends a request, and again to where it is redirected. Not left to `reqwest`, which then forgets the login of a
    /// proxy.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        part: Part,
        compressed: bool,
    ) -> Result<Response, HttpError> {
        let keys = self.cmcd.as_ref().map(|session| (session.mode, session.keys(&self.object)));
        let mut to = match &keys {
            Some((cmcd::Mode::Query, keys)) => keys.in_query(url),
            _ => url.clone(),
        };
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client.request(method.clone(), to.clone());
            if let Some((cmcd::Mode::Headers, keys)) = &keys {
                let headers = cmcd::HEADERS.into_iter().zip(keys.headers());
                for (name, value) in headers.filter(|(_, value)| !value.is_empty()) {
                    request = request.header(name, value);
                }
            }
            if let Some(credentials) = self.credentials.of(url, &to) {
                request = request.headers(credentials.clone());
            }
            if part != Part::default() {
                let last = part.length.map(|length| part.offset.saturating_add(length).saturating_sub(1));
                let last = last.map(|last| last.to_string()).unwrap_or_default();
                request = request.header(RANGE, format!("bytes={}-{last}", part.offset));
            }
            if !compressed {
                // Offsets and sizes are of the bytes themselves.
                request = request.header(ACCEPT_ENCODING, "identity");
            }
            let sent = request.send().await;
            let response =
                sent.map_err(|error| failure(&to, &error, self.timeout, self.proxies.to(&to).as_ref()))?;
            let Some(next) = redirection(&response) else { return Ok(response) };
            if !matches!(next.scheme(), "http" | "https") {
                let reason = format!("it leads to {}:, which is not asked for there", next.scheme());
                return Err(HttpError::Connection { url: self.told_in(&to).to_string(), reason });
            }
            to = next;
        }
        let reason = "too many redirects".to_owned();
        Err(HttpError::Connection { url: self.told_in(&to).to_string(), reason })
    }

    /// Opens a file of this machine.
    async fn read(&self, url: &Url, part: Part) -> Result<Body, HttpError> {
        if !self.files.load(Ordering::Relaxed) {
            return Err(HttpError::FileNamedByOthers { url: url.to_string() });
        }
        let opened = tokio::time::timeout(self.timeout, LocalFile::open(url, part)).await;
        let file =
            opened.map_err(|_| HttpError::TimedOut { url: url.to_string(), waited: self.timeout })??;
        let total = Some(file.total);
        Ok(Body {
            source: Source::File(file),
            _place: None,
            timeout: self.timeout,
            offset: part.offset,
            total,
        })
    }
}

/// Where a response sends us on to (RFC 9110, section 15.4).
fn redirection(response: &Response) -> Option<Url> {
    let location = response.headers().get(LOCATION)?;
    let location = std::str::from_utf8(location.as_bytes()).ok()?;
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| response.url().join(location).ok())?
}

/// Reads `bytes FIRST-LAST/TOTAL` (RFC 9110, section 14.4).
fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

/// Reads `bytes */TOTAL`, which says why a range cannot be had (RFC 9110, section 14.4).
fn parse_unsatisfied_range(value: &str) -> Option<u64> {
    let total = value.trim().strip_prefix("bytes")?.trim_start().strip_prefix("*/")?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_unsatisfied_range("bytes */10"), Some(10));
        assert_eq!(parse_unsatisfied_range("bytes */*"), None);
        // Of what still grows: RFC 8673, section 2.
        assert_eq!(parse_content_range("bytes 5-9007199254740991/*"), Some((5, None)));
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes */10", "bytes x-9/10", "items 0-1/2", "bytes 5/10"] {
            assert_eq!(parse_content_range(bad), None, "{bad:?}");
        }
    }
}
