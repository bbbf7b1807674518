// SPDX-License-Identifier: MPL-2.0

//! One variant or rendition that is played or is about to be: its segments, the viewer that decides where they
//! come from, and the swarm of those who watch the same.
//!
//! | file | holds |
//! | --- | --- |
//! | `fetching` | HTTP requests for segments |
//! | `servers` | where its playlist and with it its segments come from |
//! | `peers` | the swarm |
//! | `names`, `part_names` | what segments are called there |
//! | `parts` | the live edge in parts |
//! | `checking` | segments that peers had a hand in |

mod checking;
mod fetching;
mod names;
mod part_names;
mod parts;
mod peers;
mod servers;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use url::Url;

use super::fetcher::{self, FetchEvent, FetchTarget};
use super::follower::Bell;
use super::keys::Keys;
use super::mesh::{Mesh, MeshInput};
use super::soundness::Soundness;
use super::store::Store;
use super::{Config, P2pMode, SessionError};
use crate::format::Format;
use crate::manifest::{IDENTITY, Key, KeyMethod, PlacedSegment, Rendition, Timeline, Variant};
use crate::net::cmcd::Kind;
use crate::net::http::HttpClient;
use crate::swarm::client::peer_id_from_random;
use crate::swarm::wire::{self, Decoder};
use crate::swarm::{Announcement, PeerId, SegmentId};
use crate::switcher::Line;
use crate::switcher::meeting::Held;
use crate::viewer::{Action, FetchFailure, FetchId, Pace, PeerKey, SegmentSpec, Viewer, ViewerConfig};
use names::Names;
use parts::Early;

/// Tells the streams of a session apart; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// What becomes of requests, and of which stream.
pub type FetchEvents = mpsc::Sender<(StreamId, FetchEvent)>;

/// A variant or a rendition in play.
pub struct Stream {
    pub id: StreamId,
    config: Arc<Config>,
    /// Which of the presentation's variants; None for a bare media playlist and for renditions.
    pub index: Option<usize>,
    pub variant: Option<Variant>,
    /// Of the manifest that the stream is in.
    format: Format,
    pub rendition: Option<PlayedRendition>,
    /// Where the presentation has the playlist in use.
    pub address: Url,
    /// Where that came from.
    pub playlist_url: Url,
    /// What its segments hold.
    kind: Kind,
    pub timeline: Timeline,
    /// When it was taken.
    taken: Instant,
    /// Number of the last segment that is wanted, where another stream goes on after it.
    last: Option<i64>,
    /// The server has failed at what it had announced: it is asked for what it lists only.
    hints_failed: bool,
    pub viewer: Viewer,
    pub store: Store,
    fetches: HashMap<FetchId, Fetch>,
    events: FetchEvents,
    /// Why a segment could not be had.
    pub lost: BTreeMap<SegmentId, SessionError>,
    /// Why the last request for a segment failed, and which server was asked, as `moves` counts.
    last_errors: BTreeMap<SegmentId, (u32, SessionError)>,
    pub mesh: Option<Mesh>,
    decoders: HashMap<PeerKey, Decoder>,
    names: Names,
    /// What peers have said last, as they said it, where names are not numbers.
    said: HashMap<PeerKey, Arc<Announcement>>,
    soundness: Soundness,
    /// Segments whose check waits for their key.
    unchecked: Vec<SegmentId>,
    /// Wakes whoever keeps the playlist fresh.
    pub bell: Arc<Bell>,
    pub follower: Option<AbortHandle>,
    /// Where the playlist is to be had, the best place first.
    order: watch::Sender<Vec<Url>>,
    /// Other servers that have not been tried for the segment that is missing.
    untried: usize,
    /// Another one is tried for it.
    seeks_server: bool,
    /// Times that it has come from another server.
    moves: u32,
    pub swarm_size: Option<u64>,
    /// When the swarm was joined.
    joined: Option<Instant>,
}

