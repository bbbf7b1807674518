// SPDX-License-Identifier: MPL-2.0

//! Content steering: a server tells players during playback which pathway (CDN) to take, and of
//! pathways that the playlist does not list. RFC 8216bis 7; DASH has the same (ETSI TS 103 998).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::{Presentation, Variant};
use crate::format::Format;

/// The wait that is meant where the manifest names none.
const DEFAULT_TTL: Duration = Duration::from_secs(300);

/// Shortest and longest wait between two loads of a steering manifest, whatever it says.
const MIN_TTL: Duration = Duration::from_secs(5);
const MAX_TTL: Duration = Duration::from_secs(24 * 3_600);

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
    #[serde(rename = "PATHWAY-PRIORITY")]
    priority: Option<Vec<String>>,
    /// What the first drafts for DASH called it.
    #[serde(rename = "SERVICE-LOCATION-PRIORITY")]
    location_priority: Option<Vec<String>>,
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
        let ttl = body.ttl.map_or(DEFAULT_TTL, |seconds| {
            // Negative ones are none; what is too much for a duration is the longest.
            Duration::try_from_secs_f64(seconds.clamp(0.0, MAX_TTL.as_secs_f64())).unwrap_or(DEFAULT_TTL)
        });
        let priority = body.priority.or(body.location_priority).unwrap_or_default();
        Ok(Self {
            ttl: Self::wait(ttl),
            reload_url: body.reload_uri.and_then(|uri| base.join(&uri).ok()).filter(is_http),
            priority: priority.into_iter().take(MAX_PATHWAYS).collect(),
            clones: body
                .clones
                .into_iter()
                .take(MAX_PATHWAYS)
                .filter_map(|clone| serde_json::from_value(clone).ok())
                .collect(),
        })
    }

    /// How long to wait where a server asks for `wait`.
    pub fn wait(wait: Duration) -> Duration {
        wait.clamp(MIN_TTL, MAX_TTL)
    }

    /// The address to load it from next time. The server is told the pathway in use, and the
    /// throughput in bits a second where it is known.
    pub fn request_url(url: &Url, format: Format, pathway: &str, throughput: Option<u64>) -> Url {
        let mut url = url.clone();
        // A `data:` URL is the manifest itself.
        if url.cannot_be_a_base() {
            return url;
        }
        let (names, pathway) = match format {
            Format::Hls => (["_HLS_pathway", "_HLS_throughput"], pathway.to_owned()),
            Format::Dash => (["_DASH_pathway", "_DASH_throughput"], format!("\"{pathway}\"")),
        };
        // What the server has from us already, and put into RELOAD-URI.
        let known = |pair: &&str| !names.iter().any(|name| pair.split('=').next() == Some(name));
        let others: Option<Vec<&str>> = url.query().map(|query| query.split('&').filter(known).collect());
        let others = others.filter(|others| !others.is_empty()).map(|others| others.join("&"));
        url.set_query(others.as_deref());
        let mut query = url.query_pairs_mut();
        query.append_pair(names[0], &pathway);
        if let Some(throughput) = throughput {
            query.append_pair(names[1], &throughput.to_string());
        }
        drop(query);
        url
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
        // Addresses in DASH are not those of the variants, which only name them.
        let is_possible = presentation.format == Format::Hls;
        let exists = |variant: &Variant| variant.pathway() == self.id;
        let room = is_possible && presentation.variants.len() + presentation.renditions.len() < MAX_CLONED;
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
        if let Some(own) = own.filter(is_http) {
            return Some(own);
        }
        let mut url = base.clone();
        if let Some(host) = &self.replacement.host {
            set_host(&mut url, host)?;
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

/// Puts a host, and perhaps a port, in the place of the one that is there.
fn set_host(url: &mut Url, host: &str) -> Option<()> {
    if host.contains(['/', '?', '#', '@', '\\']) {
        return None;
    }
    let port = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
    match port {
        Some((name, port)) => url.set_host(Some(name)).ok().and_then(|()| url.set_port(Some(port)).ok()),
        None => url.set_host(Some(host)).ok(),
    }
}

/// A server may send players to other servers, but not to their own files.
fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
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
        let ttl = |text: &str| {
            let body = format!(r#"{{"VERSION":1,"TTL":{text},"RELOAD-URI":"file:///etc/passwd"}}"#);
            let manifest = SteeringManifest::parse(&base(), body.as_bytes()).expect("a manifest");
            assert_eq!(manifest.reload_url, None);
            manifest.ttl
        };
        assert_eq!(["-1", "1e12", "20"].map(ttl), [MIN_TTL, MAX_TTL, Duration::from_secs(20)]);
        let of = |lists: &str| {
            let body = format!(r#"{{"VERSION":1,{lists}}}"#);
            SteeringManifest::parse(&base(), body.as_bytes()).map(|manifest| manifest.priority.concat()).ok()
        };
        let both = r#""SERVICE-LOCATION-PRIORITY":["A"],"PATHWAY-PRIORITY":["B"]"#;
        assert_eq!(of(both).as_deref(), Some("B"));
        assert_eq!(of(r#""SERVICE-LOCATION-PRIORITY":["A"]"#).as_deref(), Some("A"));
        assert_eq!(of(r#""PATHWAY-PRIORITY":"A""#), None);
        let error =
            |body: &str| SteeringManifest::parse(&base(), body.as_bytes()).expect_err("an error").to_string();
        assert!(error(r#"{"VERSION":2}"#).contains("version 2"));
        assert!(error("<html>").starts_with("not a steering manifest: expected value at line 1"));
        assert!(error("{}").contains("VERSION"));
    }

    #[test]
    fn the_server_is_told_where_we_are() {
        let url = SteeringManifest::request_url(&base(), Format::Hls, "CDN A", Some(5_000_000));
        assert_eq!(
            url.as_str(),
            "https://steer.example/a/steer.json?x=1&_HLS_pathway=CDN+A&_HLS_throughput=5000000"
        );
        // What a server repeats is said once.
        let url = SteeringManifest::request_url(&url, Format::Hls, "B", None);
        assert_eq!(url.as_str(), "https://steer.example/a/steer.json?x=1&_HLS_pathway=B");
        let url = Url::parse("https://s/").expect("a URL");
        let url = SteeringManifest::request_url(&url, Format::Dash, "B", Some(1));
        assert_eq!(url.as_str(), "https://s/?_DASH_pathway=%22B%22&_DASH_throughput=1");
        let data = Url::parse("data:application/json,{}").expect("a URL");
        assert_eq!(SteeringManifest::request_url(&data, Format::Hls, "A", None), data);
    }

    #[test]
    fn a_clone_is_a_pathway_of_its_own() {
        let mut presentation = presentation();
        assert_eq!(presentation.variants[2].pathway(), ".");
        let body = br#"{"VERSION":1,"PATHWAY-PRIORITY":["X","C","A"],"PATHWAY-CLONES":[{"BASE-ID":"A","ID":"C",
            "URI-REPLACEMENT":{"HOST":"c.example","PARAMS":{"t":"9","u":"a b"},
            "PER-VARIANT-URIS":{"v":"https://v.example/1"},"PER-RENDITION-URIS":{"r":"https://r.example/e"}}}]}"#;
        let manifest = SteeringManifest::parse(&base(), body).expect("a manifest");
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
    }

    #[test]
    fn a_clone_goes_to_web_servers_only() {
        let clone = |replacement: &str| {
            let mut presentation = presentation();
            let body = format!(
                r#"{{"VERSION":1,"PATHWAY-CLONES":[{{"BASE-ID":"A","ID":"C","URI-REPLACEMENT":{replacement}}}]}}"#
            );
            SteeringManifest::parse(&base(), body.as_bytes())
                .expect("a manifest")
                .add_clones(&mut presentation);
            presentation.variants.get(3).map(|variant| variant.url.to_string())
        };
        let to_files = clone(r#"{"PER-VARIANT-URIS":{"v":"file:///etc/passwd"}}"#);
        assert_eq!(to_files.as_deref(), Some("https://a.example/1.m3u8?t=0"));
        let with_port = clone(r#"{"HOST":"[::1]:8080"}"#);
        assert_eq!(with_port.as_deref(), Some("https://[::1]:8080/1.m3u8?t=0"));
        assert_eq!(
            ["a b", "file:///etc/", "x@y", ""].map(|host| clone(&format!(r#"{{"HOST":"{host}"}}"#))),
            [const { None }; 4]
        );
    }
}
