// SPDX-License-Identifier: MPL-2.0

//! Floor 3: the outside world: HTTP, data channels, the tracker's socket.
//!
//! [`cmcd`] is what HTTP servers are told of the player.
//!
//! The types of `reqwest`, `webrtc` and `tokio-tungstenite` stop here.

pub mod cmcd;
pub mod data_channel;
pub mod http;
pub mod proxy;
pub mod tls;
pub mod tracker_client;
