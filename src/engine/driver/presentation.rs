// SPDX-License-Identifier: MPL-2.0

//! The presentation: loaded, reloaded, and where in it playback goes.

use std::time::Instant;

use super::{Driver, World};
use crate::engine::follower::{Follower, FollowerEvent};
use crate::engine::playlists::{self, Media, Opened, PlaylistEvent};
use crate::engine::session::Seek;
use crate::engine::stream::{Identity, Stream, StreamId};
use crate::engine::{Event, SessionError, TrackInfo, keys};
use crate::manifest::{DateRange, RenditionKind, Timeline};

impl Driver {
    pub(super) fn handle_playlist(
        &mut self,
        event: PlaylistEvent,
        world: &World,
    ) -> Result<(), SessionError> {
        match event {
            PlaylistEvent::Opened(opened) => {
                let Opened { url, source, presentation, media } = *opened?;
                (self.url, self.presentation, self.source) = (Some(url), presentation, Some(source));
                let timeline = Timeline::new(media.playlist.clone());
                let stream = self.new_stream(media, timeline, world)?;
                self.stream = Some(stream);
                self.share_timeline();
                let duration = self.shared.lock().duration;
                self.seek();
                let tracks = vec![TrackInfo { reader: self.reader.clone() }];
                self.emit(Event::Ready { tracks, duration });
                let data = self.presentation.as_ref().map(|p| p.session_data.clone()).unwrap_or_default();
                if !data.is_empty() {
                    self.emit(Event::SessionData(data));
                }
                self.tell_date_ranges();
                self.warn_of_silence();
            }
            PlaylistEvent::Variant(index, media) => {
                self.handle_variant(index, media.map(|media| *media), world)
            }
            PlaylistEvent::Followed(id, event) if self.next.as_ref().is_some_and(|next| next.id == id) => {
                self.handle_next_followed(event);
            }
            PlaylistEvent::Followed(id, event) if self.stream.as_ref().is_some_and(|s| s.id == id) => {
                self.handle_followed(event)?;
            }
            // Of a stream that is not played any more.
            PlaylistEvent::Followed(..) => {}
        }
        Ok(())
    }

    /// Begins a stream with the first load of its playlist, which is in `timeline`.
    pub(super) fn new_stream(
        &mut self,
        media: Media,
        timeline: Timeline,
        world: &World,
    ) -> Result<Stream, SessionError> {
        let Media { variant: index, playlist, begun } = media;
        let variants = self.presentation.as_ref().map(|p| p.variants.as_slice()).unwrap_or_default();
        let others = index.map(|index| playlists::redundant(variants, index)).unwrap_or_default();
        let urls = others.iter().skip(1).map(|other| variants[*other].url.clone());
        let urls: Vec<_> = [playlist.url.clone()].into_iter().chain(urls).collect();
        let identity = Identity {
            index,
            variant: index.and_then(|index| variants.get(index)).cloned(),
            format: self.presentation.as_ref().map(|p| p.format).unwrap_or_default(),
            playlist_url: playlist.url.clone(),
        };
        self.streams += 1;
        let id = StreamId(self.streams);
        let events = self.senders.fetches.clone();
        let mut stream = Stream::new(id, self.config.clone(), identity, timeline.clone(), events)?;
        stream.servers = urls.len() - 1;
        if let Some(url) = &self.url {
            stream.join_swarm(url, &world.tls)?;
        }
        if let Some(source) = &self.source {
            let follower = Follower {
                stream: id,
                loader: world.loader.clone(),
                feed: source.follow(urls, &playlist, begun, &timeline),
                bell: stream.bell.clone(),
                events: self.senders.playlists.clone(),
            };
            stream.follower = Some(tokio::spawn(follower.run(timeline)).abort_handle());
        }
        Ok(stream)
    }

