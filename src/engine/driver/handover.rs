// SPDX-License-Identifier: MPL-2.0

//! From the stream that a track plays to the one that comes after it.
//!
//! The new stream fetches its first segment when the old one has what it needs, which is needed first.
//! It takes over where the output comes to that, once the segment is there and what it needs: an
//! initialisation segment, a key. What the old one holds beyond is not forgotten before that: where the
//! other variant is late, playback goes on with one more segment of what it has.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::track::Track;
use crate::engine::keys::Keys;
use crate::engine::stream::Stream;
use crate::engine::{SessionError, TrackKind};
use crate::manifest::{Init, Key};
use crate::rate::Rate;
use crate::switcher::meeting::{self, Held, Meeting};

/// With so little in hand another segment of the old variant is better than waiting for the new one.
const URGENT: Duration = Duration::from_secs(1);

/// A stream that is about to be played.
pub struct Next {
    pub stream: Stream,
    /// Number of its first segment.
    pub number: i64,
    /// It has begun to fetch.
    pub fetching: bool,
    /// It can begin to play: all that is needed before its first segment is there.
    ready: bool,
    loading_init: Option<Arc<Init>>,
}

impl Next {
    /// The keys that its first segment needs, with the media sequence number of that.
    fn keys(&self) -> Vec<(Arc<Key>, i64)> {
        let Some(placed) = self.stream.timeline.get(self.number) else { return Vec::new() };
        let segment = &placed.segment;
        let keys =
            segment.whole_key().into_iter().chain(segment.init.as_ref().and_then(|init| init.whole_key()));
        keys.map(|key| (key.clone(), segment.sequence)).collect()
    }
}

/// What has become of a change to the next stream.
pub enum Turn {
    /// Nothing new: what goes out is still the old one's.
    None,
    /// The next one has begun to fetch.
    Begun,
    /// The output waits for it.
    Waits,
    /// It begins later than it was to.
    Later,
    /// It needs this initialisation segment, which is to be loaded.
    Needs(Arc<Init>),
    /// It cannot be played.
    Useless(SessionError),
    /// It is played.
    Done,
}

impl Track {
    /// Number of the first segment of which nothing has gone out.
    pub fn undecided(&self) -> Option<i64> {
        Some(self.pump.cursor()?.0 + i64::from(self.pump.has_begun()))
    }

    /// Goes over to `stream` at `meeting`.
    pub fn follow_with(&mut self, stream: Stream, meeting: Meeting) {
        self.call_off();
        let number = meeting.first;
        self.next = Some(Next { stream, number, fetching: false, ready: false, loading_init: None });
        self.meet(meeting);
    }

    /// The next stream begins here.
    pub fn meet(&mut self, Meeting { last, first }: Meeting) {
        if let Some(stream) = &mut self.stream {
            stream.end_at(Some(last));
        }
        if let Some(next) = &mut self.next {
            (next.number, next.fetching) = (first, false);
        }
    }

    /// Lets the next stream fetch, and goes over to it, when it is time for that; playback is at `position` and goes at
    /// `rate`.
    pub fn switch_when_due(&mut self, keys: &mut Keys, position: Duration, rate: Rate) -> Turn {
        if let Some(turn) = self.provide_for_next(keys) {
            return turn;
        }
        let (Some(next), Some(stream), Some(cursor)) = (&mut self.next, &mut self.stream, self.pump.cursor())
        else {
            return Turn::None;
        };
        let Some(last) = stream.last() else { return Turn::None };
        let (due, number) = (cursor.0 > last, next.number);
        let begins = !next.fetching && (due || stream.held(last) == Held::Whole);
        if begins {
            next.fetching = true;
            next.stream.go_to(number);
            // What comes after it would only make it later.
            next.stream.end_at(Some(number));
        }
        let whole = next.stream.held(number) == Held::Whole;
        if whole && next.stream.last().is_some() {
            next.stream.end_at(None);
        }
        // Of another language the user has wished for, nothing more than can be helped.
        let spare = self.kind == TrackKind::Main && stream.held(last + 1) == Held::Whole;
        if due && next.ready && (whole || !spare) {
            self.promote();
            self.pump.switch_to(number);
            return Turn::Done;
        }
        let waits = !spare || self.pump.pushed > position.saturating_add(rate.media_in(URGENT));
        match due {
            _ if begins => Turn::Begun,
            false => Turn::None,
            true if waits => Turn::Waits,
            true => {
                log::info!(target: "p2phls-engine", "the other variant is late: segment {} is not its", last + 1);
                match meeting::meet(&stream.timeline, &next.stream.timeline, last + 2) {
                    Some(meeting) => self.meet(meeting),
                    None => {
                        let over = "its segments do not begin where those in play do any more".to_owned();
                        return Turn::Useless(SessionError::Unsupported(over));
                    }
                }
                Turn::Later
            }
        }
    }

