// SPDX-License-Identifier: MPL-2.0

//! A synthetic audience in one swarm, in virtual time: where its viewers' links go. For a test with a
//! small audience and for `benches/tracker_world.rs` with a large one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use gstp2phls::swarm::ids::{InfoHash, OfferId, PeerId};
use gstp2phls::swarm::tracker_messages::{Announce, AnnounceEvent, Answer, Offer};
use gstp2phls::tracker::place::{Country, Network, Place, Point};
use gstp2phls::tracker::swarms::{ConnectionId, Settings, Swarms};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const HASH: InfoHash = InfoHash([7; 20]);
/// As browsers with p2p-media-loader.
const OFFERS: u64 = 5;
/// All come within this time, as to a live event.
const ARRIVAL: Duration = Duration::from_secs(300);
/// And stay for this one.
const LENGTH: Duration = Duration::from_secs(900);

/// What became of it.
#[derive(Debug)]
pub struct Outcome {
    pub links: usize,
    pub most_links: usize,
    pub fewest_links: usize,
    /// Of those who have at least 12 others of their provider or site: the share of links there.
    pub inside: f64,
    /// How many of the audience those are.
    pub with_candidates: usize,
    /// Mean length of a link, and of the way between two viewers at random, in kilometres.
    pub link_kilometres: f64,
    pub random_kilometres: f64,
    /// Viewers reached from the first one.
    pub reached: usize,
    pub offers: u64,
    pub announces: u64,
    /// Time spent in the tracker's announces, in seconds.
    pub busy: f64,
}

/// Some of the countries there are, by how many people live there.
#[rustfmt::skip]
const COUNTRIES: [(&str, f32, f32, u32); 32] = [
    ("IN", 22.0, 79.0, 14), ("CN", 34.0, 109.0, 14), ("US", 39.0, -98.0, 12), ("ID", -3.0, 117.0, 6),
    ("BR", -11.0, -53.0, 6), ("NG", 9.0, 8.0, 4), ("RU", 56.0, 44.0, 5), ("MX", 24.0, -102.0, 4),
    ("JP", 36.0, 138.0, 5), ("PH", 13.0, 122.0, 3), ("EG", 28.0, 30.0, 3), ("VN", 16.0, 107.0, 3),
    ("TR", 39.0, 35.0, 3), ("DE", 51.0, 10.0, 4), ("TH", 15.0, 101.0, 3), ("GB", 53.0, -2.0, 4),
    ("FR", 46.0, 2.0, 4), ("ZA", -29.0, 25.0, 2), ("IT", 43.0, 12.0, 3), ("KE", 0.0, 38.0, 2),
    ("KR", 36.0, 128.0, 2), ("CO", 4.0, -73.0, 2), ("ES", 40.0, -3.0, 2), ("AR", -35.0, -65.0, 2),
    ("PL", 52.0, 19.0, 2), ("CA", 50.0, -95.0, 2), ("UA", 49.0, 32.0, 2), ("AU", -30.0, 145.0, 2),
    ("NL", 52.0, 5.0, 1), ("SE", 60.0, 16.0, 1), ("CL", -33.0, -71.0, 1), ("NZ", -41.0, 174.0, 1),
];

/// A provider's country, and one of some towns there in which it has customers.
pub fn locate(place: &mut Place, rng: &mut SmallRng) {
    let Network::As(number) = place.network else { return };
    let mut home = SmallRng::seed_from_u64(number.into());
    let mut people = home.random_range(0..COUNTRIES.iter().map(|(.., people)| people).sum());
    let lives = |(.., count): &&(&str, f32, f32, u32)| {
        let here = people < *count;
        people = people.saturating_sub(*count);
        here
    };
    let (country, latitude, longitude, _) = COUNTRIES.iter().find(lives).expect("a country");
    let towns = home.random_range(1..8u32);
    let mut town = SmallRng::seed_from_u64(u64::from(number) << 8 | u64::from(rng.random_range(0..towns)));
    let (north, east) = (town.random_range(-4.0..4.0f32), town.random_range(-5.0..5.0f32));
    place.locate(Country::new(country), Point::new(latitude + north, longitude + east));
}

fn id(viewer: usize) -> PeerId {
    let mut id = *b"-PM0203-000000000000";
    id[8..16].copy_from_slice(&(viewer as u64).to_be_bytes());
    PeerId(id)
}

