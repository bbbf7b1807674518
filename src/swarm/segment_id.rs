// SPDX-License-Identifier: MPL-2.0

//! The name that all viewers of a stream use for one segment.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// A segment's number within its stream: p2p-media-loader's `externalId`, the `i` field on the wire.
///
/// For live HLS it is the media sequence number, for VOD the place in the playlist. Negative numbers
/// occur in DASH, where the number comes from the start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub i64);

impl From<i64> for SegmentId {
    fn from(id: i64) -> Self {
        Self(id)
    }
}

impl FromStr for SegmentId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
