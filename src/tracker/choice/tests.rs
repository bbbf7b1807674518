// SPDX-License-Identifier: MPL-2.0

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::swarm::ids::{OfferId, PeerId};
use crate::swarm::tracker_messages::Offer;
use crate::tracker::place::{Country, Network, Place, Reach};
use crate::tracker::swarm::{MAX_PAIRS, OFFER_LIFETIME};
use crate::tracker::swarms::ConnectionId;

const OFFER: OfferId = OfferId([0; 20]);

fn peer_id(number: usize) -> PeerId {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    PeerId(bytes)
}

fn tick(after: Duration) -> Tick {
    let start = Instant::now();
    Tick::new(start, start + after)
}

fn zero() -> Tick {
    tick(Duration::ZERO)
}

struct World {
    swarm: Swarm,
    slots: Vec<Slot>,
    rng: SmallRng,
    now: Tick,
}

impl World {
    /// Viewers at these places, each on a connection of its own.
    fn new(limits: LinkLimits, places: impl IntoIterator<Item = Place>) -> Self {
        let rng = SmallRng::seed_from_u64(1);
        let mut world = Self { swarm: Swarm::new(limits), slots: Vec::new(), rng, now: zero() };
        places.into_iter().for_each(|place| {
            world.join(&place);
        });
        world
    }

    fn at(addresses: &[[u8; 4]]) -> Self {
        Self::new(LinkLimits::default(), addresses.iter().map(|address| Place::of(IpAddr::from(*address))))
    }

    fn join(&mut self, place: &Place) -> usize {
        let number = self.slots.len();
        let connection = ConnectionId(number as u64);
        self.slots.push(self.swarm.join(peer_id(number), connection, place, false, self.now).0);
        number
    }

    fn choose(&mut self, who: usize, wanted: usize) -> Vec<usize> {
        let mut search = Search::new(&self.swarm, self.slots[who], self.now, &mut self.rng);
        let chosen: Vec<_> = std::iter::from_fn(|| search.next(false)).take(wanted).collect();
        chosen.iter().map(|chosen| self.slots.iter().position(|slot| slot == chosen).unwrap()).collect()
    }

    fn introduce(&mut self, a: usize, b: usize) {
        self.swarm.introduce(self.slots[a], self.slots[b], OFFER, self.now);
    }

    fn link(&mut self, a: usize, b: usize) {
        self.introduce(a, b);
        assert!(self.swarm.answer(self.slots[b], self.slots[a], OFFER).is_some());
    }

    /// Chooses for a viewer, and lets everybody answer.
    fn meet(&mut self, who: usize, wanted: usize) -> Vec<usize> {
        let chosen = self.choose(who, wanted);
        chosen.iter().for_each(|other| self.link(who, *other));
        chosen
    }

    fn links(&self, who: usize) -> usize {
        self.swarm.peer(self.slots[who]).unwrap().links()
    }
}

fn reached(links: &[Vec<usize>]) -> usize {
    let (mut reached, mut next) = (HashSet::from([0]), vec![0]);
    while let Some(from) = next.pop() {
        next.extend(links[from].iter().copied().filter(|to| reached.insert(*to)));
    }
    reached.len()
}

fn place() -> impl Strategy<Value = Place> {
    (0..4u8, 0..3u8, 0..3u8, any::<bool>(), 0..10u8, any::<bool>()).prop_map(
        |(net, host, site, located, reach, uploads)| {
            let mut place = Place::of(IpAddr::from([10, net, net, host]));
            place.site = (site == 0).then_some(7);
            if located {
                place.network = Network::As(net.into());
                place.locate(Country::new(["DE", "FR", "US", "BR"][usize::from(net)]), None);
            }
            place.reach = [Reach::Site, Reach::Provider].get(usize::from(reach)).copied().unwrap_or_default();
            place.uploads = uploads || host > 0;
            place
        },
    )
}

