// SPDX-License-Identifier: MPL-2.0

//! Relative addresses -> URLs, in bounded memory.

use std::cell::Cell;

use url::Url;

use crate::manifest::ManifestError;
use crate::manifest::error::shorten;

/// Most bytes of URLs that a playlist makes: a short line may name a long one, since all inherit
/// the path of the playlist's own. Room for [`MAX_SEGMENTS`](crate::manifest::MAX_SEGMENTS) URLs
/// of some 300 bytes each.
const MAX_URL_BYTES: usize = 64 << 20;

/// Resolves addresses against the playlist's own.
pub(super) struct Addresses<'a> {
    pub base: &'a Url,
    /// Bytes of URLs that may still be made.
    left: Cell<usize>,
}

impl<'a> Addresses<'a> {
    pub fn new(base: &'a Url) -> Self {
        Self { base, left: Cell::new(MAX_URL_BYTES) }
    }

    /// The URL of an address on `line` without which there is nothing to play.
    pub fn resolve(&self, uri: &str, line: usize) -> Result<Url, ManifestError> {
        let bad = |source| ManifestError::BadUri { line, uri: shorten(uri), source };
        let url = self.base.join(uri).map_err(bad)?;
        let left = self.left.get().checked_sub(url.as_str().len());
        let too_many = ManifestError::TooMany { line, what: "bytes of addresses", limit: MAX_URL_BYTES };
        self.left.set(left.ok_or(too_many)?);
        Ok(url)
    }

    /// The URL of an address that can be done without.
    pub fn optional(&self, uri: &str) -> Option<Url> {
        self.resolve(uri, 0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_addresses_of_long_urls_are_bounded() {
        let base = format!("http://h/{}/list.m3u8", "a".repeat(MAX_URL_BYTES / 8));
        let base = Url::parse(&base).expect("a URL");
        let addresses = Addresses::new(&base);
        let made = (0..100).take_while(|_| addresses.optional("b").is_some()).count();
        assert_eq!(made, 7);
        assert_eq!(
            addresses.resolve("b", 5).map_err(|error| error.to_string()),
            Err(format!("line 5: the playlist has more than {MAX_URL_BYTES} bytes of addresses"))
        );
    }
}
