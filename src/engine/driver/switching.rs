// SPDX-License-Identifier: MPL-2.0

//! From one variant to another: when the adaptation says so, and where the segments of both meet.
//!
//! A switch takes its time: the other variant's playlist is loaded, a place is looked for where a
//! segment begins in both, and the new stream fetches from there on while the old one plays up to
//! it. What the old one holds beyond is not forgotten before that: where the new one is late, it goes on with
//! one more segment of the old. And what the new one needs before its first segment, initialisation
//! segment and key, has to be there first, so that playback never goes where it cannot go on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::succession::goes_with;
use super::{Driver, World};
use crate::engine::fetcher::FetchEvent;
use crate::engine::follower::FollowerEvent;
use crate::engine::playlists::{Media, PlaylistEvent};
use crate::engine::stream::Stream;
use crate::engine::{Config, SessionError, playlists};
use crate::manifest::{Init, Presentation};
use crate::switcher::ladder::{Offer, ladder};
use crate::switcher::meeting::{self, Held, Meeting};
use crate::switcher::{Adaptation, Limits, Line, Standing, Step, Throughput};

/// With more than this in hand downstream playback can do without the next segment until it is whole.
const RELAXED: Duration = Duration::from_secs(1);

/// While it plays, downstream is not given more than this ahead of playback: what it has cannot be replaced.
const AHEAD: Duration = Duration::from_secs(3);

/// The same at the start, and for how long: a player may want more before it plays.
const AHEAD_AT_START: Duration = Duration::from_secs(2);
const START: Duration = Duration::from_secs(1);

/// With so little in hand another segment of the old variant is better than waiting for the new one.
const URGENT: Duration = Duration::from_secs(1);

/// Why playback goes to another variant.
#[derive(Clone, Copy, Debug)]
enum Why {
    /// The line can carry more, or no longer so much.
    Line(Step),
    /// The publisher does not have this segment of the one in play.
    Gap(i64),
}

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
    loading: Option<(usize, Why)>,
    /// Variants that cannot follow the one in play.
    refused: BTreeSet<usize>,
    /// Segments that are gaps, and variants that do not have them either.
    gaps: BTreeSet<(i64, usize)>,
    /// The last of these that another variant has been gone to for.
    detour: Option<i64>,
    /// Number of the first segment of the next stream.
    number: i64,
    /// The next stream has begun to fetch.
    fetching: bool,
    /// What the next stream begins with is on its way.
    loading_init: Option<Arc<Init>>,
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
            gaps: BTreeSet::new(),
            detour: None,
            number: 0,
            fetching: false,
            loading_init: None,
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

    /// What HTTP does from now on.
    pub fn set_line(&mut self, now: Instant, line: Line) {
        self.throughput.set_line(now, line);
    }

    /// The next stream has begun to fetch.
    pub fn is_next_fetching(&self) -> bool {
        self.fetching
    }

    /// Begins to choose among the variants that can follow the one that is played.
    fn begin(&mut self, presentation: &Presentation, playing: usize) {
        let variants = &presentation.variants;
        let possible: Vec<usize> = (0..variants.len())
            .filter(|index| *index == playing || self.limits.allow(variants[*index].bandwidth))
            .filter(|index| !self.refused.contains(index) && goes_with(&variants[playing], &variants[*index]))
            // Of those that show the same one is enough.
            .filter(|index| {
                *index == playing || playlists::redundant(variants, *index).into_iter().min() == Some(*index)
            })
            .filter(|index| *index == playing || !playlists::redundant(variants, playing).contains(index))
            .collect();
        let offer =
            |index: &usize| Offer { bitrate: variants[*index].bandwidth, score: variants[*index].score };
        let offers: Vec<Offer> = possible.iter().map(offer).collect();
        let current = possible.iter().position(|index| *index == playing).unwrap_or(0);
        let rungs = ladder(&offers, current);
        let bitrates = rungs.iter().map(|rung| offers[*rung].bitrate).collect();
        let current = rungs.iter().position(|rung| *rung == current).unwrap_or(0);
        self.adaptation = Some(Adaptation::new(bitrates, current, self.limits.target_ratio));
        self.levels = rungs.into_iter().map(|rung| possible[rung]).collect();
    }

    fn level(&self, index: Option<usize>) -> Option<usize> {
        self.levels.iter().position(|level| Some(*level) == index)
    }

    /// The switch comes to nothing; `playing` goes on.
    fn give_up(&mut self, now: Instant, playing: Option<usize>) {
        let level = self.level(playing);
        if let (Some(adaptation), Some(level)) = (&mut self.adaptation, level) {
            adaptation.call_off(now, level);
        }
    }

    /// Another variant that may have what is a gap in the one in play: leaner ones first, from the best down.
    fn around(&mut self, now: Instant, gap: i64) -> Option<usize> {
        let adaptation = self.adaptation.as_mut()?;
        let current = adaptation.current();
        let order = (0..current).rev().chain(current + 1..self.levels.len());
        let free = |level: &usize| !self.gaps.contains(&(gap, self.levels[*level]));
        let level = { order }.find(free)?;
        adaptation.set(now, level);
        Some(self.levels[level])
    }
}

