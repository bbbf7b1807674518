// SPDX-License-Identifier: MPL-2.0

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::swarm::ids::{OfferId, PeerId};
use crate::tracker::swarm::{MAX_PAIRS, MEET_AGAIN, OFFER_LIFETIME};
use crate::tracker::swarms::ConnectionId;

fn peer_id(number: u32) -> PeerId {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PeerId(bytes)
}

/// Viewers at these addresses, each on a connection of its own, in the order of the slots.
fn swarm(addresses: &[[u8; 4]], now: Instant) -> (Swarm, Vec<Slot>) {
    let mut swarm = Swarm::default();
    let mut slots = Vec::new();
    for (number, address) in addresses.iter().enumerate() {
        let connection = ConnectionId(number as u64);
        let id = peer_id(number as u32);
        slots.push(swarm.join(id, connection, IpAddr::from(*address), false, now).0);
    }
    (swarm, slots)
}

fn link(swarm: &mut Swarm, a: Slot, b: Slot, now: Instant) {
    swarm.introduce(a, b, OfferId([0; 20]), now);
    assert!(swarm.answer(b, a, OfferId([0; 20]), now));
}

proptest! {
    #[test]
    fn never_itself_and_never_the_same_two_twice(
        networks in proptest::collection::vec(0..4u8, 2..60),
        rounds in proptest::collection::vec((any::<prop::sample::Index>(), 0..8usize, any::<bool>()), 1..60),
        seed: u64,
    ) {
        let now = Instant::now();
        let addresses: Vec<_> = networks.iter().map(|network| [10, 0, *network, 1]).collect();
        let (mut swarm, slots) = swarm(&addresses, now);
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut met = HashSet::new();
        for (who, wanted, answers) in rounds {
            let from = slots[who.index(slots.len())];
            let chosen = choose(&swarm, from, wanted, LinkLimits::default(), now, &mut rng);
            prop_assert!(chosen.len() <= wanted);
            for to in chosen {
                prop_assert_ne!(from, to);
                prop_assert!(met.insert((from, to)), "met twice");
                prop_assert!(met.insert((to, from)), "met twice");
                swarm.introduce(from, to, OfferId([1; 20]), now);
                if answers {
                    prop_assert!(swarm.answer(to, from, OfferId([1; 20]), now));
                    prop_assert!(!swarm.answer(to, from, OfferId([1; 20]), now));
                }
            }
        }
    }

    #[test]
    fn near_viewers_come_first(
        same_address in 0..8usize, same_network in 0..8usize, others in 0..8usize, wanted in 1..10usize, seed: u64,
    ) {
        let now = Instant::now();
        let mut addresses = vec![[192, 0, 2, 1]];
        addresses.extend(vec![[192, 0, 2, 1]; same_address]);
        addresses.extend((0..same_network).map(|number| [192, 0, 2, 10 + number as u8]));
        addresses.extend((0..others).map(|number| [198, 51, number as u8, 1]));
        let (swarm, slots) = swarm(&addresses, now);
        let mut rng = SmallRng::seed_from_u64(seed);
        let chosen = choose(&swarm, slots[0], wanted, LinkLimits::default(), now, &mut rng);
        prop_assert_eq!(chosen.len(), wanted.min(slots.len() - 1));
        let random = wanted.div_ceil(RANDOM_ONE_IN);
        let near = |count: usize| chosen.iter().filter(|slot| slots[1..=count].contains(slot)).count();
        prop_assert!(near(same_address) >= same_address.min(wanted - random.min(wanted)));
        let nearby = same_address + same_network;
        prop_assert!(near(nearby) >= nearby.min(wanted - random.min(wanted)));
    }
}

#[test]
fn those_with_the_fewest_links_come_first() {
    let now = Instant::now();
    let (mut swarm, slots) = swarm(&[[192, 0, 2, 1]; 30], now);
    for busy in 1..=20 {
        link(&mut swarm, slots[busy], slots[busy % 20 + 1], now);
    }
    let chosen = choose(&swarm, slots[0], 9, LinkLimits::default(), now, &mut SmallRng::seed_from_u64(1));
    let idle = chosen.iter().filter(|slot| slots[21..].contains(slot)).count();
    assert!(idle >= 7, "all but the random ones, but only {idle}");
}

