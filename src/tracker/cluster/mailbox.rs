// SPDX-License-Identifier: MPL-2.0

//! What waits to go to other nodes.
//!
//! Messages that could not be delivered, because Redis is away or because their node has not
//! subscribed again, are kept for as long as they are of use. That Redis has taken a message says little:
//! it may die with it, or the receiver may lose its connection. So an answer, which nobody can make
//! again, is sent until its receiver has said that it has come, or until it is of no use any more; the
//! receiver takes it once. Other messages may be lost: viewers make new offers at their next announce,
//! and counts are told again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::message::{AnswerKey, NodeId, NodeMessage};

/// Most letters that wait, and most that nobody has heard: a few seconds of a storm, some 15 MB each. The
/// oldest make room.
const MAX_LETTERS: usize = 8192;
/// Time after which an answer that nobody has heard is sent again.
const RESEND: Duration = Duration::from_secs(2);
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
            NodeMessage::Offer { .. } | NodeMessage::Answer { .. } | NodeMessage::Heard(_) => OFFER_AGE,
            NodeMessage::Left { .. } | NodeMessage::Moved { .. } => NEWS_AGE,
        };
        now.saturating_duration_since(self.written) > age
    }
}

#[derive(Debug, Default)]
pub struct Mailbox {
    letters: Mutex<Letters>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Letters {
    /// Oldest first.
    waiting: VecDeque<Letter>,
    /// Answers that have been taken but not heard, and when they were taken, oldest first.
    unheard: VecDeque<(Instant, Letter)>,
}

impl Letters {
    /// Notes that the answer has come, or is waiting again.
    fn forget_unheard(&mut self, answer: AnswerKey) {
        // Mostly it is the first.
        let at = self.unheard.iter().position(|(_, letter)| letter.message.answer_key() == Some(answer));
        at.and_then(|at| self.unheard.remove(at));
    }
}

impl Mailbox {
    pub fn post(&self, messages: impl IntoIterator<Item = (NodeId, NodeMessage)>, now: Instant) {
        let waiting = &mut self.lock().waiting;
        waiting.extend(messages.into_iter().map(|(to, message)| Letter { to, message, written: now }));
        let surplus = waiting.len().saturating_sub(MAX_LETTERS);
        waiting.drain(..surplus);
        self.filled.notify_one();
    }

    /// Puts back what could not be delivered.
    pub fn put_back(&self, mut undelivered: Vec<Letter>) {
        let mut letters = self.lock();
        // The newest are worth the most.
        let surplus =
            (undelivered.len() + letters.waiting.len()).saturating_sub(MAX_LETTERS).min(undelivered.len());
        for letter in undelivered.drain(surplus..).rev() {
            if let Some(answer) = letter.message.answer_key() {
                letters.forget_unheard(answer);
            }
            letters.waiting.push_front(letter);
        }
    }

    /// Takes the oldest, at most so many, and forgets what is of no use any more.
    pub fn take(&self, most: usize, now: Instant) -> Vec<Letter> {
        let Letters { waiting, unheard } = &mut *self.lock();
        while unheard.front().is_some_and(|(taken, _)| now.saturating_duration_since(*taken) >= RESEND) {
            waiting.extend(unheard.pop_front().map(|(_, letter)| letter));
        }
        waiting.retain(|letter| !letter.is_stale(now));
        let count = waiting.len().min(most);
        let taken: Vec<_> = waiting.drain(..count).collect();
        let answers = taken.iter().filter(|letter| letter.message.answer_key().is_some());
        unheard.extend(answers.map(|letter| (now, letter.clone())));
        let surplus = unheard.len().saturating_sub(MAX_LETTERS);
        unheard.drain(..surplus);
        taken
    }

    /// A node says that an answer has come.
    pub fn heard(&self, answer: AnswerKey) {
        self.lock().forget_unheard(answer);
    }

    /// Waits until something has been posted.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Letters that wait, or may have to be sent again.
    pub fn len(&self) -> usize {
        let letters = self.lock();
        letters.waiting.len() + letters.unheard.len()
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
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
        mailbox.heard(answer(2).answer_key().unwrap());
        assert_eq!(mailbox.len(), 0);
    }

    #[test]
    fn answers_are_sent_until_they_are_heard() {
        let (mailbox, start, node) = (Mailbox::default(), Instant::now(), NodeId(1));
        mailbox.post([(node, left()), (node, answer(1)), (node, answer(2))], start);
        let after = |seconds| start + Duration::from_secs(seconds);
        let take = |at| mailbox.take(9, at).into_iter().map(|letter| letter.message).collect::<Vec<_>>();
        assert_eq!(take(start), [left(), answer(1), answer(2)]);
        assert_eq!(take(after(1)), [], "too early");
        for _ in 0..2 {
            mailbox.heard(answer(1).answer_key().unwrap());
        }
        assert_eq!(take(after(2)), [answer(2)]);
        // Where it cannot be delivered, it waits once.
        mailbox.put_back(vec![Letter { to: node, message: answer(2), written: start }]);
        assert_eq!(mailbox.len(), 1);
        assert_eq!(take(after(50)), [answer(2)]);
        assert_eq!((take(after(60)), mailbox.len()), (vec![], 0), "nobody would take it any more");
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
        let many = Mailbox::default();
        for _ in 0..3 {
            many.post((0..MAX_LETTERS).map(|_| (node, answer(1))), now);
            many.take(MAX_LETTERS, now);
        }
        assert_eq!(many.len(), MAX_LETTERS, "of what nobody has heard, too");
        assert_eq!(
            mailbox.take(MAX_LETTERS, now).iter().filter(|letter| letter.message == answer(1)).count(),
            1
        );
    }
}
