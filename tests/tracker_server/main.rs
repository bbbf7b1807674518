// SPDX-License-Identifier: MPL-2.0

//! The tracker over real sockets, on the loopback interface only. Needs no GStreamer.

#[path = "../common/redis.rs"]
mod redis;
#[path = "../tracker/support.rs"]
mod support;

mod cluster;
mod edge_cases;
mod operating;
mod places;
mod program;
mod server;
mod tls;
