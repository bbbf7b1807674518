// SPDX-License-Identifier: MPL-2.0

//! The user's headers: those that are for every server, and logins, which are for the publisher's.
//!
//! Segments and keys often lie on other hosts than the playlist and want the same login, so whoever the playlist names
//! gets it. Whoever a server redirects to does not.

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use url::Url;

use super::error::ClientError;

/// What the user wants requests to carry.
#[derive(Debug)]
pub(super) struct UserHeaders {
    /// For all.
    pub common: HeaderMap,
    pub credentials: Credentials,
    /// What was in Cookie headers.
    pub cookies: Vec<String>,
}

/// What the servers get that `home`, which the user has named, names in turn.
#[derive(Debug)]
pub(super) struct Credentials {
    home: Url,
    headers: HeaderMap,
}

impl UserHeaders {
    pub fn new(headers: Vec<(String, String)>, home: Url) -> Result<Self, ClientError> {
        let mut common = HeaderMap::new();
        let mut own = HeaderMap::new();
        let mut cookies = Vec::new();
        for (name, value) in headers {
            let bad = || ClientError::Header(name.clone());
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let mut value_of = HeaderValue::from_str(&value).map_err(|_| bad())?;
            if header == COOKIE {
                cookies.push(value);
            } else if header == AUTHORIZATION || header == PROXY_AUTHORIZATION {
                value_of.set_sensitive(true);
                own.append(header, value_of);
            } else {
                common.append(header, value_of);
            }
        }
        Ok(Self { common, credentials: Credentials { home, headers: own }, cookies })
    }
}

impl Credentials {
    /// What a request to `to` carries, to which the one to `named` has been redirected if that is another address. Nothing
    /// goes in the open where the user has named a place that does not.
    pub fn of(&self, named: &Url, to: &Url) -> Option<&HeaderMap> {
        let is_known = is_same_server(named, to) || is_same_server(&self.home, to);
        let is_exposed = self.home.scheme() == "https" && to.scheme() != "https";
        (is_known && !is_exposed && !self.headers.is_empty()).then_some(&self.headers)
    }
}

/// The same host and port, or where it goes over from HTTP to HTTPS.
fn is_same_server(one: &Url, other: &Url) -> bool {
    let is_upgrade = || {
        let schemes = (one.scheme(), other.scheme()) == ("http", "https");
        schemes && one.port().is_none() && other.port().is_none()
    };
    one.host().is_some() && one.host() == other.host() && (one.origin() == other.origin() || is_upgrade())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_for_those_that_the_publisher_names() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let given = |home: &str| {
            let headers = [("authorization", "Bearer 1"), ("Referer", "https://page/"), ("cookie", "a=1")];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            UserHeaders::new(headers.into(), url(home)).expect("headers")
        };
        let headers = given("http://h/list.m3u8");
        assert_eq!((headers.common.len(), headers.cookies), (1, vec!["a=1".to_owned()]));
        let goes =
            |home: &str, named: &str, to: &str| given(home).credentials.of(&url(named), &url(to)).is_some();
        let home = "http://h/list.m3u8";
        for to in
            ["http://h/other", "http://h:80/other", "https://h/other", "http://keys/1", "http://h:8080/a"]
        {
            assert!(goes(home, to, to), "{to}");
            assert!(goes("file:///list.m3u8", to, to), "{to}");
        }
        assert!(goes(home, "http://other/a", "http://h/a"), "back home");
        for to in ["http://h:8080/a", "https://h:8443/a", "http://h.h/a", "http://other/a", "ftp://h/a"] {
            assert!(!goes(home, "http://h/a", to), "redirected to {to}");
        }
        assert!(!goes("https://h/list.m3u8", "http://h/a", "http://h/a"), "not in the open");
    }
}
