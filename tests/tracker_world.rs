// SPDX-License-Identifier: MPL-2.0

//! What the choice of peers makes of an audience: a small one here, and 100,000 viewers over the real
//! table of autonomous systems in `benches/tracker_world.rs`.

mod world;

use std::net::IpAddr;

use gstp2phls::tracker::place::{Network, Place};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

#[test]
fn links_stay_near_and_the_swarm_in_one_piece() {
    let viewers = 4000;
    let mut rng = SmallRng::seed_from_u64(5);
    let places: Vec<_> = (0..viewers)
        .map(|viewer: u32| {
            let mut place = Place::of(IpAddr::from((0x0a00_0000 + viewer).to_be_bytes()));
            // A few large providers and many small ones.
            let size: f64 = rng.random_range(0.0f64..1.0);
            place.network = Network::As(1 + (50.0 * size.powi(2)) as u32);
            world::locate(&mut place, &mut rng);
            place
        })
        .collect();
    let outcome = world::run(&places, 1);
    assert!(outcome.with_candidates > 2000 && outcome.links > 24_000, "{outcome:?}");
    assert!(outcome.announces * 5 == outcome.offers && outcome.busy > 0.0, "{outcome:?}");
    assert!(outcome.inside >= 0.8, "{outcome:?}");
    assert!(outcome.link_kilometres * 5.0 <= outcome.random_kilometres, "{outcome:?}");
    assert_eq!(outcome.reached, viewers as usize, "{outcome:?}");
    assert!(outcome.most_links <= 17 && outcome.fewest_links >= 3, "{outcome:?}");
}
