// SPDX-License-Identifier: MPL-2.0

//! The keys of encrypted segments: asked for with the user's own headers, kept in memory for this
//! session only. They never go to other viewers, who ask for them themselves.

use bytes::Bytes;
use tokio::sync::mpsc;
use url::Url;

use super::{SessionError, resource};
use crate::container::decrypt::{DecryptError, Decryptor};
use crate::manifest::{Key, KeyMethod, in_data_uri};
use crate::net::cmcd::{Kind, Object};
use crate::net::http::{HttpClient, Part};

/// Keys kept: with a new one for each segment, those of a few minutes.
const MAX_KEYS: usize = 64;

/// Keys that may be on their way.
const MAX_LOADING: usize = 4;

/// What is longer is an error page; enough to say so.
const MAX_LENGTH: usize = 64 << 10;

/// A key that has come, or not.
pub type Loaded = (Url, Result<Bytes, SessionError>);

/// Keys by address, the latest last.
pub struct Keys {
    known: Vec<(Url, Bytes)>,
    /// Those to be asked for, and their lengths.
    wanted: Vec<(Url, usize)>,
    loading: Vec<Url>,
    results: mpsc::Sender<Loaded>,
}

impl Keys {
    pub fn new(results: mpsc::Sender<Loaded>) -> Self {
        Self { known: Vec::new(), wanted: Vec::new(), loading: Vec::new(), results }
    }

    /// Opens what `key` has closed in the segment with this media sequence number; None: it is not
    /// there yet.
    pub fn decryptor(&self, key: &Key, sequence: i64) -> Option<Result<Decryptor, DecryptError>> {
        let (_, bytes) = self.known.iter().find(|(url, _)| Some(url) == key.uri.as_ref())?;
        // One address may stand for keys of two methods.
        if bytes.len() != length(&key.method) {
            return Some(Err(DecryptError::KeyLength(bytes.len())));
        }
        Some(Decryptor::new(bytes, &key.iv_for(sequence)))
    }

    /// Has the key loaded, if it is not there.
    pub fn want(&mut self, key: &Key) {
        let Some(url) = &key.uri else { return };
        let known = self.known.iter().any(|(known, _)| known == url);
        let wanted = self.wanted.iter().any(|(wanted, _)| wanted == url);
        if !known && !wanted && !self.loading.contains(url) {
            self.wanted.push((url.clone(), length(&key.method)));
        }
    }

    /// Asks for what is wanted.
    pub fn load(&mut self, http: &HttpClient, retries: u32) {
        while self.loading.len() < MAX_LOADING
            && let Some((url, length)) = self.wanted.pop()
        {
            self.loading.push(url.clone());
            let (http, results) = (http.clone(), self.results.clone());
            tokio::spawn(async move {
                let bytes = load(&http, &url, length, retries).await;
                // The session has ended when nobody listens.
                let _ = results.send((url, bytes)).await;
            });
        }
    }

    /// Takes what has come. A failure is the caller's to judge.
    pub fn take(&mut self, (url, bytes): Loaded) -> Result<(), (Url, SessionError)> {
        self.loading.retain(|loading| *loading != url);
        match bytes {
            Ok(bytes) => {
                if self.known.len() >= MAX_KEYS {
                    self.known.remove(0);
                }
                self.known.push((url, bytes));
                Ok(())
            }
            Err(error) => Err((url, error)),
        }
    }
}

/// Bytes of a key.
fn length(method: &KeyMethod) -> usize {
    if *method == KeyMethod::Aes256 { 32 } else { 16 }
}

async fn load(http: &HttpClient, url: &Url, length: usize, retries: u32) -> Result<Bytes, SessionError> {
    if url.scheme() == "data" {
        let bad =
            || SessionError::NoKey("the playlist has a key in it (data:) that is not in base64".to_owned());
        return Ok(in_data_uri(url).ok_or_else(bad)?.into());
    }
    if !matches!(url.scheme(), "http" | "https" | "file") {
        let scheme = url.scheme();
        return Err(SessionError::NoKey(format!("{url}: keys are not asked for by {scheme}:")));
    }
    let http = http.asking_for(Object { kind: Kind::Key, ..Object::default() });
    let loaded = resource::load(&http, url, Part::default(), MAX_LENGTH, retries).await;
    let (_, bytes) = loaded.map_err(|error| {
        SessionError::NoKey(format!(
            "the key of the stream cannot be had: {error} (keys are asked for with extra-headers, as segments are)"
        ))
    })?;
    // Another server may have the key where this one has a page.
    if bytes.len() != length {
        return Err(SessionError::NoKey(format!(
            "{url}: the key has {length} bytes, what came has {}; perhaps it is a page that asks for a login, for which \
             extra-headers may be needed",
            bytes.len()
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::IDENTITY;

    fn key(uri: &str, method: KeyMethod) -> Key {
        Key {
            method,
            uri: Some(Url::parse(uri).expect("a URL")),
            iv: None,
            keyformat: IDENTITY.to_owned(),
            keyformat_versions: Vec::new(),
            key_id: None,
            content_protection: None,
        }
    }

    #[test]
    fn keys_are_kept_but_not_without_end() {
        let (results, _) = mpsc::channel(1);
        let mut keys = Keys::new(results);
        for n in 0..MAX_KEYS + 1 {
            let url = Url::parse(&format!("http://h/{n}")).expect("a URL");
            keys.take((url, Ok(Bytes::from_static(&[7; 16])))).expect("a key");
        }
        let last = format!("http://h/{MAX_KEYS}");
        assert!(keys.decryptor(&key("http://h/0", KeyMethod::Aes128), 0).is_none());
        assert!(matches!(keys.decryptor(&key(&last, KeyMethod::Aes128), 0), Some(Ok(_))));
        let wrong = keys.decryptor(&key(&last, KeyMethod::Aes256), 0);
        assert!(matches!(wrong, Some(Err(DecryptError::KeyLength(16)))));
    }

    #[tokio::test]
    async fn a_key_may_stand_in_the_playlist() {
        let http = crate::net::tls::client_config(true, None).expect("TLS");
        let config = crate::net::http::HttpConfig {
            home: Url::parse("http://h/").expect("a URL"),
            user_agent: "test".to_owned(),
            extra_headers: Vec::new(),
            cookies: Vec::new(),
            proxies: crate::net::proxy::Proxies::new(None),
            timeout: std::time::Duration::from_secs(1),
            cmcd: None,
        };
        let http = HttpClient::new(config, http).expect("a client");
        let data = Url::parse("data:;base64,AAECAwQFBgcICQoLDA0ODw==").expect("a URL");
        assert_eq!(load(&http, &data, 16, 0).await.expect("a key"), &(0..16).collect::<Vec<u8>>()[..]);
        for bad in ["data:,abc", "data:;base64,!", "skd://key"] {
            let error = load(&http, &Url::parse(bad).expect("a URL"), 16, 0).await.expect_err(bad);
            assert!(matches!(error, SessionError::NoKey(_)), "{error:?}");
        }
    }
}
