// SPDX-License-Identifier: MPL-2.0

//! The tracker and its client over real sockets, on the loopback interface only.

mod client;
mod server;
mod support;