proptest! {
    /// Whoever comes and goes in whatever order, the rules hold.
    #[test]
    fn the_rules_hold(
        places in proptest::collection::vec(place(), 2..60),
        rounds in proptest::collection::vec((any::<prop::sample::Index>(), 0..8usize, 0..6u8), 1..120),
        seed: u64,
    ) {
        let limits = LinkLimits { target: 6, most: 8, poor: 2, near: 4, regional: 1, ..Default::default() };
        let mut world = World::new(limits, places.iter().copied());
        world.rng = SmallRng::seed_from_u64(seed);
        let mut met = HashSet::new();
        let mut gone = HashSet::new();
        for (who, wanted, what) in rounds {
            let who = who.index(world.slots.len());
            if gone.contains(&who) {
                continue;
            }
            if what == 0 {
                let slot = world.slots[who];
                world.swarm.leave(slot);
                gone.insert(who);
                continue;
            }
            let chosen = world.choose(who, wanted);
            prop_assert!(chosen.len() <= wanted);
            for other in chosen {
                prop_assert!(who != other && !gone.contains(&other));
                prop_assert!(met.insert((who.min(other), who.max(other))), "met twice");
                prop_assert!(places[other].uploads, "nobody depends on who does not upload");
                let (a, b) = (&places[who], &places[other]);
                for (one, another) in [(a, b), (b, a)] {
                    match one.reach {
                        Reach::Site => prop_assert!(one.groups()[0] == another.groups()[0]),
                        Reach::Provider => prop_assert!((0..3).any(|l| one.groups()[l] == another.groups()[l])),
                        Reach::Anywhere => {}
                    }
                }
                world.introduce(who, other);
                let (me, it) = (world.slots[who], world.slots[other]);
                if what > 1 {
                    prop_assert_eq!(world.swarm.answer(it, me, OFFER), Some(world.swarm.level(me, it)));
                    prop_assert_eq!(world.swarm.answer(it, me, OFFER), None, "once only");
                }
            }
        }
        for (who, slot) in world.slots.iter().enumerate().filter(|(who, _)| !gone.contains(who)) {
            let peer = world.swarm.peer(*slot).unwrap();
            prop_assert!(peer.load() <= limits.most, "{} has {}", who, peer.load());
            prop_assert_eq!(peer.load(), peer.load_within(Level::Site..=Level::Anywhere));
            // It stands where it can be found, on the side where it belongs.
            for level in Level::ALL {
                let exists = peer.place.groups()[level as usize].is_some();
                let (in_need, content) = world.swarm.around(*slot, level);
                let needs = peer.load() < peer.target(&limits);
                prop_assert_eq!(in_need.contains(slot), exists && peer.place.uploads && needs);
                prop_assert_eq!(content.contains(slot), exists && peer.place.uploads && !needs);
            }
        }
        for who in 0..world.slots.len() {
            if !gone.contains(&who) {
                let slot = world.slots[who];
                world.swarm.leave(slot);
            }
        }
        prop_assert_eq!(world.swarm.len(), 0);
        prop_assert!(world.swarm.has_no_groups());
    }

    #[test]
    fn near_viewers_come_first(
        same_address in 0..8usize, same_network in 0..8usize, others in 0..8usize, wanted in 1..10usize, seed: u64,
    ) {
        let mut addresses = vec![[192, 0, 2, 1]];
        addresses.extend(vec![[192, 0, 2, 1]; same_address]);
        addresses.extend((0..same_network).map(|number| [192, 0, 2, 10 + number as u8]));
        addresses.extend((0..others).map(|number| [198, 51 + number as u8, 0, 1]));
        let places = addresses.iter().map(|address| Place::of(IpAddr::from(*address)));
        let mut world = World::new(LinkLimits { patience: Duration::ZERO, ..Default::default() }, places);
        world.rng = SmallRng::seed_from_u64(seed);
        let chosen = world.choose(0, wanted);
        prop_assert_eq!(chosen.len(), wanted.min(addresses.len() - 1));
        // Of nine, one ignores nearness; at most two.
        let near = |count: usize| chosen.iter().filter(|slot| (1..=count).contains(*slot)).count();
        prop_assert!(near(same_address) >= same_address.min(wanted.saturating_sub(2)));
        let nearby = same_address + same_network;
        prop_assert!(near(nearby) >= nearby.min(wanted.saturating_sub(2)));
    }
}

#[test]
fn the_first_of_a_provider_leave_room_for_those_who_come() {
    let here = |number: u8| [192, 0, 2, number];
    let far = |number: u8| [198, number, 0, 1];
    let addresses: Vec<_> = [here(1), here(2)].into_iter().chain((0..30).map(far)).collect();
    let places = addresses.iter().map(|address| Place::of(IpAddr::from(*address)));
    let limits = LinkLimits { small_swarm: 0, ..Default::default() };
    let mut world = World::new(limits, places);
    assert_eq!(world.meet(0, 15).len(), limits.far_at_once, "with its one neighbour");
    assert_eq!(world.meet(0, 15), [0usize; 0]);
    let newcomer = world.join(&Place::of(IpAddr::from(here(3))));
    assert!(world.meet(0, 15).contains(&newcomer));
    world.now = world.now + limits.patience;
    assert_eq!(world.links(0) + world.meet(0, 15).len(), limits.target);
}

