// SPDX-License-Identifier: MPL-2.0

//! What an announce leads to: who gets the viewer's offers, whose offers the viewer gets, and when it should
//! come again.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{ConnectionId, Home, Settings, abroad};
use crate::swarm::ids::PeerId;
use crate::swarm::tracker_messages::{Announce, Offer};
use crate::tracker::choice::Search;
use crate::tracker::cluster::message::{NodeId, NodeMessage};
use crate::tracker::swarm::{Peer, Slot, Swarm, Tick};

/// What became of a viewer's offers.
pub(super) struct Introduced {
    /// Who gets them, in this order.
    pub receivers: Vec<ConnectionId>,
    /// What other nodes get for their viewers.
    pub guests: Vec<(NodeId, NodeMessage)>,
    /// Earlier offers of others, for the viewer.
    pub given: Vec<(PeerId, Offer)>,
    /// Whether it still needs links.
    pub waits: bool,
}

/// Finds partners for a viewer. One who has offers left from before gives one of those; the
/// viewer's own go to the others, and what is left of them is kept for `bank_time`.
pub(super) fn introduce(
    settings: &Settings,
    swarm: &mut Swarm,
    slot: Slot,
    announce: &Announce,
    room: usize,
    now: Tick,
    rng: &mut SmallRng,
) -> Introduced {
    let wanted = announce.numwant.map_or(usize::MAX, |numwant| numwant as usize);
    let offers = &announce.offers[..announce.offers.len().min(wanted)];

    let mut partners = Vec::new();
    let mut own = 0;
    let mut search = Search::new(swarm, slot, now, rng);
    // A viewer who makes no offers may be a scout or about to leave: it gets none either.
    while !offers.is_empty() {
        let Some(partner) = search.next(own == offers.len()) else { break };
        let banked = swarm.peer(partner).is_some_and(|peer| peer.has_banked(now));
        own += usize::from(!banked);
        partners.push((partner, banked));
    }

    let mut left = offers.iter();
    let (mut receivers, mut guests, mut given) = (Vec::with_capacity(own), Vec::new(), Vec::new());
    let id = |swarm: &Swarm, slot| swarm.peer(slot).map(|peer| (peer.id, peer.home));
    // The offers go out in this order, and those to viewers of this node need no message to another.
    partners.sort_by_key(|(partner, _)| swarm.peer(*partner).is_some_and(Peer::is_guest));
    for (partner, banked) in partners {
        let Some((peer_id, home)) = id(swarm, partner) else { continue };
        if banked {
            let Some(offer) = swarm.take_banked(partner, now) else { continue };
            swarm.introduce(partner, slot, offer.offer_id, now);
            given.push((peer_id, offer));
        } else if let Some(offer) = left.next() {
            match home {
                Home::Here(connection) => receivers.push(connection),
                Home::There(node) => guests.extend(abroad::offer(
                    swarm,
                    slot,
                    announce.info_hash,
                    node,
                    peer_id,
                    offer.clone(),
                )),
            }
            swarm.introduce(slot, partner, offer.offer_id, now);
        }
    }

    let uploads = swarm.peer(slot).is_some_and(|peer| peer.place.uploads);
    if uploads {
        let until = now + settings.bank_time;
        let mut room = room;
        for offer in left.take(settings.bank_per_viewer) {
            if offer.sdp.len() > room {
                break;
            }
            room -= offer.sdp.len();
            swarm.bank(slot, offer.clone(), settings.bank_per_viewer, until);
        }
    }
    let waits = swarm.peer(slot).is_some_and(|peer| peer.load() < peer.target(swarm.limits()));
    Introduced { receivers, guests, given, waits }
}

/// When a viewer should announce itself again. Every announce makes a browser build connections
/// whether or not anyone needs them, so it is asked for only as often as it may lead to a link.
pub(super) fn interval(settings: &Settings, swarm: &Swarm, slot: Slot, rng: &mut SmallRng) -> Duration {
    let (links, target) = swarm.peer(slot).map_or((0, 0), |peer| (peer.links(), peer.target(swarm.limits())));
    let interval = if links >= target {
        settings.interval
    } else if links >= settings.few_links || links >= swarm.len().saturating_sub(1) {
        // Of the latter, nobody is left to meet, and newcomers make offers themselves.
        settings.medium_interval
    } else {
        settings.short_interval
    };
    // Viewers who came together should not come back together.
    interval.min(settings.interval).mul_f64(rng.random_range(0.9..1.1))
}