/// An HTTP request for a segment.
struct Fetch {
    task: AbortHandle,
    /// The response has begun.
    answered: bool,
    /// It was made before what it is for was listed.
    early: Option<Early>,
    /// Until then it comes as the segment is made, whatever the line could carry.
    paced_until: Option<Instant>,
    /// Which server is asked, as [`Stream::moves`] counts.
    moves: u32,
}

impl Fetch {
    fn is_paced(&self, now: Instant) -> bool {
        self.paced_until.is_some_and(|until| now < until)
    }
}

/// Which variant or rendition a stream is.
pub struct Identity {
    pub index: Option<usize>,
    pub variant: Option<Variant>,
    /// Of the manifest that it is in.
    pub format: Format,
    pub rendition: Option<PlayedRendition>,
    /// Where the presentation has its playlist.
    pub address: Url,
    /// Where that came from.
    pub playlist_url: Url,
    /// What its segments hold.
    pub kind: Kind,
}

/// A rendition as its swarm is named by.
pub struct PlayedRendition {
    pub rendition: Rendition,
    /// CODECS of the first variant that plays its group, or else of the first.
    pub codecs: String,
}

impl Stream {
    /// # Errors
    ///
    /// There is nothing in it that can be played.
    pub fn new(
        id: StreamId,
        config: Arc<Config>,
        identity: Identity,
        timeline: Timeline,
        events: FetchEvents,
    ) -> Result<Self, SessionError> {
        let p2p = config.p2p != P2pMode::Off && !config.trackers.is_empty();
        let mut viewer = ViewerConfig::new(PeerId(peer_id_from_random(rand::random())));
        viewer.download_from_peers = p2p;
        viewer.upload_to_peers = p2p && config.p2p == P2pMode::On;
        viewer.max_upload_rate = (config.max_upload_rate > 0).then_some(config.max_upload_rate / 8);
        viewer.buffer = config.buffer_duration;
        viewer.max_memory = config.max_memory;
        viewer.retries = config.retries;
        let mut stream = Self {
            id,
            config,
            index: identity.index,
            variant: identity.variant,
            format: identity.format,
            rendition: identity.rendition,
            address: identity.address,
            playlist_url: identity.playlist_url,
            kind: identity.kind,
            timeline: timeline.clone(),
            taken: Instant::now(),
            last: None,
            hints_failed: false,
            viewer: Viewer::new(viewer),
            store: Store::default(),
            fetches: HashMap::new(),
            events,
            lost: BTreeMap::new(),
            last_errors: BTreeMap::new(),
            mesh: None,
            decoders: HashMap::new(),
            names: Names::default(),
            said: HashMap::new(),
            soundness: Soundness::default(),
            unchecked: Vec::new(),
            bell: Arc::default(),
            follower: None,
            order: watch::channel(Vec::new()).0,
            untried: 0,
            seeks_server: false,
            moves: 0,
            swarm_size: None,
            joined: None,
        };
        stream.take_timeline(timeline)?;
        Ok(stream)
    }

    /// Takes the first load of the playlist, or a reload.
    pub fn take_timeline(&mut self, mut timeline: Timeline) -> Result<(), SessionError> {
        if let Some((placed, key)) =
            timeline.segments().iter().find_map(|placed| unsupported(placed, self.format))
        {
            return Err(SessionError::Unsupported(format!(
                "{}: the segment is encrypted with {:?} for {}; only whole segments under AES-128 or AES-256 with a \
                 plain key can be decrypted, and only of fragmented MP4 are encrypted samples passed on",
                placed.segment.url, key.method, key.keyformat
            )));
        }
        if !timeline.is_live() && timeline.segments().is_empty() {
            return Err(SessionError::Format(format!("{}: there are no segments in it", self.playlist_url)));
        }
        let oldest = timeline.segments().front().map(|s| SegmentId(s.number));
        self.lost.retain(|segment, _| oldest.is_some_and(|oldest| *segment >= oldest));
        self.last_errors.retain(|segment, _| oldest.is_some_and(|oldest| *segment >= oldest));
        let early = self.said.iter().filter(|(_, said)| self.names.is_ahead(said));
        let early: Vec<PeerKey> = early.map(|(key, _)| *key).collect();
        self.fold_parts(&mut timeline);
        self.names.update(&timeline);
        let before = std::mem::replace(&mut self.timeline, timeline);
        self.taken = Instant::now();
        self.replace_pieces(&before);
        self.tell_segments();
        self.look_after_hints();
        early.into_iter().for_each(|key| self.hear_again(key));
        Ok(())
    }