#[test]
fn in_a_small_swarm_nobody_waits_for_who_is_near() {
    let addresses: Vec<_> = (0..32).map(|number| [198, number, 0, 1]).collect();
    let mut world = World::at(&addresses);
    let limits = *world.swarm.limits();
    assert!(addresses.len() < limits.small_swarm);
    assert_eq!(world.meet(0, 15).len(), limits.target);
}

#[test]
fn those_with_the_fewest_links_come_first() {
    let mut world = World::at(&[[192, 0, 2, 1]; 30]);
    for busy in 1..=20 {
        world.link(busy, busy % 20 + 1);
    }
    assert!(world.choose(0, 9).iter().all(|chosen| *chosen > 20));
}

#[test]
fn quotas_share_the_links_out() {
    // Plenty of viewers of each kind.
    let places = (0..90u8).map(|number| {
        let mut place = Place::of(IpAddr::from([10, number % 3, 0, number]));
        place.network = Network::As(u32::from(number % 3));
        place.locate(Country::new(["DE", "DE", "BR"][usize::from(number % 3)]), None);
        place
    });
    let limits = LinkLimits { near: 9, regional: 4, ..Default::default() };
    let mut world = World::new(limits, places);
    let chosen = world.choose(0, 15);
    let count = |kind| chosen.iter().filter(|other| *other % 3 == kind).count();
    assert_eq!(chosen.len(), 15);
    // The two random ones may be of any kind.
    assert!((9..=11).contains(&count(0)), "{}", count(0));
    assert!((4..=6).contains(&count(1)), "{}", count(1));
    // A first announce has few offers, and they are shared out too.
    let chosen = world.choose(1, 5);
    assert!((3..=4).contains(&chosen.iter().filter(|other| *other % 3 == 1).count()), "{chosen:?}");
}

#[test]
fn who_has_enough_takes_only_the_poor() {
    let limits = LinkLimits { target: 4, most: 6, poor: 2, ..Default::default() };
    let home = Place::of(IpAddr::from([192, 0, 2, 1]));
    let mut world = World::new(limits, [home; 5]);
    for a in 0..5 {
        for b in 0..a {
            world.link(a, b);
        }
    }
    assert_eq!(world.choose(0, 9), [0usize; 0], "it has enough");
    // Each newcomer finds a place, but not at the cost of those who have enough.
    for expected in [2, 2, 2] {
        let who = world.join(&home);
        assert_eq!(world.meet(who, 9).len(), expected);
    }
    for who in 0..world.slots.len() {
        assert!(world.links(who) <= 6);
    }
}

#[test]
fn acquaintance_fades() {
    let moment = Duration::from_millis(100);
    let mut world = World::at(&[[192, 0, 2, 1], [192, 0, 2, 2]]);
    let again = world.swarm.limits().meet_again;
    let chosen_at = |world: &mut World, after| {
        world.now = tick(after);
        world.swarm.advance(world.now);
        world.choose(0, 5)
    };
    world.introduce(0, 1);
    assert_eq!(chosen_at(&mut world, OFFER_LIFETIME - moment), [0usize; 0]);
    assert_eq!(chosen_at(&mut world, OFFER_LIFETIME), [1]);
    world.now = zero();
    world.link(0, 1);
    assert_eq!(chosen_at(&mut world, again - moment), [0usize; 0]);
    assert_eq!(chosen_at(&mut world, again), [1]);
    // Who says that it lost a link need not wait so long.
    let slot = world.slots[0];
    world.swarm.correct_links(slot, 1);
    assert_eq!(chosen_at(&mut world, OFFER_LIFETIME), [0usize; 0]);
    world.swarm.correct_links(slot, 0);
    assert_eq!(chosen_at(&mut world, OFFER_LIFETIME), [1]);
}

#[test]
fn offers_under_way_count_until_they_fade() {
    let mut world = World::at(&[[192, 0, 2, 1]; 3]);
    world.introduce(0, 1);
    world.introduce(2, 0);
    let load = |world: &World, who: usize| world.swarm.peer(world.slots[who]).unwrap().load();
    assert_eq!([0, 1, 2].map(|who| load(&world, who)), [2, 1, 1]);
    world.swarm.advance(tick(OFFER_LIFETIME));
    assert_eq!([0, 1, 2].map(|who| load(&world, who)), [2, 1, 1]);
    world.swarm.advance(tick(OFFER_LIFETIME + Duration::from_secs(1)));
    assert_eq!([0, 1, 2].map(|who| load(&world, who)), [0, 0, 0]);
    assert_eq!(world.swarm.answer(world.slots[1], world.slots[0], OFFER), None, "too old");
}

