// SPDX-License-Identifier: MPL-2.0

//! What waits to go to other nodes.
//!
//! Messages that could not be delivered, because Redis is away or because their node has not
//! subscribed again, are kept for as long as they are of use. Nothing is acknowledged, so one may go
//! out twice; the receiver takes it once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::message::{NodeId, NodeMessage};

/// Most letters that wait: a few seconds of a storm, some 15 MB. The oldest make room.
const MAX_LETTERS: usize = 8192;
/// Age at which an offer or an answer is of no use to a browser any more.
const OFFER_AGE: Duration = Duration::from_secs(50);
/// Of other messages, which keep the counts of links right.
const NEWS_AGE: Duration = Duration::from_secs(600);

/// A message under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    pub to: NodeId,
    pub message: NodeMessage,
    pub written: Instant,
}

impl Letter {
    fn is_stale(&self, now: Instant) -> bool {
        let age = match self.message {
            NodeMessage::Offer { .. } | NodeMessage::Answer { .. } => OFFER_AGE,
            NodeMessage::Left { .. } | NodeMessage::Moved { .. } => NEWS_AGE,
        };
        now.saturating_duration_since(self.written) > age
    }
}

#[derive(Debug, Default)]
pub struct Mailbox {
    letters: Mutex<VecDeque<Letter>>,
    filled: Notify,
}

impl Mailbox {
    pub fn post(&self, messages: impl IntoIterator<Item = (NodeId, NodeMessage)>, now: Instant) {
        let mut letters = self.lock();
        letters.extend(messages.into_iter().map(|(to, message)| Letter { to, message, written: now }));
        let surplus = letters.len().saturating_sub(MAX_LETTERS);
        letters.drain(..surplus);
        drop(letters);
        self.filled.notify_one();
    }

    /// Puts back what could not be delivered.
    pub fn put_back(&self, mut undelivered: Vec<Letter>) {
        let mut letters = self.lock();
        // The newest are worth the most.
        let surplus = (undelivered.len() + letters.len()).saturating_sub(MAX_LETTERS).min(undelivered.len());
        for letter in undelivered.drain(surplus..).rev() {
            letters.push_front(letter);
        }
    }

    /// Takes the oldest, at most so many, and forgets what is of no use any more.
    pub fn take(&self, most: usize, now: Instant) -> Vec<Letter> {
        let mut letters = self.lock();
        letters.retain(|letter| !letter.is_stale(now));
        let count = letters.len().min(most);
        letters.drain(..count).collect()
    }

    /// Waits until something has been posted.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::ids::{InfoHash, OfferId, PeerId};

    fn answer(number: u8) -> NodeMessage {
        let (by, to) = (PeerId([number; 20]), PeerId([0; 20]));
        NodeMessage::Answer {
            info_hash: InfoHash([0; 20]),
            by,
            to,
            offer_id: OfferId([0; 20]),
            sdp: "v=0".into(),
        }
    }

    fn left() -> NodeMessage {
        NodeMessage::Left { info_hash: InfoHash([0; 20]), peer_id: PeerId([9; 20]) }
    }

    #[test]
    fn letters_wait_in_order_for_as_long_as_they_are_of_use() {
        let (mailbox, start, node) = (Mailbox::default(), Instant::now(), NodeId(1));
        mailbox.post([(node, answer(1)), (node, left())], start);
        mailbox.post([(node, answer(2))], start + OFFER_AGE);
        let taken = mailbox.take(1, start);
        assert_eq!(taken[0].message, answer(1));
        mailbox.put_back(taken);
        let messages =
            |letters: Vec<Letter>| letters.into_iter().map(|letter| letter.message).collect::<Vec<_>>();
        let later = start + OFFER_AGE + Duration::from_secs(1);
        assert_eq!(messages(mailbox.take(9, later)), [left(), answer(2)], "the first is too old");
        assert_eq!(mailbox.len(), 0);
    }

    #[test]
    fn there_is_an_end_to_them() {
        let (mailbox, now, node) = (Mailbox::default(), Instant::now(), NodeId(1));
        let many = (0..MAX_LETTERS).map(|_| (node, left()));
        mailbox.post(many, now);
        mailbox.post([(node, answer(1))], now);
        assert_eq!(mailbox.len(), MAX_LETTERS);
        let taken = mailbox.take(10, now);
        mailbox.post((0..5).map(|_| (node, left())), now);
        mailbox.put_back(taken);
        assert_eq!(mailbox.len(), MAX_LETTERS);
        assert_eq!(
            mailbox.take(MAX_LETTERS, now).iter().filter(|letter| letter.message == answer(1)).count(),
            1
        );
    }
}
