// SPDX-License-Identifier: MPL-2.0

//! One track as it is played: the stream that its bytes come from, the one that comes after it, and what goes out.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Input;
use super::handover::Next;
use super::muxed::Muxed;
use super::renditions::Choice;
use crate::engine::follower::FollowerEvent;
use crate::engine::keys::Keys;
use crate::engine::output::TrackWriter;
use crate::engine::pump::{Pump, Step};
use crate::engine::stream::{Stream, next_in_swarm};
use crate::engine::{Config, SessionError, TrackKind, report};
use crate::manifest::Init;
use crate::net::http::HttpClient;
use crate::viewer::Counters;

/// Live segments in a row that could not be had before playback is given up.
const MAX_SKIPS_IN_A_ROW: u32 = 5;

/// Keys of so many segments ahead are asked for.
const KEYS_AHEAD: i64 = 3;

/// A track of the presentation.
pub struct Track {
    pub kind: TrackKind,
    /// The session's, with this track's share of memory, uplink and peers.
    pub config: Arc<Config>,
    /// What there is to choose from, beside the main track.
    pub choice: Choice,
    /// What is played; None before it is known, and while nothing is chosen.
    pub stream: Option<Stream>,
    /// What is played after that.
    pub next: Option<Next>,
    /// Sound in the main track's segments that is played in place of a stream, or instead of one from where that ends.
    pub muxed: Muxed,
    pub pump: Pump,
    /// Playback goes by key frames, which come another way.
    pub rests: bool,
    /// The key without which nothing goes out.
    pub needed_key: Option<Url>,
    pub(super) loading_init: Option<Arc<Init>>,
    skips_in_a_row: u32,
    pub skipped: u64,
    /// Of the streams that are not played any more.
    counters: Counters,
    /// Where the output began, at the start or after the last seek, and how many seeks there had been.
    pub origin: Duration,
    generation: u64,
}

/// What came of handing over.
pub enum Pumped {
    /// It waits for something.
    Nothing,
    Something,
    /// The first byte has gone out.
    FirstByte,
    /// A segment was left out, because of this.
    LeftOut(SessionError),
    /// It waits for this initialisation segment, which is to be loaded.
    Needs(Arc<Init>),
}

/// What a reload of the playlist in use has brought.
pub enum Followed {
    /// Nothing that matters to others.
    Nothing,
    Updated,
    /// The server began anew.
    Restarted,
}

