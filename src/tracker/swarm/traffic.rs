// SPDX-License-Identifier: MPL-2.0

//! What viewers say about their bytes.
//!
//! They say how many there were in all, so a lost announce loses nothing. Whoever likes may lie, so
//! nobody is believed to be faster than any viewer's line, and nothing but the statistics depends on it.

use super::{Slot, Swarm, Tick};
use crate::swarm::tracker_messages::Traffic;

/// More bytes a second than this are no viewer's: 1 Gbit/s.
const MAX_RATE: f64 = 125e6;

/// What a viewer said last.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    said: Traffic,
    at: Tick,
}

impl Swarm {
    /// Takes a viewer's report over, and returns what is new in it. The first report of a viewer who was
    /// somewhere else before says where it begins.
    pub fn report(&mut self, slot: Slot, traffic: Traffic, started: bool, now: Tick) -> Traffic {
        let Some(peer) = self.peers.get_mut(slot) else { return Traffic::default() };
        let beginning = Report { said: if started { Traffic::default() } else { traffic }, at: peer.joined };
        let before = match &peer.report {
            Some(report) if !started => **report,
            _ => beginning,
        };
        let most = ((now.since(before.at).as_secs_f64() + 1.0) * MAX_RATE) as u64;
        // Less than before: it has begun anew without saying so.
        let more = |now: u64, before: u64| now.saturating_sub(before).min(most);
        let new = Traffic {
            peers: more(traffic.peers, before.said.peers),
            http: more(traffic.http, before.said.http),
            uploaded: more(traffic.uploaded, before.said.uploaded),
        };
        let report = Report { said: traffic, at: now };
        match &mut peer.report {
            Some(known) => **known = report,
            unknown => *unknown = Some(Box::new(report)),
        }
        add(&mut self.traffic, new);
        new
    }
}

/// Adds bytes to a sum, which does not overflow.
pub fn add(sum: &mut Traffic, new: Traffic) {
    sum.peers = sum.peers.saturating_add(new.peers);
    sum.http = sum.http.saturating_add(new.http);
    sum.uploaded = sum.uploaded.saturating_add(new.uploaded);
}
