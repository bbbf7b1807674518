// SPDX-License-Identifier: MPL-2.0

//! The HTTP part of a connection: one request, which usually makes it a WebSocket.
//!
//! Viewers connect to any path; `/health`, `/stats.json`, `/metrics` and `/dashboard` are for operators. They tell
//! what an audience watches and how many it are, so where they have no listener of their own, only this
//! machine sees all of them.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::debug;

use super::connection::Viewer;
use super::dashboard::history::Range;
use super::shared::{AddressPermit, Shared};
use super::{dashboard, metrics};

/// Longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// What a listener shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// To viewers, when statistics have a listener of their own.
    Health,
    /// To operators: no WebSocket.
    Operators,
    /// To viewers; to this machine, also what is for operators.
    Local,
}

/// A viewer whose socket is open.
pub(super) struct Arrival<S> {
    pub stream: S,
    pub viewer: Viewer,
    /// Bytes that have been read beyond the request.
    pub first: Vec<u8>,
    pub permit: AddressPermit,
}

/// Answers one request. Returns what it made a WebSocket of, if it did.
///
/// # Errors
///
/// If the connection ends or does not speak HTTP.
pub(super) async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared>,
    pages: Pages,
    stream: S,
    peer: IpAddr,
) -> io::Result<Option<Arrival<S>>> {
    let admitted = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let mut response = answer(shared, pages, peer, &request, &admitted);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            // One request is all: an idle connection would hold up a viewer, or the shutdown.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let serving = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .without_shutdown();
    let parts = serving.await.map_err(io::Error::other)?;
    let mut stream = parts.io.into_inner();
    let admitted = admitted.lock().unwrap_or_else(PoisonError::into_inner).take();
    match admitted {
        Some((viewer, permit)) => {
            Ok(Some(Arrival { stream, viewer, first: parts.read_buf.to_vec(), permit }))
        }
        None => {
            tokio::io::AsyncWriteExt::shutdown(&mut stream).await?;
            Ok(None)
        }
    }
}

fn answer(
    shared: &Arc<Shared>,
    pages: Pages,
    peer: IpAddr,
    request: &Request<Incoming>,
    admitted: &Mutex<Option<(Viewer, AddressPermit)>>,
) -> Response<String> {
    let wants_socket = request.headers().contains_key(UPGRADE);
    let shows_all = match pages {
        Pages::Health => false,
        Pages::Operators => true,
        Pages::Local => is_local(peer, request.headers()),
    };
    match (request.uri().path(), pages) {
        _ if wants_socket && pages != Pages::Operators => upgrade(shared, peer, request, admitted),
        ("/health", _) => health(shared),
        ("/stats.json", _) if shows_all => {
            let json = serde_json::to_string(&shared.stats()).unwrap_or_default();
            page(StatusCode::OK, "application/json", json)
        }
        ("/metrics", _) if shows_all => {
            page(StatusCode::OK, "text/plain; version=0.0.4", metrics::text(&shared.stats()))
        }
        (path, _) if shows_all && path.starts_with("/dashboard") => {
            dashboard(shared, path, request.uri().query().unwrap_or_default())
        }
        (_, Pages::Operators) => plain(StatusCode::NOT_FOUND, "nothing here\n"),
        _ => plain(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket tracker\n"),
    }
}

/// Makes a WebSocket of the request, if the viewer may have one.
fn upgrade(
    shared: &Arc<Shared>,
    peer: IpAddr,
    request: &Request<Incoming>,
    admitted: &Mutex<Option<(Viewer, AddressPermit)>>,
) -> Response<String> {
    match admit(shared, peer, request) {
        Ok(viewer) => match create_response_with_body(request, String::new) {
            Ok(response) => {
                *admitted.lock().unwrap_or_else(PoisonError::into_inner) = Some(viewer);
                response
            }
            Err(error) => plain(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        },
        Err((status, why)) => {
            shared.count_refused();
            debug!(%peer, %status, why, "refused");
            plain(status, &format!("{why}\n"))
        }
    }
}

/// Whether a request was made on this machine: what a proxy here passes on was not, and proxies say so
/// (RFC 7239, RFC 9110 section 7.6.3, and what was before).
fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let passed_on = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
    peer.to_canonical().is_loopback() && !passed_on.iter().any(|name| headers.contains_key(*name))
}

/// The page for operators, its files and its figures.
fn dashboard(shared: &Shared, path: &str, query: &str) -> Response<String> {
    let parameter = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name).map(|(_, value)| value)
    };
    let json = |what: String| page(StatusCode::OK, "application/json", what);
    match path {
        "/dashboard/figures.json" => {
            let range = parameter("range").and_then(|range| Range::named(&range)).unwrap_or(Range::Hour);
            json(serde_json::to_string(&shared.figures(range)).unwrap_or_default())
        }
        "/dashboard/mesh.json" => match parameter("swarm").and_then(|swarm| shared.mesh(&swarm)) {
            Some(mesh) => json(serde_json::to_string(&mesh).unwrap_or_default()),
            None => plain(StatusCode::NOT_FOUND, "no such swarm\n"),
        },
        _ => match dashboard::file(path) {
            Some((kind, text)) => {
                let mut response = page(StatusCode::OK, kind, text.to_owned());
                let policy = HeaderValue::from_static(dashboard::CONTENT_SECURITY_POLICY);
                response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
                response
            }
            None => plain(StatusCode::NOT_FOUND, "nothing here\n"),
        },
    }
}

