// SPDX-License-Identifier: MPL-2.0

//! Who is here, on which connection, and which offers are open?
//!
//! The whole tracker without its sockets: takes what viewers say and returns who is to be told
//! what. Viewers are known by (info hash, peer id) and belong to the connection that announced
//! them last, since one browser page uses one socket for several swarms and a page that reconnects
//! comes back before its old socket is known to be dead. A viewer leaves when its connection
//! closes, or when it has not announced itself for too long: p2p-media-loader never says that it
//! leaves.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde::Serialize;

use super::cluster::message::{NodeId, NodeMessage};
use super::place::{LEVELS, Place};
pub use super::swarm::LinkLimits;
use super::swarm::traffic::add;
use super::swarm::{Swarm, Tick};
use crate::swarm::ids::{InfoHash, PeerId};
use crate::swarm::tracker_messages::{Announce, AnnounceEvent, Answer, Offer, ScrapeCounts, Traffic};

use introduce::{Introduced, interval, introduce};
pub use settings::Settings;

mod abroad;
mod introduce;
mod settings;
pub mod survey;

/// Names a connection; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Who serves a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// This node, on a connection.
    Here(ConnectionId),
    /// Another node of the cluster.
    There(NodeId),
}

impl From<ConnectionId> for Home {
    fn from(connection: ConnectionId) -> Self {
        Self::Here(connection)
    }
}

/// What follows from an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Time until the viewer should announce itself again.
    pub interval: Duration,
    pub complete: u32,
    pub incomplete: u32,
    /// The viewer's own, see [`Slot::number`].
    pub number: Option<u32>,
    /// Where the offers go: the first to the first, and so on. Offers beyond that go nowhere now.
    pub receivers: Vec<ConnectionId>,
    /// Earlier offers of others, which go to the viewer itself.
    pub banked: Vec<(PeerId, Offer)>,
}

/// Why an announce or an answer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("too many peer ids on one connection")]
    TooManyPeers,
    #[error("tracker is full")]
    Full,
    #[error("peer_id has not been announced on this connection")]
    NotYours,
    /// Nobody's fault: the viewer who made the offer may just have left.
    #[error("offer is unknown, too old or already answered")]
    NoSuchOffer,
}

/// What has happened so far, and how much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    pub swarms: usize,
    pub peers: usize,
    pub announces: u64,
    /// Relayed, not made.
    pub offers: u64,
    /// Those of them that had been kept for a while.
    pub banked_offers: u64,
    pub answers: u64,
    /// Viewers of other nodes who are known here.
    pub guests: usize,
    /// Offers and answers that came from other nodes.
    pub offers_from_nodes: u64,
    pub answers_from_nodes: u64,
    /// Session descriptions that wait for someone, in bytes.
    pub banked_bytes: usize,
    /// Answers by how near the two viewers are, nearest first.
    pub links: [u64; LEVELS],
    /// Kilometres between viewers who were linked, in sum over `located_links`: those of whom
    /// both locations are known.
    pub link_kilometres: f64,
    pub located_links: u64,
    /// Bytes that viewers have told of.
    pub traffic: Traffic,
}

/// Every swarm that this tracker knows.
#[derive(Debug)]
pub struct Swarms {
    settings: Settings,
    rng: SmallRng,
    /// Times are counted from the first one heard of.
    start: Option<Instant>,
    swarms: HashMap<InfoHash, Swarm>,
    /// The viewers on each connection.
    owned: HashMap<ConnectionId, Vec<(InfoHash, PeerId)>>,
    counters: Counters,
    cluster: abroad::Cluster,
}

