// SPDX-License-Identifier: MPL-2.0

//! Nodes without Redis: a test carries their messages, and loses or repeats some.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::swarm::ids::OfferId;
use crate::swarm::tracker_messages::{Announce, AnnounceEvent};
use crate::tracker::cluster::message::{Envelope, read, write};
use crate::tracker::swarm::SWEEPS;
use crate::tracker::swarms::{Announced, Settings};

const HASH: InfoHash = InfoHash([1; 20]);

struct Cluster {
    nodes: Vec<Swarms>,
    now: Instant,
    /// What viewers were told: who, by whom, and whether it was an offer.
    told: Vec<(u64, Delivery)>,
}

fn peer(who: u16) -> PeerId {
    let mut id = [0; 20];
    id[..2].copy_from_slice(&who.to_be_bytes());
    PeerId(id)
}

fn node(number: usize) -> NodeId {
    NodeId(number as u64)
}

impl Cluster {
    fn new(count: usize, settings: Settings) -> Self {
        let mut nodes: Vec<_> = (0..count).map(|seed| Swarms::new(settings, seed as u64)).collect();
        nodes.iter_mut().for_each(Swarms::join_cluster);
        let mut cluster = Self { nodes, now: Instant::now(), told: Vec::new() };
        cluster.beat();
        cluster
    }

    fn beat(&mut self) {
        for a in 0..self.nodes.len() {
            for b in (0..self.nodes.len()).filter(|b| *b != a) {
                self.nodes[a].node_alive(self.now, node(b));
            }
        }
    }

    /// Viewer `who` announces itself on a node; its connection has the same number.
    fn announce(&mut self, at: usize, who: u16, offers: u8, round: u8) -> Announced {
        let offer = |number: u8| {
            let mut id = [number; 20];
            id[..2].copy_from_slice(&who.to_be_bytes());
            id[2] = round;
            Offer { offer_id: OfferId(id), sdp: "v=0".into() }
        };
        let announce = Announce {
            info_hash: HASH,
            peer_id: peer(who),
            event: AnnounceEvent::Update,
            numwant: None,
            left: None,
            offers: (0..offers).map(offer).collect(),
        };
        let address = IpAddr::from([192, 0, 2, who as u8]);
        self.nodes[at].announce(self.now, ConnectionId(who.into()), address, &announce).unwrap()
    }

    /// Everybody tells and looks up, as in a round of the bus.
    fn round(&mut self) {
        self.beat();
        let told: Vec<_> = self.nodes.iter_mut().map(|node| node.take_samples(999)).collect();
        for at in 0..self.nodes.len() {
            for (hash, group) in self.nodes[at].take_wishes(999) {
                for other in (0..told.len()).filter(|other| *other != at) {
                    let found = told[other].iter().find(|(h, g, _)| (*h, *g) == (hash, group));
                    let sample = found.map(|(_, _, sample)| read(&write(sample)).unwrap());
                    self.nodes[at].take_in(self.now, node(other), hash, group, sample);
                }
            }
            self.nodes[at].meet_guests(self.now);
        }
    }

    /// Carries messages, each as many times as `times` says.
    fn carry(&mut self, mut times: impl FnMut() -> usize) {
        for at in 0..self.nodes.len() {
            for (to, message) in self.nodes[at].take_outgoing() {
                let bytes = write(&Envelope { from: node(at), message });
                for _ in 0..times() {
                    let Envelope { from, message } = read(&bytes).unwrap();
                    let delivery = self.nodes[to.0 as usize].hear(self.now, from, message);
                    self.told.extend(delivery.map(|delivery| (to.0, delivery)));
                }
            }
        }
    }

    fn answer(&mut self, at: usize, by: u16, to: PeerId, offer_id: OfferId) -> bool {
        let answer =
            Answer { info_hash: HASH, peer_id: peer(by), to_peer_id: to, offer_id, sdp: "v=0".into() };
        self.nodes[at].answer(self.now, ConnectionId(by.into()), &answer).is_ok()
    }
}

