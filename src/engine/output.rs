// SPDX-License-Identifier: MPL-2.0

//! The way of a track's bytes from the session to the thread that pushes them downstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::runtime::RUNTIME;
use crate::manifest::Protection;

/// What a track has to push next.
#[derive(Clone, Debug)]
pub enum Item {
    /// A segment begins; its bytes follow as [`Item::Data`].
    Start(SegmentStart),
    /// The next bytes of the current segment.
    Data(Bytes),
    /// The current segment is whole.
    End,
    /// There is nothing to show from `position` for so long.
    Gap { position: Duration, duration: Duration },
    /// Nothing follows, the presentation has ended.
    Eos,
}

/// What is known of a segment before its bytes.
#[derive(Clone, Debug)]
pub struct SegmentStart {
    /// Position of the segment's start on the presentation's timeline. It may jump: after a seek, and on
    /// live when segments had to be left out.
    pub position: Duration,
    pub duration: Duration,
    /// The bytes do not continue those before: first segment, after a seek, a discontinuity, a skipped
    /// segment or a switch of variant.
    pub discontinuity: bool,
    /// The initialisation segment (fMP4), present whenever `discontinuity` is set and the format has one, and
    /// when it changes.
    pub init: Option<Bytes>,
    /// The time of the media at position zero, in nanoseconds, where the manifest says it; may be negative.
    pub media_zero: Option<i64>,
    /// EXT-X-DISCONTINUITY-SEQUENCE: where it is the same in two tracks, so is the clock of their media.
    pub discontinuity_sequence: u64,
    /// What comes before this position has been shown already, by another rendition.
    pub shown_until: Duration,
    /// What decryptors downstream have to know, where that is new.
    pub protections: Vec<Protection>,
    /// Its samples are encrypted, and somebody downstream has to decrypt them.
    pub encrypted: bool,
    /// It is a key frame alone, and what comes next does not follow it: it is shown at once.
    pub key_frame: bool,
}

#[cfg(test)]
impl SegmentStart {
    /// Nothing but a place.
    pub fn at(position: Duration, duration: Duration) -> Self {
        Self {
            position,
            duration,
            discontinuity: false,
            init: None,
            media_zero: None,
            discontinuity_sequence: 0,
            shown_until: Duration::ZERO,
            protections: Vec::new(),
            encrypted: false,
            key_frame: false,
        }
    }
}

/// Items that may wait to be pushed. Segments themselves wait in the session's store, so this is only
/// what keeps the pushing thread busy.
pub(super) const DEPTH: usize = 32;

/// The same for sound and subtitles: little, because what waits here of one language is heard before another.
pub(super) const SHALLOW: usize = 4;

/// The two ends of a track's way out, in which so many items may wait.
pub(super) fn channel(depth: usize) -> (TrackWriter, TrackReader) {
    let (sender, receiver) = mpsc::channel(depth);
    let generation = Arc::new(AtomicU64::new(0));
    let reader = TrackReader {
        receiver: tokio::sync::Mutex::new(receiver),
        interrupted: watch::Sender::new(false),
        generation: generation.clone(),
    };
    (TrackWriter { sender, generation: 0 }, reader)
}

/// An item, and after how many seeks it was sent.
type Stamped = (u64, Item);

/// The session's end.
pub(super) struct TrackWriter {
    sender: mpsc::Sender<Stamped>,
    generation: u64,
}

impl TrackWriter {
    /// What is sent from now on belongs to this seek.
    pub fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// Sends if there is room.
    pub fn try_send(&self, item: Item) -> Result<(), Full> {
        self.sender.try_send((self.generation, item)).map_err(|_| Full)
    }

    /// Sends when there is room.
    pub async fn send(&self, item: Item) {
        // An error means that the reader is gone, and with it the session: whoever sends is being ended.
        let _ = self.sender.send((self.generation, item)).await;
    }

    /// Another way in for what belongs to this seek.
    pub fn beside(&self, generation: u64) -> Self {
        Self { sender: self.sender.clone(), generation }
    }

    /// Waits until [`TrackWriter::try_send`] has a chance.
    pub async fn writable(&self) {
        // An error means that the reader is gone, and with it the session: whoever waits is being ended.
        if self.sender.reserve().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub fn has_room(&self) -> bool {
        self.sender.capacity() > 0
    }

    /// Nothing waits to be read.
    pub fn is_empty(&self) -> bool {
        self.sender.capacity() == self.sender.max_capacity()
    }
}

/// The reader has enough for now.
#[derive(Debug)]
pub(super) struct Full;

/// Nothing has come in the time that there was.
#[derive(Debug)]
pub struct Elapsed;

/// The reading end of a track, used by one thread at a time.
pub struct TrackReader {
    receiver: tokio::sync::Mutex<mpsc::Receiver<Stamped>>,
    interrupted: watch::Sender<bool>,
    generation: Arc<AtomicU64>,
}

impl TrackReader {
    /// Waits for the next item. None once [`TrackReader::interrupt`] was called or the session is gone.
    /// Must not be called from a task of the session's runtime.
    pub fn next(&self) -> Option<Item> {
        let mut interrupted = self.interrupted.subscribe();
        RUNTIME.block_on(async {
            tokio::select! {
                biased;
                _ = interrupted.wait_for(|interrupted| *interrupted) => None,
                item = self.receive() => item,
            }
        })
    }

    /// The same, but waits no longer than `patience`. The error is that nothing came.
    pub fn next_within(&self, patience: Duration) -> Result<Option<Item>, Elapsed> {
        let mut interrupted = self.interrupted.subscribe();
        RUNTIME.block_on(async {
            tokio::select! {
                biased;
                _ = interrupted.wait_for(|interrupted| *interrupted) => Ok(None),
                item = self.receive() => Ok(item),
                () = tokio::time::sleep(patience) => Err(Elapsed),
            }
        })
    }

    async fn receive(&self) -> Option<Item> {
        let mut receiver = self.receiver.lock().await;
        loop {
            let (generation, item) = receiver.recv().await?;
            if generation >= self.generation.load(Ordering::Acquire) {
                return Some(item);
            }
        }
    }

    /// Makes the present and all further calls of `next` return None until [`TrackReader::resume`].
    pub fn interrupt(&self) {
        self.interrupted.send_replace(true);
    }

    /// Whether `next` gives nothing at present.
    pub fn is_interrupted(&self) -> bool {
        *self.interrupted.borrow()
    }

    pub fn resume(&self) {
        self.interrupted.send_replace(false);
    }

    /// Drops everything that was sent before this seek.
    pub(super) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }
}
