// SPDX-License-Identifier: MPL-2.0

//! One request at a time.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use gstp2phls::net::http::{Body, HttpClient, HttpConfig, HttpError, Part};
use gstp2phls::net::proxy::Proxies;
use gstp2phls::net::tls;
use url::Url;

use crate::nginx::{self, Nginx, PLAYLIST, SEGMENT};
use crate::raw::{self, Raw};

const LIMIT: usize = 1 << 20;
pub const WHOLE: Part = Part { offset: 0, length: None };

pub fn client() -> HttpClient {
    client_with(true, None, Duration::from_secs(20))
}

fn client_with(strict: bool, ca_file: Option<PathBuf>, timeout: Duration) -> HttpClient {
    let config = client_of(Proxies::new(None), timeout);
    HttpClient::new(config, tls::client_config(strict, ca_file.as_ref()).unwrap()).unwrap()
}

/// What clients are made with.
pub fn client_of(proxies: Proxies, timeout: Duration) -> HttpConfig {
    HttpConfig {
        home: "http://127.0.0.1/".parse().unwrap(),
        user_agent: "Test/1".into(),
        extra_headers: vec![("X-Test".into(), "yes".into())],
        cookies: Vec::new(),
        proxies,
        timeout,
        cmcd: None,
    }
}

async fn playlist(client: &HttpClient, url: &Url) -> Result<(Url, Bytes), HttpError> {
    client.get(url, WHOLE, LIMIT).await
}

