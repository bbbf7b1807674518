// SPDX-License-Identifier: MPL-2.0

//! Playback by key frames alone, where a seek asks for it: the tracks rest meanwhile, as if nothing were to be played.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::{Driver, World};
use crate::container;
use crate::engine::codecs::families;
use crate::engine::key_frames::{News, Player};
use crate::engine::session::{KeyFrames, Seek};
use crate::engine::{Event, SessionError, TrackKind, cmcd};
use crate::manifest::{MediaPlaylist, Presentation, Variant};
use crate::net::cmcd::Kind;
use crate::rate::Direction;
use crate::switcher::Sweep;
use crate::switcher::ladder::{Offer, best_within};

/// Playlists of key frames that are tried.
const MAX_LISTS: usize = 3;

/// How playback by key frames is going.
#[derive(Default)]
pub(super) struct ByKeyFrames {
    /// None: playback is as usual.
    running: Option<Running>,
    /// The last playlist that was loaded, if it does not change.
    known: Option<(Url, Arc<MediaPlaylist>)>,
}

struct Running {
    seek: Seek,
    direction: Direction,
    _task: DropGuard,
}

impl Driver {
    /// Playback goes by key frames alone.
    pub(super) fn is_by_key_frames(&self) -> bool {
        self.by_key_frames.running.is_some()
    }

    /// Plays by key frames from where a seek goes. False: there are none to be had.
    pub(super) fn play_key_frames(&mut self, seek: Seek, wanted: KeyFrames, world: &World) -> bool {
        let (Some(stream), Some(source)) = (&self.tracks.main.stream, &self.source) else { return false };
        let timeline = &stream.timeline;
        if !self.has_key_frames() {
            return false;
        }
        if wanted.direction == Direction::Forward && timeline.is_live() {
            // It comes to where nothing is made yet, and waits there as usual.
            return false;
        }
        // Forward all frames are as good, if there is time for them.
        let heads = wanted.direction == Direction::Backward;
        let presentation = self.presentation.as_deref();
        let playing = stream.variant.as_ref();
        let budget = self.http_rate().map(|rate| (rate as f64 / seek.rate.get()) as u64);
        let lists =
            presentation.zip(playing).map(|(of, playing)| lists(of, playing, budget)).unwrap_or_default();
        if lists.is_empty() && !heads {
            return false;
        }
        let sweep =
            Sweep { direction: wanted.direction, rate: seek.rate, from: seek.position, until: wanted.until };
        let init = timeline.segments().iter().find_map(|placed| placed.segment.init.clone());
        let task = CancellationToken::new();
        let player = Player {
            loader: world.loader.clone(),
            source: source.clone(),
            lists,
            known: self.by_key_frames.known.clone(),
            main: timeline.clone(),
            kind: if init.is_some() { container::Kind::FragmentedMp4 } else { container::Kind::MpegTs },
            main_init: init.and_then(|init| self.tracks.main.pump.init_of(&init)),
            heads,
            sweep,
            clock: self.config.clock.clone(),
            main_writer: self.tracks.main.pump.writer(seek.generation),
            other_writers: [&self.tracks.audio, &self.tracks.subtitles]
                .map(|track| track.pump.writer(seek.generation))
                .into(),
            news: self.senders.key_frames.clone(),
            generation: seek.generation,
        };
        log::info!(target: "p2phls-engine", "by key frames: {sweep:?} from {:?}", player.lists);
        for track in self.tracks.iter_mut() {
            track.rest(seek.position, seek.generation);
        }
        let stopped = task.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = player.run() => {}
            }
        });
        self.by_key_frames.running =
            Some(Running { seek, direction: wanted.direction, _task: task.drop_guard() });
        true
    }

    /// Goes back to usual playback.
    pub(super) fn leave_key_frames(&mut self) {
        self.by_key_frames.running = None;
        self.tracks.iter_mut().for_each(|track| track.rests = false);
    }

    /// Something has become of it.
    pub(super) fn handle_key_frames(
        &mut self,
        generation: u64,
        news: News,
        world: &World,
    ) -> Result<(), SessionError> {
        match news {
            News::Loaded(url, playlist) => {
                self.by_key_frames.known = playlist.ended.then_some((url, playlist))
            }
            News::Fetched(bytes) => self.tracks.main.note_fetched(bytes),
            News::Failed { reached, error } => {
                let Some(running) =
                    self.by_key_frames.running.take_if(|running| running.seek.generation == generation)
                else {
                    return Ok(()); // Of a seek that is over.
                };
                if running.direction == Direction::Backward {
                    return Err(error);
                }
                self.emit(Event::Warning(error));
                self.leave_key_frames();
                self.play_from(Seek { position: reached.unwrap_or(running.seek.position), ..running.seek });
                self.provide_renditions(world);
            }
        }
        Ok(())
    }

    /// Whether there are key frames to be had by themselves, as far as is known.
    pub(super) fn has_key_frames(&self) -> bool {
        let Some(stream) = &self.tracks.main.stream else { return false };
        let kind = cmcd::kind_of(TrackKind::Main, self.presentation.as_deref(), stream.variant.as_ref());
        let segments = stream.timeline.segments();
        let are_plain = segments.iter().all(|placed| placed.segment.key.is_none());
        let init = segments.iter().find_map(|placed| placed.segment.init.as_ref());
        let init = init.and_then(|init| self.tracks.main.pump.init_of(init));
        let container = init.and_then(|init| container::Kind::sniff(&init));
        let is_known = container != Some(container::Kind::WebM);
        kind != Kind::Audio && are_plain && is_known && !segments.is_empty()
    }

    /// What HTTP delivers, in bits a second.
    fn http_rate(&self) -> Option<u64> {
        let rate = self.switching.fixed.unwrap_or_else(|| self.shared.lock().stats.http_rate);
        (rate > 0).then_some(rate)
    }
}

