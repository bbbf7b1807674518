// SPDX-License-Identifier: MPL-2.0

//! A look over all swarms, for operators.

use rand::RngExt;

use super::Swarms;
use crate::swarm::ids::InfoHash;
use crate::swarm::tracker_messages::Traffic;
use crate::tracker::swarm::survey::{Picture, Survey};

/// One swarm in numbers.
#[derive(Clone, Debug)]
pub struct SwarmFacts {
    pub info_hash: InfoHash,
    /// On this node.
    pub viewers: usize,
    /// On all nodes: seeders and others.
    pub complete: u32,
    pub incomplete: u32,
    /// Estimated.
    pub links: f64,
    pub traffic: Traffic,
}

impl Swarms {
    /// Looks at about `most` viewers and at the `top` largest swarms.
    pub fn survey(&mut self, most: usize, top: usize) -> (Survey, Vec<SwarmFacts>) {
        let step = (self.counters.peers + self.counters.guests).div_ceil(most).max(1);
        let mut survey = Survey::default();
        let mut facts = Vec::with_capacity(self.swarms.len());
        for (info_hash, swarm) in &self.swarms {
            let links = swarm.survey(self.rng.random_range(0..step), step, &mut survey);
            let (complete, incomplete) = swarm.counts();
            let (viewers, traffic) = (swarm.len(), swarm.traffic);
            facts.push(SwarmFacts { info_hash: *info_hash, viewers, complete, incomplete, links, traffic });
        }
        facts.sort_unstable_by_key(|facts| (std::cmp::Reverse(facts.viewers), facts.info_hash));
        facts.truncate(top);
        (survey, facts)
    }

    /// A part of one swarm's mesh.
    pub fn picture(&mut self, info_hash: &InfoHash, most: usize) -> Option<Picture> {
        let swarm = self.swarms.get(info_hash)?;
        Some(swarm.picture(self.rng.random_range(0..usize::MAX / 2), most))
    }
}
