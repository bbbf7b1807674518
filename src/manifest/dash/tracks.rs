// SPDX-License-Identifier: MPL-2.0

//! Which representations of several periods are one track. Advertisements between periods often
//! have other ids, fewer qualities or no language; playback goes on with what comes closest.

use std::sync::Arc;

use super::descriptors::Descriptor;
use super::mpd::{AdaptationSet, Kind, Mpd, Period, Purpose, Representation};
use super::read_set::is_harmless;

/// Most tracks; the surplus is left out.
const MAX_TRACKS: usize = 500;

/// One quality of one thing, over all periods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Unlike that of any other track, and the same after a reload.
    pub name: String,
    /// Id of the representation that it is named after.
    id: Arc<str>,
    pub kind: Kind,
    /// Few frames, for playback at other speeds.
    pub trick_mode: bool,
    /// For each period the places of set and representation, where it has them.
    places: Vec<Option<Place>>,
    /// What it shares with the other qualities of the same thing.
    group: Arc<Group>,
    bandwidth: u64,
}

/// Where in a period a representation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub set: usize,
    pub representation: usize,
}

/// What makes two sets the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    kind: Kind,
    trick_mode: bool,
    language: String,
    roles: Vec<String>,
}

impl Group {
    /// None: it is not to be played.
    fn of(set: &AdaptationSet) -> Option<Arc<Self>> {
        let trick_mode = match &set.purpose {
            Purpose::Play => false,
            Purpose::TrickMode(_) => true,
            Purpose::Thumbnails { .. } | Purpose::Unknown(_) => return None,
        };
        if matches!(set.kind, Kind::Image | Kind::Other) {
            return None;
        }
        let value = |descriptor: &Descriptor| descriptor.value.clone();
        let mut roles: Vec<_> = set.roles.iter().chain(&set.accessibility).filter_map(value).collect();
        roles.retain(|role| role != "main");
        roles.sort_unstable();
        roles.dedup();
        let language = set.language.clone().unwrap_or_default().to_ascii_lowercase();
        Some(Arc::new(Self { kind: set.kind, trick_mode, language, roles }))
    }
}

/// Whether a representation can be played by itself.
fn is_playable(representation: &Representation) -> bool {
    representation.dependencies.is_empty() && representation.essential_properties.iter().all(is_harmless)
}

impl Track {
    /// The tracks of a presentation: those that are known already, whether anything is left of them or not, and then
    /// others in the order of the MPD. Periods go, and the ids that tracks are named after go with them.
    pub(super) fn all(mpd: &Mpd, known: &[Self]) -> Vec<Self> {
        let mut tracks: Vec<Self> =
            known.iter().map(|track| Self { places: Vec::new(), ..track.clone() }).collect();
        for period in &mpd.periods {
            add_period(&mut tracks, period);
        }
        for track in &mut tracks {
            track.places.resize(mpd.periods.len(), None);
        }
        name(&mut tracks, known.len());
        tracks
    }

    /// Whether both are the same thing, in whatever quality.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.group == other.group
    }

    /// What is played of it in `period`.
    pub(super) fn place(&self, period: &Period) -> Option<Place> {
        self.places.get(period.index).copied().flatten().or_else(|| self.closest(period))
    }

    /// The first period that has it, with its place there.
    pub(super) fn first<'a>(
        &self,
        mpd: &'a Mpd,
    ) -> Option<(&'a Period, &'a AdaptationSet, &'a Representation)> {
        let (period, place) = self.places.iter().enumerate().find_map(|(at, place)| Some((at, (*place)?)))?;
        let period = mpd.periods.get(period)?;
        let set = period.adaptation_sets.get(place.set)?;
        Some((period, set, set.representations.get(place.representation)?))
    }

    /// What stands in for it where a period does not have it.
    fn closest(&self, period: &Period) -> Option<Place> {
        let mut best: Option<(_, Place)> = None;
        for (at, set) in period.adaptation_sets.iter().enumerate() {
            let Some(group) = Group::of(set) else { continue };
            if group.kind != self.kind || group.trick_mode != self.trick_mode {
                continue;
            }
            // No text is better than text in another language.
            if self.kind == Kind::Text && group.language != self.group.language {
                continue;
            }
            for (representation, r) in set.representations.iter().enumerate().filter(|(_, r)| is_playable(r))
            {
                let unlike = (
                    group.language != self.group.language,
                    group.roles != self.group.roles,
                    r.bandwidth.abs_diff(self.bandwidth),
                );
                if best.as_ref().is_none_or(|(least, _)| unlike < *least) {
                    best = Some((unlike, Place { set: at, representation }));
                }
            }
        }
        best.map(|(_, place)| place)
    }
}

/// Adds a period: the same ids first; then what is left of a group goes, by bandwidth, with what is
/// left of the tracks of that group; then new tracks.
fn add_period(tracks: &mut Vec<Track>, period: &Period) {
    let known = tracks.len();
    tracks.iter_mut().for_each(|track| track.places.resize(period.index + 1, None));
    let mut left: Vec<(Arc<Group>, Place, &Representation)> = Vec::new();
    for (set, s) in period.adaptation_sets.iter().enumerate() {
        let Some(group) = Group::of(s) else { continue };
        for (representation, r) in s.representations.iter().enumerate().filter(|(_, r)| is_playable(r)) {
            let place = Place { set, representation };
            let same = |track: &&mut Track| {
                track.places[period.index].is_none() && track.group == group && track.id == r.id
            };
            match tracks[..known].iter_mut().find(same) {
                Some(track) => track.places[period.index] = Some(place),
                None => left.push((group.clone(), place, r)),
            }
        }
    }
    // From the best downwards; each group takes the tracks that are closest to it in order.
    left.sort_by_key(|(_, place, r)| (std::cmp::Reverse(r.bandwidth), place.set, place.representation));
    let mut new = Vec::new();
    for (group, place, r) in left {
        let free = tracks[..known]
            .iter_mut()
            .filter(|track| track.places[period.index].is_none() && track.group == group);
        match free.min_by_key(|track| track.bandwidth.abs_diff(r.bandwidth)) {
            Some(track) => track.places[period.index] = Some(place),
            None => new.push((group, place, r)),
        }
    }
    new.sort_by_key(|(_, place, _)| (place.set, place.representation));
    for (group, place, r) in new {
        if tracks.len() == MAX_TRACKS {
            break;
        }
        let mut places = vec![None; period.index + 1];
        places[period.index] = Some(place);
        tracks.push(Track {
            // It gets one when all tracks are there.
            name: String::new(),
            id: r.id.clone(),
            kind: group.kind,
            trick_mode: group.trick_mode,
            places,
            group,
            bandwidth: r.bandwidth,
        });
    }
}

/// Names the tracks from `known` on. Ids are the same in different periods, or even in one.
fn name(tracks: &mut [Track], known: usize) {
    let mut taken = std::collections::HashMap::<String, usize>::new();
    for (place, track) in tracks.iter_mut().enumerate() {
        let kind = match track.kind {
            Kind::Video => "video",
            Kind::Audio => "audio",
            Kind::Text => "text",
            Kind::Image => "image",
            Kind::Other => "other",
        };
        let name = format!("{kind}/{}", crate::manifest::error::shorten(&track.id));
        let count = taken.entry(name.clone()).or_default();
        *count += 1;
        if place >= known {
            track.name = if *count == 1 { name } else { format!("{name}/{count}") };
        }
    }
}
