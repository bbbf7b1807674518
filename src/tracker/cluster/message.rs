// SPDX-License-Identifier: MPL-2.0

//! What the nodes of a cluster tell each other.
//!
//! JSON, because the load is small and operators can read it. A message from another node is believed as
//! far as it goes, since nobody else has Redis' password; but one that makes no sense is left out.

use serde::{Deserialize, Serialize};

use crate::swarm::ids::{InfoHash, OfferId, PeerId};
use crate::tracker::place::Place;

/// Longest message or sample in bytes: an offer of the longest kind, escaped, and some more.
pub const MAX_BYTES: usize = 64 * 1024;

/// Names a running node; chosen at random when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A viewer as other nodes see it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    pub id: PeerId,
    pub place: Place,
    pub seeder: bool,
    /// Links and those in the making.
    pub load: u16,
}

/// What a node says about one group of viewers of one swarm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Viewers of the whole swarm on that node, by kind.
    pub complete: u32,
    pub incomplete: u32,
    /// Some of the group who have room for links.
    pub viewers: Vec<Guest>,
}

/// Something for another node to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NodeMessage {
    /// Give one of your viewers this offer, if it may have another link.
    Offer { info_hash: InfoHash, to: PeerId, from: Guest, offer_id: OfferId, sdp: String },
    /// One of mine has answered the offer of one of yours.
    Answer { info_hash: InfoHash, by: PeerId, to: PeerId, offer_id: OfferId, sdp: String },
    /// That answer has come: you need not send it again.
    Heard(AnswerKey),
    /// A viewer of mine is gone: its links are, too.
    Left { info_hash: InfoHash, peer_id: PeerId },
    /// A viewer of yours has come to me: its socket with you is a dead one.
    Moved { info_hash: InfoHash, peer_id: PeerId },
}

/// Which answer: whose, and to which offer of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerKey {
    pub info_hash: InfoHash,
    pub by: PeerId,
    pub to: PeerId,
    pub offer_id: OfferId,
}

impl NodeMessage {
    /// None if it is no answer.
    pub fn answer_key(&self) -> Option<AnswerKey> {
        match *self {
            Self::Answer { info_hash, by, to, offer_id, .. } => {
                Some(AnswerKey { info_hash, by, to, offer_id })
            }
            _ => None,
        }
    }
}

/// A message and who sent it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub from: NodeId,
    pub message: NodeMessage,
}

/// Reads what another node wrote; None if it makes no sense.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

/// Writes for another node. Ids, numbers and strings always have a JSON form.
pub fn write(what: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(what).unwrap_or_default()
}
