// SPDX-License-Identifier: MPL-2.0

//! Who gets an offer?
//!
//! Near viewers first, because bytes between them are fast and cost their providers little; and
//! among those the ones with the fewest links, because a viewer with a link or two depends on the
//! CDN while one with fifteen gains nothing from another. Two viewers are not introduced twice:
//! the clients would build a second connection only to drop it.
//!
//! A viewer's links have quotas: most to near viewers, the rest to anybody. Bindal et al. (ICDCS
//! 2006, "Improving traffic locality in BitTorrent via biased neighbor selection") found that few
//! random links are enough to keep a clustered swarm connected, and none is not. Quotas are
//! wishes: where a group is too small, the next farther one takes its place, and where it has no
//! room just now, after some time.
//!
//! Nobody is left outside. In a swarm where everybody has enough, those who come later would find
//! no place and make a swarm of their own; so a viewer who is poor in links may go to those who
//! have enough, up to a few places that are kept for this.
//!
//! A few are looked at in each group and the best taken ("the power of two choices", Mitzenmacher
//! 2001), so the cost of a choice does not grow with the swarm.

use rand::{Rng, RngExt};

use super::place::Level;
use super::swarm::{Acquaintance, LinkLimits, Peer, Slot, Swarm, Tick};

/// Viewers looked at in each group,
const SAMPLE: usize = 8;
/// unless it is no larger than this: then all of them, so small swarms are chosen from exactly.
const SMALL: usize = 32;

/// What part of a viewer's links another would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    Near,
    Regional,
    Random,
}

impl Share {
    const ALL: [Self; 3] = [Self::Near, Self::Regional, Self::Random];

    fn levels(self) -> std::ops::RangeInclusive<Level> {
        match self {
            Self::Near => Level::Site..=Level::Provider,
            Self::Regional => Level::Country..=Level::Continent,
            Self::Random => Level::Anywhere..=Level::Anywhere,
        }
    }

    /// How many links of this kind a viewer has.
    fn had_by(self, peer: &Peer, limits: &LinkLimits) -> usize {
        let links = peer.load_within(self.levels());
        match self {
            Self::Near | Self::Regional => links,
            // Whoever is drawn at random may live in the same country. That holds the swarm together,
            // too, but at least every other one has to come from farther away.
            Self::Random => {
                let regional = peer.load_within(Self::Regional.levels());
                let surplus = regional.saturating_sub(Self::Regional.quota(limits));
                links + surplus.min(self.quota(limits) / 2)
            }
        }
    }

    fn quota(self, limits: &LinkLimits) -> usize {
        let near = limits.near.min(limits.target);
        let regional = limits.regional.min(limits.target - near);
        match self {
            Self::Near => near,
            Self::Regional => regional,
            Self::Random => limits.target - near - regional,
        }
    }

    /// Where viewers for it are looked for, in this order.
    fn ladder(self) -> &'static [Level] {
        use Level::*;
        match self {
            Self::Near => &[Site, Neighbourhood, Provider, Country, Continent, Anywhere],
            Self::Regional => &[Country, Continent, Site, Neighbourhood, Provider, Anywhere],
            // Who is bound to a site or a provider finds all it may meet on the lower levels.
            Self::Random => &[Anywhere, Continent, Country, Provider, Neighbourhood, Site],
        }
    }
}

/// The best comes first: strangers, those for whom it is the right kind of link, viewers of this node
/// (of the others, where the link is to hold the swarm together), those with few links.
type Rank = (Acquaintance, bool, bool, usize);

/// Who is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Anybody,
    /// Those who have offers left.
    WithOffers,
    /// Those whom other nodes serve.
    Guests,
}

/// Looks for partners of one viewer, one after another.
pub struct Search<'a, R> {
    swarm: &'a Swarm,
    me: Slot,
    now: Tick,
    rng: &'a mut R,
    /// Links and those in the making, by share.
    have: [usize; 3],
    chosen: Vec<Slot>,
    load: usize,
}

impl<'a, R: Rng> Search<'a, R> {
    pub fn new(swarm: &'a Swarm, me: Slot, now: Tick, rng: &'a mut R) -> Self {
        let peer = swarm.peer(me);
        let have = Share::ALL.map(|share| peer.map_or(0, |peer| share.had_by(peer, swarm.limits())));
        let load = peer.map_or(usize::MAX, |peer| peer.load());
        Self { swarm, me, now, rng, have, chosen: Vec::new(), load }
    }

