// SPDX-License-Identifier: MPL-2.0

//! Floor 2 and up: the server that introduces viewers to each other.
//!
//! | module | question |
//! | --- | --- |
//! | [`swarms`] | Who is here, on which connection, and which offers are open? Pure. |
//! | `swarm` | The viewers of one stream, by nearness, and who has met whom. Pure. |
//! | `choice` | Who gets an offer? Pure. |
//! | [`cluster`] | How do several nodes work as one? |
//! | [`place`] | Where is a viewer, and how near to another? Pure. |
//! | [`geo`] | Where is the viewer behind an address? Reads files. |
//! | [`access`] | Who may use this tracker, and for which swarms? |
//! | `limits` | Is a connection talking too much? Pure. |
//! | [`server`] | Listens, lets connections in, and keeps house |
//! | `handshake` | The HTTP part of a connection, and the pages for operators |
//! | `connection` | One viewer's socket from its handshake to its end |
//! | `frames` | WebSocket frames as a server reads and writes them. Pure. |
//! | `outbox` | What waits to be sent on one socket |
//! | `shared` | What all connections share |
//! | `dashboard` | The page for operators |
//! | [`tls`], `metrics` | Certificates; what Prometheus sees |
//! | [`options`] | The command line, the environment and the configuration file |
//!
//! The pure modules take the time as an argument and their randomness from a seed. They know
//! connections by number only, so that a test, a simulation or another node can stand behind it.

mod choice;
pub mod cluster;
pub mod place;
// The simulator has one node and no operators.
#[cfg_attr(not(feature = "tracker"), allow(dead_code))]
mod swarm;
#[cfg_attr(not(feature = "tracker"), allow(dead_code))]
pub mod swarms;

#[cfg(feature = "tracker")]
pub mod access;
#[cfg(feature = "tracker")]
mod connection;
#[cfg(feature = "tracker")]
mod dashboard;
#[cfg(feature = "tracker")]
mod frames;
#[cfg(feature = "tracker")]
pub mod geo;
#[cfg(feature = "tracker")]
mod handshake;
#[cfg(feature = "tracker")]
mod limits;
#[cfg(feature = "tracker")]
mod metrics;
#[cfg(feature = "tracker")]
pub mod options;
#[cfg(feature = "tracker")]
mod outbox;
#[cfg(feature = "tracker")]
pub mod server;
#[cfg(feature = "tracker")]
mod shared;
#[cfg(feature = "tracker")]
pub mod tls;
