// SPDX-License-Identifier: MPL-2.0

//! One peer's state: what it says it holds, and the one transfer that each direction may have.
//!
//! The rules are those of p2p-media-loader's peer protocol: a requester asks one segment at a time,
//! an uploader serves one request at a time, and a new request replaces the one being served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Announcement, Client, Command, PeerId, SegmentId};

/// What we asked of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    pub segment: SegmentId,
    pub request_id: u64,
    /// Offset of the first byte asked for.
    pub offset: u64,
    /// The peer has said that bytes will follow.
    pub answered: bool,
    /// How many; None: it does not know yet either.
    pub size: Option<u64>,
    pub received: u64,
}

/// What a peer asked of us.
#[derive(Clone, Copy, Debug)]
pub struct Upload {
    pub segment: SegmentId,
    pub request_id: u64,
    /// Offset of the next byte to send.
    pub next: u64,
    /// Offset behind the last; None while that is not known.
    pub end: Option<u64>,
}

/// A segment that one side will send the other as soon as it gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub segment: SegmentId,
    pub request_id: u64,
}

/// What a command from the peer means to the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The peer's holdings have changed.
    Announced,
    /// The peer asks for a segment: [`Peer::upload`] says which.
    Requested,
    /// The peer wants a segment as soon as we get it: [`Peer::subscriber`] says which.
    Subscribed,
    /// The peer sends `size` bytes, all there are, of the segment that we subscribed to.
    Pushed { segment: SegmentId, size: Option<u64> },
    /// The peer wants no more of what it asked for.
    Cancelled,
    /// The peer will send `size` bytes of what we asked for; None: up to where the segment ends.
    Header { segment: SegmentId, offset: u64, size: Option<u64> },
    /// All bytes asked for have come.
    Completed { segment: SegmentId },
    /// The same, of a segment of which that tells the size.
    Ended { segment: SegmentId, total: u64 },
    /// The peer does not have what we asked for.
    Absent { segment: SegmentId },
    /// Nothing to do.
    Nothing,
}

/// The peer broke the protocol and is not to be trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("the peer sent more bytes than it had announced")]
    TooManyBytes,
    #[error("the peer completed a transfer with bytes missing")]
    TooFewBytes,
}

/// One peer with an open channel.
#[derive(Debug)]
pub struct Peer {
    pub id: PeerId,
    pub client: Client,
    /// What it has said, as it came: everybody whom it was sent to has the same one.
    said: Arc<Announcement>,
    /// The newest segment of which it has said anything: most that is looked for is newer.
    newest: Option<SegmentId>,
    /// Of `said.loaded`, what does not count until it says it again.
    doubts: Vec<(SegmentId, Doubt)>,
    /// It has said at least once what it holds, so it serves others.
    announced: bool,
    // Few peers are at work at a time, so these do not lie with the rest.
    pub download: Option<Box<Download>>,
    pub upload: Option<Box<Upload>>,
    /// Ours to the peer.
    pub subscription: Option<Subscription>,
    /// The peer's to us.
    pub subscriber: Option<Subscription>,
    next_request_id: u64,
    /// Requests without progress since the last that worked.
    pub failures: u32,
    /// Times it has said Absent since the last request that worked.
    pub refusals: u32,
    /// Do not ask again before.
    pub resting_until: Option<Instant>,
}

/// Why something that a peer has said does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It has said Absent: it may have it all the same.
    Refused,
    /// It has brought nothing.
    Failed,
}

/// Says that a peer holds all there is of a segment.
pub const WHOLE: u64 = u64::MAX;

/// Request ids of p2p-media-loader are below 1000; larger ones would be legal, these are known to work.
const REQUEST_IDS: u64 = 1000;

impl Peer {
    pub fn new(id: PeerId) -> Self {
        Self {
            id,
            client: Client::from_peer_id(&id.0),
            said: Arc::default(),
            newest: None,
            doubts: Vec::new(),
            announced: false,
            download: None,
            upload: None,
            subscription: None,
            subscriber: None,
            next_request_id: 0,
            failures: 0,
            refusals: 0,
            resting_until: None,
        }
    }

    /// What we asked of it.
    pub fn download(&self) -> Option<Download> {
        self.download.as_deref().copied()
    }

    /// What it asked of us.
    pub fn upload(&self) -> Option<Upload> {
        self.upload.as_deref().copied()
    }

    /// How many bytes of `segment` the peer has said it holds, from the front; [`WHOLE`] for all of them, 0
    /// for none.
    pub fn held(&self, segment: SegmentId) -> u64 {
        if !self.lists(segment) || self.doubts.iter().any(|(id, _)| *id == segment) {
            return 0;
        }
        self.said.held.iter().rfind(|held| held.segment == segment).map_or(WHOLE, |held| held.bytes)
    }

