// SPDX-License-Identifier: MPL-2.0

//! Who is here, on which connection, and which offers are open?
//!
//! A viewer belongs to a swarm under its peer id, and to the connection that announced it last:
//! a browser that reconnects takes its place over before its old socket is noticed to be dead.
//! One connection may carry any number of viewers, because a page has one socket for all of its
//! swarms and a peer id for each. A viewer is gone when it says so, when its connection closes, or
//! when it has not announced itself for too long: p2p-media-loader never says that it leaves.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::choice::{LinkLimits, choose};
use super::swarm::{Slot, Swarm};
use crate::swarm::ids::{InfoHash, PeerId};
use crate::swarm::tracker_messages::{Announce, AnnounceEvent, Answer, ScrapeCounts};

/// Names a connection; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// How the swarms are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between announces of a viewer who has enough links.
    pub interval: Duration,
    /// The same for a viewer who could have more. Each announce makes a browser build several
    /// connections, so this is a matter of tens of seconds.
    pub short_interval: Duration,
    pub links: LinkLimits,
    /// Viewers on one connection, over all swarms.
    pub max_peers_per_connection: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            short_interval: Duration::from_secs(20),
            links: LinkLimits::default(),
            max_peers_per_connection: 64,
        }
    }
}

/// What follows from an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Time until the viewer should announce itself again.
    pub interval: Duration,
    pub complete: u32,
    pub incomplete: u32,
    /// Where the offers go: the first to the first, and so on. Offers beyond that go nowhere.
    pub receivers: Vec<ConnectionId>,
}

/// Why an announce or an answer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("too many peer ids on one connection")]
    TooManyPeers,
    #[error("peer_id has not been announced on this connection")]
    NotYours,
    /// Nobody's fault: the viewer who made the offer may just have left.
    #[error("offer is unknown, too old or already answered")]
    NoSuchOffer,
}

/// What has happened so far, and how much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    pub swarms: usize,
    pub peers: usize,
    pub announces: u64,
    /// Relayed, not made.
    pub offers: u64,
    pub answers: u64,
}

/// Every swarm that this tracker knows.
#[derive(Debug)]
pub struct Swarms {
    settings: Settings,
    rng: SmallRng,
    swarms: HashMap<InfoHash, Swarm>,
    /// The viewers on each connection.
    owned: HashMap<ConnectionId, Vec<(InfoHash, PeerId)>>,
    peers: usize,
    announces: u64,
    offers: u64,
    answers: u64,
}