#[test]
fn viewers_of_different_nodes_meet_once() {
    let mut cluster = Cluster::new(2, Settings::default());
    cluster.announce(0, 1, 5, 0);
    cluster.announce(1, 2, 5, 0);
    cluster.round();
    // Both had an offer for the other: one of them is given.
    cluster.carry(|| 2);
    let [(at, (to, TrackerMessage::Offer { peer_id: from, ref offer, .. }))] = cluster.told.clone()[..]
    else {
        panic!()
    };
    let (at, offer) = (at as usize, offer.clone());
    let (by, offerer) = (to.0 as u16, 3 - to.0 as u16);
    assert_eq!(from, peer(offerer));
    assert!(cluster.answer(at, by, from, offer.offer_id));
    assert!(!cluster.answer(at, by, from, offer.offer_id), "answered");
    cluster.told.clear();
    cluster.carry(|| 3);
    assert_eq!(cluster.told.len(), 1, "an answer that comes three times is relayed once");
    assert!(matches!(&cluster.told[0].1.1, TrackerMessage::Answer { peer_id, .. } if *peer_id == peer(by)));
    for (node, who) in [(0, 1), (1, 2)] {
        let announced = cluster.announce(node, who, 0, 1);
        assert_eq!(announced.incomplete, 2, "both nodes count both");
    }
    // The other's departure makes the link end on both sides.
    cluster.nodes[0].close(ConnectionId(1));
    cluster.carry(|| 2);
    assert_eq!(cluster.nodes[1].counters().guests, 0);
}

#[test]
fn a_viewer_who_comes_to_another_node_is_counted_there() {
    let mut cluster = Cluster::new(2, Settings::default());
    cluster.announce(0, 1, 5, 0);
    cluster.announce(1, 2, 5, 0);
    cluster.round();
    cluster.carry(|| 1);
    cluster.told.clear();
    let moved = cluster.announce(1, 1, 0, 1);
    assert_eq!(cluster.nodes[1].counters().guests, 0);
    assert!(moved.incomplete >= 2);
    cluster.carry(|| 1);
    assert_eq!(cluster.nodes[0].counters().peers, 0, "its old socket is a dead one");
    assert_eq!(cluster.nodes[0].counters().swarms, 0);
}

#[test]
fn what_a_dead_node_has_left_behind_is_not_believed() {
    let mut cluster = Cluster::new(3, Settings::default());
    cluster.announce(0, 1, 0, 0);
    cluster.announce(1, 2, 5, 0);
    cluster.round();
    cluster.carry(|| 1);
    // Node 1 dies, and its viewer comes back on node 2; what it said of node 1 is still there.
    cluster.now += Duration::from_secs(4);
    cluster.announce(2, 2, 0, 1);
    let left: Vec<_> = cluster.nodes[1].take_samples(999);
    let new: Vec<_> = cluster.nodes[2].take_samples(999);
    cluster.nodes[0].node_alive(cluster.now, node(2));
    cluster.announce(0, 3, 5, 0);
    for (from, samples) in [(2, new), (1, left)] {
        for (hash, group, sample) in samples {
            cluster.nodes[0].take_in(cluster.now, node(from), hash, group, Some(sample));
        }
    }
    cluster.nodes[0].meet_guests(cluster.now);
    let offers = cluster.nodes[0].take_outgoing();
    let to: Vec<_> =
        offers.iter().filter(|(_, message)| matches!(message, NodeMessage::Offer { .. })).collect();
    // The first went where the viewer was last known to be.
    assert_eq!(to.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [node(1), node(2)]);
}

#[test]
fn a_silent_node_is_forgotten_and_its_viewers_later() {
    let mut cluster = Cluster::new(2, Settings::default());
    cluster.announce(0, 1, 5, 0);
    cluster.announce(1, 2, 0, 0);
    cluster.round();
    let guests = |cluster: &Cluster| cluster.nodes[0].counters().guests;
    assert_eq!((guests(&cluster), cluster.nodes[0].nodes(cluster.now)), (1, vec![node(1)]));
    cluster.now += Duration::from_secs(31);
    assert_eq!(cluster.nodes[0].nodes(cluster.now), []);
    let announced = cluster.announce(0, 1, 5, 1);
    assert_eq!((announced.incomplete, guests(&cluster)), (1, 1));
    cluster.now += Settings::default().links.meet_again;
    for _ in 0..SWEEPS {
        cluster.announce(0, 1, 0, 2);
        cluster.nodes[0].expire(cluster.now);
    }
    cluster.now += Duration::from_secs(2);
    (0..SWEEPS).for_each(|_| cluster.nodes[0].expire(cluster.now));
    assert_eq!(guests(&cluster), 0);
}

#[test]
fn nobody_speaks_for_another_nodes_viewers() {
    let mut cluster = Cluster::new(3, Settings::default());
    cluster.announce(0, 1, 5, 0);
    cluster.announce(1, 2, 0, 0);
    cluster.round();
    let (to, message) = cluster.nodes[0].take_outgoing().pop_front().unwrap();
    assert_eq!(to, node(1));
    let NodeMessage::Offer { offer_id, .. } = message else { panic!("{message:?}") };
    let forged =
        NodeMessage::Answer { info_hash: HASH, by: peer(2), to: peer(1), offer_id, sdp: "v=0".into() };
    let now = cluster.now;
    assert_eq!(cluster.nodes[0].hear(now, node(2), forged.clone()), None);
    cluster.nodes[0].hear(now, node(2), NodeMessage::Left { info_hash: HASH, peer_id: peer(2) });
    assert_eq!(cluster.nodes[0].counters().guests, 1);
    assert!(cluster.nodes[0].hear(now, node(1), forged).is_some());
    let other = NodeMessage::Left { info_hash: InfoHash([9; 20]), peer_id: peer(2) };
    assert_eq!(cluster.nodes[0].hear(now, node(1), other), None);
}

