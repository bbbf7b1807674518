// SPDX-License-Identifier: MPL-2.0

//! From one variant to another: when the adaptation says so, and where the segments of both meet.
//!
//! A switch takes its time: the other variant's playlist is loaded, a place is looked for where a
//! segment begins in both, and the new stream fetches from there on while the old one plays up to
//! it. What is held of the old one is played, but not all of what came before anything was known of
//! the line.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::succession::goes_with;
use super::{Driver, World};
use crate::engine::fetcher::FetchEvent;
use crate::engine::playlists::{Media, PlaylistEvent};
use crate::engine::stream::Stream;
use crate::engine::{Config, SessionError, TrackKind, playlists};
use crate::manifest::{Presentation, Timeline};
use crate::swarm::SegmentId;
use crate::switcher::{Adaptation, Limits, Standing, Throughput};

/// Segments of two variants that begin within this time of each other show the same: the durations
/// in playlists are rounded.
const SAME_TIME: Duration = Duration::from_millis(100);

/// So many segments ahead a place to switch is looked for.
const LOOKAHEAD: i64 = 10;

/// When the first variant turns out to be too lean, so much of it is played and the rest thrown away: the
/// larger of this and two segments.
const FIRST_IMPRESSION: Duration = Duration::from_secs(4);

/// With more than this in hand downstream playback can do without the next segment until it is whole.
const RELAXED: Duration = Duration::from_secs(2);

/// Of a segment that has come so far, the rest is waited for even when a leaner variant comes after it.
const NEARLY_WHOLE: f64 = 0.7;

/// What is known of switching.
pub(super) struct Switching {
    /// Bits a second, where the application has said what there is: nothing is measured then.
    fixed: Option<u64>,
    /// Bits a second to begin with; 0 is unknown.
    start: u64,
    pub limits: Limits,
    throughput: Throughput,
    adaptation: Option<Adaptation>,
    /// Which variant each level of the adaptation is.
    levels: Vec<usize>,
    /// Its playlist is on its way.
    loading: Option<usize>,
    /// Variants that cannot follow the one in play.
    refused: BTreeSet<usize>,
    /// Switches done.
    pub count: u64,
}

impl Switching {
    pub fn new(config: &Config) -> Self {
        Self {
            fixed: (config.connection_speed > 0).then_some(config.connection_speed),
            start: config.start_bitrate,
            limits: Limits {
                min: config.min_bitrate,
                max: config.max_bitrate,
                target_ratio: config.bandwidth_target_ratio,
            },
            throughput: Throughput::default(),
            adaptation: None,
            levels: Vec::new(),
            loading: None,
            refused: BTreeSet::new(),
            count: 0,
        }
    }

    /// Bits a second to choose the first variant by; 0 is unknown.
    pub fn start_rate(&self) -> u64 {
        self.fixed.unwrap_or(self.start)
    }

    /// What HTTP delivers is measured whatever it is for.
    pub fn watch(&mut self, now: Instant, event: &FetchEvent) {
        if let FetchEvent::Bytes { bytes, .. } = event {
            self.throughput.record(now, bytes.len() as u64);
        }
    }

    /// Bits a second.
    pub fn http_rate(&mut self, now: Instant, busy: bool) -> Option<u64> {
        self.throughput.set_busy(now, busy);
        self.throughput.rate(now)
    }

    /// Begins to choose among the variants that can follow the one that is played.
    fn begin(&mut self, presentation: &Presentation, playing: usize) {
        let variants = &presentation.variants;
        let mut levels: Vec<usize> = (0..variants.len())
            .filter(|index| *index == playing || self.limits.allow(variants[*index].bandwidth))
            .filter(|index| !self.refused.contains(index) && goes_with(&variants[playing], &variants[*index]))
            // Of those that show the same one is enough.
            .filter(|index| {
                *index == playing || playlists::redundant(variants, *index).into_iter().min() == Some(*index)
            })
            .filter(|index| *index == playing || !playlists::redundant(variants, playing).contains(index))
            .collect();
        levels.sort_by_key(|index| variants[*index].bandwidth);
        let current = levels.iter().position(|index| *index == playing).unwrap_or(0);
        let bitrates = levels.iter().map(|index| variants[*index].bandwidth).collect();
        self.adaptation = Some(Adaptation::new(bitrates, current, self.limits.target_ratio));
        self.levels = levels;
    }