impl Driver {
    /// Looks whether another variant would be better, a few times a second.
    pub(super) fn adapt(&mut self, world: &World) {
        let now = Instant::now();
        self.hold_back();
        if self.next.as_ref().is_some_and(|next| !next.lost.is_empty()) {
            log::warn!(target: "p2phls-engine", "the other variant's segments cannot be had");
            self.refuse_next();
        }
        let (Some(presentation), Some(stream)) = (self.presentation.clone(), &self.stream) else { return };
        let Some(playing) = stream.index.filter(|_| self.switching.fixed.is_none()) else { return };
        if self.switching.adaptation.is_none() {
            self.switching.begin(&presentation, playing);
        }
        let Some(standing) = self.standing(now) else { return };
        let narrow = self.switching.adaptation.as_ref().is_some_and(|rule| rule.is_too_much(&standing));
        self.streams_mut().for_each(|stream| stream.viewer.handle_narrow_line(narrow));
        if self.next.is_some() {
            return self.leave_what_is_late(&standing);
        }
        if self.switching.loading.is_some() || self.pump.has_ended() {
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
        tokio::spawn(async move {
            let media = loader.variant(&presentation, index).await;
            // The session has ended when nobody listens.
            let _ = events.send(PlaylistEvent::Variant(index, media.map(Box::new))).await;
        });
    }

    /// The variant to go to, and why.
    fn better(&mut self, now: Instant, standing: &Standing) -> Option<(usize, Why)> {
        let from = self.undecided()?;
        let until = self.position().saturating_add(self.config.buffer_duration);
        let gap = meeting::gap(&self.stream.as_ref()?.timeline, from, until);
        let switching = &mut self.switching;
        switching.gaps.retain(|(number, _)| *number >= from);
        if let Some(gap) = gap
            && let Some(index) = switching.around(now, gap)
        {
            return Some((index, Why::Gap(gap)));
        }
        let adaptation = switching.adaptation.as_mut()?;
        let before = adaptation.current();
        let step = adaptation.decide(now, standing)?;
        if step.level > before && switching.detour.is_some_and(|number| number >= from) {
            // What was gone to another variant for is still to come.
            adaptation.set(now, before);
            return None;
        }
        Some((switching.levels[step.level], Why::Line(step)))
    }

    /// Number of the first segment of which nothing has gone out.
    fn undecided(&self) -> Option<i64> {
        Some(self.pump.cursor()?.0 + i64::from(self.pump.has_begun()))
    }

    /// Keeps from downstream what it does not need yet, where something better may take its place.
    pub(super) fn hold_back(&mut self) {
        let playback = self.config.clock.playback();
        let begun = self.startup.is_none_or(|startup| self.started.elapsed() < startup + START);
        let limit = match playback {
            Some(playback) if playback.playing => Some(playback.position.saturating_add(AHEAD)),
            None if begun => Some(self.origin.saturating_add(AHEAD_AT_START)),
            _ => None,
        };
        let several = self.presentation.as_ref().is_some_and(|p| p.variants.len() > 1);
        let chooses = several && self.switching.fixed.is_none();
        let in_hand = self.pump.pushed.saturating_sub(self.position());
        self.pump.relaxed = chooses && in_hand > RELAXED;
        self.pump.limit = limit.filter(|_| chooses);
    }

    /// Where playback is or will begin.
    fn position(&self) -> Duration {
        self.config.clock.playback().map_or(self.origin, |playback| playback.position)
    }

    /// How playback stands; None before there is something to play.
    fn standing(&mut self, now: Instant) -> Option<Standing> {
        let http = self.switching.throughput.rate(now);
        let stream = self.stream.as_ref()?;
        let position = self.position();
        let (_, end) = stream.timeline.window();
        let mut number = self.pump.cursor()?;
        while stream.viewer.readable(number).1 {
            number.0 += 1;
        }
        Some(Standing {
            buffered: self.buffered().saturating_sub(position),
            room: self.config.buffer_duration.min(end.saturating_sub(position)),
            segment: stream.timeline.target_duration(),
            begun: stream.viewer.readable(number).0,
            requests: stream.requests(),
            http,
            peers: stream.viewer.peer_count(),
        })
    }

    /// The playlist of a variant to switch to has come, or not.
    pub(super) fn handle_variant(&mut self, index: usize, media: Result<Media, SessionError>, world: &World) {
        let Some((_, why)) = self.switching.loading.take_if(|(loading, _)| *loading == index) else { return };
        if self.stream.as_ref().is_none_or(|stream| stream.index == Some(index)) || self.next.is_some() {
            return;
        }
        let prepared = media.and_then(|media| self.prepare(media, why, world));
        match (prepared, why) {
            (Ok((next, meeting)), _) => {
                let number = meeting.first;
                log::info!(target: "p2phls-engine", "segment {number} is the first of the other variant");
                self.next = Some(next);
                self.meet(meeting);
                if let Why::Gap(gap) = why {
                    self.switching.detour = Some(gap);
                }
            }
            (Err(error), Why::Line(_)) => {
                log::warn!(target: "p2phls-engine", "the other variant cannot follow: {error}");
                self.refuse(index);
            }
            (Err(error), Why::Gap(gap)) => {
                log::info!(target: "p2phls-engine", "the other variant has no segment {gap} either: {error}");
                self.switching.gaps.insert((gap, index));
                let playing = self.stream.as_ref().and_then(|stream| stream.index);
                self.switching.give_up(Instant::now(), playing);
            }
        }
    }

    /// Begins the stream that is to follow, and says where.
    fn prepare(&mut self, media: Media, why: Why, world: &World) -> Result<(Stream, Meeting), SessionError> {
        let no_place =
            || SessionError::Unsupported("its segments do not begin where those in play do".to_owned());
        let (Some(stream), Some(from)) = (&self.stream, self.undecided()) else { return Err(no_place()) };
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
        Ok((self.new_stream(media, theirs, world)?, meeting))
    }

    /// The next stream begins here.
    fn meet(&mut self, Meeting { last, first }: Meeting) {
        if let Some(stream) = &mut self.stream {
            stream.end_at(Some(last));
        }
        (self.switching.number, self.switching.fetching) = (first, false);
    }

    /// The last segment before a leaner variant comes too late: the leaner one has to come in its place.
    fn leave_what_is_late(&mut self, standing: &Standing) {
        let (Some(stream), Some(next), Some(from)) = (&self.stream, &self.next, self.undecided()) else {
            return;
        };
        let (Some(last), false) = (stream.last(), self.switching.fetching) else { return };
        let playing = self.switching.level(stream.index);
        let adaptation = self.switching.adaptation.as_ref();
        let late = playing.zip(adaptation).is_some_and(|(level, rule)| rule.is_late(level, standing));
        if late
            && last >= from
            && let Some(meeting) = meeting::meet_at(&stream.timeline, &next.timeline, last)
        {
            log::info!(target: "p2phls-engine", "segment {last} would be late and is left: {standing:?}");
            self.meet(meeting);
        }
    }

    /// Lets the next stream fetch when the one in play has what it needs, which is needed first; and goes over
    /// to it once the output has come to where it begins. True if the output has to wait for that.
    pub(super) fn switch_when_due(&mut self, world: &World) -> bool {
        let ready = self.can_begin_next(world);
        let (Some(next), Some(stream), Some(cursor)) = (&mut self.next, &mut self.stream, self.pump.cursor())
        else {
            return false;
        };
        let Some(last) = stream.last() else { return false };
        let due = cursor.0 > last;
        let number = self.switching.number;
        if !self.switching.fetching && (due || stream.held(last) == Held::Whole) {
            self.switching.fetching = true;
            next.go_to(number);
            // What comes after it would only make it later.
            next.end_at(Some(number));
        }
        let whole = next.held(number) == Held::Whole;
        if whole && next.last().is_some() {
            next.end_at(None);
        }
        if !due {
            return false;
        }
        let spare = stream.held(last + 1) == Held::Whole;
        if ready && (whole || !spare) {
            self.promote();
            self.pump.switch_to(number);
            return false;
        }
        let later = meeting::meet(&stream.timeline, &next.timeline, last + 2);
        if !spare || self.pump.pushed > self.position().saturating_add(URGENT) {
            return true;
        }
        log::info!(target: "p2phls-engine", "the other variant is late: segment {} is not its", last + 1);
        match later {
            Some(meeting) => self.meet(meeting),
            None => self.call_off(),
        }
        false
    }

    /// What the next stream needs before its first segment is there. It is asked for otherwise, and where it cannot
    /// be had, nothing comes of the switch.
    fn can_begin_next(&mut self, world: &World) -> bool {
        let Some(next) = &self.next else { return false };
        let Some(placed) = next.timeline.get(self.switching.number) else { return true };
        let (key, init) = (placed.segment.key.clone(), placed.segment.init.clone());
        let sequence = placed.segment.sequence;
        let mut ready = true;
        for key in key.iter().chain(init.as_ref().and_then(|init| init.key.as_ref())) {
            match self.keys.decryptor(key, sequence) {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    log::warn!(target: "p2phls-engine", "the other variant cannot be decrypted: {error}");
                    self.refuse_next();
                    return false;
                }
                None => {
                    self.keys.want(key);
                    ready = false;
                }
            }
        }
        if let Some(init) = init.filter(|init| !self.pump.has_init(init)) {
            ready = false;
            if self.switching.loading_init.as_ref() != Some(&init) {
                self.switching.loading_init = Some(init.clone());
                self.load_init(&world.http, init);
            }
        }
        ready
    }

