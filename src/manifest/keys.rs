// SPDX-License-Identifier: MPL-2.0

//! How segments are encrypted. What is said here is where a key is, never the key itself.

use std::sync::Arc;

use url::Url;

/// The key format that needs no DRM system: the key is the 16 or 32 bytes at its URI.
pub const IDENTITY: &str = "identity";

/// EXT-X-KEY: RFC 8216bis 4.4.4.4, or EXT-X-SESSION-KEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub method: KeyMethod,
    /// Where the key is; None where URI is missing. Not always something to fetch (`skd:`, `data:`).
    pub uri: Option<Url>,
    /// None: the segment's media sequence number as a big-endian 128-bit integer.
    pub iv: Option<[u8; 16]>,
    /// KEYFORMAT; [`IDENTITY`] where it is missing.
    pub keyformat: String,
    /// KEYFORMATVERSIONS; empty where it is missing, which means version 1.
    pub keyformat_versions: Vec<u32>,
    /// KEYID, which is not in the RFC: the key id of Common Encryption, as Shaka Packager writes it.
    pub key_id: Option<[u8; 16]>,
    /// DASH: what ContentProtection tells the DRM system, see [`Self::protection`].
    pub content_protection: Option<Arc<str>>,
}

/// What a decryptor has to know that opens samples, as GStreamer's protection events have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// UUID of the DRM system, in lower case.
    pub system_id: String,
    /// Of a playlist: what stands in the `data:` URI of the key, or the URI. Of an MPD: the ContentProtection element as
    /// text, or, of PlayReady with the value `MSPR 2.0`, the text of its `pro`.
    pub data: Vec<u8>,
    /// Where it was found: `hls/m3u8` or `dash/mpd`.
    pub origin: &'static str,
}

/// DRM systems by the names that playlists call them, as <https://dashif.org/identifiers/content_protection/> lists
/// their UUIDs. A key in plain is ClearKey's.
const SYSTEMS: [(&str, &str); 6] = [
    ("com.apple.streamingkeydelivery", "94ce86fb-07ff-4f43-adb8-93d2fa968ca2"),
    ("com.microsoft.playready", "9a04f079-9840-4286-ab92-e65be0885f95"),
    ("com.widevine", "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"),
    ("com.widevine.alpha", "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"),
    ("org.w3.clearkey", CLEAR_KEY),
    (IDENTITY, CLEAR_KEY),
];
const CLEAR_KEY: &str = "e2719d58-a985-b3c9-781a-b030af78d30e";

impl Key {
    /// What the DRM system is to be told; None where there is nothing, or no system that is known.
    pub fn protection(&self) -> Option<Protection> {
        let format = self.keyformat.to_ascii_lowercase();
        let named =
            || SYSTEMS.iter().find(|(name, _)| *name == format).map(|(_, system)| (*system).to_owned());
        let system_id = format.strip_prefix("urn:uuid:").map(str::to_owned).or_else(named)?;
        let (data, origin) = match (&self.content_protection, &self.uri) {
            (Some(text), _) => (text.as_bytes().to_vec(), "dash/mpd"),
            (None, Some(uri)) => (in_data_uri(uri).unwrap_or_else(|| uri.as_str().into()), "hls/m3u8"),
            (None, None) => return None,
        };
        Some(Protection { system_id, data, origin })
    }

    /// The initialisation vector of the segment with this media sequence number, as AES-128 and
    /// AES-256 use it.
    pub fn iv_for(&self, sequence: i64) -> [u8; 16] {
        self.iv.unwrap_or_else(|| i128::from(sequence).to_be_bytes())
    }
}

/// The bytes that a `data:` URI holds in base64 (RFC 2397); None: it is none, or holds something else.
pub fn in_data_uri(uri: &Url) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let (_, text) = uri.path().split_once(";base64,").filter(|_| uri.scheme() == "data")?;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// METHOD of a key; NONE is the absence of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMethod {
    /// Whole segments, AES-128 CBC with PKCS#7 padding.
    Aes128,
    /// Whole segments, AES-256 CBC with PKCS#7 padding, from version 13 on.
    Aes256,
    /// Samples within the segments: `cbcs` in MP4, Apple's own scheme in TS and packed audio.
    SampleAes,
    /// Samples within the segments: `cenc` in MP4. SAMPLE-AES-CENC is an older name of it.
    SampleAesCtr,
    /// As written.
    Other(String),
}

impl KeyMethod {
    /// Whether segments are encrypted as a whole, so that they can be opened without looking into
    /// the container.
    pub fn is_whole_segment(&self) -> bool {
        matches!(self, Self::Aes128 | Self::Aes256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drm_systems_are_told_what_is_theirs() {
        let told = |keyformat: &str, uri: &str, text: Option<&str>| {
            let key = Key {
                method: KeyMethod::SampleAes,
                uri: Url::parse(uri).ok(),
                iv: None,
                keyformat: keyformat.to_owned(),
                keyformat_versions: Vec::new(),
                key_id: None,
                content_protection: text.map(Arc::from),
            };
            key.protection().map(|p| (p.system_id, String::from_utf8(p.data).expect("text"), p.origin))
        };
        let widevine = "urn:uuid:EDEF8BA9-79d6-4ace-a3c8-27dcd51d21ed";
        let known = |system: &str, data: &str, origin| Some((system.to_owned(), data.to_owned(), origin));
        assert_eq!(
            told(widevine, "data:text/plain;base64,aGk=", None),
            known(&widevine[9..].to_lowercase(), "hi", "hls/m3u8")
        );
        assert_eq!(
            told("com.apple.streamingkeydelivery", "skd://k", None),
            known("94ce86fb-07ff-4f43-adb8-93d2fa968ca2", "skd://k", "hls/m3u8")
        );
        assert_eq!(told("com.microsoft.playready", "", Some("<x/>")).expect("one").2, "dash/mpd");
        assert_eq!(told("identity", "https://h/k", None), known(CLEAR_KEY, "https://h/k", "hls/m3u8"));
        assert_eq!(told("some.other", "https://h/k", None), None);
        assert_eq!(told(widevine, "", None), None);
    }
}