    /// The switch to `index` comes to nothing; `playing` goes on.
    fn give_up(&mut self, now: Instant, playing: Option<usize>) {
        let level = self.levels.iter().position(|index| Some(*index) == playing);
        if let (Some(adaptation), Some(level)) = (&mut self.adaptation, level) {
            adaptation.call_off(now, level);
        }
    }
}

impl Driver {
    /// Looks whether another variant would be better, a few times a second.
    pub(super) fn adapt(&mut self, world: &World) {
        let now = Instant::now();
        let busy = self.streams().any(Stream::is_fetching);
        let http_rate = self.switching.http_rate(now, busy);
        let in_hand = self.tracks.main.pump.pushed.saturating_sub(self.position());
        self.tracks.main.pump.relaxed = self.switching.levels.len() > 1 && in_hand > RELAXED;
        if self.tracks.main.next.as_ref().is_some_and(|next| !next.stream.lost.is_empty()) {
            log::warn!(target: "p2phls-engine", "the other variant's segments cannot be had");
            self.refuse_next(TrackKind::Main);
        }
        let main = &self.tracks.main;
        let (Some(presentation), Some(source), Some(stream)) =
            (self.presentation.clone(), self.source.clone(), &main.stream)
        else {
            return;
        };
        let Some(playing) = stream.index.filter(|_| self.switching.fixed.is_none()) else { return };
        if main.next.is_some() || self.switching.loading.is_some() || main.pump.has_ended() {
            return;
        }
        if self.switching.adaptation.is_none() {
            self.switching.begin(&presentation, playing);
        }
        let Some(standing) = self.standing(http_rate) else { return };
        let Some(adaptation) = &mut self.switching.adaptation else { return };
        let Some(index) = adaptation.decide(now, &standing).map(|level| self.switching.levels[level]) else {
            return;
        };
        log::info!(
            target: "p2phls-engine",
            "going to the variant of {} bit/s: {:?} of {:?} buffered, HTTP at {:?} bit/s, {} peers",
            presentation.variants[index].bandwidth, standing.buffered, standing.room, standing.http_rate,
            standing.peers
        );
        self.switching.loading = Some(index);
        let (loader, events) = (world.loader.clone(), self.senders.playlists.clone());
        tokio::spawn(async move {
            let media = loader.variant(&source, &presentation, index).await;
            // The session has ended when nobody listens.
            let _ = events.send(PlaylistEvent::Variant(index, media.map(Box::new))).await;
        });
    }

    /// Where playback is or will begin.
    pub(super) fn position(&self) -> Duration {
        self.config.clock.playback().map_or(self.tracks.main.origin, |playback| playback.position)
    }

    /// How playback stands; None before there is something to play.
    fn standing(&self, http_rate: Option<u64>) -> Option<Standing> {
        let stream = self.tracks.main.stream.as_ref()?;
        let position = self.position();
        let (_, end) = stream.timeline.window();
        Some(Standing {
            buffered: self.buffered().saturating_sub(position),
            room: self.config.buffer_duration.min(end.saturating_sub(position)),
            segment: stream.timeline.target_duration(),
            http_rate,
            peers: stream.viewer.peer_count(),
        })
    }

