// SPDX-License-Identifier: MPL-2.0

//! The tracks of an MPD -> variants and renditions.
//!
//! Each video representation becomes a variant, and each set of audio or text a rendition. Where audio
//! comes in several qualities there is a group for each, and variants name the one that suits them:
//! the poorest video goes with the poorest audio, the best with the best. A variant is there once
//! for each service location, and with it its groups, as pathways of HLS are.

use url::Url;

use super::mpd::{AdaptationSet, Base, Kind, Representation};
use super::stream::{Stream, location_of};
use super::tracks::Track;
use super::values;
use crate::format::Format;
use crate::manifest::{
    ContentSteering, Presentation, Rendition, RenditionKind, Resolution, StartOffset, Variant,
};

/// Most service locations that variants are made for.
const MAX_LOCATIONS: usize = 8;

/// With more renditions than this, they are made for the first location only.
const MAX_RENDITIONS: usize = 1_000;

/// Longest text that is copied into the model; nothing that is meant for people or codecs is longer.
const MAX_TEXT: usize = 1 << 10;

/// The group of subtitles.
const TEXT_GROUP: &str = "text";

impl Stream {
    /// What there is to choose from.
    pub fn presentation(&self) -> Presentation {
        let mpd = self.mpd();
        let mut presentation = Presentation::new(mpd.url.clone());
        presentation.format = Format::Dash;
        let of = |kind, trick_mode| -> Vec<Offer<'_>> {
            let tracks = self.tracks().iter().filter(|t| t.kind == kind && t.trick_mode == trick_mode);
            of_one_container(tracks.filter_map(|track| Offer::of(self, track)).collect())
        };
        let (mut video, audio, text) =
            (of(Kind::Video, false), of(Kind::Audio, false), of(Kind::Text, false));
        let sets = sets(&audio);
        let levels = sets.iter().map(Vec::len).max().unwrap_or(0);
        let audio_only = video.is_empty();
        let count = levels.saturating_mul(sets.len()).saturating_add(text.len());
        if audio_only {
            // Without video, the first set of audio is what adapts to the bandwidth.
            video = sets.first().map(|set| set.iter().map(|offer| **offer).collect()).unwrap_or_default();
            video.sort_by_key(|offer| offer.place);
        }

        let places = Places::of(&video, count <= MAX_RENDITIONS);
        let mut ranks: Vec<u64> = video.iter().map(|offer| offer.representation.bandwidth).collect();
        ranks.sort_unstable();
        for offer in &video {
            let rank = ranks.partition_point(|bandwidth| *bandwidth < offer.representation.bandwidth);
            let level = scale(rank, ranks.len(), levels);
            let sound = sets.first().map(|set| set[scale(level, levels, set.len())]).filter(|_| !audio_only);
            let group = match audio_only {
                false => (levels > 0).then(|| group(level, levels)),
                true => (sets.len() > 1).then(|| group(0, 1)),
            };
            for base in locations(offer.representation) {
                presentation.variants.push(Variant {
                    audio: group.as_deref().map(|group| places.group(group, location_of(base))),
                    subtitles: (!text.is_empty()).then(|| places.group(TEXT_GROUP, location_of(base))),
                    ..self.variant(offer, sound.map(|s| s.representation), Some(base))
                });
            }
        }
        presentation.i_frame_variants = of(Kind::Video, true)
            .iter()
            .map(|offer| self.variant(offer, None, offer.representation.bases.first()))
            .collect();

