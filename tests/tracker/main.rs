// SPDX-License-Identifier: MPL-2.0

//! The tracker's client over real sockets, on the loopback interface only.

mod client;
#[path = "../common/proxy.rs"]
mod proxy;
mod support;
