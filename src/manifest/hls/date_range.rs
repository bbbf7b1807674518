// SPDX-License-Identifier: MPL-2.0

//! EXT-X-DATERANGE: RFC 8216bis 4.4.5.1, and what appendix D makes of it.

use std::collections::{HashMap, HashSet};

use super::addresses::Addresses;
use super::attributes::Attributes;
use super::values;
use crate::manifest::{Asset, DateRange, Interstitial};

/// The class of date ranges that are interstitials.
const INTERSTITIAL: &str = "com.apple.hls.interstitial";

/// Most attributes of a range that begin with `X-`.
const MAX_CLIENT_ATTRIBUTES: usize = 100;

/// Most ranges of a playlist. What comes after is left out.
const MAX_RANGES: usize = 10_000;

/// The ranges of a playlist, put together by ID.
#[derive(Default)]
pub(super) struct DateRanges {
    ranges: Vec<DateRange>,
    by_id: HashMap<String, usize>,
}

impl DateRanges {
    /// Those that a delta update leaves out: RFC 8216bis 4.4.5.2. `removed` is the list of the IDs
    /// that have gone, separated by tabs.
    pub fn carry_over(&mut self, previous: &[DateRange], removed: &str) {
        let removed: HashSet<_> = removed.split('\t').collect();
        for range in previous.iter().filter(|range| !removed.contains(range.id.as_str())) {
            if let Some(known) = self.of(&range.id) {
                *known = range.clone();
            }
        }
    }

    /// Takes a tag; one without an ID is nothing that could be referred to. What an earlier tag of
    /// this ID says stays, as the RFC has it that no later one may say otherwise.
    pub fn take(&mut self, attributes: &Attributes) {
        let Some(range) = attributes.get("ID").and_then(|id| self.of(id)) else { return };
        let date = |name| attributes.get(name).and_then(values::date_time);
        let bytes = |name| attributes.get(name).and_then(values::bytes);
        fill(&mut range.class, || attributes.owned("CLASS"));
        fill(&mut range.start, || date("START-DATE"));
        fill(&mut range.end, || date("END-DATE"));
        fill(&mut range.duration, || attributes.seconds("DURATION"));
        fill(&mut range.planned_duration, || attributes.seconds("PLANNED-DURATION"));
        fill(&mut range.scte35_cmd, || bytes("SCTE35-CMD"));
        fill(&mut range.scte35_out, || bytes("SCTE35-OUT"));
        fill(&mut range.scte35_in, || bytes("SCTE35-IN"));
        range.end_on_next |= attributes.yes("END-ON-NEXT");
        let cue = attributes.get("CUE").unwrap_or_default();
        range.cue.pre |= has(cue, "PRE");
        range.cue.post |= has(cue, "POST");
        range.cue.once |= has(cue, "ONCE");
        for (name, value) in attributes.iter().filter(|(name, _)| name.starts_with("X-")) {
            if range.client_attributes.len() >= MAX_CLIENT_ATTRIBUTES {
                break;
            }
            if range.client_attribute(name).is_none() {
                range.client_attributes.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// All ranges, with what is to be played in their place.
    pub fn finish(mut self, addresses: &Addresses) -> Vec<DateRange> {
        for range in &mut self.ranges {
            range.interstitial = interstitial(addresses, range);
        }
        self.ranges
    }

    /// The range of this ID, a new one if need be; None: there are too many.
    fn of(&mut self, id: &str) -> Option<&mut DateRange> {
        if let Some(index) = self.by_id.get(id) {
            return self.ranges.get_mut(*index);
        }
        if self.ranges.len() >= MAX_RANGES {
            return None;
        }
        self.by_id.insert(id.to_owned(), self.ranges.len());
        self.ranges.push(DateRange { id: id.to_owned(), ..DateRange::default() });
        self.ranges.last_mut()
    }
}

fn fill<T>(slot: &mut Option<T>, value: impl FnOnce() -> Option<T>) {
    if slot.is_none() {
        *slot = value();
    }
}

/// Whether an enumerated list has a name.
fn has(list: &str, name: &str) -> bool {
    list.split(',').any(|one| one.trim() == name)
}

/// What to play instead; None: nothing, or nothing that has an address.
fn interstitial(addresses: &Addresses, range: &DateRange) -> Option<Interstitial> {
    if range.class.as_deref() != Some(INTERSTITIAL) {
        return None;
    }
    let get = |name| range.client_attribute(name).filter(|value| !value.is_empty());
    let list = |name| get(name).unwrap_or_default();
    let url = |name| addresses.optional(get(name)?);
    Some(Interstitial {
        asset: url("X-ASSET-URI").map(Asset::Playlist).or_else(|| url("X-ASSET-LIST").map(Asset::List))?,
        resume_offset: get("X-RESUME-OFFSET").and_then(values::decimal),
        playout_limit: get("X-PLAYOUT-LIMIT").and_then(values::seconds),
        no_skip: has(list("X-RESTRICT"), "SKIP"),
        no_jump: has(list("X-RESTRICT"), "JUMP"),
        snap_out: has(list("X-SNAP"), "OUT"),
        snap_in: has(list("X-SNAP"), "IN"),
        content_may_vary: get("X-CONTENT-MAY-VARY") != Some("NO"),
        occupies_range: get("X-TIMELINE-OCCUPIES") == Some("RANGE"),
        primary: get("X-TIMELINE-STYLE") == Some("PRIMARY"),
    })
}