    /// The playlist of a variant to switch to has come, or not.
    pub(super) fn handle_variant(&mut self, index: usize, media: Result<Media, SessionError>, world: &World) {
        self.switching.loading = None;
        let main = &self.tracks.main;
        if main.stream.as_ref().is_none_or(|stream| stream.index == Some(index)) || main.next.is_some() {
            return;
        }
        let prepared = media.and_then(|media| self.prepare(media, world));
        match prepared {
            Ok((next, last, number)) => {
                log::info!(target: "p2phls-engine", "segment {number} is the first of the other variant");
                self.tracks.main.follow_with(next, last, number);
            }
            Err(error) => {
                log::warn!(target: "p2phls-engine", "the other variant cannot follow: {error}");
                self.refuse(index);
            }
        }
    }

    /// Begins the stream that is to follow. Gives it with the number of the last segment before it and of its
    /// own first one.
    fn prepare(&mut self, media: Media, world: &World) -> Result<(Stream, i64, i64), SessionError> {
        let no_place =
            || SessionError::Unsupported("its segments do not begin where those in play do".to_owned());
        let stream = self.tracks.main.stream.as_ref().ok_or_else(no_place)?;
        let timeline = stream.timeline.beside(media.playlist.clone());
        let bandwidth =
            |index: Option<usize>| Some(self.presentation.as_ref()?.variants.get(index?)?.bandwidth);
        let up = bandwidth(media.variant) > bandwidth(stream.index);
        let (last, number) = self.meeting(&timeline, up).ok_or_else(no_place)?;
        Ok((self.new_stream(TrackKind::Main, media, timeline, None, world)?, last, number))
    }

    /// Where the stream in play and that of `other` meet: the number of the last segment of the one and of the
    /// first segment of the other.
    fn meeting(&self, other: &Timeline, up: bool) -> Option<(i64, i64)> {
        let (stream, pump) = (self.tracks.main.stream.as_ref()?, &self.tracks.main.pump);
        let mut number = pump.cursor()?.0 + i64::from(pump.has_begun());
        let held = |number: i64| stream.viewer.readable(SegmentId(number));
        let first = up && self.switching.count == 0;
        let enough = self.position() + FIRST_IMPRESSION.max(stream.timeline.target_duration() * 2);
        let plays = |number: i64| {
            held(number).1
                && (!first || stream.timeline.get(number).is_some_and(|placed| placed.start < enough))
        };
        while plays(number) {
            number += 1;
        }
        // What has begun to come is not thrown away for something better, nor what is nearly there.
        let bandwidth = stream.variant.as_ref().map_or(0, |variant| variant.bandwidth);
        let size = stream
            .timeline
            .get(number)
            .map_or(0.0, |s| s.segment.duration.as_secs_f64() * bandwidth as f64 / 8.0);
        let enough = if up { 0.0 } else { size * NEARLY_WHOLE };
        number += i64::from(!first && held(number).0 as f64 > enough);
        (number..number + LOOKAHEAD).find_map(|number| {
            let ours = stream.timeline.get(number);
            let start = match ours {
                Some(placed) => placed.start,
                // The next one at the live edge.
                None if stream.timeline.segments().back()?.number + 1 == number
                    && stream.timeline.is_live() =>
                {
                    stream.timeline.window().1
                }
                None => return None,
            };
            let same = |place: Duration| place.abs_diff(start) <= SAME_TIME;
            let Some(theirs) = other.at(start.saturating_add(SAME_TIME)).filter(|placed| same(placed.start))
            else {
                // Theirs is not listed either yet.
                let last = other.segments().back()?;
                return (ours.is_none() && same(last.end())).then_some((number - 1, last.number + 1));
            };
            let kind = |with_init: bool| ours.is_none_or(|ours| ours.segment.init.is_some() == with_init);
            (kind(theirs.segment.init.is_some()) && !theirs.segment.gap)
                .then_some((number - 1, theirs.number))
        })
    }

    /// Another variant is played than before.
    pub(super) fn variant_changed(&mut self) {
        self.switching.count += 1;
        self.share_timeline();
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
            self.switching.begin(presentation, playing);
        }
    }
}