/// Lets viewers at these places come, meet and stay.
pub fn run(places: &[Place], seed: u64) -> Outcome {
    let start = Instant::now();
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut swarms = Swarms::new(Settings::default(), seed);
    let numbers: HashMap<PeerId, usize> = (0..places.len()).map(|viewer| (id(viewer), viewer)).collect();
    let mut links: Vec<Vec<u32>> = vec![Vec::new(); places.len()];
    let mut due = BinaryHeap::new();
    for viewer in 0..places.len() {
        due.push(Reverse((rng.random_range(Duration::ZERO..ARRIVAL), viewer, 0u64)));
    }
    let (mut offers, mut announces, mut busy, mut expired) = (0, 0, Duration::ZERO, Duration::ZERO);
    while let Some(Reverse((at, viewer, round))) = due.pop() {
        if at > LENGTH {
            break;
        }
        let now = start + at;
        while expired < at {
            swarms.expire(start + expired);
            expired += Duration::from_secs(1);
        }
        let offer = |number: u64| {
            let mut id = [0; 20];
            id[..8].copy_from_slice(&(viewer as u64).to_be_bytes());
            id[8..16].copy_from_slice(&(round * OFFERS + number).to_be_bytes());
            Offer { offer_id: OfferId(id), sdp: "v=0".into() }
        };
        let made: Vec<_> = (0..OFFERS).map(offer).collect();
        let event = if round == 0 { AnnounceEvent::Started } else { AnnounceEvent::Update };
        let ids: Vec<_> = made.iter().map(|offer| offer.offer_id).collect();
        let announce = Announce {
            info_hash: HASH,
            peer_id: id(viewer),
            event,
            numwant: Some(5),
            left: None,
            offers: made,
        };
        let began = Instant::now();
        let announced =
            swarms.announce(now, ConnectionId(viewer as u64), places[viewer], &announce).expect("room");
        busy += began.elapsed();
        announces += 1;
        offers += OFFERS;
        let receivers =
            announced.receivers.iter().zip(ids).map(|(receiver, id)| (receiver.0 as usize, viewer, id));
        let banked = announced.banked.iter().map(|(from, offer)| (viewer, numbers[from], offer.offer_id));
        for (by, to, offer_id) in receivers.chain(banked).collect::<Vec<_>>() {
            let answer =
                Answer { info_hash: HASH, peer_id: id(by), to_peer_id: id(to), offer_id, sdp: String::new() };
            if swarms.answer(now, ConnectionId(by as u64), &answer).is_ok()
                && !links[by].contains(&(to as u32))
            {
                links[by].push(to as u32);
                links[to].push(by as u32);
            }
        }
        due.push(Reverse((at + announced.interval, viewer, round + 1)));
    }
    judge(places, &links, &mut rng, Counts { offers, announces, busy: busy.as_secs_f64() })
}

struct Counts {
    offers: u64,
    announces: u64,
    busy: f64,
}

fn judge(places: &[Place], links: &[Vec<u32>], rng: &mut SmallRng, counts: Counts) -> Outcome {
    let mut candidates: HashMap<_, usize> = HashMap::new();
    for place in places {
        *candidates.entry((place.network, place.site)).or_default() += 1;
    }
    let same = |a: usize, b: usize| places[a].network == places[b].network;
    let (mut inside, mut of, mut with_candidates) = (0, 0, 0);
    for (viewer, others) in links.iter().enumerate() {
        if candidates[&(places[viewer].network, places[viewer].site)] > 12 {
            with_candidates += 1;
            of += others.len();
            inside += others.iter().filter(|other| same(viewer, **other as usize)).count();
        }
    }
    let distance = |a: usize, b: usize| Some(f64::from(places[a].point?.distance_km(places[b].point?)));
    let mean = |lengths: &mut dyn Iterator<Item = f64>| {
        let (mut sum, mut count) = (0.0, 0.0);
        for length in lengths {
            (sum, count) = (sum + length, count + 1.0);
        }
        sum / f64::max(count, 1.0)
    };
    let ends = links.iter().enumerate().flat_map(|(a, others)| others.iter().map(move |b| (a, *b as usize)));
    let link_kilometres = mean(&mut ends.filter_map(|(a, b)| distance(a, b)));
    let random = |_| distance(rng.random_range(0..places.len()), rng.random_range(0..places.len()));
    let random_kilometres = mean(&mut (0..100_000).filter_map(random));

    let mut seen = vec![false; places.len()];
    let (mut next, mut reached) = (vec![0], 0);
    seen[0] = true;
    while let Some(viewer) = next.pop() {
        reached += 1;
        for other in &links[viewer] {
            if !std::mem::replace(&mut seen[*other as usize], true) {
                next.push(*other as usize);
            }
        }
    }
    let degrees = || links.iter().map(Vec::len);
    Outcome {
        links: degrees().sum::<usize>() / 2,
        most_links: degrees().max().unwrap_or(0),
        fewest_links: degrees().min().unwrap_or(0),
        inside: inside as f64 / f64::max(of as f64, 1.0),
        with_candidates,
        link_kilometres,
        random_kilometres,
        reached,
        offers: counts.offers,
        announces: counts.announces,
        busy: counts.busy,
    }
}
