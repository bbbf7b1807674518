// SPDX-License-Identifier: MPL-2.0

//! Where the same is to be had: other servers and other pathways that have a variant or a rendition.
//!
//! RFC 8216bis 6.2.4 calls variants redundant that differ in their address only. Those of different pathways (4.4.6.2) may
//! also have other groups, as renditions have other addresses there too.

use url::Url;

use crate::manifest::{Presentation, Rendition, Variant};

/// One of the places where something is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub pathway: String,
    pub url: Url,
    /// The variant that is there, or that the rendition is beside of.
    pub variant: usize,
}

/// Where what the variant of this index shows is to be had: first its own address.
pub fn of_variant(variants: &[Variant], index: usize) -> Vec<Place> {
    let others =
        (0..variants.len()).filter(|other| *other != index && same(&variants[index], &variants[*other]));
    let place = |variant: usize| {
        let Variant { url, .. } = &variants[variant];
        Place { pathway: variants[variant].pathway().to_owned(), url: url.clone(), variant }
    };
    [index].into_iter().chain(others).map(place).collect()
}

/// Where a rendition is to be had, on the pathways of a variant that plays its group: first its own address.
pub fn of_rendition(presentation: &Presentation, rendition: &Rendition) -> Vec<Place> {
    let variants = &presentation.variants;
    let plays_it = |variant: &Variant| variant.group(rendition.kind) == Some(rendition.group_id.as_str());
    let Some(beside) = variants.iter().position(plays_it) else { return Vec::new() };
    let places = of_variant(variants, beside).into_iter().filter_map(|place| {
        let there = &variants[place.variant];
        let mut of_group = presentation.renditions_of(there, rendition.kind);
        let url = if plays_it(there) {
            rendition.url.clone()
        } else {
            of_group.find(|other| same_rendition(rendition, other)).and_then(|other| other.url.clone())
        };
        Some(Place { url: url?, ..place })
    });
    places.collect()
}

/// The addresses of places, the best first; of a pathway's several the one `in_use` comes before others.
pub fn in_order<R: Ord>(mut places: Vec<Place>, rank: impl Fn(&str) -> R, in_use: &Url) -> Vec<Url> {
    places.sort_by_cached_key(|place| (rank(&place.pathway), place.url != *in_use));
    let mut urls: Vec<Url> = Vec::new();
    for place in places {
        if !urls.contains(&place.url) {
            urls.push(place.url);
        }
    }
    urls
}

/// Both show the same, from different places.
pub fn same(one: &Variant, other: &Variant) -> bool {
    if one.pathway() == other.pathway() {
        return one.bandwidth == other.bandwidth && is_like(one, other);
    }
    let mut other = other.clone();
    let groups = [
        (&one.audio, &mut other.audio),
        (&one.video, &mut other.video),
        (&one.subtitles, &mut other.subtitles),
        (&one.closed_captions, &mut other.closed_captions),
    ];
    for (ours, theirs) in groups {
        if ours.is_some() != theirs.is_some() {
            return false;
        }
        theirs.clone_from(ours);
    }
    // What the publisher has given one name is the same, however it is described.
    one.stable_id.is_some() && one.stable_id == other.stable_id || is_like(one, &other)
}

/// All but the addresses is the same.
fn is_like(one: &Variant, other: &Variant) -> bool {
    let other = Variant { url: one.url.clone(), pathway_id: one.pathway_id.clone(), ..other.clone() };
    *one == other
}

