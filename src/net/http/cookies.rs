// SPDX-License-Identifier: MPL-2.0

//! Cookies, those that servers set and the user's own, for one playback (RFC 6265).
//!
//! `cookie_store` keeps them and tells which a request gets. Here is what it leaves to others: bounds, and that no host
//! sets cookies for all of `com` (without the list of public suffixes: for no domain of one label).

use std::sync::{Mutex, MutexGuard};

use cookie_store::{Cookie, CookieDomain, CookieStore, StoreAction};
use reqwest::header::HeaderValue;
use url::Url;

use super::error::ClientError;

/// Bytes of a cookie with its attributes, cookies of a domain, and cookies of all together: what RFC 6265, section 6.1,
/// wants at least, but of the last.
const MAX_LENGTH: usize = 4096;
const MAX_OF_DOMAIN: usize = 50;
const MAX_COOKIES: usize = 1_000;

/// The attributes that a cookie may have.
const ATTRIBUTES: [&str; 7] = ["domain", "expires", "httponly", "max-age", "path", "samesite", "secure"];

/// All cookies of a playback.
#[derive(Debug, Default)]
pub(super) struct Cookies(Mutex<CookieStore>);

impl Cookies {
    /// Begins with the user's `own`, each one or several `NAME=VALUE` with the attributes of Set-Cookie, separated by
    /// semicolons. Without a Domain they are for the host of `home` alone; without a Path, for all of it.
    pub fn new<'a>(own: impl IntoIterator<Item = &'a str>, home: &Url) -> Result<Self, ClientError> {
        let cookies = Self::default();
        for text in own {
            let pieces = text.split(';').map(str::trim).filter(|piece| !piece.is_empty());
            let (attributes, pairs): (Vec<&str>, Vec<&str>) = pieces.partition(|piece| {
                let name = piece.split('=').next().unwrap_or_default().trim_end();
                ATTRIBUTES.iter().any(|attribute| attribute.eq_ignore_ascii_case(name))
            });
            for pair in pairs {
                cookies.add_own(pair, &attributes, home)?;
            }
        }
        Ok(cookies)
    }

    fn add_own(&self, pair: &str, attributes: &[&str], home: &Url) -> Result<(), ClientError> {
        let name = pair.split('=').next().unwrap_or_default().trim_end();
        // The value is the user's secret.
        let bad = || ClientError::Cookie(name.to_owned());
        if !pair.contains('=') || name.is_empty() || pair.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(bad());
        }
        let value_of = |wanted: &str| {
            let mut pairs = attributes.iter().filter_map(|attribute| attribute.split_once('='));
            let value = pairs.rfind(|(name, _)| name.trim_end().eq_ignore_ascii_case(wanted));
            value.map(|(_, value)| value.trim())
        };
        let mut cookie = format!("{pair}; {}", attributes.join("; "));
        if value_of("path").is_none() {
            cookie.push_str("; Path=/");
        }
        let from = match value_of("domain") {
            Some(domain) => {
                Url::parse(&format!("https://{}/", domain.trim_start_matches('.'))).map_err(|_| bad())?
            }
            None if home.has_host() && home.scheme() != "file" => {
                if home.scheme() == "https" {
                    // What was meant for a server that proves who it is must not go out in the open.
                    cookie.push_str("; Secure");
                }
                home.clone()
            }
            None => return Err(ClientError::CookieOfNobody(name.to_owned())),
        };
        let cookie = Cookie::parse(cookie, &from).map_err(|_| bad())?.into_owned();
        insert(&mut self.lock(), cookie, &from);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, CookieStore> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl reqwest::cookie::CookieStore for Cookies {
    fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        let mut store = self.lock();
        for header in headers.filter(|header| header.len() <= MAX_LENGTH) {
            let text = header.to_str().ok();
            let cookie = text.and_then(|text| Cookie::parse(text.to_owned(), url).ok());
            let Some(cookie) = cookie else { continue };
            let is_wide = matches!(&cookie.domain, CookieDomain::Suffix(domain) if !domain.contains('.'));
            if !is_wide || cookie.domain.host_is_identical(url) {
                insert(&mut store, cookie, url);
            }
        }
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        let store = self.lock();
        let pairs = store.get_request_values(url).map(|(name, value)| format!("{name}={value}"));
        let all = pairs.collect::<Vec<String>>().join("; ");
        // HTTP logs of libraries leave out what is sensitive.
        let mut value = HeaderValue::from_str(&all).ok().filter(|_| !all.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Puts a cookie in; one too many is left out.
fn insert(store: &mut CookieStore, cookie: Cookie<'static>, from: &Url) {
    let domain = cookie.domain.as_cow().unwrap_or_default().into_owned();
    let (path, name) = (String::from(&cookie.path), cookie.name().to_owned());
    let Ok(StoreAction::Inserted) = store.insert(cookie, from) else { return };
    let is_of = |cookie: &&Cookie| cookie.domain.as_cow().as_deref() == Some(domain.as_str());
    let is_too_many = |store: &CookieStore| {
        store.iter_any().count() > MAX_COOKIES || store.iter_any().filter(is_of).count() > MAX_OF_DOMAIN
    };
    if !is_too_many(store) {
        return;
    }
    let expired: Vec<[String; 3]> = store
        .iter_any()
        .filter(|cookie| cookie.is_expired())
        .map(|cookie| {
            let domain = cookie.domain.as_cow().unwrap_or_default().into_owned();
            [domain, String::from(&cookie.path), cookie.name().to_owned()]
        })
        .collect();
    for [domain, path, name] in &expired {
        store.remove(domain, path, name);
    }
    if is_too_many(store) {
        store.remove(&domain, &path, &name);
    }
}

#[cfg(test)]
mod tests {
    use reqwest::cookie::CookieStore as _;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn set(cookies: &Cookies, from: &str, header: &str) {
        let header = HeaderValue::from_str(header).expect("a header");
        cookies.set_cookies(&mut [header].iter(), &url(from));
    }

    fn sent(cookies: &Cookies, to: &str) -> String {
        let header = cookies.cookies(&url(to));
        let text = header.map(|header| header.to_str().expect("text").to_owned()).unwrap_or_default();
        let mut pairs: Vec<&str> = text.split("; ").collect();
        pairs.sort_unstable();
        pairs.join("; ")
    }

    #[test]
    fn the_users_cookies_go_where_they_belong() {
        let home = url("https://www.example.com/live/list.m3u8");
        let cookies =
            Cookies::new(["a=1; b=2", "c=3; Domain=.example.com; path=/x"], &home).expect("cookies");
        assert_eq!(sent(&cookies, "https://www.example.com/other"), "a=1; b=2");
        assert_eq!(sent(&cookies, "https://www.example.com/x/y"), "a=1; b=2; c=3");
        assert_eq!(sent(&cookies, "https://cdn.example.com/x"), "c=3");
        assert_eq!(sent(&cookies, "http://www.example.com/"), "", "not in the open");
        assert_eq!(sent(&cookies, "https://example.org/x"), "");
        assert_eq!(sent(&cookies, "https://notexample.com/x"), "");

        let local = url("file:///tmp/list.m3u8");
        assert!(
            matches!(Cookies::new(["a=1"], &local), Err(ClientError::CookieOfNobody(name)) if name == "a")
        );
        let cookies = Cookies::new(["a=1; Domain=h.example"], &local).expect("cookies");
        assert_eq!(sent(&cookies, "http://h.example/"), "a=1");
        for bad in ["a", "=1", "a=1\r\nX-B: b", "a=1; Domain=h:x"] {
            assert!(matches!(Cookies::new([bad], &home), Err(ClientError::Cookie(_))), "{bad:?}");
        }
        assert_eq!(sent(&Cookies::new(["", " ; "], &home).expect("none"), "https://www.example.com/"), "");
    }

    #[test]
    fn servers_set_cookies_for_themselves() {
        let cookies = Cookies::default();
        let home = "http://cdn.example.com/a/list.m3u8";
        for header in [
            "own=1",
            "site=2; Domain=example.com; Path=/",
            "com=3; Domain=com",
            "other=4; Domain=example.org",
            "path=5; Path=/b",
            "tls=6; Secure; Path=/",
            "gone=7; Path=/; Max-Age=0",
        ] {
            set(&cookies, home, header);
        }
        assert_eq!(sent(&cookies, "http://cdn.example.com/a/1.ts"), "own=1; site=2");
        assert_eq!(sent(&cookies, "http://cdn.example.com/b/1.ts"), "path=5; site=2");
        assert_eq!(sent(&cookies, "https://other.example.com/"), "site=2");
        assert_eq!(sent(&cookies, "http://example.org/"), "");
        set(&cookies, home, "own=2");
        assert_eq!(sent(&cookies, "http://cdn.example.com/a/1.ts"), "own=2; site=2");
        set(&cookies, home, "own=; Max-Age=0");
        assert_eq!(sent(&cookies, "http://cdn.example.com/a/1.ts"), "site=2");
    }

    #[test]
    fn cookies_do_not_grow_without_end() {
        let cookies = Cookies::default();
        let count = |cookies: &Cookies| cookies.lock().iter_any().count();
        set(&cookies, "http://h/", &format!("long={}", "x".repeat(MAX_LENGTH)));
        assert_eq!(count(&cookies), 0);
        for number in 0..2 * MAX_OF_DOMAIN {
            set(&cookies, "http://h/", &format!("c{number}=1"));
        }
        assert_eq!(count(&cookies), MAX_OF_DOMAIN);
        set(&cookies, "http://h/", "c0=2");
        assert!(sent(&cookies, "http://h/").contains("c0=2"), "what is there can change");
        set(&cookies, "http://h/", "c0=; Max-Age=0");
        set(&cookies, "http://h/", "new=1");
        assert!(sent(&cookies, "http://h/").contains("new=1"), "what has expired makes room");
        for host in 0..2 * MAX_COOKIES {
            set(&cookies, &format!("http://h{host}/"), "c=1");
        }
        assert_eq!(count(&cookies), MAX_COOKIES);
    }
}
