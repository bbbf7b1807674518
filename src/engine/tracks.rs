// SPDX-License-Identifier: MPL-2.0

//! Which tracks a presentation is played in, and what each of them can play.
//!
//! The main track is a variant: the picture, with the sound where that is in the same segments. Sound and
//! subtitles in media playlists of their own (EXT-X-MEDIA with a URI) are tracks beside it, one of each at a
//! time, with the renditions of the variant's groups to choose from. Where sound of the variant's own segments is one of
//! several (EXT-X-MEDIA without a URI), it is played in the track for sound too.

use std::sync::Arc;
use std::time::Duration;

use super::{TrackReader, codecs};
use crate::manifest::{Presentation, Rendition, RenditionKind, Variant};

/// Durations in playlists are rounded: what ends within so much of another ends with it.
pub(super) const ROUNDING: Duration = Duration::from_millis(100);

/// What a track is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// The variant: video, video with sound, or sound alone.
    Main,
    Audio,
    Subtitles,
}

impl TrackKind {
    /// All that a session may have; one of each.
    pub const ALL: [Self; 3] = [Self::Main, Self::Audio, Self::Subtitles];

    fn rendition_kind(self) -> Option<RenditionKind> {
        match self {
            Self::Main => None,
            Self::Audio => Some(RenditionKind::Audio),
            Self::Subtitles => Some(RenditionKind::Subtitles),
        }
    }
}

/// A track that the element shows as a pad.
pub struct TrackInfo {
    pub kind: TrackKind,
    pub reader: Arc<TrackReader>,
    /// What it can play, the default first; the main track has one.
    pub alternatives: Vec<Alternative>,
    /// Which of them it plays. None: nothing yet, and its reader gives nothing.
    pub chosen: Option<usize>,
}

impl TrackInfo {
    /// The main track does not have the sound that it is said to have: it is not offered, and another is chosen.
    pub fn withdraw_muxed(&mut self) {
        let alternatives = &mut self.alternatives;
        alternatives.iter_mut().for_each(|one| one.withdrawn = one.muxed);
        let is_gone = |index: usize| alternatives.get(index).is_some_and(|one| one.withdrawn);
        if self.chosen.is_some_and(is_gone) {
            self.chosen = alternatives.iter().position(|one| !one.withdrawn);
        }
    }
}

/// What a track can play, as the presentation describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alternative {
    /// BCP 47 tag.
    pub language: Option<String>,
    /// For people to choose by; empty where there is none.
    pub name: String,
    /// RFC 6381 names joined with commas: those of the variant that it goes with.
    pub codecs: Option<String>,
    pub default: bool,
    pub forced: bool,
    /// It is in the segments of the main track.
    pub muxed: bool,
    /// It is not there after all.
    pub withdrawn: bool,
}

/// Closed captions in the video, as the presentation declares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captions {
    /// `CC1` to `CC4`, `SERVICE1` to `SERVICE63`.
    pub service: String,
    pub language: Option<String>,
    pub name: String,
}

/// What is to be played beside the main track, as indices into [`TrackInfo::alternatives`]; None: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub audio: Option<usize>,
    pub subtitles: Option<usize>,
}

/// More renditions of a group are not offered.
const MAX_ALTERNATIVES: usize = 64;

impl Alternative {
    /// What the main track plays.
    pub(super) fn of_variant(variant: Option<&Variant>) -> Self {
        let Some(variant) = variant else { return Self { default: true, ..Self::default() } };
        let name = variant.name.clone().unwrap_or_default();
        Self { name, codecs: variant.codecs.clone(), default: true, ..Self::default() }
    }

    pub(super) fn of_rendition(presentation: &Presentation, rendition: &Rendition) -> Self {
        Self {
            language: rendition.language.clone(),
            name: rendition.name.clone(),
            codecs: presentation.variant_of(rendition).and_then(|variant| variant.codecs.clone()),
            default: rendition.default,
            forced: rendition.forced,
            muxed: rendition.url.is_none(),
            withdrawn: false,
        }
    }
}

