// SPDX-License-Identifier: MPL-2.0

//! How several nodes work as one tracker.
//!
//! Any node takes any viewer. What a node does with a message from another, and what it tells the
//! others, is decided in `swarms::abroad`; here is how that travels.

#[cfg(feature = "tracker")]
pub mod bus;
#[cfg(feature = "tracker")]
pub mod config;
#[cfg(feature = "tracker")]
pub(super) mod mailbox;
pub mod message;
