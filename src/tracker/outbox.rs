// SPDX-License-Identifier: MPL-2.0

//! What waits to be sent on one socket.
//!
//! A channel would keep room for dozens of messages on every idle connection; this keeps none.
//! Frames are put one after another as they will go out, so that all that waits is one write.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::frames;

/// Most messages and bytes that wait for one viewer. A viewer who lets more pile up does not
/// read, or is too slow for its offers to be still of use.
const MAX_WAITING: usize = 128;
const MAX_WAITING_BYTES: usize = 256 * 1024;

/// Why an outbox takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The viewer does not read.
    Overflow,
    /// The server stops.
    Shutdown,
}

#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: Vec<u8>,
    messages: usize,
    closed: Option<Closed>,
}

impl Outbox {
    /// Adds a text message, unless the outbox is closed. One message too many closes it.
    pub fn push(&self, message: &str) {
        self.add(|frames| frames::write_text(message, frames));
    }

    /// Adds the answer to a ping.
    pub fn pong(&self, payload: &[u8]) {
        self.add(|frames| frames::write_pong(payload, frames));
    }

    fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.lock();
        if waiting.closed.is_some() {
            return;
        }
        write(&mut waiting.frames);
        waiting.messages += 1;
        if waiting.messages > MAX_WAITING || waiting.frames.len() > MAX_WAITING_BYTES {
            waiting.close(Closed::Overflow);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Ends the connection, whatever is waiting.
    pub fn close(&self, why: Closed) {
        self.lock().close(why);
        self.filled.notify_one();
    }

    /// Waits until there is something to send, and takes all of it. Nothing is lost when the
    /// future is dropped.
    pub async fn take(&self) -> Result<Vec<u8>, Closed> {
        loop {
            {
                let mut waiting = self.lock();
                if let Some(why) = waiting.closed {
                    return Err(why);
                }
                if !waiting.frames.is_empty() {
                    waiting.messages = 0;
                    return Ok(std::mem::take(&mut waiting.frames));
                }
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn close(&mut self, why: Closed) {
        self.closed.get_or_insert(why);
        self.frames = Vec::new();
        self.messages = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_falls_behind_is_closed() {
        let outbox = Outbox::default();
        outbox.push("a");
        outbox.push("b");
        assert_eq!(outbox.take().await.unwrap(), [0x81, 1, b'a', 0x81, 1, b'b']);
        for _ in 0..MAX_WAITING {
            outbox.push("c");
        }
        outbox.push("one too many");
        outbox.push("ignored");
        assert_eq!(outbox.take().await, Err(Closed::Overflow));
        outbox.close(Closed::Shutdown);
        assert_eq!(outbox.take().await, Err(Closed::Overflow));
    }

    #[tokio::test]
    async fn bytes_count_too() {
        let outbox = Outbox::default();
        for _ in 0..5 {
            outbox.push(&"x".repeat(MAX_WAITING_BYTES / 5 + 1));
        }
        assert_eq!(outbox.take().await, Err(Closed::Overflow));
    }
}
