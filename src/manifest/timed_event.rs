// SPDX-License-Identifier: MPL-2.0

//! Events: what the publisher tells applications at a moment of the presentation. They stand in the
//! manifest, or come with the media in `emsg` boxes.

use std::time::Duration;

/// An event, wherever it was found: ISO/IEC 23009-1 5.10.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimedEvent {
    /// The URI that says what the event means.
    pub scheme: String,
    /// What the scheme makes of it; empty where it is missing.
    pub value: String,
    /// Equal events of one scheme and value have the same.
    pub id: Option<u64>,
    /// Nanoseconds on the manifest's own timeline, see [`Timeline::position_of_time`](super::Timeline::position_of_time).
    pub start: i64,
    /// None: it lasts until further notice.
    pub duration: Option<Duration>,
    pub data: Vec<u8>,
}

/// Which events are looked for in a segment, shared by all segments that it applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InbandEvents {
    /// Scheme and value of each; no value stands for all.
    pub schemes: Vec<(String, Option<String>)>,
}

impl InbandEvents {
    /// Whether events of this scheme and value are among them.
    pub fn name(&self, scheme: &str, value: &str) -> bool {
        let is = |(s, v): &(String, Option<String>)| {
            s.eq_ignore_ascii_case(scheme) && v.as_deref().is_none_or(|v| v.is_empty() || v == value)
        };
        self.schemes.iter().any(is)
    }
}
