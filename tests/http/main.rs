// SPDX-License-Identifier: MPL-2.0

//! HTTP against real servers: nginx for what a server does right, raw sockets for what it does wrong.

mod client;
mod files;
mod nginx;
#[path = "../common/proxy.rs"]
mod proxy;
mod raw;
mod segments;
mod session;
mod users;
