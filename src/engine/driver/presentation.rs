// SPDX-License-Identifier: MPL-2.0

//! The presentation: loaded, reloaded, and where in it playback goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::track::{Followed, Track};
use super::{Driver, World};
use crate::engine::follower::{Follower, FollowerEvent};
use crate::engine::playlists::{Media, Opened, PlaylistEvent};
use crate::engine::session::Seek;
use crate::engine::stream::{Identity, PlayedRendition, Stream, StreamId};
use crate::engine::{Event, SessionError, TrackKind, cmcd, keys};
use crate::manifest::{PlacedSegment, Presentation, Timeline};

impl Driver {
    pub(super) fn handle_playlist(
        &mut self,
        event: PlaylistEvent,
        world: &World,
    ) -> Result<(), SessionError> {
        match event {
            PlaylistEvent::Opened(opened) => self.handle_opened(*opened?, world)?,
            PlaylistEvent::Variant(index, media) => {
                self.handle_variant(index, media.map(|media| *media), world)
            }
            PlaylistEvent::Rendition(kind, url, media) => {
                let handled = self.handle_rendition(kind, &url, media.map(|media| *media), world);
                self.survive(kind, handled)?;
            }
            PlaylistEvent::Followed(id, event) => self.handle_followed(id, event, world)?,
            PlaylistEvent::Steered(answer) => self.handle_steered(answer),
        }
        Ok(())
    }

    fn handle_opened(&mut self, opened: Opened, world: &World) -> Result<(), SessionError> {
        let Opened { url, source, presentation, pathways, media } = opened;
        (self.url, self.presentation, self.source) = (Some(url), presentation.clone(), Some(source));
        self.pathways = pathways;
        if let Some(index) = media.variant {
            self.begin_on(index);
        }
        if let (Some(presentation), Some(index)) = (&presentation, media.variant) {
            self.share_out(presentation, &presentation.variants[index]);
        }
        let timeline = Timeline::new(media.playlist.clone());
        self.tracks.main.stream = Some(self.new_stream(TrackKind::Main, media, timeline, None, world)?);
        self.share_timeline();
        self.tell_cdn();
        let duration = self.shared.lock().duration;
        self.seek(world);
        let (tracks, captions) = self.open_tracks(world);
        self.emit(Event::Ready { tracks, captions, duration });
        let data = presentation.map(|p| p.session_data.clone()).unwrap_or_default();
        if !data.is_empty() {
            self.emit(Event::SessionData(data));
        }
        self.tell_metadata();
        Ok(())
    }

    /// Begins a stream of a track with the first load of its playlist, which is in `timeline`.
    pub(super) fn new_stream(
        &mut self,
        kind: TrackKind,
        media: Media,
        timeline: Timeline,
        rendition: Option<PlayedRendition>,
        world: &World,
    ) -> Result<Stream, SessionError> {
        let Media { variant: index, playlist, begun } = media;
        let variants = self.presentation.as_ref().map(|p| p.variants.as_slice()).unwrap_or_default();
        let variant = index.and_then(|index| variants.get(index));
        let of_rendition = rendition.as_ref().and_then(|played| played.rendition.url.as_ref());
        let address = variant.map(|variant| &variant.url).or(of_rendition).unwrap_or(&playlist.url).clone();
        let identity = Identity {
            index,
            kind: cmcd::kind_of(kind, self.presentation.as_deref(), variant),
            variant: variant.cloned(),
            format: self.presentation.as_ref().map(|p| p.format).unwrap_or_default(),
            rendition,
            address,
            playlist_url: playlist.url.clone(),
        };
        self.streams += 1;
        let id = StreamId(self.streams);
        let events = self.senders.fetches.clone();
        let config = self.tracks.get(kind).config.clone();
        let mut stream = Stream::new(id, config, identity, timeline.clone(), events)?;
        stream.viewer.handle_rate(self.rate);
        if let Some(url) = &self.url {
            stream.join_swarm(url, &world.tls, &world.proxies)?;
        }
        if let Some(source) = &self.source {
            let follower = Follower {
                stream: id,
                loader: world.loader.clone(),
                feed: source.follow(vec![playlist.url.clone()], &playlist, begun, &timeline),
                bell: stream.bell.clone(),
                order: stream.places(),
                events: self.senders.playlists.clone(),
            };
            stream.follower = Some(tokio::spawn(follower.run(timeline)).abort_handle());
        }
        self.tell_places(&stream);
        Ok(stream)
    }

    /// A playlist in use goes on, or that of what comes after it.
    fn handle_followed(
        &mut self,
        id: StreamId,
        event: FollowerEvent,
        world: &World,
    ) -> Result<(), SessionError> {
        let of_track = |kind: &TrackKind| self.tracks.get(*kind).streams().any(|stream| stream.id == id);
        // Of a stream that is not played any more.
        let Some(kind) = TrackKind::ALL.into_iter().find(of_track) else { return Ok(()) };
        if let FollowerEvent::Updated { moved: Some(moved), .. } = &event {
            self.handle_moved(id, moved);
        }
        let track = self.tracks.get_mut(kind);
        if track.next.as_ref().is_some_and(|next| next.stream.id == id) {
            if !track.handle_next_followed(event) {
                self.refuse_next(kind);
                self.provide_renditions(world);
            }
            return Ok(());
        }
        let followed = track.handle_followed(event);
        match self.survive(kind, followed)? {
            None | Some(Followed::Nothing) => return Ok(()),
            Some(Followed::Restarted) => {
                self.call_off(kind);
                self.provide_renditions(world);
            }
            Some(Followed::Updated) => {}
        }
        if kind == TrackKind::Main {
            self.take_up_offer();
            self.share_timeline();
            self.tell_metadata();
            if self.tracks.main.pump.cursor().is_none() && !self.is_by_key_frames() {
                self.seek(world);
            }
        } else {
            self.tracks.get_mut(kind).go_on();
        }
        Ok(())
    }