impl Swarms {
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            rng: SmallRng::seed_from_u64(seed),
            start: None,
            swarms: HashMap::new(),
            owned: HashMap::new(),
            counters: Counters::default(),
            cluster: abroad::Cluster::default(),
        }
    }

    /// A viewer announced itself. Whatever the event, except for `stopped`, it is here now.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyPeers`], [`Refusal::Full`].
    pub fn announce(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        place: impl Into<Place>,
        announce: &Announce,
    ) -> Result<Announced, Refusal> {
        self.counters.announces += 1;
        let now = self.tick(now);
        let Announce { info_hash, peer_id, .. } = *announce;
        if announce.event == AnnounceEvent::Stopped {
            self.disown(connection, info_hash, peer_id);
            self.remove(connection, info_hash, peer_id);
            let counts = self.scrape(&info_hash);
            return Ok(Announced {
                interval: self.settings.interval,
                complete: counts.complete,
                incomplete: counts.incomplete,
                number: None,
                receivers: Vec::new(),
                banked: Vec::new(),
            });
        }
        let known = self.serves(&info_hash, &peer_id);
        if !known && self.counters.peers >= self.settings.max_peers {
            return Err(Refusal::Full);
        }
        self.own(connection, info_hash, peer_id)?;

        let swarm = self.swarms.entry(info_hash).or_insert_with(|| Swarm::new(self.settings.links));
        swarm.advance(now);
        let banked_before = swarm.banked_bytes();
        let guests_before = swarm.guests();
        let seeder = announce.left == Some(0) || announce.event == AnnounceEvent::Completed;
        let (slot, previous) = swarm.join(peer_id, connection, &place.into(), seeder, now);
        self.counters.peers += usize::from(!known);
        // A guest may have come to stay.
        self.counters.guests -= guests_before - swarm.guests();
        if previous.is_some() && announce.event == AnnounceEvent::Started {
            // The same name, but it begins with no links.
            swarm.forget_links(slot);
        }

        let room = self.settings.bank_bytes.saturating_sub(self.counters.banked_bytes);
        let Introduced { receivers, guests, given: banked, waits } =
            introduce(&self.settings, swarm, slot, announce, room, now, &mut self.rng);
        self.counters.offers += (receivers.len() + guests.len() + banked.len()) as u64;
        for (node, message) in guests {
            self.cluster.send(node, message);
        }
        if self.cluster.is_on() && !announce.offers.is_empty() {
            self.cluster.note_interest(info_hash, peer_id, swarm, slot, waits);
        }
        self.counters.banked_offers += banked.len() as u64;
        self.counters.banked_bytes = self.counters.banked_bytes + swarm.banked_bytes() - banked_before;

        let interval = interval(&self.settings, swarm, slot, &mut self.rng);
        // Two announces may be missed, as by a page in the background, and a little more.
        swarm.set_expiry(slot, now + 2 * interval + self.settings.medium_interval);
        let (complete, incomplete) = swarm.counts();
        let number = Some(slot.number());
        let announced = Announced { interval, complete, incomplete, number, receivers, banked };
        match previous {
            Some(Home::Here(previous)) if previous != connection => self.disown(previous, info_hash, peer_id),
            Some(Home::There(node)) => self.cluster.send(node, NodeMessage::Moved { info_hash, peer_id }),
            _ => {}
        }
        Ok(announced)
    }

    /// A viewer said how many links it has. Only it can know that some have ended.
    pub fn report_links(&mut self, connection: ConnectionId, info_hash: &InfoHash, id: &PeerId, links: u32) {
        let Some(swarm) = self.swarms.get_mut(info_hash) else { return };
        let Some(slot) = swarm.find(id) else { return };
        if swarm.peer(slot).is_some_and(|peer| peer.home == connection.into()) {
            swarm.correct_links(slot, links);
        }
    }

    /// A viewer said how many bytes it has received and sent in a swarm.
    pub fn report_traffic(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        announce: &Announce,
        traffic: Traffic,
    ) {
        let now = self.tick(now);
        let Some(swarm) = self.swarms.get_mut(&announce.info_hash) else { return };
        let Some(slot) = swarm.find(&announce.peer_id) else { return };
        if swarm.peer(slot).is_some_and(|peer| peer.home == connection.into()) {
            let started = announce.event == AnnounceEvent::Started;
            add(&mut self.counters.traffic, swarm.report(slot, traffic, started, now));
        }
    }

    /// A viewer answered an offer. Returns who serves the viewer who made it; another node is told.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotYours`] when someone answers in another's name, [`Refusal::NoSuchOffer`] when
    /// this tracker did not relay that offer to that viewer within the last minute, or relayed an
    /// answer to it already.
    pub fn answer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        answer: &Answer,
    ) -> Result<Home, Refusal> {
        let now = self.tick(now);
        let swarm = self.swarms.get_mut(&answer.info_hash).ok_or(Refusal::NotYours)?;
        swarm.advance(now);
        let by = swarm.find(&answer.peer_id).ok_or(Refusal::NotYours)?;
        if swarm.peer(by).is_none_or(|peer| peer.home != connection.into()) {
            return Err(Refusal::NotYours);
        }
        let to = swarm.find(&answer.to_peer_id).ok_or(Refusal::NoSuchOffer)?;
        let level = swarm.answer(by, to, answer.offer_id).ok_or(Refusal::NoSuchOffer)?;
        let offerer = swarm.peer(to).ok_or(Refusal::NoSuchOffer)?;
        self.counters.answers += 1;
        self.counters.links[level as usize] += 1;
        let point = |slot| swarm.peer(slot).and_then(|peer| peer.place.point);
        if let (Some(a), Some(b)) = (point(by), point(to)) {
            self.counters.link_kilometres += f64::from(a.distance_km(b));
            self.counters.located_links += 1;
        }
        let home = offerer.home;
        if let Home::There(node) = home {
            let Answer { info_hash, peer_id, to_peer_id, offer_id, .. } = *answer;
            let sdp = answer.sdp.clone();
            self.cluster
                .send(node, NodeMessage::Answer { info_hash, by: peer_id, to: to_peer_id, offer_id, sdp });
        }
        Ok(home)
    }

    /// The size of a swarm; zeros if there is none.
    pub fn scrape(&self, info_hash: &InfoHash) -> ScrapeCounts {
        let (complete, incomplete) = self.swarms.get(info_hash).map(Swarm::counts).unwrap_or_default();
        ScrapeCounts { complete, incomplete, downloaded: 0 }
    }

    /// A connection closed: all viewers on it are gone.
    pub fn close(&mut self, connection: ConnectionId) {
        for (info_hash, peer_id) in self.owned.remove(&connection).unwrap_or_default() {
            self.remove(connection, info_hash, peer_id);
        }
    }

    /// Looks for viewers who have not announced themselves for too long; to be called about once
    /// a second. A call looks at a part of them only, so that a large swarm does not stop
    /// everything else.
    pub fn expire(&mut self, now: Instant) {
        let now = self.tick(now);
        let mut expired = Vec::new();
        for (info_hash, swarm) in &mut self.swarms {
            let before = swarm.banked_bytes();
            let guests = swarm.guests();
            let gone = swarm.sweep(now, &self.cluster.nodes);
            self.counters.guests -= guests - swarm.guests();
            self.counters.banked_bytes -= before - swarm.banked_bytes();
            expired.extend(gone.into_iter().map(|(peer_id, connection)| (*info_hash, peer_id, connection)));
        }
        // The order of a map differs from run to run; what a seed leads to must not.
        expired.sort_unstable();
        for (info_hash, peer_id, connection) in expired {
            self.disown(connection, info_hash, peer_id);
            self.remove(connection, info_hash, peer_id);
        }
    }

    pub fn counters(&self) -> Counters {
        Counters { swarms: self.swarms.len(), ..self.counters }
    }

    fn tick(&mut self, now: Instant) -> Tick {
        Tick::new(*self.start.get_or_insert(now), now)
    }

    /// Notes that a connection carries a viewer.
    fn own(&mut self, connection: ConnectionId, info_hash: InfoHash, peer_id: PeerId) -> Result<(), Refusal> {
        // Nearly all connections carry one viewer or two.
        let owned = self.owned.entry(connection).or_insert_with(|| Vec::with_capacity(1));
        if !owned.contains(&(info_hash, peer_id)) {
            if owned.len() >= self.settings.max_peers_per_connection {
                return Err(Refusal::TooManyPeers);
            }
            owned.push((info_hash, peer_id));
        }
        Ok(())
    }

    /// Notes that a connection does not carry a viewer any more.
    fn disown(&mut self, connection: ConnectionId, info_hash: InfoHash, peer_id: PeerId) {
        if let Some(owned) = self.owned.get_mut(&connection) {
            owned.retain(|peer| *peer != (info_hash, peer_id));
            if owned.is_empty() {
                self.owned.remove(&connection);
            }
        }
    }

    /// Takes a viewer out of its swarm, if it still is on that connection.
    fn remove(&mut self, connection: ConnectionId, info_hash: InfoHash, peer_id: PeerId) {
        let Some(swarm) = self.swarms.get_mut(&info_hash) else { return };
        let Some(slot) = swarm.find(&peer_id) else { return };
        if swarm.peer(slot).is_some_and(|peer| peer.home == connection.into()) {
            for node in swarm.nodes_of(slot) {
                self.cluster.send(node, NodeMessage::Left { info_hash, peer_id });
            }
            let before = swarm.banked_bytes();
            swarm.leave(slot);
            self.counters.banked_bytes -= before - swarm.banked_bytes();
            self.counters.peers -= 1;
        }
        if swarm.len() == 0 {
            self.counters.guests -= swarm.guests();
            self.swarms.remove(&info_hash);
        }
    }
}

#[cfg(test)]
mod tests;
