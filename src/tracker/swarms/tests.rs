// SPDX-License-Identifier: MPL-2.0

use std::collections::HashMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::swarm::ids::OfferId;
use crate::swarm::tracker_messages::Offer;
use crate::tracker::swarm::{OFFER_LIFETIME, SWEEPS};

const HASH: InfoHash = InfoHash([1; 20]);

fn peer(number: u8) -> PeerId {
    PeerId([number; 20])
}

fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

fn announce(who: u8, event: AnnounceEvent, offers: u8) -> Announce {
    let offer = |number| Offer { offer_id: OfferId([number; 20]), sdp: "v=0".into() };
    let offers = (0..offers).map(offer).collect();
    Announce { info_hash: HASH, peer_id: peer(who), event, numwant: None, left: None, offers }
}

fn answer(by: u8, to: u8, offer: u8) -> Answer {
    Answer {
        info_hash: HASH,
        peer_id: peer(by),
        to_peer_id: peer(to),
        offer_id: OfferId([offer; 20]),
        sdp: "v=0".into(),
    }
}

struct World {
    swarms: Swarms,
    now: Instant,
}

impl World {
    fn new(settings: Settings) -> Self {
        Self { swarms: Swarms::new(settings, 1), now: Instant::now() }
    }

    fn announce(&mut self, connection: u64, who: u8, event: AnnounceEvent, offers: u8) -> Announced {
        let announce = announce(who, event, offers);
        self.swarms.announce(self.now, ConnectionId(connection), address(who), &announce).unwrap()
    }

    fn join(&mut self, connection: u64, who: u8, offers: u8) -> Announced {
        self.announce(connection, who, AnnounceEvent::Update, offers)
    }

    fn answer(&mut self, connection: u64, by: u8, to: u8, offer: u8) -> Result<ConnectionId, Refusal> {
        let home = self.swarms.answer(self.now, ConnectionId(connection), &answer(by, to, offer))?;
        let Home::Here(connection) = home else { panic!("{home:?}") };
        Ok(connection)
    }

    fn expire(&mut self) {
        (0..SWEEPS).for_each(|_| self.swarms.expire(self.now));
    }

    fn incomplete(&self) -> u32 {
        self.swarms.scrape(&HASH).incomplete
    }
}

#[test]
fn an_offer_is_answered_once_by_the_one_who_got_it() {
    let mut world = World::new(Settings { bank_per_viewer: 0, ..Settings::default() });
    assert_eq!(world.join(1, 1, 5).receivers, []);
    assert_eq!(world.join(2, 2, 5).receivers, [ConnectionId(1)]);
    world.join(3, 3, 0);
    assert_eq!(world.answer(3, 3, 2, 0), Err(Refusal::NoSuchOffer), "it was not given to 3");
    assert_eq!(world.answer(3, 1, 2, 0), Err(Refusal::NotYours), "3 is not 1");
    assert_eq!(world.answer(1, 1, 2, 1), Err(Refusal::NoSuchOffer), "nobody was given this one");
    assert_eq!(world.answer(1, 1, 2, 0), Ok(ConnectionId(2)));
    assert_eq!(world.answer(1, 1, 2, 0), Err(Refusal::NoSuchOffer), "answered");
    let counters = world.swarms.counters();
    assert_eq!((counters.offers, counters.answers), (1, 1));
}

