// SPDX-License-Identifier: MPL-2.0

//! One viewer: whom it has met, and what it has been offered.

use super::groups::{GroupIndex, NONE};
use super::{LinkLimits, OFFER_LIFETIME, Slot, Tick};
use crate::swarm::ids::{OfferId, PeerId};
use crate::swarm::tracker_messages::Offer;
use crate::tracker::place::{LEVELS, Level, Place};
use crate::tracker::swarms::Home;

/// One viewer.
#[derive(Debug)]
pub struct Peer {
    pub id: PeerId,
    pub home: Home,
    pub seeder: bool,
    /// Whether others may find it: a guest that was not heard of for a while is only remembered.
    pub(super) listed: bool,
    pub joined: Tick,
    /// When it counts as gone unless it announces itself again.
    pub expires: Tick,
    pub place: Place,
    pub(super) groups: [GroupIndex; LEVELS],
    pub(super) positions: [u32; LEVELS],
    pub(super) pairs: Vec<Pair>,
    /// Offers that it has been given and may still answer.
    pub(super) incoming: Vec<Incoming>,
    /// Offers that nobody has been given yet, oldest first.
    pub(super) banked: Vec<Banked>,
    /// What it said about its bytes, if anything.
    pub(super) report: Option<Box<super::traffic::Report>>,
    /// Links and offers under way by how near the other is.
    levels: [u16; LEVELS],
    links: u16,
    open: u16,
    /// What the viewer counted itself, less what was counted here at that time.
    correction: i16,
}

/// Two viewers who have been introduced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub other: Slot,
    pub at: Tick,
    pub level: Level,
    pub state: PairState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairState {
    /// An offer is under way.
    Open,
    /// An answer came back, so they are probably connected.
    Linked,
    /// The offer was never answered.
    Faded,
}

impl PairState {
    fn counts(self) -> bool {
        self != Self::Faded
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    pub offer_id: OfferId,
    pub from: Slot,
    pub at: Tick,
}

#[derive(Debug)]
pub(super) struct Banked {
    pub offer: Offer,
    /// When it is too old to be given to anybody.
    pub until: Tick,
}

/// What is known about two viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acquaintance {
    Strangers,
    /// Introduced so long ago that it may be tried again.
    Faded,
    Recent,
}

impl Peer {
    pub(super) fn new(id: PeerId, home: Home, place: Place, seeder: bool, now: Tick) -> Self {
        Self {
            id,
            home,
            seeder,
            listed: true,
            joined: now,
            expires: now,
            place,
            groups: [NONE; LEVELS],
            positions: [0; LEVELS],
            pairs: Vec::new(),
            incoming: Vec::new(),
            banked: Vec::new(),
            report: None,
            levels: [0; LEVELS],
            links: 0,
            open: 0,
            correction: 0,
        }
    }

    /// Whether another node of the cluster serves it.
    pub fn is_guest(&self) -> bool {
        matches!(self.home, Home::There(_))
    }

    /// Whether it stands in the lists of its groups. Nobody is to depend on a viewer who does not
    /// upload, so nobody finds it.
    pub(super) fn is_findable(&self) -> bool {
        self.place.uploads && self.listed
    }

    /// Viewers that it is probably connected to.
    pub fn links(&self) -> usize {
        usize::try_from(i32::from(self.links) + i32::from(self.correction)).unwrap_or(0)
    }

    /// Its links and those in the making.
    pub fn load(&self) -> usize {
        self.links() + usize::from(self.open)
    }

    /// How many links it should have.
    pub fn target(&self, limits: &LinkLimits) -> usize {
        if self.place.uploads { limits.target } else { limits.target_without_upload }
    }

    /// Links and those in the making, to viewers at these levels.
    pub fn load_within(&self, levels: std::ops::RangeInclusive<Level>) -> usize {
        let levels = *levels.start() as usize..=*levels.end() as usize;
        self.levels[levels].iter().map(|count| usize::from(*count)).sum()
    }

    /// What this viewer and another are to each other.
    pub fn acquaintance(&self, other: Slot, now: Tick, limits: &LinkLimits) -> Acquaintance {
        let Some(pair) = self.pairs.iter().find(|pair| pair.other == other) else {
            return Acquaintance::Strangers;
        };
        let faded = match pair.state {
            // The viewer says itself that it has lost some of its links.
            PairState::Linked if self.correction < 0 => OFFER_LIFETIME,
            PairState::Linked => limits.meet_again,
            PairState::Open | PairState::Faded => OFFER_LIFETIME,
        };
        if now.since(pair.at) >= faded { Acquaintance::Faded } else { Acquaintance::Recent }
    }

    /// Whether it has offers left for someone.
    pub fn has_banked(&self, now: Tick) -> bool {
        self.banked.iter().any(|banked| banked.until > now)
    }

    /// Takes over how many links the viewer counts itself.
    pub(super) fn correct(&mut self, links: u32) {
        let most = super::MAX_PAIRS as i32;
        self.correction = ((links as i32).clamp(0, most) - i32::from(self.links)) as i16;
    }

    pub(super) fn pair(&mut self, other: Slot) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.other == other)
    }

    /// Changes what two are to each other, and the counts with it.
    pub(super) fn set_state(&mut self, other: Slot, state: PairState) {
        let Some(pair) = self.pair(other) else { return };
        let (before, level) = (std::mem::replace(&mut pair.state, state), pair.level);
        self.count(before, level, false);
        self.count(state, level, true);
    }

    pub(super) fn remember(&mut self, pair: Pair) {
        match self.pair(pair.other) {
            Some(known) => {
                known.at = pair.at;
                // Those who are linked already stay so: they may find out that they are.
                if known.state != PairState::Linked {
                    self.set_state(pair.other, pair.state);
                }
            }
            None => {
                if self.pairs.len() == self.pairs.capacity() {
                    // Most have some 15; doubling would waste a third of their memory.
                    self.pairs.reserve_exact(6);
                }
                self.pairs.push(pair);
                self.count(pair.state, pair.level, true);
            }
        }
    }

    pub(super) fn forget(&mut self, other: Slot) {
        if let Some(at) = self.pairs.iter().position(|pair| pair.other == other) {
            let pair = self.pairs.swap_remove(at);
            self.count(pair.state, pair.level, false);
        }
        self.incoming.retain(|offer| offer.from != other);
    }

    fn count(&mut self, state: PairState, level: Level, more: bool) {
        let change = |count: &mut u16| if more { *count += 1 } else { *count -= 1 };
        if state.counts() {
            change(&mut self.levels[level as usize]);
        }
        match state {
            PairState::Open => change(&mut self.open),
            PairState::Linked => change(&mut self.links),
            PairState::Faded => {}
        }
    }

    /// Most viewers are idle most of the time: they should not hold memory.
    pub(super) fn drop_incoming(&mut self, from: Slot, at: Tick) {
        self.incoming.retain(|offer| offer.from != from || offer.at != at);
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
    }
}
