// SPDX-License-Identifier: MPL-2.0

//! Which channels there are to which peers, and which of several to the same peer counts.
//!
//! Two viewers can come to be connected twice: each took up an offer of the other, or two trackers
//! introduced them. Only one channel to a peer is *adopted*; the owner hears of no other.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::MeshEvent;
use crate::swarm::{Client, PeerId};
use crate::viewer::PeerKey;

/// A browser says at once what it holds, unless its upload is switched off: then silence for this long
/// is as good.
const ADOPTION: Duration = Duration::from_secs(2);

/// Peers that are remembered for having misbehaved. Who changes its name escapes, but has to connect anew.
const MAX_BANNED: usize = 64;

struct Entry<S> {
    peer: PeerId,
    sender: S,
    /// Who made the offer.
    offerer: PeerId,
    opened: Option<Instant>,
    /// The owner knows of it.
    adopted: bool,
    heard: bool,
}

/// All channels, opening or open; `S` sends on one.
pub struct Links<S> {
    me: PeerId,
    max_peers: usize,
    entries: HashMap<PeerKey, Entry<S>>,
    next_key: u64,
    banned: VecDeque<PeerId>,
    events: VecDeque<MeshEvent>,
}

impl<S> Links<S> {
    pub fn new(me: PeerId, max_peers: usize) -> Self {
        Self {
            me,
            max_peers,
            entries: HashMap::new(),
            next_key: 0,
            banned: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn sender(&self, key: PeerKey) -> Option<&S> {
        self.entries.get(&key).map(|entry| &entry.sender)
    }

    pub fn poll_event(&mut self) -> Option<MeshEvent> {
        self.events.pop_front()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// A connection to this peer would be of use.
    pub fn wants(&self, peer: &PeerId) -> bool {
        *peer != self.me && !self.banned.contains(peer) && self.adopted(peer).is_none()
    }

    /// A channel to `peer`, not open yet; `offerer` is one of the two.
    pub fn add(&mut self, peer: PeerId, offerer: PeerId, sender: S) -> PeerKey {
        let key = PeerKey(self.next_key);
        self.next_key += 1;
        let entry = Entry { peer, sender, offerer, opened: None, adopted: false, heard: false };
        self.entries.insert(key, entry);
        key
    }

    /// A channel is open.
    pub fn opened(&mut self, now: Instant, key: PeerKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.opened = Some(now);
        let (peer, offerer) = (entry.peer, entry.offerer);
        // A browser decides for itself which of two channels to keep, and shows it by speaking on it. Our
        // own kind agrees without a word: both keep the one that the lower id offered.
        if !matches!(Client::from_peer_id(&peer.0), Client::P2phls { .. }) {
            return;
        }
        match self.adopted(&peer) {
            None => self.adopt(key),
            Some(other) if offerer == peer.min(self.me) => {
                self.remove(other);
                self.adopt(key);
            }
            Some(_) => self.remove(key),
        }
    }

    /// The peer speaks on a channel. True if that is the one to it.
    pub fn heard(&mut self, key: PeerKey) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        entry.heard = true;
        let (peer, adopted) = (entry.peer, entry.adopted);
        if adopted {
            return true;
        }
        match self.adopted(&peer) {
            Some(other) if self.entries.get(&other).is_some_and(|e| e.heard) => return false,
            // That one was taken for want of a better; the peer speaks on this one.
            Some(other) => self.remove(other),
            None => {}
        }
        self.adopt(key);
        self.entries.contains_key(&key)
    }

    /// A channel has closed.
    pub fn closed(&mut self, key: PeerKey) {
        self.remove(key);
    }

    /// The owner is done with a channel; no event follows.
    pub fn close(&mut self, key: PeerKey) {
        self.entries.remove(&key);
    }

    /// The owner is done with a peer for good; no event follows.
    pub fn ban(&mut self, key: PeerKey) {
        if let Some(entry) = self.entries.remove(&key) {
            if self.banned.len() >= MAX_BANNED {
                self.banned.pop_front();
            }
            self.banned.push_back(entry.peer);
        }
    }

    /// Adopts channels that have been open and silent for long enough.
    pub fn tick(&mut self, now: Instant) {
        let silent = |e: &Entry<S>| !e.adopted && e.opened.is_some_and(|at| at + ADOPTION <= now);
        let waiting: Vec<PeerKey> =
            self.entries.iter().filter(|(_, e)| silent(e)).map(|(key, _)| *key).collect();
        for key in waiting {
            let Some(peer) = self.entries.get(&key).map(|e| e.peer) else { continue };
            if self.adopted(&peer).is_some() { self.remove(key) } else { self.adopt(key) }
        }
    }

    fn adopted(&self, peer: &PeerId) -> Option<PeerKey> {
        self.entries.iter().find(|(_, e)| e.adopted && e.peer == *peer).map(|(key, _)| *key)
    }

    fn adopt(&mut self, key: PeerKey) {
        let adopted = self.entries.values().filter(|e| e.adopted).count();
        if adopted >= self.max_peers {
            self.remove(key);
        } else if let Some(entry) = self.entries.get_mut(&key) {
            entry.adopted = true;
            self.events.push_back(MeshEvent::Opened(key, entry.peer));
        }
    }

    fn remove(&mut self, key: PeerKey) {
        if self.entries.remove(&key).is_some_and(|entry| entry.adopted) {
            self.events.push_back(MeshEvent::Closed(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: PeerId = PeerId(*b"-GP0001-aaaaaaaaaaaa");
    const HIGH: PeerId = PeerId(*b"-GP0001-zzzzzzzzzzzz");
    const BROWSER: PeerId = PeerId(*b"-PM0203-mmmmmmmmmmmm");

    fn adopted(links: &Links<&'static str>, peer: PeerId) -> Option<&'static str> {
        links.adopted(&peer).and_then(|key| links.sender(key)).copied()
    }

    #[test]
    fn two_of_our_own_keep_the_same_one_of_two_channels() {
        let now = Instant::now();
        for low_sees_its_own_first in [true, false] {
            let (mut low, mut high) = (Links::new(LOW, 15), Links::new(HIGH, 15));
            let at_low = [low.add(HIGH, LOW, "low's"), low.add(HIGH, HIGH, "high's")];
            let at_high = [high.add(LOW, LOW, "low's"), high.add(LOW, HIGH, "high's")];
            // The two may see the channels open in different order.
            let order = if low_sees_its_own_first { [0, 1] } else { [1, 0] };
            order.iter().for_each(|n| low.opened(now, at_low[*n]));
            order.iter().rev().for_each(|n| high.opened(now, at_high[*n]));
            assert_eq!((adopted(&low, HIGH), adopted(&high, LOW)), (Some("low's"), Some("low's")));
            assert_eq!((low.len(), high.len()), (1, 1));
        }
    }

    #[test]
    fn the_channel_that_a_browser_speaks_on_counts() {
        let now = Instant::now();
        let mut links = Links::new(LOW, 15);
        let (first, second) = (links.add(BROWSER, LOW, "first"), links.add(BROWSER, BROWSER, "second"));
        links.opened(now, first);
        links.opened(now, second);
        assert_eq!(adopted(&links, BROWSER), None);
        assert!(links.heard(second));
        assert!(!links.heard(first), "one is enough");
        assert_eq!(links.poll_event(), Some(MeshEvent::Opened(second, BROWSER)));
        assert_eq!(links.poll_event(), None);
    }

    #[test]
    fn a_silent_browser_is_adopted_after_a_while_and_may_still_choose() {
        let now = Instant::now();
        let mut links = Links::new(LOW, 15);
        let (first, second) = (links.add(BROWSER, LOW, "first"), links.add(BROWSER, BROWSER, "second"));
        links.opened(now, first);
        links.tick(now + Duration::from_secs(1));
        assert_eq!(links.poll_event(), None);
        links.tick(now + Duration::from_secs(2));
        assert_eq!(links.poll_event(), Some(MeshEvent::Opened(first, BROWSER)));
        assert!(links.heard(second));
        assert_eq!(links.poll_event(), Some(MeshEvent::Closed(first)));
        assert_eq!(links.poll_event(), Some(MeshEvent::Opened(second, BROWSER)));
    }

    #[test]
    fn there_are_never_more_peers_than_allowed() {
        let now = Instant::now();
        let mut links = Links::new(LOW, 2);
        for n in 0..5 {
            let mut peer = HIGH;
            peer.0[19] = b'a' + n;
            let key = links.add(peer, LOW, "");
            links.opened(now, key);
        }
        assert_eq!(links.len(), 2);
    }

    #[test]
    fn the_banned_are_not_wanted_and_not_remembered_for_ever() {
        let mut links = Links::new(LOW, 15);
        let key = links.add(HIGH, LOW, "");
        assert!(links.wants(&HIGH) && !links.wants(&LOW));
        links.ban(key);
        assert!(!links.wants(&HIGH));
        for n in 0..MAX_BANNED as u8 {
            let key = links.add(PeerId([n; 20]), LOW, "");
            links.ban(key);
        }
        assert!(links.wants(&HIGH));
    }
}
