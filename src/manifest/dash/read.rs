// SPDX-License-Identifier: MPL-2.0

//! The tree of an MPD -> [`Mpd`].

use std::sync::Arc;

use url::Url;

use super::DashError;
use super::descriptors::{Descriptor, Label};
use super::events::EventStream;
use super::mpd::{
    Base, Latency, Location, Mpd, Offset, PatchLocation, Period, PlaybackRate, Preselection,
    ProducerReferenceTime, ServiceDescription, Steering,
};
use super::protection::ContentProtection;
use super::segment_info::{self, SegmentInfo};
use super::timing::UtcTiming;
use super::values::{self, Nanos, nanos};
use super::xml::Element;

/// Most representations in all periods together.
pub(super) const MAX_REPRESENTATIONS: usize = 20_000;

/// Most addresses at one place that stand for the same; the surplus is left out.
const MAX_BASES: usize = 16;

/// Most bytes of addresses that inheritance may make of an MPD.
const MAX_ADDRESS_BYTES: usize = 64 << 20;

/// What is counted over a whole MPD.
pub(super) struct Budget {
    pub representations: usize,
    addresses: usize,
}

/// What a level hands down to the elements in it.
#[derive(Clone)]
pub(super) struct Level {
    pub bases: Arc<[Base]>,
    pub segments: SegmentInfo,
    pub query: Option<Arc<str>>,
}

impl Level {
    /// What holds within `element`.
    pub fn within(&self, element: &Element, mpd: &Url, budget: &mut Budget) -> Result<Self, DashError> {
        Ok(Self {
            bases: bases(&self.bases, element, budget)?,
            segments: self.segments.within(element),
            query: super::query::within(element, mpd, self.query.as_ref()),
        })
    }
}

/// Reads an MPD that was loaded from `url`.
pub(super) fn mpd(url: &Url, root: &Element) -> Result<Mpd, DashError> {
    let mut budget = Budget { representations: MAX_REPRESENTATIONS, addresses: MAX_ADDRESS_BYTES };
    let text = |name| root.text_of(name).map(str::to_owned);
    let date = |name| root.text_of(name).and_then(values::date_time);
    let duration = |name| root.text_of(name).and_then(values::duration);
    let service_descriptions: Vec<_> =
        root.all("ServiceDescription").take(64).map(|service| service_description(url, service)).collect();
    let steering = root.first("ContentSteering").and_then(|steering| self::steering(url, steering));
    let dynamic = root.text_of("type").is_some_and(|kind| kind.eq_ignore_ascii_case("dynamic"));

    // An anchor says where playback begins, not where media is.
    let mut here = url.clone();
    here.set_fragment(None);
    let own = Base {
        url: here,
        service_location: None,
        priority: 1,
        weight: 1,
        availability_offset: Offset::None,
        availability_complete: None,
        time_shift_buffer_depth: None,
    };
    let top = Level { bases: Arc::new([own]), segments: SegmentInfo::default(), query: None };
    let top = top.within(root, url, &mut budget)?;
    let protections: Vec<_> = ContentProtection::declared(root);
    let elements: Vec<&Element> = root.all("Period").collect();
    if elements.is_empty() && !dynamic {
        return Err(DashError::NoPeriod { line: root.line });
    }
    let total = duration("mediaPresentationDuration");
    let spans = spans(&elements, total.map(nanos));
    let mut periods = Vec::with_capacity(elements.len());
    for (index, (element, span)) in elements.into_iter().zip(spans).enumerate() {
        periods.push(period(url, element, index, span, &top, &protections, &mut budget)?);
    }
    Ok(Mpd {
        url: url.clone(),
        id: text("id"),
        profiles: text("profiles").unwrap_or_default(),
        dynamic,
        availability_start: date("availabilityStartTime").unwrap_or_default(),
        availability_end: date("availabilityEndTime"),
        publish_time: date("publishTime"),
        publish_time_text: text("publishTime"),
        duration: total,
        minimum_update_period: duration("minimumUpdatePeriod"),
        min_buffer_time: duration("minBufferTime"),
        time_shift_buffer_depth: duration("timeShiftBufferDepth"),
        suggested_presentation_delay: duration("suggestedPresentationDelay"),
        max_segment_duration: duration("maxSegmentDuration"),
        locations: root.all("Location").filter_map(|l| location(url, l)).take(MAX_BASES).collect(),
        patch_locations: root.all("PatchLocation").filter_map(|l| patch(url, l)).take(MAX_BASES).collect(),
        utc_timings: root.all("UTCTiming").filter_map(|t| UtcTiming::read(url, t)).take(MAX_BASES).collect(),
        steering: steering.or_else(|| service_descriptions.iter().find_map(|s| s.steering.clone())),
        service_descriptions,
        essential_properties: Descriptor::all(root, "EssentialProperty"),
        supplemental_properties: Descriptor::all(root, "SupplementalProperty"),
        periods,
    })
}

