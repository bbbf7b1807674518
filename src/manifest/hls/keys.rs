// SPDX-License-Identifier: MPL-2.0

//! EXT-X-KEY and EXT-X-SESSION-KEY: RFC 8216bis 4.4.4.4 and 4.4.6.5.

use std::sync::Arc;

use super::addresses::Addresses;
use super::attributes::Attributes;
use super::values;
use crate::manifest::{IDENTITY, Key, ManifestError};

/// Most key formats that apply to a segment at a time; there are some ten DRM systems.
const MAX_FORMATS: usize = 16;

/// The keys that apply to what comes next, one of each format.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KeyRing {
    pub keys: Arc<[Arc<Key>]>,
    /// The one to use.
    pub key: Option<Arc<Key>>,
}

impl KeyRing {
    /// Takes an EXT-X-KEY. METHOD=NONE ends all formats, as in browsers; a key ends the one of its
    /// own format. Formats beyond those that can be real are ignored.
    pub fn take(
        &mut self,
        addresses: &Addresses,
        attributes: &Attributes,
        line: usize,
    ) -> Result<(), ManifestError> {
        if attributes.get("METHOD") == Some("NONE") {
            *self = Self::default();
            return Ok(());
        }
        let Some(key) = key(addresses, attributes, line)? else { return Ok(()) };
        let same_format = |known: &&Arc<Key>| known.keyformat == key.keyformat;
        let others = || self.keys.iter().filter(|known| !same_format(known)).cloned();
        if others().count() >= MAX_FORMATS {
            return Ok(());
        }
        // A key written again, as some packagers do before each segment, is the same one.
        if self.keys.iter().find(same_format).is_some_and(|known| **known == key) {
            return Ok(());
        }
        self.keys = others().chain([Arc::new(key.clone())]).collect();
        let identity = self.keys.iter().find(|key| key.keyformat == IDENTITY);
        self.key = identity.or(self.keys.last()).cloned();
        Ok(())
    }
}

/// None: there is no METHOD.
pub(super) fn key(
    addresses: &Addresses,
    attributes: &Attributes,
    line: usize,
) -> Result<Option<Key>, ManifestError> {
    let Some(method) = attributes.get("METHOD") else { return Ok(None) };
    let versions = attributes.get("KEYFORMATVERSIONS").unwrap_or_default();
    Ok(Some(Key {
        method: values::key_method(method),
        uri: attributes.get("URI").map(|uri| addresses.resolve(uri, line)).transpose()?,
        iv: attributes.get("IV").and_then(values::initialisation_vector),
        keyformat: attributes.get("KEYFORMAT").unwrap_or(IDENTITY).to_owned(),
        keyformat_versions: versions.split('/').filter_map(|version| version.trim().parse().ok()).collect(),
        key_id: attributes.get("KEYID").and_then(values::initialisation_vector),
        content_protection: None,
    }))
}