impl Track {
    pub fn new(kind: TrackKind, config: Arc<Config>, writer: TrackWriter) -> Self {
        Self {
            kind,
            config,
            choice: Choice::default(),
            stream: None,
            next: None,
            muxed: Muxed::Off,
            pump: Pump::new(writer),
            rests: false,
            needed_key: None,
            loading_init: None,
            skips_in_a_row: 0,
            skipped: 0,
            counters: Counters::default(),
            origin: Duration::ZERO,
            generation: 0,
        }
    }

    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.stream.iter().chain(self.next.iter().map(|next| &next.stream))
    }

    pub fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.stream.iter_mut().chain(self.next.iter_mut().map(|next| &mut next.stream))
    }

    /// The next thing that happens to it by itself.
    pub async fn happens(&mut self) -> Input {
        let waits_for_reader = !self.pump.has_room();
        tokio::select! {
            (stream, input) = next_in_swarm(self.stream.as_mut()) => Input::Mesh(stream, input),
            (stream, input) = next_in_swarm(self.next.as_mut().map(|next| &mut next.stream)) => {
                Input::Mesh(stream, input)
            }
            () = self.pump.writable(), if waits_for_reader => Input::Writable,
        }
    }

    /// Carries out all that the viewers want.
    pub fn settle(&mut self, http: &HttpClient, keys: &mut Keys) {
        self.streams_mut().for_each(|stream| stream.settle(http, keys));
    }

    /// Goes to `position`, at the start or for the seek that `generation` counts.
    pub fn go_to(&mut self, position: Duration, generation: u64) {
        // A seek does not wait for where streams meet.
        self.promote();
        (self.origin, self.generation) = (position, generation);
        self.pump.stand_by(position, generation);
        self.restart_muxed();
        let Some(stream) = self.stream.as_mut().filter(|_| !self.rests) else { return };
        let timeline = &stream.timeline;
        let (first, last) = match (timeline.segments().front(), timeline.segments().back()) {
            (Some(first), Some(last)) => (first, last),
            _ => return, // A live stream that has not begun: its first segment will do.
        };
        let (number, start) = match timeline.entry_at(position) {
            Some(segment) => (segment.number, segment.start),
            None if position >= last.end() && !timeline.is_live() => (last.number + 1, last.end()),
            // Other tracks may be listed a little later than the main one.
            None if position >= last.end()
                && self.kind != TrackKind::Main
                && position - last.end() <= timeline.target_duration() =>
            {
                (last.number + 1, last.end())
            }
            None if position >= last.end() => {
                let last = timeline.entry_at(last.start).unwrap_or(last);
                (last.number, last.start)
            }
            None => (first.number, first.start),
        };
        self.pump.go_to(number, start, generation);
        self.origin = position.max(start);
        stream.go_to(number);
    }

    /// Plays nothing until it goes somewhere, for the seek that `generation` counts.
    pub fn rest(&mut self, position: Duration, generation: u64) {
        self.rests = true;
        self.go_to(position, generation);
        if let Some(stream) = &mut self.stream {
            stream.viewer.handle_rest();
        }
    }

    /// Goes to where it should have gone when there was nothing yet.
    pub fn go_on(&mut self) {
        if self.stream.is_some() && self.pump.cursor().is_none() && self.muxed == Muxed::Off {
            self.go_to(self.origin, self.generation);
        }
    }

    /// Begins with `stream` at `position`.
    pub fn begin(&mut self, stream: Stream, position: Duration) {
        self.stream = Some(stream);
        self.go_to(position, self.generation);
    }

    /// Hands over what can go out of the segments that begin by `until`, if that is a limit.
    pub fn pump(&mut self, keys: &mut Keys, until: Option<Duration>) -> Result<Pumped, SessionError> {
        let Some(stream) = &mut self.stream else { return Ok(Pumped::Nothing) };
        if let (Some(until), Some(cursor)) = (until, self.pump.cursor()) {
            let start = stream.timeline.get(cursor.0).map_or(self.pump.pushed, |placed| placed.start);
            if start > until && !self.pump.has_begun() {
                return Ok(Pumped::Nothing);
            }
        }
        if let Some(cursor) = self.pump.cursor()
            && let Some(error) = stream.lost.remove(&cursor)
            // A peer may have brought it since.
            && !stream.viewer.readable(cursor).1
        {
            return self.leave_out(error);
        }
        let viewer = &stream.viewer;
        let readable = |segment| viewer.readable(segment);
        match self.pump.step(&stream.timeline, &stream.store, keys, readable) {
            Some(Step::Cursor(segment)) => {
                self.skips_in_a_row = 0;
                stream.come_to(segment);
                let ahead = segment.0..=segment.0.saturating_add(KEYS_AHEAD);
                for placed in ahead.filter_map(|number| stream.timeline.get(number)) {
                    placed.segment.whole_key().into_iter().for_each(|key| keys.want(key));
                }
            }
            Some(Step::NeedInit(init)) => {
                if self.loading_init.as_ref() == Some(&init) {
                    return Ok(Pumped::Nothing);
                }
                self.loading_init = Some(init.clone());
                return Ok(Pumped::Needs(init));
            }
            // Elsewhere it is another one.
            Some(Step::NeedKey(_)) if stream.seeks_server() => return Ok(Pumped::Nothing),
            Some(Step::NeedKey(key)) => {
                self.needed_key = key.uri.clone();
                keys.want(&key);
                return Ok(Pumped::Nothing);
            }
            Some(Step::Failed(error)) => return Err(error),
            Some(Step::Skipped(count)) => {
                self.skipped += count;
                if let Some(cursor) = self.pump.cursor() {
                    stream.come_to(cursor);
                }
            }
            Some(Step::FirstByte) => return Ok(Pumped::FirstByte),
            Some(Step::Ended) => {}
            None => return Ok(Pumped::Nothing),
        }
        Ok(Pumped::Something)
    }

    /// A segment cannot be had. Live goes on without it, unless that becomes a habit.
    fn leave_out(&mut self, error: SessionError) -> Result<Pumped, SessionError> {
        let cursor = self.pump.cursor().map_or(0, |cursor| cursor.0);
        let of = |number| self.stream.as_ref()?.timeline.get(number).map(|placed| placed.segment.sequence);
        // Of the parts of a segment together one counts.
        if self.skips_in_a_row == 0 || of(cursor) != of(cursor.saturating_sub(1)) {
            self.skips_in_a_row += 1;
        }
        let live = self.stream.as_ref().is_some_and(|stream| stream.timeline.is_live());
        if !live || self.skips_in_a_row > MAX_SKIPS_IN_A_ROW {
            return Err(error);
        }
        self.skipped += 1;
        self.pump.skip();
        if let (Some(stream), Some(cursor)) = (&mut self.stream, self.pump.cursor()) {
            stream.pass_on_to(cursor);
        }
        Ok(Pumped::LeftOut(error))
    }

    /// Without a key nothing goes out. Has another server tried, whose playlist may name another one; false: all have been.
    pub fn look_elsewhere(&mut self, error: &SessionError) -> bool {
        self.needed_key = None;
        self.stream.as_mut().is_some_and(|stream| stream.look_elsewhere(error))
    }

    /// The playlist in use goes on.
    pub fn handle_followed(&mut self, event: FollowerEvent) -> Result<Followed, SessionError> {
        let Some(stream) = &mut self.stream else { return Ok(Followed::Nothing) };
        match event {
            FollowerEvent::Updated { timeline, restarted, moved } => {
                if restarted {
                    stream.viewer.handle_restart();
                    stream.lost.clear();
                    self.pump.restart(&timeline);
                    if let Some(cursor) = self.pump.cursor() {
                        stream.pass_on_to(cursor);
                    }
                }
                stream.take_timeline(*timeline)?;
                if moved.is_some() {
                    stream.handle_moved(self.pump.cursor().map(|cursor| cursor.0));
                }
                Ok(if restarted { Followed::Restarted } else { Followed::Updated })
            }
            FollowerEvent::Trouble(error) => {
                log::warn!(target: "p2phls-engine", "the live playlist cannot be reloaded: {error}");
                Ok(Followed::Nothing)
            }
            FollowerEvent::Failed(error) => Err(error),
        }
    }

    /// The playlist of what comes after it goes on. False: nothing comes of it.
    pub fn handle_next_followed(&mut self, event: FollowerEvent) -> bool {
        let Some(next) = &mut self.next else { return true };
        match event {
            FollowerEvent::Updated { timeline, restarted: false, moved } => {
                let taken = next.stream.take_timeline(*timeline);
                if moved.is_some() {
                    next.stream.handle_moved(Some(next.number));
                }
                taken.is_ok()
            }
            FollowerEvent::Updated { .. } | FollowerEvent::Failed(_) => false,
            FollowerEvent::Trouble(_) => true,
        }
    }

    /// Plays nothing any more, until something else is begun.
    pub fn leave(&mut self) {
        self.call_off();
        self.muxed = Muxed::Off;
        let stream = self.stream.take();
        self.let_go(stream);
        self.pump.leave();
    }

    pub(super) fn let_go(&mut self, stream: Option<Stream>) {
        if let Some(stream) = stream {
            self.counters = report::sum(self.counters, stream.viewer.counters());
            tokio::spawn(stream.stop());
        }
    }

    /// So many bytes have come over HTTP without a stream.
    pub fn note_fetched(&mut self, bytes: usize) {
        self.counters.http_bytes += bytes as u64;
    }

    /// What all its streams have counted.
    pub fn counters(&self) -> Counters {
        self.streams().fold(self.counters, |sum, stream| report::sum(sum, stream.viewer.counters()))
    }

    /// How far playback is safe.
    pub fn buffered(&self) -> Duration {
        let held = self.streams().filter_map(|stream| stream.viewer.buffered_until()).max();
        held.unwrap_or_default().max(self.pump.pushed)
    }

    /// How far it has gone out, within a segment too; as far as can be where downstream has not taken all yet.
    pub fn out_until(&self) -> Duration {
        match &self.stream {
            _ if !self.pump.is_drained() => Duration::MAX,
            Some(stream) => {
                let bandwidth = stream.variant.as_ref().map_or(0, |variant| variant.bandwidth);
                self.pump.out_until(&stream.timeline, bandwidth)
            }
            None => self.pump.pushed,
        }
    }

    /// Playback cannot go on without it: sound or picture that has more to show.
    pub fn is_needed(&self) -> bool {
        match self.kind {
            TrackKind::Main => true,
            // It comes as the picture does.
            TrackKind::Audio if self.muxed.is_on() => false,
            TrackKind::Audio => (self.stream.is_some() || self.choice.is_loading()) && !self.pump.has_ended(),
            TrackKind::Subtitles => false,
        }
    }

    /// Ends everything that it has started.
    pub async fn stop(mut self) {
        for stream in [self.stream.take(), self.next.take().map(|next| next.stream)].into_iter().flatten() {
            stream.stop().await;
        }
    }
}
