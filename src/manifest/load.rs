// SPDX-License-Identifier: MPL-2.0

//! What has to be loaded, and what came of it. Nothing here does I/O: whoever does is told what to
//! ask for, and tells what was answered.

use std::time::{Duration, Instant};

use bytes::Bytes;
use url::Url;

use super::{ByteRange, MAX_BYTES, dash};

/// A moment, by the clock that only goes forwards and by the one that people set.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    /// Since 1970-01-01 UTC, as far as this machine knows.
    pub system: Duration,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Load {
    /// Not before this.
    pub at: Instant,
    pub url: Url,
    /// None: all of it.
    pub byte_range: Option<ByteRange>,
    /// Only the head of the answer is of interest (HEAD).
    pub head_only: bool,
    /// Most bytes that are taken.
    pub limit: usize,
    /// How long an answer may take to begin. None: as any other.
    pub patience: Option<Duration>,
    /// Without it nothing can be played; otherwise a failure is told with no answer.
    pub is_needed: bool,
    pub(super) what: What,
    /// What is shared has been as it is now since this many changes.
    pub(super) turn: u64,
}

/// What is to be loaded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A playlist; it builds on what is known where `delta` is set.
    List {
        delta: bool,
    },
    Mpd,
    Patch,
    Link(dash::Link),
    Clock(dash::UtcTiming),
    Index(dash::Address),
}

impl Load {
    pub(super) fn new(at: Instant, url: Url, what: What) -> Self {
        Self {
            at,
            url,
            byte_range: None,
            head_only: false,
            limit: MAX_BYTES,
            patience: None,
            is_needed: true,
            what,
            turn: 0,
        }
    }

    /// Whether it is a manifest or a piece of one.
    pub fn is_manifest(&self) -> bool {
        !matches!(self.what, What::Clock(_) | What::Index(_))
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it came from in the end.
    pub url: Url,
    pub body: Bytes,
    /// The Date header.
    pub date: Option<String>,
    /// The Age header: how long a cache has had it.
    pub age: Duration,
    /// When it was asked for.
    pub begun: Instant,
}
