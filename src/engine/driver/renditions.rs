// SPDX-License-Identifier: MPL-2.0

//! Sound and subtitles beside the main track: which rendition is played, and the way to another.
//!
//! What is chosen is a language and a name. Which playlist that is depends on the variant in play, whose groups may
//! be others than those of the variant before; where the address is the same, nothing happens.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::muxed::Muxed;
use super::shares::{Beside, share_of};
use super::track::Track;
use super::{Driver, World};
use crate::engine::places;
use crate::engine::playlists::{Media, PlaylistEvent};
use crate::engine::stream::{PlayedRendition, Stream};
use crate::engine::tracks::{self, Alternative, Captions, Selection, TrackInfo};
use crate::engine::{Event, SessionError, TrackKind};
use crate::manifest::{Directives, Presentation, Rendition, RenditionReport, Segment, Timeline, Variant};
use crate::switcher::meeting::Meeting;

/// Who waits for subtitles is told so far ahead of playback that there are none.
const SILENCE_AHEAD: Duration = Duration::from_secs(2);

/// What can be played in a track, and what is.
#[derive(Default)]
pub struct Choice {
    /// Beside the variant that playback began with.
    alternatives: Vec<Rendition>,
    /// Which of them is wanted.
    wanted: Option<usize>,
    /// The rendition whose playlist is on its way.
    loading: Option<Rendition>,
    /// The address of what is played or will be next.
    playing: Option<Url>,
    /// What could not take the place of what is played.
    refused: Vec<Url>,
    /// The same of the sound in the main track's segments.
    pub(super) muxed_refused: bool,
}

impl Choice {
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// What was to be played next is not any more.
    pub fn forget(&mut self) {
        self.playing = None;
    }

    /// No playlist of its own is played, and none is on its way.
    pub fn leave(&mut self) {
        (self.loading, self.playing) = (None, None);
    }

    fn is_for(&self, url: &Url) -> bool {
        self.loading.as_ref().is_some_and(|rendition| rendition.url.as_ref() == Some(url))
    }
}

impl Driver {
    /// Finds out what can be chosen and has loaded what is to be played. Gives the tracks that there are.
    pub(super) fn open_tracks(&mut self, world: &World) -> (Vec<TrackInfo>, Vec<Captions>) {
        let variant = self.tracks.main.stream.as_ref().and_then(|stream| stream.variant.clone());
        let mut infos = vec![TrackInfo {
            kind: TrackKind::Main,
            reader: self.readers.main.clone(),
            alternatives: vec![Alternative::of_variant(variant.as_ref())],
            chosen: Some(0),
        }];
        let (Some(presentation), Some(variant)) = (self.presentation.clone(), variant) else {
            return (infos, Vec::new());
        };
        for kind in [TrackKind::Audio, TrackKind::Subtitles] {
            let alternatives = tracks::alternatives(&presentation, &variant, kind);
            if alternatives.is_empty() {
                continue;
            }
            let chosen = tracks::first_choice(kind, &alternatives);
            if kind == TrackKind::Audio {
                self.tap_main(&presentation);
            }
            let described = alternatives.iter().map(|a| Alternative::of_rendition(&presentation, a));
            infos.push(TrackInfo {
                kind,
                reader: self.readers.get(kind).clone(),
                alternatives: described.collect(),
                chosen,
            });
            let choice = &mut self.tracks.get_mut(kind).choice;
            (choice.alternatives, choice.wanted) = (alternatives, chosen);
        }
        self.select(world);
        (infos, tracks::captions(&presentation, &variant))
    }

    /// Shares out what the session may use. Before the first stream is made.
    pub(super) fn share_out(&mut self, presentation: &Presentation, variant: &Variant) {
        let there_are = |kind| !tracks::alternatives(presentation, variant, kind).is_empty();
        let beside = Beside { sound: there_are(TrackKind::Audio), text: there_are(TrackKind::Subtitles) };
        for track in self.tracks.iter_mut() {
            track.config = Arc::new(share_of(track.kind, &self.config, beside));
        }
    }

    /// Does what the application has chosen, where there is a choice.
    pub(super) fn select(&mut self, world: &World) {
        if let Some(Selection { audio, subtitles }) = *self.wishes.selections.borrow_and_update() {
            for (track, wanted) in [(&mut self.tracks.audio, audio), (&mut self.tracks.subtitles, subtitles)]
            {
                track.choice.wanted = wanted;
            }
            if audio.is_none() {
                self.tracks.main.pump.tap = None;
            }
        }
        self.provide_renditions(world);
    }

