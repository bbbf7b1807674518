// SPDX-License-Identifier: MPL-2.0

//! How much of one segment this viewer holds, and who is adding to it.
//!
//! Bytes are joined at the end of what is held, whoever brings them. Bytes from the origin are
//! *trusted* and may be shown as they arrive; bytes from peers are shown once the segment is whole
//! and has been checked, or once the origin has confirmed them.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::trace::Trace;
use super::{FetchFailure, FetchId, Pace, PeerKey};
use crate::switcher::RateMeter;

/// An HTTP request under way.
#[derive(Clone, Copy, Debug)]
pub struct HttpFetch {
    pub fetch: FetchId,
    /// Offset of the next byte that it will bring.
    pub next: u64,
    pub started: Instant,
    pub first_byte: Option<Instant>,
    pub last_progress: Instant,
    /// Bytes it has brought.
    pub received: u64,
    /// Those of them that came at the pace of the clock: `first_byte` is that of what follows.
    pub paced: u64,
    /// Some of them were new.
    pub useful: bool,
    /// It was made before the segment was there, so how long it takes to be answered says nothing.
    pub early: bool,
    /// What it brings is what there was of a segment that is still being made.
    pub partial: bool,
    /// How the segment came when it was asked for.
    pub pace: Option<Pace>,
}

/// A transfer from a peer under way.
#[derive(Clone, Copy, Debug)]
pub struct PeerTransfer {
    pub peer: PeerKey,
    /// Offset of the next byte that it will bring.
    pub next: u64,
    /// It came without being asked for: its first bytes say nothing of how long a request takes.
    pub pushed: bool,
    pub started: Instant,
    pub first_byte: Option<Instant>,
    pub last_progress: Instant,
    pub received: u64,
    /// As [`HttpFetch::paced`].
    pub paced: u64,
    pub meter: RateMeter,
    /// The peer does not hold the segment whole itself: it passes on what it gets.
    pub relayed: bool,
}

impl PeerTransfer {
    /// One that begins now, from the offset `next` on.
    pub fn new(now: Instant, peer: PeerKey, next: u64, relayed: bool) -> Self {
        Self {
            peer,
            next,
            pushed: false,
            started: now,
            first_byte: None,
            last_progress: now,
            received: 0,
            paced: 0,
            meter: RateMeter::new(Duration::from_secs(1)),
            relayed,
        }
    }
}

/// Somebody who has brought bytes that nobody vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contributor {
    pub peer: PeerKey,
    /// It had them from somebody else whom it could not have checked yet.
    pub relayed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Bytes are missing.
    Partial,
    /// Whole, but peers had a hand in it: waiting for the check.
    Checking,
    /// Whole and good.
    Complete,
}

#[derive(Debug)]
pub struct Holding {
    pub state: State,
    /// Time until playback needed it when it was first wanted.
    pub first_slack: Duration,
    /// When a free peer first offered it.
    pub offered: Option<Instant>,
    /// Size of the segment; from a peer until the origin or the playlist has said it.
    pub total: Option<u64>,
    /// The origin or the playlist said `total`.
    pub total_trusted: bool,
    /// Bytes held, from offset 0 on without a gap.
    pub have: u64,
    /// The first of these that came from the origin or were confirmed by it.
    pub trusted: u64,
    /// Who brought the bytes that are not trusted.
    pub contributors: Vec<Contributor>,
    // Few segments are on their way at a time, and a viewer holds a dozen: so these do not lie with the rest.
    pub http: Option<Box<HttpFetch>>,
    pub transfer: Option<Box<PeerTransfer>>,
    /// There was no time left for peers to bring all of it.
    pub is_late: bool,
    /// Somebody was sent away because nothing came for so long: nobody else is invited to wait.
    pub starving: bool,
    /// Failed HTTP requests since the last that worked.
    pub failures: u32,
    /// Do not ask HTTP again before.
    pub not_before: Option<Instant>,
    /// HTTP has failed as often as it may.
    pub given_up: Option<FetchFailure>,
    /// The driver knows that the segment cannot be had.
    pub reported: bool,
    pub trace: Trace,
}

/// Where bytes that arrived belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Offset in the segment of the first of these bytes.
    pub offset: u64,
    /// Of these bytes, those that are new and go to the end of what is held.
    pub append: Range<usize>,
}

impl Placement {
    /// Bytes that somebody else had brought already.
    pub fn wasted(&self) -> u64 {
        self.append.start as u64
    }
}

impl Holding {
    pub fn new(size: Option<u64>, first_slack: Duration) -> Self {
        Self {
            state: State::Partial,
            first_slack,
            offered: None,
            total: size,
            total_trusted: size.is_some(),
            have: 0,
            trusted: 0,
            contributors: Vec::new(),
            http: None,
            transfer: None,
            is_late: false,
            starving: false,
            failures: 0,
            not_before: None,
            given_up: None,
            reported: false,
            trace: Trace::default(),
        }
    }

    /// What could not be had may be had now.
    pub fn renew(&mut self) {
        (self.given_up, self.not_before) = (None, None);
        (self.reported, self.failures) = (false, 0);
    }

    pub fn http(&self) -> Option<HttpFetch> {
        self.http.as_deref().copied()
    }