    /// The playlist in use goes on.
    fn handle_followed(&mut self, event: FollowerEvent) -> Result<(), SessionError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match event {
            FollowerEvent::Updated { timeline, restarted, moved } => {
                if restarted {
                    stream.viewer.handle_restart();
                    stream.lost.clear();
                    self.pump.restart(&timeline);
                    if let Some(cursor) = self.pump.cursor() {
                        stream.viewer.handle_cursor(Instant::now(), cursor);
                    }
                }
                stream.take_timeline(*timeline)?;
                if let Some(cursor) = self.pump.cursor().filter(|_| moved) {
                    stream.try_again(cursor.0);
                }
                if restarted {
                    self.call_off();
                }
                self.share_timeline();
                self.tell_date_ranges();
                if self.pump.cursor().is_none() {
                    self.seek();
                }
            }
            FollowerEvent::Trouble(error) => {
                log::warn!(target: "p2phls-engine", "the live playlist cannot be reloaded: {error}");
            }
            FollowerEvent::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Sound in a rendition of its own is not played yet; whoever hears nothing should know why.
    fn warn_of_silence(&self) {
        let variant = self.stream.as_ref().and_then(|stream| stream.variant.as_ref());
        let (Some(presentation), Some(variant)) = (&self.presentation, variant) else { return };
        let mut renditions = presentation.renditions_of(variant, RenditionKind::Audio).peekable();
        if renditions.peek().is_some() && renditions.all(|rendition| rendition.url.is_some()) {
            self.emit(Event::Warning(SessionError::Unsupported(format!(
                "{}: the sound is in playlists of its own (EXT-X-MEDIA), which this version does not play",
                presentation.url
            ))));
        }
    }

    /// Tells of date ranges that have not been told of as they are now.
    fn tell_date_ranges(&mut self) {
        let Some(stream) = &self.stream else { return };
        let listed = &stream.timeline.latest().date_ranges;
        let fresh = listed.iter().filter(|range| !self.date_ranges.contains(range));
        let placed =
            |range: &DateRange| (range.clone(), range.start.and_then(|at| stream.timeline.position_of(at)));
        let fresh: Vec<_> = fresh.map(placed).collect();
        if !fresh.is_empty() {
            self.date_ranges = listed.clone();
            self.emit(Event::DateRanges(fresh));
        }
    }

    /// Lets the element see what there is to play.
    pub(super) fn share_timeline(&mut self) {
        let Some(stream) = &self.stream else { return };
        let mut shared = self.shared.lock();
        let before = std::mem::replace(&mut shared.duration, stream.timeline.duration());
        shared.window = Some(stream.timeline.window());
        shared.live = stream.timeline.is_live();
        let (known, duration) = (shared.known, shared.duration);
        shared.known = true;
        drop(shared);
        if known && duration != before {
            self.emit(Event::DurationChanged(duration));
        }
    }

    /// Goes to where the last seek points, or to the start.
    pub(super) fn seek(&mut self) {
        let Seek { generation, position } = *self.seeks.borrow_and_update();
        self.hurry_switch();
        let Some(stream) = &mut self.stream else { return };
        let timeline = &stream.timeline;
        let position = if generation == 0 { timeline.start_position() } else { position };
        let (first, last) = match (timeline.segments().front(), timeline.segments().back()) {
            (Some(first), Some(last)) => (first, last),
            _ => return, // A live stream that has not begun: its first segment will do.
        };
        let (number, start) = match timeline.at(position) {
            Some(segment) => (segment.number, segment.start),
            None if position >= last.end() && !timeline.is_live() => (last.number + 1, last.end()),
            None if position >= last.end() => (last.number, last.start),
            None => (first.number, first.start),
        };
        self.pump.go_to(number, start, generation);
        self.origin = position.max(start);
        stream.go_to(number);
        self.stalls.reset();
    }

    /// A key has come, or not.
    pub(super) fn handle_key(&mut self, key: keys::Loaded) -> Result<(), SessionError> {
        match self.keys.take(key) {
            Ok(()) => {
                for stream in [&mut self.stream, &mut self.next].into_iter().flatten() {
                    stream.check_again(&mut self.keys);
                }
                Ok(())
            }
            Err((url, error)) if self.needed_key.as_ref() == Some(&url) => Err(error),
            // It was asked for early; there is still time.
            Err((_, error)) => {
                log::warn!(target: "p2phls-engine", "{error}");
                Ok(())
            }
        }
    }
}
