// SPDX-License-Identifier: MPL-2.0

//! Which tracks a presentation is played in, and what each of them can play.
//!
//! The main track is a variant: the picture, with the sound where that is in the same segments. Sound and
//! subtitles in media playlists of their own (EXT-X-MEDIA with a URI) are tracks beside it, one of each at a
//! time, with the renditions of the variant's groups to choose from.

use std::sync::Arc;

use super::TrackReader;
use crate::manifest::{Presentation, Rendition, RenditionKind, Variant};

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
        }
    }
}

/// The renditions that a track of `kind` can play beside `variant`, the default first.
///
/// Where one of the sounds is in the variant's own segments (no URI), they are played as they are and the others
/// are not offered: nothing here could take the sound out of them.
pub(super) fn alternatives(
    presentation: &Presentation,
    variant: &Variant,
    kind: TrackKind,
) -> Vec<Rendition> {
    let Some(kind) = kind.rendition_kind() else { return Vec::new() };
    let mut renditions: Vec<&Rendition> = presentation.renditions_of(variant, kind).collect();
    if kind == RenditionKind::Audio && renditions.iter().any(|rendition| rendition.url.is_none()) {
        return Vec::new();
    }
    renditions.retain(|rendition| rendition.url.is_some());
    renditions.sort_by_key(|rendition| (!rendition.default, !rendition.autoselect));
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
        (rendition.language == wanted.language && rendition.url.is_some()).then_some((
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
    use url::Url;

    use super::*;
    use crate::manifest::{self, Manifest};

    fn presentation(text: &str) -> Presentation {
        let base = Url::parse("http://h/m.m3u8").expect("a URL");
        match manifest::parse(&base, format!("#EXTM3U\n{text}").as_bytes()) {
            Ok(Manifest::Multivariant(presentation)) => presentation,
            other => panic!("{other:?}"),
        }
    }

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
    fn sound_in_the_variant_is_left_where_it_is() {
        let presentation = presentation(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",DEFAULT=YES\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Deutsch\",URI=\"d\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv\n",
        );
        let variant = &presentation.variants[0];
        assert!(alternatives(&presentation, variant, TrackKind::Audio).is_empty());
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