#[test]
fn viewers_on_one_connection_do_not_meet_and_neither_do_seeders() {
    let mut swarm = Swarm::new(LinkLimits::default());
    let place = Place::of(IpAddr::from([192, 0, 2, 1]));
    for (numbers, seeder) in [([0, 1], false), ([2, 3], true)] {
        for number in numbers {
            let connection = ConnectionId(if seeder { number as u64 } else { 7 });
            swarm.join(peer_id(number), connection, &place, seeder, zero());
        }
    }
    let find = |number| swarm.find(&peer_id(number)).unwrap();
    for (who, expected) in [(0, [2, 3]), (2, [0, 1])] {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut search = Search::new(&swarm, find(who), zero(), &mut rng);
        let chosen: HashSet<_> = std::iter::from_fn(|| search.next(false)).collect();
        assert_eq!(chosen, expected.into_iter().map(find).collect::<HashSet<_>>());
    }
}

#[test]
fn only_those_with_offers_left_are_asked_for_them() {
    let mut world = World::at(&[[192, 0, 2, 1]; 10]);
    let until = tick(Duration::from_secs(40));
    world.swarm.bank(world.slots[7], Offer { offer_id: OFFER, sdp: "v=0".into() }, 4, until);
    assert_eq!(world.swarm.banked_bytes(), 3);
    let mut search = Search::new(&world.swarm, world.slots[0], world.now, &mut world.rng);
    assert_eq!((search.next(true), search.next(true)), (Some(world.slots[7]), None));
    let mut search = Search::new(&world.swarm, world.slots[0], until, &mut world.rng);
    assert_eq!(search.next(true), None, "too old");
    assert_eq!(world.swarm.take_banked(world.slots[7], until), None);
    assert!(world.swarm.take_banked(world.slots[7], zero()).is_some());
    assert_eq!(world.swarm.banked_bytes(), 0);
}

#[test]
fn only_so_many_are_remembered() {
    let mut world = World::at(&[[192, 0, 2, 1]; MAX_PAIRS + 2]);
    for other in 1..MAX_PAIRS + 2 {
        world.now = tick(Duration::from_secs(other as u64));
        world.link(0, other);
    }
    assert_eq!(world.links(0), MAX_PAIRS);
    let me = world.swarm.peer(world.slots[0]).unwrap();
    let limits = world.swarm.limits();
    assert_eq!(me.acquaintance(world.slots[1], world.now, limits), Acquaintance::Strangers);
    assert_eq!(world.links(1), 0, "forgotten at both ends");
}

/// Viewers come one after another, as to a live event, and look again until they have enough.
fn crowd(size: usize, place: impl Fn(usize) -> Place) -> (World, Vec<Vec<usize>>) {
    let mut world = World::new(LinkLimits::default(), []);
    let mut links = vec![Vec::new(); size];
    let mut meet = |world: &mut World, who: usize| {
        for other in world.meet(who, 5) {
            links[who].push(other);
            links[other].push(who);
        }
    };
    for number in 0..size {
        let who = world.join(&place(number));
        meet(&mut world, who);
        world.now = world.now + Duration::from_millis(100);
        // Some of those who were there before look again meanwhile.
        for again in 1..4 {
            let earlier = world.rng.random_range(0..=who);
            if again <= who {
                meet(&mut world, earlier);
            }
        }
    }
    for _ in 0..4 {
        world.now = world.now + Duration::from_secs(20);
        (0..size).for_each(|who| meet(&mut world, who));
    }
    (world, links)
}

#[test]
fn a_crowd_stays_in_one_piece_and_mostly_at_home() {
    let size = 3000;
    let home = |number: usize| number % 10;
    let (world, links) = crowd(size, |number| Place::of(IpAddr::from([10, home(number) as u8, 0, 1])));
    assert_eq!(reached(&links), size);
    let near = |who: usize| links[who].iter().filter(|other| home(**other) == home(who)).count();
    let near: usize = (0..size).map(near).sum();
    let all: usize = links.iter().map(Vec::len).sum();
    assert!(near * 100 > all * 82, "most links are near: {near} of {all}");
    for who in 0..size {
        assert!((10..=17).contains(&world.links(who)), "{who} has {} links", world.links(who));
    }
}

#[test]
fn nobody_is_left_outside_however_small_and_full_the_groups_are() {
    // Sixteen in each household: each could be content with itself.
    let size = 1600;
    let (_, links) = crowd(size, |number| Place::of(IpAddr::from([10, (number / 16) as u8, 0, 1])));
    assert_eq!(reached(&links), size);
    assert!(links.iter().all(|links| links.len() >= 3 && links.len() <= 17));
}