    /// Has what the next stream needs before its first segment. Gives what there is to do about it, if anything.
    fn provide_for_next(&mut self, keys: &mut Keys) -> Option<Turn> {
        let next = self.next.as_mut()?;
        next.ready = true;
        for (key, sequence) in next.keys() {
            match keys.decryptor(&key, sequence) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some(Turn::Useless(SessionError::Decrypt(error.to_string()))),
                None => {
                    keys.want(&key);
                    next.ready = false;
                }
            }
        }
        let init = next.stream.timeline.get(next.number).and_then(|placed| placed.segment.init.clone());
        let init = init.filter(|init| !self.pump.has_init(init))?;
        next.ready = false;
        if next.loading_init.as_ref() == Some(&init) {
            return None;
        }
        next.loading_init = Some(init.clone());
        Some(Turn::Needs(init))
    }

    /// The next stream cannot begin without the key from this address.
    pub fn next_begins_with(&self, url: &Url) -> bool {
        let keys = self.next.as_ref().map(Next::keys).unwrap_or_default();
        keys.iter().any(|(key, _)| key.uri.as_ref() == Some(url))
    }

    /// An initialisation segment has come, or not. Gives why the next stream is of no use, if that is so.
    pub fn take_init(
        &mut self,
        init: Arc<Init>,
        bytes: Result<Bytes, SessionError>,
    ) -> Result<Option<SessionError>, SessionError> {
        let needed = self.loading_init.take_if(|loading| *loading == init).is_some();
        let next = self.next.as_mut().and_then(|next| next.loading_init.take_if(|loading| *loading == init));
        match bytes {
            Ok(bytes) => self.pump.add_init(init, bytes),
            Err(error) if needed => {
                let elsewhere = self.stream.as_mut().is_some_and(|stream| stream.look_elsewhere(&error));
                if !elsewhere {
                    return Err(error);
                }
                // Not to be asked for again: elsewhere it is another one.
                self.loading_init = Some(init);
            }
            Err(error) if next.is_some() => return Ok(Some(error)),
            // Of a stream that is not played any more.
            Err(error) => log::info!(target: "p2phls-engine", "{error}"),
        }
        Ok(None)
    }

    /// Goes over to the next stream at once, for a seek. False where there is none, or none that can begin.
    pub fn hurry(&mut self) -> bool {
        self.next.as_ref().is_some_and(|next| next.ready) && self.promote()
    }

    /// Makes the next stream the one that is played. False where there is none.
    pub fn promote(&mut self) -> bool {
        let Some(mut next) = self.next.take() else { return false };
        next.stream.end_at(None);
        let old = self.stream.replace(next.stream);
        self.let_go(old);
        true
    }

    /// Plays on as if nothing were to come after it.
    pub fn call_off(&mut self) {
        let next = self.next.take().map(|next| next.stream);
        self.let_go(next);
        if let Some(stream) = &mut self.stream {
            stream.end_at(None);
        }
    }
}