/// The playlists of key frames to try in place of `playing`, the best first: of those that are no larger the best within
/// `budget` (bits a second), and then leaner ones.
fn lists(presentation: &Presentation, playing: &Variant, budget: Option<u64>) -> Vec<Url> {
    let pixels =
        |variant: &Variant| variant.resolution.map(|size| u64::from(size.width) * u64::from(size.height));
    let is_fit = |variant: &&Variant| {
        let is_no_larger = match (pixels(variant), pixels(playing)) {
            (Some(one), Some(other)) => one <= other,
            _ => true,
        };
        variant.pathway() == playing.pathway() && has_codec_of(variant, playing) && is_no_larger
    };
    let mut fit: Vec<&Variant> = presentation.i_frame_variants.iter().filter(is_fit).collect();
    fit.sort_by_key(|variant| variant.bandwidth);
    let offer = |variant: &&Variant| Offer { bitrate: variant.bandwidth, score: None };
    let offers: Vec<Offer> = fit.iter().map(offer).collect();
    let best = best_within(&offers, budget.unwrap_or(0)).map_or(0, |best| best + 1);
    fit[..best].iter().rev().take(MAX_LISTS).map(|variant| variant.url.clone()).collect()
}

/// Whether the picture of `list` is of the kind that is played, as far as both say.
fn has_codec_of(list: &Variant, playing: &Variant) -> bool {
    let (Some(list), Some(playing)) = (&list.codecs, &playing.codecs) else { return true };
    families(list).is_subset(&families(playing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::testing::presentation;

    #[test]
    fn a_list_fits_the_picture_and_the_line() {
        let list = |bandwidth: u64, attributes: &str| {
            format!("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={bandwidth},{attributes},URI=\"{bandwidth}\"\n")
        };
        let codecs = "CODECS=\"avc1.4d401f\"";
        let presentation = presentation(
            &[
                list(300, &format!("{codecs},RESOLUTION=20x10")),
                list(100, &format!("{codecs},RESOLUTION=10x10")),
                list(900, &format!("{codecs},RESOLUTION=40x20")),
                list(50, "CODECS=\"hvc1.2.4.L123\",RESOLUTION=10x10"),
                list(60, &format!("{codecs},PATHWAY-ID=\"elsewhere\"")),
                "#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=20x10\nv\n"
                    .to_owned(),
            ]
            .concat(),
        );
        let chosen = |budget| -> Vec<String> {
            let chosen = lists(&presentation, &presentation.variants[0], budget);
            chosen.iter().map(|url| url.path()[1..].to_owned()).collect()
        };
        assert_eq!(chosen(Some(1_000)), ["300", "100"]);
        assert_eq!(chosen(Some(200)), ["100"]);
        for unknown_or_little in [None, Some(10)] {
            assert_eq!(chosen(unknown_or_little), ["100"]);
        }
    }
}
