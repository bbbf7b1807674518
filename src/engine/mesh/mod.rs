// SPDX-License-Identifier: MPL-2.0

//! This viewer's connections to its swarm: trackers, offers and answers, links.
//!
//! Whoever owns the mesh takes inputs from [`Mesh::next`] and gives them to [`Mesh::handle`]; slow
//! work (gathering candidates, connecting) goes on in tasks that report as inputs too.

mod links;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use url::Url;

use links::Links;

use crate::net::data_channel::{Connector, Link, LinkEvent, LinkSender, Offer, RtcError};
use crate::net::proxy::Proxies;
use crate::net::tracker_client::{OFFER_LIFETIME, TrackerClient, TrackerConfig, TrackerEvent, TrackerHandle};
use crate::swarm::ids::OfferId;
use crate::swarm::tracker_messages::{Extras, Traffic};
use crate::swarm::{InfoHash, PeerId};
use crate::viewer::PeerKey;

/// Who we are, and where the others are found.
pub struct MeshConfig {
    pub trackers: Vec<Url>,
    pub info_hash: InfoHash,
    pub peer_id: PeerId,
    pub user_agent: String,
    pub tls: Arc<rustls::ClientConfig>,
    pub proxies: Proxies,
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
#[derive(Debug, PartialEq, Eq)]
pub enum MeshEvent {
    /// A channel to a peer is open and the only one to it.
    Opened(PeerKey, PeerId),
    Message(PeerKey, Bytes),
    /// A peer's channel can take more.
    Writable(PeerKey),
    Closed(PeerKey),
    /// Viewers of this stream, as a tracker counts them.
    SwarmSize {
        viewers: u64,
        number: Option<u32>,
    },
}

/// Inputs that may wait. When they are this many, links and trackers are not read.
const INPUTS: usize = 256;

const TICK: Duration = Duration::from_secs(1);

pub struct Mesh {
    config: MeshConfig,
    connector: Arc<Connector>,
    trackers: Vec<TrackerHandle>,
    offers: HashMap<OfferId, (Offer, Instant)>,
    /// Peers that a connection is being made to.
    connecting: usize,
    links: Links<LinkSender>,
    swarm_size: Vec<u64>,
    inputs: mpsc::Receiver<MeshInput>,
    sender: mpsc::Sender<MeshInput>,
    events: VecDeque<MeshEvent>,
    /// Bytes in this swarm, and before it.
    traffic: Option<Traffic>,
    traffic_before: Option<Traffic>,
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
                proxies: config.proxies.clone(),
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
            links: Links::new(config.peer_id, config.max_peers),
            config,
            connector: Arc::new(connector),
            trackers,
            offers: HashMap::new(),
            connecting: 0,
            inputs,
            sender,
            events: VecDeque::new(),
            traffic: None,
            traffic_before: None,
        }
    }

    /// Takes the bytes of the whole session; trackers are told what has been added in this swarm.
    pub fn set_traffic(&mut self, all: Traffic) {
        let before = *self.traffic_before.get_or_insert(all);
        self.traffic = Some(Traffic {
            peers: all.peers.saturating_sub(before.peers),
            http: all.http.saturating_sub(before.http),
            uploaded: all.uploaded.saturating_sub(before.uploaded),
        });
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
        self.links.poll_event().or_else(|| self.events.pop_front())
    }

    /// Where to send to a peer.
    pub fn sender(&self, key: PeerKey) -> Option<&LinkSender> {
        self.links.sender(key)
    }

    /// Closes a peer's channel; no event follows.
    pub fn close(&mut self, key: PeerKey) {
        self.links.close(key);
        self.look_for_peers();
    }

    /// Closes the channel of a peer that has misbehaved and does not connect to it again; no event follows.
    pub fn ban(&mut self, key: PeerKey) {
        self.links.ban(key);
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
            TrackerEvent::Response { complete, incomplete, number, .. } => {
                self.swarm_size[tracker] = u64::from(complete) + u64::from(incomplete);
                let largest = self.swarm_size.iter().copied().max().unwrap_or(0);
                // Of several trackers, the one that most viewers ask.
                if self.swarm_size[tracker] == largest {
                    self.events.push_back(MeshEvent::SwarmSize { viewers: largest, number });
                }
            }
            TrackerEvent::Offer { from, offer_id, sdp } => self.answer(tracker, from, offer_id, sdp),
            TrackerEvent::Answer { from, offer_id, sdp } => {
                let Some((offer, _)) = self.offers.remove(&offer_id) else { return };
                if !self.links.wants(&from) {
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
        let links = self.links.len() + self.connecting;
        let extras = Extras { links: u32::try_from(links).ok(), traffic: self.traffic, ..Extras::default() };
        if let Err(error) = self.trackers[tracker].announce(announced, extras) {
            log::debug!(target: "p2phls-swarm", "announce not sent to tracker {tracker}: {error}");
        }
    }

    fn answer(&mut self, tracker: usize, from: PeerId, offer_id: OfferId, sdp: String) {
        let full = self.links.len() + self.connecting >= self.config.max_peers;
        if full || !self.links.wants(&from) {
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
        let (sender, mut link_events) = link.split();
        let key = self.links.add(peer, offerer, sender);
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
        match event {
            LinkEvent::Open => self.links.opened(now, key),
            LinkEvent::Message(message) => {
                if self.links.heard(key) {
                    self.events.push_back(MeshEvent::Message(key, message));
                }
            }
            LinkEvent::Writable => self.events.push_back(MeshEvent::Writable(key)),
            LinkEvent::Closed(reason) => {
                log::debug!(target: "p2phls-swarm", "link to {key:?}: {reason}");
                self.links.closed(key);
                self.look_for_peers();
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.offers.retain(|_, (_, made)| now.saturating_duration_since(*made) < OFFER_LIFETIME);
        self.links.tick(now);
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
