// SPDX-License-Identifier: MPL-2.0

//! The six commands and their bodies: a type byte, then named fields.

use std::fmt::{self, Display, Formatter};
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

use super::WireError;
use super::fields::Fields;
use super::value::{MAX_STRING, put_ascii, put_ids, put_integer};
use crate::swarm::segment_id::SegmentId;

const ANNOUNCEMENT: u8 = 0;
const REQUEST: u8 = 1;
const DATA: u8 = 2;
const COMPLETED: u8 = 3;
const ABSENT: u8 = 4;
const CANCEL: u8 = 5;

/// How much of an announced segment its holder has so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub segment: SegmentId,
    /// Bytes from the segment's start, without a gap.
    pub bytes: u64,
}

/// Everything that a peer has; replaces its announcement before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// What can be asked for \[`l`\].
    pub loaded: Vec<SegmentId>,
    /// What the sender fetches over HTTP at present \[`p`\].
    pub http_loading: Vec<SegmentId>,
    /// What is still growing \[`h`\]: ours alone, unknown to p2p-media-loader. Written
    /// as text, `id:bytes,id:bytes`, because old decoders surely read past strings; what does not
    /// fit into 4095 bytes is left out, and what cannot be read is skipped. What is not in `loaded` too can be
    /// asked for by those who do without its size: it is not known yet.
    pub held: Vec<Held>,
    /// What somebody brings into the swarm, as the sender has heard, and it does not have yet \[`n`, news\]: ours
    /// alone, and written as text, `id,id`, like `held`.
    pub coming: Vec<SegmentId>,
}

/// One thing that a peer says. Field letters in brackets are those on the wire.
///
/// A transfer is named by segment and request id together, because browsers draw request ids at random
/// from 0..=999 and they collide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What the sender has; shared, as it goes to everybody alike.
    Announcement(Arc<Announcement>),
    /// Asks for a segment; replaces a request that is still being served.
    Request {
        segment: SegmentId,
        request_id: u64,
        /// Bytes that the asker has already \[`b`\].
        offset: u64,
    },
    /// Asks for a segment as soon as the peer gets it: a request that waits \[`w`\]. Ours alone. It takes the place
    /// of another such, but not of a request that is being served.
    Subscribe { segment: SegmentId, request_id: u64 },
    /// The header before a segment's bytes.
    Data {
        segment: SegmentId,
        request_id: u64,
        /// How many bytes follow \[`s`\]: the segment's size less the request's offset. None is ours alone, and
        /// the field is left out: nobody knows yet, and [`Command::Completed`] comes after the last.
        size: Option<u64>,
    },
    /// All bytes of the transfer have been sent.
    Completed { segment: SegmentId, request_id: u64 },
    /// The asked segment is not there.
    Absent { segment: SegmentId, request_id: u64 },
    /// The asker wants no more of this transfer. Bytes that were under way still arrive.
    Cancel { segment: SegmentId, request_id: u64 },
}

impl Command {
    pub(super) fn to_body(&self) -> Vec<u8> {
        let mut body = Body::default();
        match self {
            Self::Announcement(said) => body
                .kind(ANNOUNCEMENT)
                .ids(b'l', &said.loaded)
                .ids(b'p', &said.http_loading)
                .text(b'h', &joined(&said.held))
                .text(b'n', &joined(&said.coming)),
            Self::Request { segment, request_id, offset } => {
                let body = body.kind(REQUEST).segment(segment).number(b'r', *request_id);
                if *offset > 0 { body.number(b'b', *offset) } else { body }
            }
            Self::Subscribe { segment, request_id } => {
                body.kind(REQUEST).segment(segment).number(b'r', *request_id).number(b'w', 1)
            }
            Self::Data { segment, request_id, size } => {
                let body = body.kind(DATA).segment(segment);
                let body = if let Some(size) = size { body.number(b's', *size) } else { body };
                body.number(b'r', *request_id)
            }
            Self::Completed { segment, request_id } => {
                body.kind(COMPLETED).segment(segment).number(b'r', *request_id)
            }
            Self::Absent { segment, request_id } => {
                body.kind(ABSENT).segment(segment).number(b'r', *request_id)
            }
            Self::Cancel { segment, request_id } => {
                body.kind(CANCEL).segment(segment).number(b'r', *request_id)
            }
        };
        body.0
    }

    /// Reads a body; None for a type from the future.
    pub(super) fn from_body(body: &[u8]) -> Result<Option<Self>, WireError> {
        let (kind, rest) = body.split_first().ok_or(WireError::Empty)?;
        if *kind > CANCEL {
            return Ok(None);
        }
        let mut fields = Fields::read(rest)?;
        if *kind == ANNOUNCEMENT {
            return Ok(Some(Self::Announcement(Arc::new(Announcement {
                loaded: fields.ids(b'l')?,
                http_loading: fields.ids(b'p')?,
                held: fields.text(b'h').map(separated).unwrap_or_default(),
                coming: fields.text(b'n').map(separated).unwrap_or_default(),
            }))));
        }
        let (segment, request_id) = (fields.segment(b'i')?, fields.number(b'r')?);
        Ok(Some(match *kind {
            REQUEST if fields.optional_number(b'w').is_ok_and(|waits| waits > Some(0)) => {
                Self::Subscribe { segment, request_id }
            }
            REQUEST => {
                Self::Request { segment, request_id, offset: fields.optional_number(b'b')?.unwrap_or(0) }
            }
            DATA => Self::Data { segment, request_id, size: fields.optional_number(b's')? },
            COMPLETED => Self::Completed { segment, request_id },
            ABSENT => Self::Absent { segment, request_id },
            _ => Self::Cancel { segment, request_id },
        }))
    }
}

/// A body being written.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn kind(&mut self, kind: u8) -> &mut Self {
        self.0.push(kind);
        self
    }

    fn segment(&mut self, segment: &SegmentId) -> &mut Self {
        self.0.push(b'i');
        put_integer(&mut self.0, segment.0);
        self
    }

    fn number(&mut self, name: u8, number: u64) -> &mut Self {
        self.0.push(name);
        // Nothing real comes near: sizes and request ids stay far below 2^63.
        put_integer(&mut self.0, i64::try_from(number).unwrap_or(i64::MAX));
        self
    }

    /// Empty lists are left out, as browsers do.
    fn ids(&mut self, name: u8, ids: &[SegmentId]) -> &mut Self {
        if !ids.is_empty() {
            self.0.push(name);
            put_ids(&mut self.0, ids);
        }
        self
    }

    fn text(&mut self, name: u8, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.0.push(name);
            put_ascii(&mut self.0, text);
        }
        self
    }
}

/// As many entries as fit into a string.
fn joined(entries: &[impl Display]) -> String {
    let mut text = String::new();
    for entry in entries {
        let comma = if text.is_empty() { "" } else { "," };
        let entry = format!("{comma}{entry}");
        if text.len() + entry.len() > MAX_STRING {
            break;
        }
        text.push_str(&entry);
    }
    text
}

/// The entries that can be read.
fn separated<T: FromStr>(text: &str) -> Vec<T> {
    text.split(',').filter_map(|entry| entry.parse().ok()).collect()
}

impl Display for Held {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.bytes)
    }
}

impl FromStr for Held {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (segment, bytes) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self { segment: segment.parse()?, bytes: bytes.parse()? })
    }
}
