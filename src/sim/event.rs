// SPDX-License-Identifier: MPL-2.0

//! What can happen to a viewer. Kept to 32 bytes: a world of a million viewers has hundreds of millions.

use std::sync::Arc;

use super::time::Micros;
use crate::swarm::{Announcement, Command, SegmentId};

/// One end of a channel: a slot of the viewer's, and how often the slot had been used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkEnd {
    pub generation: u16,
    pub slot: u8,
}

/// Something that happens to one viewer at one moment.
#[derive(Debug)]
pub struct Event {
    pub at: Micros,
    /// Tells apart what happens in the same microsecond; set by the queue.
    pub order: u32,
    /// The viewer's number.
    pub viewer: u32,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    Join,
    Leave,
    /// The moment that the viewer asked to be woken at, or an earlier one.
    Timer,
    /// Playback may have run dry.
    PlaybackDue,
    /// Time to tell the viewer where playback is.
    Tick,
    ReloadDue,
    /// A playlist has arrived.
    Playlist {
        newest: u32,
    },
    /// The time in which peers are waited for is over.
    SwarmPatienceOver,
    AnnounceDue,
    /// The tracker's response.
    Announced {
        swarm_size: u32,
        number: u32,
        /// Milliseconds.
        interval: u32,
    },
    /// The tracker passes on an offer.
    Offer {
        from: u32,
        offer: u32,
    },
    /// The tracker passes on an answer to an offer of ours.
    Answer {
        from: u32,
        end: LinkEnd,
    },
    /// A channel that we are the answerer of has come about; the other end is the offerer's.
    LinkOpen {
        from: u32,
        link: LinkEnd,
        theirs: LinkEnd,
    },
    /// The offerer's turn to see its channel open.
    LinkReady {
        link: LinkEnd,
    },
    /// No channel will come about, or it is no more.
    LinkClosed {
        link: LinkEnd,
    },
    HttpFirstByte {
        fetch: u32,
    },
    /// Bytes have come to the access link.
    HttpBytes {
        fetch: u32,
        len: u32,
    },
    /// They are through it.
    HttpDelivered {
        fetch: u32,
        len: u32,
    },
    HttpFailure {
        fetch: u32,
    },
    Message(Message),
    /// Segment bytes from a peer have come to the access link.
    Payload {
        link: LinkEnd,
        len: u32,
        polluted: bool,
    },
    /// They are through it.
    PayloadDelivered {
        link: LinkEnd,
        len: u32,
        polluted: bool,
    },
    /// The other end has them.
    Acknowledged {
        link: LinkEnd,
        len: u32,
    },
}

/// The receiver's end of the channel, and how far along it a message is.
#[derive(Clone, Copy, Debug)]
pub struct Via {
    generation: u16,
    slot: u8,
    /// It has waited for the bytes sent before it; what comes after it does not concern it.
    pub through: bool,
}

impl Via {
    pub fn link(self) -> LinkEnd {
        LinkEnd { generation: self.generation, slot: self.slot }
    }
}

/// A [`Command`] on a channel, in little space.
#[derive(Clone, Debug)]
pub enum Message {
    Announcement { via: Via, said: Arc<Announcement> },
    Request { via: Via, request_id: u16, segment: u32, offset: u32 },
    Subscribe { via: Via, request_id: u16, segment: u32 },
    Data { via: Via, request_id: u16, segment: u32, size: u32 },
    Completed { via: Via, request_id: u16, segment: u32 },
    Absent { via: Via, request_id: u16, segment: u32 },
    Cancel { via: Via, request_id: u16, segment: u32 },
}

const _: () = assert!(size_of::<Event>() == 32);

impl Message {
    /// `link` is the receiver's end.
    pub fn new(link: LinkEnd, command: &Command) -> Self {
        // Segments' numbers in a world begin at 10,000 or 0, and request ids are below 1000.
        let via = Via { generation: link.generation, slot: link.slot, through: false };
        let small = |segment: SegmentId, request_id: u64| (segment.0 as u32, request_id as u16);
        match *command {
            Command::Announcement(ref said) => Self::Announcement { via, said: said.clone() },
            Command::Request { segment, request_id, offset } => {
                let (segment, request_id) = small(segment, request_id);
                Self::Request { via, request_id, segment, offset: offset as u32 }
            }
            Command::Subscribe { segment, request_id } => {
                let (segment, request_id) = small(segment, request_id);
                Self::Subscribe { via, request_id, segment }
            }
            Command::Data { segment, request_id, size } => {
                let (segment, request_id) = small(segment, request_id);
                Self::Data { via, request_id, segment, size: size.map_or(u32::MAX, |size| size as u32) }
            }
            Command::Completed { segment, request_id } => {
                let (segment, request_id) = small(segment, request_id);
                Self::Completed { via, request_id, segment }
            }
            Command::Absent { segment, request_id } => {
                let (segment, request_id) = small(segment, request_id);
                Self::Absent { via, request_id, segment }
            }
            Command::Cancel { segment, request_id } => {
                let (segment, request_id) = small(segment, request_id);
                Self::Cancel { via, request_id, segment }
            }
        }
    }

    /// How it comes to the receiver.
    pub fn via(&mut self) -> &mut Via {
        match self {
            Self::Announcement { via, .. }
            | Self::Request { via, .. }
            | Self::Subscribe { via, .. }
            | Self::Data { via, .. }
            | Self::Completed { via, .. }
            | Self::Absent { via, .. }
            | Self::Cancel { via, .. } => via,
        }
    }

    pub fn into_command(self) -> Command {
        let large = |segment: u32, request_id: u16| (SegmentId(i64::from(segment)), u64::from(request_id));
        match self {
            Self::Announcement { said, .. } => Command::Announcement(said),
            Self::Request { request_id, segment, offset, .. } => {
                let (segment, request_id) = large(segment, request_id);
                Command::Request { segment, request_id, offset: u64::from(offset) }
            }
            Self::Subscribe { request_id, segment, .. } => {
                let (segment, request_id) = large(segment, request_id);
                Command::Subscribe { segment, request_id }
            }
            Self::Data { request_id, segment, size, .. } => {
                let (segment, request_id) = large(segment, request_id);
                let size = (size < u32::MAX).then_some(u64::from(size));
                Command::Data { segment, request_id, size }
            }
            Self::Completed { request_id, segment, .. } => {
                let (segment, request_id) = large(segment, request_id);
                Command::Completed { segment, request_id }
            }
            Self::Absent { request_id, segment, .. } => {
                let (segment, request_id) = large(segment, request_id);
                Command::Absent { segment, request_id }
            }
            Self::Cancel { request_id, segment, .. } => {
                let (segment, request_id) = large(segment, request_id);
                Command::Cancel { segment, request_id }
            }
        }
    }
}
