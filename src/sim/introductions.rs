// SPDX-License-Identifier: MPL-2.0

//! The tracker: its real choice of peers, asked at the end of each window of the world's clock.

use std::net::IpAddr;
use std::sync::Arc;

use super::event::{Event, What};
use super::setting::Setting;
use super::shard::{TrackerCall, TrackerMessage};
use super::time::{Micros, from_duration, from_millis, from_seconds};
use crate::swarm::InfoHash;
use crate::swarm::ids::OfferId;
use crate::swarm::tracker_messages::{Announce, AnnounceEvent, Answer, Offer};
use crate::tracker::swarms::{ConnectionId, Settings, Swarms};

/// The tracker looks for who has not announced itself this often.
const EXPIRY: Micros = 5_000_000;

const SWARM: InfoHash = InfoHash(*b"the swarm of a world");

#[derive(Debug)]
pub struct Introductions {
    setting: Arc<Setting>,
    swarms: Swarms,
    /// From a message to what follows from it.
    latency: Micros,
    /// What is to be told to it later.
    waiting: Vec<TrackerMessage>,
    expired: Micros,
    pub announces: u64,
}

impl Introductions {
    pub fn new(setting: Arc<Setting>, window: Micros) -> Self {
        // Offers that wait for newcomers are not carried here yet.
        let settings = Settings { bank_per_viewer: 0, ..Settings::default() };
        let swarms = Swarms::new(settings, setting.options.seed);
        let latency = from_millis(setting.scenario.tracker.latency).max(window);
        Self { setting, swarms, latency, waiting: Vec::new(), expired: 0, announces: 0 }
    }

    /// Takes what was sent in a window that ends now, and gives what follows.
    pub fn answer(&mut self, messages: impl Iterator<Item = TrackerMessage>, now: Micros) -> Vec<Event> {
        self.waiting.extend(messages);
        // In an order that does not depend on who was simulated first.
        self.waiting.sort_by_key(|message| (message.at, message.from));
        let due = self.waiting.partition_point(|message| message.at < now);
        let mut events = Vec::new();
        for message in self.waiting.drain(..due).collect::<Vec<_>>() {
            self.handle(message, &mut events);
        }
        if now >= self.expired + EXPIRY {
            self.expired = now;
            self.swarms.expire(self.setting.instant(now));
        }
        events
    }

    fn handle(&mut self, TrackerMessage { at, from, what }: TrackerMessage, events: &mut Vec<Event>) {
        let now = self.setting.instant(at);
        let connection = ConnectionId(u64::from(from));
        let mut tell = |after, viewer, what| events.push(Event { at: at + after, order: 0, viewer, what });
        match what {
            TrackerCall::Gone => self.swarms.close(connection),
            TrackerCall::Announce { offers, first_offer, links } => {
                self.announces += 1;
                let me = self.setting.peer_id(from);
                self.swarms.report_links(connection, &SWARM, &me, links);
                let offer = |n| Offer { offer_id: offer_id(from, first_offer + n), sdp: String::new() };
                let announce = Announce {
                    info_hash: SWARM,
                    peer_id: me,
                    event: if first_offer == 0 { AnnounceEvent::Started } else { AnnounceEvent::Update },
                    numwant: Some(offers),
                    left: None,
                    offers: (0..offers).map(offer).collect(),
                };
                let address = IpAddr::V4(self.setting.population.address(from));
                let Ok(announced) = self.swarms.announce(now, connection, address, &announce) else { return };
                let swarm_size = announced.complete + announced.incomplete;
                let interval = (from_duration(announced.interval) / 1000) as u32;
                let number = announced.number.unwrap_or_default();
                tell(self.latency, from, What::Announced { swarm_size, number, interval });
                for (receiver, offer) in announced.receivers.iter().zip(first_offer..) {
                    tell(self.latency, receiver.0 as u32, What::Offer { from, offer });
                }
            }
            TrackerCall::Answer { to, offer, end } => {
                let answer = Answer {
                    info_hash: SWARM,
                    peer_id: self.setting.peer_id(from),
                    to_peer_id: self.setting.peer_id(to),
                    offer_id: offer_id(to, offer),
                    sdp: String::new(),
                };
                match self.swarms.answer(now, connection, &answer) {
                    Ok(_) => tell(self.latency, to, What::Answer { from, end }),
                    Err(_) => {
                        let timeout = from_seconds(self.setting.scenario.network.setup_timeout);
                        tell(timeout.max(self.latency), from, What::LinkClosed { link: end });
                    }
                }
            }
        }
    }
}

fn offer_id(from: u32, number: u32) -> OfferId {
    let mut id = [0; 20];
    id[..4].copy_from_slice(&from.to_le_bytes());
    id[4..8].copy_from_slice(&number.to_le_bytes());
    OfferId(id)
}
