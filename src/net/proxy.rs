// SPDX-License-Identifier: MPL-2.0

//! Proxies: the user's own, or those that the environment names (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`).
//! `reqwest` goes by them for HTTP by itself; here is how a WebSocket does (CONNECT: RFC 9110, section 9.3.6, which
//! RFC 6455, section 4.1, asks for).

use std::fmt;
use std::io;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use url::Url;

/// Which proxy is for which address.
#[derive(Clone, Debug)]
pub struct Proxies {
    own: Option<Url>,
    matcher: Arc<Matcher>,
}

/// A proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Its address, without its login.
    uri: Uri,
    /// The Proxy-Authorization header.
    login: Option<HeaderValue>,
}

/// Why a proxy makes no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("the proxy {0} is none of HTTP")]
    Scheme(Proxy),
    #[error("no connection to the proxy {0}")]
    Connection(Proxy, #[source] io::Error),
    #[error("the proxy {0} asks for a login; proxy-id and proxy-pw give it one")]
    Login(Proxy),
    #[error("the proxy {0} answered {1}")]
    Status(Proxy, u16),
    #[error("the proxy {0} answered something else than HTTP")]
    Senseless(Proxy),
}

/// What a proxy may say before it lets us through.
const MAX_HEAD: usize = 8 << 10;

impl Proxies {
    /// `own` is for everything, and may have user and password in it; without it the environment counts.
    pub fn new(own: Option<Url>) -> Self {
        let matcher = match &own {
            Some(url) => Matcher::builder().all(url.as_str()).build(),
            None => Matcher::from_system(),
        };
        Self { own, matcher: Arc::new(matcher) }
    }

    /// The user's own.
    pub(super) fn own(&self) -> Option<&Url> {
        self.own.as_ref()
    }

    /// What a connection to this address goes by; None: it goes there itself.
    pub fn to(&self, url: &Url) -> Option<Proxy> {
        let scheme = match url.scheme() {
            "https" | "wss" => "https",
            _ => "http",
        };
        let uri = format!("{scheme}://{}:{}/", url.host_str()?, url.port_or_known_default()?);
        let found = self.matcher.intercept(&uri.parse().ok()?)?;
        Some(Proxy { uri: found.uri().clone(), login: found.basic_auth().cloned() })
    }
}

impl Proxy {
    /// A connection through the proxy to a host as a URL names it.
    pub async fn tunnel(&self, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        let broken = |error| ProxyError::Connection(self.clone(), error);
        let at = self.uri.host().filter(|_| self.uri.scheme_str() == Some("http"));
        let at = at.ok_or_else(|| ProxyError::Scheme(self.clone()))?;
        let at = (at.trim_start_matches('[').trim_end_matches(']'), self.uri.port_u16().unwrap_or(80));
        let mut stream = TcpStream::connect(at).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
        if let Some(login) = &self.login {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(login.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await.map_err(broken)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            // Byte by byte: what comes after the head belongs to whoever speaks through the tunnel.
            head.push(stream.read_u8().await.map_err(broken)?);
            if head.len() > MAX_HEAD {
                return Err(ProxyError::Senseless(self.clone()));
            }
        }
        match status(&head) {
            Some(200..=299) => Ok(stream),
            Some(407) => Err(ProxyError::Login(self.clone())),
            Some(status) => Err(ProxyError::Status(self.clone(), status)),
            None => Err(ProxyError::Senseless(self.clone())),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.authority().map_or("", |authority| authority.as_str()))
    }
}

/// The status of a response, from its head.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.strip_prefix(b"HTTP/1.")?.get(1..)?.trim_ascii_start();
    std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_proxy_is_for_everything() {
        let proxies = Proxies::new(Url::parse("http://me:p%40ss@proxy.example:3128").ok());
        for url in ["http://127.0.0.1/a", "https://h/a", "ws://h:8000/", "wss://[::1]/"] {
            let proxy = proxies.to(&Url::parse(url).expect("a URL")).expect(url);
            assert_eq!(proxy.to_string(), "proxy.example:3128");
            assert_eq!(proxy.login.expect("a login"), "Basic bWU6cEBzcw==");
        }
        assert!(proxies.to(&Url::parse("file:///a").expect("a URL")).is_none());
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for bad in
            [&b""[..], b"HTTP/1.", b"HTTP/1.1 2", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 \xff\xff\xff\r\n\r\n"]
        {
            assert_eq!(status(bad), None);
        }
    }
}
