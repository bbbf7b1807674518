// SPDX-License-Identifier: MPL-2.0

//! How segments are encrypted. What is said here is where a key is, never the key itself.

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
}

impl Key {
    /// The initialisation vector of the segment with this media sequence number, as AES-128 and
    /// AES-256 use it.
    pub fn iv_for(&self, sequence: i64) -> [u8; 16] {
        self.iv.unwrap_or_else(|| i128::from(sequence).to_be_bytes())
    }
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
