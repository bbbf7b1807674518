// SPDX-License-Identifier: MPL-2.0

//! Who is linked to whom, in numbers and as a picture, for operators. No addresses, no ids.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use super::peer::{Pair, PairState};
use super::{Peer, Slot, Swarm};
use crate::tracker::place::{Country, LEVELS, Level, Network};

/// Viewers of some kind and their links.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub viewers: f64,
    pub links: f64,
    /// Links to others of the same kind.
    pub inside: f64,
}

/// What a look at some of the viewers told, scaled up to all of them.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    pub networks: HashMap<(Network, Option<Country>), Tally>,
    pub countries: HashMap<Country, Tally>,
    /// Ends of links by how near the other end is.
    pub levels: [f64; LEVELS],
}

/// A part of a swarm's mesh.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Picture {
    /// Viewers shown, each by the number of its network in `networks`, and its links in all.
    pub viewers: Vec<(usize, usize)>,
    pub networks: Vec<(Network, Option<Country>)>,
    /// Links between viewers shown: who, with whom, how near (0 for the same site).
    pub links: Vec<(usize, usize, usize)>,
    /// Viewers of the whole swarm on this node.
    pub of: usize,
}

fn linked(peer: &Peer) -> impl Iterator<Item = &Pair> {
    peer.pairs.iter().filter(|pair| pair.state == PairState::Linked)
}

impl Swarm {
    /// Counts every `step`-th viewer, from `first` on, as so many.
    pub fn survey(&self, first: usize, step: usize, survey: &mut Survey) -> f64 {
        let weight = step as f64;
        let mut all_links = 0.0;
        let peers = self.peers.slots.iter().skip(first).step_by(step).flatten();
        for peer in peers.filter(|peer| !peer.is_guest()) {
            let mut within = [0.0; LEVELS];
            for pair in linked(peer) {
                within[pair.level as usize] += weight;
            }
            let links: f64 = within.iter().sum();
            let up_to = |level: Level| within[..=level as usize].iter().sum::<f64>();
            let count = |tally: &mut Tally, inside: f64| {
                tally.viewers += weight;
                tally.links += links;
                tally.inside += inside;
            };
            let network = (peer.place.network, peer.place.country);
            count(survey.networks.entry(network).or_default(), up_to(Level::Provider));
            if let Some(country) = peer.place.country {
                count(survey.countries.entry(country).or_default(), up_to(Level::Country));
            }
            for (sum, links) in survey.levels.iter_mut().zip(within) {
                *sum += links;
            }
            all_links += links;
        }
        all_links / 2.0
    }

    /// A viewer and those around it, link by link, until there are so many.
    pub fn picture(&self, start: usize, most: usize) -> Picture {
        let mut shown: HashMap<Slot, usize> = HashMap::new();
        let mut networks: HashMap<_, usize> = HashMap::new();
        let mut picture = Picture { of: self.len(), ..Picture::default() };
        let mut order = Vec::new();
        let slots = self.peers.slots.len();
        let mut next = VecDeque::new();
        // Another one to go on with, where a part of the mesh comes to its end.
        let mut others = (0..slots).map(|at| Slot(((start + at) % slots) as u32)).take(4 * most);
        while order.len() < most {
            let Some(slot) = next.pop_front().or_else(|| others.next()) else { break };
            let Some(peer) = self.peer(slot).filter(|_| !shown.contains_key(&slot)) else { continue };
            shown.insert(slot, order.len());
            order.push(peer);
            let key = (peer.place.network, peer.place.country);
            let network = *networks.entry(key).or_insert_with(|| {
                picture.networks.push(key);
                picture.networks.len() - 1
            });
            picture.viewers.push((network, peer.links()));
            next.extend(linked(peer).map(|pair| pair.other));
        }
        for (at, peer) in order.iter().enumerate() {
            let ends = linked(peer).filter_map(|pair| Some((*shown.get(&pair.other)?, pair.level)));
            picture.links.extend(
                ends.filter(|(other, _)| *other > at).map(|(other, level)| (at, other, level as usize)),
            );
        }
        picture
    }
}