/// Both are the same to whoever listens or reads.
fn same_rendition(one: &Rendition, other: &Rendition) -> bool {
    let other = Rendition { url: one.url.clone(), group_id: one.group_id.clone(), ..other.clone() };
    one.stable_id.is_some() && one.stable_id == other.stable_id || *one == other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::testing::presentation;

    fn found(places: Vec<Place>) -> Vec<(String, String)> {
        places.into_iter().map(|place| (place.pathway, place.url.path()[1..].to_owned())).collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(pathway, path)| ((*pathway).to_owned(), (*path).to_owned())).collect()
    }

    #[test]
    fn variants_of_different_pathways_are_the_same() {
        let presentation = presentation(
            "#EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"a\",PATHWAY-ID=\"A\",AUDIO=\"x\"\na\n\
             #EXT-X-STREAM-INF:BANDWIDTH=3,CODECS=\"a\",PATHWAY-ID=\"B\",AUDIO=\"y\"\nother rate\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"a\",PATHWAY-ID=\"B\",AUDIO=\"y\"\nb\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"a\",PATHWAY-ID=\"B\"\nno sound\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"a\",PATHWAY-ID=\"A\",AUDIO=\"z\"\nother sound\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,CODECS=\"a\",PATHWAY-ID=\"A\",AUDIO=\"x\"\na2\n",
        );
        let of = |index| found(of_variant(&presentation.variants, index));
        assert_eq!(of(0), pairs(&[("A", "a"), ("B", "b"), ("A", "a2")]));
        assert_eq!(of(1), pairs(&[("B", "other%20rate")]));
        assert_eq!(of(2), pairs(&[("B", "b"), ("A", "a"), ("A", "other%20sound"), ("A", "a2")]));
    }

    #[test]
    fn a_stable_name_counts_for_more_than_attributes() {
        let presentation = presentation(
            "#EXT-X-STREAM-INF:BANDWIDTH=2,PATHWAY-ID=\"A\",STABLE-VARIANT-ID=\"v\"\na\n\
             #EXT-X-STREAM-INF:BANDWIDTH=9,PATHWAY-ID=\"B\",STABLE-VARIANT-ID=\"v\"\nb\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,PATHWAY-ID=\"B\",STABLE-VARIANT-ID=\"w\"\nw\n",
        );
        assert_eq!(found(of_variant(&presentation.variants, 0)), pairs(&[("A", "a"), ("B", "b")]));
    }

    #[test]
    fn a_rendition_is_found_on_each_pathway() {
        let rendition = |group: &str, name: &str, uri: &str| {
            format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\",URI=\"{uri}\"\n")
        };
        let variant = |pathway: &str, group: &str| {
            format!("#EXT-X-STREAM-INF:BANDWIDTH=2,PATHWAY-ID=\"{pathway}\",AUDIO=\"{group}\"\n{pathway}\n")
        };
        let text = [
            rendition("x", "de", "a-de"),
            rendition("x", "en", "a-en"),
            rendition("y", "de", "c-de"),
            variant("A", "x"),
            variant("B", "x"),
            variant("C", "y"),
        ];
        let presentation = presentation(&text.concat());
        let of = |index: usize| of_rendition(&presentation, &presentation.renditions[index]);
        assert_eq!(found(of(0)), pairs(&[("A", "a-de"), ("B", "a-de"), ("C", "c-de")]));
        assert_eq!(found(of(1)), pairs(&[("A", "a-en"), ("B", "a-en")]), "C has no English");

        let order = |wanted: [&str; 3], in_use: &str| -> Vec<String> {
            let rank = |pathway: &str| wanted.iter().position(|wanted| *wanted == pathway);
            let in_use = presentation.url.join(in_use).expect("a URL");
            in_order(of(0), rank, &in_use).iter().map(|url| url.path()[1..].to_owned()).collect()
        };
        assert_eq!(order(["C", "B", "A"], "a-de"), ["c-de", "a-de"]);
        assert_eq!(order(["B", "C", "A"], "c-de"), ["a-de", "c-de"]);
    }

    #[test]
    fn what_is_in_use_comes_before_its_like() {
        let presentation =
            presentation("#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb\n");
        let places = of_variant(&presentation.variants, 0);
        let second = places[1].url.clone();
        assert_eq!(in_order(places, |_| 0, &second)[0], second);
    }
}