/// Load balancers send viewers elsewhere when this is not 200.
fn health(shared: &Shared) -> Response<String> {
    if shared.is_stopping() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    // Viewers are served all the same: no reason to send them elsewhere.
    plain(StatusCode::OK, if shared.is_degraded() { "degraded\n" } else { "ok\n" })
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn plain(status: StatusCode, body: &str) -> Response<String> {
    page(status, "text/plain; charset=utf-8", body.to_owned())
}

fn admit(
    shared: &Arc<Shared>,
    peer: IpAddr,
    request: &Request<Incoming>,
) -> Result<(Viewer, AddressPermit), (StatusCode, &'static str)> {
    if request.method() != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET makes a WebSocket"));
    }
    if shared.is_stopping() {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "stopping"));
    }
    let access = shared.access();
    let origin = request.headers().get(ORIGIN).map(|origin| origin.to_str().unwrap_or("?"));
    if !access.allows_origin(origin) {
        return Err((StatusCode::FORBIDDEN, "this page may not use this tracker"));
    }
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let token = url::form_urlencoded::parse(query).find(|(name, _)| name == "token");
    let grant = access
        .grant(token.as_ref().map(|(_, token)| &**token))
        .map_err(|_| (StatusCode::UNAUTHORIZED, "token is not valid or has expired"))?;
    let address = viewer_address(peer, request.headers(), &shared.config.trusted_proxies);
    let too_many = (StatusCode::TOO_MANY_REQUESTS, "too many connections from this address");
    let permit = shared.permit(address).ok_or(too_many)?;
    Ok((Viewer { address, grant: grant.map(Box::new) }, permit))
}

/// The viewer's own address, as far as those who passed it on are trusted. Each proxy appends whom
/// it saw to `X-Forwarded-For`, so it is read from the end, up to the first who is no proxy of ours:
/// what stands before that comes from the viewer, who may write what it likes.
fn viewer_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted =
        |address: IpAddr| trusted.iter().any(|network| network.contains(&address.to_canonical()));
    let mut seen = peer.to_canonical();
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let entries = values.iter().rev().flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
    for entry in entries {
        if !is_trusted(seen) {
            break;
        }
        match entry.trim().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => seen = address.to_canonical(),
            Err(_) => break,
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        let headers = |names: &[&'static str]| {
            names.iter().map(|name| ((*name).try_into().unwrap(), "127.0.0.1".parse().unwrap())).collect()
        };
        let table: [(&str, &[&str], bool); 10] = [
            ("127.0.0.1", &[], true),
            ("127.9.9.9", &["user-agent", "host"], true),
            ("::1", &[], true),
            ("::ffff:127.0.0.1", &[], true),
            ("10.0.0.1", &[], false),
            ("192.0.2.1", &[], false),
            ("::ffff:10.0.0.1", &[], false),
            ("fe80::1", &[], false),
            ("127.0.0.1", &["x-forwarded-for"], false),
            ("::1", &["via"], false),
        ];
        for (peer, names, expected) in table {
            assert_eq!(is_local(peer.parse().unwrap(), &headers(names)), expected, "{peer} {names:?}");
        }
    }

    #[test]
    fn only_listed_proxies_are_believed() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let table: [(&str, &[&str], &str); 12] = [
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("192.0.2.9", &["192.0.2.1"], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7", "192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["192.0.2.1, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("2001:db8::1", &["[2001:db9::1]"], "2001:db9::1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ];
        for (peer, values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let address = viewer_address(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{peer} {values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "192.0.2.1".parse().unwrap());
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(viewer_address(peer, &headers, &[]), peer, "by default nobody is");
    }
}
