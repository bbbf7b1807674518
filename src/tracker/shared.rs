// SPDX-License-Identifier: MPL-2.0

//! What all connections share: the swarms behind one lock, and who can be told what.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use rand::seq::SliceRandom;

use super::access::Access;
use super::cluster::mailbox::Mailbox;
use super::cluster::message::{NodeId, NodeMessage, Sample};
use super::dashboard::history::History;
use super::geo::Watched;
use super::outbox::{Closed, Outbox};
use super::place::{Group, Place, Reach};
use super::server::Config;
use super::swarms::{Announced, ConnectionId, Home, Refusal, Swarms};
use crate::swarm::ids::InfoHash;
use crate::swarm::tracker_messages::{Announce, AnnounceEvent, Answer, Extras, ScrapeCounts};

pub(super) use operators::Stats;
use operators::Surveyed;

mod operators;

/// Where offers go; None for a viewer who has just left.
pub(super) type Receivers = Vec<Option<Arc<Outbox>>>;

pub(super) struct Shared {
    pub config: Config,
    atlas: Watched,
    access: RwLock<Arc<Access>>,
    state: Mutex<State>,
    errors: AtomicU64,
    refused: AtomicU64,
    /// What waits for other nodes of the cluster.
    pub mailbox: Mailbox,
    /// There should be a cluster, but Redis is away.
    degraded: AtomicBool,
    history: Mutex<History>,
    /// The last look at the swarms, and when it was.
    surveyed: Mutex<Option<(Instant, Arc<Surveyed>)>>,
}

struct State {
    swarms: Swarms,
    outboxes: HashMap<ConnectionId, Arc<Outbox>>,
    connections: u64,
    /// Connections from each address, or /64 of IPv6.
    addresses: HashMap<IpAddr, u32>,
    stopping: bool,
}

/// Counts a connection from an address for as long as it is held.
pub(super) struct AddressPermit {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(count) = state.addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                state.addresses.remove(&self.address);
            }
        }
    }
}

impl Shared {
    pub fn new(config: Config, atlas: Watched, access: Access) -> Self {
        let mut swarms = Swarms::new(config.swarms, rand::random());
        if config.cluster.is_some() {
            swarms.join_cluster();
        }
        Self {
            state: Mutex::new(State {
                swarms,
                outboxes: HashMap::new(),
                connections: 0,
                addresses: HashMap::new(),
                stopping: false,
            }),
            degraded: AtomicBool::new(config.cluster.is_some()),
            mailbox: Mailbox::default(),
            history: Mutex::new(History::new(Instant::now())),
            surveyed: Mutex::new(None),
            config,
            atlas,
            access: RwLock::new(Arc::new(access)),
            errors: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The lock is held for as long as a decision takes, never while messages are read, written
    /// or sent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn atlas(&self) -> &Watched {
        &self.atlas
    }

    pub fn place(&self, address: IpAddr) -> Place {
        let mut place = self.atlas.atlas().place(address);
        if self.config.same_isp && place.reach == Reach::Anywhere {
            place.reach = Reach::Provider;
        }
        place
    }

    pub fn access(&self) -> Arc<Access> {
        self.access.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_access(&self, access: Access) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
    }

    /// Lets a connection from an address in, unless there are too many.
    pub fn permit(self: &Arc<Self>, address: IpAddr) -> Option<AddressPermit> {
        let address = match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 => v4,
        };
        let mut state = self.lock();
        let count = state.addresses.entry(address).or_default();
        if *count >= self.config.limits.max_connections_per_address {
            return None;
        }
        *count += 1;
        Some(AddressPermit { shared: self.clone(), address })
    }

