// SPDX-License-Identifier: MPL-2.0

//! Floor 2: where does each byte come from? Estimates, election and the decision; pure.
//!
//! Everything is driven by *slack*: the time left until playback needs a segment. While there is
//! slack, peers deliver; when it runs down to what HTTP itself needs plus a margin, HTTP fetches
//! what is missing, so trouble among peers costs bytes and not playback. Which variant is played is
//! for [`adaptation`] to say, by the buffer and by what HTTP alone delivers ([`throughput`]); [`ladder`] says what there
//! is to choose from, and [`meeting`] where one variant goes on after another. From which CDN all of it comes
//! is for [`pathways`] to say.

pub mod adaptation;
pub mod decision;
pub mod election;
pub mod estimate;
pub mod key_frames;
pub mod ladder;
pub mod meeting;
pub mod pathways;
pub mod throughput;

pub use adaptation::{Adaptation, Limits, Standing, Step};
pub use decision::{Choice, HttpWork, PeerWork, Policy, Reason, Situation, decide, last_call};
pub use election::{Seat, Swarm, fetchers, seat, spread, term};
pub use estimate::{DeliveryEstimate, RateMeter};
pub use key_frames::Sweep;
pub use pathways::{Pathways, Steered};
pub use throughput::{HttpRate, Line, Throughput};