        let levels = if audio_only { 1 } else { levels };
        for level in 0..levels {
            for (place, set) in sets.iter().enumerate() {
                let offer = set[scale(level, levels, set.len())];
                // Of audio alone, the first set is in the variants themselves.
                let own = audio_only && place == 0;
                if audio_only && sets.len() < 2 {
                    continue;
                }
                for (location, group) in places.groups(&group(level, levels)) {
                    let url = (!own).then(|| self.url_of(offer.track, location));
                    let rendition = offer.rendition(RenditionKind::Audio, group, place == 0);
                    presentation.renditions.push(Rendition { url, ..rendition });
                }
            }
        }
        for offer in &text {
            for (location, group) in places.groups(TEXT_GROUP) {
                let url = Some(self.url_of(offer.track, location));
                let rendition = offer.rendition(RenditionKind::Subtitles, group, false);
                presentation.renditions.push(Rendition { url, ..rendition });
            }
        }
        presentation.steering = mpd.steering.as_ref().map(|steering| ContentSteering {
            server_url: steering.server_url.clone(),
            pathway_id: steering.default_locations.first().cloned(),
            before_start: steering.query_before_start,
        });
        presentation.start_offset = start_offset(&mpd.url).filter(|_| !mpd.dynamic);
        presentation
    }

    fn variant(&self, offer: &Offer<'_>, sound: Option<&Representation>, base: Option<&Base>) -> Variant {
        let (set, r) = (offer.set, offer.representation);
        let codecs = [r.codecs.as_deref(), sound.and_then(|sound| sound.codecs.as_deref())];
        let codecs: Vec<&str> = codecs.into_iter().flatten().filter(|c| c.len() <= MAX_TEXT).collect();
        // One location needs no name.
        let location = base.filter(|_| r.bases.len() > 1).map(location_of);
        let frames = r.frame_rate.as_deref().and_then(values::ratio);
        Variant {
            url: self.url_of(offer.track, location),
            bandwidth: r.bandwidth.saturating_add(sound.map_or(0, |sound| sound.bandwidth)),
            average_bandwidth: None,
            // Browsers pair each video with the first audio of all.
            swarm_bandwidth: sound.map(|_| r.bandwidth.saturating_add(self.first_audio_bandwidth())),
            score: None,
            codecs: (!codecs.is_empty()).then(|| codecs.join(",")),
            supplemental_codecs: short(r.supplemental_codecs.as_deref()),
            resolution: r.width.zip(r.height).map(|(width, height)| Resolution { width, height }),
            frame_rate: frames.map(|frames| frames.to_string()),
            video_range: video_range(set, r).map(str::to_owned),
            hdcp_level: None,
            allowed_cpc: None,
            required_layout: None,
            name: set.labels.first().and_then(|label| short(Some(&label.text))),
            stable_id: short(Some(&offer.track.name)),
            pathway_id: base.and_then(|base| short(base.service_location.as_deref().or(location))),
            audio: None,
            video: None,
            subtitles: None,
            closed_captions: None,
            no_closed_captions: false,
        }
    }
}

/// A track with what its first period says about it.
#[derive(Clone, Copy)]
struct Offer<'a> {
    track: &'a Track,
    /// Where it stands among all tracks.
    place: usize,
    /// Sets of different periods that go together have the same number.
    thing: usize,
    set: &'a AdaptationSet,
    representation: &'a Representation,
}

impl<'a> Offer<'a> {
    fn of(stream: &'a Stream, track: &'a Track) -> Option<Self> {
        let (period, set, representation) = track.first(stream.mpd())?;
        let place = stream.tracks().iter().position(|other| std::ptr::eq(other, track))?;
        let thing = period.adaptation_sets.iter().position(|other| std::ptr::eq(other, set))?;
        Some(Self { track, place, thing: period.index << 32 | thing, set, representation })
    }