    /// The next partner, if there is one and the viewer needs another. `banked` looks only at
    /// those who have offers left.
    pub fn next(&mut self, banked: bool) -> Option<Slot> {
        self.pick(if banked { Which::WithOffers } else { Which::Anybody })
    }

    /// The next partner among those whom other nodes serve.
    pub fn next_guest(&mut self) -> Option<Slot> {
        self.pick(Which::Guests)
    }

    fn pick(&mut self, which: Which) -> Option<Slot> {
        let target = self.swarm.peer(self.me)?.target(self.swarm.limits());
        if self.load >= target {
            return None;
        }
        let share = self.most_wanted();
        let far = share != Share::Near || self.settles();
        let mut ladder = share.ladder().iter().filter(|level| far || **level <= Level::Provider);
        let found = ladder.find_map(|level| self.find(*level, share, which))?;
        self.load += 1;
        self.chosen.push(found);
        self.have[share as usize] += 1;
        Some(found)
    }

    /// Whether the viewer takes who is far in place of who is near. Links last long: one who is among the
    /// first of its provider would be linked far away when the others come. So it takes some far links at
    /// once, if there are hardly any near, or a few, if those near have enough just now; then it waits. In a
    /// small swarm one who has hardly any near would be left with a few links, and wait for others in vain.
    fn settles(&self) -> bool {
        let limits = self.swarm.limits();
        let (in_need, content) = self.swarm.around(self.me, Level::Provider);
        let waited = self.swarm.peer(self.me).map(|me| self.now.since(me.joined));
        let alone = in_need.len() + content.len() <= limits.near;
        let is_small = || self.swarm.viewers() < limits.small_swarm;
        (alone && (self.load < limits.far_at_once || is_small()))
            || self.load < limits.poor
            || waited.is_none_or(|waited| waited >= limits.patience)
    }

    /// The share whose turn it is. Seats are shared out like this in parliaments (Sainte-Laguë): at
    /// any time the links so far are divided about as all of them should be.
    fn most_wanted(&self) -> Share {
        let claim = |share: &Share| {
            let have = self.have[*share as usize];
            share.quota(self.swarm.limits()) * 10_000 / (2 * have + 1)
        };
        // The last of equals is taken: nearness counts when nothing else does.
        Share::ALL.into_iter().rev().max_by_key(claim).unwrap_or(Share::Near)
    }

    fn find(&mut self, level: Level, share: Share, which: Which) -> Option<Slot> {
        let (in_need, content) = self.swarm.around(self.me, level);
        let poor = self.load < self.swarm.limits().poor;
        self.best(in_need, share, which)
            .or_else(|| if poor { self.best(content, share, which) } else { None })
    }

    /// The best of some.
    fn best(&mut self, slots: &[Slot], share: Share, which: Which) -> Option<Slot> {
        if slots.is_empty() {
            return None;
        }
        let count = if slots.len() <= SMALL { slots.len() } else { SAMPLE };
        let start = self.rng.random_range(0..slots.len());
        let mut best = None;
        for step in 0..count {
            let at = if slots.len() <= SMALL {
                // From a random one on, so that equals are taken in random order.
                (start + step) % slots.len()
            } else {
                self.rng.random_range(0..slots.len())
            };
            let Some(rank) = self.rank(slots[at], share, which) else { continue };
            if best.is_none_or(|(best_rank, _)| rank < best_rank) {
                best = Some((rank, slots[at]));
            }
        }
        best.map(|(_, slot)| slot)
    }

    /// How well someone suits, best first; None for not at all.
    fn rank(&self, slot: Slot, share: Share, which: Which) -> Option<Rank> {
        let limits = self.swarm.limits();
        let (me, other) = (self.swarm.peer(self.me)?, self.swarm.peer(slot)?);
        let suits = other.home != me.home
            && other.load() < limits.most
            // Neither needs anything from the other.
            && !(me.seeder && other.seeder)
            && match which {
                Which::Anybody => true,
                Which::WithOffers => other.has_banked(self.now),
                Which::Guests => other.is_guest(),
            }
            && !self.chosen.contains(&slot);
        let acquaintance = me.acquaintance(slot, self.now, limits);
        let misplaced = match share {
            Share::Near => false,
            // The groups of a country hold the viewers of the same provider too.
            Share::Regional => self.swarm.level(self.me, slot) < Level::Country,
            // Random links have two ends: who has enough of them needs none of ours.
            Share::Random => share.had_by(other, limits) >= share.quota(limits),
        };
        (suits && acquaintance != Acquaintance::Recent)
            .then(|| (acquaintance, misplaced, other.is_guest() != (share == Share::Random), other.load()))
    }
}

#[cfg(test)]
mod tests;