    pub fn transfer(&self) -> Option<PeerTransfer> {
        self.transfer.as_deref().copied()
    }

    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Nothing is held and nobody is at work: the entry can go.
    pub fn is_idle_and_empty(&self) -> bool {
        let partial = self.state == State::Partial;
        partial && self.have == 0 && self.http.is_none() && self.transfer.is_none() && self.failures == 0
    }

    /// It is wanted, and nobody is bringing it.
    pub fn wants_a_source(&self) -> bool {
        self.state == State::Partial && !self.is_fed()
    }

    /// Bytes that may be shown now.
    pub fn readable(&self) -> u64 {
        if self.is_complete() { self.have } else { self.trusted }
    }

    /// Others may be given of it, or wait for what is missing.
    pub fn is_passed_on(&self) -> bool {
        self.have > 0 && (self.state != State::Partial || self.is_fed() && !self.starving)
    }

    /// More of it is on its way.
    pub fn is_fed(&self) -> bool {
        self.http.is_some() || self.transfer.is_some()
    }

    /// What of the bytes `range`, on their way from the origin, a peer has brought already and must have
    /// brought just so.
    pub fn to_confirm(&self, range: &Range<u64>) -> Range<u64> {
        if range.contains(&self.trusted) { self.trusted..self.have.min(range.end) } else { 0..0 }
    }

    /// Takes note of `len` bytes at `offset` from the origin.
    pub fn place_http(&mut self, offset: u64, len: u64) -> Placement {
        let end = offset + len;
        let overlap = self.have.saturating_sub(offset).min(len);
        if (offset..end).contains(&self.trusted) {
            self.trusted = end;
        }
        self.starving &= self.have >= end;
        self.have = self.have.max(end);
        if self.trusted == self.have {
            self.contributors.clear();
        }
        Placement { offset, append: overlap as usize..len as usize }
    }

    /// Takes note of `len` bytes at `offset` that somebody has brought.
    pub fn place_peer(&mut self, from: Contributor, offset: u64, len: u64) -> Placement {
        let overlap = self.have.saturating_sub(offset).min(len);
        if overlap < len && !self.contributors.contains(&from) {
            self.contributors.push(from);
        }
        self.starving &= self.have >= offset + len;
        self.have = self.have.max(offset + len);
        Placement { offset, append: overlap as usize..len as usize }
    }

    /// Forgets all that is not trusted. Gives who had brought it.
    pub fn distrust(&mut self) -> Vec<Contributor> {
        self.have = self.trusted;
        self.state = State::Partial;
        if !self.total_trusted {
            self.total = None;
        }
        std::mem::take(&mut self.contributors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Contributor = Contributor { peer: PeerKey(1), relayed: false };

    #[test]
    fn bytes_from_the_origin_can_be_shown_at_once() {
        let mut h = Holding::new(None, Duration::ZERO);
        assert_eq!(h.place_http(0, 100), Placement { offset: 0, append: 0..100 });
        assert_eq!((h.have, h.readable()), (100, 100));
    }

    #[test]
    fn bytes_from_a_peer_wait() {
        let mut h = Holding::new(None, Duration::ZERO);
        h.place_http(0, 100);
        h.place_peer(PEER, 100, 50);
        assert_eq!((h.have, h.readable()), (150, 100));
        assert_eq!(h.contributors, [PEER]);
    }

    #[test]
    fn the_origin_confirms_what_a_peer_brought() {
        let mut h = Holding::new(None, Duration::ZERO);
        h.place_peer(PEER, 0, 100);
        assert_eq!(h.to_confirm(&(0..60)), 0..60);
        assert_eq!(h.place_http(0, 60), Placement { offset: 0, append: 60..60 });
        assert_eq!((h.have, h.readable()), (100, 60));
        assert_eq!(h.to_confirm(&(60..120)), 60..100);
        assert_eq!(h.place_http(60, 60), Placement { offset: 60, append: 40..60 });
        assert_eq!((h.have, h.readable()), (120, 120));
        assert!(h.contributors.is_empty(), "nothing of the peer's is left to doubt");
    }

    #[test]
    fn an_origin_without_ranges_starts_again_from_the_front() {
        let mut h = Holding::new(None, Duration::ZERO);
        h.place_http(0, 50);
        h.place_peer(PEER, 50, 50);
        assert_eq!(h.to_confirm(&(0..80)), 50..80);
        assert_eq!(h.place_http(0, 80), Placement { offset: 0, append: 80..80 });
        assert_eq!(h.place_http(80, 80), Placement { offset: 80, append: 20..80 });
        assert_eq!((h.have, h.readable()), (160, 160));
    }

    #[test]
    fn a_tail_from_the_origin_does_not_vouch_for_the_head() {
        let mut h = Holding::new(Some(200), Duration::ZERO);
        h.place_peer(PEER, 0, 100);
        assert!(h.to_confirm(&(100..200)).is_empty());
        assert_eq!(h.place_http(100, 100), Placement { offset: 100, append: 0..100 });
        assert_eq!((h.have, h.readable()), (200, 0));
        assert_eq!(h.distrust(), [PEER]);
        assert_eq!((h.have, h.total), (0, Some(200)));
    }
}