impl Swarms {
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            rng: SmallRng::seed_from_u64(seed),
            swarms: HashMap::new(),
            owned: HashMap::new(),
            peers: 0,
            announces: 0,
            offers: 0,
            answers: 0,
        }
    }

    /// A viewer announced itself. Whatever the event, except for `stopped`, it is here now.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyPeers`].
    pub fn announce(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        address: IpAddr,
        announce: &Announce,
    ) -> Result<Announced, Refusal> {
        self.announces += 1;
        if announce.event == AnnounceEvent::Stopped {
            self.disown(connection, announce.info_hash, announce.peer_id);
            self.remove(connection, announce.info_hash, announce.peer_id);
            let counts = self.scrape(&announce.info_hash);
            return Ok(Announced {
                interval: self.settings.interval,
                complete: counts.complete,
                incomplete: counts.incomplete,
                receivers: Vec::new(),
            });
        }
        self.own(connection, announce.info_hash, announce.peer_id)?;

        let swarm = self.swarms.entry(announce.info_hash).or_default();
        let seeder = announce.left == Some(0) || announce.event == AnnounceEvent::Completed;
        let expires = now + 2 * self.settings.interval + self.settings.short_interval;
        let before = swarm.len();
        // A socket that listens on IPv6 sees IPv4 addresses in IPv6 form.
        let address = address.to_canonical();
        let (slot, previous) = swarm.join(announce.peer_id, connection, address, seeder, expires);
        self.peers += swarm.len() - before;

        let wanted = announce.numwant.map_or(usize::MAX, |numwant| numwant as usize);
        let wanted = wanted.min(announce.offers.len());
        let chosen = choose(swarm, slot, wanted, self.settings.links, now, &mut self.rng);
        let mut receivers = Vec::with_capacity(chosen.len());
        for (to, offer) in chosen.into_iter().zip(&announce.offers) {
            swarm.introduce(slot, to, offer.offer_id, now);
            receivers.extend(swarm.peer(to).map(|peer| peer.connection));
        }
        self.offers += receivers.len() as u64;

        let announced = Announced {
            interval: interval(&self.settings, swarm, slot, &mut self.rng),
            complete: swarm.seeders(),
            incomplete: swarm.len() as u32 - swarm.seeders(),
            receivers,
        };
        if let Some(previous) = previous.filter(|previous| *previous != connection) {
            self.disown(previous, announce.info_hash, announce.peer_id);
        }
        Ok(announced)
    }

    /// A viewer answered an offer. Returns the connection of the viewer who made it.
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
    ) -> Result<ConnectionId, Refusal> {
        let swarm = self.swarms.get_mut(&answer.info_hash).ok_or(Refusal::NotYours)?;
        let by = swarm.find(&answer.peer_id).ok_or(Refusal::NotYours)?;
        if swarm.peer(by).is_none_or(|peer| peer.connection != connection) {
            return Err(Refusal::NotYours);
        }
        let to = swarm.find(&answer.to_peer_id).ok_or(Refusal::NoSuchOffer)?;
        if !swarm.answer(by, to, answer.offer_id, now) {
            return Err(Refusal::NoSuchOffer);
        }
        let offerer = swarm.peer(to).ok_or(Refusal::NoSuchOffer)?.connection;
        self.answers += 1;
        Ok(offerer)
    }

    /// The size of a swarm; zeros if there is none.
    pub fn scrape(&self, info_hash: &InfoHash) -> ScrapeCounts {
        self.swarms.get(info_hash).map_or_else(ScrapeCounts::default, |swarm| ScrapeCounts {
            complete: swarm.seeders(),
            incomplete: swarm.len() as u32 - swarm.seeders(),
            downloaded: 0,
        })
    }

    /// A connection closed: all viewers on it are gone.
    pub fn close(&mut self, connection: ConnectionId) {
        for (info_hash, peer_id) in self.owned.remove(&connection).unwrap_or_default() {
            self.remove(connection, info_hash, peer_id);
        }
    }

    /// Takes out who has not announced itself for too long; to be called every few seconds.
    pub fn expire(&mut self, now: Instant) {
        let mut expired = Vec::new();
        for (info_hash, swarm) in &mut self.swarms {
            swarm.drop_old_offers(now);
            let gone = swarm.peers().filter(|peer| peer.expires <= now);
            expired.extend(gone.map(|peer| (*info_hash, peer.id, peer.connection)));
        }
        // The order of a map differs from run to run; what a seed leads to must not.
        expired.sort_unstable();
        for (info_hash, peer_id, connection) in expired {
            self.disown(connection, info_hash, peer_id);
            self.remove(connection, info_hash, peer_id);
        }
    }

    pub fn counters(&self) -> Counters {
        Counters {
            swarms: self.swarms.len(),
            peers: self.peers,
            announces: self.announces,
            offers: self.offers,
            answers: self.answers,
        }
    }

    /// Notes that a connection carries a viewer.
    fn own(&mut self, connection: ConnectionId, info_hash: InfoHash, peer_id: PeerId) -> Result<(), Refusal> {
        let owned = self.owned.entry(connection).or_default();
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
        if swarm.peer(slot).is_some_and(|peer| peer.connection == connection) {
            swarm.leave(slot);
            self.peers -= 1;
        }
        if swarm.len() == 0 {
            self.swarms.remove(&info_hash);
        }
    }
}

/// When a viewer should announce itself again. Every announce makes a browser build connections
/// whether or not anyone needs them, so it is asked for only as often as it may lead to a link.
fn interval(settings: &Settings, swarm: &Swarm, slot: Slot, rng: &mut SmallRng) -> Duration {
    let links = swarm.peer(slot).map_or(0, |peer| peer.links());
    let interval = if links >= settings.links.target {
        settings.interval
    } else if links >= swarm.len().saturating_sub(1) {
        // Nobody is left to meet, and newcomers make offers themselves.
        3 * settings.short_interval
    } else {
        settings.short_interval
    };
    // Viewers who came together should not come back together.
    interval.min(settings.interval).mul_f64(rng.random_range(0.9..1.1))
}

#[cfg(test)]
mod tests;
