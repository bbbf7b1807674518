// SPDX-License-Identifier: MPL-2.0

//! One viewer in the world: the real [`Viewer`], and what its surroundings know of it.

use super::event::LinkEnd;
use super::playback::Playback;
use super::population::Manner;
use super::setting::Setting;
use super::time::{Micros, bytes_per_second, from_seconds};
use super::window::Window;
use crate::viewer::{PeerKey, Viewer, ViewerConfig};

#[derive(Debug)]
pub struct Node {
    pub id: u32,
    pub manner: Manner,
    pub viewer: Viewer,
    pub playback: Playback,
    /// The segment that goes out next; None before the playlist is there.
    pub cursor: Option<u32>,
    /// The first segment from there on that is not whole.
    pub whole: u32,
    /// Newest segment of the playlist loaded last.
    pub newest: u32,
    pub reload: Reload,
    pub links: Vec<Link>,
    pub fetches: Vec<Fetch>,
    /// Segments in which there are wrong bytes.
    pub polluted: Vec<u32>,
    /// Peers that have misbehaved.
    pub banned: Vec<u32>,
    pub announcing: Announcing,
    /// When the next [`What::Timer`](super::event::What::Timer) comes that counts.
    pub timer: Micros,
    /// The same for [`What::PlaybackDue`](super::event::What::PlaybackDue).
    pub playback_due: Micros,
    /// Segments that could not be had.
    pub skipped: u32,
}

/// When the playlist is loaded again.
#[derive(Clone, Copy, Debug)]
pub struct Reload {
    /// When the last request was made.
    pub asked: Micros,
    pub under_way: bool,
    /// Somebody knows of newer segments.
    pub nudged: bool,
    /// When the next [`What::ReloadDue`](super::event::What::ReloadDue) comes that counts.
    pub due: Micros,
}

/// When the tracker hears of us again.
#[derive(Clone, Copy, Debug)]
pub struct Announcing {
    /// When it last did.
    pub asked: Micros,
    pub due: Micros,
    pub swarm_size: Option<u32>,
    /// The swarm is still being waited for.
    pub patience: bool,
    pub offers: u32,
}

/// An HTTP request under way.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    pub id: u32,
    pub segment: u32,
    /// Offset of the next byte that it brings.
    pub next: u64,
    /// Offset of the next byte that the CDN sends.
    pub sent: u64,
    /// The CDN waits for bytes to be acknowledged.
    pub stopped: bool,
    pub total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Free,
    Connecting,
    Open,
}

/// One end of a channel to a peer.
#[derive(Clone, Debug)]
pub struct Link {
    pub state: LinkState,
    pub generation: u16,
    pub peer: u32,
    pub theirs: LinkEnd,
    pub latency: Micros,
    /// When the last byte handed over so far is at the other end.
    pub arrives: Micros,
    /// When the last byte that has come from there so far is through our access link.
    pub delivers: Micros,
    pub window: Window,
    /// What tests want to know of it.
    #[cfg(test)]
    pub seen: super::shard::witness::Seen,
}

impl Node {
    pub fn new(setting: &Setting, id: u32, now: Micros) -> Self {
        let person = setting.population.person(id);
        let p2p = setting.options.p2p;
        let settings = &setting.scenario.viewer;
        let uploads = person.manner != Manner::Leech && setting.population.household(id).up > 0.0;
        let mut config = ViewerConfig::new(setting.peer_id(id));
        config.download_from_peers = p2p;
        config.upload_to_peers = p2p && uploads;
        config.max_upload_rate =
            (settings.max_upload > 0.0).then(|| bytes_per_second(settings.max_upload) as u64);
        config.upload_turn = setting.scenario.chunk;
        config.buffer = std::time::Duration::from_secs_f64(settings.buffer);
        config.max_memory = settings.memory << 20;
        Self {
            id,
            manner: person.manner,
            viewer: Viewer::new(config),
            playback: Playback::new(now, from_seconds(settings.preroll)),
            cursor: None,
            whole: 0,
            newest: 0,
            reload: Reload { asked: now, under_way: true, nudged: false, due: Micros::MAX },
            links: Vec::new(),
            fetches: Vec::new(),
            polluted: Vec::new(),
            banned: Vec::new(),
            announcing: Announcing {
                asked: now,
                due: Micros::MAX,
                swarm_size: None,
                patience: p2p,
                offers: 0,
            },
            timer: Micros::MAX,
            playback_due: Micros::MAX,
            skipped: 0,
        }
    }

    /// Channels open and in the making.
    pub fn links_in_use(&self) -> usize {
        self.links.iter().filter(|link| link.state != LinkState::Free).count()
    }

    pub fn is_linked_to(&self, peer: u32) -> bool {
        self.links.iter().any(|link| link.state != LinkState::Free && link.peer == peer)
    }

    /// Takes a free slot for a channel to `peer`.
    pub fn add_link(&mut self, peer: u32, theirs: LinkEnd, latency: Micros) -> LinkEnd {
        let slot = self.links.iter().position(|link| link.state == LinkState::Free).unwrap_or_else(|| {
            self.links.push(Link::free());
            self.links.len() - 1
        });
        let link = &mut self.links[slot];
        let generation = link.generation.wrapping_add(1);
        *link = Link { state: LinkState::Connecting, generation, peer, theirs, latency, ..Link::free() };
        LinkEnd { generation, slot: slot as u8 }
    }

    /// The channel at this end, unless it is no more.
    pub fn link(&mut self, end: LinkEnd) -> Option<&mut Link> {
        let link = self.links.get_mut(usize::from(end.slot))?;
        (link.state != LinkState::Free && link.generation == end.generation).then_some(link)
    }

    /// The soonest the tracker may be asked again.
    pub fn may_announce_at(&self) -> Micros {
        self.announcing.asked + MIN_ANNOUNCE_INTERVAL
    }

    /// Fewer than half of the peers that there could be are left.
    pub fn is_lonely(&self, max_peers: usize) -> bool {
        let others = self.announcing.swarm_size.map_or(0, |size| size.saturating_sub(1)) as usize;
        self.links_in_use() * 2 < others.min(max_peers)
    }
}

/// Shortest time between announces, as in the element.
pub const MIN_ANNOUNCE_INTERVAL: Micros = 10_000_000;

/// A viewer waits so long for its swarm to form, as in the element.
pub fn swarm_patience() -> Micros {
    from_seconds(8.0)
}

impl Link {
    fn free() -> Self {
        Self {
            state: LinkState::Free,
            generation: 0,
            peer: 0,
            theirs: LinkEnd { generation: 0, slot: 0 },
            latency: 0,
            arrives: 0,
            delivers: 0,
            window: Window::default(),
            #[cfg(test)]
            seen: Default::default(),
        }
    }
}

/// The name by which a viewer knows a channel.
pub fn key(end: LinkEnd) -> PeerKey {
    PeerKey(u64::from(end.generation) << 8 | u64::from(end.slot))
}

/// The channel that a viewer means.
pub fn end(key: PeerKey) -> LinkEnd {
    LinkEnd { generation: (key.0 >> 8) as u16, slot: key.0 as u8 }
}