    /// An initialisation segment of the next stream has come or not. Gives back what is not for it.
    pub(super) fn handle_next_init(
        &mut self,
        init: &Arc<Init>,
        bytes: Result<bytes::Bytes, SessionError>,
    ) -> Result<Option<bytes::Bytes>, SessionError> {
        let for_next = self.switching.loading_init.take_if(|loading| loading == init).is_some();
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            // It is needed now as well.
            Err(error) if self.loading_init.as_ref() == Some(init) => Err(error),
            Err(error) => {
                if for_next {
                    log::warn!(target: "p2phls-engine", "the other variant cannot begin: {error}");
                    self.refuse_next();
                }
                Ok(None)
            }
        }
    }

    /// A key cannot be had that the next stream begins with.
    pub(super) fn handle_next_key_lost(&mut self, url: &url::Url) {
        let number = self.switching.number;
        let placed = self.next.as_ref().and_then(|next| next.timeline.get(number));
        let keys = placed.into_iter().flat_map(|placed| {
            placed.segment.key.iter().chain(placed.segment.init.as_ref().and_then(|init| init.key.as_ref()))
        });
        if { keys }.any(|key| key.uri.as_ref() == Some(url)) {
            self.refuse_next();
        }
    }

    /// A seek does not wait for where streams meet.
    pub(super) fn hurry_switch(&mut self) {
        let number = self.switching.number;
        let first = self.next.as_ref().and_then(|next| next.timeline.get(number));
        let plain = |init: &Arc<Init>| self.pump.has_init(init);
        let can_begin = first.is_none_or(|placed| {
            placed.segment.init.as_ref().is_none_or(plain)
                && placed.segment.key.as_ref().is_none_or(|key| {
                    matches!(self.keys.decryptor(key, placed.segment.sequence), Some(Ok(_)))
                })
        });
        match &self.next {
            Some(_) if can_begin => self.promote(),
            Some(_) => self.call_off(),
            None => {}
        }
    }

    /// Makes the next stream the one that is played.
    fn promote(&mut self) {
        let Some(mut next) = self.next.take() else { return };
        next.end_at(None);
        if let Some(old) = self.stream.replace(next) {
            self.counters = self.counters_with(old.viewer.counters());
            tokio::spawn(old.stop());
        }
        self.switching.count += 1;
        self.share_timeline();
    }

    pub(super) fn handle_next_followed(&mut self, event: FollowerEvent) {
        let Some(next) = &mut self.next else { return };
        let failed = match event {
            FollowerEvent::Updated { timeline, restarted: false, moved } => {
                let taken = next.take_timeline(*timeline);
                if moved {
                    next.try_again(self.switching.number);
                }
                taken.is_err()
            }
            FollowerEvent::Updated { .. } | FollowerEvent::Failed(_) => true,
            FollowerEvent::Trouble(_) => false,
        };
        if failed {
            self.refuse_next();
        }
    }

    /// The next stream has turned out to be of no use.
    fn refuse_next(&mut self) {
        if let Some(index) = self.next.as_ref().and_then(|next| next.index) {
            self.refuse(index);
        }
        self.call_off();
    }

    /// Plays on as if no switch had been begun.
    pub(super) fn call_off(&mut self) {
        let Some(next) = self.next.take() else { return };
        self.counters = self.counters_with(next.viewer.counters());
        tokio::spawn(next.stop());
        if let Some(stream) = &mut self.stream {
            stream.end_at(None);
            self.switching.give_up(Instant::now(), stream.index);
        }
    }

    /// A variant cannot follow the one in play.
    fn refuse(&mut self, index: usize) {
        self.switching.refused.insert(index);
        if let (Some(presentation), Some(playing)) =
            (&self.presentation, self.stream.as_ref().and_then(|stream| stream.index))
        {
            self.switching.begin(presentation, playing);
        }
    }
}
