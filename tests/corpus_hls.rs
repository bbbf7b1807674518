// SPDX-License-Identifier: MPL-2.0

//! Reads a corpus of playlists from the wild and compares with what other players' parsers make of
//! them.
//!
//! The corpus is not part of the package. It is looked for in `../shared/corpus/hls`, or in `hls`
//! below `P2PHLS_CORPUS`. `oracle.jsonl` has one row a playlist: what at least two of three
//! independent parsers agree on.

use std::path::{Path, PathBuf};

use gstp2phls::manifest::{Manifest, ManifestError, parse};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

#[derive(Deserialize)]
struct Row {
    file: String,
    #[serde(default)]
    agree: Vec<String>,
    expected: Option<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    kind: String,
    /// Target duration in seconds.
    td: Option<f64>,
    /// Media sequence.
    ms: Option<i64>,
    #[serde(default)]
    end: bool,
    /// Each begins with URI and duration.
    #[serde(default)]
    segs: Vec<Vec<Value>>,
    /// Each begins with URI and bandwidth; a third element that is true marks an I-frame variant.
    #[serde(default)]
    variants: Vec<Vec<Value>>,
}

fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("P2PHLS_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let hls = root.join("hls");
    hls.join("oracle.jsonl").is_file().then_some(hls)
}

/// The address that the oracle's parsers were given.
fn base() -> Url {
    Url::parse("http://h/p/list.m3u8").expect("a URL")
}

/// The first difference, in words.
fn difference(expected: &Expected, actual: &Manifest) -> Option<String> {
    let base = base();
    let resolve = |uri: &str| base.join(uri).map_or_else(|_| uri.to_owned(), String::from);
    match actual {
        Manifest::Multivariant(actual) => {
            if expected.kind != "master" {
                return Some(format!("a multivariant playlist, expected {}", expected.kind));
            }
            let variants = || expected.variants.iter().filter(|v| v.get(2) != Some(&Value::Bool(true)));
            let (ours, theirs) = (actual.variants.len(), variants().count());
            if ours != theirs {
                return Some(format!("{ours} variants, expected {theirs}"));
            }
            actual.variants.iter().zip(variants()).find_map(|(ours, theirs)| {
                let theirs = resolve(theirs[0].as_str().unwrap_or_default());
                (ours.url.as_str() != theirs).then(|| format!("variant {}, expected {theirs}", ours.url))
            })
        }
        Manifest::Media(actual) => {
            if expected.kind != "media" {
                return Some(format!("a media playlist, expected {}", expected.kind));
            }
            let target = actual.target_duration.as_secs_f64();
            if let Some(td) = expected.td.filter(|td| (td - target).abs() > 0.002) {
                return Some(format!("target duration {target}, expected {td}"));
            }
            if let Some(ms) = expected.ms.filter(|ms| *ms != actual.media_sequence) {
                return Some(format!("media sequence {}, expected {ms}", actual.media_sequence));
            }
            if expected.end != actual.ended {
                return Some(format!("ended {}, expected {}", actual.ended, expected.end));
            }
            let (ours, theirs) = (actual.segments.len(), expected.segs.len());
            if ours != theirs {
                return Some(format!("{ours} segments, expected {theirs}"));
            }
            actual.segments.iter().zip(&expected.segs).find_map(|(ours, theirs)| {
                let (uri, duration) = (theirs[0].as_str().unwrap_or_default(), theirs[1].as_f64());
                let theirs = resolve(uri);
                if ours.url.as_str() != theirs {
                    return Some(format!("segment {}, expected {theirs}", ours.url));
                }
                let seconds = ours.duration.as_secs_f64();
                duration
                    .filter(|duration| (duration - seconds).abs() > 0.002)
                    .map(|duration| format!("{uri} takes {seconds} s, expected {duration}"))
            })
        }
    }
}

#[test]
fn agrees_with_other_parsers() {
    let Some(corpus) = corpus() else {
        println!("skipped: there is no corpus (P2PHLS_CORPUS)");
        return;
    };
    let rows = std::fs::read_to_string(corpus.join("oracle.jsonl")).expect("the oracle");
    let (mut compared, mut headless) = (0, Vec::new());
    let mut differences = Vec::new();
    for row in rows.lines() {
        let row: Row = serde_json::from_str(row).expect("a row of the oracle");
        let Ok(body) = std::fs::read(corpus.join(&row.file)) else { continue };
        // All are parsed, even those that nobody agrees on: none may panic.
        let actual = parse(&base(), &body);
        let Some(expected) = row.expected.filter(|_| row.agree.len() >= 2) else { continue };
        compared += 1;
        match actual {
            Ok(actual) => {
                differences.extend(difference(&expected, &actual).map(|what| format!("{}: {what}", row.file)))
            }
            Err(ManifestError::NoHeader { .. } | ManifestError::Empty) => headless.push(row.file),
            Err(error) => differences.push(format!("{}: {error}", row.file)),
        }
    }
    assert!(compared > 0, "the oracle has no rows to compare");

    let percent = |wrong: usize, of: usize| 100.0 * (of - wrong) as f64 / of as f64;
    let overall = percent(differences.len() + headless.len(), compared);
    let with_header = percent(differences.len(), compared - headless.len());
    println!("{compared} playlists compared: {overall:.2} % agree");
    println!("without the {} refused for want of #EXTM3U: {with_header:.2} %", headless.len());
    headless.iter().for_each(|file| println!("  refused: {file}"));
    differences.iter().for_each(|what| println!("  differs: {what}"));
    assert!(overall >= 99.5);
    assert!(with_header >= 99.5);
}