    /// Wants nothing behind the segment of this number; None: everything.
    pub fn end_at(&mut self, last: Option<i64>) {
        self.last = last;
        self.tell_segments();
        if let Some(last) = last {
            self.viewer.handle_end(SegmentId(last));
        }
    }

    pub fn last(&self) -> Option<i64> {
        self.last
    }

    fn tell_segments(&mut self) {
        let wanted = |placed: &&PlacedSegment| self.last.is_none_or(|last| placed.number <= last);
        let specs = self.timeline.segments().iter().take_while(wanted);
        let specs = specs.filter(|s| s.is_playable() && !(s.is_hinted() && self.hints_failed));
        let specs = specs.map(|s| SegmentSpec {
            id: SegmentId(s.number),
            start: s.start,
            duration: s.segment.duration,
            size: s.segment.byte_range.map(|range| range.length),
            names: self.names.of(s),
            pace: s.segment.progress.map(|p| Pace { whole_at: self.taken + p.left, chunk: p.chunk }),
        });
        self.viewer.handle_segments(specs.collect(), self.timeline.is_live());
    }

    /// The output has come to this segment.
    pub fn come_to(&mut self, segment: SegmentId) {
        self.untried = self.other_servers();
        self.pass_on_to(segment);
    }

    /// The same where it is not the server's merit.
    pub fn pass_on_to(&mut self, segment: SegmentId) {
        self.viewer.handle_cursor(Instant::now(), segment);
    }

    /// The output goes to this segment, at the start, for a seek or for a switch.
    pub fn go_to(&mut self, number: i64) {
        self.untried = self.other_servers();
        self.try_again(number);
    }

    /// What could not be had may be had now.
    pub fn try_again(&mut self, number: i64) {
        self.viewer.handle_seek(Instant::now(), SegmentId(number));
        self.lost.clear();
    }

    /// What HTTP is doing for it.
    pub fn line(&self) -> Line {
        let now = Instant::now();
        let fetches = self.fetches.values().filter(|fetch| !fetch.is_paced(now));
        let line = |fetch: &Fetch| match (fetch.answered, &fetch.early) {
            (true, _) => Line::Receiving,
            (false, None) => Line::Waiting,
            // What is asked for early waits for the publisher, not for the line.
            (false, Some(_)) => Line::Idle,
        };
        fetches.map(line).fold(Line::Idle, Line::and)
    }

    /// Whether how fast a request's bytes come says something of the line.
    pub fn tells_of_line(&self, fetch: FetchId) -> bool {
        self.fetches.get(&fetch).is_none_or(|fetch| !fetch.is_paced(Instant::now()))
    }

    /// HTTP requests under way.
    pub fn requests(&self) -> u32 {
        self.fetches.len() as u32
    }

    /// How much of the segment of this number is held.
    pub fn held(&self, number: i64) -> Held {
        match self.viewer.readable(SegmentId(number)) {
            (_, true) => Held::Whole,
            (0, false) => Held::Nothing,
            _ => Held::Part,
        }
    }

    /// Carries out all that the viewer wants.
    pub fn settle(&mut self, http: &HttpClient, keys: &mut Keys) {
        while let Some(action) = self.viewer.poll_action(Instant::now()) {
            self.carry_out(action, http, keys);
        }
    }

