// SPDX-License-Identifier: MPL-2.0

//! HTTP requests: playlists whole, segments as they arrive.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::tls::TlsError;

/// Why a request failed, in words for the user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    #[error("{url}: the server answered {status}")]
    Status { url: String, status: u16 },
    #[error("{url}: {reason}")]
    Connection { url: String, reason: String },
    #[error("{url}: nothing came for {} s", .waited.as_secs_f32())]
    TimedOut { url: String, waited: Duration },
    #[error("{url}: larger than {limit} bytes")]
    TooLarge { url: String, limit: usize },
    #[error("{url}: the server sent another byte range than asked for")]
    WrongRange { url: String },
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

/// What each request is made with.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub user_agent: String,
    pub extra_headers: Vec<(String, String)>,
    /// How long a connection may take to come about, and how long a response may be silent.
    pub timeout: Duration,
}

/// A part of a resource: `length` bytes from `offset`, to the end if None.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub offset: u64,
    pub length: Option<u64>,
}

/// Connections are kept and shared by its clones.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client,
    timeout: Duration,
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
            .redirect(reqwest::redirect::Policy::limited(10))
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| ClientError::Setup(describe(&error)))?;
        Ok(Self { client, timeout: config.timeout })
    }

    /// Fetches a small resource whole, compressed if the server can. Gives it with the URL that it came
    /// from in the end.
    pub async fn get(&self, url: &Url, part: Part, limit: usize) -> Result<(Url, Bytes), HttpError> {
        let mut body = self.open(url, part, true).await?;
        let too_large = || HttpError::TooLarge { url: url.to_string(), limit };
        let mut whole = BytesMut::new();
        while let Some(chunk) = body.chunk().await? {
            if whole.len() + chunk.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok((body.response.url().clone(), whole.freeze()))
    }

    /// Asks for a part of a resource and waits for the head of the response.
    pub async fn open(&self, url: &Url, part: Part, compressed: bool) -> Result<Body, HttpError> {
        let mut request = self.client.get(url.clone());
        let ranged = part != Part::default();
        if ranged {
            let last = part.length.map(|length| (part.offset + length).saturating_sub(1));
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
            .map_err(|error| connection(url, &error))?;
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
            status => return Err(HttpError::Status { url: url.to_string(), status: status.as_u16() }),
        };
        Ok(Body { response, timeout: self.timeout, offset, total })
    }
}

impl Body {
    /// The next bytes, None at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let url = self.response.url().clone();
        match tokio::time::timeout(self.timeout, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| connection(&url, &error)),
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

fn connection(url: &Url, error: &reqwest::Error) -> HttpError {
    HttpError::Connection { url: url.to_string(), reason: describe(error) }
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
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes */10", "bytes x-9/10", "items 0-1/2", "bytes 5/10"] {
            assert_eq!(parse_content_range(bad), None, "{bad:?}");
        }
    }
}
