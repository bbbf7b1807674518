// SPDX-License-Identifier: MPL-2.0

//! This viewer's connections to its swarm: trackers, offers and answers, links.
//!
//! Whoever owns the mesh takes inputs from [`Mesh::next`] and gives them to [`Mesh::handle`]; slow
//! work (gathering candidates, connecting) goes on in tasks that report as inputs too.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use url::Url;

use crate::net::data_channel::{Connector, Link, LinkEvent, LinkSender, Offer, RtcError};
use crate::net::tracker_client::{OFFER_LIFETIME, TrackerClient, TrackerConfig, TrackerEvent, TrackerHandle};
use crate::swarm::ids::OfferId;
use crate::swarm::{Client, InfoHash, PeerId};
use crate::viewer::PeerKey;

/// Who we are, and where the others are found.
pub struct MeshConfig {
    pub trackers: Vec<Url>,
    pub info_hash: InfoHash,
    pub peer_id: PeerId,
    pub user_agent: String,
    pub tls: Arc<rustls::ClientConfig>,
    pub max_peers: usize,
}

/// What has happened, to be given to [`Mesh::handle`].
pub enum MeshInput {
    Tracker(usize, TrackerEvent),
    Offers(usize, Vec<(OfferId, Result<Offer, RtcError>)>),
    Answered {
        tracker: usize,
        to: PeerId,
        offer_id: OfferId,
        answer: Result<(Link, String), RtcError>,
    },
    Accepted {
        from: PeerId,
        link: Result<Link, RtcError>,
    },
    Link(PeerKey, LinkEvent),
    /// Time to look after what has been waiting.
    Tick,
}

/// What the mesh tells its owner.
#[derive(Debug)]
pub enum MeshEvent {
    /// A channel to a peer is open and the only one to it.
    Opened(PeerKey, PeerId),
    Message(PeerKey, Bytes),
    /// A peer's channel can take more.
    Writable(PeerKey),
    Closed(PeerKey),
    /// Viewers of this stream, as a tracker counts them.
    SwarmSize(u64),
}

/// Inputs that may wait. When they are this many, links and trackers are not read.
const INPUTS: usize = 256;

const TICK: Duration = Duration::from_secs(1);

/// A browser says at once what it holds, unless its upload is switched off: then silence for this long
/// is as good.
const ADOPTION: Duration = Duration::from_secs(2);

struct Entry {
    peer: PeerId,
    sender: LinkSender,
    /// Who made the offer.
    offerer: PeerId,
    opened: Option<Instant>,
    /// The owner knows of it.
    adopted: bool,
    heard: bool,
}

pub struct Mesh {
    config: MeshConfig,
    connector: Arc<Connector>,
    trackers: Vec<TrackerHandle>,
    offers: HashMap<OfferId, (Offer, Instant)>,
    /// Peers that a connection is being made to.
    connecting: usize,
    links: HashMap<PeerKey, Entry>,
    next_key: u64,
    swarm_size: Vec<u64>,
    inputs: mpsc::Receiver<MeshInput>,
    sender: mpsc::Sender<MeshInput>,
    events: VecDeque<MeshEvent>,
}