#[test]
fn who_has_enough_is_left_to_those_in_need() {
    let now = Instant::now();
    let limits = LinkLimits { target: 3, most: 5 };
    let mut rng = SmallRng::seed_from_u64(1);
    let (mut swarm, slots) = swarm(&[[192, 0, 2, 1]; 12], now);
    // Two full viewers, linked to others, and a newcomer in slot 0.
    for full in [1, 2] {
        for other in 3 * full..3 * full + 3 {
            link(&mut swarm, slots[full], slots[other], now);
        }
    }
    let chosen = choose(&swarm, slots[1], 20, limits, now, &mut rng);
    assert!(!chosen.contains(&slots[2]), "both have enough");
    assert!(chosen.contains(&slots[0]));
    assert!(choose(&swarm, slots[0], 20, limits, now, &mut rng).contains(&slots[1]));
    for other in [9, 10] {
        link(&mut swarm, slots[1], slots[other], now);
    }
    assert!(!choose(&swarm, slots[0], 20, limits, now, &mut rng).contains(&slots[1]), "too many");
}

#[test]
fn acquaintance_fades() {
    let now = Instant::now();
    let (mut swarm, slots) = swarm(&[[192, 0, 2, 1], [192, 0, 2, 2]], now);
    let mut rng = SmallRng::seed_from_u64(1);
    let mut chosen_at = |swarm: &Swarm, at| choose(swarm, slots[0], 5, LinkLimits::default(), at, &mut rng);
    let moment = Duration::from_millis(1);

    swarm.introduce(slots[0], slots[1], OfferId([0; 20]), now);
    assert_eq!(chosen_at(&swarm, now + OFFER_LIFETIME - moment), []);
    assert_eq!(chosen_at(&swarm, now + OFFER_LIFETIME), [slots[1]]);
    link(&mut swarm, slots[0], slots[1], now);
    assert_eq!(chosen_at(&swarm, now + MEET_AGAIN - moment), []);
    assert_eq!(chosen_at(&swarm, now + MEET_AGAIN), [slots[1]]);
}

#[test]
fn viewers_on_one_connection_do_not_meet() {
    let now = Instant::now();
    let mut swarm = Swarm::default();
    let address = IpAddr::from([192, 0, 2, 1]);
    let slots = [0, 1].map(|number| swarm.join(peer_id(number), ConnectionId(7), address, false, now).0);
    let chosen = choose(&swarm, slots[0], 5, LinkLimits::default(), now, &mut SmallRng::seed_from_u64(1));
    assert_eq!(chosen, []);
}

#[test]
fn a_clustered_swarm_stays_in_one_piece() {
    let now = Instant::now();
    let addresses: Vec<_> = (0..1000u32).map(|number| [10, 0, (number % 10) as u8, 1]).collect();
    let (mut swarm, slots) = swarm(&addresses, now);
    let mut rng = SmallRng::seed_from_u64(1);
    let mut links = vec![Vec::new(); slots.len()];
    for (from, slot) in slots.iter().enumerate() {
        for to in choose(&swarm, *slot, 5, LinkLimits::default(), now, &mut rng) {
            link(&mut swarm, *slot, to, now);
            let to = slots.iter().position(|slot| *slot == to).unwrap();
            links[from].push(to);
            links[to].push(from);
        }
    }
    let near = |from: usize| links[from].iter().filter(|to| **to % 10 == from % 10).count();
    let near: usize = (0..slots.len()).map(near).sum();
    let all: usize = links.iter().map(Vec::len).sum();
    assert!(near * 10 > all * 7, "most links are near: {near} of {all}");
    let (mut reached, mut next) = (HashSet::from([0]), vec![0]);
    while let Some(from) = next.pop() {
        next.extend(links[from].iter().copied().filter(|to| reached.insert(*to)));
    }
    assert_eq!(reached.len(), slots.len());
}

#[test]
fn only_so_many_are_remembered() {
    let now = Instant::now();
    let (mut swarm, slots) = swarm(&[[192, 0, 2, 1]; MAX_PAIRS + 2], now);
    for (age, other) in slots[1..].iter().enumerate() {
        link(&mut swarm, slots[0], *other, now + Duration::from_millis(age as u64));
    }
    let me = swarm.peer(slots[0]).unwrap();
    assert_eq!(me.links(), MAX_PAIRS);
    assert_eq!(me.acquaintance(slots[1], now), Acquaintance::Strangers);
    assert_eq!(swarm.peer(slots[1]).unwrap().links(), 0, "forgotten at both ends");
}