proptest! {
    /// Whatever is lost or repeated on the way: nobody is given an offer or an answer twice, nobody
    /// gets more links than it may, and the books are right when all have gone.
    #[test]
    fn messages_may_be_lost_or_come_twice(
        steps in proptest::collection::vec((0..5u8, 0..24u16, any::<u8>()), 1..120), seed: u64,
    ) {
        let mut cluster = Cluster::new(3, Settings::default());
        let most = Settings::default().links.most;
        let mut offers = HashSet::new();
        let mut answers = HashSet::new();
        let mut links: HashMap<PeerId, usize> = HashMap::new();
        let mut state = seed;
        for (number, (what, who, round)) in steps.into_iter().enumerate() {
            let at = usize::from(who % 3);
            match what {
                0 | 1 => {
                    // Offer ids are a client's own business, but are not used twice.
                    cluster.announce(at, who, 5, number as u8);
                }
                2 => cluster.round(),
                3 => cluster.carry(|| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 33) as usize % 3
                }),
                _ if round > 200 => cluster.nodes[at].close(ConnectionId(who.into())),
                _ => cluster.now += Duration::from_millis(u64::from(round) * 10),
            }
            for (at, (to, message)) in std::mem::take(&mut cluster.told) {
                match message {
                    TrackerMessage::Offer { peer_id: from, offer, .. } => {
                        prop_assert!(offers.insert((from, offer.offer_id)), "an offer was given twice");
                        let by = to.0 as u16;
                        if cluster.answer(at as usize, by, from, offer.offer_id) {
                            *links.entry(peer(by)).or_default() += 1;
                        }
                    }
                    TrackerMessage::Answer { answer, .. } => {
                        prop_assert!(answers.insert((to, answer.offer_id)), "an answer came twice");
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert!(links.values().all(|links| *links <= 24 && most == 17));
        }
        for who in 0..24u16 {
            cluster.nodes[usize::from(who % 3)].close(ConnectionId(who.into()));
        }
        for node in &cluster.nodes {
            let counters = node.counters();
            prop_assert_eq!((counters.peers, counters.swarms, counters.guests, counters.banked_bytes), (0, 0, 0, 0));
        }
    }

    /// Redis may hold anything: what makes no sense is left out, and what makes some harms nobody.
    #[test]
    fn whatever_stands_in_redis(
        what in 0..5usize, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        junk in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut cluster = Cluster::new(2, Settings::default());
        cluster.announce(0, 1, 5, 0);
        cluster.announce(1, 2, 5, 0);
        let samples = cluster.nodes[1].take_samples(9);
        cluster.round();
        let guest = cluster.nodes[1].take_samples(9).pop().and_then(|(_, _, sample)| sample.viewers.first().copied());
        let offer_id = OfferId([7; 20]);
        let messages = [
            NodeMessage::Offer { info_hash: HASH, to: peer(1), from: guest.unwrap(), offer_id, sdp: "v=0".into() },
            NodeMessage::Answer { info_hash: HASH, by: peer(2), to: peer(1), offer_id, sdp: "v=0".into() },
            NodeMessage::Left { info_hash: HASH, peer_id: peer(2) },
            NodeMessage::Moved { info_hash: HASH, peer_id: peer(1) },
            NodeMessage::Heard(AnswerKey { info_hash: HASH, by: peer(1), to: peer(2), offer_id }),
        ];
        let mut bytes = write(&Envelope { from: node(1), message: messages[what].clone() });
        let mut sample = write(&samples[0].2);
        for bytes in [&mut bytes, &mut sample] {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        for bytes in [&bytes, &junk] {
            if let Some(Envelope { from, message }) = read(bytes) {
                cluster.nodes[0].hear(cluster.now, from, message);
            }
        }
        for bytes in [&sample, &junk] {
            let (_, group, _) = &samples[0];
            cluster.nodes[0].take_in(cluster.now, node(1), HASH, *group, read(bytes));
            cluster.nodes[0].meet_guests(cluster.now);
        }
        cluster.announce(0, 3, 5, 1);
        for who in [1, 3] {
            cluster.nodes[0].close(ConnectionId(who));
        }
        let counters = cluster.nodes[0].counters();
        prop_assert_eq!((counters.peers, counters.swarms, counters.guests, counters.banked_bytes), (0, 0, 0, 0));
    }
}
