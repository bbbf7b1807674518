// SPDX-License-Identifier: MPL-2.0

//! Floor 1: who has it, and how do peers and trackers talk? Identities, the peers' wire commands
//! and the tracker's messages; pure.

pub mod client;
pub mod election_hash;
pub mod identity;
pub mod ids;
pub mod segment_id;
pub mod tracker_messages;
pub mod wire;
