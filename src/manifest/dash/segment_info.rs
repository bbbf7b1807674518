// SPDX-License-Identifier: MPL-2.0

//! SegmentBase, SegmentList and SegmentTemplate at three levels, put together: ISO/IEC 23009-1
//! 5.3.9.1 and 5.3.9.2.

use std::sync::Arc;

use super::mpd::Offset;
use super::segments::{Addressing, Entry, InitSource, SegmentUrl, Source, Timing};
use super::template::Template;
use super::values::{self, Nanos};
use super::xml::Element;
use crate::manifest::ByteRange;

/// What is known of the segments at one level, with what comes from the levels above.
#[derive(Clone, Debug, Default)]
pub(super) struct SegmentInfo {
    base: Fields,
    list: Fields,
    template: Fields,
    /// The element that stands closest to the representation.
    element: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Base,
    List,
    Template,
}

/// The attributes of one of the elements; None: neither here nor above.
#[derive(Clone, Debug, Default)]
struct Fields {
    timescale: Option<u64>,
    presentation_time_offset: Option<i64>,
    duration: Option<u64>,
    start_number: Option<i64>,
    end_number: Option<i64>,
    parts: Option<u64>,
    availability_offset: Option<Offset>,
    availability_complete: Option<bool>,
    timeline: Option<Arc<[Entry]>>,
    init: Option<InitSource>,
    media: Option<Template>,
    urls: Option<Arc<[SegmentUrl]>>,
    index_range: Option<ByteRange>,
    index_url: Option<Arc<str>>,
}

impl SegmentInfo {
    /// What holds within `element`, a Period, AdaptationSet or Representation.
    pub fn within(&self, element: &Element) -> Self {
        let mut info = self.clone();
        for child in element.elements() {
            match child.local_name() {
                "SegmentBase" => (info.base, info.element) = (info.base.with(child), Some(Kind::Base)),
                "SegmentList" => (info.list, info.element) = (info.list.with(child), Some(Kind::List)),
                "SegmentTemplate" => {
                    (info.template, info.element) = (info.template.with(child), Some(Kind::Template));
                }
                _ => {}
            }
        }
        info
    }

    /// How the segments are found.
    pub fn addressing(&self) -> Addressing {
        let (fields, source) = match self.element {
            Some(Kind::Template) => (&self.template, self.template.template()),
            Some(Kind::List) => (&self.list, self.list.urls.clone().map(Source::List)),
            Some(Kind::Base) | None => (&self.base, self.base.indexed()),
        };
        // A template for the initialisation segment and an index, as the standard allows.
        let source = source.or_else(|| fields.indexed()).unwrap_or(Source::Whole);
        Addressing {
            timing: Timing {
                timescale: fields.timescale.unwrap_or(1).max(1),
                presentation_time_offset: fields.presentation_time_offset.unwrap_or(0),
                duration: fields.duration.filter(|duration| *duration > 0),
                timeline: fields.timeline.clone(),
                start_number: fields.start_number.unwrap_or(1),
                end_number: fields.end_number,
                availability_offset: fields.availability_offset.unwrap_or_default(),
                complete: fields.availability_complete.unwrap_or(true),
                parts: fields.parts.unwrap_or(1).clamp(1, 1 << 16),
            },
            source,
            init: fields.init.clone(),
        }
    }
}

impl Fields {
    fn with(&self, element: &Element) -> Self {
        let text = |name| element.text_of(name);
        let unsigned = |name| text(name).and_then(values::unsigned);
        let integer = |name| text(name).and_then(values::integer);
        let timeline = || element.first("SegmentTimeline").map(entries);
        let urls = || {
            let urls: Arc<[_]> = element.all("SegmentURL").map(segment_url).collect();
            (!urls.is_empty()).then_some(urls)
        };
        let index = element.first("RepresentationIndex");
        let index_range = || {
            let range = text("indexRange").or_else(|| index?.text_of("range"));
            range.and_then(values::byte_range)
        };
        Self {
            timescale: unsigned("timescale").filter(|n| *n > 0).or(self.timescale),
            presentation_time_offset: integer("presentationTimeOffset").or(self.presentation_time_offset),
            // Some write it with a fraction; the rest is what counts.
            duration: unsigned("duration").or(self.duration),
            start_number: integer("startNumber").or(self.start_number),
            end_number: integer("endNumber").or(self.end_number),
            parts: unsigned("k").or(self.parts),
            availability_offset: text("availabilityTimeOffset").and_then(offset).or(self.availability_offset),
            availability_complete: text("availabilityTimeComplete")
                .and_then(values::boolean)
                .or(self.availability_complete),
            timeline: timeline().or_else(|| self.timeline.clone()),
            init: init(element).or_else(|| self.init.clone()),
            media: element.text_of("media").map(Template::new).or_else(|| self.media.clone()),
            urls: urls().or_else(|| self.urls.clone()),
            index_range: index_range().or(self.index_range),
            index_url: index
                .and_then(|index| index.text_of("sourceURL"))
                .map(Arc::from)
                .or_else(|| self.index_url.clone()),
        }
    }

    /// Without @media, times alone make segments of the base.
    fn template(&self) -> Option<Source> {
        let timed = self.index_range.is_none() && (self.duration.is_some() || self.timeline.is_some());
        let nothing = || timed.then(|| Template::new(""));
        self.media.clone().or_else(nothing).map(Source::Template)
    }

    fn indexed(&self) -> Option<Source> {
        let index_range = self.index_range?;
        Some(Source::Indexed { index_url: self.index_url.clone(), index_range })
    }
}

/// @availabilityTimeOffset: seconds, or `INF`.
pub(super) fn offset(text: &str) -> Option<Offset> {
    if text.trim().eq_ignore_ascii_case("inf") {
        return Some(Offset::Always);
    }
    // Bounded, as sums of several are taken.
    let seconds = values::decimal(text)?.clamp(0.0, 1e9);
    Some(if seconds > 0.0 { Offset::By((seconds * values::SECOND as f64) as Nanos) } else { Offset::None })
}

fn init(element: &Element) -> Option<InitSource> {
    let child = element.first("Initialization").or_else(|| element.first("Initialisation"));
    let attribute =
        || element.text_of("initialization").map(|text| InitSource::Template(Template::new(text)));
    let address = |child: &Element| InitSource::Address {
        url: child.text_of("sourceURL").map(Arc::from),
        range: child.text_of("range").and_then(values::byte_range),
    };
    child.map(address).or_else(attribute)
}

fn entries(timeline: &Element) -> Arc<[Entry]> {
    let entry = |s: &Element| {
        let integer = |name| s.text_of(name).and_then(values::integer);
        // Without a duration it is no segment.
        let duration = s.text_of("d").and_then(values::unsigned).filter(|d| *d > 0)?;
        Some(Entry {
            time: integer("t"),
            number: integer("n"),
            duration,
            repeat: integer("r").unwrap_or(0),
            parts: s.text_of("k").and_then(values::unsigned),
        })
    };
    timeline.all("S").filter_map(entry).collect()
}

fn segment_url(element: &Element) -> SegmentUrl {
    SegmentUrl {
        media: element.text_of("media").map(str::to_owned),
        media_range: element.text_of("mediaRange").and_then(values::byte_range),
    }
}