    pub fn register(&self) -> (ConnectionId, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::default());
        let mut state = self.lock();
        let id = ConnectionId(state.connections);
        state.connections += 1;
        if state.stopping {
            outbox.close(Closed::Shutdown);
        }
        state.outboxes.insert(id, outbox.clone());
        (id, outbox)
    }

    pub fn unregister(&self, id: ConnectionId) {
        let mut state = self.lock();
        state.outboxes.remove(&id);
        state.swarms.close(id);
        self.post(state);
    }

    /// Also returns the outboxes that the offers go to: the first to the first, and so on.
    pub fn announce(
        &self,
        now: Instant,
        id: ConnectionId,
        place: &Place,
        announce: &Announce,
        extras: &Extras,
    ) -> Result<(Announced, Receivers), Refusal> {
        let mut state = self.lock();
        if let Some(links) = extras.links {
            state.swarms.report_links(id, &announce.info_hash, &announce.peer_id, links);
        }
        let report = |swarms: &mut Swarms| {
            if let Some(traffic) = extras.traffic {
                swarms.report_traffic(now, id, announce, traffic);
            }
        };
        // Who leaves is known before, who comes only afterwards.
        let leaves = announce.event == AnnounceEvent::Stopped;
        if leaves {
            report(&mut state.swarms);
        }
        let announced = state.swarms.announce(now, id, *place, announce)?;
        if !leaves {
            report(&mut state.swarms);
        }
        let outbox = |id| state.outboxes.get(id).cloned();
        let receivers = announced.receivers.iter().map(outbox).collect();
        self.post(state);
        Ok((announced, receivers))
    }

    /// Returns the outbox of the viewer who made the offer, if it is of this node.
    pub fn answer(
        &self,
        now: Instant,
        id: ConnectionId,
        answer: &Answer,
    ) -> Result<Option<Arc<Outbox>>, Refusal> {
        let mut state = self.lock();
        let offerer = state.swarms.answer(now, id, answer)?;
        let outbox = match offerer {
            Home::Here(connection) => state.outboxes.get(&connection).cloned(),
            Home::There(_) => None,
        };
        self.post(state);
        Ok(outbox)
    }

    pub fn scrape(&self, info_hashes: Vec<InfoHash>) -> Vec<(InfoHash, ScrapeCounts)> {
        let state = self.lock();
        info_hashes.into_iter().map(|info_hash| (info_hash, state.swarms.scrape(&info_hash))).collect()
    }

    pub fn expire(&self, now: Instant) {
        let mut state = self.lock();
        state.swarms.expire(now);
        self.post(state);
    }

    pub fn count_error(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Hands over what other nodes are to be told, in the order in which it came about.
    fn post(&self, mut state: MutexGuard<'_, State>) {
        let outgoing = state.swarms.take_outgoing();
        if !outgoing.is_empty() {
            self.mailbox.post(outgoing, Instant::now());
        }
    }

    /// Another node said something: whoever is concerned is told.
    pub fn hear(&self, node: NodeId, message: NodeMessage) {
        let now = Instant::now();
        if let NodeMessage::Heard(answer) = message {
            self.mailbox.heard(answer);
        }
        let mut state = self.lock();
        state.swarms.node_alive(now, node);
        let told = state.swarms.hear(now, node, message);
        let told = told.and_then(|(to, message)| Some((state.outboxes.get(&to).cloned()?, message)));
        self.post(state);
        if let Some((outbox, message)) = told {
            outbox.push(&message.to_json());
        }
    }

    pub fn node_alive(&self, node: NodeId) {
        self.lock().swarms.node_alive(Instant::now(), node);
    }

    pub fn nodes(&self) -> Vec<NodeId> {
        self.lock().swarms.nodes(Instant::now())
    }

    pub fn take_samples(&self, most: usize) -> Vec<(InfoHash, Group, Sample)> {
        self.lock().swarms.take_samples(most)
    }

    pub fn take_wishes(&self, most: usize) -> Vec<(InfoHash, Group)> {
        self.lock().swarms.take_wishes(most)
    }

    pub fn take_in(&self, node: NodeId, info_hash: InfoHash, group: Group, sample: Option<Sample>) {
        self.lock().swarms.take_in(Instant::now(), node, info_hash, group, sample);
    }

    pub fn meet_guests(&self) {
        let mut state = self.lock();
        state.swarms.meet_guests(Instant::now());
        self.post(state);
    }

    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Relaxed)
    }

    pub fn set_degraded(&self, degraded: bool) {
        self.degraded.store(degraded, Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// From now on nobody is let in. Returns who is here, in random order.
    pub fn stop(&self) -> Vec<ConnectionId> {
        let mut state = self.lock();
        state.stopping = true;
        let mut ids: Vec<_> = state.outboxes.keys().copied().collect();
        ids.shuffle(&mut rand::rng());
        ids
    }

    /// Tells a viewer that the server stops.
    pub fn dismiss(&self, id: ConnectionId) {
        if let Some(outbox) = self.lock().outboxes.get(&id) {
            outbox.close(Closed::Shutdown);
        }
    }
}
