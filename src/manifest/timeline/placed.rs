// SPDX-License-Identifier: MPL-2.0

//! One segment of the timeline, which may be a part of one of the playlist.

use std::time::Duration;

use crate::manifest::Segment;

/// A segment in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedSegment {
    /// The segment's number in its swarm, which p2p-media-loader calls `externalId`; where parts are played or names go by
    /// time, its place here ([`Segment::time`]).
    pub number: i64,
    /// Position on the presentation's timeline.
    pub start: Duration,
    pub piece: Piece,
    pub segment: Segment,
}

/// What of a segment of the playlist one on the timeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Whole,
    /// EXT-X-PART, the how manieth of its segment, from zero; it may start with a key frame.
    Part {
        index: u32,
        independent: bool,
    },
    /// A part that the server has announced and not listed yet: EXT-X-PRELOAD-HINT. Whoever asks for it waits until
    /// it is there.
    Hinted {
        index: u32,
    },
    /// A part in whose place the whole segment is, under the number of the first part. There is nothing to play.
    Absorbed,
}

impl PlacedSegment {
    /// Position where the next segment starts.
    pub fn end(&self) -> Duration {
        self.start.saturating_add(self.segment.duration)
    }

    /// Which part of its segment this is, from zero; None: it is none.
    pub fn index(&self) -> Option<u32> {
        match self.piece {
            Piece::Part { index, .. } | Piece::Hinted { index } => Some(index),
            Piece::Whole | Piece::Absorbed => None,
        }
    }

    pub fn is_hinted(&self) -> bool {
        matches!(self.piece, Piece::Hinted { .. })
    }

    /// A segment of the playlist begins with it.
    pub fn is_beginning(&self) -> bool {
        self.piece == Piece::Whole || self.index() == Some(0)
    }

    /// There is media to be had.
    pub fn is_playable(&self) -> bool {
        !self.segment.gap && self.piece != Piece::Absorbed
    }

    /// Playback can begin here, as far as the playlist tells.
    pub fn is_independent(&self) -> bool {
        match self.piece {
            Piece::Part { independent: true, .. } => true,
            _ => self.is_beginning() && self.segment.independent,
        }
    }
}
