// SPDX-License-Identifier: MPL-2.0

//! Floor 1: who has it, and how do peers and trackers talk? Identities, the peers' wire commands
//! and the tracker's messages; pure.

pub mod client;
pub mod election_hash;
pub mod identity;
pub mod ids;
pub mod peer;
pub mod segment_id;
pub mod tracker_messages;
pub mod wire;

pub use client::Client;
pub use election_hash::election_score;
pub use ids::{InfoHash, PeerId};
pub use peer::{Notice, Peer, Violation, WHOLE};
pub use segment_id::SegmentId;
pub use wire::{Announcement, Command, Held};