    fn rendition(&self, kind: RenditionKind, group_id: String, first: bool) -> Rendition {
        let (set, r) = (self.set, self.representation);
        let role = |names: &[&str]| names.iter().any(|name| set.has_role(name));
        let accessible = |values: &[&str]| {
            let values_of = set.accessibility.iter().filter_map(|a| a.value.as_deref());
            values_of.into_iter().any(|value| values.contains(&value))
        };
        let mut characteristics = Vec::new();
        // `1` and `2` are those of TV-Anytime, which DVB uses.
        if role(&["description"]) || (kind == RenditionKind::Audio && accessible(&["description", "1"])) {
            characteristics.push("public.accessibility.describes-video");
        }
        if role(&["caption"]) || (kind == RenditionKind::Subtitles && accessible(&["caption", "2"])) {
            characteristics.push("public.accessibility.transcribes-spoken-dialog");
            characteristics.push("public.accessibility.describes-music-and-sound");
        }
        if role(&["easyreader"]) {
            characteristics.push("public.easy-to-read");
        }
        let label = set.labels.first().map(|label| label.text.as_str()).filter(|text| !text.is_empty());
        Rendition {
            kind,
            group_id,
            name: short(label.or(set.language.as_deref()).or(Some(&r.id))).unwrap_or_default(),
            swarm_name: short(label.or(Some(&r.id))),
            codecs: short(r.codecs.as_deref()),
            language: short(set.language.as_deref()),
            assoc_language: None,
            characteristics: (!characteristics.is_empty()).then(|| characteristics.join(",")),
            channels: channels(r).map(|count| count.to_string()),
            bit_depth: None,
            sample_rate: r.audio_sampling_rate,
            instream_id: None,
            stable_id: short(Some(&self.track.name)),
            url: None,
            default: role(&["main"]) || first,
            autoselect: !role(&["commentary", "alternate", "supplementary", "karaoke", "sign"]),
            forced: role(&["forced-subtitle", "forced_subtitle"]),
        }
    }
}

/// Leaves out what is there in WebM where the same is there in another container: playback could not go from one to
/// the other.
fn of_one_container<'a>(mut offers: Vec<Offer<'a>>) -> Vec<Offer<'a>> {
    let is_webm = |offer: &Offer<'_>| {
        offer.representation.mime_type.as_deref().is_some_and(|mime| mime.trim().ends_with("/webm"))
    };
    let others: Vec<&'a Track> =
        offers.iter().filter(|offer| !is_webm(offer)).map(|offer| offer.track).collect();
    offers.retain(|offer| !is_webm(offer) || !others.iter().any(|other| other.is_like(offer.track)));
    offers
}

/// Tracks of the same thing together, each from the poorest to the best.
fn sets<'o, 'a>(offers: &'o [Offer<'a>]) -> Vec<Vec<&'o Offer<'a>>> {
    let mut sets: Vec<Vec<&Offer<'_>>> = Vec::new();
    for offer in offers {
        match sets.iter_mut().find(|set| set.first().is_some_and(|first| first.thing == offer.thing)) {
            Some(set) => set.push(offer),
            None => sets.push(vec![offer]),
        }
    }
    sets.iter_mut().for_each(|set| set.sort_by_key(|offer| offer.representation.bandwidth));
    sets
}

/// The place among `to` that place `at` among `from` corresponds to, first to first and last to last.
fn scale(at: usize, from: usize, to: usize) -> usize {
    match (from, to) {
        (_, 0 | 1) => 0,
        (0 | 1, to) => to - 1,
        (from, to) => (at * (to - 1) + (from - 1) / 2) / (from - 1),
    }
}

fn group(level: usize, levels: usize) -> String {
    if levels > 1 { format!("audio-{}", level + 1) } else { "audio".to_owned() }
}

/// The service locations that renditions are made for.
struct Places<'a>(Vec<&'a str>);

impl<'a> Places<'a> {
    /// Those of the video; only the first where not `all` are wanted.
    fn of(video: &[Offer<'a>], all: bool) -> Self {
        let mut places = Vec::new();
        for base in video.iter().flat_map(|offer| locations(offer.representation)) {
            let room = places.len() < if all { MAX_LOCATIONS } else { 1 };
            if room && !places.contains(&location_of(base)) {
                places.push(location_of(base));
            }
        }
        Self(places)
    }

    /// The group of the renditions at a location. The first one's has a plain name.
    fn group(&self, group: &str, location: &str) -> String {
        match self.0.iter().position(|place| *place == location) {
            None | Some(0) => group.to_owned(),
            Some(place) => format!("{group}@{place}"),
        }
    }

    /// Each location with its group. One location needs no name.
    fn groups(&self, group: &str) -> Vec<(Option<&'a str>, String)> {
        match &self.0[..] {
            [] | [_] => vec![(None, group.to_owned())],
            places => places.iter().map(|place| (Some(*place), self.group(group, place))).collect(),
        }
    }
}

/// The bases that variants are made for; one of each service location.
fn locations<'a>(representation: &'a Representation) -> impl Iterator<Item = &'a Base> + use<'a> {
    let mut seen = Vec::new();
    let first_of_its_name = move |base: &&Base| {
        let new = !seen.contains(&location_of(base).to_owned());
        if new {
            seen.push(location_of(base).to_owned());
        }
        new
    };
    representation.bases.iter().filter(first_of_its_name).take(MAX_LOCATIONS)
}