/// Start and end of each period: 5.3.2.1.
///
/// A first period without a start is at the start: in a dynamic MPD the standard takes it for an
/// early available one, but packagers leave out the zero. A period ends where the next begins, at
/// its own end, or at that of the presentation, whichever comes first.
fn spans(periods: &[&Element], total: Option<Nanos>) -> Vec<(Option<Nanos>, Option<Nanos>)> {
    let duration = |period: &Element| period.text_of("duration").and_then(values::duration).map(nanos);
    let mut spans: Vec<(Option<Nanos>, Option<Nanos>)> = Vec::with_capacity(periods.len());
    for (index, period) in periods.iter().enumerate() {
        let told = period.text_of("start").map(|text| values::duration(text).map_or(0, nanos));
        let start = told.or_else(|| match index.checked_sub(1) {
            None => Some(0),
            Some(before) => spans[before].1,
        });
        let end = start.zip(duration(period)).map(|(start, length)| start.saturating_add(length));
        if let (Some((Some(before), end_before)), Some(start)) = (spans.last_mut(), start) {
            *end_before = Some(end_before.map_or(start, |end| end.min(start)).max(*before));
        }
        spans.push((start, end));
    }
    if let Some((Some(start), end)) = spans.last_mut() {
        *end = match (*end, total) {
            // The last period's own word: live packagers forget to move the total.
            (Some(end), _) => Some(end),
            (None, total) => total.filter(|total| total >= start),
        };
    }
    spans
}

fn period(
    url: &Url,
    element: &Element,
    index: usize,
    (start, end): (Option<Nanos>, Option<Nanos>),
    top: &Level,
    protections: &[ContentProtection],
    budget: &mut Budget,
) -> Result<Period, DashError> {
    let level = top.within(element, url, budget)?;
    let mut protections = protections.to_vec();
    protections.extend(ContentProtection::declared(element));
    let mut adaptation_sets = Vec::new();
    for set in element.all("AdaptationSet") {
        adaptation_sets.push(super::read_set::adaptation_set(url, set, &level, &protections, budget)?);
    }
    Ok(Period {
        index,
        id: element.text_of("id").map(str::to_owned),
        start,
        end,
        duration: element.text_of("duration").and_then(values::duration).map(nanos),
        remote: element.attribute("href").is_some(),
        asset_identifier: element.first("AssetIdentifier").map(Descriptor::read),
        event_streams: EventStream::all(element, "EventStream"),
        essential_properties: Descriptor::all(element, "EssentialProperty"),
        supplemental_properties: Descriptor::all(element, "SupplementalProperty"),
        adaptation_sets,
        subsets: element.all("Subset").take(256).map(|subset| ids(subset, "contains")).collect(),
        preselections: element.all("Preselection").take(256).map(preselection).collect(),
    })
}

/// Numbers apart by spaces.
pub(super) fn ids(element: &Element, name: &str) -> Vec<u64> {
    let text = element.text_of(name).unwrap_or_default();
    text.split([' ', ',', '\t', '\n']).take(256).filter_map(values::unsigned).collect()
}

fn preselection(element: &Element) -> Preselection {
    Preselection {
        id: element.text_of("id").map(str::to_owned),
        components: ids(element, "preselectionComponents"),
        language: element.text_of("lang").map(str::to_owned),
        codecs: element.text_of("codecs").map(str::to_owned),
        roles: Descriptor::all(element, "Role"),
        labels: Label::all(element),
    }
}

