// SPDX-License-Identifier: MPL-2.0

//! Content steering: a server tells players during playback which pathway (CDN) to take, and of
//! pathways that the playlist does not list. RFC 8216bis 7; DASH has the same (ETSI TS 103 998).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::{Presentation, Variant};

/// The wait that is meant where the manifest names none.
const DEFAULT_TTL: Duration = Duration::from_secs(300);

/// Shortest wait between two loads of a steering manifest, whatever it says.
const MIN_TTL: Duration = Duration::from_secs(1);

/// Most pathways, and most clones, that are taken.
const MAX_PATHWAYS: usize = 64;

/// Most variants and renditions that clones may make of a presentation.
const MAX_CLONED: usize = 10_000;

/// Why a steering manifest cannot be used; what the one before said still holds.
#[derive(Debug, thiserror::Error)]
pub enum SteeringError {
    #[error("not a steering manifest: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the steering manifest has version {0}, only 1 is known")]
    Version(i64),
}

/// A steering manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct SteeringManifest {
    /// When to load it again.
    pub ttl: Duration,
    /// From where; None: from the same address.
    pub reload_url: Option<Url>,
    /// The best pathway first.
    pub priority: Vec<String>,
    pub clones: Vec<PathwayClone>,
}

/// A pathway made of another one by changing its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PathwayClone {
    #[serde(rename = "BASE-ID")]
    pub base: String,
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "URI-REPLACEMENT")]
    pub replacement: Replacement,
}

/// How addresses change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Replacement {
    #[serde(rename = "HOST")]
    pub host: Option<String>,
    #[serde(rename = "PARAMS", default)]
    pub params: BTreeMap<String, String>,
    /// By STABLE-VARIANT-ID.
    #[serde(rename = "PER-VARIANT-URIS", default)]
    pub variants: BTreeMap<String, String>,
    /// By STABLE-RENDITION-ID.
    #[serde(rename = "PER-RENDITION-URIS", default)]
    pub renditions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Body {
    version: i64,
    ttl: Option<f64>,
    #[serde(rename = "RELOAD-URI")]
    reload_uri: Option<String>,
    #[serde(rename = "PATHWAY-PRIORITY", alias = "SERVICE-LOCATION-PRIORITY", default)]
    priority: Vec<String>,
    /// Read one by one: a clone that makes no sense leaves the others.
    #[serde(rename = "PATHWAY-CLONES", default)]
    clones: Vec<serde_json::Value>,
}

impl SteeringManifest {
    /// Reads the body of a steering manifest that was loaded from `base`.
    pub fn parse(base: &Url, body: &[u8]) -> Result<Self, SteeringError> {
        let body: Body = serde_json::from_slice(body)?;
        if body.version != 1 {
            return Err(SteeringError::Version(body.version));
        }
        let ttl = body.ttl.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Self {
            ttl: ttl.unwrap_or(DEFAULT_TTL).max(MIN_TTL),
            reload_url: body.reload_uri.and_then(|uri| base.join(&uri).ok()),
            priority: body.priority.into_iter().take(MAX_PATHWAYS).collect(),
            clones: body
                .clones
                .into_iter()
                .take(MAX_PATHWAYS)
                .filter_map(|clone| serde_json::from_value(clone).ok())
                .collect(),
        })
    }

    /// The address to load it from next time. The server is told the pathway in use, and the
    /// throughput in bits a second where it is known.
    pub fn request_url(url: &Url, pathway: &str, throughput: Option<u64>) -> Url {
        let mut url = url.clone();
        // A `data:` URL is the manifest itself.
        if !url.cannot_be_a_base() {
            let mut query = url.query_pairs_mut();
            query.append_pair("_HLS_pathway", pathway);
            if let Some(throughput) = throughput {
                query.append_pair("_HLS_throughput", &throughput.to_string());
            }
        }
        url
    }

    /// The first pathway of the list that `presentation` has and that is not in `penalised`.
    pub fn best_pathway<'a>(
        &'a self,
        presentation: &Presentation,
        penalised: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let has = |pathway: &str| presentation.variants.iter().any(|v| v.pathway() == pathway);
        self.priority.iter().map(String::as_str).find(|pathway| has(pathway) && !penalised(pathway))
    }

    /// Adds the pathways that are clones to `presentation`; one that is there is left as it is.
    pub fn add_clones(&self, presentation: &mut Presentation) {
        for clone in &self.clones {
            clone.add_to(presentation);
        }
    }
}

