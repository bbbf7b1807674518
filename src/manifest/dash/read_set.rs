// SPDX-License-Identifier: MPL-2.0

//! AdaptationSet and Representation -> their types.

use std::borrow::Cow;
use std::sync::Arc;

use url::Url;

use super::DashError;
use super::descriptors::{Descriptor, Label};
use super::events::EventStream;
use super::mpd::{AdaptationSet, Kind, Purpose, Representation, Resync, SubRepresentation};
use super::protection::ContentProtection;
use super::read::{Budget, Level, MAX_REPRESENTATIONS, producer_reference_times};
use super::values::{self, ticks_to_nanos};
use super::xml::Element;

/// Scheme of sets for other speeds: DASH-IF IOP 3.2.9.
const TRICK_MODE: &str = "http://dashif.org/guidelines/trickmode";

/// Schemes of pictures for the seek bar: DASH-IF IOP 6.2.6.
const THUMBNAILS: [&str; 2] =
    ["http://dashif.org/guidelines/thumbnail_tile", "http://dashif.org/thumbnail_tile"];

/// What EssentialProperty may say without a set being left alone: colours and packing, which decoders
/// see in the media anyway, or what is acted on elsewhere.
const HARMLESS: [&str; 5] = [
    "urn:mpeg:mpegb:cicp:",
    "urn:mpeg:dash:14496:10:",
    "urn:mpeg:dash:urlparam:",
    "urn:mpeg:dash:preselection:",
    "urn:dvb:dash:fontdownload:",
];

pub(super) fn adaptation_set(
    url: &Url,
    element: &Element,
    above: &Level,
    declared: &[ContentProtection],
    budget: &mut Budget,
) -> Result<AdaptationSet, DashError> {
    let level = above.within(element, url, budget)?;
    let own = ContentProtection::declared(element);
    let declared = match own.is_empty() {
        true => Cow::Borrowed(declared),
        false => Cow::Owned(own.iter().chain(declared).cloned().collect()),
    };
    let shared = Shared::of(element);
    let mut representations = Vec::new();
    for child in element.all("Representation") {
        budget.representations = budget.representations.checked_sub(1).ok_or(DashError::TooMany {
            line: child.line,
            what: "representations",
            limit: MAX_REPRESENTATIONS,
        })?;
        let level = level.within(child, url, budget)?;
        representations.push(representation(child, &shared, &level, &declared));
    }
    let essential_properties = Descriptor::all(element, "EssentialProperty");
    let supplemental_properties = Descriptor::all(element, "SupplementalProperty");
    let number = |name| element.text_of(name).and_then(values::unsigned);
    Ok(AdaptationSet {
        id: number("id"),
        group: number("group"),
        kind: kind(element, &representations),
        content_type: element.text_of("contentType").map(str::to_owned),
        language: element.text_of("lang").map(str::to_owned),
        labels: Label::all(element),
        roles: Descriptor::all(element, "Role"),
        accessibility: Descriptor::all(element, "Accessibility"),
        ratings: Descriptor::all(element, "Rating"),
        viewpoints: Descriptor::all(element, "Viewpoint"),
        selection_priority: number("selectionPriority"),
        purpose: purpose(&essential_properties, &supplemental_properties),
        switchable_with: switchable_with(&supplemental_properties),
        segment_alignment: element.text_of("segmentAlignment").and_then(values::boolean).unwrap_or(false),
        protections: ContentProtection::of(element, &declared),
        inband_events: EventStream::all(element, "InbandEventStream"),
        producer_reference_times: producer_reference_times(element),
        essential_properties,
        supplemental_properties,
        representations,
    })
}

/// The attributes that a set states for all its representations: 5.3.7.
struct Shared {
    mime_type: Option<Arc<str>>,
    codecs: Option<Arc<str>>,
    supplemental_codecs: Option<Arc<str>>,
    container_profiles: Option<Arc<str>>,
    frame_rate: Option<Arc<str>>,
    sar: Option<Arc<str>>,
    scan_type: Option<Arc<str>>,
    width: Option<u64>,
    height: Option<u64>,
    audio_sampling_rate: Option<u64>,
    audio_channels: Arc<[Descriptor]>,
    cadence: Option<u64>,
}