    fn carry_out(&mut self, action: Action, http: &HttpClient, keys: &mut Keys) {
        match action {
            Action::Fetch { fetch, segment, offset } => {
                let Some(placed) = self.timeline.get(segment.0) else {
                    let failure = FetchFailure::NotFound;
                    return self.viewer.handle_http_failure(Instant::now(), fetch, failure);
                };
                let target =
                    FetchTarget { url: placed.segment.url.clone(), range: placed.segment.byte_range };
                log::debug!(target: "p2phls-engine", "segment {segment}: HTTP from byte {offset}");
                let early = placed.is_hinted().then(|| Early::new(&placed.segment.url));
                let paced_until = placed.segment.progress.map(|progress| self.taken + progress.left);
                let http = http.asking_for(self.object(placed));
                let task = fetcher::spawn(http, self.id, fetch, target, offset, self.events.clone());
                let moves = self.moves;
                self.fetches.insert(fetch, Fetch { task, answered: false, early, paced_until, moves });
            }
            Action::CancelFetch { fetch } => {
                if let Some(fetch) = self.fetches.remove(&fetch) {
                    fetch.task.abort();
                }
            }
            Action::Command { peer, command } => {
                log::trace!(target: "p2phls-swarm", "to {peer:?}: {command:?}");
                self.send_command(peer, command);
            }
            Action::Broadcast { command } => {
                log::trace!(target: "p2phls-swarm", "to all: {command:?}");
                let Some(command) = self.names.written(command) else { return };
                let messages = wire::encode(&command, wire::MAX_MESSAGE);
                let peers: Vec<PeerKey> = self.decoders.keys().copied().collect();
                for peer in peers {
                    for message in &messages {
                        self.send(peer, message.clone());
                    }
                }
            }
            Action::Upload { peer, segment, range } => self.upload(peer, segment, range),
            Action::Check { segment } => self.check(segment, keys),
            Action::Evict { segment } => {
                self.store.remove(segment);
                self.last_errors.remove(&segment);
            }
            Action::Unavailable { segment, failure } => self.lose(segment, failure),
            Action::ReloadPlaylist => self.bell.newer.notify_one(),
            Action::Drop { peer, reason } => {
                log::info!(target: "p2phls-swarm", "{peer:?} dropped: it {reason}");
                self.decoders.remove(&peer);
                if let Some(mesh) = &mut self.mesh {
                    mesh.ban(peer);
                }
            }
        }
    }

    /// Ends everything that the stream has started.
    pub fn stop(mut self) -> impl Future<Output = ()> {
        let fetches = self.fetches.values().map(|fetch| &fetch.task);
        self.follower.iter().chain(fetches).for_each(AbortHandle::abort);
        let mesh = self.mesh.take();
        async move {
            if let Some(mesh) = mesh {
                mesh.stop().await;
            }
        }
    }
}

/// A segment that can neither be decrypted nor passed on to whoever decrypts it, and its key. What is encrypted by samples
/// has to be fragmented MP4: nothing in GStreamer reads MPEG-TS or packed audio of that kind.
fn unsupported(placed: &PlacedSegment, format: Format) -> Option<(&PlacedSegment, &Key)> {
    let init = placed.segment.init.as_ref().and_then(|init| init.key.as_deref());
    let is_mp4 = format.is_mp4_throughout() || placed.segment.init.is_some();
    let refused = |key: &&Key| match &key.method {
        KeyMethod::Aes128 | KeyMethod::Aes256 => key.keyformat != IDENTITY || key.uri.is_none(),
        KeyMethod::SampleAes | KeyMethod::SampleAesCtr => !is_mp4,
        KeyMethod::Other(_) => true,
    };
    let key = [placed.segment.key.as_deref(), init].into_iter().flatten().find(refused)?;
    Some((placed, key))
}

/// The next thing that happens in a stream's swarm.
pub async fn next_in_swarm(stream: Option<&mut Stream>) -> (StreamId, MeshInput) {
    match stream {
        Some(Stream { id, mesh: Some(mesh), .. }) => (*id, mesh.next().await),
        _ => std::future::pending().await,
    }
}
