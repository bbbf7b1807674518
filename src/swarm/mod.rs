// SPDX-License-Identifier: MPL-2.0

//! Floor 1: who has it, and how do peers and trackers talk? Identities, the peers' wire commands
//! and the tracker's messages; pure.

pub mod ids;
pub mod tracker_messages;
