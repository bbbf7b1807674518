// SPDX-License-Identifier: MPL-2.0

//! What can go wrong with requests, and what the user can do about it.

use std::io;
use std::time::Duration;

use url::Url;

use crate::net::cmcd;
use crate::net::proxy::Proxy;
use crate::net::tls::TlsError;

/// Why a request failed, in words for the user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    #[error("{url}: the server answered {status}{}", advice(*.status))]
    Status {
        url: String,
        status: u16,
        /// Retry-After, where it is a number of seconds.
        retry_after: Option<Duration>,
    },
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
    #[error("{url}: {reason}")]
    File { url: String, kind: io::ErrorKind, reason: String },
    #[error("{url}: no file is read where something that came over HTTP may have named it")]
    FileNamedByOthers { url: String },
}

/// What a client cannot be made with.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("extra-headers: {0:?} is not a valid header")]
    Header(String),
    #[error("cookies: {0:?} is not of the form NAME=VALUE")]
    Cookie(String),
    #[error("cookies: {0:?} has to say which host it is for (Domain=HOST), as the playlist is a file")]
    CookieOfNobody(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("HTTP cannot be set up: {0}")]
    Setup(String),
}

/// What the user can do about it.
fn advice(status: u16) -> &'static str {
    match status {
        401 => ": it asks for a login; extra-headers can carry one (Authorization)",
        403 => {
            ": it refuses; is the address out of date, or does it want certain extra-headers or a user-agent?"
        }
        407 => ": the proxy asks for a login; proxy-id and proxy-pw give it one",
        404 | 410 => ": there is nothing at this address (any more)",
        416 => ": the resource ends before the bytes asked for",
        429 => ": it has had too many requests",
        500.. => ": the server is in trouble; try again later",
        _ => "",
    }
}

/// `proxy` is what the request goes by, if anything.
pub(super) fn failure(
    url: &Url,
    error: &reqwest::Error,
    timeout: Duration,
    proxy: Option<&Proxy>,
) -> HttpError {
    let url = &cmcd::without_query(error.url().unwrap_or(url));
    match error.is_timeout() {
        true => HttpError::TimedOut { url: url.to_string(), waited: timeout },
        false => HttpError::Connection { url: url.to_string(), reason: explain(url, error, proxy) },
    }
}

/// Says in the user's words what the network, the resolver or TLS say in theirs.
fn explain(url: &Url, error: &reqwest::Error, proxy: Option<&Proxy>) -> String {
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
    if let Some(proxy) = proxy {
        return match cause.contains("proxy auth") {
            true => format!("the proxy {proxy} asks for a login; proxy-id and proxy-pw give it one"),
            false => format!("no connection to {host} by the proxy {proxy}: {cause}"),
        };
    }
    if cause.contains("lookup") {
        return format!("the host {host} cannot be found ({cause})");
    }
    let port = url.port_or_known_default().unwrap_or_default();
    format!("no connection to {host}, port {port}: {cause}")
}

/// The innermost cause says what happened; the outer ones only where.
pub(super) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