#[test]
fn reports_are_added_up_and_not_believed_beyond_reason() {
    let mut world = World::new(Settings::default());
    let traffic = |peers, http, uploaded| Traffic { peers, http, uploaded };
    let report = |world: &mut World, connection, event, said| {
        let announce = announce(1, event, 0);
        if event != AnnounceEvent::Stopped {
            world.announce(1, 1, event, 0);
        }
        world.swarms.report_traffic(world.now, ConnectionId(connection), &announce, said);
        world.swarms.counters().traffic
    };
    assert_eq!(report(&mut world, 1, AnnounceEvent::Started, traffic(1, 2, 3)), traffic(1, 2, 3));
    assert_eq!(report(&mut world, 1, AnnounceEvent::Update, traffic(11, 22, 33)), traffic(11, 22, 33));
    assert_eq!(report(&mut world, 1, AnnounceEvent::Update, traffic(5, 22, 33)), traffic(11, 22, 33));
    assert_eq!(report(&mut world, 1, AnnounceEvent::Update, traffic(6, 22, 33)), traffic(12, 22, 33));
    assert_eq!(
        report(&mut world, 2, AnnounceEvent::Update, traffic(999, 999, 999)),
        traffic(12, 22, 33),
        "not its own"
    );
    world.now += Duration::from_secs(1);
    let greedy = report(&mut world, 1, AnnounceEvent::Update, traffic(u64::MAX, u64::MAX, u64::MAX));
    assert!(greedy.peers <= 12 + 250_000_000, "{greedy:?}");
    assert_eq!(report(&mut world, 1, AnnounceEvent::Stopped, traffic(u64::MAX, u64::MAX, u64::MAX)), greedy);

    // Who comes from another tracker has a past.
    let mut world = World::new(Settings::default());
    assert_eq!(report(&mut world, 1, AnnounceEvent::Update, traffic(100, 100, 100)), traffic(0, 0, 0));
    assert_eq!(report(&mut world, 1, AnnounceEvent::Update, traffic(101, 100, 100)), traffic(1, 0, 0));
}

#[test]
fn an_old_offer_cannot_be_answered() {
    for (age, answered) in
        [(OFFER_LIFETIME, Ok(ConnectionId(2))), (OFFER_LIFETIME * 2, Err(Refusal::NoSuchOffer))]
    {
        let mut world = World::new(Settings::default());
        world.join(1, 1, 0);
        world.join(2, 2, 1);
        world.now += age;
        assert_eq!(world.answer(1, 1, 2, 0), answered);
    }
}

#[test]
fn numwant_bounds_the_offers() {
    let mut world = World::new(Settings::default());
    for who in 1..=9 {
        world.join(who.into(), who, 0);
    }
    let wanting = Announce { numwant: Some(2), ..announce(10, AnnounceEvent::Started, 5) };
    let announced = world.swarms.announce(world.now, ConnectionId(10), address(10), &wanting).unwrap();
    assert_eq!(announced.receivers.len(), 2);
}

#[test]
fn the_newest_connection_takes_a_peer_id_over() {
    let mut world = World::new(Settings::default());
    world.join(1, 1, 0);
    world.join(2, 1, 0);
    assert_eq!(world.incomplete(), 1);
    world.announce(1, 1, AnnounceEvent::Stopped, 0);
    world.swarms.close(ConnectionId(1));
    assert_eq!(world.incomplete(), 1, "the old connection speaks for nobody");
    assert_eq!(world.join(3, 3, 1).receivers, [ConnectionId(2)]);
    world.swarms.close(ConnectionId(2));
    assert_eq!(world.incomplete(), 1);
}

#[test]
fn viewers_leave_by_word_by_hanging_up_and_by_silence() {
    let settings = Settings::default();
    let mut world = World::new(settings);
    for who in 1..=3 {
        world.join(who.into(), who, 0);
    }
    world.announce(1, 1, AnnounceEvent::Stopped, 0);
    assert_eq!(world.incomplete(), 2);
    world.swarms.close(ConnectionId(2));
    assert_eq!(world.incomplete(), 1);
    // Without links, 3 was asked to come back soon.
    world.now += 2 * settings.short_interval;
    world.expire();
    assert_eq!(world.incomplete(), 1);
    world.now += 2 * settings.medium_interval;
    world.expire();
    assert_eq!(world.swarms.counters(), Counters { announces: 4, ..Default::default() });
}