impl PathwayClone {
    fn add_to(&self, presentation: &mut Presentation) {
        let exists = |variant: &Variant| variant.pathway() == self.id;
        let room = presentation.variants.len() + presentation.renditions.len() < MAX_CLONED;
        if presentation.variants.iter().any(exists) || !room {
            return;
        }
        let cloned = |variants: &[Variant]| -> Vec<Variant> {
            variants.iter().filter(|v| v.pathway() == self.base).filter_map(|v| self.variant(v)).collect()
        };
        let variants = cloned(&presentation.variants);
        let i_frames = cloned(&presentation.i_frame_variants);
        let base_groups: BTreeSet<_> = presentation
            .variants
            .iter()
            .chain(&presentation.i_frame_variants)
            .filter(|v| v.pathway() == self.base)
            .flat_map(|v| [&v.audio, &v.video, &v.subtitles, &v.closed_captions])
            .flatten()
            .collect();
        let renditions: Vec<_> = presentation
            .renditions
            .iter()
            .filter(|rendition| base_groups.contains(&rendition.group_id))
            .map(|rendition| {
                let mut clone = rendition.clone();
                clone.group_id = self.group(&rendition.group_id);
                let url = |url| self.url(url, rendition.stable_id.as_deref(), &self.replacement.renditions);
                clone.url = rendition.url.as_ref().map(|u| url(u).unwrap_or_else(|| u.clone()));
                clone
            })
            .collect();
        presentation.variants.extend(variants);
        presentation.i_frame_variants.extend(i_frames);
        presentation.renditions.extend(renditions);
    }

    fn variant(&self, base: &Variant) -> Option<Variant> {
        let group = |group: &Option<String>| group.as_deref().map(|group| self.group(group));
        Some(Variant {
            url: self.url(&base.url, base.stable_id.as_deref(), &self.replacement.variants)?,
            pathway_id: Some(self.id.clone()),
            audio: group(&base.audio),
            video: group(&base.video),
            subtitles: group(&base.subtitles),
            closed_captions: group(&base.closed_captions),
            ..base.clone()
        })
    }

    /// The groups of a pathway are its own, since their addresses are.
    fn group(&self, group: &str) -> String {
        format!("{group}@{}", self.id)
    }

