// SPDX-License-Identifier: MPL-2.0

//! The tokio runtime that all sessions of the process share.

use once_cell::sync::Lazy;
use tokio::runtime::{Builder, Runtime};

/// Two threads: enough that a busy session does not hold up another's data channels, few enough for a
/// kiosk's processor.
pub static RUNTIME: Lazy<Runtime> = Lazy::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("p2phls")
        .enable_all()
        .build()
        .expect("a process that cannot start threads cannot play anything")
});