impl Shared {
    fn of(element: &Element) -> Self {
        let text = |name| element.text_of(name).map(Arc::from);
        let number = |name| element.text_of(name).and_then(values::unsigned);
        Self {
            mime_type: text("mimeType"),
            codecs: text("codecs"),
            supplemental_codecs: text("supplementalCodecs"),
            container_profiles: text("containerProfiles"),
            frame_rate: text("frameRate"),
            sar: text("sar"),
            scan_type: text("scanType"),
            width: number("width"),
            height: number("height"),
            audio_sampling_rate: number("audioSamplingRate"),
            audio_channels: Descriptor::all(element, "AudioChannelConfiguration").into(),
            cadence: cadence(element),
        }
    }
}

fn representation(
    element: &Element,
    shared: &Shared,
    level: &Level,
    declared: &[ContentProtection],
) -> Representation {
    let own = Shared::of(element);
    let or = |own: Option<Arc<str>>, shared: &Option<Arc<str>>| own.or_else(|| shared.clone());
    let number = |name| element.text_of(name).and_then(values::unsigned);
    let pixels = |number: Option<u64>| number.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let addressing = level.segments.addressing();
    let timescale = addressing.timing.timescale;
    let words = |name| -> Vec<String> {
        let text = element.text_of(name).unwrap_or_default();
        text.split_ascii_whitespace().take(64).map(str::to_owned).collect()
    };
    Representation {
        id: element.text_of("id").unwrap_or_default().into(),
        bandwidth: number("bandwidth").unwrap_or(0),
        mime_type: or(own.mime_type, &shared.mime_type),
        codecs: or(own.codecs, &shared.codecs),
        supplemental_codecs: or(own.supplemental_codecs, &shared.supplemental_codecs),
        container_profiles: or(own.container_profiles, &shared.container_profiles),
        width: pixels(own.width.or(shared.width)),
        height: pixels(own.height.or(shared.height)),
        frame_rate: or(own.frame_rate, &shared.frame_rate),
        sar: or(own.sar, &shared.sar),
        scan_type: or(own.scan_type, &shared.scan_type),
        audio_sampling_rate: own.audio_sampling_rate.or(shared.audio_sampling_rate),
        audio_channels: match own.audio_channels.is_empty() {
            true => shared.audio_channels.clone(),
            false => own.audio_channels,
        },
        quality_ranking: number("qualityRanking"),
        dependencies: words("dependencyId"),
        essential_properties: Descriptor::all(element, "EssentialProperty"),
        supplemental_properties: Descriptor::all(element, "SupplementalProperty"),
        protections: ContentProtection::of(element, declared),
        inband_events: EventStream::all(element, "InbandEventStream"),
        resyncs: element.all("Resync").take(16).map(|resync| self::resync(resync, timescale)).collect(),
        cadence: own.cadence.or(shared.cadence),
        producer_reference_times: producer_reference_times(element),
        sub_representations: element.all("SubRepresentation").take(64).map(sub_representation).collect(),
        bases: level.bases.clone(),
        addressing,
        query: level.query.clone(),
    }
}

/// SegmentSequenceProperties of the sixth edition. Drafts have an element in it.
fn cadence(element: &Element) -> Option<u64> {
    let properties = element.first("SegmentSequenceProperties")?;
    let of = |element: &Element| element.text_of("cadence").and_then(values::unsigned);
    of(properties).or_else(|| of(properties.first("SAP")?)).filter(|cadence| *cadence > 0)
}

fn resync(element: &Element, timescale: u64) -> Resync {
    let ticks = element.text_of("dT").and_then(values::unsigned);
    Resync {
        kind: element.text_of("type").and_then(values::unsigned).unwrap_or(0),
        max_interval: ticks.map(|ticks| ticks_to_nanos(ticks.into(), timescale)),
        max_size: element.text_of("dImax").and_then(values::decimal),
        marker: element.text_of("marker").and_then(values::boolean).unwrap_or(false),
    }
}

fn sub_representation(element: &Element) -> SubRepresentation {
    let components = element.text_of("contentComponent").unwrap_or_default();
    SubRepresentation {
        level: element.text_of("level").and_then(values::unsigned),
        bandwidth: element.text_of("bandwidth").and_then(values::unsigned),
        codecs: element.text_of("codecs").map(str::to_owned),
        content_components: components.split_ascii_whitespace().take(64).map(str::to_owned).collect(),
    }
}