    fn url(&self, base: &Url, stable_id: Option<&str>, uris: &BTreeMap<String, String>) -> Option<Url> {
        let own = stable_id.and_then(|id| uris.get(id)).and_then(|uri| base.join(uri).ok());
        if let Some(own) = own {
            return Some(own);
        }
        let mut url = base.clone();
        if let Some(host) = &self.replacement.host {
            url.set_host(Some(host)).ok()?;
        }
        let params = &self.replacement.params;
        if !params.is_empty() {
            let pairs = base.query_pairs().into_owned();
            let others: Vec<_> = pairs.filter(|(name, _)| !params.contains_key(name)).collect();
            url.query_pairs_mut().clear().extend_pairs(others).extend_pairs(params);
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, RenditionKind, parse};

    fn base() -> Url {
        Url::parse("https://steer.example/a/steer.json?x=1").expect("a URL")
    }

    fn presentation() -> Presentation {
        let text = "#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer\",PATHWAY-ID=\"A\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"e\",URI=\"https://a.example/e.m3u8\",STABLE-RENDITION-ID=\"r\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"other\",NAME=\"e\",URI=\"https://b.example/e.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"aac\",PATHWAY-ID=\"A\",STABLE-VARIANT-ID=\"v\"\nhttps://a.example/1.m3u8?t=0\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2,AUDIO=\"aac\",PATHWAY-ID=\"A\"\nhttps://a.example/2.m3u8?t=0\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"other\"\nhttps://b.example/1.m3u8\n";
        match parse(&Url::parse("https://h/m.m3u8").expect("a URL"), text.as_bytes()) {
            Ok(Manifest::Multivariant(presentation)) => presentation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_manifest_is_read_and_bounded() {
        let body = br#"{"VERSION":1,"TTL":0,"RELOAD-URI":"next?y=2","PATHWAY-PRIORITY":["C","A"],
            "PATHWAY-CLONES":[{"ID":"no base"},{"BASE-ID":"A","ID":"C","URI-REPLACEMENT":{"HOST":"c.example"}}]}"#;
        let manifest = SteeringManifest::parse(&base(), body).expect("a manifest");
        assert_eq!(manifest.ttl, MIN_TTL);
        assert_eq!(manifest.reload_url.as_ref().map(Url::as_str), Some("https://steer.example/a/next?y=2"));
        assert_eq!(manifest.clones.len(), 1);

        let minimal = SteeringManifest::parse(&base(), br#"{"VERSION":1}"#).expect("a manifest");
        assert_eq!((minimal.ttl, minimal.priority.len()), (DEFAULT_TTL, 0));
        let error =
            |body: &str| SteeringManifest::parse(&base(), body.as_bytes()).expect_err("an error").to_string();
        assert!(error(r#"{"VERSION":2}"#).contains("version 2"));
        assert!(error("<html>").starts_with("not a steering manifest: expected value at line 1"));
        assert!(error("{}").contains("VERSION"));
    }

    #[test]
    fn the_server_is_told_where_we_are() {
        let url = SteeringManifest::request_url(&base(), "CDN A", Some(5_000_000));
        assert_eq!(
            url.as_str(),
            "https://steer.example/a/steer.json?x=1&_HLS_pathway=CDN+A&_HLS_throughput=5000000"
        );
        let data = Url::parse("data:application/json,{}").expect("a URL");
        assert_eq!(SteeringManifest::request_url(&data, "A", None), data);
    }

    #[test]
    fn a_clone_is_a_pathway_of_its_own() {
        let mut presentation = presentation();
        assert_eq!(presentation.variants[2].pathway(), ".");
        let body = br#"{"VERSION":1,"PATHWAY-PRIORITY":["X","C","A"],"PATHWAY-CLONES":[{"BASE-ID":"A","ID":"C",
            "URI-REPLACEMENT":{"HOST":"c.example","PARAMS":{"t":"9","u":"a b"},
            "PER-VARIANT-URIS":{"v":"https://v.example/1"},"PER-RENDITION-URIS":{"r":"https://r.example/e"}}}]}"#;
        let manifest = SteeringManifest::parse(&base(), body).expect("a manifest");
        assert_eq!(manifest.best_pathway(&presentation, |_| false), Some("A"));
        manifest.add_clones(&mut presentation);
        // A second time changes nothing.
        manifest.add_clones(&mut presentation);
        let cloned: Vec<_> =
            presentation.variants[3..].iter().map(|v| (v.url.as_str(), v.bandwidth)).collect();
        assert_eq!(cloned, [("https://v.example/1", 1), ("https://c.example/2.m3u8?t=9&u=a+b", 2)]);
        let audio: Vec<_> = presentation
            .renditions_of(&presentation.variants[3], RenditionKind::Audio)
            .filter_map(|r| r.url.as_ref().map(Url::as_str))
            .collect();
        assert_eq!(audio, ["https://r.example/e"]);
        assert_eq!(manifest.best_pathway(&presentation, |_| false), Some("C"));
        assert_eq!(manifest.best_pathway(&presentation, |pathway| pathway == "C"), Some("A"));
        assert_eq!(manifest.best_pathway(&presentation, |_| true), None);
    }
}
