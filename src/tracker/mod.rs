// SPDX-License-Identifier: MPL-2.0

//! Floor 2 and up: the server that introduces viewers to each other.
//!
//! | module | question |
//! | --- | --- |
//! | [`swarms`] | Who is here, on which connection, and which offers are open? Pure. |
//! | `swarm` | The viewers of one stream, by network, and who has met whom. Pure. |
//! | [`choice`] | Who gets an offer? Pure. |
//! | `limits` | Is a connection talking too much? Pure. |
//! | [`server`] | HTTP and WebSocket in front of it |
//! | `connection` | One viewer's socket from its handshake to its end |
//! | `outbox` | What waits to be sent on one socket |
//!
//! The pure modules take the time as an argument and their randomness from a seed. They know
//! connections by number only, so that a test, a simulation or another node can stand behind it.

pub mod choice;
pub mod server;
pub mod swarms;

mod connection;
mod limits;
mod outbox;
mod swarm;
