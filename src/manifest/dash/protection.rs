// SPDX-License-Identifier: MPL-2.0

//! How media is encrypted, and for which DRM systems: ISO/IEC 23009-1 5.8.4.1 and 7.

use std::sync::Arc;

use url::Url;

use super::values;
use super::xml::Element;
use crate::manifest::{Key, KeyMethod};

/// The scheme that says how samples are encrypted, rather than for whom.
const MP4_PROTECTION: &str = "urn:mpeg:dash:mp4protection:2011";

/// Segments encrypted as a whole: ISO/IEC 23009-4.
const SEGMENT_ENCRYPTION: &str = "urn:mpeg:dash:sea:2012";

/// Most protections at one place; the surplus is left out.
const MAX_PROTECTIONS: usize = 64;

/// ContentProtection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentProtection {
    /// @schemeIdUri as written.
    pub scheme: Arc<str>,
    /// @value as written: `cenc`, `cbcs`, or the name of the DRM system.
    pub value: Option<Arc<str>>,
    /// The system of `urn:uuid:…`, as `pssh` boxes name it.
    pub system_id: Option<[u8; 16]>,
    /// @cenc:default_KID, those that are UUIDs.
    pub default_key_ids: Vec<[u8; 16]>,
    /// cenc:pssh, whole boxes.
    pub pssh: Vec<Arc<[u8]>>,
    /// mspr:pro, a PlayReady object.
    pub playready_object: Option<Arc<[u8]>>,
    /// Laurl: where licences are to be had.
    pub license_url: Option<Arc<str>>,
    /// @robustness as written.
    pub robustness: Option<Arc<str>>,
    /// Of segments that are encrypted as a whole.
    pub segment_encryption: Option<Arc<SegmentEncryption>>,
    /// What its DRM system is to be told, as GStreamer's own DASH demuxer does: the element written anew, or the PlayReady
    /// object in base64.
    text: Arc<str>,
    ref_id: Option<Arc<str>>,
    reference: Option<Arc<str>>,
}

/// SegmentEncryption with its CryptoPeriods: ISO/IEC 23009-4 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentEncryption {
    /// How segments are encrypted, as written; AES-128 CBC where it is missing.
    pub scheme: String,
    pub periods: Vec<CryptoPeriod>,
}

/// CryptoPeriod: segments with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoPeriod {
    /// Index of its first segment; None: it follows the one before.
    pub start_number: Option<u64>,
    /// None: all that follow.
    pub segments: Option<u64>,
    /// Where the key is, absolute or relative to the MPD; as written.
    pub key_uri: Option<String>,
    /// None: the index of each segment, as Shaka Player has it.
    pub iv: Option<[u8; 16]>,
}

impl ContentProtection {
    /// The protections in `element` that others refer to (`@refId`, 5.8.4.1.2).
    pub(super) fn declared(element: &Element) -> Vec<Self> {
        let all = element.all("ContentProtection").filter(|p| p.text_of("refId").is_some());
        all.take(MAX_PROTECTIONS).map(Self::read).collect()
    }

    /// The protections in `element`. One that refers to another of those `declared` gets what it
    /// leaves out from there.
    pub(super) fn of(element: &Element, declared: &[Self]) -> Vec<Self> {
        let own = element.all("ContentProtection");
        let mut own: Vec<Self> = own.take(MAX_PROTECTIONS).map(Self::read).collect();
        for protection in &mut own {
            let Some(reference) = &protection.reference else { continue };
            if let Some(source) = declared.iter().find(|source| source.ref_id.as_ref() == Some(reference)) {
                protection.fill_in(source);
            }
        }
        own
    }

    fn read(element: &Element) -> Self {
        let text = |name| element.text_of(name).map(Arc::<str>::from);
        let scheme = text("schemeIdUri").unwrap_or_default();
        let lower = scheme.to_ascii_lowercase();
        let ids = element.text_of("default_KID").unwrap_or_default();
        Self {
            system_id: lower.strip_prefix("urn:uuid:").and_then(values::uuid),
            default_key_ids: ids.split_ascii_whitespace().take(64).filter_map(values::uuid).collect(),
            pssh: element
                .all("pssh")
                .take(16)
                .filter_map(|pssh| Some(values::base64(&pssh.text())?.into()))
                .collect(),
            playready_object: element.first("pro").and_then(|pro| Some(values::base64(&pro.text())?.into())),
            license_url: element
                .elements()
                .find(|child| child.local_name().eq_ignore_ascii_case("laurl"))
                .map(|laurl| Arc::from(&*laurl.text()))
                .filter(|url: &Arc<str>| !url.is_empty()),
            robustness: text("robustness"),
            segment_encryption: (lower == SEGMENT_ENCRYPTION)
                .then(|| SegmentEncryption::read(element).into()),
            text: match (text("value").as_deref(), element.first("pro")) {
                (Some("MSPR 2.0"), Some(pro)) => pro.text().trim().into(),
                _ if lower.starts_with("urn:uuid:") || text("ref").is_some() => element.outer_xml().into(),
                _ => Arc::default(),
            },
            ref_id: text("refId"),
            reference: text("ref"),
            value: text("value"),
            scheme,
        }
    }

