// SPDX-License-Identifier: MPL-2.0

use std::time::Duration;

use crate::tracker::swarm::LinkLimits;

/// How the swarms are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between announces of a viewer who has enough links.
    pub interval: Duration,
    /// The same for a viewer who has some, and for one who has met everybody there is.
    pub medium_interval: Duration,
    /// The same for a viewer who has few. Each announce makes a browser build several
    /// connections, so this is a matter of tens of seconds.
    pub short_interval: Duration,
    /// With fewer links than this, a viewer has few.
    pub few_links: usize,
    pub links: LinkLimits,
    /// Offers that found nobody are kept this long for viewers who come later. Browsers drop
    /// theirs after 50 s.
    pub bank_time: Duration,
    /// How many of them for each viewer; 0 keeps none.
    pub bank_per_viewer: usize,
    /// Bytes of session descriptions kept for this, over all swarms.
    pub bank_bytes: usize,
    /// Viewers on one connection, over all swarms.
    pub max_peers_per_connection: usize,
    /// Viewers over all swarms.
    pub max_peers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            medium_interval: Duration::from_secs(60),
            short_interval: Duration::from_secs(20),
            few_links: 8,
            links: LinkLimits::default(),
            bank_time: Duration::from_secs(40),
            bank_per_viewer: 4,
            bank_bytes: 64 << 20,
            max_peers_per_connection: 64,
            max_peers: 2_000_000,
        }
    }
}