    /// The manifest may offer other variants by now.
    fn take_up_offer(&mut self) {
        let (Some(source), Some(presentation)) = (&self.source, &mut self.presentation) else { return };
        let Some(newer) = source.renewed(&mut self.revision) else { return };
        let mut taken = Presentation::clone(presentation);
        let gone = taken.take_up(newer);
        if gone == self.switching.gone && taken == **presentation {
            return;
        }
        log::info!(
            target: "p2phls-engine",
            "the manifest has {} variants now, {} of which are gone", taken.variants.len(), gone.len()
        );
        (*presentation, self.switching.gone) = (Arc::new(taken), gone);
        if let Some(pathways) = &mut self.pathways {
            pathways.take_presentation(presentation);
        }
        self.switching.forget_levels();
        self.streams().for_each(|stream| self.tell_places(stream));
    }

    /// Lets the element see what there is to play.
    pub(super) fn share_timeline(&mut self) {
        let Some(stream) = &self.tracks.main.stream else { return };
        self.latency.note(Instant::now(), &stream.timeline);
        let entries = entries(&stream.timeline);
        let has_key_frames = self.has_key_frames();
        let mut shared = self.shared.lock();
        let before = std::mem::replace(&mut shared.duration, stream.timeline.duration());
        shared.window = Some(stream.timeline.seekable());
        let is_close = stream.timeline.latency_target().is_some();
        shared.moving = self.latency.since().filter(|_| is_close).zip(Some(stream.timeline.piece_duration()));
        shared.entries = entries;
        shared.has_key_frames = has_key_frames;
        shared.live = stream.timeline.is_live();
        let (known, duration) = (shared.known, shared.duration);
        shared.known = true;
        drop(shared);
        if known && duration != before {
            self.emit(Event::DurationChanged(duration));
        }
    }

    /// Goes to where the last seek points, or to the start.
    pub(super) fn seek(&mut self, world: &World) {
        let seek = *self.wishes.seeks.borrow_and_update();
        self.leave_key_frames();
        self.set_rate(seek.rate);
        self.hurry_switch();
        match seek.key_frames {
            Some(wanted) if self.play_key_frames(seek, wanted, world) => {
                self.latency.leave();
                self.stalls.reset();
                self.was_playing = false;
                self.tell_cdn();
            }
            _ => self.play_from(seek),
        }
    }

    /// Plays on from where a seek goes, all that there is.
    pub(super) fn play_from(&mut self, Seek { generation, position, .. }: Seek) {
        let Some(stream) = &self.tracks.main.stream else { return };
        if stream.timeline.segments().is_empty() {
            return; // A live stream that has not begun.
        }
        let position = if generation == 0 { stream.timeline.start_position() } else { position };
        let begins_at_edge = generation == 0 && stream.timeline.low_latency_start().is_some();
        self.shared.lock().begin = begins_at_edge.then(|| (position, Instant::now()));
        match generation {
            0 => self.latency.begin(),
            _ => self.latency.leave(),
        }
        self.tracks.iter_mut().for_each(|track| track.go_to(position, generation));
        self.stalls.reset();
        self.was_playing = false;
        self.hold_back();
        self.tell_cdn();
    }

    /// A key has come, or not.
    pub(super) fn handle_key(&mut self, key: keys::Loaded) -> Result<(), SessionError> {
        match self.keys.take(key) {
            Ok(()) => {
                let streams = self.tracks.iter_mut().flat_map(|track| track.streams_mut());
                streams.for_each(|stream| stream.check_again(&mut self.keys));
                Ok(())
            }
            Err((url, error)) => self.handle_lost_key(&url, error),
        }
    }

    fn handle_lost_key(&mut self, url: &Url, error: SessionError) -> Result<(), SessionError> {
        let of = |needs: &dyn Fn(&Track) -> bool| {
            TrackKind::ALL.into_iter().find(|kind| needs(self.tracks.get(*kind)))
        };
        if let Some(kind) = of(&|track| track.needed_key.as_ref() == Some(url)) {
            if self.tracks.get_mut(kind).look_elsewhere(&error) {
                return Ok(());
            }
            self.survive(kind, Err(error)).map(|_: Option<()>| ())
        } else if let Some(kind) = of(&|track| track.next_begins_with(url)) {
            self.refuse_useless(kind, &error);
            Ok(())
        } else {
            // It was asked for early; there is still time.
            log::warn!(target: "p2phls-engine", "{error}");
            Ok(())
        }
    }
}

/// Where playback can begin without showing anything that comes before.
fn entries(timeline: &Timeline) -> Vec<Duration> {
    let begins = |placed: &&PlacedSegment| placed.is_independent() && placed.is_playable();
    timeline.segments().iter().filter(begins).map(|placed| placed.start).collect()
}