    /// How far the other playlists are, as the one in play tells; empty where servers cannot hold answers back.
    fn reports(&self) -> Vec<RenditionReport> {
        let latest = self.tracks.main.stream.as_ref().map(|stream| stream.timeline.latest());
        let latest = latest.filter(|latest| latest.server_control.can_block_reload);
        latest.map_or_else(Vec::new, |latest| latest.rendition_reports.clone())
    }

    /// What to ask of the playlist of a variant to go to.
    pub(super) fn joining(&self, url: &Url) -> Directives {
        reported(&self.reports(), url)
    }

    /// Has each track play what is wanted of it beside the variant in play.
    pub(super) fn provide_renditions(&mut self, world: &World) {
        let variant = self.tracks.main.stream.as_ref().and_then(|stream| stream.variant.clone());
        let (Some(presentation), Some(variant)) = (self.presentation.clone(), variant) else { return };
        let reports = self.reports();
        for kind in [TrackKind::Audio, TrackKind::Subtitles] {
            let track = self.tracks.get_mut(kind);
            let wanted = track.choice.wanted.and_then(|index| track.choice.alternatives.get(index)).cloned();
            let Some(wanted) = wanted else {
                if track.stream.is_some() || track.choice.is_loading() || track.muxed != Muxed::Off {
                    track.choice.leave();
                    track.leave();
                }
                continue;
            };
            // The variant in play may not have it: what is played then stays.
            let rendition = tracks::counterpart(&presentation, &variant, &wanted).unwrap_or(wanted);
            let Some(url) = rendition.url.clone() else {
                self.play_muxed();
                continue;
            };
            let under_way = match &track.choice.loading {
                Some(loading) => loading.url.as_ref(),
                None => track.choice.playing.as_ref(),
            };
            // On other pathways it is the same.
            let places = places::of_rendition(&presentation, &rendition);
            let is_it = |other: Option<&Url>| {
                other == Some(&url) || places.iter().any(|place| Some(&place.url) == other)
            };
            if is_it(under_way) || track.choice.refused.contains(&url) {
                continue;
            }
            if is_it(track.choice.playing.as_ref()) {
                // Back to what is still played.
                track.choice.loading = None;
                continue;
            }
            log::info!(target: "p2phls-engine", "{:?}: going to {:?} at {url}", track.kind, rendition.name);
            track.choice.loading = Some(rendition);
            let (loader, events, kind) = (world.loader.clone(), self.senders.playlists.clone(), track.kind);
            let Some(source) = self.source.clone() else { return };
            let join = reported(&reports, &url);
            tokio::spawn(async move {
                let media = loader.media(&source, &url, join).await;
                // The session has ended when nobody listens.
                let _ = events.send(PlaylistEvent::Rendition(kind, url, media.map(Box::new))).await;
            });
        }
    }

    /// The playlist of a rendition has come, or not.
    pub(super) fn handle_rendition(
        &mut self,
        kind: TrackKind,
        url: &Url,
        media: Result<Media, SessionError>,
        world: &World,
    ) -> Result<(), SessionError> {
        if !self.tracks.get(kind).choice.is_for(url) {
            return Ok(()); // Something else has been chosen meanwhile.
        }
        let rendition = self.tracks.get_mut(kind).choice.loading.take();
        let (Some(presentation), Some(rendition)) = (self.presentation.clone(), rendition) else {
            return Ok(());
        };
        let track = self.tracks.get(kind);
        let heard = match track.muxed {
            Muxed::Off | Muxed::Next => track.stream.as_ref(),
            Muxed::On(_) | Muxed::Last(..) => self.tracks.main.stream.as_ref(),
        };
        let media = match media.and_then(|media| fits(heard, media)) {
            Err(error) if kind == TrackKind::Audio && heard.is_some() => {
                let track = self.tracks.get_mut(kind);
                // There is still the sound that is played.
                track.choice.refused.push(url.clone());
                self.emit(Event::Warning(error));
                return Ok(());
            }
            media => media?,
        };
        let Some(main) = &self.tracks.main.stream else { return Ok(()) };
        let timeline = main.timeline.beside(media.playlist.clone());
        let of = presentation.variant_of(&rendition).or(presentation.variants.first());
        let codecs = of.and_then(|variant| variant.codecs.clone()).unwrap_or_default();
        let stream =
            self.new_stream(kind, media, timeline, Some(PlayedRendition { rendition, codecs }), world)?;
        let playback = self.config.clock.playback().map(|playback| playback.position);
        let main_pushed = self.tracks.main.pump.pushed;
        let track = self.tracks.get_mut(kind);
        track.choice.playing = Some(url.clone());
        track.stay_apart();
        if let Muxed::On(relay) | Muxed::Last(relay, _) = track.muxed
            && !relay.is_fresh()
            && let Some(number) = first_after(&stream.timeline, relay.within().unwrap_or(track.pump.pushed))
        {
            track.part_from_main(stream, relay, number);
        } else if track.stream.is_none() || track.muxed != Muxed::Off {
            track.muxed = Muxed::Off;
            // Where playback is; at the start and after a seek that is where the others go.
            let position = playback.map_or(track.pump.pushed, |playback| playback.min(main_pushed));
            track.begin(stream, position);
        } else if let Some(meeting) = meeting(track, &stream.timeline) {
            track.follow_with(stream, meeting);
        } else {
            track.leave();
            let position = track.pump.pushed;
            track.begin(stream, position);
        }
        Ok(())
    }