/// The addresses within `element`: each of its own with each of those above, 5.6.4.
fn bases(above: &Arc<[Base]>, element: &Element, budget: &mut Budget) -> Result<Arc<[Base]>, DashError> {
    let mut bases: Vec<Base> = Vec::new();
    for (place, base) in above.iter().enumerate() {
        for child in element.all("BaseURL") {
            let text = child.text();
            // One that makes no URL does no harm while there is another.
            let Ok(url) = base.url.join(&text) else { continue };
            let absolute = Url::parse(&text).is_ok();
            if (absolute && place > 0) || bases.len() >= MAX_BASES {
                continue;
            }
            budget.addresses =
                budget.addresses.checked_sub(url.as_str().len()).ok_or(DashError::TooMany {
                    line: child.line,
                    what: "bytes of addresses",
                    limit: MAX_ADDRESS_BYTES,
                })?;
            let own = |name| child.text_of(name);
            let offset = own("availabilityTimeOffset").and_then(segment_info::offset).unwrap_or_default();
            let location = own("serviceLocation").filter(|name| name.len() <= MAX_NAME).map(str::to_owned);
            bases.push(Base {
                url,
                service_location: location.or_else(|| base.service_location.clone()),
                priority: own("priority").and_then(values::unsigned).unwrap_or(base.priority),
                weight: own("weight").and_then(values::unsigned).unwrap_or(base.weight),
                availability_offset: base.availability_offset.plus(offset),
                availability_complete: own("availabilityTimeComplete")
                    .and_then(values::boolean)
                    .or(base.availability_complete),
                time_shift_buffer_depth: own("timeShiftBufferDepth")
                    .and_then(values::duration)
                    .or(base.time_shift_buffer_depth),
            });
        }
    }
    Ok(if bases.is_empty() { above.clone() } else { bases.into() })
}

/// Longest service location.
const MAX_NAME: usize = 256;

fn location(url: &Url, element: &Element) -> Option<Location> {
    let service_location = element.text_of("serviceLocation").map(str::to_owned);
    Some(Location { url: url.join(&element.text()).ok()?, service_location })
}

fn patch(url: &Url, element: &Element) -> Option<PatchLocation> {
    let seconds = element.text_of("ttl").and_then(values::decimal);
    Some(PatchLocation {
        url: url.join(&element.text()).ok()?,
        service_location: element.text_of("serviceLocation").map(str::to_owned),
        ttl: seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok()),
    })
}

fn steering(url: &Url, element: &Element) -> Option<Steering> {
    let locations = element.text_of("defaultServiceLocation").unwrap_or_default();
    Some(Steering {
        server_url: url.join(&element.text()).ok()?,
        default_locations: locations.split_ascii_whitespace().take(64).map(str::to_owned).collect(),
        query_before_start: element.text_of("queryBeforeStart").and_then(values::boolean).unwrap_or(false),
    })
}

fn service_description(url: &Url, element: &Element) -> ServiceDescription {
    let latency = |latency: &Element| {
        // In milliseconds.
        let of = |name| {
            let number = latency.text_of(name).and_then(values::decimal)?;
            std::time::Duration::try_from_secs_f64(number / 1_000.0).ok()
        };
        Latency {
            reference: latency.text_of("referenceId").map(str::to_owned),
            target: of("target"),
            min: of("min"),
            max: of("max"),
        }
    };
    let rate = |rate: &Element| {
        let of = |name| rate.text_of(name).and_then(values::decimal).filter(|rate| *rate > 0.0);
        PlaybackRate { min: of("min"), max: of("max") }
    };
    ServiceDescription {
        id: element.text_of("id").map(str::to_owned),
        scopes: Descriptor::all(element, "Scope"),
        latency: element.first("Latency").map(latency),
        playback_rate: element.first("PlaybackRate").map(rate),
        steering: element.first("ContentSteering").and_then(|steering| self::steering(url, steering)),
    }
}

pub(super) fn producer_reference_times(element: &Element) -> Vec<ProducerReferenceTime> {
    let read = |time: &Element| ProducerReferenceTime {
        id: time.text_of("id").map(str::to_owned),
        kind: time.text_of("type").unwrap_or("encoder").to_owned(),
        wall_clock: time.text_of("wallClockTime").unwrap_or_default().to_owned(),
        presentation_time: time.text_of("presentationTime").and_then(values::integer).unwrap_or(0),
        inband: time.text_of("inband").and_then(values::boolean).unwrap_or(false),
    };
    element.all("ProducerReferenceTime").take(64).map(read).collect()
}