/// What a set holds: by its content type, the types of its representations, or their codecs.
fn kind(element: &Element, representations: &[Representation]) -> Kind {
    let component = |element: &Element| element.text_of("contentType").and_then(kind_of_type);
    let told = component(element).or_else(|| element.all("ContentComponent").find_map(component));
    // `application/mp4` may be anything.
    let by_type = |r: &Representation| r.mime_type.as_deref().and_then(kind_of_type);
    let by_codec = |r: &Representation| r.codecs.as_deref().and_then(kind_of_codec);
    // The set's own type, for a set that has no representations.
    let own = element.text_of("mimeType").and_then(kind_of_type);
    told.filter(|kind| *kind != Kind::Other)
        .or_else(|| representations.iter().find_map(by_type))
        .or(own)
        .or_else(|| representations.iter().find_map(by_codec))
        .unwrap_or(Kind::Other)
}

fn kind_of_type(text: &str) -> Option<Kind> {
    let text = text.to_ascii_lowercase();
    let (kind, subtype) = text.split_once('/').unwrap_or((&text, ""));
    Some(match (kind, subtype.split(';').next().unwrap_or_default()) {
        ("video", _) => Kind::Video,
        ("audio", _) => Kind::Audio,
        ("text" | "application", "vtt" | "ttml+xml" | "x-subrip" | "ttaf+xml") | ("text", _) => Kind::Text,
        ("image", _) => Kind::Image,
        ("application", "mp4" | "") => return None,
        ("application", _) => Kind::Other,
        _ => return None,
    })
}

fn kind_of_codec(codecs: &str) -> Option<Kind> {
    const VIDEO: [&str; 14] = [
        "avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "vp08", "vp8", "vp9", "dvh1", "dvhe", "mp4v", "vvc1",
        "vvi1",
    ];
    const AUDIO: [&str; 13] = [
        "mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "vorbis", "alac", "mha1", "mhm1", "dtsc", "dtse",
        "dtsx",
    ];
    const TEXT: [&str; 4] = ["stpp", "wvtt", "c608", "tx3g"];
    let codecs = codecs.to_ascii_lowercase();
    let any = |known: &[&str]| {
        codecs.split(',').any(|codec| known.contains(&codec.trim().split('.').next().unwrap_or_default()))
    };
    if any(&VIDEO) {
        Some(Kind::Video)
    } else if any(&AUDIO) {
        Some(Kind::Audio)
    } else if any(&TEXT) {
        Some(Kind::Text)
    } else {
        None
    }
}

fn purpose(essential: &[Descriptor], supplemental: &[Descriptor]) -> Purpose {
    // Some write the trick mode as a hint.
    for property in essential.iter().chain(supplemental) {
        if property.is(TRICK_MODE) {
            let ids = property.value.as_deref().unwrap_or_default().split([' ', ',']);
            return Purpose::TrickMode(ids.filter_map(values::unsigned).take(64).collect());
        }
        if THUMBNAILS.iter().any(|scheme| property.is(scheme)) {
            let (columns, rows) =
                property.value.as_deref().and_then(|v| v.split_once('x')).unwrap_or(("1", "1"));
            let number =
                |text| values::unsigned(text).and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1);
            return Purpose::Thumbnails { columns: number(columns), rows: number(rows) };
        }
    }
    match essential.iter().find(|property| !is_harmless(property)) {
        Some(unknown) => Purpose::Unknown(unknown.clone()),
        None => Purpose::Play,
    }
}

/// Whether an EssentialProperty keeps nobody from playing.
pub(super) fn is_harmless(property: &Descriptor) -> bool {
    let scheme = property.scheme.to_ascii_lowercase();
    HARMLESS.iter().any(|harmless| scheme.starts_with(harmless))
}

fn switchable_with(supplemental: &[Descriptor]) -> Vec<u64> {
    const SWITCHING: &str = "urn:mpeg:dash:adaptation-set-switching:2016";
    let values = supplemental.iter().filter(|p| p.is(SWITCHING)).filter_map(|p| p.value.as_deref());
    values.flat_map(|ids| ids.split([' ', ','])).filter_map(values::unsigned).take(64).collect()
}