fn short(text: Option<&str>) -> Option<String> {
    text.filter(|text| text.len() <= MAX_TEXT).map(str::to_owned)
}

/// SDR, HLG or PQ, by the transfer characteristics (ISO/IEC 23091-2) that the MPD names.
fn video_range(set: &AdaptationSet, representation: &Representation) -> Option<&'static str> {
    const TRANSFER: &str = "urn:mpeg:mpegB:cicp:TransferCharacteristics";
    let lists = [
        &representation.essential_properties,
        &representation.supplemental_properties,
        &set.essential_properties,
        &set.supplemental_properties,
    ];
    let transfer = lists.into_iter().flatten().find(|property| property.is(TRANSFER))?;
    match transfer.value.as_deref()?.trim() {
        "1" | "6" | "13" | "14" | "15" => Some("SDR"),
        "16" => Some("PQ"),
        "18" => Some("HLG"),
        _ => None,
    }
}

/// The number of channels that AudioChannelConfiguration tells; schemes as DASH-IF IOP and DVB have
/// them.
pub(super) fn channels(representation: &Representation) -> Option<u32> {
    representation.audio_channels.iter().find_map(|configuration| {
        let value = configuration.value.as_deref()?.trim();
        match configuration.scheme.to_ascii_lowercase().as_str() {
            "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"
            | "urn:dts:dash:audio_channel_configuration:2012" => value.parse().ok(),
            // A bit for each place of a loudspeaker.
            "urn:dolby:dash:audio_channel_configuration:2011"
            | "tag:dolby.com,2014:dash:audio_channel_configuration:2011" => {
                let bits = u32::from_str_radix(value, 16).ok().filter(|bits| *bits <= 0xffff)?;
                Some(bits.count_ones() + (bits & DOLBY_PAIRS).count_ones())
            }
            "urn:mpeg:mpegb:cicp:channelconfiguration" => match value.parse::<u32>().ok()? {
                count @ 1..=6 => Some(count),
                7 | 12 | 14 => Some(8),
                11 => Some(7),
                13 => Some(24),
                _ => None,
            },
            _ => None,
        }
    })
}

/// Loudspeakers of Dolby's bits (ETSI TS 102 366 table E.1.4) that stand for two: Lc/Rc, Lrs/Rrs,
/// Lsd/Rsd, Lw/Rw, Vhl/Vhr, Lts/Rts. The highest bit is the left one.
const DOLBY_PAIRS: u32 = 0x8000 >> 5 | 0x8000 >> 6 | 0x8000 >> 9 | 0x8000 >> 10 | 0x8000 >> 11 | 0x8000 >> 13;

/// `t=` of an MPD anchor, in seconds from the start: ISO/IEC 23009-1 Annex C.4.
fn start_offset(url: &Url) -> Option<StartOffset> {
    let value = url.fragment()?.split('&').find_map(|pair| pair.strip_prefix("t="))?;
    let start = value.strip_prefix("npt:").unwrap_or(value).split(',').next()?;
    let seconds = start
        .split(':')
        .try_fold(0.0, |sum, part| values::decimal(part).map(|part| sum * 60.0 + part))
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)?;
    Some(StartOffset { seconds, precise: false })
}