    /// The peer has said that it holds some of `segment`, or is fetching it over HTTP.
    pub fn knows(&self, segment: SegmentId) -> bool {
        self.lists(segment) && !self.doubts.contains(&(segment, Doubt::Failed)) || self.is_fetching(segment)
    }

    /// The peer has said that it is fetching `segment` over HTTP.
    pub fn is_fetching(&self, segment: SegmentId) -> bool {
        self.has_come_to(segment) && self.said.http_loading.binary_search(&segment).is_ok()
    }

    /// The peer has said that somebody holds or fetches `segment`, itself or another.
    pub fn mentions(&self, segment: SegmentId) -> bool {
        self.knows(segment) || self.has_come_to(segment) && self.said.coming.binary_search(&segment).is_ok()
    }

    /// The peer has said at least once what it holds.
    pub fn has_announced(&self) -> bool {
        self.announced
    }

    /// What it said it holds is of no use any more.
    pub fn forget_holdings(&mut self) {
        self.said = Arc::default();
        self.newest = None;
        self.doubts.clear();
    }

    /// It says that it has some of it.
    fn lists(&self, segment: SegmentId) -> bool {
        self.has_come_to(segment)
            && (self.said.loaded.binary_search(&segment).is_ok()
                || self.said.held.iter().any(|held| held.segment == segment))
    }

    /// It has said something of `segment` or of one after it.
    fn has_come_to(&self, segment: SegmentId) -> bool {
        self.newest.is_some_and(|newest| newest >= segment)
    }

    fn doubt(&mut self, segment: SegmentId, doubt: Doubt) {
        if self.lists(segment) && !self.doubts.contains(&(segment, doubt)) {
            self.doubts.push((segment, doubt));
        }
    }

    /// The newest segment it has anything to do with.
    pub fn frontier(&self) -> Option<SegmentId> {
        self.newest
    }

    /// The peer can be expected to fetch `segment` for the swarm if it is elected: it ranks viewers as we do,
    /// serves others, and is about as far in the stream.
    pub fn is_elector(&self, segment: SegmentId) -> bool {
        const NEAR: i64 = 2;
        self.client.takes_part_in_election()
            && self.announced
            && self.frontier().is_some_and(|newest| newest.0.saturating_add(NEAR) >= segment.0)
    }

    /// The peer can be asked for something now.
    pub fn is_free(&self, now: Instant) -> bool {
        self.download.is_none() && self.resting_until.is_none_or(|until| until <= now)
    }

    /// Asks for `segment` from `offset` on.
    pub fn request(&mut self, segment: SegmentId, offset: u64) -> Command {
        let request_id = self.new_request_id();
        let download = Download { segment, request_id, offset, answered: false, size: None, received: 0 };
        self.download = Some(Box::new(download));
        Command::Request { segment, request_id, offset }
    }

    /// Asks for `segment` as soon as the peer gets it.
    pub fn subscribe(&mut self, segment: SegmentId) -> Command {
        let request_id = self.new_request_id();
        self.subscription = Some(Subscription { segment, request_id });
        Command::Subscribe { segment, request_id }
    }

    /// Whether we have subscribed to `segment` here.
    pub fn subscribes_to(&self, segment: SegmentId) -> bool {
        self.subscription.is_some_and(|ours| ours.segment == segment)
    }

    /// Takes back a subscription to `segment`.
    pub fn unsubscribe(&mut self, segment: SegmentId) -> Option<Command> {
        let Subscription { request_id, .. } = self.subscription.take_if(|ours| ours.segment == segment)?;
        Some(Command::Cancel { segment, request_id })
    }

    /// Serves the peer's subscription with the `size` bytes of the segment, if nothing else is being served.
    pub fn push(&mut self, size: Option<u64>) -> Option<Command> {
        if self.upload.is_some() {
            return None;
        }
        let Subscription { segment, request_id } = self.subscriber.take()?;
        self.upload = Some(Box::new(Upload { segment, request_id, next: 0, end: size }));
        Some(Command::Data { segment, request_id, size })
    }

    fn new_request_id(&mut self) -> u64 {
        let request_id = self.next_request_id;
        self.next_request_id = (request_id + 1) % REQUEST_IDS;
        request_id
    }

    /// Gives up what was asked for. Bytes still on their way are dropped by [`Peer::payload`].
    pub fn cancel(&mut self) -> Option<Command> {
        let download = self.download.take()?;
        Some(Command::Cancel { segment: download.segment, request_id: download.request_id })
    }

    /// The request came to nothing: the peer rests for a while that grows with each failure in a row.
    /// An absent or silent segment is not asked for again until the peer announces it anew.
    pub fn note_failure(&mut self, now: Instant, segment: SegmentId) {
        self.failures += 1;
        self.doubt(segment, Doubt::Failed);
        let rest = Duration::from_millis(250) * 2u32.saturating_pow(self.failures.min(5));
        self.resting_until = Some(now + rest);
    }

