// SPDX-License-Identifier: MPL-2.0

//! Who gets an offer?
//!
//! Near viewers first, because bytes between them are fast and cost their providers little; and
//! among those the ones with the fewest links, because a viewer with a link or two depends on the
//! CDN while one with fifteen gains nothing from another. Two viewers are not introduced twice:
//! the clients would build a second connection only to drop it.
//!
//! One offer in five ignores nearness. Bindal et al. (ICDCS 2006, "Improving traffic locality in
//! BitTorrent via biased neighbor selection") found that few random links are enough to keep a
//! clustered swarm connected, and none is not.
//!
//! In a large swarm a sample stands for the whole, so that the cost of a choice does not grow
//! with the swarm.

use std::time::Instant;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::swarm::{Acquaintance, Slot, Swarm};

/// Viewers looked at in each group. All of them when the group is no larger, so small swarms are
/// chosen from exactly.
const SAMPLE: usize = 32;
/// One in this many offers ignores nearness.
const RANDOM_ONE_IN: usize = 5;

/// How many links a viewer should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Enough: a viewer with as many is introduced only to those who have fewer.
    pub target: usize,
    /// Too many: a viewer with as many, counting offers under way, gets no more.
    pub most: usize,
}

impl Default for LinkLimits {
    /// Fifteen, as viewers aim for; twice that, so that newcomers find a place in a swarm where
    /// everybody has enough.
    fn default() -> Self {
        Self { target: 15, most: 30 }
    }
}

/// A viewer who could get an offer.
#[derive(Clone, Copy)]
struct Candidate {
    slot: Slot,
    /// 0 for the nearest group.
    distance: usize,
    acquaintance: Acquaintance,
    load: usize,
}

/// Chooses up to `wanted` different viewers for the offers of one.
pub fn choose(
    swarm: &Swarm,
    offerer: Slot,
    wanted: usize,
    limits: LinkLimits,
    now: Instant,
    rng: &mut impl Rng,
) -> Vec<Slot> {
    let mut candidates = candidates(swarm, offerer, limits, now, rng);
    // Equals are taken in random order.
    candidates.shuffle(rng);

    let mut chosen = Vec::with_capacity(wanted.min(candidates.len()));
    candidates.sort_by_key(|candidate| (candidate.acquaintance, candidate.load));
    for _ in 0..random_share(wanted, rng) {
        let strangers =
            candidates.iter().take_while(|candidate| candidate.acquaintance == Acquaintance::Strangers);
        let count = strangers.count();
        if count == 0 {
            break;
        }
        chosen.push(candidates.remove(rng.random_range(0..count)).slot);
    }
    candidates.sort_by_key(|candidate| (candidate.acquaintance, candidate.distance, candidate.load));
    let rest = wanted.saturating_sub(chosen.len());
    chosen.extend(candidates.iter().take(rest).map(|candidate| candidate.slot));
    chosen
}

/// How many of the offers ignore nearness; a fraction is a matter of chance.
fn random_share(wanted: usize, rng: &mut impl Rng) -> usize {
    wanted / RANDOM_ONE_IN + usize::from(rng.random_range(0..RANDOM_ONE_IN) < wanted % RANDOM_ONE_IN)
}

/// Looks at the viewers around one, nearest first, and keeps those that an offer would serve.
fn candidates(
    swarm: &Swarm,
    offerer: Slot,
    limits: LinkLimits,
    now: Instant,
    rng: &mut impl Rng,
) -> Vec<Candidate> {
    let (Some(me), Some(groups)) = (swarm.peer(offerer), swarm.groups_of(offerer)) else {
        return Vec::new();
    };
    let in_need = me.links() < limits.target;
    let mut candidates: Vec<Candidate> = Vec::new();
    for (distance, group) in groups.into_iter().enumerate() {
        for slot in sample(swarm.group(group), rng) {
            let Some(other) = swarm.peer(slot) else { continue };
            let load = other.load();
            let acquaintance = me.acquaintance(slot, now);
            let serves = other.connection != me.connection
                && load < limits.most
                && (in_need || load < limits.target)
                && acquaintance != Acquaintance::Recent;
            if serves && !candidates.iter().any(|candidate| candidate.slot == slot) {
                candidates.push(Candidate { slot, distance, acquaintance, load });
            }
        }
    }
    candidates
}

/// Everybody in a small group, some in a large one; the same viewer may come up twice.
fn sample(members: &[Slot], rng: &mut impl Rng) -> Vec<Slot> {
    if members.len() <= SAMPLE {
        return members.to_vec();
    }
    (0..SAMPLE).map(|_| members[rng.random_range(0..members.len())]).collect()
}

#[cfg(test)]
mod tests;