    fn fill_in(&mut self, source: &Self) {
        let take = |own: &mut Option<Arc<str>>, theirs: &Option<Arc<str>>| {
            if own.is_none() {
                own.clone_from(theirs);
            }
        };
        take(&mut self.value, &source.value);
        take(&mut self.license_url, &source.license_url);
        take(&mut self.robustness, &source.robustness);
        if self.scheme.is_empty() {
            self.scheme.clone_from(&source.scheme);
        }
        self.system_id = self.system_id.or(source.system_id);
        self.text.clone_from(&source.text);
        if self.default_key_ids.is_empty() {
            self.default_key_ids.clone_from(&source.default_key_ids);
        }
        if self.pssh.is_empty() {
            self.pssh.clone_from(&source.pssh);
        }
        if self.playready_object.is_none() {
            self.playready_object.clone_from(&source.playready_object);
        }
        if self.segment_encryption.is_none() {
            self.segment_encryption.clone_from(&source.segment_encryption);
        }
    }

    /// Whether it says how samples are encrypted, rather than for which system.
    pub fn is_common(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(MP4_PROTECTION)
    }
}

impl SegmentEncryption {
    fn read(element: &Element) -> Self {
        let scheme = element.first("SegmentEncryption").and_then(|e| e.text_of("schemeIdUri"));
        let is_period = |child: &&Element| child.is("CryptoPeriod") || child.is("CryptoTimeline");
        let period = |period: &Element| CryptoPeriod {
            start_number: period
                .text_of("startOffset")
                .or_else(|| period.text_of("offset"))
                .and_then(values::unsigned),
            segments: period.text_of("numSegments").and_then(values::unsigned),
            key_uri: period.text_of("keyUri").or_else(|| period.text_of("keyUriTemplate")).map(str::to_owned),
            iv: period.text_of("IV").and_then(initialisation_vector),
        };
        Self {
            scheme: scheme.unwrap_or("urn:mpeg:dash:sea:aes128-cbc:2013").to_owned(),
            periods: element.elements().filter(is_period).take(10_000).map(period).collect(),
        }
    }

    /// The key of the segment with this index, as HLS' METHOD=AES-128 has it. None: it is clear.
    pub fn key(&self, base: &Url, index: u64) -> Option<Key> {
        let mut next = 0;
        for period in &self.periods {
            let start = period.start_number.unwrap_or(next);
            let end = period.segments.map_or(u64::MAX, |count| start.saturating_add(count));
            next = end;
            if (start..end).contains(&index) {
                let uri = period.key_uri.as_deref()?;
                return Some(Key {
                    method: KeyMethod::Aes128,
                    uri: base.join(uri).ok(),
                    // Not the media sequence number, which periods and reloads move.
                    iv: Some(period.iv.unwrap_or_else(|| u128::from(index).to_be_bytes())),
                    keyformat: crate::manifest::IDENTITY.to_owned(),
                    keyformat_versions: Vec::new(),
                    key_id: None,
                    content_protection: None,
                });
            }
        }
        None
    }
}

fn initialisation_vector(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// The keys of samples, one for each DRM system: what HLS says with EXT-X-KEY. Empty where the
/// media is clear.
pub(super) fn sample_keys(protections: &[&ContentProtection]) -> Arc<[Arc<Key>]> {
    let common = protections.iter().find(|protection| protection.is_common());
    let key_id = protections.iter().find_map(|protection| protection.default_key_ids.first().copied());
    let method = match common.and_then(|common| common.value.as_deref()).map(str::to_ascii_lowercase) {
        Some(scheme) if scheme == "cbcs" || scheme == "cbc1" => KeyMethod::SampleAes,
        Some(scheme) if scheme == "cenc" || scheme == "cens" => KeyMethod::SampleAesCtr,
        // What the standard's older editions mean where they say nothing.
        None => KeyMethod::SampleAesCtr,
        Some(other) => KeyMethod::Other(other),
    };
    let systems = protections.iter().filter(|p| !p.is_common() && p.segment_encryption.is_none());
    let key = |protection: &&ContentProtection| {
        use base64::Engine as _;
        let pssh = protection.pssh.first().map(|pssh| base64::engine::general_purpose::STANDARD.encode(pssh));
        Arc::new(Key {
            method: method.clone(),
            uri: pssh
                .and_then(|pssh| Url::parse(&format!("data:application/octet-stream;base64,{pssh}")).ok()),
            iv: None,
            keyformat: protection.scheme.to_ascii_lowercase(),
            keyformat_versions: Vec::new(),
            key_id: protection.default_key_ids.first().copied().or(key_id),
            content_protection: protection.system_id.is_some().then(|| protection.text.clone()),
        })
    };
    let mut keys: Vec<_> = systems.map(key).collect();
    if let (true, Some(common)) = (keys.is_empty(), common) {
        keys.push(key(common));
    }
    keys.into()
}
