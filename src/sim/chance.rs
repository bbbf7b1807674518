// SPDX-License-Identifier: MPL-2.0

//! Chance without state: what happens to a viewer or to a pair follows from the seed and their numbers, in
//! whatever order and on whatever thread it is asked.

/// What a number is drawn for; draws for different purposes are independent.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    SegmentSize,
    RoundTrip,
    Reachable,
    Setup,
    Notice,
    Brownout,
    PeerId,
}

/// A number from [0, 1).
pub fn chance(seed: u64, purpose: Purpose, a: u64, b: u64) -> f64 {
    (bits(seed, purpose, a, b) >> 11) as f64 / (1u64 << 53) as f64
}

/// A number between two bounds.
pub fn between([from, to]: [f64; 2], chance: f64) -> f64 {
    from + (to - from) * chance
}

pub fn bits(seed: u64, purpose: Purpose, a: u64, b: u64) -> u64 {
    mix(mix(mix(seed ^ (purpose as u64) << 56) ^ a) ^ b)
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) after one of its steps.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