#[test]
fn a_connection_carries_only_so_many_viewers() {
    let mut world = World::new(Settings { max_peers_per_connection: 2, ..Default::default() });
    world.join(1, 1, 0);
    world.join(1, 2, 0);
    let third = announce(3, AnnounceEvent::Started, 0);
    let refused = world.swarms.announce(world.now, ConnectionId(1), address(3), &third);
    assert_eq!(refused, Err(Refusal::TooManyPeers));
    world.announce(1, 1, AnnounceEvent::Stopped, 0);
    world.join(1, 3, 0);
}

#[test]
fn who_has_enough_links_is_asked_less_often() {
    let links = LinkLimits { target: 2, most: 4, ..Default::default() };
    let settings = Settings { links, few_links: 2, ..Default::default() };
    let mut world = World::new(settings);
    let about = |interval: Duration, seconds: u64| {
        let ratio = interval.as_secs_f64() / seconds as f64;
        assert!((0.89..1.11).contains(&ratio), "{interval:?} is not about {seconds} s");
    };
    about(world.join(1, 1, 0).interval, 60);
    about(world.join(2, 2, 1).interval, 20);
    world.answer(1, 1, 2, 0).unwrap();
    about(world.join(1, 1, 0).interval, 60);
    world.join(3, 3, 0);
    about(world.join(1, 1, 1).interval, 20);
    world.answer(3, 3, 1, 0).unwrap();
    about(world.join(1, 1, 0).interval, 300);
}

