// SPDX-License-Identifier: MPL-2.0

//! Which variants there are to choose from beside the one in play, and what is known of changing between them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::succession::goes_with;
use crate::engine::{Config, places};
use crate::manifest::Presentation;
use crate::switcher::ladder::{Offer, ladder};
use crate::switcher::{Adaptation, Limits, Line, Step, Throughput};

/// Why playback goes to another variant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    /// The line can carry more, or no longer so much.
    Line(Step),
    /// The publisher does not have this segment of the one in play.
    Gap(i64),
}

/// What is known of switching.
pub(super) struct Switching {
    /// Bits a second, where the application has said what there is: nothing is measured then.
    pub(super) fixed: Option<u64>,
    /// Bits a second to begin with; 0 is unknown.
    pub(super) start: u64,
    pub(super) limits: Limits,
    pub(super) throughput: Throughput,
    pub(super) adaptation: Option<Adaptation>,
    /// Which variant each level of the adaptation is.
    pub(super) levels: Vec<usize>,
    /// Its playlist is on its way.
    pub(super) loading: Option<(usize, Why)>,
    /// Variants that cannot follow the one in play.
    pub(super) refused: BTreeSet<usize>,
    /// Variants that the manifest offers no longer.
    pub(super) gone: BTreeSet<usize>,
    /// A variant that is gone, or that the pathway that is taken does not have, if that is what is played.
    pub(super) astray: Option<usize>,
    /// Segments that are gaps, and variants that do not have them either.
    pub(super) gaps: BTreeSet<(i64, usize)>,
    /// The last of these that another variant has been gone to for.
    pub(super) detour: Option<i64>,
    /// The variant of which something went out last.
    pub(super) shown: Option<usize>,
    /// Times that playback went on with another.
    pub(super) count: u64,
}

impl Switching {
    pub(super) fn new(config: &Config) -> Self {
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
            gone: BTreeSet::new(),
            astray: None,
            gaps: BTreeSet::new(),
            detour: None,
            shown: None,
            count: 0,
        }
    }

    /// What is played is chosen by what is measured.
    pub(super) fn is_free(&self) -> bool {
        self.fixed.is_none()
    }

    /// Something of this variant has gone out.
    pub(super) fn note_shown(&mut self, variant: Option<usize>) {
        if self.shown.is_some() && variant != self.shown {
            self.count += 1;
        }
        self.shown = variant;
    }

    /// Bits a second to choose the first variant by; 0 is unknown.
    pub(super) fn start_rate(&self) -> u64 {
        self.fixed.unwrap_or(self.start)
    }

    /// What HTTP delivers is measured whatever it is for.
    pub(super) fn watch(&mut self, now: Instant, bytes: usize) {
        self.throughput.record(now, bytes as u64);
    }

    /// What HTTP does from now on.
    pub(super) fn set_line(&mut self, now: Instant, line: Line) {
        self.throughput.set_line(now, line);
    }

    /// Begins to choose among the variants that can follow the one that is played: those of `pathway`, if there are
    /// several.
    pub(super) fn begin(&mut self, presentation: &Presentation, playing: usize, pathway: Option<&str>) {
        let variants = &presentation.variants;
        let is_offered = |index: usize| {
            !self.gone.contains(&index) && pathway.is_none_or(|pathway| variants[index].pathway() == pathway)
        };
        let mut possible = vec![playing];
        for index in (0..variants.len()).filter(|index| *index != playing && is_offered(*index)) {
            let variant = &variants[index];
            // Of those that show the same one is enough.
            let is_new = |known: &usize| !places::same(&variants[*known], variant);
            if self.limits.allow(variant.bandwidth)
                && !self.refused.contains(&index)
                && goes_with(&variants[playing], variant)
                && possible.iter().all(is_new)
            {
                possible.push(index);
            }
        }
        let is_there = |other| is_offered(other) && places::same(&variants[playing], &variants[other]);
        let is_astray = !is_offered(playing) && !(0..variants.len()).any(is_there);
        self.astray = is_astray.then_some(playing);
        // In the order of the playlist.
        possible.sort_unstable();
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

    /// A stream of variant `before` has gone to another place, where it is `after`.
    pub(super) fn handle_moved(&mut self, before: usize, after: usize) {
        if self.shown == Some(before) {
            // To whoever watches it is the same.
            self.shown = Some(after);
        }
        self.forget_levels();
    }

    /// Another variant is played.
    pub(super) fn arrive(&mut self) {
        if self.astray.take().is_some() {
            // What is gone or not on the pathway is not gone back to.
            self.forget_levels();
        }
    }

    /// What there is to choose from is to be looked at again.
    pub(super) fn forget_levels(&mut self) {
        self.adaptation = None;
    }

    /// What HTTP delivers, in bits a second.
    pub(super) fn rate(&mut self, now: Instant) -> Option<u64> {
        self.throughput.rate(now).map(|http| http.rate)
    }

    /// The variant to go to where the one in play is gone, or not on the pathway: the best that is no richer, or else the
    /// leanest.
    pub(super) fn back_to_pathway(&mut self, now: Instant, playing: Option<usize>) -> Option<(usize, Step)> {
        self.astray.filter(|astray| Some(*astray) == playing)?;
        let adaptation = self.adaptation.as_mut()?;
        let current = adaptation.current();
        let level = (0..current).next_back().or_else(|| (current + 1..self.levels.len()).next())?;
        adaptation.set(now, level);
        Some((self.levels[level], Step { level, keep: Duration::MAX, abandon: false }))
    }

    pub(super) fn level(&self, index: Option<usize>) -> Option<usize> {
        self.levels.iter().position(|level| Some(*level) == index)
    }

    /// The switch comes to nothing; `playing` goes on.
    pub(super) fn give_up(&mut self, now: Instant, playing: Option<usize>) {
        let level = self.level(playing);
        match (&mut self.adaptation, level) {
            (Some(adaptation), Some(level)) => adaptation.call_off(now, level),
            _ => self.forget_levels(),
        }
    }

    /// Another variant that may have what is a gap in the one in play: leaner ones first, from the best down.
    pub(super) fn around(&mut self, now: Instant, gap: i64) -> Option<usize> {
        let adaptation = self.adaptation.as_mut()?;
        let current = adaptation.current();
        let order = (0..current).rev().chain(current + 1..self.levels.len());
        let free = |level: &usize| !self.gaps.contains(&(gap, self.levels[*level]));
        let level = { order }.find(free)?;
        adaptation.set(now, level);
        Some(self.levels[level])
    }
}