impl Mesh {
    /// Contacts the trackers.
    pub fn new(config: MeshConfig, connector: Connector) -> Self {
        let (sender, inputs) = mpsc::channel(INPUTS);
        let mut trackers = Vec::new();
        for (index, url) in config.trackers.iter().enumerate() {
            let (handle, mut events) = TrackerClient::spawn(TrackerConfig {
                url: url.clone(),
                info_hash: config.info_hash,
                peer_id: config.peer_id,
                user_agent: config.user_agent.clone(),
                tls: Some(config.tls.clone()),
            });
            trackers.push(handle);
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Some(event) = events.recv().await {
                    if sender.send(MeshInput::Tracker(index, event)).await.is_err() {
                        break;
                    }
                }
            });
        }
        let ticks = sender.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                let Some(sender) = ticks.upgrade() else { break };
                if sender.send(MeshInput::Tick).await.is_err() {
                    break;
                }
            }
        });
        Self {
            swarm_size: vec![0; trackers.len()],
            config,
            connector: Arc::new(connector),
            trackers,
            offers: HashMap::new(),
            connecting: 0,
            links: HashMap::new(),
            next_key: 0,
            inputs,
            sender,
            events: VecDeque::new(),
        }
    }

    /// The next input. Cancel safe.
    pub async fn next(&mut self) -> MeshInput {
        match self.inputs.recv().await {
            Some(input) => input,
            // Never: we hold a sender.
            None => std::future::pending().await,
        }
    }

    /// Takes an input; [`Mesh::poll_event`] tells what follows from it.
    pub fn handle(&mut self, now: Instant, input: MeshInput) {
        match input {
            MeshInput::Tracker(tracker, event) => self.handle_tracker(now, tracker, event),
            MeshInput::Offers(tracker, offers) => self.announce(now, tracker, offers),
            MeshInput::Answered { tracker, to, offer_id, answer } => {
                self.connecting = self.connecting.saturating_sub(1);
                match answer {
                    Ok((link, sdp)) => {
                        if let Err(error) = self.trackers[tracker].answer(to, offer_id, sdp) {
                            log::debug!(target: "p2phls-swarm", "answer to {to} not sent: {error}");
                        } else {
                            self.add_link(to, to, link);
                        }
                    }
                    Err(error) => log::debug!(target: "p2phls-swarm", "offer of {to} not taken: {error}"),
                }
            }
            MeshInput::Accepted { from, link } => {
                self.connecting = self.connecting.saturating_sub(1);
                match link {
                    Ok(link) => self.add_link(from, self.config.peer_id, link),
                    Err(error) => log::debug!(target: "p2phls-swarm", "answer of {from} not taken: {error}"),
                }
            }
            MeshInput::Link(key, event) => self.handle_link(now, key, event),
            MeshInput::Tick => self.tick(now),
        }
    }

    pub fn poll_event(&mut self) -> Option<MeshEvent> {
        self.events.pop_front()
    }

    /// Where to send to a peer.
    pub fn sender(&self, key: PeerKey) -> Option<&LinkSender> {
        self.links.get(&key).map(|entry| &entry.sender)
    }

    /// Closes a peer's channel; no event follows.
    pub fn close(&mut self, key: PeerKey) {
        self.links.remove(&key);
        self.look_for_peers();
    }

    /// Leaves the swarm; trackers are told as far as they can be reached.
    pub async fn stop(mut self) {
        self.links.clear();
        self.offers.clear();
        join_all(self.trackers.drain(..).map(TrackerHandle::stop)).await;
    }

    fn handle_tracker(&mut self, now: Instant, tracker: usize, event: TrackerEvent) {
        match event {
            TrackerEvent::Connected => log::debug!(target: "p2phls-swarm", "tracker {tracker} connected"),
            TrackerEvent::AnnounceDue { max_offers } => {
                let wanted = self.config.max_peers.saturating_sub(self.links.len() + self.connecting);
                self.make_offers(now, tracker, wanted.min(max_offers));
            }
            TrackerEvent::Response { complete, incomplete, .. } => {
                self.swarm_size[tracker] = u64::from(complete) + u64::from(incomplete);
                let largest = self.swarm_size.iter().copied().max().unwrap_or(0);
                self.events.push_back(MeshEvent::SwarmSize(largest));
            }
            TrackerEvent::Offer { from, offer_id, sdp } => self.answer(tracker, from, offer_id, sdp),
            TrackerEvent::Answer { from, offer_id, sdp } => {
                let Some((offer, _)) = self.offers.remove(&offer_id) else { return };
                if from == self.config.peer_id || self.is_adopted(&from) {
                    return;
                }
                self.connecting += 1;
                self.report(async move { MeshInput::Accepted { from, link: offer.accept(&sdp).await } });
            }
            TrackerEvent::Warning(text) => log::warn!(target: "p2phls-swarm", "tracker {tracker}: {text}"),
            TrackerEvent::Disconnected { reason, retry_in } => {
                log::warn!(target: "p2phls-swarm", "tracker {tracker}: {reason}; next try in {retry_in:?}");
            }
        }
    }

    fn make_offers(&mut self, now: Instant, tracker: usize, count: usize) {
        self.offers.retain(|_, (_, made)| now.saturating_duration_since(*made) < OFFER_LIFETIME);
        let connector = self.connector.clone();
        self.report(async move {
            let offers = (0..count).map(|_| async {
                let id = OfferId(rand::random());
                (id, connector.offer().await)
            });
            MeshInput::Offers(tracker, join_all(offers).await)
        });
    }

    fn announce(&mut self, now: Instant, tracker: usize, made: Vec<(OfferId, Result<Offer, RtcError>)>) {
        let mut announced = Vec::new();
        for (id, offer) in made {
            match offer {
                Ok(offer) => {
                    announced.push((id, offer.sdp().to_owned()));
                    self.offers.insert(id, (offer, now));
                }
                Err(error) => log::warn!(target: "p2phls-swarm", "no offer could be made: {error}"),
            }
        }
        if let Err(error) = self.trackers[tracker].announce(announced) {
            log::debug!(target: "p2phls-swarm", "announce not sent to tracker {tracker}: {error}");
        }
    }

    fn answer(&mut self, tracker: usize, from: PeerId, offer_id: OfferId, sdp: String) {
        let full = self.links.len() + self.connecting >= self.config.max_peers;
        if from == self.config.peer_id || full || self.is_adopted(&from) {
            return;
        }
        self.connecting += 1;
        let connector = self.connector.clone();
        self.report(async move {
            let answer = connector.answer(&sdp).await;
            MeshInput::Answered { tracker, to: from, offer_id, answer }
        });
    }

    /// Runs slow work; its result is an input.
    fn report(&self, work: impl Future<Output = MeshInput> + Send + 'static) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            // When nobody listens any more, the mesh is gone.
            let _ = sender.send(work.await).await;
        });
    }

    fn add_link(&mut self, peer: PeerId, offerer: PeerId, link: Link) {
        let key = PeerKey(self.next_key);
        self.next_key += 1;
        let (sender, mut link_events) = link.split();
        let entry = Entry { peer, sender, offerer, opened: None, adopted: false, heard: false };
        self.links.insert(key, entry);
        let inputs = self.sender.clone();
        tokio::spawn(async move {
            while let Some(event) = link_events.recv().await {
                if inputs.send(MeshInput::Link(key, event)).await.is_err() {
                    break;
                }
            }
        });
    }

    fn handle_link(&mut self, now: Instant, key: PeerKey, event: LinkEvent) {
        let Some(entry) = self.links.get_mut(&key) else { return };
        match event {
            LinkEvent::Open => {
                entry.opened = Some(now);
                // Our own viewers agree on which of two channels to keep without a word; a browser
                // decides for itself, and shows which by speaking on it.
                if matches!(Client::from_peer_id(&entry.peer.0), Client::P2phls { .. }) {
                    self.settle_with_own_kind(key);
                }
            }
            LinkEvent::Message(message) => {
                entry.heard = true;
                let adopted = entry.adopted;
                if adopted || self.adopt_if_only(key) {
                    self.events.push_back(MeshEvent::Message(key, message));
                }
            }
            LinkEvent::Writable => self.events.push_back(MeshEvent::Writable(key)),
            LinkEvent::Closed(reason) => {
                log::debug!(target: "p2phls-swarm", "link to {}: {reason}", entry.peer);
                self.remove(key);
                self.look_for_peers();
            }
        }
    }

    fn is_adopted(&self, peer: &PeerId) -> bool {
        self.adopted(peer).is_some()
    }

    fn adopted(&self, peer: &PeerId) -> Option<PeerKey> {
        self.links.iter().find(|(_, e)| e.adopted && e.peer == *peer).map(|(key, _)| *key)
    }

    /// Of two channels between the same two viewers, both keep the one that the lower id offered.
    fn settle_with_own_kind(&mut self, key: PeerKey) {
        let Some(entry) = self.links.get(&key) else { return };
        let (peer, offerer) = (entry.peer, entry.offerer);
        let Some(other) = self.adopted(&peer) else { return self.adopt(key) };
        let preferred = offerer == peer.min(self.config.peer_id);
        if preferred {
            self.remove(other);
            self.adopt(key);
        } else {
            self.remove(key);
        }
    }

    /// True if the channel is now the one to its peer.
    fn adopt_if_only(&mut self, key: PeerKey) -> bool {
        let Some(peer) = self.links.get(&key).map(|entry| entry.peer) else { return false };
        match self.adopted(&peer) {
            Some(other) if self.links.get(&other).is_some_and(|e| e.heard) => return false,
            // That one was taken for want of a better; the peer speaks on this one.
            Some(other) => self.remove(other),
            None => {}
        }
        self.adopt(key);
        self.links.contains_key(&key)
    }

    fn adopt(&mut self, key: PeerKey) {
        let adopted = self.links.values().filter(|e| e.adopted).count();
        if adopted >= self.config.max_peers {
            self.remove(key);
        } else if let Some(entry) = self.links.get_mut(&key) {
            entry.adopted = true;
            self.events.push_back(MeshEvent::Opened(key, entry.peer));
        }
    }

    fn remove(&mut self, key: PeerKey) {
        if self.links.remove(&key).is_some_and(|entry| entry.adopted) {
            self.events.push_back(MeshEvent::Closed(key));
        }
    }

    fn tick(&mut self, now: Instant) {
        self.offers.retain(|_, (_, made)| now.saturating_duration_since(*made) < OFFER_LIFETIME);
        let silent = |e: &Entry| !e.adopted && e.opened.is_some_and(|at| at + ADOPTION <= now);
        let waiting: Vec<PeerKey> =
            self.links.iter().filter(|(_, e)| silent(e)).map(|(key, _)| *key).collect();
        for key in waiting {
            let Some(peer) = self.links.get(&key).map(|e| e.peer) else { continue };
            if self.is_adopted(&peer) { self.remove(key) } else { self.adopt(key) }
        }
    }

    /// Asks the trackers for more when fewer than half of the peers that there could be are left.
    fn look_for_peers(&self) {
        let others = self.swarm_size.iter().max().map_or(0, |n| n.saturating_sub(1));
        let possible = others.min(self.config.max_peers as u64);
        if (self.links.len() as u64) * 2 < possible {
            for tracker in &self.trackers {
                // Busy or ended: the next regular announce will do.
                let _ = tracker.announce_now();
            }
        }
    }
}