async fn read(mut body: Body) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn assert_says(error: &HttpError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn requests_share_a_connection_and_carry_our_headers() {
    let Some(nginx) = Nginx::start() else { return };
    let client = client();
    for _ in 0..5 {
        playlist(&client, &nginx.http("list.m3u8")).await.unwrap();
        read(client.open(&nginx.http("seg.ts"), WHOLE, false).await.unwrap()).await.unwrap();
    }
    let requests = nginx.requests(10);
    for request in &requests {
        assert_eq!(request.connection, requests[0].connection, "{requests:?}");
        assert_eq!((request.user_agent.as_str(), request.header.as_str()), ("Test/1", "yes"));
    }
}

#[tokio::test]
async fn playlists_come_compressed_and_segments_never() {
    let Some(nginx) = Nginx::start() else { return };
    let client = client();
    let (_, text) = playlist(&client, &nginx.http("list.m3u8")).await.unwrap();
    assert_eq!(text, PLAYLIST);
    let body = client.open(&nginx.http("seg.ts"), WHOLE, false).await.unwrap();
    assert_eq!(body.total, Some(SEGMENT.len() as u64));
    assert_eq!(read(body).await.unwrap(), SEGMENT);
    // A part of something is to be exact, too, however small the resource.
    let part = Part { offset: 8, length: Some(10) };
    let (_, bytes) = client.get(&nginx.http("list.m3u8"), part, LIMIT).await.unwrap();
    assert_eq!(bytes, PLAYLIST[8..18]);
    let encodings: Vec<String> = nginx.requests(3).into_iter().map(|r| r.encoding).collect();
    assert_eq!(encodings, ["gzip", "-", "-"]);
}

#[tokio::test]
async fn tls_needs_an_authority_that_is_trusted() {
    let Some(nginx) = Nginx::start() else { return };
    let (url, second) = (nginx.https("list.m3u8"), Duration::from_secs(20));
    let error = playlist(&client(), &url).await.unwrap_err();
    assert_says(&error, &["certificate of localhost is not trusted", "ssl-ca-file", "ssl-strict=false"]);
    let trusting = client_with(true, Some(nginx.directory.path().join("ca.pem")), second);
    for client in [trusting, client_with(false, None, second)] {
        let (_, text) = playlist(&client, &url).await.unwrap();
        assert_eq!(text, PLAYLIST);
        read(client.open(&nginx.https("seg.ts"), WHOLE, false).await.unwrap()).await.unwrap();
    }
    let requests = nginx.requests(4);
    assert!(requests.iter().all(|request| request.protocol == "HTTP/2.0"), "{requests:?}");
    assert_eq!(requests[0].connection, requests[1].connection);
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let Some(nginx) = Nginx::start() else { return };
    let (url, text) = playlist(&client(), &nginx.http("moved")).await.unwrap();
    assert_eq!((url, text.as_ref()), (nginx.http("list.m3u8"), PLAYLIST.as_bytes()));
    let paths: Vec<String> = nginx.requests(2).into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/moved", "/list.m3u8"]);
    let error = playlist(&client(), &nginx.http("loop")).await.unwrap_err();
    assert_says(&error, &["/loop", "too many redirects"]);
}

#[tokio::test]
async fn parts_are_those_asked_for() {
    let Some(nginx) = Nginx::start() else { return };
    let (client, size) = (client(), SEGMENT.len() as u64);
    for (requests, part, range, len) in [
        (1, Part { offset: 100, length: None }, "bytes=100-", size - 100),
        (2, Part { offset: 100, length: Some(50) }, "bytes=100-149", 50),
    ] {
        let body = client.open(&nginx.http("seg.ts"), part, false).await.unwrap();
        assert_eq!((body.offset, body.total), (100, Some(size)));
        assert_eq!(read(body).await.unwrap().len() as u64, len);
        assert!(nginx.requests(requests).iter().any(|request| request.range == range));
    }
    let beyond = Part { offset: size, length: None };
    let error = client.open(&nginx.http("seg.ts"), beyond, false).await.unwrap_err();
    assert!(matches!(error, HttpError::NoMore { .. }), "{error}");
    assert_says(&error, &["ends before"]);
    // Without ranges all of it comes, and that is said.
    let part = Part { offset: 100, length: Some(50) };
    let body = client.open(&nginx.http("rangeless/seg.ts"), part, false).await.unwrap();
    assert_eq!((body.offset, body.total), (0, Some(size)));
    let error = client.get(&nginx.http("rangeless/seg.ts"), part, LIMIT).await.unwrap_err();
    assert_says(&error, &["ignores byte ranges"]);
    // What begins at the beginning can be had all the same.
    let head = Part { offset: 0, length: Some(50) };
    let (_, bytes) = client.get(&nginx.http("rangeless/seg.ts"), head, LIMIT).await.unwrap();
    assert_eq!(bytes, SEGMENT[..50]);
}

#[tokio::test]
async fn another_range_than_asked_for_is_refused() {
    let server = Raw::serve(|asked| match asked.path.as_str() {
        "/other" => raw::part(&[1; 100], 10, 90),
        _ => raw::response("206 Partial Content", "Content-Length: 4\r\n", b"abcd"),
    });
    for path in ["other", "unsaid"] {
        let part = Part { offset: 20, length: None };
        let error = client().open(&server.url(path), part, false).await.unwrap_err();
        assert!(matches!(error, HttpError::WrongRange { .. }), "{path}: {error}");
    }
}

#[tokio::test]
async fn statuses_tell_what_to_do() {
    let Some(nginx) = Nginx::start() else { return };
    for (path, hint) in [
        ("401", "extra-headers"),
        ("403", "out of date"),
        ("404", "nothing at this address"),
        ("410", "nothing at this address"),
        ("500", "try again later"),
        ("503", "try again later"),
    ] {
        let url = nginx.http(path);
        let error = playlist(&client(), &url).await.unwrap_err();
        assert!(matches!(error, HttpError::Status { status, .. } if status.to_string() == path), "{error}");
        assert_says(&error, &[url.as_str(), path, hint]);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = nginx::free_port();
    let url = format!("http://127.0.0.1:{port}/list.m3u8").parse().unwrap();
    let error = playlist(&client(), &url).await.unwrap_err();
    assert_says(&error, &["no connection to 127.0.0.1", &port.to_string(), "refused"]);
    let url = "http://no-such-host.invalid/list.m3u8".parse().unwrap();
    let error = playlist(&client(), &url).await.unwrap_err();
    assert_says(&error, &["the host no-such-host.invalid cannot be found"]);
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    let server = Raw::serve(|asked| match asked.path.as_str() {
        "/silent" => None,
        path => unreachable!("{path}"),
    });
    let timeout = Duration::from_millis(300);
    let error = playlist(&client_with(true, None, timeout), &server.url("silent")).await.unwrap_err();
    assert!(matches!(error, HttpError::TimedOut { waited, .. } if waited == timeout), "{error}");
    assert_says(&error, &["/silent", "nothing came for 0.3 s"]);
}

#[tokio::test]
async fn what_breaks_off_or_has_no_end_is_an_error() {
    let server = Raw::serve(|asked| match asked.path.as_str() {
        "/short" => raw::response("200 OK", "Content-Length: 1000\r\n", &[1; 400]),
        "/chunked" => raw::response("200 OK", "Transfer-Encoding: chunked\r\n", b"4\r\nabcd\r\n"),
        "/endless" => raw::whole(&vec![b'#'; LIMIT + 1]),
        _ => Some(Vec::new()),
    });
    for (path, says) in [("short", "broke off"), ("chunked", "broke off"), ("nothing", "connection closed")] {
        let error = playlist(&client(), &server.url(path)).await.unwrap_err();
        assert!(matches!(error, HttpError::Connection { .. }), "{error:?}");
        assert_says(&error, &[path, says]);
    }
    let error = playlist(&client(), &server.url("endless")).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { limit: LIMIT, .. }), "{error}");
}