    /// The peer does not hold what it was asked for, or has no time for us: it may well at its next
    /// announcement, which is waited for; so often in a row is odd, though.
    pub fn note_refusal(&mut self, now: Instant, segment: SegmentId) {
        const USUAL: u32 = 3;
        self.refusals += 1;
        self.doubt(segment, Doubt::Refused);
        if self.refusals > USUAL {
            let rest = Duration::from_millis(100) * 2u32.pow((self.refusals - USUAL).min(6));
            self.resting_until = Some(now + rest);
        }
    }

    pub fn note_success(&mut self) {
        self.failures = 0;
        self.refusals = 0;
        self.resting_until = None;
    }

    /// Takes a command from the peer.
    pub fn handle(&mut self, command: Command) -> Result<Notice, Violation> {
        Ok(match command {
            Command::Announcement(said) => {
                self.take_announcement(said);
                Notice::Announced
            }
            Command::Request { segment, request_id, offset } => {
                self.upload = Some(Box::new(Upload { segment, request_id, next: offset, end: None }));
                Notice::Requested
            }
            Command::Subscribe { segment, request_id } => {
                self.subscriber = Some(Subscription { segment, request_id });
                Notice::Subscribed
            }
            Command::Cancel { segment, request_id } => {
                self.subscriber.take_if(|theirs| *theirs == Subscription { segment, request_id });
                if self.upload().is_some_and(|upload| upload.request_id == request_id) {
                    self.upload = None;
                }
                Notice::Cancelled
            }
            Command::Data { segment, request_id, size } => self.take_header(segment, request_id, size),
            Command::Completed { segment, request_id } => match self.download() {
                Some(d) if (d.segment, d.request_id) == (segment, request_id) => {
                    self.download = None;
                    match d.size {
                        None if d.answered => {
                            Notice::Ended { segment, total: d.offset.saturating_add(d.received) }
                        }
                        Some(size) if size == d.received => Notice::Completed { segment },
                        _ => return Err(Violation::TooFewBytes),
                    }
                }
                _ => Notice::Nothing,
            },
            Command::Absent { segment, request_id } => match self.download() {
                Some(d) if (d.segment, d.request_id) == (segment, request_id) => {
                    self.download = None;
                    Notice::Absent { segment }
                }
                _ => {
                    self.subscription.take_if(|ours| *ours == Subscription { segment, request_id });
                    Notice::Nothing
                }
            },
        })
    }

    /// The peer begins to send something. It sends one thing at a time.
    fn take_header(&mut self, segment: SegmentId, request_id: u64, size: Option<u64>) -> Notice {
        let subscription = self.subscription.take_if(|ours| *ours == Subscription { segment, request_id });
        match &mut self.download {
            Some(d) if (d.segment, d.request_id) == (segment, request_id) && !d.answered => {
                (d.answered, d.size) = (true, size);
                Notice::Header { segment, offset: d.offset, size }
            }
            // A request of ours that we have taken back since has crossed with what the peer sent us unasked, and
            // replaced it: the bytes that follow are no part of that.
            Some(d) if d.answered => {
                let segment = d.segment;
                self.download = None;
                Notice::Absent { segment }
            }
            // What was asked for meanwhile takes the place of what we subscribed to.
            Some(_) => Notice::Nothing,
            None if subscription.is_some() => {
                let download = Download { segment, request_id, offset: 0, answered: true, size, received: 0 };
                self.download = Some(Box::new(download));
                Notice::Pushed { segment, size }
            }
            None => Notice::Nothing,
        }
    }

    fn take_announcement(&mut self, mut said: Arc<Announcement>) {
        // Browsers sort them, and so do we; nobody else has to.
        let lists = [&said.loaded, &said.http_loading, &said.coming];
        if !lists.iter().all(|ids| ids.is_sorted()) {
            let said = Arc::make_mut(&mut said);
            said.loaded.sort_unstable();
            said.http_loading.sort_unstable();
            said.coming.sort_unstable();
        }
        let Announcement { loaded, http_loading, coming, held } = &*said;
        let listed = [loaded, http_loading, coming].into_iter().filter_map(|ids| ids.last().copied());
        self.newest = listed.chain(held.iter().map(|held| held.segment)).max();
        self.announced = true;
        self.said = said;
        self.doubts.clear();
    }

    /// Takes note of `len` payload bytes. Gives the segment and offset they belong to, or None for what
    /// is left of a transfer that was given up.
    pub fn payload(&mut self, len: u64) -> Result<Option<(SegmentId, u64)>, Violation> {
        let Some(download) = &mut self.download else { return Ok(None) };
        if !download.answered {
            return Ok(None);
        }
        let at = download.offset.saturating_add(download.received);
        download.received = download.received.saturating_add(len);
        if download.size.is_some_and(|size| download.received > size) {
            return Err(Violation::TooManyBytes);
        }
        Ok(Some((download.segment, at)))
    }
}

#[cfg(test)]
mod tests;
