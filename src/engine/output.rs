// SPDX-License-Identifier: MPL-2.0

//! The way of a track's bytes from the session to the thread that pushes them downstream.

use std::time::Duration;

use bytes::Bytes;

/// What a track has to push next.
#[derive(Clone, Debug)]
pub enum Item {
    /// A segment begins; its bytes follow as [`Item::Data`].
    Start(SegmentStart),
    /// The next bytes of the current segment.
    Data(Bytes),
    /// The current segment is whole.
    End,
    /// Nothing follows, the presentation has ended.
    Eos,
}

/// What is known of a segment before its bytes.
#[derive(Clone, Debug)]
pub struct SegmentStart {
    /// Position of the segment's start on the presentation's timeline.
    pub position: Duration,
    pub duration: Duration,
    /// The bytes do not continue those before: first segment, after a seek, a discontinuity, a skipped
    /// segment or a switch of variant.
    pub discontinuity: bool,
    /// The initialisation segment (fMP4), present whenever `discontinuity` is set and the format has one, and
    /// when it changes.
    pub init: Option<Bytes>,
}

/// The reading end of a track, used by one thread.
pub struct TrackReader {}

impl TrackReader {
    /// Waits for the next item. None once [`TrackReader::interrupt`] was called or the session is gone.
    pub fn next(&self) -> Option<Item> {
        None
    }

    /// Makes the present and all further calls of `next` return None until [`TrackReader::resume`].
    pub fn interrupt(&self) {}

    pub fn resume(&self) {}
}
