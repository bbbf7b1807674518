// SPDX-License-Identifier: MPL-2.0

//! From one variant to another: when the adaptation says so, and where the segments of both meet.
//!
//! A switch takes its time: the other variant's playlist is loaded, a place is looked for where a
//! segment begins in both, and the new stream fetches from there on while the old one plays up to
//! it: see `handover`.

use std::time::Instant;

use super::levels::Why;
use super::{Driver, World};
use crate::engine::playlists::{Media, PlaylistEvent};
use crate::engine::stream::Stream;
use crate::engine::{SessionError, TrackKind};
use crate::switcher::meeting::{self, Meeting};
use crate::switcher::{Pathways, Standing, Step};

impl Driver {
    /// Looks whether another variant would be better, a few times a second.
    pub(super) fn adapt(&mut self, world: &World) {
        let now = Instant::now();
        self.hold_back();
        if self.tracks.main.next.as_ref().is_some_and(|next| !next.stream.lost.is_empty()) {
            log::warn!(target: "p2phls-engine", "the other variant's segments cannot be had");
            self.refuse_next(TrackKind::Main);
        }
        let stream = self.tracks.main.stream.as_ref();
        let (Some(presentation), Some(source), Some(stream)) =
            (self.presentation.clone(), self.source.clone(), stream)
        else {
            return;
        };
        let Some(playing) = stream.index.filter(|_| self.switching.fixed.is_none()) else { return };
        if self.switching.adaptation.is_none() {
            let heading = self.tracks.main.next.as_ref().and_then(|next| next.stream.index);
            let loading = self.switching.loading.map(|(index, _)| index);
            let pathway = self.pathways.as_ref().map(Pathways::current);
            self.switching.begin(&presentation, heading.or(loading).unwrap_or(playing), pathway);
        }
        let Some(standing) = self.standing(now) else { return };
        let narrow = self.switching.adaptation.as_ref().is_some_and(|rule| rule.is_too_much(&standing));
        self.tracks.main.streams_mut().for_each(|stream| stream.viewer.handle_narrow_line(narrow));
        if self.tracks.main.next.is_some() {
            return self.leave_what_is_late(&standing);
        }
        if self.switching.loading.is_some() || self.tracks.main.pump.has_ended() {
            return;
        }
        let Some((index, why)) = self.better(now, &standing) else { return };
        log::info!(
            target: "p2phls-engine",
            "going to the variant of {} bit/s: {why:?}; {:?} of {:?} buffered, HTTP at {:?}, {} peers",
            presentation.variants[index].bandwidth, standing.buffered, standing.room, standing.http,
            standing.peers
        );
        self.switching.loading = Some((index, why));
        let (loader, events) = (world.loader.clone(), self.senders.playlists.clone());
        let join = self.joining(&presentation.variants[index].url);
        tokio::spawn(async move {
            let media = loader.variant(&source, &presentation, index, join).await;
            // The session has ended when nobody listens.
            let _ = events.send(PlaylistEvent::Variant(index, media.map(Box::new))).await;
        });
    }

    /// The variant to go to, and why.
    fn better(&mut self, now: Instant, standing: &Standing) -> Option<(usize, Why)> {
        let from = self.tracks.main.undecided()?;
        let until = self.position().saturating_add(self.reach());
        let gap = meeting::gap(&self.tracks.main.stream.as_ref()?.timeline, from, until);
        let playing = self.tracks.main.stream.as_ref()?.index;
        let switching = &mut self.switching;
        switching.gaps.retain(|(number, _)| *number >= from);
        if let Some(gap) = gap
            && let Some(index) = switching.around(now, gap)
        {
            return Some((index, Why::Gap(gap)));
        }
        if let Some((index, step)) = switching.back_to_pathway(now, playing) {
            return Some((index, Why::Line(step)));
        }
        let adaptation = switching.adaptation.as_mut()?;
        let before = adaptation.current();
        let step = adaptation.decide(now, standing)?;
        if step.level > before && switching.detour.is_some_and(|number| number >= from) {
            // What was gone to another variant for is still to come.
            adaptation.set(now, before);
            return None;
        }
        let step = Step { keep: self.rate.media_in(step.keep), ..step };
        Some((switching.levels[step.level], Why::Line(step)))
    }

    /// How playback stands; None before there is something to play.
    fn standing(&mut self, now: Instant) -> Option<Standing> {
        let http = self.switching.throughput.rate(now);
        let main = &self.tracks.main;
        let stream = main.stream.as_ref()?;
        let position = self.position();
        let (_, end) = stream.timeline.window();
        let mut number = main.pump.cursor()?;
        while stream.viewer.readable(number).1 {
            number.0 += 1;
        }
        Some(Standing {
            rate: self.rate,
            buffered: self.rate.time_of(self.buffered().saturating_sub(position)),
            room: self.rate.time_of(self.reach().min(end.saturating_sub(position))),
            segment: self.rate.time_of(stream.timeline.piece_duration()),
            begun: stream.viewer.readable(number).0,
            requests: stream.requests(),
            http,
            peers: stream.viewer.peer_count(),
        })
    }