    /// Sound that fails is an error, as picture is. Without subtitles playback goes on.
    pub(super) fn survive<T>(
        &mut self,
        kind: TrackKind,
        result: Result<T, SessionError>,
    ) -> Result<Option<T>, SessionError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if kind == TrackKind::Subtitles => {
                self.emit(Event::Warning(error));
                let track = &mut self.tracks.subtitles;
                track.choice.wanted = None;
                track.choice.leave();
                track.leave();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Who waits for subtitles is told that there are none, as long as that is so.
    pub(super) fn fill_silence(&mut self) {
        let (pushed, ended) = (self.tracks.main.pump.pushed, self.tracks.main.pump.has_ended());
        // Not further ahead than need be: some may be chosen any time.
        let until = pushed.min(self.position() + self.rate.or_normal().media_in(SILENCE_AHEAD));
        let track = &mut self.tracks.subtitles;
        if track.stream.is_none() && !track.choice.is_loading() && !track.choice.alternatives.is_empty() {
            track.pump.fill_up_to(until);
            if ended {
                track.pump.end();
            }
        }
    }
}

/// What to ask of the playlist at this address where one of these says how far it is: at least as much.
fn reported(reports: &[RenditionReport], url: &Url) -> Directives {
    let plain = |url: &Url| Directives::default().apply(url);
    let report = reports.iter().find(|report| plain(&report.url) == plain(url));
    report.map_or(Directives::default(), Directives::joining)
}

/// A rendition that can be played on the same pad as what is played now, going by what its playlist says.
fn fits(heard: Option<&Stream>, media: Media) -> Result<Media, SessionError> {
    let has_init = |segment: Option<&Segment>| segment.map(|segment| segment.init.is_some());
    let playing = heard.and_then(|stream| stream.timeline.segments().front());
    match (has_init(playing.map(|placed| &placed.segment)), has_init(media.playlist.segments.first())) {
        (Some(one), Some(other)) if one != other => Err(SessionError::Unsupported(format!(
            "{}: it is packed in another way than what is played, and cannot follow it",
            media.playlist.url
        ))),
        _ => Ok(media),
    }
}

/// Where what a track plays and what it shall play meet: the number of the last segment of the one and of the first
/// of the other. What is going out goes out whole; what comes twice of the other is not shown again.
fn meeting(track: &Track, other: &Timeline) -> Option<Meeting> {
    let stream: &Stream = track.stream.as_ref()?;
    let cursor = track.pump.cursor()?.0;
    let last = cursor - i64::from(!track.pump.has_begun());
    let until = match stream.timeline.get(last) {
        Some(placed) if track.pump.has_begun() => placed.end(),
        _ => track.pump.pushed,
    };
    Some(Meeting { last, first: first_after(other, until)? })
}

/// Number of the segment to go on with after what ends at `until`; None where there are none at all.
fn first_after(timeline: &Timeline, until: Duration) -> Option<i64> {
    let first = timeline.at(until.saturating_add(tracks::ROUNDING)).map(|placed| placed.number);
    first.or_else(|| timeline.segments().back().map(|last| last.number + 1))
}