/// The renditions that a track of `kind` can play beside `variant`, the default first.
///
/// One without an address is the sound in the variant's own segments. Where that is all there is, or where there is no
/// picture beside which it could be one of several, the segments are played as they are.
pub(super) fn alternatives(
    presentation: &Presentation,
    variant: &Variant,
    kind: TrackKind,
) -> Vec<Rendition> {
    let Some(kind) = kind.rendition_kind() else { return Vec::new() };
    let mut renditions: Vec<&Rendition> = presentation.renditions_of(variant, kind).collect();
    let is_muxed = |rendition: &&Rendition| rendition.url.is_none();
    if kind == RenditionKind::Audio
        && renditions.iter().any(is_muxed)
        && (renditions.iter().all(is_muxed) || codecs::is_sound_alone(variant))
    {
        return Vec::new();
    }
    renditions.retain(|rendition| rendition.url.is_some() || kind == RenditionKind::Audio);
    renditions.sort_by_key(|rendition| (!rendition.default, !rendition.autoselect));
    // There is one sound in the segments, however often it is listed.
    let mut muxed = 0;
    renditions.retain(|rendition| {
        muxed += usize::from(is_muxed(rendition));
        !is_muxed(rendition) || muxed == 1
    });
    renditions.into_iter().take(MAX_ALTERNATIVES).cloned().collect()
}

/// What is played of these when nobody has chosen: sound in any case, subtitles where the publisher says so.
pub(super) fn first_choice(kind: TrackKind, alternatives: &[Rendition]) -> Option<usize> {
    let first = alternatives.first()?;
    (kind == TrackKind::Audio || first.default).then_some(0)
}

/// The rendition beside `variant` that is the same to whoever listens or reads: groups have the same renditions in
/// other qualities. None: there is none of its language.
pub(super) fn counterpart(
    presentation: &Presentation,
    variant: &Variant,
    wanted: &Rendition,
) -> Option<Rendition> {
    let same = |rendition: &&Rendition| {
        let is_playable = rendition.url.is_some() || rendition.kind == RenditionKind::Audio;
        (rendition.language == wanted.language && is_playable).then_some((
            rendition.name == wanted.name,
            rendition.characteristics == wanted.characteristics,
            rendition.channels == wanted.channels,
        ))
    };
    // Of equals the first.
    let candidates: Vec<&Rendition> = presentation.renditions_of(variant, wanted.kind).collect();
    candidates.iter().rev().filter(|r| same(r).is_some()).max_by_key(|r| same(r)).map(|r| (*r).clone())
}

