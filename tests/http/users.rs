// SPDX-License-Identifier: MPL-2.0

//! What users set: cookies, logins, proxies; and how much is asked of a host at once.

use std::time::Duration;

use gstp2phls::net::http::{HttpClient, Part};
use gstp2phls::net::proxy::Proxies;
use gstp2phls::net::tls;
use url::Url;

use crate::client::{WHOLE, client, client_of};
use crate::nginx::Nginx;
use crate::proxy::Proxy;
use crate::raw::{self, Asked, Raw};
use crate::session::{config, play_with};

/// Of user and password `me` and `pass word`.
const LOGIN: &str = "Basic bWU6cGFzcyB3b3Jk";

/// A playlist of a segment here, one on another host (the same by another name), and one that has moved there.
fn three(asked: &Asked) -> Option<Vec<u8>> {
    let host = asked.header("host").unwrap_or_default().replace("127.0.0.1", "localhost");
    match asked.path.as_str() {
        "/list" => {
            let list = format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0\n#EXTINF:4,\nhttp://{host}/1\n#EXTINF:4,\n2\n\
                 #EXT-X-ENDLIST\n"
            );
            let cookies = "Set-Cookie: set=1; Path=/; HttpOnly\r\nSet-Cookie: far=1; Path=/far\r\n";
            let headers = format!("{cookies}Content-Length: {}\r\n", list.len());
            raw::response("200 OK", &headers, list.as_bytes())
        }
        "/2" => raw::response("302 Found", &format!("Location: http://{host}/moved\r\n"), b""),
        _ => raw::whole(&[1; 1000]),
    }
}

#[test]
fn cookies_and_logins_go_where_they_belong() {
    let server = Raw::serve(three);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let config = gstp2phls::engine::Config {
        cookies: vec!["own=2".to_owned()],
        extra_headers: vec![
            header("Authorization", "Bearer 1"),
            header("Cookie", "header=3"),
            header("Referer", "https://page.example/"),
        ],
        ..config(server.url("list"))
    };
    let played = play_with(config);
    assert_eq!((played.error, played.bytes.len()), (None, 3000));
    let asked = |path: &str| {
        let asked = server.asked(path);
        let request = asked.first().unwrap_or_else(|| panic!("{path} was asked for"));
        let header = |name| request.header(name).unwrap_or_default().to_owned();
        let mut cookies: Vec<String> = header("cookie").split("; ").map(str::to_owned).collect();
        cookies.sort();
        (cookies.join("; "), header("authorization"), header("referer"))
    };
    let of = |cookies: &str, login: &str| {
        (cookies.to_owned(), login.to_owned(), "https://page.example/".to_owned())
    };
    assert_eq!(asked("/list"), of("header=3; own=2", "Bearer 1"));
    for path in ["/0", "/2"] {
        assert_eq!(asked(path), of("header=3; own=2; set=1", "Bearer 1"), "{path}");
    }
    // Another host, which the playlist names, and one that a server redirects to.
    assert_eq!(asked("/1"), of("", "Bearer 1"));
    assert_eq!(asked("/moved"), of("", ""));
}

#[test]
fn a_proxy_is_asked_for_everything() {
    let server = Raw::serve(three);
    let proxy = Proxy::start(Some(LOGIN));
    let through = |login: &str| gstp2phls::engine::Config {
        proxy: Some(proxy.url(login).parse().expect("a URL")),
        retries: 0,
        ..config(server.url("list"))
    };
    let refused = play_with(through("me:other")).error.expect("an error");
    assert!(refused.contains("proxy-id"), "{refused}");
    assert_eq!(server.asked("/list").len(), 0);
    let played = play_with(through("me:pass%20word"));
    assert_eq!((played.error, played.bytes.len()), (None, 3000));
    let mut expected: Vec<String> = ["list", "0", "2"].map(|p| format!("GET {}", server.url(p))).into();
    let other = |path| server.url(path).to_string().replace("127.0.0.1", "localhost");
    expected.extend(["1", "moved"].map(|path| format!("GET {}", other(path))));
    let mut asked = proxy.asked();
    asked.sort();
    expected.sort();
    assert_eq!(asked, expected);
    let list = server.asked("/list");
    assert!(list.iter().all(|asked| asked.header("proxy-authorization").is_none()), "{list:?}");
}

#[tokio::test]
async fn https_goes_through_the_proxy_without_being_read() {
    let Some(nginx) = Nginx::start() else { return };
    let proxy = Proxy::start(Some(LOGIN));
    let client = |login: &str| {
        let proxies = Proxies::new(Some(proxy.url(login).parse().expect("a URL")));
        let tls = tls::client_config(true, Some(&nginx.directory.path().join("ca.pem"))).expect("TLS");
        HttpClient::new(client_of(proxies, Duration::from_secs(20)), tls).expect("a client")
    };
    let url = nginx.https("list.m3u8");
    let error = client("me").get(&url, WHOLE, 1 << 20).await.expect_err("no login").to_string();
    assert!(error.contains("asks for a login") && error.contains("proxy-id"), "{error}");
    client("me:pass%20word").get(&url, WHOLE, 1 << 20).await.expect("a playlist");
    assert_eq!(proxy.asked(), [format!("CONNECT localhost:{}", url.port().expect("a port"))]);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let gone = format!("http://127.0.0.1:{}", crate::nginx::free_port());
    let proxies = Proxies::new(Some(gone.parse().expect("a URL")));
    let tls = tls::client_config(true, None).expect("TLS");
    let client = HttpClient::new(client_of(proxies, Duration::from_secs(20)), tls).expect("a client");
    let url: Url = "http://origin.example/list.m3u8".parse().expect("a URL");
    let error = client.get(&url, WHOLE, 1 << 20).await.expect_err("nobody listens").to_string();
    assert!(error.contains("origin.example by the proxy 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn no_more_than_six_requests_at_once_go_to_a_host() {
    let server = Raw::serve(|asked| match asked.path.as_str() {
        "/silent" => None,
        _ => raw::whole(b"there"),
    });
    let ask = client();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (ask, url) = (ask.clone(), server.url("silent"));
            tokio::spawn(async move { ask.open(&url, WHOLE, false).await.map(|_| ()) })
        })
        .collect();
    let asked = async |count: usize| {
        let enough = async {
            while server.asked("/silent").len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Too few would be waited for without end.
        tokio::time::timeout(Duration::from_secs(20), enough).await.expect("as many as there may be");
        // The server takes connections in order: those before this one have been seen.
        client().get(&server.url("there"), WHOLE, 100).await.expect("a response");
        server.asked("/silent").len()
    };
    assert_eq!(asked(6).await, 6);
    tasks[..3].iter().for_each(|task| task.abort());
    assert_eq!(asked(9).await, 9);
    tasks[3..].iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn over_http_2_there_may_be_more() {
    let Some(nginx) = Nginx::start() else { return };
    let tls = tls::client_config(true, Some(&nginx.directory.path().join("ca.pem"))).expect("TLS");
    let client =
        HttpClient::new(client_of(Proxies::new(None), Duration::from_secs(20)), tls).expect("a client");
    let mut bodies = Vec::new();
    for number in 0..20 {
        let url = nginx.https("seg.ts");
        let open = client.open(&url, Part::default(), false);
        let body = tokio::time::timeout(Duration::from_secs(20), open).await;
        bodies.push(
            body.unwrap_or_else(|_| panic!("request {number} waits for the others")).expect("a response"),
        );
    }
}