    /// The playlist of a variant to switch to has come, or not.
    pub(super) fn handle_variant(&mut self, index: usize, media: Result<Media, SessionError>, world: &World) {
        let Some((_, why)) = self.switching.loading.take_if(|(loading, _)| *loading == index) else { return };
        let main = &self.tracks.main;
        if main.stream.as_ref().is_none_or(|stream| stream.index == Some(index)) || main.next.is_some() {
            return;
        }
        if main.rests {
            let playing = main.stream.as_ref().and_then(|stream| stream.index);
            return self.switching.give_up(Instant::now(), playing);
        }
        let prepared = media.and_then(|media| self.prepare(media, why, world));
        match (prepared, why) {
            (Ok((next, meeting)), _) => {
                let number = meeting.first;
                log::info!(target: "p2phls-engine", "segment {number} is the first of the other variant");
                self.tracks.main.follow_with(next, meeting);
                if let Why::Gap(gap) = why {
                    self.switching.detour = Some(gap);
                }
            }
            // Between two key frames parts meet nowhere; later they may.
            (Err(SessionError::Unsupported(error)), Why::Line(_)) if self.is_in_parts() => {
                log::info!(target: "p2phls-engine", "the other variant cannot follow now: {error}");
                let playing = self.tracks.main.stream.as_ref().and_then(|stream| stream.index);
                self.switching.give_up(Instant::now(), playing);
            }
            (Err(error), Why::Line(_)) => {
                log::warn!(target: "p2phls-engine", "the other variant cannot follow: {error}");
                self.refuse(index);
            }
            (Err(error), Why::Gap(gap)) => {
                log::info!(target: "p2phls-engine", "the other variant has no segment {gap} either: {error}");
                self.switching.gaps.insert((gap, index));
                let playing = self.tracks.main.stream.as_ref().and_then(|stream| stream.index);
                self.switching.give_up(Instant::now(), playing);
            }
        }
    }

    fn is_in_parts(&self) -> bool {
        self.tracks.main.stream.as_ref().is_some_and(|stream| stream.timeline.is_in_parts())
    }

    /// Begins the stream that is to follow, and says where.
    fn prepare(&mut self, media: Media, why: Why, world: &World) -> Result<(Stream, Meeting), SessionError> {
        let no_place =
            || SessionError::Unsupported("its segments do not begin where those in play do".to_owned());
        let main = &self.tracks.main;
        let (Some(stream), Some(from)) = (&main.stream, main.undecided()) else { return Err(no_place()) };
        let ours = &stream.timeline;
        let theirs = ours.beside(media.playlist.clone());
        let meeting = match why {
            Why::Gap(gap) if gap < from => None,
            Why::Gap(gap) => meeting::meet_at(ours, &theirs, gap),
            Why::Line(step) => {
                let held = |number| stream.held(number);
                let first = meeting::gives_way(ours, from, self.position(), &step, held);
                meeting::meet(ours, &theirs, first)
            }
        };
        let meeting = meeting.ok_or_else(no_place)?;
        Ok((self.new_stream(TrackKind::Main, media, theirs, None, world)?, meeting))
    }

    /// The last segment before a leaner variant comes too late: the leaner one has to come in its place.
    fn leave_what_is_late(&mut self, standing: &Standing) {
        let main = &mut self.tracks.main;
        let (Some(stream), Some(next), Some(from)) = (&main.stream, &main.next, main.undecided()) else {
            return;
        };
        let (Some(last), false) = (stream.last(), next.fetching) else { return };
        let playing = self.switching.level(stream.index);
        let adaptation = self.switching.adaptation.as_ref();
        let late = playing.zip(adaptation).is_some_and(|(level, rule)| rule.is_late(level, standing));
        if late
            && last >= from
            && let Some(meeting) = meeting::meet_at(&stream.timeline, &next.stream.timeline, last)
        {
            log::info!(target: "p2phls-engine", "segment {last} would be late and is left: {standing:?}");
            main.meet(meeting);
        }
    }

    /// A seek does not wait for where streams meet.
    pub(super) fn hurry_switch(&mut self) {
        if self.tracks.main.hurry() {
            self.switching.arrive();
            self.share_timeline();
            self.follow_variant();
        } else {
            self.call_off(TrackKind::Main);
        }
    }

    /// What was to come next in a track cannot be played.
    pub(super) fn refuse_useless(&mut self, kind: TrackKind, error: &SessionError) {
        log::warn!(target: "p2phls-engine", "what was to come next cannot be played: {error}");
        self.refuse_next(kind);
    }

    /// What was to come next in a track has turned out to be of no use.
    pub(super) fn refuse_next(&mut self, kind: TrackKind) {
        let next = self.tracks.get(kind).next.as_ref().and_then(|next| next.stream.index);
        if let Some(index) = next {
            self.refuse(index);
        }
        self.call_off(kind);
    }

    /// Plays on as if no switch had been begun.
    pub(super) fn call_off(&mut self, kind: TrackKind) {
        let track = self.tracks.get_mut(kind);
        let begun = track.next.is_some();
        track.call_off();
        if !begun {
            return;
        }
        track.choice.forget();
        if kind == TrackKind::Main {
            let playing = self.tracks.main.stream.as_ref().and_then(|stream| stream.index);
            self.switching.give_up(Instant::now(), playing);
        }
    }

    /// A variant cannot follow the one in play.
    fn refuse(&mut self, index: usize) {
        self.switching.refused.insert(index);
        if let (Some(presentation), Some(playing)) =
            (&self.presentation, self.tracks.main.stream.as_ref().and_then(|stream| stream.index))
        {
            self.switching.begin(presentation, playing, self.pathways.as_ref().map(Pathways::current));
        }
    }
}