#[test]
fn the_same_seed_chooses_the_same() {
    let run = || {
        let mut world = World::new(Settings::default());
        (0..100u8).map(|who| world.join(who.into(), who, 5).receivers).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn offers_that_found_nobody_wait_for_those_who_come() {
    let mut world = World::new(Settings::default());
    assert_eq!(world.join(1, 1, 5).receivers, []);
    // The newcomer keeps its own offers for others.
    let announced = world.join(2, 2, 5);
    assert_eq!((announced.receivers.len(), announced.banked.len()), (0, 1));
    let (from, offer) = announced.banked[0].clone();
    assert_eq!(from, peer(1));
    assert_eq!(world.answer(2, 2, 1, offer.offer_id.0[0]), Ok(ConnectionId(1)));
    let announced = world.join(3, 3, 1);
    let from: Vec<_> = announced.banked.iter().map(|(from, _)| *from).collect();
    assert!(announced.receivers.is_empty() && from.contains(&peer(1)) && from.contains(&peer(2)), "{from:?}");
    // What is left becomes too old for the browsers that made it.
    world.now += Duration::from_secs(40);
    let announced = world.join(4, 4, 2);
    assert_eq!((announced.receivers.len(), announced.banked.len()), (2, 0));
    world.expire();
    assert_eq!(world.swarms.counters().banked_bytes, 0);
    assert_eq!(world.swarms.counters().banked_offers, 3);
}

#[test]
fn only_so_many_bytes_wait() {
    let mut world = World::new(Settings { bank_bytes: 7, ..Default::default() });
    world.join(1, 1, 5);
    assert_eq!(world.swarms.counters().banked_bytes, 6, "two of three bytes each");
    world.swarms.close(ConnectionId(1));
    assert_eq!(world.swarms.counters().banked_bytes, 0);
    let mut world = World::new(Settings { bank_per_viewer: 0, ..Default::default() });
    world.join(1, 1, 5);
    assert_eq!(world.swarms.counters().banked_bytes, 0);
}

#[test]
fn who_starts_anew_has_no_links() {
    let mut world = World::new(Settings { bank_per_viewer: 0, ..Default::default() });
    world.join(1, 1, 0);
    world.join(2, 2, 1);
    world.answer(1, 1, 2, 0).unwrap();
    assert_eq!(world.join(2, 2, 1).receivers, [], "they are connected");
    let restarted = world.announce(3, 2, AnnounceEvent::Started, 1);
    assert_eq!(restarted.receivers, [ConnectionId(1)]);
}

#[test]
fn a_full_tracker_refuses_newcomers_only() {
    let mut world = World::new(Settings { max_peers: 1, ..Default::default() });
    world.join(1, 1, 0);
    let refused = world.swarms.announce(
        world.now,
        ConnectionId(2),
        address(2),
        &announce(2, AnnounceEvent::Started, 0),
    );
    assert_eq!(refused, Err(Refusal::Full));
    world.join(1, 1, 0);
    world.swarms.close(ConnectionId(1));
    world.join(2, 2, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Announce { connection: u64, who: u8, seeds: bool, offers: u8 },
    Stop { connection: u64, who: u8 },
    AnswerLast,
    Close { connection: u64 },
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (connection, who) = (0..6u64, 0..10u8);
    prop_oneof![
        6 => (connection.clone(), who.clone(), any::<bool>(), 0..6u8).prop_map(
            |(connection, who, seeds, offers)| Step::Announce { connection, who, seeds, offers }),
        1 => (connection.clone(), who).prop_map(|(connection, who)| Step::Stop { connection, who }),
        3 => Just(Step::AnswerLast),
        1 => connection.prop_map(|connection| Step::Close { connection }),
        1 => (0..400u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

proptest! {
    /// The counts are those of a plain list of who is here, whatever happens in which order.
    #[test]
    fn counts_are_right_after_any_events(steps in proptest::collection::vec(step(), 1..150)) {
        let settings = Settings::default();
        let mut world = World::new(settings);
        let mut here: HashMap<u8, (u64, bool, Instant)> = HashMap::new();
        for step in steps {
            match step {
                Step::Announce { connection, who, seeds, offers } => {
                    let left = Some(u64::from(!seeds));
                    let announce = Announce { left, ..announce(who, AnnounceEvent::Update, offers) };
                    let announced = world.swarms
                        .announce(world.now, ConnectionId(connection), address(who), &announce).unwrap();
                    let life = 2 * announced.interval + settings.medium_interval;
                    // The tracker counts in tenths of a second.
                    let until = world.now + Duration::from_millis(life.as_millis() as u64 / 100 * 100);
                    here.insert(who, (connection, seeds, until));
                    prop_assert!(announced.receivers.len() <= usize::from(offers));
                    for receiver in announced.receivers {
                        prop_assert_ne!(receiver, ConnectionId(connection));
                        prop_assert!(here.values().any(|(connection, ..)| *connection == receiver.0));
                    }
                }
                Step::Stop { connection, who } => {
                    world.announce(connection, who, AnnounceEvent::Stopped, 0);
                    here.retain(|peer, (owner, ..)| *peer != who || *owner != connection);
                }
                Step::AnswerLast => for (by, (connection, ..)) in &here {
                    for to in here.keys() {
                        if let Ok(offerer) = world.swarms
                            .answer(world.now, ConnectionId(*connection), &answer(*by, *to, 0))
                        {
                            prop_assert_eq!(offerer, Home::Here(ConnectionId(here[to].0)));
                        }
                    }
                },
                Step::Close { connection } => {
                    world.swarms.close(ConnectionId(connection));
                    here.retain(|_, (owner, ..)| *owner != connection);
                }
                Step::Wait { seconds } => {
                    world.now += Duration::from_secs(seconds);
                    world.expire();
                    // How long each may stay depends on the interval that it was told.
                    here.retain(|_, (.., until)| *until > world.now);
                }
            }
            let seeders = here.values().filter(|(_, seeds, _)| *seeds).count();
            let counts = world.swarms.scrape(&HASH);
            prop_assert_eq!((counts.complete, counts.incomplete), (seeders as u32, (here.len() - seeders) as u32));
            let counters = world.swarms.counters();
            let banked: usize = world.swarms.swarms.values().map(Swarm::banked_bytes).sum();
            prop_assert_eq!(counters.banked_bytes, banked);
            prop_assert_eq!((counters.peers, counters.swarms), (here.len(), usize::from(!here.is_empty())));
        }
        for connection in 0..6 {
            world.swarms.close(ConnectionId(connection));
        }
        prop_assert!(world.swarms.swarms.is_empty() && world.swarms.owned.is_empty());
        prop_assert_eq!(world.swarms.counters().banked_bytes, 0);
    }
}
