// SPDX-License-Identifier: MPL-2.0

//! 100,000 viewers over the real table of autonomous systems, and what the choice of peers costs.
//!
//!     npm install --prefix target/npm @ip-location-db/asn
//!     cargo bench --no-default-features --features tracker --bench tracker_world
//!
//! Says that it was skipped where the table is not there; another one can be named by P2PHLS_ASN_TABLE.

#[path = "../tests/world/mod.rs"]
mod world;

use std::net::IpAddr;
use std::path::PathBuf;

use gstp2phls::tracker::geo::{Atlas, Files};
use gstp2phls::tracker::place::{Network, Place};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const VIEWERS: usize = 100_000;

/// Viewers at random addresses that somebody announces.
fn audience(atlas: &Atlas, rng: &mut SmallRng) -> Vec<Place> {
    let mut places = Vec::with_capacity(VIEWERS);
    while places.len() < VIEWERS {
        let address = IpAddr::from(rng.random_range(0x0100_0000..0xe000_0000u32).to_be_bytes());
        let mut place = atlas.place(address);
        if matches!(place.network, Network::As(_)) {
            world::locate(&mut place, rng);
            places.push(place);
        }
    }
    places
}

fn main() {
    let default =
        concat!(env!("CARGO_MANIFEST_DIR"), "/target/npm/node_modules/@ip-location-db/asn/asn-ipv4.csv");
    let table = std::env::var_os("P2PHLS_ASN_TABLE").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if !table.exists() {
        println!("skipped: there is no {}; the head of this file says how to get it", table.display());
        return;
    }
    let atlas = Atlas::read(&Files { data: vec![table], sites: None }).expect("a table");
    let places = audience(&atlas, &mut SmallRng::seed_from_u64(1));
    let outcome = world::run(&places, 1);
    let world::Outcome { links, with_candidates, reached, most_links, fewest_links, .. } = outcome;
    println!("{VIEWERS} viewers, {links} links, {fewest_links} to {most_links} each, {reached} in one piece");
    println!(
        "links inside the provider or site: {:.1} % ({with_candidates} viewers with 12 candidates or more)",
        100.0 * outcome.inside
    );
    println!(
        "a link is {:.0} km long, a random one {:.0} km: {:.1} times",
        outcome.link_kilometres,
        outcome.random_kilometres,
        outcome.random_kilometres / outcome.link_kilometres
    );
    println!(
        "{} announces, {} offers: {:.2} µs an offer",
        outcome.announces,
        outcome.offers,
        1e6 * outcome.busy / outcome.offers as f64
    );
}
