// SPDX-License-Identifier: MPL-2.0

//! HTTP requests: playlists whole, segments as they arrive.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, AGE, CONTENT_RANGE, DATE, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;

use super::cmcd;
use super::tls::TlsError;

/// Why a request failed, in words for the user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    #[error("{url}: the server answered {status}{}", advice(*.status))]
    Status { url: String, status: u16 },
    #[error("{url}: {reason}")]
    Connection { url: String, reason: String },
    #[error("{url}: nothing came for {} s", .waited.as_secs_f32())]
    TimedOut { url: String, waited: Duration },
    #[error("{url}: larger than {limit} bytes")]
    TooLarge { url: String, limit: usize },
    #[error("{url}: the server sent another byte range than asked for")]
    WrongRange { url: String },
    #[error("{url}: the server answered 416{}", advice(416))]
    NoMore {
        url: String,
        /// Size of the resource, if the server says it.
        total: Option<u64>,
    },
    #[error("{url}: the server ignores byte ranges, and this stream cannot be played without them")]
    NoRanges { url: String },
}

/// What a client cannot be made with.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("extra-headers: {0:?} is not a valid header")]
    Header(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("HTTP cannot be set up: {0}")]
    Setup(String),
}

/// HTTP/2 connections in use are probed this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What each request is made with.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub user_agent: String,
    pub extra_headers: Vec<(String, String)>,
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
}

/// A response whose body is still to come.
#[derive(Debug)]
pub struct Body {
    response: Response,
    timeout: Duration,
    /// Offset in the resource of the first byte that comes.
    pub offset: u64,
    /// Size of the whole resource, if the server says it.
    pub total: Option<u64>,
}

impl HttpClient {
    pub fn new(config: HttpConfig, tls: rustls::ClientConfig) -> Result<Self, ClientError> {
        let mut headers = HeaderMap::new();
        for (name, value) in config.extra_headers {
            let bad = || ClientError::Header(name.clone());
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            headers.append(header, HeaderValue::from_str(&value).map_err(|_| bad())?);
        }
        let agent = HeaderValue::from_str(&config.user_agent)
            .map_err(|_| ClientError::Header(format!("user-agent: {}", config.user_agent)))?;
        let mut tls = tls;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = Client::builder()
            .user_agent(agent)
            .default_headers(headers)
            .connect_timeout(config.timeout)
            // Else a connection that has died unnoticed is used again.
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::limited(10))
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| ClientError::Setup(describe(&error)))?;
        Ok(Self { client, timeout: config.timeout, cmcd: config.cmcd, object: cmcd::Object::default() })
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
        let header = |name| Some(body.response.headers().get(name)?.to_str().ok()?.to_owned());
        let date: Option<String> = header(DATE);
        let age = header(AGE).and_then(|age| age.trim().parse().ok()).map(Duration::from_secs);
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
        Ok(Fetched { url: self.told_in(body.response.url()), body: whole.freeze(), date, age })
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
        let keys = self.cmcd.as_ref().map(|session| (session.mode, session.keys(&self.object)));
        let mut request = match &keys {
            Some((cmcd::Mode::Query, keys)) => self.client.request(method, keys.in_query(url)),
            _ => self.client.request(method, url.clone()),
        };
        if let Some((cmcd::Mode::Headers, keys)) = &keys {
            for (name, value) in cmcd::HEADERS.into_iter().zip(keys.headers()).filter(|(_, v)| !v.is_empty())
            {
                request = request.header(name, value);
            }
        }
        let ranged = part != Part::default();
        if ranged {
            let last = part.length.map(|length| part.offset.saturating_add(length).saturating_sub(1));
            let last = last.map(|last| last.to_string()).unwrap_or_default();
            request = request.header(RANGE, format!("bytes={}-{last}", part.offset));
        }
        if !compressed {
            // Offsets and sizes are of the bytes themselves.
            request = request.header(ACCEPT_ENCODING, "identity");
        }
        let sent = tokio::time::timeout(self.timeout, request.send()).await;
        let response = sent
            .map_err(|_| HttpError::TimedOut { url: url.to_string(), waited: self.timeout })?
            .map_err(|error| failure(url, &error, self.timeout))?;
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
                return Err(HttpError::Status { url, status: status.as_u16() });
            }
        };
        Ok(Body { response, timeout: self.timeout, offset, total })
    }
}

impl Body {
    /// The next bytes, None at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let url = cmcd::without_query(self.response.url());
        match tokio::time::timeout(self.timeout, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| failure(&url, &error, self.timeout)),
            Err(_) => Err(HttpError::TimedOut { url: url.to_string(), waited: self.timeout }),
        }
    }
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

/// What the user can do about it.
fn advice(status: u16) -> &'static str {
    match status {
        401 => ": it asks for a login; extra-headers can carry one (Authorization)",
        403 => {
            ": it refuses; is the address out of date, or does it want certain extra-headers or a user-agent?"
        }
        404 | 410 => ": there is nothing at this address (any more)",
        416 => ": the resource ends before the bytes asked for",
        429 => ": it has had too many requests",
        500.. => ": the server is in trouble; try again later",
        _ => "",
    }
}

fn failure(url: &Url, error: &reqwest::Error, timeout: Duration) -> HttpError {
    let url = &cmcd::without_query(error.url().unwrap_or(url));
    match error.is_timeout() {
        true => HttpError::TimedOut { url: url.to_string(), waited: timeout },
        false => HttpError::Connection { url: url.to_string(), reason: explain(url, error) },
    }
}

/// Says in the user's words what the network, the resolver or TLS say in theirs.
fn explain(url: &Url, error: &reqwest::Error) -> String {
    let cause = describe(error);
    let host = url.host_str().unwrap_or_default();
    if error.is_body() || error.is_decode() {
        return format!("the response broke off: {cause}");
    }
    if !error.is_connect() {
        return cause;
    }
    if cause.contains("invalid peer certificate") {
        return format!(
            "the certificate of {host} is not trusted ({cause}); ssl-ca-file adds an authority, \
             ssl-strict=false takes any certificate"
        );
    }
    if cause.contains("lookup") {
        return format!("the host {host} cannot be found ({cause})");
    }
    let port = url.port_or_known_default().unwrap_or_default();
    format!("no connection to {host}, port {port}: {cause}")
}

/// The innermost cause says what happened; the outer ones only where.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
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