/// What the video of `variant` is said to carry.
pub(super) fn captions(presentation: &Presentation, variant: &Variant) -> Vec<Captions> {
    let declared = presentation.renditions_of(variant, RenditionKind::ClosedCaptions);
    let declared = declared.filter_map(|rendition| {
        let service = rendition.instream_id.clone()?;
        Some(Captions { service, language: rendition.language.clone(), name: rendition.name.clone() })
    });
    declared.take(MAX_ALTERNATIVES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::testing::presentation;

    fn names(renditions: &[Rendition]) -> Vec<&str> {
        renditions.iter().map(|rendition| rendition.name.as_str()).collect()
    }

    #[test]
    fn the_default_comes_first_and_is_played() {
        let presentation = presentation(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Deutsch\",LANGUAGE=\"de\",URI=\"d\"\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,URI=\"e\"\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"Other\",URI=\"o\"\n\
             #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"Untertitel\",LANGUAGE=\"de\",URI=\"s\"\n\
             #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"CC\",LANGUAGE=\"en\",INSTREAM-ID=\"CC1\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\",SUBTITLES=\"s\",CLOSED-CAPTIONS=\"c\"\nv\n",
        );
        let variant = &presentation.variants[0];
        let audio = alternatives(&presentation, variant, TrackKind::Audio);
        assert_eq!(names(&audio), ["English", "Deutsch"]);
        assert_eq!(first_choice(TrackKind::Audio, &audio), Some(0));
        let subtitles = alternatives(&presentation, variant, TrackKind::Subtitles);
        assert_eq!(names(&subtitles), ["Untertitel"]);
        assert_eq!(first_choice(TrackKind::Subtitles, &subtitles), None);
        assert_eq!(captions(&presentation, variant)[0].service, "CC1");
        assert!(alternatives(&presentation, variant, TrackKind::Main).is_empty());
    }

    #[test]
    fn sound_in_the_variant_is_one_of_several() {
        let of = |media: &str, variant: &str| {
            let presentation =
                presentation(&format!("{media}#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"{variant}\nv\n"));
            let audio = alternatives(&presentation, &presentation.variants[0], TrackKind::Audio);
            let muxed = |rendition| Alternative::of_rendition(&presentation, rendition).muxed;
            audio.iter().map(|rendition| (rendition.name.clone(), muxed(rendition))).collect::<Vec<_>>()
        };
        let muxed = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",DEFAULT=YES\n";
        let apart = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Deutsch\",URI=\"d\"\n";
        let both = [("English".to_owned(), true), ("Deutsch".to_owned(), false)];
        assert_eq!(of(&format!("{apart}{muxed}{muxed}"), ""), both);
        assert_eq!(of(&format!("{apart}{muxed}"), ",CODECS=\"avc1.4d401f,mp4a.40.2\""), both);
        assert!(of(muxed, "").is_empty(), "there is nothing to choose");
        assert!(of(&format!("{apart}{muxed}"), ",CODECS=\"mp4a.40.2\"").is_empty(), "there is no picture");
    }

    #[test]
    fn sound_in_another_variant_is_a_counterpart() {
        let presentation = presentation(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\"\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Deutsch\",LANGUAGE=\"de\",URI=\"d\"\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"English\",LANGUAGE=\"en\",URI=\"e\"\n\
             #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"English\",LANGUAGE=\"en\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\",SUBTITLES=\"s\"\nv\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,AUDIO=\"b\"\nw\n",
        );
        let [a, b] = &presentation.variants[..] else { panic!("two variants") };
        let muxed = &presentation.renditions[0];
        let is_muxed =
            |variant, wanted| counterpart(&presentation, variant, wanted).map(|found| found.url.is_none());
        assert_eq!((is_muxed(a, muxed), is_muxed(b, muxed)), (Some(true), Some(false)));
        assert_eq!(is_muxed(a, &presentation.renditions[2]), Some(true));
        assert!(alternatives(&presentation, a, TrackKind::Subtitles).is_empty());
        assert_eq!(is_muxed(a, &presentation.renditions[3]), None, "subtitles need an address");
    }

    #[test]
    fn another_group_has_a_counterpart() {
        let rendition = |group: &str, name: &str, language: &str, uri: &str| {
            format!(
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\",LANGUAGE=\"{language}\",URI=\"{uri}\"\n"
            )
        };
        let presentation = presentation(&[
            rendition("lo", "English", "en", "1"),
            rendition("lo", "Commentary", "en", "2"),
            rendition("hi", "Commentary", "en", "3"),
            rendition("hi", "English (surround)", "en", "4"),
            "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"lo\"\nv\n#EXT-X-STREAM-INF:BANDWIDTH=2,AUDIO=\"hi\"\nw\n".to_owned(),
        ]
        .concat());
        let [lo, hi] = &presentation.variants[..] else { panic!("two variants") };
        let found = |variant, wanted: &Rendition| {
            counterpart(&presentation, variant, wanted)
                .and_then(|found| found.url)
                .map(|url| url.path().to_owned())
        };
        let wanted = alternatives(&presentation, lo, TrackKind::Audio);
        assert_eq!(found(hi, &wanted[1]).as_deref(), Some("/3"), "the same name");
        assert_eq!(found(hi, &wanted[0]).as_deref(), Some("/3"), "of the language the first");
        assert_eq!(found(lo, &wanted[0]).as_deref(), Some("/1"));
        let swiss = Rendition { language: Some("gsw".to_owned()), ..wanted[0].clone() };
        assert_eq!(found(hi, &swiss), None);
    }
}
